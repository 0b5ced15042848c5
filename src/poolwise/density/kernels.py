"""Compiled kernels of the collapsed density: one grouping factor, coefficients integrated out.

Notation of `docs/explanation/algebra.md`: u_j = M v_j with v_j ~ N(0, I), M = diag(tau) L the covariance factor,
A_j = I + M' Z_j'Z_j M / sigma^2 with Cholesky factor L_j, B_j = L_j^-1 M' Z_j'[X, y] / sigma^2.

The innermost loop of everything runs over *groups*, held contiguously: it is vectorised by the compiler for any
number of effects q and coefficients p, so nothing is compiled anew for another model. Groups go through in
blocks that stay in the first-level cache.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel

BLOCK = 256  # groups at a time: 20 rows of 256 doubles are 40 kB
_LOG_2PI = math.log(2 * math.pi)


class Problem(NamedTuple):
    """All that the density knows, as arrays. p coefficients, q effects, J groups, m mixing precisions.

    theta = [log tau (q), atanh of partial correlations (c), log sigma, log mixing precisions (m)].
    """

    zz: np.ndarray  # (q, q, J) Z_j'Z_j; J is at most BLOCK, or a multiple of it
    zxy: np.ndarray  # (q, p + 1, J) Z_j'[X, y]
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
def _log_scale_prior(theta, row):
    """Log density of exp(theta) with the Jacobian of the exponential, and its derivative."""
    x = math.exp(theta)
    tail = row[5] * x * x
    value = row[0] + (row[1] + 1.0) * theta - row[2] * x - 0.5 * row[3] * x * x - 0.5 * row[4] * math.log1p(tail)
    share = tail / (1.0 + tail) if tail < 1e300 else 1.0
    return value, row[1] + 1.0 - row[2] * x - row[3] * x * x - row[4] * share


@kernel
def _log_prior(theta, problem, gradient):
    """Log prior of theta; its derivative is written into `gradient`."""
    q, pairs = problem.zz.shape[0], problem.correlation_priors.shape[0]
    total = 0.0
    for i in range(theta.size):
        if q <= i < q + pairs:
            exponent, constant = problem.correlation_priors[i - q]
            size = abs(theta[i])
            log_cosh = size + math.log1p(math.exp(-2.0 * size)) - math.log(2.0)
            total += constant - 2.0 * exponent * log_cosh
            gradient[i] = -2.0 * exponent * math.tanh(theta[i])
        else:
            value, slope = _log_scale_prior(theta[i], problem.scale_priors[i if i < q else i - pairs])
            total += value
            gradient[i] = slope
    return total


@kernel
def covariance_factor(theta, q, pairs):
    """M = diag(tau) L, lower triangular (q, q); without correlations it is diagonal."""
    factor = np.zeros((q, q))
    at = q
    for i in range(q):
        rest = math.exp(theta[i])
        if pairs > 0:
            for j in range(i):
                factor[i, j] = math.tanh(theta[at]) * rest
                rest /= math.cosh(theta[at])
                at += 1
        factor[i, i] = rest
    return factor


@kernel
def _product(x, y):
    """x @ y for small matrices, without a call into BLAS."""
    out = np.zeros((x.shape[0], y.shape[1]))
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            for j in range(y.shape[1]):
                out[i, j] += x[i, k] * y[k, j]
    return out


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
def _combine(out, sources, weights, scale):
    """out = scale * sum_k weights[k] sources[k], lane by lane; zero weights, as of diagonal factors, cost nothing."""
    empty = True
    for k in range(weights.size):
        weight = scale * weights[k]
        if weight != 0.0:
            source = sources[k]
            if empty:
                for g in range(out.size):
                    out[g] = weight * source[g]
                empty = False
            else:
                for g in range(out.size):
                    out[g] += weight * source[g]
    if empty:
        out[:] = 0.0


@kernel
def _copy(out, source):
    for g in range(out.size):
        out[g] = source[g]


@kernel
def _add_multiple(out, weight, source):
    for g in range(out.size):
        out[g] += weight * source[g]


@kernel
def _subtract_product(out, left, right):
    for g in range(out.size):
        out[g] -= left[g] * right[g]


@kernel
def _scale(out, by):
    for g in range(out.size):
        out[g] *= by[g]


@kernel
def _invert_root(out):
    """out = 1 / sqrt(1 + out), and the sum of log(1 + out)."""
    log_product = 0.0
    one, two, three, four = 1.0, 1.0, 1.0, 1.0  # four chains of products, since a multiplication waits for the last
    even = out.size - out.size % 4
    for g in range(0, even, 4):
        one *= 1.0 + out[g]
        two *= 1.0 + out[g + 1]
        three *= 1.0 + out[g + 2]
        four *= 1.0 + out[g + 3]
        if max(max(one, two), max(three, four)) > 1e70:
            log_product += math.log(one) + math.log(two) + math.log(three) + math.log(four)
            one, two, three, four = 1.0, 1.0, 1.0, 1.0
    for g in range(even, out.size):
        log_product += math.log(1.0 + out[g])
    for g in range(out.size):
        out[g] = 1.0 / math.sqrt(1.0 + out[g])
    return log_product + math.log(one * two * (three * four))


@kernel
def _eliminate(problem, factor, precision, start, width, a, b, t):
    """Factor A_j for `width` groups from `start`: L_j into `a` (its diagonal inverted), B_j into `b`.

    `t` is left with Z_j'Z_j M. Returns the sum of log det A_j.
    """
    q, columns = b.shape[0], b.shape[1]
    stop = start + width
    for i in range(q):
        for j in range(q):
            _combine(t[i, j], problem.zz[i, :, start:stop], factor[:, j], 1.0)
    log_determinant = 0.0
    for i in range(q):
        for j in range(i + 1):
            out = a[i, j]
            _combine(out, t[:, j], factor[:, i], precision)
            for k in range(j):
                _subtract_product(out, a[i, k], a[j, k])
            if i == j:
                log_determinant += _invert_root(out)
            else:
                _scale(out, a[j, j])
    for i in range(q):
        for j in range(columns):
            out = b[i, j]
            _combine(out, problem.zxy[:, j, start:stop], factor[:, i], precision)
            for k in range(i):
                _subtract_product(out, a[i, k], b[k, j])
            _scale(out, a[i, i])
    return log_determinant


@kernel
def _dot(x, y, width):
    total = 0.0
    for g in range(width):
        total += x[g] * y[g]
    return total


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
    for value in theta:
        if not abs(value) < 300.0:
            return False
    return True


@kernel
def _log_marginal(theta, problem, schur, a, b, t):
    """log p(y | theta); leaves the factor of the common block in `schur`."""
    q, pairs, groups = problem.zz.shape[0], problem.correlation_priors.shape[0], problem.zz.shape[2]
    columns = problem.xy.shape[0]
    log_sigma = theta[q + pairs]
    precision = math.exp(-2.0 * log_sigma)
    factor = _product(problem.group_map, covariance_factor(theta, q, pairs))
    log_precisions = _common_block(theta, problem, precision, schur)
    log_determinant = 0.0
    for start in range(0, groups, BLOCK):
        width = min(BLOCK, groups - start)
        log_determinant += _eliminate(problem, factor, precision, start, width, a, b, t)
        for i in range(columns):
            for j in range(i + 1):
                total = 0.0
                for k in range(q):
                    total += _dot(b[k, i], b[k, j], width)
                schur[i, j] -= total
    if not _cholesky(schur):
        return -np.inf
    for i in range(columns - 1):
        log_determinant += 2.0 * math.log(schur[i, i])
    value = 0.5 * log_precisions + problem.log_volume - 0.5 * log_determinant - 0.5 * schur[columns - 1, columns - 1]
    value -= problem.rows * (log_sigma + 0.5 * _LOG_2PI)
    return value if math.isfinite(value) else -np.inf


@kernel
def _scratch(problem):
    q, columns = problem.zz.shape[0], problem.xy.shape[0]
    width = min(BLOCK, problem.zz.shape[2])
    return np.empty((columns, columns)), np.empty((q, q, width)), np.empty((q, columns, width)), np.empty((q, q, width))


@kernel
def log_densities(points, problem, out):
    """Unnormalised log posterior of theta at each row of `points` (m, d), into `out` (m,)."""
    schur, a, b, t = _scratch(problem)
    unused = np.empty(points.shape[1])
    for i in range(points.shape[0]):
        if _usable(points[i]):
            out[i] = _log_marginal(points[i], problem, schur, a, b, t) + _log_prior(points[i], problem, unused)
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
    """Solve L_j' x_j = x_j in place for lanes x (q, lanes)."""
    for i in range(x.shape[0] - 1, -1, -1):
        for k in range(i + 1, x.shape[0]):
            _subtract_product(x[i], a[k, i], x[k])
        _scale(x[i], a[i, i])


@kernel
def _add_block_slopes(problem, factor, mean, inverse, start, width, a, b, t, slope):
    """Add sum_j E[Z_j'(y - X beta - Z_j M v_j) v_j'] of one block to `slope`; returns sum_j E|v_j|^2.

    With H_j = L_j^-T B_x and beta ~ N(mean, S^-1), S = C C', inverse = C^-1:
    E v = L^-T (B_y - B_x mean), Cov v = A^-1 + H S^-1 H', Cov(beta, v) = -S^-1 H'.
    """
    q, p = b.shape[0], b.shape[1] - 1
    stop = start + width
    v, residual = np.empty((q, width)), np.empty((q, width))
    for i in range(q):
        _copy(v[i], b[i, p])
        _copy(residual[i], problem.zxy[i, p, start:stop])
        for k in range(p):
            _add_multiple(v[i], -mean[k], b[i, k])
            _add_multiple(residual[i], -mean[k], problem.zxy[i, k, start:stop])
    _back_substitute(a, v)
    square = _add_outer(residual, t, v, slope)
    # The spread of v around its mean, one direction at a time: first A^-1, then the part shared through beta.
    direction, image = np.empty((q, width)), np.empty((q, width))
    for column in range(q + p):
        for i in range(q):
            direction[i, :] = 1.0 if i == column else 0.0
            image[i, :] = 0.0
            for k in range(column - q + 1):
                _add_multiple(direction[i], inverse[column - q, k], b[i, k])
                _add_multiple(image[i], inverse[column - q, k], problem.zxy[i, k, start:stop])
        _back_substitute(a, direction)
        square += _add_outer(image, t, direction, slope)
    return square


@kernel
def _add_outer(left, t, right, slope):
    """Add sum_j (left_j - T_j right_j) right_j' to `slope`; returns sum_j |right_j|^2. Destroys `left`."""
    q, square = left.shape[0], 0.0
    for i in range(q):
        for k in range(q):
            _subtract_product(left[i], t[i, k], right[k])
        for j in range(q):
            slope[i, j] += _dot(left[i], right[j], left.shape[1])
        square += _dot(right[i], right[i], left.shape[1])
    return square


@kernel
def value_and_gradient(theta, problem, gradient):
    """Unnormalised log posterior of theta; its gradient by Fisher's identity goes into `gradient` (d,)."""
    q, pairs, groups = problem.zz.shape[0], problem.correlation_priors.shape[0], problem.zz.shape[2]
    p = problem.xy.shape[0] - 1
    if not _usable(theta):
        gradient[:] = 0.0
        return -np.inf
    schur, a, b, t = _scratch(problem)
    value = _log_marginal(theta, problem, schur, a, b, t)
    if value == -np.inf:
        gradient[:] = 0.0
        return value
    value += _log_prior(theta, problem, gradient)
    mean, inverse = _common_solution(schur)
    precision = math.exp(-2.0 * theta[q + pairs])
    covariance = covariance_factor(theta, q, pairs)
    factor = _product(problem.group_map, covariance)
    slope = np.zeros((q, q))
    spread = 0.0
    for start in range(0, groups, BLOCK):
        width = min(BLOCK, groups - start)
        if groups > BLOCK:
            _eliminate(problem, factor, precision, start, width, a, b, t)
        spread += _add_block_slopes(problem, factor, mean, inverse, start, width, a, b, t, slope)
    _factor_pullback(theta, covariance, precision * _product(problem.group_map.T, slope), pairs, gradient)
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
    gradient[q + pairs] += schur[p, p] + p + groups * q - penalty - spread - problem.rows
    return value


@kernel
def values_and_gradients(points, problem, out, gradients):
    """`value_and_gradient` at each row of `points` (m, d), into `out` (m,) and `gradients` (m, d)."""
    for i in range(points.shape[0]):
        out[i] = value_and_gradient(points[i], problem, gradients[i])


@kernel
def coefficients_given(points, problem, noise, beta, u):
    """Coefficients given each theta, exact: conditional mean plus `noise` scaled by the conditional spread.

    points (m, d); noise (m, p + q J) of standard normals, zeros give the conditional means;
    beta (m, p) in the coordinates of X; u (m, q, J) in the units of the effects as written.
    """
    q, pairs, groups = problem.zz.shape[0], problem.correlation_priors.shape[0], problem.zz.shape[2]
    p = problem.xy.shape[0] - 1
    schur, a, b, t = _scratch(problem)
    v = np.empty((q, min(BLOCK, groups)))
    for draw in range(points.shape[0]):
        theta = points[draw]
        _log_marginal(theta, problem, schur, a, b, t)
        mean, inverse = _common_solution(schur)
        for i in range(p):
            beta[draw, i] = mean[i]
            for k in range(i, p):
                beta[draw, i] += inverse[k, i] * noise[draw, k]
        precision = math.exp(-2.0 * theta[q + pairs])
        covariance = covariance_factor(theta, q, pairs)
        factor = _product(problem.group_map, covariance)
        for start in range(0, groups, BLOCK):
            width = min(BLOCK, groups - start)
            if groups > BLOCK:
                _eliminate(problem, factor, precision, start, width, a, b, t)
            for i in range(q):
                _copy(v[i, :width], noise[draw, p + i * groups + start : p + i * groups + start + width])
                _add_multiple(v[i, :width], 1.0, b[i, p])
                for k in range(p):
                    _add_multiple(v[i, :width], -beta[draw, k], b[i, k])
            _back_substitute(a, v)
            for i in range(q):
                _combine(u[draw, i, start : start + width], v[: i + 1], covariance[i, : i + 1], 1.0)
