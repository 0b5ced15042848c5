"""The expected information of rows on coefficients and effects, gathered block by block."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntVector, Matrix, Vector
from poolwise.density.latent.kernels import linear_predictors, step_weights
from poolwise.density.latent.problem import (
    BEHIND,
    COLUMNS,
    FACTORS,
    KNOWN,
    LEAF,
    LINK,
    OF_COLUMN,
    OF_SLOT,
    SLOT_PLACES,
    SLOT_VALUES,
    STEPPED,
    TERMS,
    TIMES,
    TRIALS,
    WEIGHTS,
    Y,
    floats,
    whole,
    wide,
    wide_whole,
)
from poolwise.families.callback import call_rows
from poolwise.families.links import to_location

_CLEAR = 0.98  # of a correlation that is kept, so that the information stays positive definite


@kernel
def curvature(
    theta: Vector,
    beta: Vector,
    u: Vector,
    words: IntVector,
    in_rest: IntVector,
    blocks: Vector,
    side: Matrix,
    rest: Matrix,
    cut: float,
) -> None:
    """Add up the information of all rows, that of truncation times `cut`.

    A family says what each row tells of each predictor by itself. What it tells of two together has the correlation
    that the slopes of all rows have: their mean product is the expected information at the truth. Of outcomes that
    stand for others it is not known, and left out: for most families that have such it is zero.

    in_rest (p + U,) is the place of a coordinate among the R coupled ones, -1 else. `blocks` takes the information on
    each group's own effects, (q, q) after (q, q) as in `Problem.information`; `rest` (R, R) that on the coupled ones;
    `side` (leaf, R) what leaf effects share with them.
    """
    y, columns, of_column = floats(words, Y), wide(words, COLUMNS), whole(words, OF_COLUMN)
    slot_values, slot_places, of_slot = wide(words, SLOT_VALUES), wide_whole(words, SLOT_PLACES), whole(words, OF_SLOT)
    factors, leaf, terms = wide_whole(words, FACTORS), whole(words, LEAF), wide_whole(words, TERMS)
    n, parameters, p = y.size, wide(words, KNOWN).shape[0], beta.size
    information, slope, chain = np.empty((parameters, n)), np.empty((parameters, n)), np.ones(n)
    stepped, behind, times = whole(words, STEPPED), wide(words, BEHIND), wide(words, TIMES)
    weights_of_steps = step_weights(theta, words)
    for t in range(terms.shape[0]):
        part = slice(terms[t, 0], terms[t, 1])
        size = terms[t, 1] - terms[t, 0]
        predictors, known = np.empty((parameters, size)), np.empty((parameters, size))
        slopes = np.empty((parameters, size))
        linear_predictors(theta, beta, u, words, weights_of_steps, terms[t, 0], predictors)
        to_location(whole(words, LINK)[0], predictors[0], chain[part])
        trials, weights = floats(words, TRIALS)[part], floats(words, WEIGHTS)[part]
        call_rows(terms[t, 2], y[part], trials, weights, predictors, slopes, known)
        for r in range(parameters):
            for i in range(size):
                share = cut if weights[i] < 0.0 else 1.0
                information[r, terms[t, 0] + i] = share * known[r, i]
                slope[r, terms[t, 0] + i] = 0.0 if terms[t, 3] else slopes[r, i]
    together, root = _together(slope, information, chain)
    slots = of_slot.size
    width = p + slots
    place, value, parameter = np.empty(width, np.int64), np.empty(width), np.empty(width, np.int64)
    for k in range(p):
        place[k], parameter[k] = k, of_column[k]
    for s in range(slots):
        parameter[p + s] = of_slot[s]
    first_leaf, leaves = p + leaf[0], leaf[1]
    for i in range(n):
        for k in range(p):
            value[k] = columns[k, i]
        for s in range(slots):
            place[p + s] = p + slot_places[s, i]
            value[p + s] = slot_values[s, i]
        for m in range(stepped.size):
            value[p + stepped[m]] = times[m, i] * weights_of_steps[m, int(behind[m, i])]
        for a in range(width):
            r = parameter[a]
            weight = information[r, i] * value[a]
            if r == 0:
                weight *= chain[i] * chain[i]
            if weight == 0.0:
                continue
            mine = in_rest[place[a]]
            for b in range(width):
                if parameter[b] == r:
                    share = weight * value[b]
                else:
                    share = together[r, parameter[b]] * root[r, i] * root[parameter[b], i] * value[a] * value[b]
                theirs = in_rest[place[b]]
                if mine >= 0 and theirs >= 0:
                    rest[mine, theirs] += share
                elif theirs >= 0 and 0 <= place[a] - first_leaf < leaves:
                    side[place[a] - first_leaf, theirs] += share
        for f in range(factors.shape[0]):
            start, q, s, at = factors[f, 0], factors[f, 2], factors[f, 3], factors[f, 4]
            group = (slot_places[s, i] - start) // q
            for a in range(q):
                r = of_slot[s + a]
                weight = information[r, i] * value[p + s + a]
                if r == 0:
                    weight *= chain[i] * chain[i]
                for b in range(q):
                    c = of_slot[s + b]
                    share = weight * value[p + s + b]
                    if c != r:
                        share = together[r, c] * root[r, i] * root[c, i] * value[p + s + a] * value[p + s + b]
                    blocks[at + group * q * q + a * q + b] += share


@kernel
def _together(slope, information, chain):
    """Correlations (parameters, parameters) of the slopes of all rows, and roots (parameters, n) of informations."""
    parameters, n = slope.shape
    found, root = np.zeros((parameters, parameters)), np.empty((parameters, n))
    for r in range(parameters):
        for c in range(r + 1):
            total = 0.0
            for i in range(n):
                total += slope[r, i] * slope[c, i]
            found[r, c] = found[c, r] = total
        for i in range(n):
            root[r, i] = math.sqrt(max(information[r, i], 0.0)) * (chain[i] if r == 0 else 1.0)
    for r in range(parameters):
        for c in range(r):
            size = math.sqrt(found[r, r] * found[c, c])
            found[r, c] = found[c, r] = _CLEAR * found[r, c] / size if size > 0.0 else 0.0
    return found, root
