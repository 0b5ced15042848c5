"""More rows, or fewer: statistics of rows encoded as a fit's own, and the fit once more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from poolwise.inference.infer import infer
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.inference.prepare import model_of, warn_of_dropped
from poolwise.samplers.settings import sampler_settings
from poolwise.statistics import Statistics, SufficientStatistics
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
    if posterior.model.sampled:
        raise DataError("A fit of this family is made of rows, not of statistics: fit all rows together again.")
    mine = posterior.model.data
    frozen = sorted({key for spec in mine.encoding.specs for key in spec.transform_state})
    if frozen:
        warnings.warn(
            f"{', '.join(frozen)} keeps the scale, knots or levels of the first rows; a refit would learn new ones.",
            PoolwiseWarning,
            stacklevel=3,
        )
    data = SufficientStatistics.from_data(
        mine.formula,
        rows,
        like=mine,
        weights=mine.encoding.weights,
        groups=groups,
        missing=missing,
        progress=progress,
    )
    warn_of_dropped(data)
    return data


def refit(posterior: Posterior, data: Statistics, progress: Progress) -> Posterior:
    """The posterior of other rows under the priors that were asked for, with the same seed."""
    settings = sampler_settings(posterior.draws, posterior.chains, posterior.seed, "auto", progress)
    again = replace(model_of(data, posterior.model.given), pooling=posterior.model.pooling)
    return infer(again, settings, threads=default_threads())
