"""What depends on theta alone: its prior, the covariance factor of the group effects, the priors of the coefficients.

theta = [log tau (q), atanh of partial correlations (c), log sigma, log hyperparameters (m)].

Hyperparameters h are positive numbers that priors of common coefficients depend on: the mixing precision of a Student-t
prior, the sd of a smooth term, the length scale of a Gaussian process, the correlation of an autoregression. What the
log precision of prior row k has of each is in `hyperparameters`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntMatrix, IntVector, Matrix, Vector
from poolwise.density.monotonic import gather_common, shares_penalty, spread_common
from poolwise.design.structures.hyperparameters import follow, follows_any

SCALED, SHARED = 1, 2  # kinds of coefficients of structured terms


class Prior(NamedTuple):
    """Priors as arrays: p coefficients, q effects of all factors, c correlations, m mixing precisions."""

    starts: IntVector  # (q,) first effect that each effect is correlated with; its own where it is independent
    rows: Matrix  # (p, p) what the priors are put on, as combinations of the coefficients in X
    mean: Vector  # (p,)
    precision: Vector  # (p,) without what follows hyperparameters
    follows: Matrix  # (p, 4 m) four numbers for each hyperparameter, see `hyperparameters`
    scaled: IntVector  # (p,) SCALED where a coefficient stands alone in its prior row and is solved for in units of its
    # sd, SHARED where it is one of a monotonic term, 0 else
    simplexes: IntMatrix  # (terms, 3) monotonic terms, see `monotonic`
    scales: Matrix  # (q + 1 + m, 6) of tau, sigma and hyperparameters; see `poolwise.priors`
    correlations: Matrix  # (c, 2) exponent and log constant of each partial correlation
    stated: Matrix  # (q, q) from the effects of theta to those whose sds have the priors
    exponents: Vector  # (q,) of the ratio of these sds, zero where they are the same
    log_constant: float  # log |d beta / d (coefficients in X)| and of the rows' weights: densities keep their units


@kernel
def log_scale_prior(theta, row):
    """Log density of exp(theta) with the Jacobian of the exponential, and its derivative."""
    x = math.exp(theta)
    tail = row[5] * x * x
    value = row[0] + (row[1] + 1.0) * theta - row[2] * x - 0.5 * row[3] * x * x - 0.5 * row[4] * math.log1p(tail)
    share = tail / (1.0 + tail) if tail < 1e300 else 1.0
    return value, row[1] + 1.0 - row[2] * x - row[3] * x * x - row[4] * share


@kernel
def log_prior(theta: Vector, prior: Prior, gradient: Vector) -> float:
    """Log prior of theta; its derivative is written into `gradient`."""
    q, pairs = prior.starts.size, prior.correlations.shape[0]
    total, elsewhere = 0.0, False
    for i in range(theta.size):
        if i < q and prior.exponents[i] != 0.0:
            gradient[i] = 0.0
            elsewhere = True
        elif q <= i < q + pairs:
            exponent, constant = prior.correlations[i - q, 0], prior.correlations[i - q, 1]
            size = abs(theta[i])
            log_cosh = size + math.log1p(math.exp(-2.0 * size)) - math.log(2.0)
            total += constant - 2.0 * exponent * log_cosh
            gradient[i] = -2.0 * exponent * math.tanh(theta[i])
        else:
            value, slope = log_scale_prior(theta[i], prior.scales[i if i < q else i - pairs])
            total += value
            gradient[i] = slope
    return total + _log_prior_elsewhere(theta, prior, gradient) if elsewhere else total


@kernel
def _log_prior_elsewhere(theta, prior, gradient):
    """Log prior of sds that are not theta's own, of bars whose priors speak of other effects; see `ModelPriors`."""
    q, total = prior.starts.size, 0.0
    factor, slope, image = np.empty((q, q)), np.zeros((q, q)), np.empty(q)
    covariance_factor(theta, prior.starts, factor)
    for i in range(q):
        if prior.exponents[i] == 0.0:
            continue
        square = 0.0
        for k in range(q):
            image[k] = 0.0
            for j in range(q):
                image[k] += prior.stated[i, j] * factor[j, k]
            square += image[k] * image[k]
        log_sd = 0.5 * math.log(max(square, 1e-300))
        value, change = log_scale_prior(log_sd, prior.scales[i])
        total += value + prior.exponents[i] * (theta[i] - log_sd)
        gradient[i] += prior.exponents[i]
        change = (change - prior.exponents[i]) / max(square, 1e-300)
        for j in range(q):
            for k in range(q):
                slope[j, k] += change * prior.stated[i, j] * image[k]
    factor_pullback(theta, factor, slope, prior.starts, gradient)
    return total


@kernel
def covariance_factor(theta: Vector, starts: IntVector, factor: Matrix) -> None:
    """diag(tau) L, lower triangular, into the first q rows of `factor`; diagonal where effects are independent."""
    at = q = starts.size
    factor[:] = 0.0
    for i in range(q):
        rest = math.exp(theta[i])
        for j in range(starts[i], i):
            factor[i, j] = math.tanh(theta[at]) * rest
            rest /= math.cosh(theta[at])
            at += 1
        factor[i, i] = rest


@kernel
def factor_pullback(theta: Vector, factor: Matrix, slope: Matrix, starts: IntVector, gradient: Vector) -> None:
    """Add d/d theta to `gradient`, given `slope` = d/dM in its first q rows."""
    q = starts.size
    at = q
    for i in range(q):
        for j in range(starts[i], i + 1):
            gradient[i] += slope[i, j] * factor[i, j]
        rest = math.exp(theta[i])
        for j in range(starts[i], i):
            below = 0.0
            for k in range(j + 1, i + 1):
                below += slope[i, k] * factor[i, k]
            cosh = math.cosh(theta[at])
            gradient[at] += slope[i, j] * rest / (cosh * cosh) - math.tanh(theta[at]) * below
            rest /= cosh
            at += 1


@kernel
def usable(theta: Vector) -> bool:
    """Whether the exponentials of theta and their squares are representable."""
    return bool(np.all(np.abs(theta) < 300.0))


@kernel
def add_prior_rows(theta, prior, schur):
    """Add the priors of the coefficients, but scaled ones, as rows to the lower triangle of `schur` (p + 1, p + 1).

    Returns the sum of the logs of the prior precisions.
    """
    p = prior.mean.size
    log_precisions = 0.0
    for k in range(p):
        if prior.scaled[k]:
            continue
        weight = prior_precision(theta, prior, k)
        log_precisions += math.log(weight)
        for i in range(p + 1):
            left = weight * (prior.rows[k, i] if i < p else prior.mean[k])
            if left != 0.0:
                for j in range(i + 1):
                    schur[i, j] += left * (prior.rows[k, j] if j < p else prior.mean[k])
    return log_precisions


@kernel
def precision_at(theta, k, precision, follows):
    """The precision of the k-th coefficient, or prior row, at theta; arrays as in `Prior`."""
    total, count = 0.0, follows.shape[1] // 4
    for m in range(count):
        if follows_any(follows, k, m):
            total += follow(theta[theta.size - count + m], follows, k, m)[0]
    return precision[k] * math.exp(min(max(total, -600.0), 600.0))


@kernel
def prior_precision(theta, prior, k):
    """The precision of prior row k at theta."""
    return precision_at(theta, k, prior.precision, prior.follows)


@kernel
def scale_common(theta: Vector, prior: Prior, schur: Matrix) -> None:
    """Scaled coefficients in units of their prior sds, in the lower triangle of `schur` (p + 1, p + 1).

    Their prior is then an identity: whatever the sds, no digit of the others is lost, as it would be beside a huge
    precision.
    """
    p = prior.mean.size
    for k in range(p):
        if prior.scaled[k] == SCALED:
            s = 1.0 / math.sqrt(prior_precision(theta, prior, k))
            for j in range(k + 1):
                schur[k, j] *= s
            for i in range(k, p + 1):
                schur[i, k] *= s
            schur[k, k] += 1.0
    gather_common(theta, prior.simplexes, prior.mean, prior.precision, schur)


@kernel
def unscale_common(theta: Vector, prior: Prior, mean: Vector, inverse: Matrix) -> None:
    """From scaled coefficients to coefficients, in their mean (p,) and in `inverse` (p, p), inverse' inverse their
    covariance."""
    for k in range(mean.size):
        if prior.scaled[k] == SCALED:
            s = 1.0 / math.sqrt(prior_precision(theta, prior, k))
            mean[k] *= s
            for i in range(mean.size):
                inverse[i, k] *= s
    spread_common(theta, prior.simplexes, prior.mean, prior.precision, mean, inverse)


@kernel
def add_hyper_slopes(theta, k, follows, slope, gradient):
    """From the slope of the k-th log precision to those of the hyperparameters, which are added to."""
    count = follows.shape[1] // 4
    for m in range(count):
        if follows_any(follows, k, m):
            at = theta.size - count + m
            gradient[at] += slope * follow(theta[at], follows, k, m)[1]


@kernel
def prior_penalty(theta: Vector, prior: Prior, given: Matrix, mean: Vector, inverse: Matrix, gradient: Vector) -> float:
    """E[sum of the squared, weighed misses of the coefficients' priors]; adds the hyperparameters' slopes.

    beta ~ N(mean, inverse' inverse), inverse (p, p) lower triangular. `given` is read where terms are monotonic: what
    the data and the other coefficients' priors say of all of them, see `shares_penalty`.
    """
    p = prior.mean.size
    penalty = shares_penalty(theta, prior.simplexes, prior.mean, prior.precision, given, mean, inverse, gradient)
    for k in range(p):
        if prior.scaled[k] == SHARED:
            continue
        # A scaled coefficient stands alone in its prior row: of a hundred of them, others are all that would be summed.
        first, after = (k, k + 1) if prior.scaled[k] else (0, p)
        miss = -prior.mean[k]
        for i in range(first, after):
            miss += prior.rows[k, i] * mean[i]
        square = miss * miss
        for i in range(first, p):
            image = 0.0
            for j in range(first, min(after, i + 1)):
                image += inverse[i, j] * prior.rows[k, j]
            square += image * image
        weight = prior_precision(theta, prior, k)
        add_hyper_slopes(theta, k, prior.follows, 0.5 * (1.0 - weight * square), gradient)
        penalty += weight * square
    return penalty
