"""Root mean squared deviation between outcomes and posterior mean predictions, in the units of the outcome.

Computed from statistics alone: for one group with column weights w, sum (y - [1, W] w)^2 is a quadratic form in the
group's counts, means and scatter. So judging costs nothing that grows with the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np

from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Posterior
from poolwise.samplers import SamplerSettings
from poolwise.statistics import CrossProducts
from poolwise.support.progress import Progress, silent


def squared_error(statistics: CrossProducts, weights: np.ndarray) -> float:
    """Sum over rows of (y - [1, W] w_c)^2, weighted as the rows are, for column weights (cells or 1, 1 + K)."""
    weights = np.broadcast_to(weights, (len(statistics.counts), weights.shape[1]))
    contrast = np.hstack([-weights[:, 1:], np.ones((len(weights), 1))])
    origin = statistics.origin
    mean = np.einsum("jk,jk->j", contrast, statistics.means) + (contrast @ origin - weights[:, 0])
    within = np.einsum("jk,jkl,jl->j", contrast, statistics.scatter, contrast)
    return float(np.sum(within + statistics.weights * mean**2))


def in_sample(posterior: Posterior) -> float:
    """RMSD over the rows that were fitted."""
    statistics = posterior.model.statistics
    return math.sqrt(squared_error(statistics, posterior.mean_weights()) / float(statistics.weights.sum()))


def cross_validated(
    model: Model,
    folds: Sequence[CrossProducts],
    settings: SamplerSettings,
    *,
    threads: int,
    progress: Progress = silent,
    label: str = "",
) -> float:
    """RMSD over rows that were left out: refit without each fold, predict it, pool the squared errors.

    The other folds' statistics are added up; no row is read again. A group that is absent from the rest
    is predicted by its prior (no pooling) or by the distribution of the groups (partial pooling).
    """
    error = 0.0
    for k, fold in enumerate(folds):
        progress(f"{len(folds)}-fold cross-validation, {label or model.pooling.value}", k / len(folds))
        rest = model.on(reduce(add, (other for i, other in enumerate(folds) if i != k)))
        error += squared_error(fold, infer(rest, settings, threads=threads).mean_weights())
    return math.sqrt(error / sum(float(fold.weights.sum()) for fold in folds))
