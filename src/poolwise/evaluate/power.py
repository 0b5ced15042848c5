"""What a study would find: simulate it from known effects, fit it, many times over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolwise.density.resolve import resolve_priors
from poolwise.design import Design, Encoding, Rows
from poolwise.design.design import column_weights, linear_predictor
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.statistics import Statistics
from poolwise.statistics.reduce import reduce_rows
from poolwise.support.errors import DataError, suggest
from poolwise.support.threads import map_slices

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.priors import Prior


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is simulated.

    Attributes
    ----------
    beta : (p,) common coefficients.
    sd : for each factor (q,), sds of its effects, which are independent.
    sigma : residual sd.
    """

    beta: np.ndarray
    sd: tuple[np.ndarray, ...]
    sigma: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Power:
    """What studies of this design find.

    Attributes
    ----------
    table : one line for each coefficient: `truth`; `mean`, that of the posterior means; `spread`, their sd over
        studies; `posterior_sd`, what a study would report; `width` of its interval; `power`, the share of studies
        whose interval excludes zero, with its standard error; `coverage`, the share whose interval holds the truth.
    studies : how many were simulated.
    interval : probability of the intervals.
    design : groups and rows, in words.
    seconds : wall time.
    """

    table: pd.DataFrame
    studies: int
    interval: float
    design: str
    seconds: float

    @property
    def verdict(self) -> str:
        """The power in sentences."""
        said = []
        for name, line in self.table.iterrows():
            if name == "Intercept":
                continue
            said.append(
                f"An effect of {line['truth']:g} for {name} is told from zero in {line['power']:.0%} "
                f"(± {2 * line['power_se']:.0%}) of studies with {self.design}; its interval is {line['width']:.3g} "
                "wide."
            )
        return " ".join(said)

    def __repr__(self) -> str:
        shown = self.table.to_string(float_format=lambda value: f"{value:.3g}")
        head = f"{self.studies:,} simulated studies of {self.design}, {self.interval:.0%} intervals"
        return f"{head}\n{shown}\n\n{self.verdict}"


def truth_of(design: Design, effects: Mapping[str, float], sd: float | Mapping[str, float], sigma: float) -> Truth:
    """Check the effects that are to be simulated.

    Raises
    ------
    DataError : for names that are not in the formula, effects that are missing, or numbers that make no sense.
    """
    if not isinstance(effects, Mapping):
        raise DataError("effects must be a dict from coefficients to numbers, {'treatment': 0.3}.")
    for name in effects:
        if name not in design.coefficients:
            raise DataError(
                f"There is no coefficient '{name}' in this design. {suggest(str(name), design.coefficients)}"
            )
    missing = [name for name in design.coefficients if name not in effects and name != "Intercept"]
    if missing:
        raise DataError(f"effects lacks {', '.join(missing)}; say 0 for none.")
    for value in [*effects.values(), sigma, *(sd.values() if isinstance(sd, Mapping) else [sd])]:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise DataError(f"effects, sd and sigma must be numbers, not {value!r}.")
    beta = np.array([float(effects.get(name, 0.0)) for name in design.coefficients])
    spreads = []
    for factor in design.factors:
        mine = [_sd_of(factor.name, effect, sd) for effect in factor.effects]
        spreads.append(np.array(mine))
    numbers = np.concatenate([beta, [sigma], *spreads])
    if not np.isfinite(numbers).all() or not sigma > 0 or any((each < 0).any() for each in spreads):
        raise DataError("effects must be finite, sd at least 0 and sigma positive.")
    return Truth(beta, tuple(spreads), float(sigma))


def _sd_of(factor: str, effect: str, sd: float | Mapping[str, float]) -> float:
    if not isinstance(sd, Mapping):
        return float(sd)
    for name in (f"sd_{factor}[{effect}]", f"sd_{factor}", factor, "sd"):
        if name in sd:
            return float(sd[name])
    raise DataError(f"sd lacks 'sd_{factor}[{effect}]' (or 'sd_{factor}' for all effects by {factor}).")


def simulate(design: Design, rows: Rows, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """One study: rows [W, y] with a fresh outcome (offset taken away), (n, K + 1)."""
    u = [sd * rng.standard_normal((len(f.levels), len(sd))) for f, sd in zip(design.factors, truth.sd, strict=True)]
    values = rows.values.copy()
    mean = linear_predictor(values[:, :-1], rows.codes, column_weights(design, truth.beta, u))
    values[:, -1] = mean + truth.sigma * rng.standard_normal(len(values)) / np.sqrt(rows.precisions)
    return values


def power(
    design: Design,
    encoding: Encoding,
    rows: Rows,
    truth: Truth,
    priors: Mapping[str, Prior],
    settings: SamplerSettings,
    *,
    studies: int,
    interval: float,
    threads: int,
) -> pd.DataFrame:
    """Simulate, fit and tabulate."""
    import pandas as pd

    seeds = child_seeds(settings.seed, studies)
    tail = (1 - interval) / 2
    done: list[int] = []

    def study(i: int, _: slice) -> np.ndarray:
        simulating, sampling = child_seeds(seeds[i], 2)
        values = simulate(design, rows, truth, np.random.default_rng(simulating))
        posterior = _fitted(design, encoding, rows, values, priors, settings, sampling)
        draws = posterior.beta.reshape(-1, len(truth.beta))
        done.append(i)
        settings.progress("simulating studies", len(done) / studies)
        return np.vstack([draws.mean(axis=0), draws.std(axis=0), *np.quantile(draws, [tail, 1 - tail], axis=0)])

    found = np.array(map_slices(study, studies, 1, threads))
    mean, sd, low, high = found.transpose(1, 0, 2)
    excludes = (low > 0) | (high < 0)
    share = excludes.mean(axis=0)
    columns = {
        "truth": truth.beta,
        "mean": mean.mean(axis=0),
        "spread": mean.std(axis=0, ddof=1),
        "posterior_sd": sd.mean(axis=0),
        "width": (high - low).mean(axis=0),
        "power": share,
        "power_se": np.sqrt(share * (1 - share) / studies),
        "coverage": ((low <= truth.beta) & (truth.beta <= high)).mean(axis=0),
    }
    return pd.DataFrame(columns, index=pd.Index(design.coefficients, name="coefficient"))


def _fitted(
    design: Design,
    encoding: Encoding,
    rows: Rows,
    values: np.ndarray,
    priors: Mapping[str, Prior],
    settings: SamplerSettings,
    seed: np.random.SeedSequence,
) -> Posterior:
    names = (*design.columns, design.response)
    products = reduce_rows(values, rows.codes, names, encoding.cells, weights=rows.weights, threads=1)
    data = Statistics(design, encoding, products, 0, "simulated")
    pooling = Pooling.PARTIAL if design.factors else Pooling.COMPLETE
    model = Model(data, resolve_priors(priors, design, products), dict(priors), pooling)
    return infer(model, SamplerSettings(settings.draws, settings.chains, seed, settings.sampler), threads=1)


def in_words(design: Design, rows: int) -> str:
    """Groups and rows."""
    groups = [f"{len(factor.levels):,} groups of {factor.name}" for factor in design.factors]
    return " and ".join([*groups, f"{rows:,} rows"])
