"""More rows, or fewer: statistics of rows encoded as a fit's own, and the fit once more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from poolwise.design.encoding import codes_of
from poolwise.design.equal_rows import distinct
from poolwise.design.rank import empty_columns
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.inference.prepare import model_of, rows_of, sampled_model, warn_of_dropped
from poolwise.samplers.settings import sampler_settings
from poolwise.sources import Source, as_source
from poolwise.sources.group_tables import with_group_tables
from poolwise.statistics import Statistics
from poolwise.statistics.model_formula import ModelFormula
from poolwise.statistics.routes import reduce_source, with_counted
from poolwise.support.errors import DataError, PoolwiseWarning
from poolwise.support.progress import Progress
from poolwise.support.threads import default_threads


def like(
    posterior: Posterior, rows: Any, groups: Mapping[str, Any] | None, missing: str, progress: Progress
) -> Statistics:
    """Statistics of rows, encoded as those of a fit."""
    if posterior.model.pooling is Pooling.SEPARATE:
        raise DataError(
            "Separate regressions take no more rows: call compare_pooling again, or update the partial fit."
        )
    mine = posterior.model.data
    frozen = sorted({key for spec in mine.encoding.specs for key in spec.transform_state})
    if frozen:
        warnings.warn(
            f"{', '.join(frozen)} keeps the scale, knots or levels of the first rows; a refit would learn new ones.",
            PoolwiseWarning,
            stacklevel=3,
        )
    data = _statistics_like(posterior, with_group_tables(as_source(rows), groups), missing, progress)
    warn_of_dropped(data)
    warn_of_moved(mine, data)
    return data


def warn_of_moved(one: Statistics, other: Statistics) -> None:
    """Say where a column has one value for all rows of each group, but another one in the second set of rows."""
    mine, theirs = one.products, other.products
    if not mine.cells or mine.columns != theirs.columns:
        return
    place = codes_of(mine.cells, list(theirs.cells))
    both = np.flatnonzero((place >= 0) & (theirs.counts > 0) & (mine.counts[place] > 0))
    several = mine.counts.max(initial=0) > 1 and theirs.counts.max(initial=0) > 1
    for k, column in enumerate(mine.columns[:-1] if several and len(both) else ()):
        within = max(each.scatter[:, k, k].max() for each in (mine, theirs))
        before, after = mine.means[place[both], k] + mine.origin[k], theirs.means[both, k] + theirs.origin[k]
        moved = np.abs(after - before) > 1e-9 * np.abs(before).max()
        if within == 0 and np.ptp(before) > 0 and moved.any():
            where = theirs.label(int(both[np.argmax(moved)]))
            warnings.warn(
                f"'{column}' is the same in all rows of a group, but in the new rows it is another for {moved.sum():,} "
                f"groups, such as {where}: if it is one value for each group, the tables that it comes from differ.",
                PoolwiseWarning,
                stacklevel=4,
            )


def _statistics_like(posterior: Posterior, source: Source, missing: str, progress: Progress) -> Statistics:
    """Of a family that is sampled, with the rows that differ."""
    model, threads = posterior.model, default_threads()
    read = ModelFormula(model.design.formula, model.family, not model.sampled)
    needed = read.needed(model.encoding.weights)
    family = model.family if model.sampled else None
    found, rows = reduce_source(needed, source, model.data, missing, threads, progress, family=family)
    if rows is None or not model.sampled:
        return found
    return with_counted(found.design, found.encoding, distinct(rows), threads, found.reading)


def refit(posterior: Posterior, data: Statistics, progress: Progress) -> Posterior:
    """The posterior of other rows under the priors that were asked for, with the same seed."""
    settings = sampler_settings(posterior.draws, posterior.chains, posterior.seed, posterior.sampler, progress)
    model = posterior.model
    _check_columns(model.data, data)
    if model.sampled:
        again = sampled_model(data, rows_of(data, model.family), model.given, model.family, model.link)
    else:
        again = model_of(data, model.given)
    return infer(replace(again, pooling=model.pooling), settings, threads=default_threads())


def _check_columns(old: Statistics, new: Statistics) -> None:
    """Refuse rows with columns that no row had before, where the design has no coefficient for these any more, as that
    of a stored fit."""
    for name in empty_columns(new.design):
        place = new.design.columns.index(name)
        if _is_zero(old, place) and not _is_zero(new, place):
            raise DataError(
                f"'{name}' was zero in every row of the fit, which has no coefficient for it, and is not zero in the "
                "new rows. Fit all rows anew."
            )


def _is_zero(data: Statistics, place: int) -> bool:
    total = data.products.merged()
    return total.means[0, place] + total.origin[place] == 0 and total.scatter[0, place, place] == 0
