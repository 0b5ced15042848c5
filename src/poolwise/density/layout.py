"""Which number of an unconstrained vector is what: names, places, and the way back to meaningful units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.density.monotonic import simplex_of
from poolwise.priors import correlation_factors


@dataclass(frozen=True, slots=True)
class ParameterLayout:
    """Layout of theta = [log sd of effects, atanh of partial correlations, log dispersions, log hyperparameters].

    Attributes
    ----------
    effects : (Q,) grouping factor and name of each group effect, factor by factor.
    starts : (Q,) position of the first effect that each is correlated with; its own where it is independent.
    mixed : names of the coefficients whose Student-t prior adds a mixing precision.
    dispersions : names of the family's positive parameters that all rows share; sigma in a normal model.
    to_zero : (Q, Q) takes the effects that theta speaks of, at the centre of their predictors and in units of their
        standard deviations, to the effects as written. Effects without correlations are at zero already.
    smoothing : names of the positive numbers that priors of structured terms depend on, after the mixing precisions.
    usual : for each of these the log of the median of its prior, to begin from.
    correlations : names of those that stand for a correlation, the hyperbolic tangent of their log.
    simplexes : names and columns of monotonic terms; for each column but the last, `smoothing` has a share.
    tied : places of the log sds of effects that follow numbers of `smoothing`; see `ties`.
    terms : names of the factors that are terms with one sd, such as `icar(area, 'map')`.
    """

    effects: tuple[tuple[str, str], ...]
    starts: tuple[int, ...]
    mixed: tuple[str, ...] = ()
    dispersions: tuple[str, ...] = ("sigma",)
    to_zero: tuple[tuple[float, ...], ...] = ()
    smoothing: tuple[str, ...] = ()
    usual: tuple[float, ...] = ()
    correlations: tuple[str, ...] = ()
    simplexes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tied: tuple[int, ...] = ()
    terms: tuple[str, ...] = ()

    @property
    def sd_names(self) -> tuple[str, ...]:
        """(Q,) names of the standard deviations of effects."""
        return tuple(
            f"sd_{factor}" if factor in self.terms else f"sd_{factor}[{effect}]" for factor, effect in self.effects
        )

    @property
    def other_names(self) -> tuple[str, ...]:
        """(Q,) the same with the effect's name, under which those of terms may be set too."""
        return tuple(f"sd_{factor}[{effect}]" for factor, effect in self.effects)

    @property
    def pairs(self) -> int:
        """Number of correlations."""
        return sum(k - start for k, start in enumerate(self.starts))

    @property
    def dimension(self) -> int:
        """Length of theta."""
        return len(self.effects) + self.pairs + len(self.dispersions) + self.hyperparameters

    @property
    def hyperparameters(self) -> int:
        """How many numbers priors of common coefficients depend on; they are the last ones of theta."""
        return len(self.mixed) + len(self.smoothing)

    @property
    def log_scales(self) -> np.ndarray:
        """Positions in theta of the logs of standard deviations of effects and structured terms, which may be close to
        zero; so may the residual one beside autoregressions and effects in structured terms, which can take its place.
        """
        first = self.dimension - len(self.smoothing)
        other = {*self.correlations, *self.shares}
        smooth = [first + k for k, name in enumerate(self.smoothing) if name not in other]
        own = [k for k in range(len(self.effects)) if k not in self.tied]
        residual = [len(self.effects) + self.pairs] if (self.tied or self.correlations) and self.dispersions else []
        return np.array([*own, *residual, *smooth], dtype=np.int64)

    @property
    def shares(self) -> tuple[str, ...]:
        """Names of those of `smoothing` that stand for shares of monotonic terms."""
        return tuple(f"share_{term}[{label}]" for term, labels in self.simplexes for label in labels[:-1])

    @property
    def names(self) -> tuple[str, ...]:
        """One name for each number, for tables of diagnostics."""
        pairs = [
            f"cor_{factor}[{effect}, {self.effects[j][1]}]"
            for (factor, effect), i, start in zip(self.effects, range(len(self.effects)), self.starts, strict=True)
            for j in range(start, i)
        ]
        return (*self.sd_names, *pairs, *self.dispersions, *(f"mixing[{name}]" for name in self.mixed), *self.smoothing)

    def places(self, factor: str) -> slice:
        """Where the effects of a factor are among all effects."""
        mine = [k for k, (name, _) in enumerate(self.effects) if name == factor]
        return slice(mine[0], mine[-1] + 1)

    @property
    def map_to_zero(self) -> np.ndarray:
        """`to_zero` as an array (Q, Q)."""
        return np.array(self.to_zero, dtype=float).reshape(len(self.effects), len(self.effects))

    def root(self, theta: np.ndarray, factor: str) -> np.ndarray:
        """R with R R' the covariance of the effects of a factor as written, (..., d) to (..., q, q)."""
        place = self.places(factor)
        return self.map_to_zero[place, place] @ self.root_at_centre(theta, factor)

    def root_at_centre(self, theta: np.ndarray, factor: str) -> np.ndarray:
        """The same of the effects that theta speaks of, lower triangular."""
        place = self.places(factor)
        return np.asarray(np.exp(theta[..., place])[..., None] * self._correlation_roots(theta, place))

    def sd(self, theta: np.ndarray, factor: str) -> np.ndarray:
        """Standard deviations of the effects of a factor as written, (..., d) to (..., q)."""
        return np.linalg.norm(self.root(theta, factor), axis=-1)

    def dispersion(self, theta: np.ndarray, name: str) -> np.ndarray:
        """A dispersion that all rows share, (..., d) to (...)."""
        return np.exp(theta[..., len(self.effects) + self.pairs + self.dispersions.index(name)])

    def smoothing_parameter(self, theta: np.ndarray, name: str) -> np.ndarray:
        """A number that the prior of a structured term depends on, (..., d) to (...)."""
        at = theta[..., theta.shape[-1] - len(self.smoothing) + self.smoothing.index(name)]
        return np.asarray(np.tanh(at) if name in self.correlations else np.exp(at))

    def simplex(self, theta: np.ndarray, term: str) -> np.ndarray:
        """Shares of the columns of a monotonic term, (..., d) to (..., k); they add up to one."""
        labels = dict(self.simplexes)[term]
        first = theta.shape[-1] - len(self.smoothing)
        places = [first + self.smoothing.index(f"share_{term}[{label}]") for label in labels[:-1]]
        return simplex_of(theta[..., places])

    def log_sigma(self, theta: np.ndarray) -> np.ndarray:
        """Log of the residual standard deviation, (..., d) to (...)."""
        return theta[..., len(self.effects) + self.pairs]

    def sigma(self, theta: np.ndarray) -> np.ndarray:
        """Residual standard deviation, (..., d) to (...)."""
        return np.exp(self.log_sigma(theta))

    def correlation(self, theta: np.ndarray, factor: str) -> np.ndarray:
        """Correlation matrices of the effects of a factor, (..., d) to (..., q, q); zero where none is modelled."""
        root = self.root(theta, factor)
        rows = root / np.linalg.norm(root, axis=-1, keepdims=True)
        found = rows @ np.swapaxes(rows, -1, -2)
        one = np.arange(found.shape[-1])
        found[..., one, one] = 1.0
        return found

    def _correlation_roots(self, theta: np.ndarray, place: slice) -> np.ndarray:
        """Cholesky factors (..., q, q) of the correlations that theta speaks of."""
        q = place.stop - place.start
        found = np.broadcast_to(np.eye(q), (*theta.shape[:-1], q, q)).copy()
        for start in sorted(set(self.starts[place])):
            stop = max(k for k in range(place.start, place.stop) if self.starts[k] == start) + 1
            size = stop - start
            if size > 1:
                first = len(self.effects) + sum(k - self.starts[k] for k in range(start))
                partial = np.tanh(theta[..., first : first + size * (size - 1) // 2])
                mine = slice(start - place.start, stop - place.start)
                factors = correlation_factors(partial.reshape(-1, partial.shape[-1]))
                found[..., mine, mine] = factors.reshape(*theta.shape[:-1], size, size)
        return found
