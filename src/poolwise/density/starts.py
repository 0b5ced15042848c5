"""Where the search for modes of theta begins: points that do not share a failure, and a box around them."""

from __future__ import annotations

import math

import numpy as np

from poolwise.density.layout import ParameterLayout

_GROUPS = 4000  # of each factor, at most, whose own regressions are looked at
_SINGULAR = 1e-9  # condition below which a group's own regression is left out
_PERFECT = 1.0 - 1e-10  # largest correlation to begin from


def starting_points(layout: ParameterLayout, noise: float, size: np.ndarray, within_variance: float) -> np.ndarray:
    """Points (k, d) to begin from.

    Parameters
    ----------
    noise : residual spread of the pooled regression.
    size : (Q,) of each effect's column, as `centring.column_sizes` has it.
    within_variance : of the outcome within groups.
    """
    within = max(math.sqrt(max(within_variance, 0.0)), 1e-3 * noise)
    q = len(layout.effects)
    points = np.zeros((3, layout.dimension))
    points[:, :q] = np.log(noise / size) - np.log([[3.0], [1.0], [30.0]])
    points[:, q + layout.pairs] = np.log([noise, within, noise])
    first, smooth = q + layout.pairs + 1, layout.dimension - len(layout.smoothing)
    points[:, smooth:] = layout.usual
    heavy = points.copy()
    heavy[:, first:smooth] = -6.0  # Student-t coefficients far out in their tails
    points = np.vstack([points, heavy]) if layout.mixed else points
    if not layout.smoothing:
        return points
    straight, bent = points.copy(), points.copy()
    straight[:, smooth:] -= 3.0
    bent[:, smooth:] += 1.5
    return np.vstack([points, straight, bent])


def search_box(
    layout: ParameterLayout, noise: float, size: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends (d,) of a box around the modes: from a thousandth of the outcome's spread and less, to fifty times it.

    It holds the points `own` (k, d) that regressions of the groups suggest, and what is around them.
    """
    q, sigma = len(layout.effects), len(layout.effects) + layout.pairs
    low, high = np.full(layout.dimension, -1.5), np.full(layout.dimension, 1.5)
    low[:q], high[:q] = np.log(noise / size) - 7.0, np.log(noise / size) + 4.0
    low[sigma], high[sigma] = math.log(noise) - 10.0, math.log(noise) + 3.0
    low[sigma + 1 :], high[sigma + 1 :] = -12.0, 3.0
    smooth = layout.dimension - len(layout.smoothing)
    low[smooth:], high[smooth:] = np.array(layout.usual) - 9.0, np.array(layout.usual) + 4.0
    for point in own:
        low, high = np.minimum(low, point - 1.0), np.maximum(high, point + 1.0)
    return low, high


def own_regressions(
    layout: ParameterLayout, factor: slice, zz: np.ndarray, zy: np.ndarray, total: float, rows: float
) -> np.ndarray | None:
    """Theta (d,) by moments: the spread of the groups' own least-squares effects, and what these leave.

    Where groups hardly agree, the posterior may have a mode far from every pooled regression, with huge spreads that
    are correlated all but perfectly. None where the groups have no regressions of their own, or outcomes do
    not differ.

    Parameters
    ----------
    factor : places of its effects.
    zz, zy : (J, q, q) and (J, q) cross-products of the columns of the effects that theta speaks of with themselves, and
        with what the pooled regression leaves of the outcome.
    total, rows : sum of squares of the latter, and number of rows.
    """
    some = slice(None, None, -(-len(zz) // _GROUPS))
    mine, other = zz[some], zy[some]
    length = np.sqrt(np.einsum("jkk->jk", mine))
    scale = np.where(length > 0, length, 1.0)
    values = np.linalg.eigvalsh(mine / (scale[:, :, None] * scale[:, None, :]))
    regular = values[:, 0] > _SINGULAR
    q = mine.shape[1]
    if regular.sum() <= q or not total > 0:
        return None
    effects = np.linalg.solve(mine[regular], other[regular][:, :, None])[:, :, 0]
    explained = float((effects * other[regular]).sum()) * len(zz) / len(mine)
    left = max(total - explained, 1e-12 * total) / max(rows - q * len(zz), 1.0)
    covariance = effects.T @ effects / len(effects)
    found = np.zeros(layout.dimension)
    found[layout.dimension - len(layout.smoothing) :] = layout.usual
    place = len(layout.effects) + layout.pairs
    found[: len(layout.effects)] = 0.5 * math.log(total / max(rows, 1.0)) - 3.0
    found[factor] = 0.5 * np.log(np.maximum(np.diag(covariance), 1e-300))
    found[place] = 0.5 * math.log(left)
    for k in range(factor.start, factor.stop):
        start = layout.starts[k]
        if start < k:
            block = covariance[start - factor.start : k - factor.start + 1, start - factor.start : k - factor.start + 1]
            first = len(layout.effects) + sum(i - layout.starts[i] for i in range(k))
            found[first : first + k - start] = np.arctanh(np.clip(_partial(block), -_PERFECT, _PERFECT))
    return found if np.isfinite(found).all() else None


def _partial(covariance: np.ndarray) -> np.ndarray:
    """Partial correlations of the last variable with each before it, given all before that one."""
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / np.outer(sd, sd)
    root = np.linalg.cholesky(correlation + 1e-12 * np.eye(len(sd)))
    row, rest, found = root[-1], 1.0, np.zeros(len(sd) - 1)
    for j in range(len(found)):
        found[j] = row[j] / math.sqrt(max(rest, 1e-300))
        rest -= row[j] ** 2
    return found
