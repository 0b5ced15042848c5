"""Effects of levels that are neighbours or relatives, as a grouping factor: their joint prior precision is sparse.

Columns of a structured term are dense, which serves some hundreds of levels. With thousands the levels stay a factor,
and what couples them goes into the factorisation as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.design.levels import label_text
from poolwise.support.errors import DataError, suggest

_TOGETHER = 256  # columns of an inverse that are solved for at a time


@dataclass(frozen=True, slots=True, eq=False)
class Coupling:
    """The prior precision K of the effects of a factor's levels, in units of their covariance.

    Attributes
    ----------
    levels : (J,) texts; all levels that there are, with rows or without.
    rows, columns, values : (N,) entries of K on and above its diagonal, those of the diagonal among them.
    variances : (J,) of the levels, the diagonal of the (generalised) inverse of K.
    intrinsic : whether K leaves the mean of the effects free: they sum to zero then.
    """

    levels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    variances: np.ndarray
    intrinsic: bool

    def __eq__(self, other: object) -> bool:
        """Whether two couplings say the same of the same levels."""
        if not isinstance(other, Coupling) or self.intrinsic != other.intrinsic:
            return False
        if not np.array_equal(self.levels, other.levels):
            return False
        return bool(abs(self.matrix - other.matrix).max() <= 1e-9 * np.abs(self.values).max())

    __hash__ = None  # type: ignore[assignment]

    def join(self, places: np.ndarray) -> bool:
        """Whether some two of these levels have to do with one another, directly or through others."""
        from scipy.sparse.csgraph import connected_components

        _, part = connected_components(self.matrix, directed=False)
        return bool(np.bincount(part[np.unique(places)]).max(initial=0) > 1)

    @property
    def rank(self) -> int:
        """Of K."""
        return len(self.levels) - self.intrinsic

    @property
    def matrix(self) -> Any:
        """K (J, J), a sparse matrix by columns."""
        from scipy.sparse import csc_array

        apart = self.rows != self.columns
        rows = np.concatenate([self.rows, self.columns[apart]])
        columns = np.concatenate([self.columns, self.rows[apart]])
        values = np.concatenate([self.values, self.values[apart]])
        return csc_array((values, (rows, columns)), shape=(len(self.levels),) * 2)

    @property
    def augmented(self) -> Any:
        """K where it is proper. An intrinsic one with two more rows: see `docs/explanation/algebra.md`.

        A multiplier holds the mean at zero, and what is added to the anchor's own precision, so that levels can be
        eliminated one after the other, is taken away again by a coefficient with nothing else to do.
        """
        from scipy.sparse import block_array, csc_array

        if not self.intrinsic:
            return self.matrix
        size = len(self.levels)
        mean, one = csc_array(np.full((size, 1), 1.0 / size)), csc_array(np.eye(1, size, self.anchor).T)
        rows = [[self.anchored, mean, one], [mean.T, None, None], [one.T, None, csc_array(np.ones((1, 1)))]]
        return block_array(rows, format="csc")

    @property
    def anchor(self) -> int:
        """The level with most neighbours."""
        return int(np.argmax(np.bincount(np.concatenate([self.rows, self.columns]), minlength=len(self.levels))))

    @property
    def anchored(self) -> Any:
        """K, with one added to the anchor's own precision where it would be singular."""
        from scipy.sparse import csc_array

        size = len(self.levels)
        more = csc_array(([float(self.intrinsic)], ([self.anchor], [self.anchor])), shape=(size, size))
        return self.matrix + more

    @property
    def log_determinant(self) -> float:
        """log |det| of `augmented`."""
        from scipy.sparse.linalg import splu

        return float(np.log(np.abs(splu(self.augmented).U.diagonal())).sum())

    def correlated(self, noise: np.ndarray) -> np.ndarray:
        """Effects (draws, J, q) with the covariance of the levels, from standard normals of that shape."""
        from scipy.sparse.linalg import spsolve_triangular

        draws, size, q = noise.shape
        solver = _factorised(self.anchored)
        upper, order = solver.U.tocsr(), solver.perm_c
        drawn = np.sqrt(solver.U.diagonal())[:, None] * noise.transpose(1, 0, 2).reshape(size, -1)
        found = spsolve_triangular(upper, drawn, lower=False)[order]
        effects = found.reshape(size, draws, q).transpose(1, 0, 2)
        return effects - effects.mean(axis=1, keepdims=True) if self.intrinsic else effects

    def positions(self, labels: Iterable[object], text: str) -> np.ndarray:
        """(n,) place of each label among the levels.

        Raises
        ------
        DataError : for a label that is no level of the term `text`.
        """
        import pandas as pd

        names = np.array([label_text(label) for label in labels], dtype=object)
        places = pd.Index(self.levels).get_indexer(pd.Index(names))
        if (places < 0).any():
            strange = str(names[places < 0][0])
            raise DataError(f"{text} does not know '{strange}'. {suggest(strange, self.levels.tolist())}")
        return np.asarray(places, dtype=np.int64)


def intrinsic(levels: list[str], rows: np.ndarray, columns: np.ndarray) -> Coupling:
    """Of neighbours, pairs of positions with each pair once; scaled so that the geometric mean of the variances is one
    (Sorbye and Rue 2014)."""
    size = len(levels)
    degrees = np.bincount(np.concatenate([rows, columns]), minlength=size).astype(float)
    places = np.arange(size)
    values = np.concatenate([degrees, np.full(len(rows), -1.0)])
    plain = Coupling(
        np.array(levels, dtype=object),
        np.concatenate([places, np.minimum(rows, columns)]),
        np.concatenate([places, np.maximum(rows, columns)]),
        values,
        np.ones(size),
        True,
    )
    own, mean = inverse_diagonal(plain.anchored)
    variances = own - 2.0 * mean + mean.mean()
    scale = float(np.exp(np.log(variances).mean()))
    return Coupling(plain.levels, plain.rows, plain.columns, values * scale, variances / scale, True)


def proper(levels: list[str], precision: Any, variances: np.ndarray) -> Coupling:
    """Of a positive definite precision, sparse, and the diagonal of its inverse."""
    from scipy.sparse import triu

    upper = triu(precision, format="coo")
    rows, columns = upper.row.astype(np.int64), upper.col.astype(np.int64)
    return Coupling(np.array(levels, dtype=object), rows, columns, upper.data.astype(float), variances, False)


def inverse_diagonal(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """The diagonal of the inverse of a sparse positive definite matrix, and the means of its rows."""
    size = matrix.shape[0]
    solver, found = _factorised(matrix), np.empty(size)
    for start in range(0, size, _TOGETHER):
        mine = np.arange(start, min(start + _TOGETHER, size))
        unit = np.zeros((size, len(mine)))
        unit[mine, mine - start] = 1.0
        found[mine] = solver.solve(unit)[mine, mine - start]
    return found, solver.solve(np.full(size, 1.0 / size))


def _factorised(matrix: Any) -> Any:
    """L U of a sparse positive definite matrix, its rows and columns in one order: U is D L'."""
    from scipy.sparse.linalg import splu

    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
