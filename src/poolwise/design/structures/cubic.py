"""Functions of one variable that are cubic between knots, and straight beyond them: many at once, for many rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Array3, Matrix, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Cubics:
    """m functions, each a cubic in (x - knot) on every interval.

    Attributes
    ----------
    knots : (n,) increasing.
    coefficients : (n + 1, 4, m) of powers 0 to 3, below the first knot, on each interval, and beyond the last knot.
    cyclic : whether the functions repeat after the last knot.
    """

    knots: np.ndarray
    coefficients: np.ndarray
    cyclic: bool = False

    @classmethod
    def through(cls, knots: np.ndarray, values: np.ndarray, slopes: np.ndarray, *, cyclic: bool = False) -> Cubics:
        """From values and slopes (n, m) at the knots (Hermite's form)."""
        width = np.diff(knots)[:, None]
        rise = np.diff(values, axis=0) / width
        square = (3 * rise - 2 * slopes[:-1] - slopes[1:]) / width
        cube = (slopes[:-1] + slopes[1:] - 2 * rise) / width**2
        inside = np.stack([values[:-1], slopes[:-1], square, cube], axis=1)
        nothing = np.zeros_like(values[0])
        ends = [np.stack([values[k], slopes[k], nothing, nothing])[None] for k in (0, -1)]
        return cls(knots, np.concatenate([ends[0], inside, ends[1]]), cyclic)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n,) to (n, m)."""
        x = np.ascontiguousarray(x, dtype=float)
        if self.cyclic:
            first, last = self.knots[0], self.knots[-1]
            x = first + np.mod(x - first, last - first)
        out = np.empty((len(x), self.coefficients.shape[2]))
        evaluate(x, self.knots, self.coefficients, out)
        return out

    def combined(self, weights: np.ndarray) -> Cubics:
        """Combinations of the functions, weights (m, k)."""
        return Cubics(self.knots, np.ascontiguousarray(self.coefficients @ weights), self.cyclic)

    def plus(self, constant: np.ndarray, slope: np.ndarray) -> Cubics:
        """With straight lines (m,) added: constant + slope x."""
        moved = self.coefficients.copy()
        start = np.concatenate([self.knots[:1], self.knots])
        moved[:, 0] += constant + start[:, None] * slope
        moved[:, 1] += slope
        return Cubics(self.knots, moved, self.cyclic)

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {"knots": self.knots, "coefficients": self.coefficients, "cyclic": self.cyclic}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Cubics:
        """What `state` described."""
        knots, coefficients = (np.array(state[name], dtype=float) for name in ("knots", "coefficients"))
        return cls(knots, np.ascontiguousarray(coefficients), bool(state["cyclic"]))


@kernel
def evaluate(x: Vector, knots: Vector, coefficients: Array3, out: Matrix) -> None:
    """Values of all functions at each x (n,), into `out` (n, m)."""
    last, count = knots.size - 1, out.shape[1]
    scale = last / (knots[last] - knots[0])
    for i in range(x.size):
        piece = 0
        if x[i] >= knots[last]:
            piece = last + 1
        elif x[i] >= knots[0]:
            # Knots that lie evenly are found at once, others by a few steps from there.
            piece = min(int((x[i] - knots[0]) * scale) + 1, last)
            while x[i] < knots[piece - 1]:
                piece -= 1
            while x[i] >= knots[piece]:
                piece += 1
        t = x[i] - knots[max(piece - 1, 0)]
        for k in range(count):
            a, b = coefficients[piece, 0, k], coefficients[piece, 1, k]
            c, d = coefficients[piece, 2, k], coefficients[piece, 3, k]
            out[i, k] = a + t * (b + t * (c + t * d))
