"""Which number of an unconstrained vector is what: names, places, and the way back to meaningful units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.priors import correlation_factors


@dataclass(frozen=True, slots=True)
class ParameterLayout:
    """Layout of theta = [log sd of effects, atanh of partial correlations, log sigma, log mixing precisions].

    Attributes
    ----------
    effects : (q,) names of the group effects.
    correlated : whether they have a correlation matrix.
    mixed : names of the coefficients whose Student-t prior adds a mixing precision.
    """

    effects: tuple[str, ...]
    correlated: bool
    mixed: tuple[str, ...] = ()

    @property
    def pairs(self) -> int:
        """Number of correlations."""
        q = len(self.effects)
        return q * (q - 1) // 2 if self.correlated else 0

    @property
    def dimension(self) -> int:
        """Length of theta."""
        return len(self.effects) + self.pairs + 1 + len(self.mixed)

    @property
    def names(self) -> tuple[str, ...]:
        """One name for each number, for tables of diagnostics."""
        q = self.effects
        pairs = [f"cor[{q[i]}, {q[j]}]" for i in range(len(q)) for j in range(i)] if self.correlated else []
        return (*(f"sd[{name}]" for name in q), *pairs, "sigma", *(f"mixing[{name}]" for name in self.mixed))

    def sd(self, theta: np.ndarray) -> np.ndarray:
        """Standard deviations of the effects, (..., d) to (..., q)."""
        return np.exp(theta[..., : len(self.effects)])

    def sigma(self, theta: np.ndarray) -> np.ndarray:
        """Residual standard deviation, (..., d) to (...)."""
        return np.exp(theta[..., len(self.effects) + self.pairs])

    def correlation(self, theta: np.ndarray) -> np.ndarray:
        """Correlation matrices of the effects, (..., d) to (..., q, q); the identity without correlations."""
        q = len(self.effects)
        if not self.pairs:
            return np.broadcast_to(np.eye(q), (*theta.shape[:-1], q, q))
        partial = np.tanh(theta[..., q : q + self.pairs]).reshape(-1, self.pairs)
        factors = correlation_factors(partial)
        return (factors @ factors.transpose(0, 2, 1)).reshape(*theta.shape[:-1], q, q)
