"""From the priors that a user gives to those of every coefficient, scale and correlation of a design."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from poolwise.density.centring import Centring, centring, constant_direction, moments, settled
from poolwise.density.layout import ParameterLayout
from poolwise.density.priors import ModelPriors, is_intercept, log_median
from poolwise.density.ties import Ties
from poolwise.design.design import Design
from poolwise.design.factors import Factor
from poolwise.design.structures.hyperparameters import NUMBERS
from poolwise.design.structures.structure import Structure
from poolwise.priors import (
    LKJ,
    Autocorrelation,
    CoefficientPrior,
    Default,
    Dirichlet,
    Followed,
    HalfStudentT,
    Normal,
    Prior,
    ScalePrior,
)
from poolwise.statistics.products import CrossProducts
from poolwise.support.errors import PriorError, suggest

P = TypeVar("P", CoefficientPrior, ScalePrior, LKJ, Normal, Dirichlet)


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
    `cor` or `cor_county`, `sigma` or another dispersion, `sd_s(x)` of a smooth term. The most specific one wins.

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
    rows, penalised = np.eye(len(constants)), design.penalised
    smoothing, follows, widths = _of_structures(given, design, scales)
    for k, name in enumerate(design.coefficients):
        if penalised[k]:
            coefficients.append(Normal(0.0, float(widths[k])))
            continue
        centre, unit = scales.predictors[design.predictors[k]]
        level = constants[k, k]
        width = 2.5 * unit / (centred.size[k] if not level and centred.size[k] > 0 else 1.0)
        default = Normal(level * centre + 0.0, _settled(width))
        names = (name,) if is_intercept(name) else (name, "slopes")
        chosen = _chosen(given, names, default)
        coefficients.append(_expect(chosen, CoefficientPrior, name, "Normal or StudentT"))
        if not _is_set(given, names):
            rows[k] = at_centre[k]
    for structure in design.structures:
        if structure.simplex:
            coefficients[structure.places[-1]] = _of_monotonic(given, structure, design, total, scales)
    sds: list[ScalePrior] = []
    at_zero: list[bool] = []
    maps: list[np.ndarray] = []
    correlations = {}
    for factor in design.factors:
        of_factor = _bars(factor, total, whole=whole)
        written = _written(given, factor, of_factor)
        units = np.array([scales.predictors[of][1] for of in factor.predictors])
        sds += _sd_priors(given, factor, total, units, of_factor, written)
        at_zero += written
        maps.append(of_factor.scaled)
        if factor.correlated:
            chosen_cor = _chosen(given, (f"cor_{factor.name}", "cor"), LKJ(2.0))
            correlations[factor.name] = _expect(chosen_cor, LKJ, "cor", "LKJ")
    dispersions = {
        name: _expect(_chosen(given, (name,), usual), ScalePrior, name, "HalfCauchy or HalfNormal")
        for name, usual in scales.dispersions.items()
    }
    mixed = tuple(
        name for name, prior in zip(design.coefficients, coefficients, strict=True) if math.isfinite(prior.degrees)
    )
    layout = replace(
        layout_of(design, mixed, tuple(dispersions), maps),
        smoothing=tuple(smoothing),
        correlations=tuple(name for name, prior in smoothing.items() if isinstance(prior, Autocorrelation)),
        usual=tuple(log_median(prior) for prior in smoothing.values()),
        simplexes=tuple((one.name, one.simplex) for one in design.structures if one.simplex),
        tied=tuple(np.flatnonzero(_tied(design)).tolist()),
    )
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
        smoothing,
        follows,
        simplexes_in(design),
        ties_in(design, layout),
    )


def _of_structures(
    given: Mapping[str, Prior], design: Design, scales: PriorScales
) -> tuple[dict[str, ScalePrior], np.ndarray, np.ndarray]:
    """Priors of the numbers that structured terms depend on, for each coefficient how it follows these (p, m, 4), and
    widths (p,)."""
    priors: dict[str, ScalePrior] = {}
    shares = {name: prior for one in design.structures if one.simplex for name, prior in _of_shares(given, one).items()}
    by_factor = {
        name: factor.name
        for factor in design.factors
        for structure in factor.structures
        for name, _ in structure.parameters_by(factor.name)
    }
    for name, parameter, predictor in design.hyperparameters:
        if parameter.share:
            priors[name] = shares[name]
            continue
        is_sd = parameter.unit is None and not parameter.correlation
        general = (*([f"sd_{by_factor[name]}"] if name in by_factor else []), "sd") if is_sd else ()
        usual = parameter.default(_settled(scales.predictors[predictor][1]))
        prior = _chosen(given, (name, *general), usual)
        if parameter.correlation and prior is not usual:
            prior = Autocorrelation(_expect(prior, LKJ, name, "LKJ").eta)
        priors[name] = _expect(prior, ScalePrior, name, "HalfNormal, HalfCauchy, HalfStudentT or Gamma")
    widths = np.ones(len(design.coefficients))
    for structure in design.structures:
        widths[list(structure.places)] = structure.precision()[1]
    return priors, follows_in(design), widths


def _of_shares(given: Mapping[str, Prior], structure: Structure) -> dict[str, ScalePrior]:
    """Priors of the shares of a monotonic term, uniform on the simplex by default."""
    name = f"simplex_{structure.name}"
    shares = _expect(_chosen(given, (name,), Dirichlet()), Dirichlet, name, "Dirichlet").of_shares(
        len(structure.simplex)
    )
    return {share: prior for (share, _), prior in zip(structure.parameters, shares, strict=True)}


def _of_monotonic(
    given: Mapping[str, Prior], structure: Structure, design: Design, total: CrossProducts, scales: PriorScales
) -> Normal:
    """The prior of the coefficient of a monotonic term, the mean of its steps; that of a slope by default."""
    _, unit = scales.predictors[structure.predictor]
    steps = design.common_map[:, list(structure.places)].sum(axis=1, keepdims=True)
    spread = math.sqrt(max(float(moments(steps, total)[1][0, 0]), 0.0))
    usual = Normal(0.0, _settled(2.5 * unit / (spread or 1.0)))
    chosen = _chosen(given, (structure.name, "slopes"), usual)
    if structure.name not in given and not isinstance(chosen, Normal):
        raise PriorError(
            f"The prior of 'slopes', {chosen}, cannot be that of '{structure.name}', which is normal: give it one "
            "of its own."
        )
    return _expect(chosen, Normal, structure.name, "Normal")


def simplexes_in(design: Design) -> np.ndarray:
    """(terms, 3) of monotonic terms the first coefficient, how many there are, and the first share among the numbers
    that structured terms depend on."""
    found, first = [], 0
    for structure in design.structures:
        if structure.simplex:
            found.append((structure.places[0], len(structure.simplex), first))
        first += len(structure.parameters)
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def follows_in(design: Design) -> np.ndarray:
    """(p, m, 4) how the log precision of each coefficient follows the m numbers that structured terms depend on; see
    `hyperparameters`."""
    found = np.zeros((len(design.coefficients), len(design.hyperparameters), NUMBERS))
    first = 0
    for structure in design.structures:
        mine = np.ix_(np.array(structure.places), np.arange(first, first + len(structure.parameters)))
        found[mine] = structure.precision()[0]
        first += len(structure.parameters)
    return found


def ties_in(design: Design, layout: ParameterLayout) -> Ties:
    """What the sds of effects in structured terms follow."""
    places, follows, shifts = [], [], []
    first, at = sum(len(structure.parameters) for structure in design.structures), 0
    for factor in design.factors:
        for structure in factor.structures:
            own, widths = structure.precision()
            each = np.zeros((len(own), len(design.hyperparameters), NUMBERS))
            each[:, first : first + own.shape[1]] = own
            first += own.shape[1]
            places += [at + k for k in structure.places]
            follows.append(each.reshape(len(own), -1))
            shifts.append(np.log(widths))
        at += len(factor.effects)
    if not places:
        nothing = np.zeros((0, NUMBERS * len(design.hyperparameters)))
        return Ties(layout.dimension, np.zeros(0, dtype=np.int64), nothing, np.zeros(0))
    units = np.log(np.diag(layout.map_to_zero)[places])  # theta speaks of columns of standard deviation one
    return Ties(layout.dimension, np.array(places), np.vstack(follows), np.concatenate(shifts) - units)


def _tied(design: Design) -> np.ndarray:
    """(Q,) which effects of all factors are those of structured terms."""
    return np.concatenate([np.zeros(0, dtype=bool), *(factor.tied for factor in design.factors)])


def common_centring(design: Design, total: CrossProducts) -> Centring:
    """The centring of the common columns, those of each linear predictor by themselves."""
    blocks = np.unique(design.predictors, return_inverse=True)[1] if design.predictors else np.zeros(0, dtype=np.int64)
    return centring(design.common_map, design.margins, _constants(design, total), blocks, total)


def _constants(design: Design, total: CrossProducts) -> np.ndarray:
    """(p, p) for each common column, the combination of columns of its linear predictor that is the constant."""
    of = np.array(design.predictors, dtype=object)
    constants = np.zeros((len(of), len(of)))
    for predictor in set(design.predictors):
        mine = (of == predictor) & ~design.penalised
        constants[np.ix_(mine, mine)] = constant_direction(design.common_map[:, mine], total)
    return constants


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
    terms = tuple(factor.name for factor in design.factors if factor.is_term)
    return ParameterLayout(effects, tuple(starts), mixed, dispersions, tuple(map(tuple, to_zero.tolist())), terms=terms)


def _bars(factor: Factor, total: CrossProducts, *, whole: bool) -> Centring:
    """The centring of a factor's effects, each within its own bar: effects without correlations stay at zero.

    With `whole`, all effects of the factor are one bar.
    """
    q = len(factor.effects)
    constants, bars = np.zeros((q, q)), np.zeros_like(factor.starts) if whole else factor.blocks
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
    set_correlations = _is_set(given, (f"cor_{factor.name}", "cor"))
    set_sds = [_is_set(given, (f"sd_{factor.name}[{effect}]", f"sd_{factor.name}", "sd")) for effect in factor.effects]
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
    units: np.ndarray,
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
    chosen: list[ScalePrior] = []
    for k, effect in enumerate(factor.effects):
        if factor.tied[k]:
            chosen.append(Followed())
            continue
        name = f"sd_{factor.name}[{effect}]"
        together = factor.part_of(factor.predictors[k])
        plain = level[k] == 1 and not factor.group_map[1:, k].any()
        reach = math.sqrt(1.0 + float(np.square(away[together]).sum())) if plain and at_zero[k] else 1.0
        default = HalfStudentT(3.0, _settled(float(reach * units[k] / size[k])))
        prior = _chosen(given, (name, f"sd_{factor.name}", "sd"), default)
        chosen.append(_expect(prior, ScalePrior, name, "HalfNormal, HalfCauchy, HalfStudentT or Exponential"))
    return chosen


def _chosen(given: Mapping[str, Prior], names: tuple[str, ...], default: Prior) -> Prior:
    """The prior under the first of some names, from the most specific one; the default, perhaps widened, without."""
    found = next((given[name] for name in names if name in given), None)
    if not isinstance(found, Default):
        return default if found is None else found
    if isinstance(default, (LKJ, Dirichlet)):
        if found.times != 1:
            raise PriorError(f"The prior of '{names[0]}' has no width: give it one of its own, such as {default}.")
        return default
    assert isinstance(default, (CoefficientPrior, ScalePrior))  # no default is itself a `Default`
    return default.widened(found.times) if found.times != 1 else default


def _is_set(given: Mapping[str, Prior], names: tuple[str, ...]) -> bool:
    """Whether the prior of the first of some names is another one than the default, which may be widened."""
    found = next((given[name] for name in names if name in given), None)
    return not (found is None or isinstance(found, Default))


def _check_names(given: Mapping[str, Prior], design: Design, scales: PriorScales) -> None:
    if not isinstance(given, Mapping):
        raise PriorError("priors must be a dict from names of terms to distributions, {'x': pw.Normal(0, 1)}.")
    plain = [name for name, away in zip(design.coefficients, design.penalised, strict=True) if not away]
    valid = {*plain, "slopes", *scales.dispersions}
    for structure in design.structures:
        valid |= {name for name, one in structure.parameters if not one.share}
        valid |= {structure.name, f"simplex_{structure.name}"} if structure.simplex else {"sd"}
    for factor in design.factors:
        own = [name for name, tied in zip(factor.effects, factor.tied, strict=True) if not tied]
        valid |= {"sd", f"sd_{factor.name}", *(f"sd_{factor.name}[{name}]" for name in own)}
        valid |= {name for one in factor.structures for name, _ in one.parameters_by(factor.name)}
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
