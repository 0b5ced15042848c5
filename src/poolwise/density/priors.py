"""The priors of one model, resolved to arrays: which prior each coefficient, scale and correlation has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from poolwise.density import theta
from poolwise.density.centring import Centring, centring, constant_direction, moments, settled
from poolwise.density.layout import ParameterLayout
from poolwise.density.working import WorkingBasis
from poolwise.design.design import Design
from poolwise.design.factors import Factor
from poolwise.errors import PriorError, suggest
from poolwise.priors import LKJ, CoefficientPrior, HalfStudentT, Normal, Prior, ScalePrior
from poolwise.statistics.products import CrossProducts

_CENTRE = " at the mean of every predictor"

P = TypeVar("P", CoefficientPrior, ScalePrior, LKJ)


@dataclass(frozen=True, slots=True, eq=False)
class ModelPriors:
    """Every prior of a model.

    Attributes
    ----------
    layout : of theta, which the priors decide in part: a Student-t coefficient adds a mixing precision.
    coefficients : (p,) priors; default ones are put on the coefficient at the centre of the predictors.
    centred : (p,) for which that differs from the coefficient as written, which is at zero.
    rows : (p, p) of determinant one, with rows @ beta ~ coefficients.
    sd : (Q,) priors of the effects' standard deviations, factor by factor.
    at_zero : (Q,) whether the priors of an effect's bar speak of effects as written, at zero, since they were set for
        these; else of effects at the centre of their predictors.
    dispersions : of the family's positive parameters that all rows share, by name; sigma in a normal model.
    correlation : of each factor's correlation matrices, by the factor's name; only where effects are correlated.
    """

    layout: ParameterLayout
    names: tuple[str, ...]
    coefficients: tuple[CoefficientPrior, ...]
    centred: tuple[bool, ...]
    rows: np.ndarray
    sd: tuple[ScalePrior, ...]
    at_zero: tuple[bool, ...]
    dispersions: Mapping[str, ScalePrior]
    correlation: Mapping[str, LKJ]

    @property
    def sigma(self) -> ScalePrior:
        """Prior of the residual sd of a normal model."""
        return self.dispersions["sigma"]

    @property
    def mean(self) -> np.ndarray:
        """(p,) centres of the coefficients' priors."""
        return np.array([prior.location for prior in self.coefficients])

    @property
    def mean_of_beta(self) -> np.ndarray:
        """(p,) prior mean of the coefficients as written."""
        return np.linalg.solve(self.rows, self.mean)

    def widened(self, term: str, factor: float) -> ModelPriors:
        """The same priors with those of one term so many times as wide; names as in `resolve_priors`.

        Raises
        ------
        PriorError : for a name that is not in the model.
        """
        sds = {f"sd_{group}[{effect}]": k for k, (group, effect) in enumerate(self.layout.effects)}
        groups = {group for group, _ in self.layout.effects}
        valid = {
            *self.names,
            "slopes",
            *self.dispersions,
            *sds,
            *(f"sd_{group}" for group in groups),
            *(["sd"] if sds else []),
        }
        if term not in valid:
            raise PriorError(f"There is no term '{term}' in this model to widen the prior of. {suggest(term, valid)}")
        coefficients = tuple(
            prior.widened(factor) if term == name or (term == "slopes" and not _is_intercept(name)) else prior
            for name, prior in zip(self.names, self.coefficients, strict=True)
        )
        sd = tuple(
            prior.widened(factor) if term in ("sd", f"sd_{group}", f"sd_{group}[{effect}]") else prior
            for (group, effect), prior in zip(self.layout.effects, self.sd, strict=True)
        )
        dispersions = {
            name: prior.widened(factor) if term == name else prior for name, prior in self.dispersions.items()
        }
        return replace(self, coefficients=coefficients, sd=sd, dispersions=dispersions)

    def sample_coefficients(self, rng: np.random.Generator, draws: int) -> np.ndarray:
        """Draws (draws, p) of the coefficients as written from their priors."""
        drawn = np.array([prior.sample(rng, (draws,)) for prior in self.coefficients]).reshape(-1, draws)
        return np.linalg.solve(self.rows, drawn).T

    @property
    def width(self) -> np.ndarray:
        """(p,) standard deviations given mixing precisions of one."""
        return np.array([prior.width for prior in self.coefficients])

    @property
    def mixed(self) -> np.ndarray:
        """(m,) positions of the coefficients with a mixing precision."""
        return np.array(
            [k for k, prior in enumerate(self.coefficients) if math.isfinite(prior.degrees)], dtype=np.int64
        )

    @property
    def scale_priors(self) -> np.ndarray:
        """(q + s + m, 6) coefficients of the priors of sds, dispersions and mixing precisions, in theta's order."""
        mixing = [_mixing_precision(self.coefficients[k].degrees) for k in self.mixed]
        sizes, effects = 1.0 / np.diag(self.layout.map_to_zero), []
        for prior, size, exponent in zip(self.sd, sizes.tolist(), self.exponents.tolist(), strict=True):
            if exponent:
                first, *rest = prior.coefficients
                effects.append((first - exponent * math.log(size), *rest))
            else:  # theta has the sd of the effect of a column of standard deviation one
                effects.append(prior.widened(size).coefficients)
        found = [prior.coefficients for prior in self.dispersions.values()]
        return np.array([*effects, *found, *mixing]).reshape(-1, 6)

    @property
    def correlation_priors(self) -> np.ndarray:
        """(c, 2) exponent and log constant of each partial correlation."""
        exponents: list[float] = []
        for start in sorted(set(self.layout.starts)):
            size = self.layout.starts.count(start)
            if size > 1:
                exponents += list(self.correlation[self.layout.effects[start][0]].partial_exponents(size))
        constants = [math.lgamma(a + 0.5) - math.lgamma(a) - 0.5 * math.log(math.pi) for a in exponents]
        return np.column_stack([exponents, constants]) if exponents else np.zeros((0, 2))

    def arrays(self, basis: WorkingBasis, statistics: CrossProducts) -> theta.Prior:
        """The priors for kernels, those of the coefficients in working coordinates."""
        return theta.Prior(
            np.array(self.layout.starts, dtype=np.int64),
            self.rows @ basis.to_written,
            self.mean - self.rows @ basis.reference,
            self.width**-2.0,
            self.mixed,
            self.scale_priors,
            self.correlation_priors,
            self.stated,
            self.exponents,
            basis.log_volume + 0.5 * float(statistics.log_weights.sum()),
        )

    @property
    def stated(self) -> np.ndarray:
        """(Q, Q) from the effects of theta to those that the priors of sds speak of, in units of the predictors."""
        written, to_zero = np.array(self.at_zero, dtype=bool), self.layout.map_to_zero
        return np.where(written[:, None], to_zero, np.diag(np.diag(to_zero)))

    @property
    def from_stated(self) -> np.ndarray:
        """(Q, Q) from the effects that priors speak of to effects as written; triangular, with ones on its diagonal."""
        written, to_zero = np.array(self.at_zero, dtype=bool), self.layout.map_to_zero
        return np.where(written[:, None], np.eye(len(written)), to_zero / np.diag(to_zero))

    @property
    def exponents(self) -> np.ndarray:
        """(Q,) power of the ratio of sds at the centre and at zero that carries a density of covariances over.

        A covariance matrix at zero is T Sigma T', so its density is that of Sigma over |T|^(q + 1); from there to sds
        and correlations it is prod(sd)^-q, and LKJ's det(R)^(eta - 1) is det(Sigma)^(eta - 1) prod(sd)^-2(eta - 1).
        |T| is one but for the units of columns, which `scale_priors` count.
        """
        found = np.zeros(len(self.at_zero))
        mixed = self.stated - np.diag(np.diag(self.stated))
        for start in sorted(set(self.layout.starts)):
            mine = np.array(self.layout.starts) == start
            if mixed[mine].any():
                eta = self.correlation[self.layout.effects[start][0]].eta
                found[mine] = mine.sum() - 1 + 2 * eta
        return found

    def words(self) -> dict[str, str]:
        """Every prior in words, by the name under which it can be set."""
        said = {}
        for name, prior, centred in zip(self.names, self.coefficients, self.centred, strict=True):
            said[name] = f"{prior}{_CENTRE if centred else ''}"
        to_zero = self.layout.map_to_zero
        moved = (to_zero - np.diag(np.diag(to_zero))).any(axis=1) & ~np.array(self.at_zero, dtype=bool)
        for (factor, effect), sd, elsewhere in zip(self.layout.effects, self.sd, moved, strict=True):
            said[f"sd_{factor}[{effect}]"] = f"{sd}{_CENTRE if elsewhere else ''}"
        for factor, correlation in self.correlation.items():
            mine = [away for (name, _), away in zip(self.layout.effects, moved, strict=True) if name == factor]
            said[f"cor_{factor}"] = f"{correlation}{_CENTRE if any(mine) else ''}"
        return said | {name: str(prior) for name, prior in self.dispersions.items()}


def _mixing_precision(df: float) -> tuple[float, float, float, float, float, float]:
    """Gamma(df / 2, df / 2) in the common form of scale priors."""
    half = df / 2
    return half * math.log(half) - math.lgamma(half), half - 1.0, half, 0.0, 0.0, 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PriorScales:
    """What default priors are scaled by.

    Attributes
    ----------
    predictors : by linear predictor, about where it lies and how far it moves in a standard deviation.
    dispersions : default priors of the family's positive parameters that all rows share.
    """

    predictors: Mapping[str, tuple[float, float]]
    dispersions: Mapping[str, ScalePrior]


def gaussian_scales(total: CrossProducts) -> PriorScales:
    """Scales of a normal model, from the outcome's mean and sd; `total` holds one cell."""
    squares = total.scatter[0, -1, -1]
    outcome_sd = math.sqrt(squares / total.typical_weight)
    # A row of weight w has the residual sd sigma / sqrt(w).
    usual = HalfStudentT(3.0, _settled(math.sqrt(squares / max(total.rows, 1))))
    centre = float(settled(total.means[0, -1] + total.origin[-1], outcome_sd))
    return PriorScales({"": (centre, outcome_sd)}, {"sigma": usual})


def _settled(value: float) -> float:
    """A scale without the digits that follow the order of the rows."""
    return float(settled(value, value))


def resolve_priors(
    given: Mapping[str, Prior],
    design: Design,
    statistics: CrossProducts,
    scales: PriorScales | None = None,
    *,
    whole: bool = False,
) -> ModelPriors:
    """Match priors with the model's terms and fill the rest with defaults scaled to the data.

    Names: a coefficient (`Intercept`, `floor`), `slopes` for all but intercepts, `sd`, `sd_county`, `sd_county[floor]`,
    `cor` or `cor_county`, `sigma` or another dispersion. The most specific one wins.

    Parameters
    ----------
    scales : those of a normal model by default.
    whole : whether all effects of a factor are at the centre, those without correlations too.

    Raises
    ------
    PriorError : for a name that is not in the model, or a prior of the wrong kind.
    """
    total = statistics.merged()
    scales = gaussian_scales(total) if scales is None else scales
    _check_names(given, design, scales)
    constants = _constants(design, total)
    centred = common_centring(design, total)
    at_centre = np.linalg.inv(centred.matrix)
    coefficients: list[CoefficientPrior] = []
    rows = np.eye(len(constants))
    for k, name in enumerate(design.coefficients):
        centre, unit = scales.predictors[design.predictors[k]]
        level = constants[k, k]
        width = 2.5 * unit / (centred.size[k] if not level and centred.size[k] > 0 else 1.0)
        default = Normal(level * centre + 0.0, _settled(width))
        chosen = given.get(name, default if _is_intercept(name) else given.get("slopes", default))
        coefficients.append(_expect(chosen, CoefficientPrior, name, "Normal or StudentT"))
        if chosen is default:
            rows[k] = at_centre[k]
    sds: list[ScalePrior] = []
    at_zero: list[bool] = []
    maps: list[np.ndarray] = []
    correlations = {}
    for factor in design.factors:
        of_factor = _bars(factor, total, whole=whole)
        written = _written(given, factor, of_factor)
        sds += _sd_priors(given, factor, total, scales.predictors[factor.predictor][1], of_factor, written)
        at_zero += written
        maps.append(of_factor.scaled)
        if factor.correlated:
            chosen_cor = given.get(f"cor_{factor.name}", given.get("cor", LKJ(2.0)))
            correlations[factor.name] = _expect(chosen_cor, LKJ, "cor", "LKJ")
    dispersions = {
        name: _expect(given.get(name, usual), ScalePrior, name, "HalfCauchy or HalfNormal")
        for name, usual in scales.dispersions.items()
    }
    mixed = tuple(
        name for name, prior in zip(design.coefficients, coefficients, strict=True) if math.isfinite(prior.degrees)
    )
    layout = layout_of(design, mixed, tuple(dispersions), maps)
    away = tuple((rows != np.eye(len(rows))).any(axis=1).tolist())
    return ModelPriors(
        layout,
        design.coefficients,
        tuple(coefficients),
        away,
        rows,
        tuple(sds),
        tuple(at_zero),
        dispersions,
        correlations,
    )


def common_centring(design: Design, total: CrossProducts) -> Centring:
    """The centring of the common columns, those of each linear predictor by themselves."""
    blocks = np.unique(design.predictors, return_inverse=True)[1] if design.predictors else np.zeros(0, dtype=np.int64)
    return centring(design.common_map, design.margins, _constants(design, total), blocks, total)


def _constants(design: Design, total: CrossProducts) -> np.ndarray:
    """(p, p) for each common column, the combination of columns of its linear predictor that is the constant."""
    of = np.array(design.predictors, dtype=object)
    constants = np.zeros((len(of), len(of)))
    for predictor in set(design.predictors):
        mine = of == predictor
        constants[np.ix_(mine, mine)] = constant_direction(design.common_map[:, mine], total)
    return constants


def _is_intercept(name: str) -> bool:
    return name == "Intercept" or name.endswith("_Intercept")


def layout_of(
    design: Design, mixed: tuple[str, ...], dispersions: tuple[str, ...], maps: list[np.ndarray]
) -> ParameterLayout:
    """The layout of theta for the factors of a design; `maps` as `Centring.scaled` of each."""
    effects = tuple((factor.name, effect) for factor in design.factors for effect in factor.effects)
    starts: list[int] = []
    to_zero = np.zeros((len(effects), len(effects)))
    for factor, matrix in zip(design.factors, maps, strict=True):
        first = len(starts)
        starts += [first + int(start) for start in factor.starts]
        to_zero[first : first + len(matrix), first : first + len(matrix)] = matrix
    return ParameterLayout(effects, tuple(starts), mixed, dispersions, tuple(map(tuple, to_zero.tolist())))


def _bars(factor: Factor, total: CrossProducts, *, whole: bool) -> Centring:
    """The centring of a factor's effects, each within its own bar: effects without correlations stay at zero.

    With `whole`, all effects of the factor are one bar.
    """
    q = len(factor.effects)
    constants, bars = np.zeros((q, q)), np.zeros_like(factor.starts) if whole else factor.starts
    for start in set(bars.tolist()):
        mine = bars == start
        if mine.sum() > 1:
            constants[np.ix_(mine, mine)] = constant_direction(factor.group_map[:, mine], total)
    return centring(factor.group_map, factor.margins, constants, bars, total)


def _written(given: Mapping[str, Prior], factor: Factor, centred: Centring) -> list[bool]:
    """For each effect whether the priors of its bar speak of effects at zero.

    They do where a prior was set that means something else at the centre: of correlations, or of the sd of an effect
    that a shift of predictors changes, as it does an intercept's.
    """
    set_correlations = any(name in given for name in ("cor", f"cor_{factor.name}"))
    set_sds = [
        any(name in given for name in ("sd", f"sd_{factor.name}", f"sd_{factor.name}[{effect}]"))
        for effect in factor.effects
    ]
    moved = (centred.matrix != np.eye(len(set_sds))).any(axis=1)
    bars = {
        start: bool(set_correlations or (np.array(set_sds) & moved)[factor.starts == start].any())
        for start in set(factor.starts.tolist())
    }
    return [bars[start] and bool(moved[factor.starts == start].any()) for start in factor.starts.tolist()]


def _sd_priors(
    given: Mapping[str, Prior],
    factor: Factor,
    total: CrossProducts,
    unit: float,
    centred: Centring,
    written: list[bool],
) -> list[ScalePrior]:
    """Priors of the sds of a factor's effects: as given, or scaled to what one unit of an effect moves."""
    level, covariance = moments(factor.group_map, total)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    still = (centred.matrix == np.eye(len(level))).all(axis=1)
    alone = np.bincount(factor.starts, minlength=len(level))[factor.starts] == 1
    at_zero = np.array(written) | (alone & still)
    spread = np.where(at_zero, spread, centred.size)
    size = np.where(spread > 0, spread, np.where(level != 0, np.abs(level), 1.0))
    # Where a predictor lies far from zero, intercepts at zero must be free to spread as its slopes make them.
    away = np.divide(level, spread, out=np.zeros_like(level), where=spread > 0)
    lever = math.sqrt(1.0 + float(np.square(away).sum()))
    chosen = []
    for k, effect in enumerate(factor.effects):
        name = f"sd_{factor.name}[{effect}]"
        reach = lever if effect == "Intercept" and at_zero[k] else 1.0
        default = HalfStudentT(3.0, _settled(float(reach * unit / size[k])))
        prior = given.get(name, given.get(f"sd_{factor.name}", given.get("sd", default)))
        chosen.append(_expect(prior, ScalePrior, name, "HalfNormal, HalfCauchy, HalfStudentT or Exponential"))
    return chosen


def _check_names(given: Mapping[str, Prior], design: Design, scales: PriorScales) -> None:
    if not isinstance(given, Mapping):
        raise PriorError("priors must be a dict from names of terms to distributions, {'x': pw.Normal(0, 1)}.")
    valid = {*design.coefficients, "slopes", *scales.dispersions}
    for factor in design.factors:
        valid |= {"sd", f"sd_{factor.name}", *(f"sd_{factor.name}[{name}]" for name in factor.effects)}
        if factor.correlated:
            valid |= {"cor", f"cor_{factor.name}"}
    for name, prior in given.items():
        if str(name) not in valid:
            raise PriorError(f"There is no term '{name}' in this model to put a prior on. {suggest(str(name), valid)}")
        if not isinstance(prior, Prior):
            raise PriorError(f"The prior of '{name}' must be a distribution such as pw.Normal(0, 1), not {prior!r}.")


def _expect(prior: object, kind: type[P], name: str, examples: str) -> P:
    if not isinstance(prior, kind):
        raise PriorError(f"The prior of '{name}' cannot be {prior}; use {examples}.")
    return prior
