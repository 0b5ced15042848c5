"""Complete pooling and none: predictive densities as ratios of marginal likelihoods, each integrated on a grid.

p(y_i | the others) = p(all) / p(the others): no draws, no weights, nothing to certify.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.separate import SeparateRegressions, separate
from poolwise.design.design import Rows, linear_predictor
from poolwise.inference.posterior import Model, Pooling
from poolwise.statistics import CrossProducts
from poolwise.support.errors import DataError

_AT_ONCE = 200_000  # cells whose statistics are added up together


@dataclass(frozen=True, slots=True, eq=False)
class Ratios:
    """What grids say of rows, each (n,): log predictive densities left out and in sample, and residuals left out."""

    elpd: np.ndarray
    lpd: np.ndarray
    residual: np.ndarray


def regressions_of(model: Model) -> CrossProducts:
    """Statistics of each regression: one of all rows, or one for each group."""
    return model.statistics.merged() if model.pooling is Pooling.COMPLETE else model.statistics


def integrate(model: Model, statistics: CrossProducts, threads: int) -> tuple[SeparateRegressions, np.ndarray]:
    """Regressions of each cell of some statistics, and their log marginal likelihoods (C,)."""
    if model.priors.layout.hyperparameters:
        raise DataError(
            "Separate regressions with Student-t priors of coefficients or smooth terms have no marginal likelihood in "
            "closed form; leave rows or groups out of the other fits."
        )
    found = separate(statistics, model.design, model.priors, threads=threads)
    return found, found.log_evidence() + 0.5 * statistics.log_weights


def row_ratios(model: Model, rows: Rows, threads: int, *, seen: bool = True) -> Ratios:
    """Of rows that the statistics of the model hold (`seen`) or not."""
    base, values, weights = regressions_of(model), rows.values, rows.precisions
    codes = np.zeros_like(rows.codes) if model.pooling is Pooling.COMPLETE else rows.codes
    whole = integrate(model, base, threads)[1][codes]
    each = _relabelled(base.take(codes))
    with_row = _add(each, values, weights, 1.0)
    _, more = integrate(model, with_row, threads)
    if not seen:
        found, _ = integrate(model, each, threads)
        return Ratios(more - whole, more - whole, _residuals(model, found, values))
    without = _add(each, values, weights, -1.0)
    found, less = integrate(model, without, threads)
    return Ratios(whole - less, more - whole, _residuals(model, found, values))


def group_log_densities(model: Model, finer: CrossProducts, level_of: np.ndarray, threads: int) -> np.ndarray:
    """log p(rows of a group | rows of all others) for groups that are sets of cells.

    Parameters
    ----------
    finer : statistics by cells that are at least as fine as the regressions and the groups.
    level_of : (C, 2) regression and group of each cell.
    """
    pairs = np.unique(level_of, axis=0)
    regressions = np.arange(int(level_of[:, 0].max()) + 1)
    _, whole = integrate(model, finer.coarser(level_of[:, 0], (regressions,)), threads)
    out = np.zeros(int(level_of[:, 1].max()) + 1)
    step = max(1, _AT_ONCE // len(level_of))
    for part in (pairs[start : start + step] for start in range(0, len(pairs), step)):
        inside = (level_of[:, 0] == part[:, :1]) & (level_of[:, 1] != part[:, 1:])
        pair, cell = np.nonzero(inside)
        _, less = integrate(model, finer.take(cell).coarser(pair, (np.arange(len(part)),)), threads)
        np.add.at(out, part[:, 1], whole[part[:, 0]] - less)
    return out


def _residuals(model: Model, found: SeparateRegressions, values: np.ndarray) -> np.ndarray:
    weights = found.means() @ model.design.common_map.T
    return values[:, -1] - linear_predictor(values[:, :-1], np.arange(len(values)), weights)


def _relabelled(statistics: CrossProducts) -> CrossProducts:
    return replace(statistics, cells=(np.arange(len(statistics.counts)),))


def _add(each: CrossProducts, values: np.ndarray, weights: np.ndarray, sign: float) -> CrossProducts:
    """Statistics of n cells, each with one row more or less. Unlike `-` it trusts that the row was there."""
    counts, total = each.counts + int(sign), each.weights + sign * weights
    total = np.where(counts > 0, total, 0.0)
    step = values - each.origin - each.means
    share = np.divide(sign * weights, total, out=np.zeros_like(total), where=total > 0)
    means = np.where((counts > 0)[:, None], each.means + share[:, None] * step, 0.0)
    scatter = each.scatter + (each.weights * share)[:, None, None] * (step[:, :, None] * step[:, None, :])
    left = np.einsum("ckk->ck", scatter)
    nothing = (left <= 1e-13 * np.einsum("ckk->ck", each.scatter)) | (counts < 2)[:, None]
    scatter[nothing[:, :, None] | nothing[:, None, :]] = 0.0
    logs = np.where(counts > 0, each.log_weights + sign * np.log(weights), 0.0)
    return replace(each, counts=counts, weights=total, means=means, scatter=scatter, log_weights=logs)
