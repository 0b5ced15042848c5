"""Compiled kernels: log likelihoods of a family beside those of working outcomes, group by group."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntMatrix, IntVector, Matrix, Vector
from poolwise.density.latent.noise import normals
from poolwise.families.callback import call_rows
from poolwise.families.links import to_location

_BLOCK = 512


@kernel
def remainders(
    address: int,
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
    """Log likelihood by the family less that of normal working outcomes, of each group's rows, into `out` (m, G).

    Parameters
    ----------
    address, code : of the family's kernel, and of its link.
    y, trials, weights, known : (n,) of rows in the order of their groups.
    columns, slot_values, slot_places : as those of `Observations`.
    working, precisions : (n,) working outcomes and their precisions.
    constants : (G,) what the normal log likelihoods of each group's rows have beside their squares.
    starts : (G + 1,) where the rows of each group begin.
    beta, u : (m, p) and (m, U) coefficients and effects.
    """
    predictors, slopes, information = np.empty((1, _BLOCK)), np.empty((1, _BLOCK)), np.empty((1, _BLOCK))
    chain = np.empty(_BLOCK)
    for draw in range(beta.shape[0]):
        for group in range(starts.size - 1):
            total = -constants[group]
            for begin in range(starts[group], starts[group + 1], _BLOCK):
                size = min(_BLOCK, starts[group + 1] - begin)
                if size != predictors.shape[1]:  # kernels take contiguous arrays
                    predictors, slopes = np.empty((1, size)), np.empty((1, size))
                    information = np.empty((1, size))
                eta = predictors[0]
                for i in range(size):
                    eta[i] = known[begin + i]
                for k in range(columns.shape[0]):
                    slope = beta[draw, k]
                    for i in range(size):
                        eta[i] += slope * columns[k, begin + i]
                for s in range(slot_values.shape[0]):
                    for i in range(size):
                        eta[i] += slot_values[s, begin + i] * u[draw, slot_places[s, begin + i]]
                squares = 0.0
                for i in range(size):
                    away = working[begin + i] - eta[i]
                    squares += precisions[begin + i] * away * away
                to_location(code, eta, chain)
                part = slice(begin, begin + size)
                total += call_rows(address, y[part], trials[part], weights[part], predictors, slopes, information)
                total += 0.5 * squares
            out[draw, group] = total


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
def noise_at(points: Matrix, out: Matrix) -> None:
    """Standard normals (m, n) that depend on each of the points (m, d) alone."""
    for i in range(points.shape[0]):
        normals(points[i], out[i], 0)
