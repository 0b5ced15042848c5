"""What depends on theta alone: its prior, the covariance factor of the group effects, the priors of the coefficients.

theta = [log tau (q), atanh of partial correlations (c), log sigma, log mixing precisions (m)].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntVector, Matrix, Vector


class Prior(NamedTuple):
    """Priors as arrays: p coefficients, q effects of all factors, c correlations, m mixing precisions."""

    starts: IntVector  # (q,) first effect that each effect is correlated with; its own where it is independent
    rows: Matrix  # (p, p) what the priors are put on, as combinations of the coefficients in X
    mean: Vector  # (p,)
    precision: Vector  # (p,) given mixing precisions of one
    mixed: IntVector  # (m,) which of the prior rows have a mixing precision
    scales: Matrix  # (q + 1 + m, 6) of tau, sigma and mixing precisions; see `poolwise.priors`
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
    """diag(tau) L, lower triangular, into `factor` (q, q); diagonal where effects are independent."""
    at = q = factor.shape[0]
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
    """Add d/d theta to `gradient`, given `slope` = d/dM (q, q)."""
    q = factor.shape[0]
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
    """Add the priors of the coefficients as rows to the lower triangle of `schur` (p + 1, p + 1).

    Returns the sum of the logs of the prior precisions.
    """
    p = prior.mean.size
    log_precisions = 0.0
    for k in range(p):
        weight = _precision(theta, prior, k)
        log_precisions += math.log(weight)
        for i in range(p + 1):
            left = weight * (prior.rows[k, i] if i < p else prior.mean[k])
            if left != 0.0:
                for j in range(i + 1):
                    schur[i, j] += left * (prior.rows[k, j] if j < p else prior.mean[k])
    return log_precisions


@kernel
def _precision(theta, prior, k):
    weight = prior.precision[k]
    for m in range(prior.mixed.size):
        if prior.mixed[m] == k:
            weight *= math.exp(theta[theta.size - prior.mixed.size + m])
    return weight


@kernel
def prior_penalty(theta: Vector, prior: Prior, mean: Vector, inverse: Matrix, gradient: Vector) -> float:
    """E[sum of the squared, weighed misses of the coefficients' priors]; adds the mixing precisions' slopes.

    beta ~ N(mean, inverse' inverse), inverse (p, p) lower triangular.
    """
    p = prior.mean.size
    penalty = 0.0
    for k in range(p):
        miss = -prior.mean[k]
        for i in range(p):
            miss += prior.rows[k, i] * mean[i]
        square = miss * miss
        for i in range(p):
            image = 0.0
            for j in range(p):
                image += inverse[i, j] * prior.rows[k, j]
            square += image * image
        weight = _precision(theta, prior, k)
        for m in range(prior.mixed.size):
            if prior.mixed[m] == k:
                gradient[theta.size - prior.mixed.size + m] += 0.5 * (1.0 - weight * square)
        penalty += weight * square
    return penalty
