"""Compiled kernels: polynomials of each level's own effects, whose coefficients are linear in all else."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel
from poolwise.compiled.types import Array3, IntMatrix, IntVector, Matrix, Vector


@exact_kernel  # a draw's digits are the same beside any others
def coefficients_given(
    own: Array3,
    bounds: IntVector,
    places: IntVector,
    slopes: Array3,
    shifts: Matrix,
    others: Matrix,
    powers: Matrix,
    out: Array3,
    shifted: Array3,
) -> None:
    """Coefficients of the polynomials of levels at some draws of all else, into `out` (L, M, m), and what these add to
    the levels' own effects, into `shifted` (L, q, m).

    Parameters
    ----------
    own : (E, L, M) for each product of powers of dispersions.
    bounds : (L + 1,) where the entries of each level begin.
    places : (N,) which number of all else an entry is a slope in.
    slopes : (E, N, l) of the first coefficients.
    shifts : (N, q).
    others : (O, m) draws of all else, less where they are expanded.
    powers : (E, m) products of powers of dispersions.
    """
    draws, count = others.shape[1], slopes.shape[2]
    moved = np.empty((count, draws))
    for g in range(own.shape[1]):
        for k in range(own.shape[2]):
            for draw in range(draws):
                out[g, k, draw] = 0.0
        for v in range(shifts.shape[1]):
            for draw in range(draws):
                shifted[g, v, draw] = 0.0
            for n in range(bounds[g], bounds[g + 1]):
                shift, other = shifts[n, v], others[places[n]]
                for draw in range(draws):
                    shifted[g, v, draw] += shift * other[draw]
        for e in range(own.shape[0]):
            power = powers[e]
            for k in range(own.shape[2]):
                coefficient = own[e, g, k]
                for draw in range(draws):
                    out[g, k, draw] += coefficient * power[draw]
            for k in range(count):
                for draw in range(draws):
                    moved[k, draw] = 0.0
            for n in range(bounds[g], bounds[g + 1]):
                other = others[places[n]]
                for k in range(count):
                    slope = slopes[e, n, k]
                    for draw in range(draws):
                        moved[k, draw] += slope * other[draw]
            for k in range(count):
                for draw in range(draws):
                    out[g, k, draw] += moved[k, draw] * power[draw]


@exact_kernel
def level_ratios(
    coefficients: Array3,
    levels: IntVector,
    u: Matrix,
    start: int,
    shifted: Array3,
    origin: Matrix,
    inverse: Array3,
    holds: float,
    furthest: float,
    ends: IntMatrix,
    out: Matrix,
) -> None:
    """The polynomial of each level at draws of its effects, into its column of `out` (m, G), by Horner's scheme.

    Further away than where polynomials hold they go on as cubes, and then there is nothing.

    Parameters
    ----------
    coefficients : (L, M, m) of monomials, at each draw.
    levels : (L,) which level each is of.
    u, start : (U, m) effects, and the place of the first one of the leaf.
    shifted : (L, q, m) what all else adds to the effects v.
    origin, inverse : (L, q) and (L, q, q): polynomials are in s = inverse (v + shifted - origin).
    holds, furthest : lengths of s up to which polynomials are taken as they are, and of the longest.
    ends : as those of `Monomials`.
    """
    q, order, draws = ends.shape[1], ends.shape[0] - 1, u.shape[1]
    most = ends[order - 1, q - 1]
    away, value, below = np.empty((q, draws)), np.empty((most, draws)), np.empty((most, draws))
    squares, stretched = np.empty(draws), np.empty(draws)
    for c in range(levels.size):
        first = start + levels[c] * q
        squares[:] = 0.0
        for v in range(q):
            away[v] = 0.0
            for h in range(q):
                times, from_here = inverse[c, v, h], origin[c, h]
                for draw in range(draws):
                    away[v, draw] += times * (u[first + h, draw] + shifted[c, h, draw] - from_here)
            for draw in range(draws):
                squares[draw] += away[v, draw] * away[v, draw]
        for draw in range(draws):
            stretched[draw] = max(1.0, math.sqrt(squares[draw]) / holds)
            if stretched[draw] > 1.0:
                for v in range(q):
                    away[v, draw] /= stretched[draw]
        for k in range(order, 0, -1):
            low, high = 0 if k == 1 else ends[k - 2, q - 1], ends[k - 1, q - 1]  # first of degree k - 1, and of k
            for j in range(high - low):
                for draw in range(draws):
                    below[j, draw] = coefficients[c, low + j, draw]
            at = high
            for v in range(q):
                times_away = away[v]
                for j in range(ends[k - 1, v] - low):
                    for draw in range(draws):
                        higher = coefficients[c, at + j, draw] if k == order else value[at + j - high, draw]
                        below[j, draw] += times_away[draw] * higher
                at += ends[k - 1, v] - low
            value, below = below, value
        for draw in range(draws):
            centre = coefficients[c, 0, draw]
            own = centre + (value[0, draw] - centre) * stretched[draw] ** 3
            out[draw, levels[c]] = own if squares[draw] <= furthest * furthest else -np.inf


@kernel
def others_at(
    some: IntVector,
    columns: Matrix,
    levels: IntVector,
    shifted: Array3,
    terms: Matrix,
    codes: IntMatrix,
    places: IntVector,
    others: Vector,
    apart: Matrix,
    mean: Vector,
    square: Vector,
) -> None:
    """What all else adds to the linear predictors of some rows (m,), less what moves all rows of their levels alike:
    its mean but for the latter, and its mean square over draws.

    Parameters
    ----------
    columns, levels : (n, q) and (n,) of the rows' own effects.
    shifted : (G, q, d) draws of what all else adds to these effects.
    terms, codes : (T, n) what the rows have of all else, and in which entry; `places` (N,) says of which number.
    others, apart : (O,) means of all else, and (O, d) draws less these.
    """
    draws = apart.shape[1]
    away = np.empty(draws)
    for k in range(some.size):
        i, total, squares = some[k], 0.0, 0.0
        away[:] = 0.0
        for v in range(columns.shape[1]):
            own, of_level = columns[i, v], shifted[levels[i], v]
            for draw in range(draws):
                away[draw] -= own * of_level[draw]
        for t in range(terms.shape[0]):
            term, place = terms[t, i], places[codes[t, i]]
            total += term * others[place]
            of_other = apart[place]
            for draw in range(draws):
                away[draw] += term * of_other[draw]
        for draw in range(draws):
            squares += away[draw] * away[draw]
        mean[k], square[k] = total, squares / draws
