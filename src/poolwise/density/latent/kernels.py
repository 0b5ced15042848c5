"""Value and gradient of a latent density, by hand; see `problem` for the coordinates."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel, lane, vector
from poolwise.compiled.types import IntVector, Matrix, Vector
from poolwise.density.dense import finite
from poolwise.density.latent.bounds import below
from poolwise.density.latent.problem import (
    BEHIND,
    BOUNDS,
    CENTRE,
    CENTRE_OF_STEPS,
    COLUMNS,
    CONSTANT,
    CORRELATIONS,
    EXPONENTS,
    FACTORS,
    FIRST_SHARE,
    FOLLOWS,
    INFORMATION,
    KNOWN,
    LEAF,
    LINK,
    MATRIX,
    MEAN,
    MODE,
    OF_COLUMN,
    OF_SLOT,
    PLACES,
    PRECISION,
    ROOTS,
    ROWS,
    SCALED,
    SCALES,
    SCORE,
    SHARED,
    SHARED_COLUMNS,
    SHARED_STARTS,
    SHARED_VALUES,
    SIMPLEXES,
    SLOT_PLACES,
    SLOT_VALUES,
    SMOOTH_FOLLOWS,
    SMOOTH_PRECISION,
    STARTS,
    STATED,
    STEPPED,
    STEPS,
    TERMS,
    TIED_FOLLOWS,
    TIED_PLACES,
    TIED_SHIFTS,
    TIMES,
    TRIALS,
    WEIGHTS,
    Y,
    floats,
    whole,
    wide,
    wide_whole,
)
from poolwise.density.monotonic import shares_at, shares_back
from poolwise.density.theta import (
    Prior,
    add_hyper_slopes,
    covariance_factor,
    factor_pullback,
    log_prior,
    precision_at,
    usable,
)
from poolwise.density.ties import tie, tie_back
from poolwise.families.callback import call_rows
from poolwise.families.links import to_location

_BLOCK = 256  # rows whose linear predictors fit in the nearest cache


@kernel
def log_likelihood(
    theta: Vector, beta: Vector, u: Vector, words: IntVector, beta_slope: Vector, u_slope: Vector, theta_slope: Vector
) -> float:
    """Log likelihood up to a constant; slopes (p,), (U,) and (d,) are added to."""
    y, trials, weights, known = floats(words, Y), floats(words, TRIALS), floats(words, WEIGHTS), wide(words, KNOWN)
    columns, of_column = wide(words, COLUMNS), whole(words, OF_COLUMN)
    slot_values, slot_places = wide(words, SLOT_VALUES), wide_whole(words, SLOT_PLACES)
    of_slot, shared, terms = whole(words, OF_SLOT), whole(words, SHARED), wide_whole(words, TERMS)
    parameters, code = known.shape[0], whole(words, LINK)[0]
    predictors = np.empty((parameters, _BLOCK))
    slopes, information = np.empty((parameters, _BLOCK)), np.empty((parameters, _BLOCK))
    chain = np.empty(_BLOCK)
    stepped, behind, centre = whole(words, STEPPED), wide(words, BEHIND), floats(words, CENTRE_OF_STEPS)
    weights_of_steps, times = step_weights(theta, words), wide(words, TIMES)
    step_slopes = np.zeros(weights_of_steps.shape)
    total = 0.0
    for t in range(terms.shape[0]):
        first, last, address = terms[t, 0], terms[t, 1], terms[t, 2]
        for begin in range(first, last, _BLOCK):
            size = min(_BLOCK, last - begin)
            if size != predictors.shape[1]:  # kernels take contiguous arrays
                predictors, slopes = np.empty((parameters, size)), np.empty((parameters, size))
                information = np.empty((parameters, size))
            linear_predictors(theta, beta, u, words, weights_of_steps, begin, predictors)
            to_location(code, predictors[0], chain)
            part = slice(begin, begin + size)
            total += call_rows(
                address,
                y[part],
                trials[part],
                weights[part],
                predictors,
                slopes,
                information,
            )
            if code != 0:
                for i in range(size):
                    slopes[0, i] *= chain[i]
            for k in range(beta.size):
                slope, column, share = slopes[of_column[k]], columns[k, part], 0.0
                for i in range(size):
                    share += slope[i] * column[i]
                beta_slope[k] += share
            for s in range(of_slot.size):
                slope, values, places = slopes[of_slot[s]], slot_values[s, part], slot_places[s, part]
                for i in range(size):
                    u_slope[places[i]] += slope[i] * values[i]
            for m in range(stepped.size):
                slope, steps, k = slopes[of_slot[stepped[m]]], behind[m, part], slot_places[stepped[m], begin]
                for i in range(size):
                    each, j = slope[i] * times[m, begin + i], int(steps[i])
                    u_slope[k] += each * weights_of_steps[m, j]
                    step_slopes[m, j] += each * (centre[m] + u[k])
            for r in range(parameters):
                if shared[r] >= 0:
                    for i in range(size):
                        theta_slope[shared[r]] += slopes[r, i]
    _step_weights_back(theta, words, weights_of_steps, step_slopes, theta_slope)
    return total


@kernel
def step_weights(theta, words):
    """(t, k + 1) what a monotonic term's effect is multiplied by in rows with so many steps behind them."""
    steps, first = whole(words, STEPS), whole(words, FIRST_SHARE)
    most = 0
    for m in range(steps.size):
        most = max(most, steps[m])
    found, shares = np.zeros((steps.size, most + 1)), np.empty(most)
    for m in range(steps.size):
        shares_at(theta, first[m], steps[m], shares)
        for j in range(steps[m]):
            found[m, j + 1] = found[m, j] + shares[j]
    return found


@kernel
def _step_weights_back(theta, words, weights_of_steps, slopes, theta_slope):
    """From slopes of `step_weights` to those of theta, which are added to; destroys `slopes`."""
    steps, first = whole(words, STEPS), whole(words, FIRST_SHARE)
    for m in range(steps.size):
        count = steps[m]
        shares = np.empty(count)
        for j in range(count, 0, -1):
            shares[j - 1] = weights_of_steps[m, j] - weights_of_steps[m, j - 1]
            if j < count:  # a share is part of the weights of all further steps
                slopes[m, j] += slopes[m, j + 1]
        shares_back(theta, first[m], count, shares, slopes[m, 1 : count + 1], theta_slope)


@kernel
def linear_predictors(theta, beta, u, words, weights_of_steps, begin, predictors):
    """Linear predictors (parameters, size) of the rows from `begin` on."""
    known, shared = wide(words, KNOWN), whole(words, SHARED)
    columns, of_column = wide(words, COLUMNS), whole(words, OF_COLUMN)
    slot_values, slot_places = wide(words, SLOT_VALUES), wide_whole(words, SLOT_PLACES)
    of_slot, size = whole(words, OF_SLOT), predictors.shape[1]
    part = slice(begin, begin + size)
    for r in range(predictors.shape[0]):
        start, row, fixed = theta[shared[r]] if shared[r] >= 0 else 0.0, predictors[r], known[r, part]
        for i in range(size):
            row[i] = fixed[i] + start
    for k in range(beta.size):
        row, column, weight = predictors[of_column[k]], columns[k, part], beta[k]
        for i in range(size):
            row[i] += weight * column[i]
    for s in range(of_slot.size):
        row, values, places = predictors[of_slot[s]], slot_values[s, part], slot_places[s, part]
        for i in range(size):
            row[i] += u[places[i]] * values[i]
    stepped, behind, centre = whole(words, STEPPED), wide(words, BEHIND), floats(words, CENTRE_OF_STEPS)
    times = wide(words, TIMES)
    for m in range(stepped.size):
        row, steps = predictors[of_slot[stepped[m]]], behind[m, part]
        mean = centre[m] + u[slot_places[stepped[m], begin]]
        for i in range(size):
            row[i] += mean * times[m, begin + i] * weights_of_steps[m, int(steps[i])]


@kernel
def deviations(point, d, words, zeta):
    """Whitened coordinates (p + U,) after the fixed map."""
    places, matrix = whole(words, PLACES), wide(words, MATRIX)
    for k in range(zeta.size):
        zeta[k] = point[d + k]
    for i in range(places.size):
        zeta[places[i]] = 0.0
    for j in range(places.size):
        z, row = point[d + places[j]], matrix[j]
        for i in range(j + 1):
            zeta[places[i]] += row[i] * z


@kernel
def deviations_back(zeta_slope, words, d, slope):
    """The transpose of `deviations`: slopes of its result (p + U,) to those of z, from `d` on."""
    places, matrix = whole(words, PLACES), wide(words, MATRIX)
    for k in range(zeta_slope.size):
        slope[d + k] = zeta_slope[k]
    for j in range(places.size):
        total, row = 0.0, matrix[j]
        for i in range(j + 1):
            total += row[i] * zeta_slope[places[i]]
        slope[d + places[j]] = total


@lane
def _root(factor, effect, information, at, root):
    """Lower Cholesky factor C (q, q) of 1 + M' I M; M begins at `effect` in the factor, I at `at`."""
    q = root.shape[0]
    for i in range(q):
        for j in range(i + 1):
            total = 1.0 if i == j else 0.0
            for a in range(i, q):
                image = 0.0
                for b in range(j, q):
                    image += information[at + a * q + b] * factor[effect + b, effect + j]
                total += factor[effect + a, effect + i] * image
            for k in range(j):
                total -= root[i, k] * root[j, k]
            root[i, j] = math.sqrt(max(total, 1e-300)) if i == j else total / root[j, j]


@lane
def _times(factor, effect, vector, first, out):
    """M' times the part of a vector from `first` on, (q,)."""
    for i in range(out.size):
        out[i] = 0.0
        for a in range(i, out.size):
            out[i] += factor[effect + a, effect + i] * vector[first + a]


@lane
def _solve_lower(root, x):
    for i in range(x.size):
        for k in range(i):
            x[i] -= root[i, k] * x[k]
        x[i] /= root[i, i]


@lane
def _solve_upper(root, x):
    """Solve root' x = b in place."""
    for i in range(x.size - 1, -1, -1):
        for k in range(i + 1, x.size):
            x[i] -= root[k, i] * x[k]
        x[i] /= root[i, i]


@kernel
def effects_of(factor, words, zeta, moved, strayed, score, w, u):
    """Effects u (U,) and their standardised form w (U,) from zeta (p + U,), which begins with the coefficients'.

    `moved` (p + U,) takes how far coordinates are from the mode, `strayed` how much of that is theta's doing, `score`
    (U,) what is left of the scores. Returns the log density of w with the Jacobian of zeta.
    """
    factors, known = wide_whole(words, FACTORS), floats(words, INFORMATION)
    mode, hat = floats(words, MODE), floats(words, ROOTS)
    shift = zeta.size - u.size
    for k in range(shift):
        moved[k], strayed[k] = zeta[k], 0.0
    _first_scores(words, score)
    total, at = 0.0, 0
    for f in range(factors.shape[0]):
        start, groups, q, effect = factors[f, 0], factors[f, 1], factors[f, 2], factors[f, 3]
        at = factors[f, 4]
        _remaining_scores(words, start, groups * q, moved, strayed, score)
        if q == 1:
            m = factor[effect, effect]
            for j in range(groups):
                k = start + j
                c = math.sqrt(1.0 + m * m * known[at + j])
                w[k] = (m * score[k] / c + zeta[shift + k]) / c
                u[k] = m * w[k]
                total -= 0.5 * w[k] * w[k] + vector.log(c)
                moved[shift + k] = u[k] - mode[k]
                strayed[shift + k] = moved[shift + k] - hat[at + j] * zeta[shift + k]
            continue
        root, mine = np.empty((q, q)), np.empty(q)
        for j in range(groups):
            first = start + j * q
            _root(factor, effect, known, at, root)
            _times(factor, effect, score, first, mine)
            _solve_lower(root, mine)
            for i in range(q):
                mine[i] += zeta[shift + first + i]
            _solve_upper(root, mine)
            for i in range(q):
                w[first + i], u[first + i] = mine[i], 0.0
                for k in range(i + 1):
                    u[first + i] += factor[effect + i, effect + k] * mine[k]
                total -= 0.5 * mine[i] * mine[i] + math.log(root[i, i])
            for i in range(q):
                there = 0.0
                for k in range(q):
                    there += hat[at + i * q + k] * zeta[shift + first + k]
                moved[shift + first + i] = u[first + i] - mode[first + i]
                strayed[shift + first + i] = moved[shift + first + i] - there
            at += q * q
    return total


@kernel
def _first_scores(words, score):
    given = floats(words, SCORE)
    for k in range(score.size):
        score[k] = given[k]


@kernel
def _remaining_scores(words, start, count, moved, strayed, score):
    """Take from the scores of a factor what it shares with coordinates that came before."""
    starts, columns = whole(words, SHARED_STARTS), whole(words, SHARED_COLUMNS)
    values, leaf = floats(words, SHARED_VALUES), whole(words, LEAF)
    away = moved if start == leaf[0] and count == leaf[1] else strayed
    for k in range(start, start + count):
        for a in range(starts[k], starts[k + 1]):
            score[k] -= values[a] * away[columns[a]]


@kernel
def _remaining_scores_back(words, start, count, score_slope, moved_slope, strayed_slope):
    starts, columns = whole(words, SHARED_STARTS), whole(words, SHARED_COLUMNS)
    values, leaf = floats(words, SHARED_VALUES), whole(words, LEAF)
    away = moved_slope if start == leaf[0] and count == leaf[1] else strayed_slope
    for k in range(start, start + count):
        for a in range(starts[k], starts[k + 1]):
            away[columns[a]] -= values[a] * score_slope[k]


@kernel
def effects_back(factor, words, score, w, u_slope, factor_slope, zeta_slope):
    """From slopes of u (U,) to those of zeta (p + U,) and of the factor (Q, Q), both of which are added to."""
    factors, known, hat = wide_whole(words, FACTORS), floats(words, INFORMATION), floats(words, ROOTS)
    size = zeta_slope.size
    shift = size - u_slope.size
    moved_slope, strayed_slope, score_slope = np.zeros(size), np.zeros(size), np.empty(u_slope.size)
    for f in range(factors.shape[0] - 1, -1, -1):
        start, groups, q, effect = factors[f, 0], factors[f, 1], factors[f, 2], factors[f, 3]
        at = factors[f, 4]
        for k in range(start, start + groups * q):  # moved = u - mode, strayed = moved - hat zeta
            moved_slope[shift + k] += strayed_slope[shift + k]
            u_slope[k] += moved_slope[shift + k]
        if q == 1:
            m, slope = factor[effect, effect], 0.0
            for j in range(groups):
                k = start + j
                c = math.sqrt(1.0 + m * m * known[at + j])
                t_slope = (m * u_slope[k] - w[k]) / c
                c_slope = -(w[k] * t_slope + m * score[k] / (c * c) * t_slope + 1.0 / c)
                slope += u_slope[k] * w[k] + score[k] * t_slope / c + c_slope * m * known[at + j] / c
                zeta_slope[shift + k] += t_slope - hat[at + j] * strayed_slope[shift + k]
                score_slope[k] = m * t_slope / c
            factor_slope[effect, effect] += slope
            _remaining_scores_back(words, start, groups, score_slope, moved_slope, strayed_slope)
            continue
        root, t_slope, h, v_slope = np.empty((q, q)), np.empty(q), np.empty(q), np.empty(q)
        root_slope, inner, column = np.empty((q, q)), np.empty((q, q)), np.empty(q)
        for j in range(groups):
            first = start + j * q
            _root(factor, effect, known, at, root)
            _times(factor, effect, score, first, h)
            _times(factor, effect, u_slope, first, t_slope)
            for i in range(q):
                t_slope[i] -= w[first + i]
            _solve_lower(root, t_slope)
            _solve_lower(root, h)
            for i in range(q):
                v_slope[i] = t_slope[i]
                zeta_slope[shift + first + i] += t_slope[i]
                for k in range(q):
                    zeta_slope[shift + first + k] -= hat[at + i * q + k] * strayed_slope[shift + first + i]
            _solve_upper(root, v_slope)
            for i in range(q):
                score_slope[first + i] = 0.0
                for k in range(i + 1):
                    score_slope[first + i] += factor[effect + i, effect + k] * v_slope[k]
                    factor_slope[effect + i, effect + k] += (
                        u_slope[first + i] * w[first + k] + score[first + i] * v_slope[k]
                    )
                    root_slope[i, k] = -w[first + i] * t_slope[k] - v_slope[i] * h[k]
                root_slope[i, i] -= 1.0 / root[i, i]
            _root_pullback(root, root_slope, inner, column)
            # K = 1 + M' I M: its slope S, symmetric, adds 2 I M S.
            for k in range(q):
                for a in range(q):
                    column[a] = 0.0
                    for b in range(a + 1):
                        column[a] += factor[effect + a, effect + b] * inner[b, k]
                for i in range(k, q):
                    for a in range(q):
                        factor_slope[effect + i, effect + k] += 2.0 * known[at + i * q + a] * column[a]
            at += q * q
        _remaining_scores_back(words, start, groups * q, score_slope, moved_slope, strayed_slope)
    for k in range(shift):
        zeta_slope[k] += moved_slope[k]


@kernel
def _root_pullback(root, slope, out, column):
    """Slope of a symmetric matrix from that of its Cholesky factor (Murray 2016, equation 10)."""
    q = root.shape[0]
    for i in range(q):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, q):
                total += root[k, i] * slope[k, j]
            out[i, j] = out[j, i] = 0.5 * total
    for _ in range(2):  # C'^-1 out C^-1: columns, then rows; the matrix is symmetric in between only in form
        for j in range(q):
            for i in range(q):
                column[i] = out[i, j]
            _solve_upper(root, column)
            for i in range(q):
                out[i, j] = column[i]
        for i in range(q):
            for j in range(i):
                out[i, j], out[j, i] = out[j, i], out[i, j]


@kernel
def spreads(theta: Vector, starts: IntVector, precision: Vector, follows: Matrix, factor: Matrix) -> None:
    """The covariance factor of all effects (Q + S, Q + S): of groups, and on the diagonal sds of structured terms."""
    covariance_factor(theta, starts, factor)
    for k in range(precision.size):
        factor[starts.size + k, starts.size + k] = 1.0 / math.sqrt(precision_at(theta, k, precision, follows))


@kernel
def spreads_back(theta, starts, precision, follows, factor, slope, gradient):
    """Add d/d theta to `gradient`, given `slope` of the factor."""
    factor_pullback(theta, factor, slope, starts, gradient)
    for k in range(precision.size):
        at = starts.size + k
        add_hyper_slopes(theta, k, follows, -0.5 * factor[at, at] * slope[at, at], gradient)


@kernel
def log_priors(theta: Vector, beta: Vector, words: IntVector, gradient: Vector, beta_slope: Vector) -> float:
    """Log prior of theta and the coefficients; the slope of theta (d,) is written, that of these (p,) added to."""
    rows, mean, precision = wide(words, ROWS), floats(words, MEAN), floats(words, PRECISION)
    follows = wide(words, FOLLOWS)
    scaled, starts = whole(words, SCALED), whole(words, STARTS)
    scales, correlations = wide(words, SCALES), wide(words, CORRELATIONS)
    stated, exponents = wide(words, STATED), floats(words, EXPONENTS)
    simplexes = wide_whole(words, SIMPLEXES)
    prior = Prior(
        starts, rows, mean, precision, follows, scaled, simplexes, scales, correlations, stated, exponents, 0.0
    )
    total = log_prior(theta, prior, gradient)
    for k in range(beta.size):
        weight = precision_at(theta, k, precision, follows)
        miss = -mean[k]
        for i in range(beta.size):
            miss += rows[k, i] * beta[i]
        total += 0.5 * (math.log(weight) - weight * miss * miss)
        add_hyper_slopes(theta, k, follows, 0.5 * (1.0 - weight * miss * miss), gradient)
        for i in range(beta.size):
            beta_slope[i] -= weight * miss * rows[k, i]
    return total


@kernel
def theta_of(point, words, theta):
    """All of theta (d,) from what of it a point holds."""
    tie(point, whole(words, TIED_PLACES), wide(words, TIED_FOLLOWS), floats(words, TIED_SHIFTS), theta)


@kernel
def expand(points: Matrix, words: IntVector, theta: Matrix, beta: Matrix, u: Matrix) -> None:
    """Theta (m, d), coefficients (m, p) and effects (m, U) at points, where theta is usable."""
    centre, bounds, starts = floats(words, CENTRE), wide(words, BOUNDS), whole(words, STARTS)
    p, size = beta.shape[1], u.shape[1]
    d = points.shape[1] - p - size
    zeta, moved, strayed = np.empty(p + size), np.empty(p + size), np.empty(p + size)
    smooth, follows = floats(words, SMOOTH_PRECISION), wide(words, SMOOTH_FOLLOWS)
    q = starts.size + smooth.size
    score, w, factor = np.empty(size), np.empty(size), np.empty((q, q))
    for i in range(len(points)):
        deviations(points[i], d, words, zeta)
        for k in range(p):
            beta[i, k] = below(bounds, k, centre[k] + zeta[k])[0]
        theta_of(points[i], words, theta[i])
        spreads(theta[i], starts, smooth, follows, factor)
        effects_of(factor, words, zeta, moved, strayed, score, w, u[i])


@kernel
def value_and_gradient(point: Vector, words: IntVector, gradient: Vector) -> float:
    """Log density of a point; its gradient is written."""
    centre, starts = floats(words, CENTRE), whole(words, STARTS)
    bounds = wide(words, BOUNDS)
    smooth, follows = floats(words, SMOOTH_PRECISION), wide(words, SMOOTH_FOLLOWS)
    p, size, q = centre.size, floats(words, SCORE).size, starts.size + smooth.size
    d = point.size - p - size
    tied = whole(words, TIED_PLACES)
    theta, whole_slope = np.empty(d + tied.size), np.zeros(d + tied.size)
    theta_of(point, words, theta)
    if not usable(theta):
        return -np.inf
    zeta, slope, beta, given, volume = np.empty(p + size), np.zeros(p + size), np.empty(p), np.empty(p), 0.0
    deviations(point, d, words, zeta)
    for k in range(p):
        beta[k], given[k], log_slope, slope[k] = below(bounds, k, centre[k] + zeta[k])
        volume += log_slope
    factor, factor_slope = np.empty((q, q)), np.zeros((q, q))
    spreads(theta, starts, smooth, follows, factor)
    w, u, score = np.empty(size), np.empty(size), np.empty(size)
    moved, strayed = np.empty(p + size), np.empty(p + size)
    total = volume + floats(words, CONSTANT)[0] + effects_of(factor, words, zeta, moved, strayed, score, w, u)
    beta_slope, u_slope, theta_slope = np.zeros(p), np.zeros(size), np.zeros(theta.size)
    total += log_likelihood(theta, beta, u, words, beta_slope, u_slope, theta_slope)
    total += log_priors(theta, beta, words, whole_slope, beta_slope)
    for k in range(p):
        slope[k] += given[k] * beta_slope[k]
    effects_back(factor, words, score, w, u_slope, factor_slope, slope)
    deviations_back(slope, words, d, gradient)
    spreads_back(theta, starts, smooth, follows, factor, factor_slope, whole_slope)
    for i in range(theta.size):
        whole_slope[i] += theta_slope[i]
    tie_back(theta, whole_slope, tied, wide(words, TIED_FOLLOWS), gradient[:d])
    return finite(total)
