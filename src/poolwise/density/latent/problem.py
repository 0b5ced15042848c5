"""What kernels of a latent density are given, and the coordinates in which it is sampled.

A point is [theta (d - T), z (p + U)], without those T numbers of theta that follow others: z is whitened by a normal
approximation at the mode, so that it is about standard normal under the posterior, whatever theta.

For a group with effects u ~ N(0, M M'), M the covariance factor at theta, let I be the information of its rows and s
their score. Under that approximation u = M w with w ~ N(K^-1 M' s, K^-1), K = 1 + M' I M = C C'. So

    w = C'^-1 (C^-1 M' s + zeta),    u = M w,

with zeta standard normal: where rows say little this is the non-centred form (C near 1), where they say much the
centred one, and for every group the mixture of both that its rows ask for (compare Papaspiliopoulos, Roberts and
Skold 2007).

Factors come in the order of their sizes, the smallest first. The information on a group's effects is that which remains
when finer factors are integrated out, and its score is what the coefficients and coarser factors leave of it. For the
leaf, the factor with the most effects, that holds at every theta: s - H (x - mode of x), H what its rows share with all
other coordinates x. Those others are mixed by one fixed matrix, which is right at the mode of theta; elsewhere their
scores follow what theta does to coarser effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from poolwise.compiled import carray, kernel, pointer
from poolwise.density.theta import Prior


class Data(NamedTuple):
    """n distinct rows, p coefficients, s slots of effects; see `Observations`."""

    y: np.ndarray  # (n,)
    trials: np.ndarray  # (n,)
    weights: np.ndarray  # (n,)
    known: np.ndarray  # (parameters, n)
    columns: np.ndarray  # (p, n)
    of_column: np.ndarray  # (p,)
    slot_values: np.ndarray  # (s, n)
    slot_places: np.ndarray  # (s, n)
    of_slot: np.ndarray  # (s,)
    shared: np.ndarray  # (parameters,) place in theta of a dispersion that all rows share, -1 for a linear predictor
    link: np.ndarray  # (1,) its code
    terms: np.ndarray  # (T, 4) as in `Observations`


class Monotonic(NamedTuple):
    """t monotonic terms, each one effect that is multiplied by the shares of the steps behind a row."""

    behind: np.ndarray  # (t, n) number of these steps
    times: np.ndarray  # (t, n) what the term is multiplied by
    slot: np.ndarray  # (t,) whose values follow theta
    steps: np.ndarray  # (t,) of the term
    first: np.ndarray  # (t,) place in theta of its first share
    centre: np.ndarray  # (t,) of its coefficient's prior, which its effect is around


class Spread(NamedTuple):
    """U effects in F factors, and what rows say of them at the mode."""

    factors: np.ndarray  # (F, 5) first effect in u, groups, effects of a group, first effect in theta, first number of
    # information; the coarsest factor first
    information: np.ndarray  # of each group's effects, (q, q) after (q, q), in the order of u
    score: np.ndarray  # (U,)
    mode: np.ndarray  # (U,)
    roots: np.ndarray  # A = M C'^-1 at the mode of theta, as `information`
    shared_starts: np.ndarray  # (U + 1,) rows of the sparse matrix H of what scores share with other coordinates
    shared_columns: np.ndarray  # among coefficients and effects (p + U)
    shared_values: np.ndarray
    leaf: np.ndarray  # (2,) first effect of the leaf in u, and their number; (0, 0) without


class Mixing(NamedTuple):
    """The fixed linear map of R coordinates."""

    centre: np.ndarray  # (p,) mode of the coefficients, in coordinates without bounds
    places: np.ndarray  # (R,) in z: the coefficients, and the effects of all factors but the leaf
    matrix: np.ndarray  # (R, R) lower triangular: its transpose takes z to deviations
    bounds: np.ndarray  # (2, p) of coefficients, see `bounds`


class Smooths(NamedTuple):
    """S coefficients of structured terms, which are the last effects: a factor of one group for each term. Their log
    precisions follow the last m numbers of theta, as those of prior rows do; see `Prior`."""

    precision: np.ndarray  # (S,)
    follows: np.ndarray  # (S, 4 m)


class Tied(NamedTuple):
    """Log sds of effects that follow the last numbers of theta, and are no coordinates of a point; see `ties`."""

    places: np.ndarray  # (T,)
    follows: np.ndarray  # (T, 4 m)
    shifts: np.ndarray  # (T,)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """All of it; `constant` is that of the log density."""

    data: Data
    monotonic: Monotonic
    spread: Spread
    mixing: Mixing
    prior: Prior
    smooths: Smooths
    tied: Tied
    constant: float

    def words(self) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Address, length and width of each array in turn, for kernels; and the arrays, to be kept alive."""
        constant = np.array([self.constant])
        arrays = (
            *self.data, *self.monotonic, *self.spread, *self.mixing, *self.prior[:-1], *self.smooths,
            *self.tied, constant,
        )  # fmt: skip
        kept = tuple(np.ascontiguousarray(array) for array in arrays)
        words = [[array.ctypes.data, *array.shape, *([0] * (2 - array.ndim))] for array in kept]
        return np.array(words, dtype=np.int64).ravel(), kept


# Kernels get one array of words instead of thirty arrays: compiling is ten times as fast. These are its places.
(
    Y, TRIALS, WEIGHTS, KNOWN, COLUMNS, OF_COLUMN, SLOT_VALUES, SLOT_PLACES, OF_SLOT, SHARED, LINK, TERMS,
    BEHIND, TIMES, STEPPED, STEPS, FIRST_SHARE, CENTRE_OF_STEPS,
    FACTORS, INFORMATION, SCORE, MODE, ROOTS, SHARED_STARTS, SHARED_COLUMNS, SHARED_VALUES, LEAF,
    CENTRE, PLACES, MATRIX, BOUNDS,
    STARTS, ROWS, MEAN, PRECISION, FOLLOWS, SCALED, SIMPLEXES, SCALES, CORRELATIONS, STATED, EXPONENTS,
    SMOOTH_PRECISION, SMOOTH_FOLLOWS,
    TIED_PLACES, TIED_FOLLOWS, TIED_SHIFTS,
    CONSTANT, ARRAYS,
) = range(49)  # fmt: skip


@kernel
def floats(words, k):
    """The k-th array, of one dimension, as float64."""
    return carray(pointer(words[3 * k]), (words[3 * k + 1],), np.float64)


@kernel
def wide(words, k):
    """The k-th array, of two dimensions, as float64."""
    return carray(pointer(words[3 * k]), (words[3 * k + 1], words[3 * k + 2]), np.float64)


@kernel
def whole(words, k):
    """The k-th array, of one dimension, as int64."""
    return carray(pointer(words[3 * k]), (words[3 * k + 1],), np.int64)


@kernel
def wide_whole(words, k):
    """The k-th array, of two dimensions, as int64."""
    return carray(pointer(words[3 * k]), (words[3 * k + 1], words[3 * k + 2]), np.int64)
