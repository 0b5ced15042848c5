"""Compiled kernels of what is left out: rows given the others, and groups given the others, without a refit.

Notation of `kernels.py`. Derivation: `docs/explanation/leave-out.md`.
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Array3, IntVector, Matrix, Vector
from poolwise.density.dense import cholesky, common_solution, product
from poolwise.density.elimination import dot, eliminate
from poolwise.density.kernels import LOG_2PI, Problem, common_block, log_marginal, scratch_of
from poolwise.density.theta import covariance_factor, scale_common, unscale_common


@kernel
def row_moments(
    points: Matrix,
    problem: Problem,
    x: Matrix,
    z: Matrix,
    lanes: IntVector,
    bounds: IntVector,
    residual: Matrix,
    variance: Matrix,
) -> None:
    """Outcome minus E[eta | y, theta], and Var(eta | y, theta), of rows for each theta; both (m, n).

    Parameters
    ----------
    points : (m, d).
    x, z : (n, p + 1) and (n, q) rows of [X, y] and of Z, in working coordinates, ordered by block.
    lanes : (n,) place of each row's group in its block.
    bounds : (blocks + 2,) where the rows of each block begin; those of groups without data come last.
    """
    q, p, blocks = z.shape[1], x.shape[1] - 1, problem.zz.shape[0]
    scratch = scratch_of(problem)
    schur, a, b, t, covariance, factor = scratch
    g, rest, mean, inverse = np.empty(q), np.empty(p), np.empty(p), np.empty((p, p))
    for draw in range(points.shape[0]):
        theta = points[draw]
        log_marginal(theta, problem, scratch)
        common_solution(schur, mean, inverse)
        unscale_common(theta, problem.prior, mean, inverse)
        precision = math.exp(-2.0 * theta[q + problem.prior.correlations.shape[0]])
        for block in range(blocks + 1):
            known = block < blocks
            if known and bounds[block] < bounds[block + 1]:
                eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
            for i in range(bounds[block], bounds[block + 1]):
                lane = lanes[i]
                spread, fitted = 0.0, 0.0
                for k in range(q):  # g = L^-1 M' z, where a group without data has L = I
                    total = 0.0
                    for j in range(q):
                        total += factor[j, k] * z[i, j]
                    if known:
                        for j in range(k):
                            total -= a[k, j, lane] * g[j]
                        total *= a[k, k, lane]
                        fitted += total * b[k, p, lane]
                    g[k] = total
                    spread += total * total
                for c in range(p):
                    total = x[i, c]
                    if known:
                        for k in range(q):
                            total -= g[k] * b[k, c, lane]
                    rest[c] = total
                    fitted += total * mean[c]
                for c in range(p):
                    total = 0.0
                    for j in range(c + 1):
                        total += inverse[c, j] * rest[j]
                    spread += total * total
                residual[draw, i] = x[i, p] - fitted
                variance[draw, i] = spread


@kernel
def groups_left_out(
    points: Matrix, problem: Problem, own: Array3, rows: Vector, log_weights: Vector, out: Matrix
) -> None:
    """log p(rows of a group | rows of all others, theta) of every group, into `out` (m, J).

    Parameters
    ----------
    points : (m, d).
    own : (J, p + 1, p + 1) [X, y]'[X, y] of each group.
    rows, log_weights : (J,) number of rows, and the sum of the logs of their weights.
    """
    q, p = problem.zz.shape[1], problem.xy.shape[0] - 1
    width = problem.zz.shape[3]
    scratch = scratch_of(problem)
    schur, a, b, t, covariance, factor = scratch
    total, without = np.empty((p + 1, p + 1)), np.empty((p + 1, p + 1))
    for draw in range(points.shape[0]):
        theta = points[draw]
        log_sigma = theta[q + problem.prior.correlations.shape[0]]
        precision = math.exp(-2.0 * log_sigma)
        covariance_factor(theta, problem.prior.starts, covariance)
        product(problem.group_map, covariance, factor)
        common_block(theta, problem, precision, total)
        for block in range(problem.zz.shape[0]):
            eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
            for i in range(p + 1):
                for j in range(i + 1):
                    for k in range(q):
                        total[i, j] -= dot(b, k, i, b, k, j)
        for i in range(total.shape[0]):
            for j in range(total.shape[1]):
                schur[i, j] = total[i, j]
        scale_common(theta, problem.prior, schur)
        cholesky(schur)
        whole = -0.5 * schur[p, p]
        for i in range(p):
            whole -= math.log(schur[i, i])
        for group in range(own.shape[0]):
            block, lane = group // width, group % width
            if lane == 0:
                eliminate(problem.zz[block], problem.zxy[block], factor, precision, a, b, t)
            value = whole - rows[group] * (log_sigma + 0.5 * LOG_2PI) + 0.5 * log_weights[group]
            for k in range(q):
                value += math.log(a[k, k, lane])
            for i in range(p + 1):
                for j in range(i + 1):
                    without[i, j] = total[i, j] - precision * own[group, i, j]
                    for k in range(q):
                        without[i, j] += b[k, i, lane] * b[k, j, lane]
            scale_common(theta, problem.prior, without)
            cholesky(without)
            value += 0.5 * without[p, p]
            for i in range(p):
                value += math.log(without[i, i])
            out[draw, group] = value
