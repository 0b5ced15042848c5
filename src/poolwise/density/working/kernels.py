"""Compiled kernels: log likelihoods of a family beside those of working outcomes, group by group."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import exact_kernel, kernel
from poolwise.compiled.types import IntMatrix, IntVector, Matrix, Vector
from poolwise.density.latent.noise import normals, uniforms
from poolwise.families.callback import call_rows, call_values
from poolwise.families.links import to_location

_BLOCK = 16


@exact_kernel  # a draw's digits are the same beside any others
def remainders(
    address: int,
    values: int,
    code: int,
    y: Vector,
    trials: Vector,
    weights: Vector,
    known: Vector,
    columns: Matrix,
    slot_values: Matrix,
    slot_places: IntMatrix,
    working: Vector,
    precisions: Vector,
    constants: Vector,
    starts: IntVector,
    beta: Matrix,
    u: Matrix,
    out: Matrix,
) -> None:
    """Log likelihood by the family less that of normal working outcomes, of each group's rows, into `out` (G, m).

    Parameters
    ----------
    address, values, code : of the family's kernel, of that of its values alone or zero, and of its link.
    y, trials, weights, known : (n,) of rows in the order of their groups.
    columns, slot_values, slot_places : as those of `Observations`.
    working, precisions : (n,) working outcomes and their precisions.
    constants : (G,) what the normal log likelihoods of each group's rows have beside their squares.
    starts : (G + 1,) where the rows of each group begin.
    beta, u : (p, m) and (U, m) coefficients and effects.
    """
    draws = beta.shape[1]
    predictors, slopes, totals = np.empty(_BLOCK * draws), np.empty(_BLOCK * draws), np.empty(draws)
    for group in range(starts.size - 1):
        for draw in range(draws):
            totals[draw] = -constants[group]
        for begin in range(starts[group], starts[group + 1], _BLOCK):
            size = min(_BLOCK, starts[group + 1] - begin)
            part, eta = slice(begin, begin + size), predictors[: size * draws]
            for i in range(size):
                row, at = begin + i, eta[i * draws : (i + 1) * draws]
                for draw in range(draws):
                    at[draw] = known[row]
                for k in range(columns.shape[0]):
                    x, slope = columns[k, row], beta[k]
                    for draw in range(draws):
                        at[draw] += x * slope[draw]
                for s in range(slot_values.shape[0]):
                    x, effect = slot_values[s, row], u[slot_places[s, row]]
                    for draw in range(draws):
                        at[draw] += x * effect[draw]
                for draw in range(draws):
                    away = working[row] - at[draw]
                    totals[draw] += 0.5 * precisions[row] * away * away
            to_location(code, eta, slopes)
            if values != 0:
                call_values(values, y[part], trials[part], weights[part], eta, totals)
            else:
                _add_values(address, y[part], trials[part], weights[part], eta, totals)
        for draw in range(draws):
            out[group, draw] = totals[draw]


@exact_kernel
def _add_values(address: int, y: Vector, trials: Vector, weights: Vector, locations: Vector, totals: Vector) -> None:
    """As `call_values`, by a kernel that has derivatives too."""
    at, slopes, information = np.empty((1, y.size)), np.empty((1, y.size)), np.empty((1, y.size))
    for draw in range(totals.size):
        for i in range(y.size):
            at[0, i] = locations[i * totals.size + draw]
        totals[draw] += call_rows(address, y, trials, weights, at, slopes, information)


@kernel
def likelihood_slopes(
    address: int, code: int, y: Vector, trials: Vector, weights: Vector, eta: Vector, slopes: Vector
) -> float:
    """Log likelihood of rows at linear predictors (n,), and its derivatives in these, into `slopes` (n,)."""
    predictors, found = np.empty((1, eta.size)), np.empty((1, eta.size))
    information, chain = np.empty((1, eta.size)), np.empty(eta.size)
    for i in range(eta.size):
        predictors[0, i] = eta[i]
    to_location(code, predictors[0], chain)
    value = call_rows(address, y, trials, weights, predictors, found, information)
    for i in range(eta.size):
        slopes[i] = found[0, i] * chain[i] if code != 0 else found[0, i]
    return value


@kernel
def noise_at(points: Matrix, normal: Matrix, uniform: Matrix) -> None:
    """Standard normals (m, n) and uniforms (m, k) that depend on each of the points (m, d) alone."""
    for i in range(points.shape[0]):
        normals(points[i], normal[i], 0)
        uniforms(points[i], uniform[i])
