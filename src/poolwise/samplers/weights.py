"""What importance weights say about themselves."""

from __future__ import annotations

import math

import numpy as np

TAIL = 0.05  # of the target


def normalised(log_weights: np.ndarray) -> np.ndarray:
    """Weights that add up to one, (m,) to (m,)."""
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


def efficiency(log_weights: np.ndarray) -> float:
    """Kish's effective share of the draws, from 1/m to 1."""
    weights = normalised(log_weights)
    return float(1 / (len(weights) * np.square(weights).sum()))


def resampled(log_weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many positions (m,), in their order, each about as often as its weight says (systematic resampling)."""
    size = len(log_weights)
    ends = np.cumsum(normalised(log_weights)) * size
    return np.minimum(np.searchsorted(ends, np.arange(size) + rng.random(), side="right"), size - 1)


def tail_ess(points: np.ndarray, log_weights: np.ndarray) -> float:
    """Effective sample size of the worst tail of all coordinates: as many equal weights would know it as well.

    `efficiency` does not see a tail that rests on a few large weights, as its share of all draws is small. Tails are of
    5%, as those of the tail ESS of chains (Vehtari, Gelman, Simpson, Carpenter and Buerkner 2021).

    Parameters
    ----------
    points, log_weights : (m, d) and (m,).
    """
    weights, worst = normalised(log_weights), math.inf
    for coordinate in points.T:
        order = np.argsort(coordinate)
        for ordered in (weights[order], weights[order[::-1]]):
            last = int(np.searchsorted(np.cumsum(ordered), TAIL)) + 1  # the point across the end counts
            worst = min(worst, float(ordered[:last].sum() ** 2 / np.square(ordered[:last]).sum()) / TAIL)
    return worst


def log_mean(log_weights: np.ndarray) -> float:
    """Log of the mean weight: an unbiased estimate (before the log) of the normalising constant."""
    top = float(log_weights.max())
    return top + math.log(float(np.mean(np.exp(log_weights - top))))


def tail_shape(log_weights: np.ndarray) -> float:
    """Pareto k-hat of the largest weights: above 0.7 the weights cannot be trusted.

    Vehtari, Simpson, Gelman, Yao and Gabry (2024), with the fit of Zhang and Stephens (2009). arviz-stats computes
    the same; its import costs many fits, and every fit needs this one number.
    """
    size = len(log_weights)
    tail = int(math.ceil(min(0.2 * size, 3 * math.sqrt(size))))
    if tail < 5:
        return math.inf
    ordered = np.sort(log_weights)
    if not np.isfinite(ordered[-tail - 1]):
        return math.inf
    cut = math.exp(ordered[-tail - 1] - ordered[-1])
    excess = np.exp(ordered[-tail:] - ordered[-1]) - cut
    if excess[-1] - excess[0] < 1e-12:
        return -math.inf  # all weights of the tail are equal: no tail at all
    return _pareto_shape(excess[excess > 0])


def _pareto_shape(excess: np.ndarray) -> float:
    """Shape of a generalised Pareto distribution for sorted positive exceedances (m,)."""
    size = len(excess)
    count = 30 + int(math.sqrt(size))
    quarter = excess[int(size / 4 + 0.5) - 1]
    if quarter < 1e-200:
        return math.inf  # all but a few of the tail are equal: their spread has no digits
    scales = (1 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))) / (3 * quarter) + 1 / excess[-1]
    shapes = np.log1p(-scales[:, None] * excess).mean(axis=1)
    log_likelihood = size * (np.log(-scales / shapes) - shapes - 1)
    scale = float(scales @ normalised(log_likelihood))
    shape = float(np.log1p(-scale * excess).mean())
    return (size * shape + 5) / (size + 10)  # weakly pulled to 0.5, as in the reference
