"""Columns and rows in the coordinates that a density works in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Array3, Matrix, Vector
from poolwise.density.working_coordinates import WorkingBasis, shifted
from poolwise.statistics.products import CrossProducts


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """[X, y] and Z as combinations of the columns [1, W - origin, y - origin].

    Attributes
    ----------
    origin : (K + 1,) centre of the columns and the outcome.
    columns : (1 + K + 1, p + 1) X in working coordinates, and y minus the reference regression.
    effects : (1 + K, q) effects that vary by group.
    """

    origin: np.ndarray
    columns: np.ndarray
    effects: np.ndarray

    def rows(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows [W, y], (n, K + 1), as [X, y] (n, p + 1) and Z (n, q)."""
        x, z = np.empty((len(values), self.columns.shape[1])), np.empty((len(values), self.effects.shape[1]))
        of_columns = (np.ascontiguousarray(each) for each in (values, self.origin, self.columns, self.effects))
        _project(*of_columns, x, z)
        return x, z

    def groups(self, statistics: CrossProducts) -> tuple[np.ndarray, np.ndarray]:
        """Z_j'Z_j (J, q, q) and Z_j'[X, y] (J, q, p + 1) of each group."""
        z_mean = self.effects[0] + statistics.means[:, :-1] @ self.effects[1:]
        x_mean = self.columns[0] + statistics.means @ self.columns[1:]
        weighted = (statistics.weights[:, None] * z_mean)[:, :, None]
        cross = self.effects[1:].T @ statistics.scatter[:, :-1, :]
        zz = weighted * z_mean[:, None, :] + cross[:, :, :-1] @ self.effects[1:]
        return zz, weighted * x_mean[:, None, :] + cross @ self.columns[1:]

    def own(self, statistics: CrossProducts) -> np.ndarray:
        """[X, y]'[X, y] of each group, (J, p + 1, p + 1)."""
        x_mean = self.columns[0] + statistics.means @ self.columns[1:]
        between = statistics.weights[:, None, None] * (x_mean[:, :, None] * x_mean[:, None, :])
        return between + self.columns[1:].T @ statistics.scatter @ self.columns[1:]


def products_of(statistics: CrossProducts, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sums over the rows of each cell of products of two sets of columns, (1 + K, a) and (1 + K, b), (C, a, b)."""
    out = np.empty((len(statistics.weights), left.shape[1], right.shape[1]))
    columns = np.ascontiguousarray(left), np.ascontiguousarray(right)
    _products(statistics.weights, statistics.means, statistics.scatter, *columns, out)
    return out


# Products with so few columns by BLAS take twenty times as long where its threads wait for a busy core.
@kernel
def _products(weights: Vector, means: Matrix, scatter: Array3, left: Matrix, right: Matrix, out: Array3) -> None:
    """Of cells with weights (C,), means (C, K) and scatter (C, K, K), into `out` (C, a, b)."""
    size = means.shape[1]
    one, other = np.empty(left.shape[1]), np.empty(right.shape[1])
    for c in range(weights.size):
        for i in range(left.shape[1]):
            one[i] = left[0, i]
            for j in range(right.shape[1]):
                other[j], out[c, i, j] = right[0, j], 0.0
        for k in range(size):
            mean = means[c, k]
            for j in range(right.shape[1]):
                other[j] += mean * right[1 + k, j]
            for i in range(left.shape[1]):
                times = left[1 + k, i]
                one[i] += mean * times
                if times != 0.0:
                    for h in range(size):
                        spread = times * scatter[c, k, h]
                        for j in range(right.shape[1]):
                            out[c, i, j] += spread * right[1 + h, j]
        for i in range(left.shape[1]):
            for j in range(right.shape[1]):
                out[c, i, j] += weights[c] * one[i] * other[j]


@kernel
def _project(values: Matrix, origin: Vector, columns: Matrix, effects: Matrix, x: Matrix, z: Matrix) -> None:
    """Rows [W, y] (n, K + 1) as [X, y] and Z, into `x` (n, p + 1) and `z` (n, q)."""
    for i in range(values.shape[0]):
        for c in range(columns.shape[1]):
            x[i, c] = columns[0, c]
        for c in range(effects.shape[1]):
            z[i, c] = effects[0, c]
        for k in range(values.shape[1]):
            away = values[i, k] - origin[k]
            for c in range(columns.shape[1]):
                x[i, c] += away * columns[1 + k, c]
            for c in range(effects.shape[1] if k + 1 < values.shape[1] else 0):
                z[i, c] += away * effects[1 + k, c]


def project(statistics: CrossProducts, basis: WorkingBasis, written: np.ndarray) -> tuple[Projection, np.ndarray]:
    """The projection of a design with effects `written` (1 + K, q) in the basis [1, W].

    Also T (q, q) with: effects as written = effects of the projection @ T.
    """
    columns = np.zeros((len(statistics.columns) + 1, basis.columns.shape[1] + 1))
    columns[:-1, :-1] = basis.columns
    columns[:, -1] = basis.residual
    effects, group_map = shift_effects(written, statistics.origin[:-1])
    return Projection(statistics.origin, columns, effects), group_map


def shift_effects(written: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects in the basis [1, W - origin] with their constant parts moved to the intercept, where there is one.

    Returns the shifted effects (1 + K, q) and T (q, q) with: effects as written = shifted effects @ T.
    """
    effects = shifted(written, origin)
    move = np.eye(effects.shape[1])
    constant = [k for k in range(effects.shape[1]) if written[0, k] == 1 and not np.any(written[1:, k])]
    if constant:
        for k in range(effects.shape[1]):
            if k != constant[0]:
                move[constant[0], k] = effects[0, k]
                effects[0, k] = 0.0
    return effects, move
