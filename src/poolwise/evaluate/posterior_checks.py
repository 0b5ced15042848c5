"""Posterior predictive checks: would this model have made data like these? (Gelman, Meng and Stern 1996)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.evaluate.deviations import measured
from poolwise.evaluate.loo import sampled_families as sampled
from poolwise.evaluate.loo.part_of_rows import rmsd_of_part
from poolwise.evaluate.loo.rows import MOST as ROWS_OUT
from poolwise.evaluate.loo.rows import Batches, rmsd_left_out, some_positions
from poolwise.evaluate.predict import predictor_of_rows
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.evaluate.rmsd import in_sample
from poolwise.evaluate.survival import shares_above
from poolwise.inference.posterior import Posterior
from poolwise.support.digits import beside

if TYPE_CHECKING:
    import pandas as pd

MOST = 10_000  # rows; of more, a random part is replicated
_MOST_GROUPS = 1_000

Statistic = Callable[[np.ndarray], np.ndarray]
STATISTICS: dict[str, Statistic] = {
    "mean": lambda y: y.mean(axis=-1),
    "sd": lambda y: y.std(axis=-1, ddof=1),
    "min": lambda y: y.min(axis=-1),
    "max": lambda y: y.max(axis=-1),
}
_OF_CHOICES: dict[str, Statistic] = {
    "share upper": lambda y: (y > 0).mean(axis=-1),
    "median time, upper": lambda y: np.nanmedian(np.where(y > 0, y, np.nan), axis=-1),
    "median time, lower": lambda y: np.nanmedian(np.where(y < 0, -y, np.nan), axis=-1),
    "shortest time": lambda y: np.abs(y).min(axis=-1),
    "longest time": lambda y: np.abs(y).max(axis=-1),
}
_WITH_ZEROS: dict[str, Statistic] = {
    "mean": STATISTICS["mean"],
    "sd": STATISTICS["sd"],
    "zeros": lambda y: (y == 0).mean(axis=-1),
    "max": STATISTICS["max"],
}


@dataclass(frozen=True, slots=True, eq=False)
class Replications:
    """Outcomes that were observed, (n,), and made by the model at the same rows, (draws, n).

    Attributes
    ----------
    outcome : its name.
    total : rows of the data; more than n where a random part was taken.
    whole : whether outcomes are whole numbers.
    labels : of the categories whose positions outcomes are.
    completed : (n,) outcomes, those that were censored drawn once by the model; None where none was.
    """

    outcome: str
    observed: np.ndarray
    replicated: np.ndarray
    total: int
    whole: bool
    labels: tuple[str, ...] = ()
    completed: np.ndarray | None = None


def replications(posterior: Posterior, batches: Batches, *, draws: int, seed: int) -> Replications:
    """Replicate the data, and no more."""
    model = posterior.model
    rows, total = _each_alone(*_some_rows(batches, posterior), precise=bool(model.family.precise))
    made = replicate(posterior, rows, draws, seed)
    completed = None if rows.observed.all() else complete(posterior, rows, 1, seed)[0]
    return Replications(
        model.design.response, rows.response, made, total, model.family.whole, model.family.labels, completed
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Checks:
    """Data beside data that the fitted model would make.

    Attributes
    ----------
    formula, outcome : of the fit.
    table : mean, sd, min and max of the outcome (where zeros are usual their share, not the min; of categories the
        share of each; of choices with their times the share of the upper one, and median times; of censored outcomes
        the share above some values, with those that were censored drawn from their intervals by the model): observed,
        in replications (mean and 90% interval), and `tail`, the share of replications above the observed value. Near 0
        or 1 the model does not make such data.
    groups : the same for the mean and sd of each group, one line a group; by factor.
    rmsd_in_sample : root mean squared deviation of the outcomes from the posterior mean predictions; of the positions
        of ordered categories, and NaN where categories have no order or outcomes are censored.
    rmsd_out_of_sample : the same with each row predicted by all others.
    observed : (n,) outcomes.
    replicated : (draws, n) outcomes made by the model at the same rows.
    total : rows of the data; more than n where a random part was taken.
    whole : whether outcomes are whole numbers.
    labels : of the categories whose positions outcomes are.
    completed : (n,) outcomes, those that were censored drawn once by the model; None where none was.
    heavy : rows without which draws are too few to predict them (Pareto k-hat above 0.7): `fit.loo()` fits again.
    """

    formula: str
    outcome: str
    table: pd.DataFrame
    groups: dict[str, pd.DataFrame]
    rmsd_in_sample: float
    rmsd_out_of_sample: float
    observed: np.ndarray
    replicated: np.ndarray
    total: int
    whole: bool = False
    labels: tuple[str, ...] = ()
    completed: np.ndarray | None = None
    heavy: int = 0

    @property
    def verdict(self) -> str:
        """What the checks say, in a sentence or two."""
        names = [str(name) for name in self.table.index]
        odd = [name for name, tail in self.table["tail"].items() if not 0.025 <= tail <= 0.975]
        said = [
            f"The model does not make the observed {' and '.join(map(str, odd))} of {self.outcome}."
            if odd
            else f"The model makes data like these: {', '.join(names[:-1])} and {names[-1]} of {self.outcome} are all "
            "within reach."
        ]
        for name, table in self.groups.items():
            outside = float(np.mean((table["tail_mean"] < 0.025) | (table["tail_mean"] > 0.975)))
            said.append(f"Group means outside their 95% interval: {outside:.0%} of {len(table):,} in {name}.")
        return " ".join(said)

    @property
    def deviations(self) -> str:
        """How far outcomes are from their predictions, in a sentence; nothing where they have no distances."""
        if not np.isfinite(self.rmsd_in_sample):
            return ""
        what = "positions of categories" if self.labels else "outcomes"
        said = (
            f"RMSD of {what} from posterior mean predictions: {self.rmsd_in_sample:.4g} in sample, "
            f"{self.rmsd_out_of_sample:.4g} with each row predicted by all others."
        )
        if not self.heavy:
            return said
        rows = "one row has" if self.heavy == 1 else f"{self.heavy:,} rows have"
        return f"{said} The latter is unreliable: {rows} a Pareto k-hat above 0.7. fit.loo() refits without such rows."

    def __repr__(self) -> str:
        part = "" if len(self.observed) == self.total else f" (at {len(self.observed):,} rows taken at random)"
        deviations = f"{self.deviations}\n" if self.deviations else ""
        return (
            f"Posterior predictive checks of {self.formula}: {len(self.replicated)} replications of "
            f"{self.total:,} rows{part}\n"
            f"{statistics_in_text(self.table).to_string()}\n"
            f"{deviations}{self.verdict}"
        )


def statistics_in_text(table: pd.DataFrame) -> pd.DataFrame:
    """A table of statistics with digits that tell two of how wide intervals are."""
    shown = table.astype(object)
    for k, (*values, low, high, tail) in enumerate(table.to_numpy(dtype=float)):
        shown.iloc[k] = [*(beside(value, high - low, 3) for value in (*values, low, high)), f"{tail:.3g}"]
    return shown


def check(posterior: Posterior, batches: Batches, *, draws: int, seed: int, threads: int) -> Checks:
    """Replicate the data and compare."""
    import pandas as pd

    family = posterior.model.family
    some, total = _some_rows(batches, posterior)
    rows, total = _each_alone(some, total, precise=bool(family.precise))
    replicated = replicate(posterior, rows, draws, seed)
    observed = rows.response
    statistics = _WITH_ZEROS if family.whole or (replicated == 0).any() else STATISTICS
    if family.labels:
        statistics = {f"share of {label}": _share(place) for place, label in enumerate(family.labels)}
    lines = {name: _line(statistic(observed), statistic(replicated)) for name, statistic in statistics.items()}
    completed = None if rows.observed.all() else complete(posterior, rows, draws, seed)
    if completed is not None:
        lines = {name: _paired(*both) for name, both in shares_above(rows, completed, replicated).items()}
    elif family.signed:
        lines = {name: _line(of(observed), of(replicated)) for name, of in _OF_CHOICES.items()}
    columns = ["observed", "replicated", "5%", "95%", "tail"]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("statistic")
    design = posterior.model.design
    own = [factor for factor in design.factors if factor.part_of("").any()] or design.factors
    unordered = not measured(family, replace(rows, limits=None)) or completed is not None
    inside, outside, heavy = _rmsd(posterior, some, batches, threads)
    groups = {} if unordered else {each.name: _by_group(each, rows.codes, observed, replicated) for each in own}
    return Checks(
        design.formula.text,
        design.response,
        table,
        groups,
        inside,
        outside,
        observed,
        replicated,
        total,
        family.whole,
        family.labels,
        None if completed is None else completed[0],
        heavy,
    )


def _share(place: int) -> Statistic:
    """The share of a category."""
    return lambda y: (y == place).mean(axis=-1)


def _rmsd(posterior: Posterior, rows: Rows, batches: Batches, threads: int) -> tuple[float, float, int]:
    """RMSD of outcomes from posterior means, in sample and with each row left out; and for how many of these the draws
    do not do."""
    if posterior.model.sampled and len(rows.codes) < posterior.model.statistics.rows:
        return rmsd_of_part(posterior, rows, batches)
    if posterior.model.sampled:
        return sampled.rmsd_left_out(posterior, rows)
    some = rows.take(some_positions(len(rows.codes), ROWS_OUT))
    return in_sample(posterior), *rmsd_left_out(posterior, some, threads=threads)


def replicate(posterior: Posterior, rows: Rows, draws: int, seed: int) -> np.ndarray:
    """Outcomes (draws, n) made by the model at some rows, from draws spread over the chains."""
    question = Question(Kind.RESPONSE, NewGroups.ERROR, seed)
    count = posterior.chains * posterior.draws
    chosen = np.linspace(0, count - 1, min(draws, count)).astype(int)
    # Rows in the order of their cells: a batch then needs the draws of few groups, and none is drawn twice.
    order = np.argsort(rows.codes, kind="stable")
    drawn = predictor_of_rows(posterior, rows.take(order), question, chosen).draws()
    return drawn[:, np.argsort(order)]


def complete(posterior: Posterior, rows: Rows, draws: int, seed: int) -> np.ndarray:
    """The rows' outcomes (draws, n), those that were censored drawn by the model from their intervals.

    Completed data are what the model says of the outcomes given all that is known of them (Gelman, Van Mechelen,
    Verbeke, Heitjan and Meulders 2005): unlike estimates of Kaplan and Meier they need not assume that censoring has
    nothing to do with the predictors.
    """
    hidden, limits = ~rows.observed, np.asarray(rows.limits).copy()
    limits[2:, hidden] = limits[:2, hidden]
    drawn = np.tile(rows.response, (min(draws, posterior.chains * posterior.draws), 1))
    mine = replace(rows, limits=limits).take(np.flatnonzero(hidden))
    drawn[:, hidden] = replicate(posterior, mine, draws, seed + 1)
    return drawn


def _some_rows(batches: Batches, posterior: Posterior) -> tuple[Rows, int]:
    """All rows, or `MOST` of them at random, from one pass, and how many there are."""
    total = posterior.model.statistics.rows
    positions = some_positions(total, MOST)
    parts, before = [], 0
    for rows in batches():
        low, high = np.searchsorted(positions, [before, before + len(rows.codes)])
        parts.append(rows.take(positions[low:high] - before))
        before += len(rows.codes)
    return Rows.joined(parts), total


def _each_alone(rows: Rows, total: int, *, precise: bool) -> tuple[Rows, int]:
    """Rows whose weights say how many they stand for, each as often, and how many these are; `MOST` at random at most.

    Weights that are precisions, or not whole, are no such numbers: these rows come as they are.
    """
    counts = rows.weights
    if precise or counts is None or (counts != np.floor(counts)).any():
        return rows, total
    ends = np.cumsum(counts)
    chosen = np.searchsorted(ends, some_positions(int(ends[-1]), MOST), side="right")
    return replace(rows.take(chosen), weights=None), int(ends[-1])


def _line(observed: np.ndarray, replicated: np.ndarray) -> list[float]:
    low, high = np.quantile(replicated, [0.05, 0.95])
    return [float(observed), float(replicated.mean()), float(low), float(high), _tail(float(observed), replicated)]


def _paired(completed: np.ndarray, replicated: np.ndarray) -> list[float]:
    """The same where what was observed is known up to draws, each of which has its replication."""
    low, high = np.quantile(replicated, [0.05, 0.95])
    tail = float(np.mean(replicated > completed) + 0.5 * np.mean(replicated == completed))
    return [float(completed.mean()), float(replicated.mean()), float(low), float(high), tail]


def _tail(observed: float, replicated: np.ndarray) -> float:
    return float(np.mean(replicated > observed) + 0.5 * np.mean(replicated == observed))


def _by_group(factor: Factor, cells: np.ndarray, observed: np.ndarray, replicated: np.ndarray) -> pd.DataFrame:
    """Mean and sd of each group, the largest ones first, observed and replicated, with tail probabilities."""
    import pandas as pd

    codes = factor.codes[cells]
    sizes = np.bincount(codes, minlength=len(factor.levels))
    largest = np.argsort(-sizes, kind="stable")[: min(_MOST_GROUPS, int(np.sum(sizes > 0)))]
    order = np.argsort(codes, kind="stable")
    present = np.flatnonzero(sizes)
    starts = np.concatenate([[0], np.cumsum(sizes[present])[:-1]])
    found = {factor.name: factor.levels[largest], "n": sizes[largest]}
    place = np.searchsorted(present, largest)
    both = np.vstack([observed, replicated])[:, order]
    mean = np.add.reduceat(both, starts, axis=1) / sizes[present]
    centred = both - np.repeat(mean, sizes[present], axis=1)
    squares = np.add.reduceat(centred**2, starts, axis=1)
    spare = np.where(sizes[present] > 1, sizes[present] - 1, np.nan)
    for name, values in (("mean", mean), ("sd", np.sqrt(squares / spare))):
        found[name] = values[0, place]
        above = (values[1:] > values[0]).mean(axis=0) + 0.5 * (values[1:] == values[0]).mean(axis=0)
        found[f"tail_{name}"] = np.where(np.isnan(values[0]), np.nan, above)[place]
    return pd.DataFrame(found)
