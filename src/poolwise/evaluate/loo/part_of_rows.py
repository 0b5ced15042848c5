"""A random part of the rows, each given all others, for families that are sampled: densities and deviations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from poolwise.design import Rows
from poolwise.evaluate.deviations import deviations, measured
from poolwise.evaluate.loo import importance_weights as weighing
from poolwise.evaluate.loo.conditional_outcomes import conditional
from poolwise.evaluate.loo.elpd import GOOD_K
from poolwise.evaluate.loo.group_integrals import Integrated, integrate
from poolwise.evaluate.loo.integrated_effects import TELLING, Effects, finest
from poolwise.inference.posterior import Posterior
from poolwise.support.progress import Progress, silent

_GATHERED = 50_000  # rows of small groups that are looked at together


def rmsd_of_part(posterior: Posterior, rows: Rows, batches: Callable[[], Iterator[Rows]]) -> tuple[float, float, int]:
    """RMSD of outcomes from their expectations, in sample and when left out; NaN where outcomes have no distances. And
    of how many rows the weights cannot be trusted.

    Effects of a group are integrated given all of its rows, those outside the part too; groups with many rows keep
    the effects that were drawn, which one row hardly moves.

    Parameters
    ----------
    rows : the part.
    batches : to all rows, in any order: engines answer a second time in another one.
    """
    family = posterior.model.family
    if not measured(family, rows):
        return math.nan, math.nan, 0
    count = posterior.chains * posterior.draws
    draws = np.linspace(0, count - 1, min(count, 1_000)).astype(int)
    inside = deviations(family, rows, conditional(posterior, rows, draws).mean().mean(axis=0))
    if inside is None:
        return math.nan, math.nan, 0
    weights, effects = rows.precisions, finest(posterior)
    few = np.zeros(len(weights), dtype=bool)
    if effects is not None:
        of_cells = effects.factors[0].codes
        sizes = np.bincount(of_cells, posterior.model.statistics.counts, effects.groups)
        few = sizes[effects.codes(rows)] < TELLING * len(effects.of)
    parts = [(weights[~few].sum(), *_mean_square(posterior, rows.take(np.flatnonzero(~few)), None))]
    if effects is not None and few.any():
        mine = _gathered(effects, rows, few, sizes)
        taken = np.bincount(effects.codes(rows)[mine], minlength=effects.groups)
        every = _rows_of_groups(batches, effects, taken > 0)
        # A row of the part may be any one of its group: all of these are looked at, and share its place.
        shares = (taken / np.maximum(sizes, 1.0))[effects.codes(every)]
        parts.append((weights[few].sum(), *_mean_square(posterior, every, effects, shares)))
    outside = sum(weight * square for weight, square, _ in parts if weight) / weights.sum()
    heavy = sum(of_part for _, _, of_part in parts)
    return float(np.sqrt(np.average(np.square(inside), weights=weights))), math.sqrt(outside), heavy


def integrated_part(
    posterior: Posterior, rows: Rows, chosen: np.ndarray, progress: Progress
) -> tuple[Effects | None, Integrated]:
    """Densities of the rows at some positions, and the effects that are integrated out where groups have few rows."""
    effects = finest(posterior)
    few = np.zeros(len(chosen), dtype=bool)
    if effects is not None:
        codes = effects.codes(rows)
        sizes = np.bincount(codes, rows.multiplicities, effects.groups)
        few = sizes[codes[chosen]] < TELLING * len(effects.of)
    if effects is None or not few.any():
        return None, integrate(posterior, rows.take(chosen), None, progress)
    within = np.flatnonzero(np.isin(codes, codes[chosen[few]]))
    found = integrate(posterior, rows.take(within), effects, progress)
    found = found.take(np.searchsorted(within, chosen[few]))
    if few.all():
        return effects, found
    rest = integrate(posterior, rows.take(chosen[~few]), None, progress)
    count = min(len(found.outside), len(rest.outside))
    together = []
    for name in ("outside", "inside", "means"):
        whole = np.empty((count, len(chosen)))
        for some, part in ((few, getattr(found, name)), (~few, getattr(rest, name))):
            whole[:, some] = part[np.linspace(0, len(part) - 1, count).astype(int)]
        together.append(whole)
    return effects, Integrated(np.empty((count, 0)), *together)


def _gathered(effects: Effects, rows: Rows, few: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Rows of the part in small groups, by their places in it: as many as have no more than `_GATHERED` in their
    groups."""
    order = np.random.default_rng(len(few)).permutation(np.flatnonzero(few))
    codes = effects.codes(rows)[order]
    first = np.zeros(len(order), dtype=bool)
    first[np.unique(codes, return_index=True)[1]] = True
    within = np.cumsum(np.where(first, sizes[codes], 0.0)) <= _GATHERED
    within[0] = True
    return np.asarray(order[within])


def _rows_of_groups(batches: Callable[[], Iterator[Rows]], effects: Effects, wanted: np.ndarray) -> Rows:
    """All rows of the groups that are wanted, (G,) truth values."""
    return Rows.joined([rows.take(np.flatnonzero(wanted[effects.codes(rows)])) for rows in batches()])


def _mean_square(
    posterior: Posterior, rows: Rows, effects: Effects | None, shares: np.ndarray | None = None
) -> tuple[float, int]:
    """Of the deviations from what all others predict, weighted, and how many rows of the part have a large k-hat; each
    row stands for a share (n,) of one of the part."""
    if not len(rows.codes):
        return 0.0, 0
    found = integrate(posterior, rows, effects, silent)
    away = deviations(posterior.model.family, rows, outside_means(found))
    if away is None:
        return math.nan, 0
    shares = np.ones(len(away)) if shares is None else shares
    heavy = weighing.untrusted(found.outside, GOOD_K)
    return float(np.average(np.square(away), weights=rows.precisions * shares)), math.ceil(shares[heavy].sum() - 1e-9)


def outside_means(found: Integrated) -> np.ndarray:
    """(n,) expected outcomes of rows given all others: draws are weighed by the reciprocals of the rows' densities."""
    weights = np.exp(found.outside.min(axis=0) - found.outside)
    return np.asarray((weights * found.means).sum(axis=0) / weights.sum(axis=0))
