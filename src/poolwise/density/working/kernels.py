"""Compiled kernels: log likelihoods of a family beside those of working outcomes, group by group."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.compiled.types import IntMatrix, IntVector, Matrix, Vector
from poolwise.density.latent.noise import normals, uniforms
from poolwise.families.callback import call_rows, call_values
from poolwise.families.links import to_location

_BLOCK = 16
_NOWHERE = -1e300  # log of a ratio of zero


@exact_kernel  # a draw's digits are the same beside any others
def remainders(
    address: int,
    values: int,
    code: int,
    y: Vector,
    trials: Vector,
    weights: Vector,
    known: Matrix,
    columns: Matrix,
    slot_values: Matrix,
    slot_places: IntMatrix,
    working: Vector,
    precisions: Vector,
    moves: Matrix,
    constants: Vector,
    starts: IntVector,
    beta: Matrix,
    u: Matrix,
    dispersions: Matrix,
    away: Matrix,
    out: Matrix,
) -> None:
    """Log likelihood by the family less that of normal working outcomes, of each group's rows, into `out` (m, G).

    Parameters
    ----------
    address, values, code : of the family's kernel, of that of its values alone or zero, and of its link.
    y, trials, weights : (n,) of rows in the order of their groups.
    known : (parameters, n) known parts of their linear predictors.
    columns, slot_values, slot_places : as those of `Observations`.
    working, precisions : (n,) working outcomes and their precisions.
    moves : (k, n) what working outcomes are more for a unit of each of `away`.
    constants : (G,) what the normal log likelihoods of each group's rows have beside their squares.
    starts : (G + 1,) where the rows of each group begin.
    beta, u : (p, m) and (U, m) coefficients and effects.
    dispersions : (parameters, m) what is added to all rows' predictors of each parameter.
    away : (k, m).
    """
    parameters, draws = known.shape[0], out.shape[0]
    predictors, slopes, totals = np.empty(parameters * _BLOCK * draws), np.empty(_BLOCK * draws), np.empty(draws)
    misses = np.empty(draws)
    for group in range(starts.size - 1):
        for draw in range(draws):
            totals[draw] = -constants[group]
        for begin in range(starts[group], starts[group + 1], _BLOCK):
            size = min(_BLOCK, starts[group + 1] - begin)
            part, eta = slice(begin, begin + size), predictors[: size * draws]
            for i in range(size):
                row, at = begin + i, eta[i * draws : (i + 1) * draws]
                for draw in range(draws):
                    at[draw] = known[0, row]
                for k in range(columns.shape[0]):
                    x, slope = columns[k, row], beta[k]
                    for draw in range(draws):
                        at[draw] += x * slope[draw]
                for s in range(slot_values.shape[0]):
                    x, effect = slot_values[s, row], u[slot_places[s, row]]
                    for draw in range(draws):
                        at[draw] += x * effect[draw]
                for draw in range(draws):
                    misses[draw] = working[row] - at[draw]
                for k in range(moves.shape[0]):
                    move, times = moves[k, row], away[k]
                    for draw in range(draws):
                        misses[draw] += move * times[draw]
                for draw in range(draws):
                    totals[draw] += 0.5 * precisions[row] * misses[draw] * misses[draw]
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
        for draw in range(draws):
            out[draw, group] = totals[draw]


@exact_kernel
def add_values(address: int, y: Vector, trials: Vector, weights: Vector, predictors: Vector, totals: Vector) -> None:
    """As `call_values`, by a kernel that has derivatives too."""
    draws, n = totals.size, y.size
    parameters = predictors.size // max(n * draws, 1)
    at, slopes, information = np.empty((parameters, n)), np.empty((parameters, n)), np.empty((parameters, n))
    for draw in range(draws):
        for k in range(parameters):
            for i in range(n):
                at[k, i] = predictors[(k * n + i) * draws + draw]
        totals[draw] += call_rows(address, y, trials, weights, at, slopes, information)


@kernel
def likelihood_slopes(
    address: int,
    code: int,
    y: Vector,
    trials: Vector,
    weights: Vector,
    predictors: Matrix,
    slopes: Matrix,
    information: Matrix,
) -> float:
    """Log likelihood of rows at linear predictors (parameters, n), its derivatives in these, and the expected
    information on each, into `slopes` and `information`."""
    at, chain = predictors.copy(), np.empty(y.size)
    to_location(code, at[0], chain)
    value = call_rows(address, y, trials, weights, at, slopes, information)
    if code != 0:
        for i in range(y.size):
            slopes[0, i] *= chain[i]
            information[0, i] *= chain[i] * chain[i]
    return value


@kernel
def noise_at(points: Matrix, normal: Matrix, uniform: Matrix) -> None:
    """Standard normals (m, n) and uniforms (m, k) that depend on each of the points (m, d) alone."""
    for i in range(points.shape[0]):
        normals(points[i], normal[i], 0)
        uniforms(points[i], uniform[i])


@exact_kernel
def add_draw(
    draw: int,
    ratios: Matrix,
    squares: Matrix,
    uniform: Matrix,
    common: float,
    rare: float,
    total: Matrix,
    chosen: IntMatrix,
) -> None:
    """Add a draw of each level to the logs of sums of ratios `total`, and choose it with its share of all so far.

    Parameters
    ----------
    draw : its number.
    ratios, uniform, total, chosen : (m, G).
    squares : (m, G) by which draws under both kinds together are `common` + `rare` exp(square) times as likely as under
        narrow ones alone.
    """
    for i in range(total.shape[0]):
        for g in range(total.shape[1]):
            own = ratios[i, g] - vector.log(common + rare * vector.exp(min(squares[i, g], 700.0)))
            own = own if own > _NOWHERE else _NOWHERE
            before = total[i, g]
            after = max(own, before) + vector.log(1.0 + vector.exp(-abs(own - before)))
            total[i, g] = after
            chosen[i, g] = draw if uniform[i, g] < vector.exp(own - after) else chosen[i, g]
