"""Compiled kernels of the collapsed density: one grouping factor, coefficients integrated out.

Notation of `docs/explanation/algebra.md`: u_j = M v_j with v_j ~ N(0, I), M = diag(tau) L the covariance factor,
A_j = I + M' Z_j'Z_j M / sigma^2 with Cholesky factor L_j, B_j = L_j^-1 M' Z_j'[X, y] / sigma^2.

Groups go through in blocks that stay in the first-level cache; `elimination.py` has the loops over them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel
from poolwise.density.elimination import add_multiple, clear, dot, eliminate, multiply, subtract_product

BLOCK = 256  # groups at a time: 20 rows of 256 doubles are 40 kB
_LOG_2PI = math.log(2 * math.pi)


class Problem(NamedTuple):
    """All that the density knows, as arrays. p coefficients, q effects, J groups, m mixing precisions.

    theta = [log tau (q), atanh of partial correlations (c), log sigma, log mixing precisions (m)].
    """

    zz: np.ndarray  # (blocks, q, q, width) Z_j'Z_j, groups in blocks; empty groups fill the last one
    zxy: np.ndarray  # (blocks, q, p + 1, width) Z_j'[X, y]
    xy: np.ndarray  # (p + 1, p + 1) [X, y]'[X, y]
    rows: float  # n
    group_map: np.ndarray  # (q, q) from the effects as written to the shifted effects in Z
    prior_rows: np.ndarray  # (p, p) what the priors are put on, as combinations of the coefficients in X
    prior_mean: np.ndarray  # (p,)
    prior_precision: np.ndarray  # (p,) given mixing precisions of one
    mixed: np.ndarray  # (m,) which of the prior rows have a mixing precision
    scale_priors: np.ndarray  # (q + 1 + m, 6) of tau, sigma and mixing precisions; see `poolwise.priors`
    correlation_priors: np.ndarray  # (c, 2) exponent and log constant of each partial correlation
    log_volume: float  # log |d beta / d (coefficients in X)|, so that densities keep their units


@kernel
def log_scale_prior(theta, row):
    """Log density of exp(theta) with the Jacobian of the exponential, and its derivative."""
    x = math.exp(theta)
    tail = row[5] * x * x
    value = row[0] + (row[1] + 1.0) * theta - row[2] * x - 0.5 * row[3] * x * x - 0.5 * row[4] * math.log1p(tail)
    share = tail / (1.0 + tail) if tail < 1e300 else 1.0
    return value, row[1] + 1.0 - row[2] * x - row[3] * x * x - row[4] * share


@kernel
def _log_prior(theta, problem, gradient):
    """Log prior of theta; its derivative is written into `gradient`."""
    q, pairs = problem.zz.shape[1], problem.correlation_priors.shape[0]
    total = 0.0
    for i in range(theta.size):
        if q <= i < q + pairs:
            exponent, constant = problem.correlation_priors[i - q]
            size = abs(theta[i])
            log_cosh = size + math.log1p(math.exp(-2.0 * size)) - math.log(2.0)
            total += constant - 2.0 * exponent * log_cosh
            gradient[i] = -2.0 * exponent * math.tanh(theta[i])
        else:
            value, slope = log_scale_prior(theta[i], problem.scale_priors[i if i < q else i - pairs])
            total += value
            gradient[i] = slope
    return total


@kernel
def covariance_factor(theta, pairs, factor):
    """diag(tau) L, lower triangular, into `factor` (q, q); without correlations it is diagonal."""
    at = q = factor.shape[0]
    factor[:] = 0.0
    for i in range(q):
        rest = math.exp(theta[i])
        if pairs > 0:
            for j in range(i):
                factor[i, j] = math.tanh(theta[at]) * rest
                rest /= math.cosh(theta[at])
                at += 1
        factor[i, i] = rest


@kernel
def _product(x, y, out):
    """x @ y for small matrices into `out`, without a call into BLAS."""
    out[:] = 0.0
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            for j in range(y.shape[1]):
                out[i, j] += x[i, k] * y[k, j]


@kernel
def _factor_pullback(theta, factor, slope, pairs, gradient):
    """Add d/d theta to `gradient`, given `slope` = d/dM (q, q)."""
    q = factor.shape[0]
    at = q
    for i in range(q):
        for j in range(i + 1):
            gradient[i] += slope[i, j] * factor[i, j]
        if pairs > 0:
            rest = math.exp(theta[i])
            for j in range(i):
                below = 0.0
                for k in range(j + 1, i + 1):
                    below += slope[i, k] * factor[i, k]
                cosh = math.cosh(theta[at])
                gradient[at] += slope[i, j] * rest / (cosh * cosh) - math.tanh(theta[at]) * below
                rest /= cosh
                at += 1


@kernel
def _common_block(theta, problem, precision, schur):
    """[X, y]'[X, y] / sigma^2 with the priors added as rows, into `schur` (p + 1, p + 1).

    Returns the sum of the logs of the prior precisions.
    """
    columns = schur.shape[0]
    p = columns - 1
    first = theta.size - problem.mixed.size
    for i in range(columns):
        for j in range(i + 1):
            schur[i, j] = precision * problem.xy[i, j]
    log_precisions = 0.0
    for k in range(p):
        weight = problem.prior_precision[k]
        for m in range(problem.mixed.size):
            if problem.mixed[m] == k:
                weight *= math.exp(theta[first + m])
        log_precisions += math.log(weight)
        for i in range(columns):
            left = weight * (problem.prior_rows[k, i] if i < p else problem.prior_mean[k])
            if left != 0.0:
                for j in range(i + 1):
                    schur[i, j] += left * (problem.prior_rows[k, j] if j < p else problem.prior_mean[k])
    return log_precisions


@kernel
def _cholesky(matrix):
    """Lower Cholesky factor in place, without the last pivot, which stays squared. False if not positive."""
    size = matrix.shape[0]
    for i in range(size):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if j < i:
                matrix[i, j] = total / matrix[j, j]
            elif i == size - 1:
                matrix[i, i] = total
            elif total > 0.0:
                matrix[i, i] = math.sqrt(total)
            else:
                return False
    return True


@kernel
def _usable(theta):
    """Whether the exponentials of theta and their squares are representable."""
    return np.all(np.abs(theta) < 300.0)


@kernel
def _log_marginal(theta, problem, scratch):
    """log p(y | theta); leaves the factor of the common block, covariance factors and the last block in `scratch`."""
    schur, a, b, t, covariance, factor = scratch
    q, pairs = problem.zz.shape[1], problem.correlation_priors.shape[0]
    columns = problem.xy.shape[0]
    log_sigma = theta[q + pairs]
    precision = math.exp(-2.0 * log_sigma)
    covariance_factor(theta, pairs, covariance)
    _product(problem.group_map, covariance, factor)
    log_precisions = _common_block(theta, problem, precision, schur)
    log_determinant = 0.0
    for block in range(problem.zz.shape[0]):
        log_determinant += eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
        for i in range(columns):
            for j in range(i + 1):
                for k in range(q):
                    schur[i, j] -= dot(b, k, i, b, k, j)
    if not _cholesky(schur):
        return -np.inf
    for i in range(columns - 1):
        log_determinant += 2.0 * math.log(schur[i, i])
    value = 0.5 * log_precisions + problem.log_volume - 0.5 * log_determinant - 0.5 * schur[columns - 1, columns - 1]
    value -= problem.rows * (log_sigma + 0.5 * _LOG_2PI)
    return value if math.isfinite(value) else -np.inf


@kernel
def _scratch(problem):
    q, columns, width = problem.zz.shape[1], problem.xy.shape[0], problem.zz.shape[3]
    return (
        np.empty((columns, columns)),
        np.empty((q, q, width)),
        np.empty((q, columns, width)),
        np.empty((q, q, width)),
        np.empty((q, q)),
        np.empty((q, q)),
    )


@kernel
def log_densities(points, problem, out):
    """Unnormalised log posterior of theta at each row of `points` (m, d), into `out` (m,)."""
    scratch = _scratch(problem)
    unused = np.empty(points.shape[1])
    for i in range(points.shape[0]):
        if _usable(points[i]):
            out[i] = _log_marginal(points[i], problem, scratch) + _log_prior(points[i], problem, unused)
        else:
            out[i] = -np.inf


@kernel
def _common_solution(schur):
    """Mean of the coefficients and the inverse of their precision's Cholesky factor, (p,) and (p, p)."""
    p = schur.shape[0] - 1
    inverse = np.zeros((p, p))
    for j in range(p):
        inverse[j, j] = 1.0 / schur[j, j]
        for i in range(j + 1, p):
            total = 0.0
            for k in range(j, i):
                total -= schur[i, k] * inverse[k, j]
            inverse[i, j] = total / schur[i, i]
    mean = np.zeros(p)
    for i in range(p):
        for k in range(i, p):
            mean[i] += inverse[k, i] * schur[p, k]
    return mean, inverse


@kernel
def _back_substitute(a, x):
    """Solve L_j' x_j = x_j in place for lanes x (q, 1, width)."""
    for i in range(x.shape[0] - 1, -1, -1):
        for k in range(i + 1, x.shape[0]):
            subtract_product(x, i, 0, a, k, i, x, k, 0)
        multiply(x, i, 0, a, i, i)


@kernel
def _add_block_slopes(zxy, mean, inverse, a, b, t, slope):
    """Add sum_j E[Z_j'(y - X beta - Z_j M v_j) v_j'] of one block to `slope`; returns sum_j E|v_j|^2.

    With H_j = L_j^-T B_x and beta ~ N(mean, S^-1), S = C C', inverse = C^-1:
    E v = L^-T (B_y - B_x mean), Cov v = A^-1 + H S^-1 H', Cov(beta, v) = -S^-1 H'.
    """
    q, p, width = b.shape[0], b.shape[1] - 1, b.shape[2]
    v, residual = np.zeros((q, 1, width)), np.zeros((q, 1, width))
    for i in range(q):
        add_multiple(v, i, 0, 1.0, b, i, p)
        add_multiple(residual, i, 0, 1.0, zxy, i, p)
        for k in range(p):
            add_multiple(v, i, 0, -mean[k], b, i, k)
            add_multiple(residual, i, 0, -mean[k], zxy, i, k)
    _back_substitute(a, v)
    square = _add_outer(residual, t, v, slope)
    # The spread of v around its mean, one direction at a time: first A^-1, then the part shared through beta.
    for column in range(q + p):
        for i in range(q):
            clear(v, i, 0)
            clear(residual, i, 0)
            for k in range(column - q + 1):
                add_multiple(v, i, 0, inverse[column - q, k], b, i, k)
                add_multiple(residual, i, 0, inverse[column - q, k], zxy, i, k)
        if column < q:
            for g in range(width):
                v[column, 0, g] = 1.0
        _back_substitute(a, v)
        square += _add_outer(residual, t, v, slope)
    return square


@kernel
def _add_outer(left, t, right, slope):
    """Add sum_j (left_j - T_j right_j) right_j' to `slope`; returns sum_j |right_j|^2. Destroys `left`."""
    q, square = left.shape[0], 0.0
    for i in range(q):
        for k in range(q):
            subtract_product(left, i, 0, t, i, k, right, k, 0)
        for j in range(q):
            slope[i, j] += dot(left, i, 0, right, j, 0)
        square += dot(right, i, 0, right, i, 0)
    return square


@kernel
def value_and_gradient(theta, problem, gradient):
    """Unnormalised log posterior of theta; its gradient by Fisher's identity goes into `gradient` (d,)."""
    q, pairs = problem.zz.shape[1], problem.correlation_priors.shape[0]
    p, blocks = problem.xy.shape[0] - 1, problem.zz.shape[0]
    if not _usable(theta):
        gradient[:] = 0.0
        return -np.inf
    scratch = _scratch(problem)
    schur, a, b, t, covariance, factor = scratch
    value = _log_marginal(theta, problem, scratch)
    if value == -np.inf:
        gradient[:] = 0.0
        return value
    value += _log_prior(theta, problem, gradient)
    mean, inverse = _common_solution(schur)
    precision = math.exp(-2.0 * theta[q + pairs])
    slope, written_slope = np.zeros((q, q)), np.empty((q, q))
    spread = 0.0
    for block in range(blocks):
        if blocks > 1:  # a single block still stands as the marginal left it
            eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
        spread += _add_block_slopes(problem.zxy[block], mean, inverse, a, b, t, slope)
    _product(problem.group_map.T, precision * slope, written_slope)
    _factor_pullback(theta, covariance, written_slope, pairs, gradient)
    first = theta.size - problem.mixed.size
    penalty = 0.0
    for k in range(p):
        miss = -problem.prior_mean[k]
        for i in range(p):
            miss += problem.prior_rows[k, i] * mean[i]
        square = miss * miss
        for i in range(p):
            image = 0.0
            for j in range(p):
                image += inverse[i, j] * problem.prior_rows[k, j]
            square += image * image
        weight = problem.prior_precision[k]
        for m in range(problem.mixed.size):
            if problem.mixed[m] == k:
                weight *= math.exp(theta[first + m])
                gradient[first + m] += 0.5 * (1.0 - weight * square)
        penalty += weight * square
    # E[RSS] / sigma^2 is what remains of the expected total quadratic form, whose mean is its minimum plus its rank.
    gradient[q + pairs] += schur[p, p] + p + blocks * q * problem.zz.shape[3] - penalty - spread - problem.rows
    return value


@kernel
def values_and_gradients(points, problem, out, gradients):
    """`value_and_gradient` at each row of `points` (m, d), into `out` (m,) and `gradients` (m, d)."""
    for i in range(points.shape[0]):
        out[i] = value_and_gradient(points[i], problem, gradients[i])


@kernel
def common_given(points, problem, beta):
    """Common coefficients given each theta, exact: conditional mean plus noise scaled by the conditional spread.

    points (m, d). beta (m, p) holds standard normals, or zeros for the conditional means; it is overwritten by the
    coefficients of X in working coordinates.
    """
    p = problem.xy.shape[0] - 1
    scratch = _scratch(problem)
    for draw in range(points.shape[0]):
        _log_marginal(points[draw], problem, scratch)
        mean, inverse = _common_solution(scratch[0])
        for i in range(p):
            total = mean[i]
            for k in range(i, p):
                total += inverse[k, i] * beta[draw, k]
            beta[draw, i] = total


@kernel
def offsets_given(points, problem, block, beta, u):
    """Effects of one block of groups given each theta and beta, exact.

    points (m, d), beta (m, p) in working coordinates. u (m, q, width) holds standard normals, or zeros for the
    conditional means; it is overwritten by the effects in their own units.
    """
    q, pairs = problem.zz.shape[1], problem.correlation_priors.shape[0]
    p, width = problem.xy.shape[0] - 1, problem.zz.shape[3]
    _, a, b, t, covariance, factor = _scratch(problem)
    v = np.empty((q, 1, width))
    for draw in range(points.shape[0]):
        theta = points[draw]
        precision = math.exp(-2.0 * theta[q + pairs])
        covariance_factor(theta, pairs, covariance)
        _product(problem.group_map, covariance, factor)
        eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
        effects = u[draw]
        for i in range(q):
            for g in range(width):
                v[i, 0, g] = effects[i, g] + b[i, p, g]
            for k in range(p):
                add_multiple(v, i, 0, -beta[draw, k], b, i, k)
        _back_substitute(a, v)
        for i in range(q):
            for g in range(width):
                effects[i, g] = covariance[i, 0] * v[0, 0, g]
            for k in range(1, i + 1):
                if covariance[i, k] != 0.0:
                    for g in range(width):
                        effects[i, g] += covariance[i, k] * v[k, 0, g]


@kernel
def add_unexplained(points, problem, block, total):
    """Add Var(u_jk | y, beta, theta) / tau_k^2 of one block, summed over `points` (m, d), to `total` (q, width)."""
    q, pairs = problem.zz.shape[1], problem.correlation_priors.shape[0]
    width = problem.zz.shape[3]
    _, a, b, t, covariance, factor = _scratch(problem)
    v = np.empty((q, 1, width))
    for draw in range(points.shape[0]):
        theta = points[draw]
        precision = math.exp(-2.0 * theta[q + pairs])
        covariance_factor(theta, pairs, covariance)
        _product(problem.group_map, covariance, factor)
        eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
        # Var u = M A^-1 M' with A = L L': the squared rows of M L^-T, one column at a time.
        for column in range(q):
            for i in range(q):
                clear(v, i, 0)
            for g in range(width):
                v[column, 0, g] = 1.0
            _back_substitute(a, v)
            for i in range(q):
                scale = math.exp(-theta[i])
                for g in range(width):
                    effect = 0.0
                    for k in range(i + 1):
                        effect += covariance[i, k] * v[k, 0, g]
                    effect *= scale
                    total[i, g] += effect * effect
