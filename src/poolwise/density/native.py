"""The collapsed density as a C function, so that a sampler written in another language calls no Python."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import DENSITY_SIGNATURE, callback, carray, kernel, pointer
from poolwise.density.kernels import Problem, value_and_gradient
from poolwise.density.theta import Prior


@kernel
def _problem_at(words):
    """Rebuild the problem from `describe_problem`'s words: sizes of zxy, c, m and monotonic terms, then addresses."""
    blocks, q, columns, width = words[0], words[1], words[2], words[3]
    pairs, hyper, monotonic = words[4], words[5], words[6]
    p = columns - 1
    prior = Prior(
        carray(pointer(words[12]), (q,), np.int64),
        carray(pointer(words[13]), (p, p), np.float64),
        carray(pointer(words[14]), (p,), np.float64),
        carray(pointer(words[15]), (p,), np.float64),
        carray(pointer(words[16]), (p, 4 * hyper), np.float64),
        carray(pointer(words[17]), (p,), np.int64),
        carray(pointer(words[18]), (monotonic, 3), np.int64),
        carray(pointer(words[19]), (q + 1 + hyper, 6), np.float64),
        carray(pointer(words[20]), (pairs, 2), np.float64),
        carray(pointer(words[21]), (q, q), np.float64),
        carray(pointer(words[22]), (q,), np.float64),
        carray(pointer(words[23]), (2,), np.float64)[1],
    )
    return Problem(
        carray(pointer(words[7]), (blocks, q, q, width), np.float64),
        carray(pointer(words[8]), (blocks, q, columns, width), np.float64),
        carray(pointer(words[9]), (columns, columns), np.float64),
        carray(pointer(words[23]), (2,), np.float64)[0],
        carray(pointer(words[10]), (q, q), np.float64),
        carray(pointer(words[11]), (q, q), np.float64),
        prior,
    )


def describe_problem(problem: Problem) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Sizes and addresses of a problem's arrays for `log_density_callback`, and the arrays to be kept alive."""
    scalars = np.array([problem.rows, problem.prior.log_constant])
    arrays = tuple(
        np.ascontiguousarray(array)
        for array in (*problem[:3], problem.group_map, problem.to_written, *problem.prior[:-1], scalars)
    )
    prior = problem.prior
    sizes = [*problem.zxy.shape, len(prior.correlations), prior.follows.shape[1] // 4, len(prior.simplexes)]
    return np.array(sizes + [array.ctypes.data for array in arrays], dtype=np.int64), arrays


@callback(DENSITY_SIGNATURE)
def log_density_callback(dimension, point, gradient, value, words):
    """Value and gradient at a point; a non-zero answer means that the density is not finite there."""
    problem = _problem_at(carray(words, (24,), np.int64))
    slope = carray(gradient, (dimension,))
    result = value_and_gradient(carray(point, (dimension,)), problem, slope)
    carray(value, (1,))[0] = result
    return 0 if np.isfinite(result) and np.all(np.isfinite(slope)) else 4
