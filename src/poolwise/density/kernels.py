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
from poolwise.compiled.types import Array3, Array4, Matrix, Vector
from poolwise.density.dense import cholesky, common_solution, finite, product
from poolwise.density.elimination import add_multiple, clear, dot, eliminate, multiply, subtract_product
from poolwise.density.theta import (
    Prior,
    add_prior_rows,
    covariance_factor,
    factor_pullback,
    log_prior,
    prior_penalty,
    scale_common,
    unscale_common,
    usable,
)

BLOCK = 256  # groups at a time: 20 rows of 256 doubles are 40 kB
LOG_2PI = math.log(2 * math.pi)


class Problem(NamedTuple):
    """All that the density knows, as arrays: p coefficients, q effects, J groups."""

    zz: Array4  # (blocks, q, q, width) Z_j'Z_j, groups in blocks; empty groups fill the last one
    zxy: Array4  # (blocks, q, p + 1, width) Z_j'[X, y]
    xy: Matrix  # (p + 1, p + 1) [X, y]'[X, y]
    rows: float  # n
    group_map: Matrix  # (q, q) from the effects that theta speaks of to the shifted effects in Z
    to_written: Matrix  # (q, q) from the same to the effects as written
    prior: Prior


@kernel
def common_block(theta, problem, precision, schur):
    """[X, y]'[X, y] / sigma^2 with the priors added as rows, into `schur`; returns the log of the prior precisions."""
    for i in range(schur.shape[0]):
        for j in range(i + 1):
            schur[i, j] = precision * problem.xy[i, j]
    return add_prior_rows(theta, problem.prior, schur)


@kernel
def _subtract_block(b, schur):
    """Take what the groups of a block explain, B'B, from the lower triangle of the common block."""
    for i in range(schur.shape[0]):
        for j in range(i + 1):
            for k in range(b.shape[0]):
                schur[i, j] -= dot(b, k, i, b, k, j)


@kernel
def log_marginal(theta, problem, scratch):
    """log p(y | theta); leaves the factor of the common block, covariance factors and the last block in `scratch`."""
    schur, a, b, t, covariance, factor = scratch
    q, pairs = problem.zz.shape[1], problem.prior.correlations.shape[0]
    columns = problem.xy.shape[0]
    log_sigma = theta[q + pairs]
    precision = math.exp(-2.0 * log_sigma)
    covariance_factor(theta, problem.prior.starts, covariance)
    product(problem.group_map, covariance, factor)
    log_precisions = common_block(theta, problem, precision, schur)
    log_determinant = 0.0
    for block in range(problem.zz.shape[0]):
        log_determinant += eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
        _subtract_block(b, schur)
    scale_common(theta, problem.prior, schur)
    if not cholesky(schur):
        return -np.inf
    for i in range(columns - 1):
        log_determinant += 2.0 * math.log(schur[i, i])
    value = (
        0.5 * log_precisions
        + problem.prior.log_constant
        - 0.5 * log_determinant
        - 0.5 * schur[columns - 1, columns - 1]
    )
    value -= problem.rows * (log_sigma + 0.5 * LOG_2PI)
    return finite(value)


@kernel
def scratch_of(problem):
    """Room for one evaluation: common block, one block of groups, covariance factors."""
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
def log_densities(points: Matrix, problem: Problem, out: Vector) -> None:
    """Unnormalised log posterior of theta at each row of `points` (m, d), into `out` (m,)."""
    scratch = scratch_of(problem)
    unused = np.empty(points.shape[1])
    for i in range(points.shape[0]):
        if usable(points[i]):
            out[i] = log_marginal(points[i], problem, scratch) + log_prior(points[i], problem.prior, unused)
        else:
            out[i] = -np.inf


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
def value_and_gradient(theta: Vector, problem: Problem, gradient: Vector) -> float:
    """Unnormalised log posterior of theta; its gradient by Fisher's identity goes into `gradient` (d,)."""
    q, pairs = problem.zz.shape[1], problem.prior.correlations.shape[0]
    p, blocks = problem.xy.shape[0] - 1, problem.zz.shape[0]
    if not usable(theta):
        gradient[:] = 0.0
        return -np.inf
    scratch = scratch_of(problem)
    schur, a, b, t, covariance, factor = scratch
    value = log_marginal(theta, problem, scratch)
    if value == -np.inf:
        gradient[:] = 0.0
        return value
    value += log_prior(theta, problem.prior, gradient)
    mean, inverse = np.empty(p), np.empty((p, p))
    common_solution(schur, mean, inverse)
    unscale_common(theta, problem.prior, mean, inverse)
    precision = math.exp(-2.0 * theta[q + pairs])
    slope, written_slope = np.zeros((q, q)), np.empty((q, q))
    spread, monotonic = 0.0, problem.prior.simplexes.shape[0] > 0
    given = np.empty((p + 1, p + 1) if monotonic else (0, 0))
    if monotonic:
        common_block(theta, problem, precision, given)
    for block in range(blocks):
        if blocks > 1:  # a single block still stands as the marginal left it
            eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
        if monotonic:
            _subtract_block(b, given)
        spread += _add_block_slopes(problem.zxy[block], mean, inverse, a, b, t, slope)
    product(problem.group_map.T, precision * slope, written_slope)
    factor_pullback(theta, covariance, written_slope, problem.prior.starts, gradient)
    penalty = prior_penalty(theta, problem.prior, given, mean, inverse, gradient)
    # E[RSS] / sigma^2 is what remains of the expected total quadratic form, whose mean is its minimum plus its rank.
    gradient[q + pairs] += schur[p, p] + p + blocks * q * problem.zz.shape[3] - penalty - spread - problem.rows
    return value


@kernel
def values_and_gradients(points: Matrix, problem: Problem, out: Vector, gradients: Matrix) -> None:
    """`value_and_gradient` at each row of `points` (m, d), into `out` (m,) and `gradients` (m, d)."""
    for i in range(points.shape[0]):
        out[i] = value_and_gradient(points[i], problem, gradients[i])


@kernel
def _noise_of_known(schur, mean, known, beta):
    """Put the noise that leads to the last `known` coefficients in their place; the log density of these."""
    value = 0.0
    for i in range(mean.size - known, mean.size):
        noise = 0.0
        for k in range(i, mean.size):
            noise += schur[k, i] * (beta[k] - mean[k])
        beta[i] = noise
        value += math.log(schur[i, i]) - 0.5 * noise * noise - 0.5 * LOG_2PI
    return value


@kernel
def common_given(points: Matrix, problem: Problem, known: int, beta: Matrix, out: Vector) -> None:
    """Common coefficients given each theta, exact: conditional mean plus noise scaled by the conditional spread; and
    `log_densities` into `out` (m,), where some coefficients are known of theta and these.

    points (m, d). beta (m, p) holds standard normals, or zeros for the conditional means, and the last `known`
    coefficients themselves; it is overwritten by the coefficients of X in working coordinates.
    """
    p = problem.xy.shape[0] - 1
    scratch = scratch_of(problem)
    mean, inverse, unused = np.empty(p), np.empty((p, p)), np.empty(points.shape[1])
    for draw in range(points.shape[0]):
        out[draw] = -np.inf
        if not usable(points[draw]):
            continue
        out[draw] = log_marginal(points[draw], problem, scratch) + log_prior(points[draw], problem.prior, unused)
        common_solution(scratch[0], mean, inverse)
        unscale_common(points[draw], problem.prior, mean, inverse)
        out[draw] += _noise_of_known(scratch[0], mean, known, beta[draw])
        for i in range(p):
            total = mean[i]
            for k in range(i, p):
                total += inverse[k, i] * beta[draw, k]
            beta[draw, i] = total


@kernel
def offsets_given(points: Matrix, problem: Problem, block: int, beta: Matrix, u: Array3, means: Array3) -> None:
    """Effects of one block of groups given each theta and beta, exact: their means as written, and how far away draws
    are.

    points (m, d), beta (m, p) in working coordinates. u (m, q, width) holds standard normals, in whose place these
    distances go; means (m, q, width) is filled.
    """
    q, pairs = problem.zz.shape[1], problem.prior.correlations.shape[0]
    p, width = problem.xy.shape[0] - 1, problem.zz.shape[3]
    _, a, b, t, covariance, factor = scratch_of(problem)
    v, written = np.empty((q, 1, width)), np.empty((q, q))
    for draw in range(points.shape[0]):
        theta = points[draw]
        precision = math.exp(-2.0 * theta[q + pairs])
        covariance_factor(theta, problem.prior.starts, covariance)
        product(problem.group_map, covariance, factor)
        product(problem.to_written, covariance, written)
        eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
        for i in range(q):
            for g in range(width):
                v[i, 0, g] = b[i, p, g]
            for k in range(p):
                add_multiple(v, i, 0, -beta[draw, k], b, i, k)
        _back_substitute(a, v)
        _write(written, v, means[draw])
        for i in range(q):
            for g in range(width):
                v[i, 0, g] = u[draw, i, g]
        _back_substitute(a, v)
        _write(written, v, u[draw])


@kernel
def _write(written, v, effects):
    """A matrix times scaled effects (q, 1, width), into `effects` (q, width)."""
    for i in range(v.shape[0]):
        for g in range(v.shape[2]):
            effects[i, g] = written[i, 0] * v[0, 0, g]
        for k in range(1, v.shape[0]):
            if written[i, k] != 0.0:
                for g in range(v.shape[2]):
                    effects[i, g] += written[i, k] * v[k, 0, g]


@kernel
def add_unexplained(points: Matrix, problem: Problem, block: int, total: Matrix) -> None:
    """Add Var(u_jk | y, beta, theta) / tau_k^2 of one block, summed over `points` (m, d), to `total` (q, width)."""
    q, pairs = problem.zz.shape[1], problem.prior.correlations.shape[0]
    width = problem.zz.shape[3]
    _, a, b, t, covariance, factor = scratch_of(problem)
    v, written = np.empty((q, 1, width)), np.empty((q, q))
    for draw in range(points.shape[0]):
        theta = points[draw]
        precision = math.exp(-2.0 * theta[q + pairs])
        covariance_factor(theta, problem.prior.starts, covariance)
        product(problem.group_map, covariance, factor)
        product(problem.to_written, covariance, written)
        eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
        # Var u = M A^-1 M' with A = L L': the squared rows of M L^-T, one column at a time.
        for column in range(q):
            for i in range(q):
                clear(v, i, 0)
            for g in range(width):
                v[column, 0, g] = 1.0
            _back_substitute(a, v)
            for i in range(q):
                square = 0.0
                for k in range(q):
                    square += written[i, k] * written[i, k]
                for g in range(width):
                    effect = 0.0
                    for k in range(q):
                        effect += written[i, k] * v[k, 0, g]
                    total[i, g] += effect * effect / square
