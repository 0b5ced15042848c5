"""Coordinates in which cross-products keep their digits and the common coefficients are well conditioned.

Users write priors about coefficients of the columns as they are, say of a Unix timestamp near 1.7e9. Forming X'X of
that in double precision would leave no digits. So X = [1, W] C is expressed in columns W shifted by an origin, and
its coefficients by beta = beta_ref + R^-1 b with R from a QR of the data stacked on the priors: b has about
unit posterior precision whatever the units and however collinear the columns, and y - X beta_ref is small.
The map is linear, so the Gaussian algebra is exact in b, and the draws are mapped back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.statistics.products import CrossProducts


@dataclass(frozen=True, slots=True, eq=False)
class WorkingBasis:
    """The affine map between coefficients as written and working coefficients.

    Attributes
    ----------
    reference : (p,) beta_ref, close to the fit of the pooled regression.
    to_written : (p, p) R^-1, upper triangular with a positive diagonal.
    columns : (1 + K, p) X in the basis [1, W - origin], in working coefficients.
    residual : (1 + K + 1,) y - X beta_ref in the basis [1, W - origin, y - origin].
    log_volume : log |det d beta / d b| = -log |det R|.
    noise : size of the outcome's spread, a scale to begin from.
    """

    reference: np.ndarray
    to_written: np.ndarray
    columns: np.ndarray
    residual: np.ndarray
    log_volume: float
    noise: float

    def written(self, working: np.ndarray) -> np.ndarray:
        """Coefficients as written, (..., p) to (..., p)."""
        return self.reference + working @ self.to_written.T


def gram_root(statistics: CrossProducts) -> np.ndarray:
    """F with F'F = [1, W, y]'[1, W, y] about the origin, for all groups together; (1 + K + 1, 1 + K + 1)."""
    total = statistics.merged()
    return group_roots(total)[0]


def group_roots(statistics: CrossProducts) -> np.ndarray:
    """The same root for every group, (J, 1 + K + 1, 1 + K + 1): count and mean in the first row, scatter below."""
    spread = np.sqrt(np.maximum(np.einsum("jkk->jk", statistics.scatter), 0.0))
    scale = np.where(spread > 0, spread, 1.0)
    values, vectors = np.linalg.eigh(statistics.scatter / scale[:, :, None] / scale[:, None, :])
    width = 1 + statistics.means.shape[1]
    roots = np.zeros((len(statistics.weights), width, width))
    weight = np.sqrt(statistics.weights)
    roots[:, 0, 0] = weight
    roots[:, 0, 1:] = weight[:, None] * statistics.means
    # Eigenvalues that only rounding makes differ from zero are zero: a constant column has no scatter.
    values = np.where(values > 1e-15 * width, values, 0.0)
    # A column without spread is nothing here, and not what rounding has left of it in eigenvectors.
    roots[:, 1:, 1:] = np.sqrt(values)[:, :, None] * vectors.transpose(0, 2, 1) * spread[:, None, :]
    return roots


def shifted(design_map: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Columns given in the basis [1, W] as columns in the basis [1, W - origin]; (1 + K, p) both."""
    moved = design_map.astype(float)
    moved[0] += origin @ design_map[1:]
    return moved


def working_basis(
    statistics: CrossProducts,
    common_map: np.ndarray,
    rows: np.ndarray,
    mean: np.ndarray,
    width: np.ndarray,
    apart: np.ndarray,
) -> WorkingBasis:
    """Choose working coordinates for the common coefficients.

    Parameters
    ----------
    statistics : of the columns [W, y].
    common_map : (1 + K, p) X in the basis [1, W].
    rows, mean, width : (p, p), (p,), (p,) the priors: rows @ beta ~ Normal(mean, width).
    apart : (p,) coefficients that stay as they are, those of structured terms: their priors are around zero.
    """
    if apart.any():
        return _with_some_apart(statistics, common_map, rows, mean, width, apart)
    p = common_map.shape[1]
    outcome = np.zeros(len(statistics.columns) + 1)
    outcome[0], outcome[-1] = statistics.origin[-1], 1.0
    columns = shifted(common_map, statistics.origin[:-1])
    root = gram_root(statistics)
    noise = _noise(root, outcome, columns @ np.linalg.solve(rows, mean), statistics.rows)
    stacked = np.vstack([root[:, :-1] @ columns / noise, rows / width[:, None]])
    target = np.concatenate([root @ outcome / noise, mean / width])
    q, r = np.linalg.qr(stacked)
    # LAPACK's signs follow the last digits; draws of coefficients must not.
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    q, r = q * signs, r * signs[:, None]
    reference = np.linalg.solve(r, q.T @ target)
    inverse = np.linalg.solve(r, np.eye(p))
    residual = outcome.copy()
    residual[:-1] -= columns @ reference
    log_volume = -float(np.sum(np.log(np.diag(r))))
    return WorkingBasis(reference, inverse, columns @ inverse, residual, log_volume, noise)


def _with_some_apart(
    statistics: CrossProducts,
    common_map: np.ndarray,
    rows: np.ndarray,
    mean: np.ndarray,
    width: np.ndarray,
    apart: np.ndarray,
) -> WorkingBasis:
    together = np.flatnonzero(~apart)
    square = np.ix_(together, together)
    few = working_basis(
        statistics, common_map[:, together], rows[square], mean[together], width[together], apart[together]
    )
    reference, to_written = np.zeros(len(apart)), np.eye(len(apart))
    reference[together], to_written[square] = few.reference, few.to_written
    columns = shifted(common_map, statistics.origin[:-1])
    columns[:, together] = few.columns
    return WorkingBasis(reference, to_written, columns, few.residual, few.log_volume, few.noise)


def _noise(root: np.ndarray, outcome: np.ndarray, prior_mean: np.ndarray, rows: int) -> float:
    """The size of the outcome's spread: around its mean; for one row or a constant, around the prior's prediction."""
    deviation = outcome.copy()
    deviation[:-1] -= prior_mean
    for candidate in (root[1:, -1], root @ deviation):
        size = float(np.linalg.norm(candidate)) / np.sqrt(max(rows, 1))
        if size > 0:
            return size
    return 1.0
