"""What a study would find: simulate it from known effects, fit it, many times over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from poolwise.density.latent.observations import known_parts
from poolwise.density.priors import is_intercept
from poolwise.density.resolve import resolve_priors
from poolwise.design import Design, Encoding, Rows
from poolwise.design.design import column_weights, linear_predictor
from poolwise.families import GAUSSIAN, Family, Link, locations
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.inference.prepare import sampled_model
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.statistics import Statistics
from poolwise.statistics.reduce import reduce_rows
from poolwise.support.errors import DataError, suggest
from poolwise.support.threads import map_slices

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.priors import Prior


_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is simulated.

    Attributes
    ----------
    beta : (p,) common coefficients.
    sd : for each factor (q,), sds of its effects, which are independent.
    dispersions : parameters that all rows share, by name; sigma is the residual sd.
    """

    beta: np.ndarray
    sd: tuple[np.ndarray, ...]
    dispersions: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is fitted in each study.

    Attributes
    ----------
    design, encoding, rows : of the rows to come; their outcome plays no part.
    family, link : of the outcome.
    priors : of the fits.
    until : (n,) from where on an outcome is only known to lie above, None where all are observed.
    """

    design: Design
    encoding: Encoding
    rows: Rows
    family: Family
    link: Link
    priors: Mapping[str, Prior]
    until: np.ndarray | None = None


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
    scales : names of the links on whose scales coefficients are, in the order of the table.
    """

    table: pd.DataFrame
    studies: int
    interval: float
    design: str
    seconds: float
    scales: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The power in sentences."""
        said = []
        for (name, line), link in zip(
            self.table.iterrows(), self.scales or ("identity",) * len(self.table), strict=True
        ):
            if is_intercept(str(name)):
                continue
            scale = "" if link == "identity" else f", on the {link} scale,"
            said.append(
                f"An effect of {line['truth']:g} for {name}{scale} is told from zero in {line['power']:.0%} "
                f"({self._likely(line['power'])}) of studies with {self.design}; its interval is {line['width']:.3g} "
                "wide."
            )
        return " ".join(said)

    def _likely(self, share: float) -> str:
        """Where the share of all such studies lies with a probability of 95%, by Wilson's (1927) score interval."""
        z2, n = 1.96**2, self.studies
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = math.sqrt(z2 * share * (1 - share) / n + (z2 / (2 * n)) ** 2) / (1 + z2 / n)
        return f"{max(middle - half, 0.0):.0%} to {min(middle + half, 1.0):.0%}"

    def __repr__(self) -> str:
        shown = self.table.to_string(float_format=lambda value: f"{value:.3g}")
        head = f"{self.studies:,} simulated studies of {self.design}, {100 * self.interval:g}% intervals"
        return f"{head}\n{shown}\n\n{self.verdict}"


def truth_of(
    design: Design,
    effects: Mapping[str, float],
    sd: float | Mapping[str, float],
    sigma: float,
    family: Family = GAUSSIAN,
    dispersions: Mapping[str, float] = _NOTHING,
) -> Truth:
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
    shared = _shared(design, sigma, family, dispersions)
    for value in [*effects.values(), *shared.values(), *(sd.values() if isinstance(sd, Mapping) else [sd])]:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise DataError(f"effects, sd, sigma and dispersions must be numbers, not {value!r}.")
    beta = np.array([float(effects.get(name, 0.0)) for name in design.coefficients])
    spreads = []
    for factor in design.factors:
        mine = [_sd_of(factor.name, effect, sd) for effect in factor.effects]
        spreads.append(np.array(mine))
    numbers = np.concatenate([beta, *spreads, *([value] for value in shared.values())])
    positive = all(value > 0 for value in shared.values())
    if not np.isfinite(numbers).all() or not positive or any((each < 0).any() for each in spreads):
        raise DataError("effects must be finite, sd at least 0 and sigma positive, as all dispersions.")
    return Truth(beta, tuple(spreads), {name: float(value) for name, value in shared.items()})


def _shared(design: Design, sigma: float, family: Family, dispersions: Mapping[str, float]) -> dict[str, float]:
    """The parameters that all rows share, by name.

    Raises
    ------
    DataError : for names that the family does not have, or that have a formula, and for those that are missing.
    """
    if not isinstance(dispersions, Mapping):
        raise DataError("dispersions must be a dict from parameters to numbers, {'shape': 2.0}.")
    own, fixed = ({name for name, _ in each} for each in (design.formula.further, design.formula.fixed))
    known = [each.name for each in family.parameters if each.name not in own | fixed]
    for name in dispersions:
        if name in own:
            raise DataError(f"'{name}' has a formula: give its coefficients among effects, '{name}_Intercept' first.")
        if name not in known:
            has = f"It has: {', '.join(known)}." if known else "It has none."
            raise DataError(f"The family '{family.name}' has no parameter '{name}' that all rows share. {has}")
    given = {"sigma": sigma, **dispersions}
    if lacking := [name for name in known if name not in given]:
        raise DataError(f"dispersions lacks {', '.join(lacking)}: say {{'{lacking[0]}': ...}}.")
    return {name: given[name] for name in known}


def _sd_of(factor: str, effect: str, sd: float | Mapping[str, float]) -> float:
    if not isinstance(sd, Mapping):
        return float(sd)
    for name in (f"sd_{factor}[{effect}]", f"sd_{factor}", factor, "sd"):
        if name in sd:
            return float(sd[name])
    raise DataError(f"sd lacks 'sd_{factor}[{effect}]' (or 'sd_{factor}' for all effects by {factor}).")


def simulate(plan: Plan, truth: Truth, rng: np.random.Generator) -> Rows:
    """One study: the rows with a fresh outcome; where the mean is linear, its offset is taken away."""
    design, rows = plan.design, plan.rows
    u = [sd * rng.standard_normal((len(f.levels), len(sd))) for f, sd in zip(design.factors, truth.sd, strict=True)]
    values = rows.values.copy()

    def linear(name: str) -> np.ndarray:
        return linear_predictor(values[:, :-1], rows.codes, column_weights(design, truth.beta, u, name))

    if rows.linear:
        noise = rng.standard_normal(len(values)) / np.sqrt(rows.precisions)
        values[:, -1] = linear("") + truth.dispersions["sigma"] * noise
        return replace(rows, values=values)
    family, known = plan.family, known_parts(design, rows, plan.family)
    mean = family.scale.mean(locations(plan.link, linear("") + known[0]))
    others = tuple(
        (np.log(truth.dispersions[name]) if name in truth.dispersions else linear(name)) + known[k]
        for k, name in enumerate(family.predictors[1:], start=1)
    )
    trials = np.ones(len(values)) if rows.trials is None else rows.trials
    values[:, -1] = y = family.draw(rng, trials, mean, *family.values(others))
    if plan.until is None:
        return replace(rows, values=values)
    hidden, forever = y > plan.until, np.full(len(y), np.inf)
    if hidden.all():
        raise DataError("Every outcome of a simulated study is censored: `until` lies too low for these effects.")
    values[:, -1] = np.where(hidden, plan.until, y)
    ends = np.where(hidden, plan.until, np.nan), np.where(hidden, np.inf, np.nan)
    return replace(rows, values=values, limits=np.array([*ends, -forever, forever]))


def power(
    plan: Plan,
    truth: Truth,
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
        rows = simulate(plan, truth, np.random.default_rng(simulating))
        posterior = _fitted(plan, rows, settings, sampling)
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
    return pd.DataFrame(columns, index=pd.Index(plan.design.coefficients, name="coefficient"))


def scales_of(design: Design, family: Family, link: Link) -> tuple[str, ...]:
    """Names of the links on whose scales the coefficients are."""
    others = {each.name: each.scale.link(None, family.name).name for each in family.parameters}
    return tuple(others[of] if of else link.name for of in design.predictors)


def _fitted(plan: Plan, rows: Rows, settings: SamplerSettings, seed: np.random.SeedSequence) -> Posterior:
    design, encoding, priors = plan.design, plan.encoding, plan.priors
    names = (*design.columns, design.response)
    products = reduce_rows(rows.values, rows.codes, names, encoding.cells, weights=rows.weights, threads=1)
    data = Statistics(design, encoding, products, 0, "simulated")
    if rows.linear:
        pooling = Pooling.PARTIAL if design.factors else Pooling.COMPLETE
        model = Model(data, resolve_priors(priors, design, products), dict(priors), pooling)
    else:
        model = sampled_model(data, rows, priors, plan.family, plan.link)
    return infer(model, SamplerSettings(settings.draws, settings.chains, seed, settings.sampler), threads=1)


def in_words(design: Design, rows: int) -> str:
    """Groups and rows."""
    groups = [f"{len(factor.levels):,} groups of {factor.name}" for factor in design.factors]
    return " and ".join([*groups, f"{rows:,} rows"])
