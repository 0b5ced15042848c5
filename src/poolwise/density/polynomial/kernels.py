"""Compiled kernels: polynomials of each cell's coefficients, summed over rows and evaluated at draws."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel
from poolwise.compiled.types import Array3, IntMatrix, IntVector, Matrix, Vector
from poolwise.density.working.kernels import add_values
from poolwise.families.callback import call_values
from poolwise.families.links import to_location

_BLOCK = 16


@exact_kernel
def add_node(share: float, slopes: Matrix, hermite: Vector, of_mean: Matrix, in_logs: Matrix) -> None:
    """Add a node of a quadrature to the sums of slopes (1 + k, n) times Hermite polynomials (order,), into `of_mean`
    (order, n), and of slopes in logs of dispersions, into `in_logs` (k, n)."""
    for a in range(of_mean.shape[0]):
        times = share * hermite[a]
        for i in range(slopes.shape[1]):
            of_mean[a, i] += times * slopes[0, i]
    for j in range(in_logs.shape[0]):
        for i in range(slopes.shape[1]):
            in_logs[j, i] += share * slopes[1 + j, i]


@exact_kernel
def add_times(times: float, values: Matrix, out: Matrix) -> None:
    """Add so many times the first of some values (., n) to `out` (m, n)."""
    for a in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[a, i] += times * values[a, i]


@exact_kernel
def add_polynomials(
    x: Matrix, codes: IntVector, coefficients: Matrix, root: Array3, ends: IntMatrix, sums: Matrix
) -> None:
    """Add sum_k a_k (x . R s)^k of each row, but for multinomial coefficients, to the polynomial in s of its cell.

    Parameters
    ----------
    x : (n, d) rows.
    codes : (n,) their cells.
    coefficients : (order + 1, n) a.
    root : (C, d, d) R.
    ends : as those of `Monomials`.
    sums : (C, M).
    """
    d, order = ends.shape[1], ends.shape[0] - 1
    powers, turned = np.empty(sums.shape[1]), np.empty(d)
    powers[0] = 1.0
    for i in range(x.shape[0]):
        c = codes[i]
        for v in range(d):
            turned[v] = 0.0
            for h in range(d):
                turned[v] += x[i, h] * root[c, h, v]
        sums[c, 0] += coefficients[0, i]
        before, start = 0, 1
        for k in range(1, order + 1):
            at, a = start, coefficients[k, i]
            for v in range(d):
                own, size = turned[v], ends[k - 1, v] - before
                for j in range(size):
                    powers[at + j] = own * powers[before + j]
                at += size
            for j in range(start, at):
                sums[c, j] += a * powers[j]
            before, start = start, at


@exact_kernel  # a draw's digits are the same beside any others
def polynomial_remainders(
    base: Matrix,
    u: Matrix,
    slots: Matrix,
    places: IntMatrix,
    levels: IntVector,
    origin: Matrix,
    inverse: Array3,
    holds: float,
    furthest: float,
    ends: IntMatrix,
    sizes: IntVector,
    polynomials: Matrix,
    powers: Matrix,
    out: Matrix,
) -> None:
    """Add the polynomial of each cell, at the weights of its columns, to its level in `out` (m, G), by Horner's scheme.

    Further away than where polynomials hold they go on as cubes, and then there is nothing.

    Parameters
    ----------
    base : (d, m) weights that all cells share.
    u : (U, m) effects.
    slots : (S, d) what each effect of a cell adds to its weights.
    places : (S, C) where these effects are.
    levels : (C,).
    origin, inverse : (C, d) and (C, d, d): polynomials are in s = inverse (w - origin).
    holds, furthest : lengths of s up to which polynomials are taken as they are, and of the longest.
    ends : as those of `Monomials`, of the whole polynomials.
    sizes : (E,) terms of what is added for each product of powers of dispersions; the first is of none, and whole.
    polynomials : (C, M) one after the other.
    powers : (E, m) these products.
    """
    d, order, draws = ends.shape[1], ends.shape[0] - 1, base.shape[1]
    same = sizes.size == 1  # without dispersions: coefficients are those of all draws, which takes half the time
    most, coefficients = ends[order - 1, d - 1], np.empty((sizes[0], draws))
    plain, away = np.empty((d, draws)), np.empty((d, draws))
    value, below = np.empty((most, draws)), np.empty((most, draws))
    squares, stretched = np.empty(draws), np.empty(draws)
    for c in range(levels.size):
        for v in range(d):
            for draw in range(draws):
                plain[v, draw] = base[v, draw] - origin[c, v]
            for s in range(slots.shape[0]):
                times = slots[s, v]
                if times != 0.0:
                    effect = u[places[s, c]]
                    for draw in range(draws):
                        plain[v, draw] += times * effect[draw]
        squares[:] = 0.0
        for v in range(d):
            away[v] = 0.0
            for h in range(d):
                times = inverse[c, v, h]
                for draw in range(draws):
                    away[v, draw] += times * plain[h, draw]
            for draw in range(draws):
                squares[draw] += away[v, draw] * away[v, draw]
        for draw in range(draws):
            stretched[draw] = max(1.0, math.sqrt(squares[draw]) / holds)
            if stretched[draw] > 1.0:
                for v in range(d):
                    away[v, draw] /= stretched[draw]
        if not same:
            for j in range(sizes[0]):
                coefficient = polynomials[c, j]
                for draw in range(draws):
                    coefficients[j, draw] = coefficient
        place = sizes[0]
        for e in range(1, sizes.size):
            power = powers[e]
            for j in range(sizes[e]):
                coefficient = polynomials[c, place + j]
                for draw in range(draws):
                    coefficients[j, draw] += coefficient * power[draw]
            place += sizes[e]
        for k in range(order, 0, -1):
            first, start = 0 if k == 1 else ends[k - 2, d - 1], ends[k - 1, d - 1]  # of degree k - 1, and of k
            for j in range(ends[k - 1, d - 1] - first):
                coefficient = polynomials[c, first + j]
                for draw in range(draws):
                    below[j, draw] = coefficient if same else coefficients[first + j, draw]
            at = start
            for v in range(d):
                times = away[v]
                for j in range(ends[k - 1, v] - first):
                    total = below[j]
                    if k == order and same:
                        coefficient = polynomials[c, at + j]
                        for draw in range(draws):
                            total[draw] += coefficient * times[draw]
                    elif k == order:
                        for draw in range(draws):
                            total[draw] += coefficients[at + j, draw] * times[draw]
                    else:
                        higher = value[at + j - start]
                        for draw in range(draws):
                            total[draw] += times[draw] * higher[draw]
                at += ends[k - 1, v] - first
            value, below = below, value
        level = levels[c]
        for draw in range(draws):
            centre = polynomials[c, 0] if same else coefficients[0, draw]
            own = centre + (value[0, draw] - centre) * stretched[draw] ** 3
            out[draw, level] += own if squares[draw] <= furthest * furthest else -np.inf


@exact_kernel
def add_log_likelihoods(
    address: int,
    values: int,
    code: int,
    y: Vector,
    trials: Vector,
    weights: Vector,
    known: Matrix,
    x: Matrix,
    codes: IntVector,
    base: Matrix,
    u: Matrix,
    slots: Matrix,
    places: IntMatrix,
    dispersions: Matrix,
    totals: Vector,
) -> None:
    """Add the log likelihood of rows at some draws to `totals` (m,).

    Parameters
    ----------
    address, values, code : of the family's kernel, of that of its values alone or zero, and of its link.
    y, trials, weights, known : (n,) and (parameters, n) of rows.
    x, codes : (n, d) columns of rows and (n,) their cells.
    base, u, slots, places : as those of `polynomial_remainders`, of all cells.
    dispersions : (parameters, m) what is added to all rows' predictors of each parameter.
    """
    parameters, draws, d = known.shape[0], totals.size, x.shape[1]
    predictors, slopes = np.empty(parameters * _BLOCK * draws), np.empty(_BLOCK * draws)
    for begin in range(0, y.size, _BLOCK):
        size = min(_BLOCK, y.size - begin)
        part, eta = slice(begin, begin + size), predictors[: size * draws]
        for i in range(size):
            row, at = begin + i, eta[i * draws : (i + 1) * draws]
            for draw in range(draws):
                at[draw] = known[0, row]
            for v in range(d):
                own, weight = x[row, v], base[v]
                for draw in range(draws):
                    at[draw] += own * weight[draw]
            for s in range(slots.shape[0]):
                own = 0.0
                for v in range(d):
                    own += x[row, v] * slots[s, v]
                effect = u[places[s, codes[row]]]
                for draw in range(draws):
                    at[draw] += own * effect[draw]
        to_location(code, eta, slopes)
        for k in range(1, parameters):
            for i in range(size):
                start, own = (k * size + i) * draws, known[k, begin + i]
                for draw in range(draws):
                    predictors[start + draw] = own + dispersions[k, draw]
        every = predictors[: parameters * size * draws]
        if values != 0:
            call_values(values, y[part], trials[part], weights[part], every, totals)
        else:
            add_values(address, y[part], trials[part], weights[part], every, totals)
