"""The priors of one model, resolved to arrays: which prior each coefficient, scale and correlation has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from poolwise.density import theta
from poolwise.density.layout import ParameterLayout
from poolwise.density.monotonic import simplex_of
from poolwise.density.ties import Ties
from poolwise.density.working_coordinates import WorkingBasis
from poolwise.design.structures.hyperparameters import NUMBERS, follows_of, log_precisions
from poolwise.priors import LKJ, Autocorrelation, CoefficientPrior, Dirichlet, Followed, ScalePrior, StickShare
from poolwise.statistics.products import CrossProducts
from poolwise.support.errors import PriorError, suggest

_CENTRE = " at the mean of every predictor"


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
    smoothing : of the numbers that priors of structured terms depend on, by name, as in the layout.
    follows : (p, number of these, 4) how the log precision of each coefficient follows them, see `hyperparameters`.
    simplexes : (terms, 3) of monotonic terms the first coefficient, how many there are, and the first share among these
        numbers. The prior of the term's one coefficient stands with the last of them.
    ties : of sds of effects that follow these numbers.
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
    smoothing: Mapping[str, ScalePrior]
    follows: np.ndarray
    simplexes: np.ndarray
    ties: Ties

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
        sds = {
            f"sd_{group}[{effect}]": k
            for k, (group, effect) in enumerate(self.layout.effects)
            if k not in self.layout.tied
        }
        groups = {group for group, _ in self.layout.effects}
        of_curves = {name for name in self.smoothing if name.startswith("sd_")}
        valid = {
            *(name for name in self.names_to_set if name is not None),
            "slopes",
            *self.dispersions,
            *(name for name, prior in self.smoothing.items() if not isinstance(prior, (Autocorrelation, StickShare))),
            *sds,
            *(f"sd_{group}" for group in groups),
            *(["sd"] if sds or of_curves else []),
        }
        if term in {f"simplex_{name}" for name, _ in self.layout.simplexes}:
            raise PriorError(f"The shares in '{term}' add up to one: their prior has no width.")
        if term not in valid:
            raise PriorError(f"There is no term '{term}' in this model to widen the prior of. {suggest(term, valid)}")
        coefficients = tuple(
            prior.widened(factor)
            if name is not None and (term == name or (term == "slopes" and not is_intercept(name)))
            else prior
            for name, prior in zip(self.names_to_set, self.coefficients, strict=True)
        )
        sd = tuple(
            prior.widened(factor) if term in ("sd", f"sd_{group}", f"sd_{group}[{effect}]") else prior
            for (group, effect), prior in zip(self.layout.effects, self.sd, strict=True)
        )
        dispersions = {
            name: prior.widened(factor) if term == name else prior for name, prior in self.dispersions.items()
        }
        smoothing = {
            name: prior.widened(factor) if term == name or (term == "sd" and name in of_curves) else prior
            for name, prior in self.smoothing.items()
        }
        return replace(self, coefficients=coefficients, sd=sd, dispersions=dispersions, smoothing=smoothing)

    def sample_coefficients(self, rng: np.random.Generator, draws: int) -> np.ndarray:
        """Draws (draws, p) of the coefficients as written from their priors."""
        drawn = np.array([prior.sample(rng, (draws,)) for prior in self.coefficients]).reshape(-1, draws)
        if self.smoothing:
            log_h = np.log([prior.sample(rng, (draws,)) for prior in self.smoothing.values()])
            drawn = drawn * np.exp(-0.5 * np.clip(log_precisions(self.follows, log_h), -600.0, 600.0))
        for first, count, share in self.simplexes:
            shares = simplex_of(log_h[share : share + count - 1].T) if count > 1 else np.ones((draws, 1))
            drawn[first : first + count] = drawn[first + count - 1] * count * shares.T
        return np.linalg.solve(self.rows, drawn).T

    def sample_tied(self, rng: np.random.Generator, draws: int) -> np.ndarray:
        """Draws (draws, T) from the prior of the sds, as written, that follow other numbers."""
        log_h = np.log([prior.sample(rng, (draws,)) for prior in self.smoothing.values()])
        points = np.zeros((draws, self.ties.dimension - len(self.ties.places)))
        points[:, points.shape[1] - len(log_h) :] = log_h.T
        theta = self.ties.theta(points)[:, self.ties.places]
        return np.exp(theta) * np.diag(self.layout.map_to_zero)[self.ties.places]

    @property
    def width(self) -> np.ndarray:
        """(p,) standard deviations, without what follows hyperparameters."""
        return np.array([prior.width for prior in self.coefficients])

    @property
    def mixed(self) -> np.ndarray:
        """(m,) positions of the coefficients with a mixing precision."""
        return np.array(
            [k for k, prior in enumerate(self.coefficients) if math.isfinite(prior.degrees)], dtype=np.int64
        )

    @property
    def scale_priors(self) -> np.ndarray:
        """(q + s + m, 6) coefficients of the priors of sds, dispersions and hyperparameters, in theta's order."""
        mixing = [_mixing_precision(self.coefficients[k].degrees) for k in self.mixed]
        sizes, effects = 1.0 / np.diag(self.layout.map_to_zero), []
        for prior, size, exponent in zip(self.sd, sizes.tolist(), self.exponents.tolist(), strict=True):
            if exponent:
                first, *rest = prior.coefficients
                effects.append((first - exponent * math.log(size), *rest))
            else:  # theta has the sd of the effect of a column of standard deviation one
                effects.append(prior.widened(size).coefficients)
        found = [prior.coefficients for prior in self.dispersions.values()]
        smooth = [prior.coefficients for prior in self.smoothing.values()]
        return np.array([*effects, *found, *mixing, *smooth]).reshape(-1, 6)

    @property
    def shared(self) -> np.ndarray:
        """(p,) which coefficients are those of monotonic terms."""
        found = np.zeros(len(self.coefficients), dtype=bool)
        for first, count, _ in self.simplexes:
            found[first : first + count] = True
        return found

    @property
    def scaled(self) -> np.ndarray:
        """(p,) which coefficients are those of structured terms."""
        return np.asarray(self.follows.any(axis=(1, 2)) | self.shared)

    @property
    def names_to_set(self) -> tuple[str | None, ...]:
        """(p,) the name under which each coefficient's prior can be set; None for those that follow other numbers."""
        found = [None if scaled else name for name, scaled in zip(self.names, self.scaled, strict=True)]
        for (term, _), (first, count, _) in zip(self.layout.simplexes, self.simplexes.tolist(), strict=True):
            found[first + count - 1] = term
        return tuple(found)

    @property
    def all_follows(self) -> np.ndarray:
        """(p, 4 m) the same of all hyperparameters: mixing precisions, then those of structured terms."""
        mixing = follows_of(power=np.eye(len(self.coefficients))[:, self.mixed])
        found = np.concatenate([mixing, self.follows], axis=1)
        return found.reshape(len(found), found.shape[1] * NUMBERS)

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
            self.all_follows,
            np.where(self.shared, theta.SHARED, self.scaled * theta.SCALED).astype(np.int64),
            self.simplexes + [0, 0, self.layout.dimension - len(self.smoothing)],
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
        for name, prior, centred in zip(self.names_to_set, self.coefficients, self.centred, strict=True):
            if name is not None:
                said[name] = f"{prior}{_CENTRE if centred else ''}"
        to_zero = self.layout.map_to_zero
        moved = (to_zero - np.diag(np.diag(to_zero))).any(axis=1) & ~np.array(self.at_zero, dtype=bool)
        for name, sd, elsewhere in zip(self.layout.sd_names, self.sd, moved, strict=True):
            if isinstance(sd, Followed):
                continue
            said[name] = f"{sd}{_CENTRE if elsewhere else ''}"
        for factor, correlation in self.correlation.items():
            mine = [away for (name, _), away in zip(self.layout.effects, moved, strict=True) if name == factor]
            said[f"cor_{factor}"] = f"{correlation}{_CENTRE if any(mine) else ''}"
        smooth = {name: prior for name, prior in self.smoothing.items() if name not in self.layout.shares}
        said |= {name: str(prior) for name, prior in (*self.dispersions.items(), *smooth.items())}
        return said | {f"simplex_{term}": str(self.simplex(term)) for term, _ in self.layout.simplexes}

    def simplex(self, term: str) -> Dirichlet:
        """The prior of the shares of a monotonic term."""
        labels = dict(self.layout.simplexes)[term]
        parts = [self.smoothing[f"share_{term}[{label}]"] for label in labels[:-1]]
        found = [part.a for part in parts if isinstance(part, StickShare)]
        found.append(parts[-1].b if parts and isinstance(parts[-1], StickShare) else 1.0)
        return Dirichlet(found[0] if len(set(found)) == 1 else tuple(found))


def log_median(prior: ScalePrior) -> float:
    """Log of about the median of a prior, to begin a search from."""
    return float(np.log(np.median(prior.sample(np.random.default_rng(0), (501,)))))


def _mixing_precision(df: float) -> tuple[float, float, float, float, float, float]:
    """Gamma(df / 2, df / 2) in the common form of scale priors."""
    half = df / 2
    return half * math.log(half) - math.lgamma(half), half - 1.0, half, 0.0, 0.0, 0.0


def is_intercept(name: str) -> bool:
    """Whether a coefficient is the intercept of a linear predictor."""
    return name == "Intercept" or name.endswith("_Intercept")
