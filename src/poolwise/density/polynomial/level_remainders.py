"""Remainders by polynomials of each level's effects, whose coefficients are linear in all else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.density.polynomial.hermite import Exponents
from poolwise.density.polynomial.level_kernels import coefficients_given, level_ratios
from poolwise.density.polynomial.monomials import Monomials
from poolwise.density.polynomial.remainders import BEYOND, NOWHERE, beyond
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.remainders import Ratios


@dataclass(frozen=True, slots=True, eq=False)
class LevelRemainders:
    """Remainders of levels of the leaf whose rows are not looked at again.

    Attributes
    ----------
    chosen : (L,) which levels they are, of `levels` of the leaf.
    monomials : of a level's effects.
    exponents : of the powers of dispersions that each set of polynomials is multiplied by.
    own : (E, L, M) coefficients.
    bounds, places : (L + 1,) and (N,) where entries of each level begin, and the number of all else that each is of.
    slopes, shifts : (F, N, l) slopes of the first coefficients in it, for the first of these powers; and (N, q) what it
        adds to the level's effects.
    others : (O,) where all else is expanded: coefficients of the rows' columns, then effects.
    origin, inverse : (L, q) and (L, q, q): polynomials are in s = inverse (v + shift - origin).
    start : place of the leaf's first effect.
    to_written : (p, p) takes coefficients of the rows' columns to those as written.
    plain : (p,) which coefficients the columns have.
    dispersions : about where they lie.
    constant : what the log likelihood has beyond `ratios`.
    """

    levels: int
    chosen: np.ndarray
    monomials: Monomials
    exponents: tuple[Exponents, ...]
    own: np.ndarray
    bounds: np.ndarray
    places: np.ndarray
    slopes: np.ndarray
    shifts: np.ndarray
    others: np.ndarray
    origin: np.ndarray
    inverse: np.ndarray
    start: int
    to_written: np.ndarray
    plain: np.ndarray
    dispersions: Dispersions
    constant: float

    @property
    def cost(self) -> float:
        """Flops of a draw's ratios, about."""
        q = self.origin.shape[1]
        return len(self.chosen) * (2.0 * self.monomials.size + 4.0 * q**2)

    @property
    def time(self) -> float:
        """The same."""
        return self.cost

    @property
    def shared_cost(self) -> float:
        """Flops of the coefficients of a draw of all else, about."""
        return 2.0 * (self.own.size + self.slopes.size + self.shifts.size)

    def ratios(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, G)."""
        return self.given(logs, beta, effects)(effects)

    def given(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> Ratios:
        """A function of effects (U, m), of which the leaf's are looked at."""
        m, variables = len(beta), self.origin.shape[1]
        others = np.concatenate([np.linalg.solve(self.to_written, beta[:, self.plain].T), effects])
        away = (logs - self.dispersions.centre) / self.dispersions.sd
        powers = np.array([np.prod(away**e, axis=1) for e in self.exponents])
        others -= self.others[:, None]
        met, size = (self.bounds, self.places, self.slopes, self.shifts, others), len(self.slopes)
        coefficients, shifted = self._coefficients(self.own[:size], powers[:size], *met)
        if size < len(self.own):
            none = (
                np.zeros_like(self.bounds),
                self.places[:0],
                np.empty((len(self.own) - size, 0, 0)),
                self.shifts[:0],
                others,
            )
            coefficients += self._coefficients(self.own[size:], powers[size:], *none)[0]

        def ratios(those: np.ndarray) -> np.ndarray:
            out = np.zeros((m, self.levels))
            level_ratios(
                coefficients,
                self.chosen,
                those,
                self.start,
                shifted,
                self.origin,
                self.inverse,
                beyond(BEYOND, variables),
                beyond(NOWHERE, variables),
                self.monomials.ends,
                out,
            )
            return out

        return ratios

    def _coefficients(
        self,
        own: np.ndarray,
        powers: np.ndarray,
        bounds: np.ndarray,
        places: np.ndarray,
        slopes: np.ndarray,
        shifts: np.ndarray,
        others: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(L, M, m) coefficients at some draws, and (L, q, m) what all else adds to the levels' effects."""
        m, (_, levels, size) = powers.shape[1], own.shape
        found, shifted = np.empty((levels, size, m)), np.empty((levels, self.origin.shape[1], m))
        coefficients_given(own, bounds, places, slopes, shifts, others, powers, found, shifted)
        return found, shifted
