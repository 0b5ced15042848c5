"""All rows of a cell given the rest and theta, from what is known of its coefficients given everything.

Within a cell, a combination of labels of all grouping columns, the mean is linear in the columns [1, W] with one vector
of coefficients c, whatever factors it is made of. With c ~ N(m, S) given all rows, and I = A'A / sigma^2 and
h = A'(y - A m) / sigma^2 of the cell's own rows,

    log p(y_g | rest) = log N(y_g; A m, sigma^2) + log |1 - S I| / 2 - h' (1 - S I)^-1 S h / 2,

the reciprocal of E[1 / p(y_g | c)] given all rows. So no density of the rest needs to be built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.density.blocks.density import BlockedDensity
from poolwise.statistics.products import CrossProducts
from poolwise.support.progress import Progress

_CHEAP = 1e5  # flops of an evaluation
_TOGETHER = 16  # thetas between two reports of progress


@dataclass(frozen=True, slots=True, eq=False)
class CellsLeftOut:
    """Cells, one for each group.

    Attributes
    ----------
    density : of all rows.
    statistics : of the cells.
    cells : (G,) the cell of each group.
    """

    density: BlockedDensity
    statistics: CrossProducts
    cells: np.ndarray

    most = 20_000  # groups; of more, a random part is left out

    @property
    def cost(self) -> float:
        """Flops for a theta, about: an elimination, and a selected inverse."""
        return 8 * self.density.cost

    @property
    def cheap(self) -> bool:
        """Whether gradients are worth their time."""
        return self.density.cost < _CHEAP

    def of_groups(self, theta: np.ndarray, groups: np.ndarray, progress: Progress) -> np.ndarray:
        """log p(rows of a group | rows of all others, theta), (m, d) to (m, groups)."""
        found = []
        for start in range(0, len(theta), _TOGETHER):
            progress("leaving groups out", start / len(theta))
            found.append(self._of(theta[start : start + _TOGETHER], self.cells[groups]))
        return np.vstack(found)

    def at_one(self, theta: np.ndarray) -> np.ndarray:
        """An approximation for all groups: their densities at one theta."""
        return self._of(theta, self.cells)[0]

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        """Of the density of all rows, (m, d)."""
        return self.density.values_and_gradients(theta)[1]

    def _of(self, theta: np.ndarray, cells: np.ndarray) -> np.ndarray:
        known = self.statistics
        weights, scatter = known.weights[cells], known.scatter[cells]
        level = known.means[cells] + known.origin
        # Columns are taken about the cell's mean, in units that keep all directions alike.
        size = np.sqrt(np.einsum("ckk->k", known.scatter)[:-1] / max(float(known.weights.sum()), 1.0))
        size = np.where(size > 0, size, 1.0)
        centre, spread = self._coefficients(theta, level, size, cells)
        k = len(size)
        precision = np.exp(-2.0 * self.density.layout.log_sigma(theta))[:, None]
        own = np.zeros((len(cells), 1 + k, 1 + k))
        own[:, 0, 0] = weights
        own[:, 1:, 1:] = scatter[:, :-1, :-1] / (size[:, None] * size)
        slopes = scatter[:, :-1, -1] / size
        explained = np.einsum("ckl,mcl->mck", own[:, 1:, 1:], centre[..., 1:])
        missed = np.concatenate([(weights * centre[..., 0])[..., None], slopes - explained], axis=-1)
        # The first number of `centre` is the mean outcome less the fitted one.
        squares = scatter[:, -1, -1] - (centre[..., 1:] * (2 * slopes - explained)).sum(axis=-1)
        squares = np.maximum(squares, 0.0) + weights * centre[..., 0] ** 2
        h = precision[..., None] * missed
        left = np.eye(1 + k) - precision[..., None, None] * (spread @ own)
        sign, log_determinant = np.linalg.slogdet(left)
        quadratic = (h * np.linalg.solve(left, (spread @ h[..., None]))[..., 0]).sum(axis=-1)
        counts = known.counts[cells].astype(float)
        value = 0.5 * counts * (np.log(precision) - np.log(2 * np.pi)) + 0.5 * known.log_weights[cells]
        value += 0.5 * log_determinant - 0.5 * precision * squares - 0.5 * quadratic
        return np.where(sign > 0, value, -np.inf)

    def _coefficients(
        self, theta: np.ndarray, level: np.ndarray, size: np.ndarray, cells: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the mean outcome of each cell is above the fitted one, and slopes (m, C, 1 + K) in units of `size`; and
        the covariance of fitted mean and slopes (m, C, 1 + K, 1 + K).

        The density gives means and variances of rows: of the mean row, of one step along each column and back, and of
        steps along two.
        """
        k, count = len(size), len(cells)
        pairs = [(i, j) for i in range(k) for j in range(i)]
        steps = np.zeros((1 + 2 * k + len(pairs), k))
        for i in range(k):
            steps[1 + i, i], steps[1 + k + i, i] = size[i], -size[i]
        for place, (i, j) in enumerate(pairs):
            steps[1 + 2 * k + place, [i, j]] = size[[i, j]]
        rows = np.repeat(level[:, None, :], len(steps), axis=1)
        rows[..., :-1] += steps
        residual, variance = self.density.row_moments(theta, rows.reshape(-1, k + 1), np.repeat(cells, len(steps)))
        residual, variance = (each.reshape(len(theta), count, len(steps)) for each in (residual, variance))
        ahead, behind = slice(1, 1 + k), slice(1 + k, 1 + 2 * k)
        centre = np.concatenate([residual[..., :1], 0.5 * (residual[..., behind] - residual[..., ahead])], axis=-1)
        spread = np.zeros((len(theta), count, 1 + k, 1 + k))
        spread[..., 0, 0] = variance[..., 0]
        with_level = 0.25 * (variance[..., ahead] - variance[..., behind])
        alone = np.maximum(0.5 * (variance[..., ahead] + variance[..., behind]) - variance[..., :1], 0.0)
        spread[..., 0, 1:] = spread[..., 1:, 0] = with_level
        for i in range(k):
            spread[..., 1 + i, 1 + i] = alone[..., i]
        for place, (i, j) in enumerate(pairs):
            both = variance[..., 1 + 2 * k + place] - variance[..., 0] - 2 * (with_level[..., i] + with_level[..., j])
            spread[..., 1 + i, 1 + j] = spread[..., 1 + j, 1 + i] = 0.5 * (both - alone[..., i] - alone[..., j])
        return centre, spread
