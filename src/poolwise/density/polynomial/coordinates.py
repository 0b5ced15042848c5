"""Weights of a cell's columns, [1, W] at the centre of the rows and in units of their spread: eta = x . w_c."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.density.priors import ModelPriors
from poolwise.density.working.density import WorkingDensity
from poolwise.design.design import Design
from poolwise.statistics.products import CrossProducts

_LEAST_SHARE, _LEAST = 1e-10, 1e-300  # variance, of the largest and by itself


@dataclass(frozen=True, slots=True, eq=False)
class Coordinates:
    """Where columns W are centred, and their units.

    Attributes
    ----------
    centre, spread : (K,).
    """

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, total: CrossProducts) -> Coordinates:
        """Of the statistics of all rows in one cell."""
        means = total.means[0, :-1] + total.origin[:-1]
        spread = np.sqrt(np.diag(total.scatter[0])[:-1] / total.weights[0])
        return cls(means, np.where(spread > 0, spread, 1.0))

    @property
    def size(self) -> int:
        """d, with the constant column."""
        return len(self.centre) + 1

    def columns(self, wide: np.ndarray) -> np.ndarray:
        """(n, d) of columns W (n, K)."""
        found = np.ones((len(wide), self.size))
        found[:, 1:] = (wide - self.centre) / self.spread
        return found

    @property
    def from_written(self) -> np.ndarray:
        """(d, d) takes weights of [1, W] to these."""
        found = np.diag(np.append(1.0, self.spread))
        found[0, 1:] = self.centre
        return found


@dataclass(frozen=True, slots=True, eq=False)
class WeightMaps:
    """How coefficients and effects make the weights of cells.

    Attributes
    ----------
    of_coefficients : (d, p) from coefficients as written.
    slots : (S, d) what each effect of a cell adds.
    places : (S, C) where these are in the vector of all effects that theta speaks of.
    """

    of_coefficients: np.ndarray
    slots: np.ndarray
    places: np.ndarray

    @classmethod
    def of(cls, coordinates: Coordinates, design: Design, priors: ModelPriors) -> WeightMaps:
        """Of a design."""
        to_weights, to_zero = coordinates.from_written, priors.layout.map_to_zero
        slots, places = [np.zeros((0, coordinates.size))], []
        start = first = 0
        for factor in design.factors:
            q = len(factor.effects)
            slots.append((to_weights @ factor.group_map @ to_zero[first : first + q, first : first + q]).T)
            places.append(start + factor.codes * q + np.arange(q)[:, None])
            start, first = start + len(factor.levels) * q, first + q
        return cls(
            np.ascontiguousarray(to_weights @ design.common_map),
            np.ascontiguousarray(np.vstack(slots)),
            np.ascontiguousarray(np.vstack(places)) if places else np.zeros((0, 1), dtype=np.int64),
        )


@dataclass(frozen=True, slots=True, eq=False)
class CellMoments:
    """What a normal model knows of the weights of each cell.

    Attributes
    ----------
    means : (C, d).
    covariances : (C, d, d).
    """

    means: np.ndarray
    covariances: np.ndarray

    @classmethod
    def of(cls, density: WorkingDensity, points: np.ndarray, coordinates: Coordinates, cells: int) -> CellMoments:
        """Over some thetas (m, .) together: means and variances of linear predictors tell those of weights."""
        d = coordinates.size
        k, other = np.triu_indices(d - 1, 1)
        unit = np.eye(d - 1)
        probes = np.vstack([np.zeros((1, d - 1)), unit, -unit, unit[k] + unit[other]])
        columns = np.tile(coordinates.centre + probes * coordinates.spread, (cells, 1))
        codes = np.repeat(np.arange(cells), len(probes))
        found_means, variances = density.predictor_moments(points, columns, codes)
        mean = found_means.mean(axis=0).reshape(cells, -1)
        square = (variances.mean(axis=0) + found_means.var(axis=0)).reshape(cells, -1)
        up, down = slice(1, d), slice(d, 2 * d - 1)
        means, found = np.empty((cells, d)), np.empty((cells, d, d))
        means[:, 0], means[:, 1:] = mean[:, 0], 0.5 * (mean[:, up] - mean[:, down])
        found[:, 0, 0] = square[:, 0]
        found[:, 0, 1:] = found[:, 1:, 0] = 0.25 * (square[:, up] - square[:, down])
        own = np.maximum(0.5 * (square[:, up] + square[:, down]) - square[:, :1], 0.0)
        at = np.arange(1, d)
        found[:, at, at] = own
        cross = found[:, 0, 1:]
        both = square[:, 2 * d - 1 :] - square[:, :1] - own[:, k] - own[:, other] - 2 * (cross[:, k] + cross[:, other])
        found[:, k + 1, other + 1] = found[:, other + 1, k + 1] = 0.5 * both
        return cls(means, found)

    def roots(self) -> tuple[np.ndarray, np.ndarray]:
        """As `roots_of` the covariances."""
        return roots_of(self.covariances)

    def of_rows(self, x: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations (n,) of x . w of rows (n, d) of some cells (n,)."""
        means = np.einsum("nd,nd->n", x, self.means[codes])
        squares = np.einsum("nd,nde,ne->n", x, self.covariances[codes], x, optimize=True)
        return means, np.sqrt(np.maximum(squares, 0.0))


def roots_of(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R (C, d, d) with R R' the covariances, but for directions without variance, and the inverses."""
    values, vectors = np.linalg.eigh(covariances)
    sds = np.sqrt(np.maximum(values, _LEAST_SHARE * values[:, -1:]) + _LEAST)[:, None, :]
    return np.ascontiguousarray(vectors * sds), np.ascontiguousarray((vectors / sds).transpose(0, 2, 1))
