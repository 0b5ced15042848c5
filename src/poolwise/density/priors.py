"""The priors of one model, resolved to arrays: which prior each coefficient, scale and correlation has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from poolwise.density import theta
from poolwise.density.layout import ParameterLayout
from poolwise.density.working import WorkingBasis, gram_root, shifted
from poolwise.design.design import Design
from poolwise.design.factors import Factor
from poolwise.errors import PriorError, suggest
from poolwise.priors import LKJ, CoefficientPrior, HalfStudentT, Normal, Prior, ScalePrior
from poolwise.statistics.products import CrossProducts

P = TypeVar("P", CoefficientPrior, ScalePrior, LKJ)


@dataclass(frozen=True, slots=True, eq=False)
class ModelPriors:
    """Every prior of a model.

    Attributes
    ----------
    layout : of theta, which the priors decide in part: a Student-t coefficient adds a mixing precision.
    coefficients : (p,) priors; a default one of an intercept or cell mean is put on its value at the other predictors'
        means.
    centred : (p,) which ones are.
    rows : (p, p) of determinant one, with rows @ beta ~ coefficients.
    sd : (Q,) priors of the effects' standard deviations, factor by factor.
    dispersions : of the family's positive parameters that all rows share, by name; sigma in a normal model.
    correlation : of each factor's correlation matrices, by the factor's name; only where effects are correlated.
    """

    layout: ParameterLayout
    names: tuple[str, ...]
    coefficients: tuple[CoefficientPrior, ...]
    centred: tuple[bool, ...]
    rows: np.ndarray
    sd: tuple[ScalePrior, ...]
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
        found = [prior.coefficients for prior in (*self.sd, *self.dispersions.values())]
        return np.array([*found, *mixing]).reshape(-1, 6)

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
            basis.log_volume + 0.5 * float(statistics.log_weights.sum()),
        )

    def words(self) -> dict[str, str]:
        """Every prior in words, by the name under which it can be set."""
        said = {}
        for name, prior, centred in zip(self.names, self.coefficients, self.centred, strict=True):
            at = " at the mean of every predictor" if centred else ""
            said[name] = f"{prior}{at}"
        for (factor, effect), sd in zip(self.layout.effects, self.sd, strict=True):
            said[f"sd_{factor}[{effect}]"] = str(sd)
        said |= {f"cor_{factor}": str(prior) for factor, prior in self.correlation.items()}
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
    rows = max(float(total.weights[0]), 1e-300)
    outcome_sd = math.sqrt(total.scatter[0, -1, -1] / rows)
    # A row of weight w has the residual sd sigma / sqrt(w).
    usual = HalfStudentT(3.0, outcome_sd * math.sqrt(rows / max(total.rows, 1)))
    return PriorScales({"": (float(total.means[0, -1] + total.origin[-1]), outcome_sd)}, {"sigma": usual})


def resolve_priors(
    given: Mapping[str, Prior], design: Design, statistics: CrossProducts, scales: PriorScales | None = None
) -> ModelPriors:
    """Match priors with the model's terms and fill the rest with defaults scaled to the data.

    Names: a coefficient (`Intercept`, `floor`), `slopes` for all but intercepts, `sd`, `sd_county`, `sd_county[floor]`,
    `cor` or `cor_county`, `sigma` or another dispersion. The most specific one wins.

    Parameters
    ----------
    scales : those of a normal model by default.

    Raises
    ------
    PriorError : for a name that is not in the model, or a prior of the wrong kind.
    """
    total = statistics.merged()
    scales = gaussian_scales(total) if scales is None else scales
    rows = max(float(total.weights[0]), 1e-300)
    mean = total.means[0] + total.origin
    x_mean = design.common_map[0] + mean[:-1] @ design.common_map[1:]
    x_sd = np.sqrt(
        np.einsum("kp,kl,lp->p", design.common_map[1:], total.scatter[0][:-1, :-1], design.common_map[1:]) / rows
    )
    _check_names(given, design, scales)
    constants = {of: _constant_part(design, total, of) for of in scales.predictors}
    coefficients: list[CoefficientPrior] = []
    matrix = np.eye(len(design.coefficients))
    centred = []
    for k, (name, of) in enumerate(zip(design.coefficients, design.predictors, strict=True)):
        constant, (centre, unit) = constants[of], scales.predictors[of]
        slopes = (constant == 0) & np.array([other == of for other in design.predictors])
        level = constant[k] != 0
        width = 2.5 * unit / (1.0 if level or not x_sd[k] > 0 else float(x_sd[k]))
        default = Normal(float(constant[k] * centre) + 0.0, width)
        chosen = given.get(name, default if _is_intercept(name) else given.get("slopes", default))
        coefficients.append(_expect(chosen, CoefficientPrior, name, "Normal or StudentT"))
        centred.append(bool(level and chosen is default and np.any(slopes & (x_mean != 0))))
        if centred[-1]:
            matrix[k] = np.where(slopes, x_mean, matrix[k])
    sds: list[ScalePrior] = []
    correlations = {}
    for factor in design.factors:
        sds += _sd_priors(given, factor, total, mean, scales.predictors[factor.predictor][1])
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
    layout = layout_of(design, mixed, tuple(dispersions))
    return ModelPriors(
        layout, design.coefficients, tuple(coefficients), tuple(centred), matrix, tuple(sds), dispersions, correlations
    )


def _is_intercept(name: str) -> bool:
    return name == "Intercept" or name.endswith("_Intercept")


def layout_of(design: Design, mixed: tuple[str, ...], dispersions: tuple[str, ...]) -> ParameterLayout:
    """The layout of theta for the factors of a design."""
    effects = tuple((factor.name, effect) for factor in design.factors for effect in factor.effects)
    starts: list[int] = []
    for factor in design.factors:
        first = len(starts)
        starts += [first + int(start) for start in factor.starts]
    return ParameterLayout(effects, tuple(starts), mixed, dispersions)


def _sd_priors(
    given: Mapping[str, Prior], factor: Factor, total: CrossProducts, mean: np.ndarray, unit: float
) -> list[ScalePrior]:
    """Priors of the sds of a factor's effects: as given, or scaled to what one unit of an effect moves."""
    level = factor.group_map[0] + mean[:-1] @ factor.group_map[1:]
    variance = np.einsum("kq,kl,lq->q", factor.group_map[1:], total.scatter[0][:-1, :-1], factor.group_map[1:])
    spread = np.sqrt(np.maximum(variance, 0.0) / max(float(total.weights[0]), 1e-300))
    size = np.where(spread > 0, spread, np.where(level != 0, np.abs(level), 1.0))
    # Where a predictor lies far from zero, intercepts at zero must be free to spread as its slopes make them.
    away = np.divide(level, spread, out=np.zeros_like(level), where=spread > 0)
    lever = math.sqrt(1.0 + float(np.square(away).sum()))
    chosen = []
    for k, effect in enumerate(factor.effects):
        name = f"sd_{factor.name}[{effect}]"
        reach = lever if effect == "Intercept" else 1.0
        default = HalfStudentT(3.0, float(reach * unit / size[k]))
        prior = given.get(name, given.get(f"sd_{factor.name}", given.get("sd", default)))
        chosen.append(_expect(prior, ScalePrior, name, "HalfNormal, HalfCauchy, HalfStudentT or Exponential"))
    return chosen


def _constant_part(design: Design, total: CrossProducts, of: str) -> np.ndarray:
    """(p,) a with X a = 1: the intercept, or columns that add up to one as cell means `0 + C(z)` do; else zeros.

    `of` says among the coefficients of which linear predictor.
    """
    intercept = f"{of}_Intercept" if of else "Intercept"
    mine = np.array([other == of for other in design.predictors], dtype=float)
    if intercept in design.coefficients:
        return np.array([float(name == intercept) for name in design.coefficients])
    if not mine.any():
        return np.zeros(len(mine))
    root = gram_root(total)[:, :-1]
    columns, target = mine * (root @ shifted(design.common_map, total.origin[:-1])), root[:, 0]
    weights = np.linalg.lstsq(columns, target, rcond=None)[0]
    missed = np.linalg.norm(columns @ weights - target) > 1e-8 * np.linalg.norm(target)
    return np.where(missed | (np.abs(weights) < 1e-8), 0.0, weights)


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
