"""The mode of coefficients and effects given theta, and of theta with these integrated out by Laplace's method."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.latent.curvature import curvature
from poolwise.density.latent.kernels import log_likelihood, log_priors, spreads
from poolwise.density.latent.problem import Problem
from poolwise.density.ties import tied_points
from poolwise.design.structures.hyperparameters import NUMBERS, log_precisions
from poolwise.support.threads import look

_STEPS, _GAIN = 50, 1e-3  # of Newton: at most, and while the rise they promise is worth it
# Steps are halved so often, until they rise by so much of what their slope promises (Armijo 1966): from far out, where
# a density falls like an exponential of an exponential, any step beyond the mode would rise, however long.
_HALVINGS, _ENOUGH = 50, 0.01
_CLIMB, _APART = 30, 0.02  # steps over theta, and how far apart differences are taken
_CLOSE, _STRIDE = 0.02, 1.0  # rise that is worth no further step over theta, and the longest step


@dataclass(frozen=True, slots=True, eq=False)
class Conditional:
    """Normal approximation of coefficients and effects given theta.

    Attributes
    ----------
    theta : (d,).
    beta, u : (p,) and (U,) mode.
    value : Laplace's approximation of log p(y, theta).
    blocks : information of the rows on each group's own effects, all else given; as `Spread.information`.
    slope : (U,) derivative of the log likelihood in u.
    side : (leaf, R) what rows share between leaf effects and the coupled coordinates.
    schur : (R, R) precision of the coupled coordinates, the leaf integrated out.
    """

    theta: np.ndarray
    beta: np.ndarray
    u: np.ndarray
    value: float
    blocks: np.ndarray
    slope: np.ndarray
    side: np.ndarray
    schur: np.ndarray


def conditional(
    problem: Problem, words: np.ndarray, theta: np.ndarray, beta: np.ndarray, u: np.ndarray
) -> Conditional | None:
    """Climb to the mode given theta by Newton's method with the expected information, from a start; None if lost."""
    p, places, leaf = problem.mixing.centre.size, problem.mixing.places, problem.spread.leaf
    leaves = slice(p + leaf[0], p + leaf[0] + leaf[1])
    factor = covariance(problem, theta)
    value, slope, likelihood_slope = joint(problem, words, theta, beta, u, factor)
    if not np.isfinite(value):
        return None
    for _ in range(_STEPS):
        look()
        blocks, side, roots, white_side, schur, root = _curved(problem, words, theta, beta, u, factor)
        white = np.concatenate([slope[:p], _transposed(problem, roots, slope[p:])])
        moved = np.linalg.solve(root.T, np.linalg.solve(root, slope[places] - white_side.T @ white[leaves]))
        step = np.concatenate([np.zeros(p), applied(problem, roots, white[p:])])
        step[places] = moved
        of_leaf = white[leaves] - white_side @ moved
        step[p:] = _with_leaf(problem, roots, step[p:], of_leaf)
        promised = float(step @ slope)
        if promised < _GAIN:
            break
        for halving in range(_HALVINGS):
            share = 0.5**halving
            trial = joint(problem, words, theta, beta + share * step[:p], u + share * step[p:], factor)
            if trial[0] > value + _ENOUGH * share * promised:
                break
        else:
            break
        beta, u = beta + share * step[:p], u + share * step[p:]
        value, slope, likelihood_slope = trial
    in_schur = len(places) > p
    alone = [start for start, *_ in problem.spread.factors if start == leaf[0] or not in_schur]
    volume = -np.log(np.diag(root)).sum()
    volume += sum(np.log(np.abs(np.diagonal(roots[int(start)], axis1=1, axis2=2))).sum() for start in alone)
    value += 0.5 * min(promised, _GAIN) + float(volume)  # a climb that was lost promises anything
    return Conditional(theta, beta, u, value, blocks, likelihood_slope, side, schur)


_Curved = tuple[np.ndarray, np.ndarray, dict[int, np.ndarray], np.ndarray, np.ndarray, np.ndarray]


def _curved(
    problem: Problem, words: np.ndarray, theta: np.ndarray, beta: np.ndarray, u: np.ndarray, factor: np.ndarray
) -> _Curved:
    """Information as in `Conditional`, the roots of the groups', and the Cholesky factor of `schur`.

    Truncation takes information away: the observed one, beside the expected information of the outcomes. Far from the
    mode more may be taken than there is; then truncation is left out of it.
    """
    try:
        return _curved_with(problem, words, theta, beta, u, factor, 1.0)
    except np.linalg.LinAlgError:
        return _curved_with(problem, words, theta, beta, u, factor, 0.0)


def _curved_with(
    problem: Problem,
    words: np.ndarray,
    theta: np.ndarray,
    beta: np.ndarray,
    u: np.ndarray,
    factor: np.ndarray,
    cut: float,
) -> _Curved:
    p, places, leaf = problem.mixing.centre.size, problem.mixing.places, problem.spread.leaf
    in_rest = np.full(p + u.size, -1, dtype=np.int64)
    in_rest[places] = np.arange(len(places))
    blocks = np.zeros(problem.spread.information.size)
    side, rest = np.zeros((leaf[1], len(places))), np.zeros((len(places), len(places)))
    curvature(theta, beta, u, words, in_rest, blocks, side, rest, cut)
    rest[:p, :p] += _prior_precision(problem, theta)
    _add_covariances(problem, factor, rest)
    roots = own_roots(problem, factor, blocks)
    white_side = _of_leaf(problem, roots, side)
    schur = rest - white_side.T @ white_side
    return blocks, side, roots, white_side, schur, _cholesky(schur, rest)


def joint(
    problem: Problem, words: np.ndarray, theta: np.ndarray, beta: np.ndarray, u: np.ndarray, factor: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log density of theta, coefficients and effects; its slope (p + U,), and that of the log likelihood in u (U,)."""
    beta_slope, u_slope, ignored = np.zeros(beta.size), np.zeros(u.size), np.zeros(theta.size)
    total = problem.constant + log_likelihood(theta, beta, u, words, beta_slope, u_slope, ignored)
    total += log_priors(theta, beta, words, np.zeros(theta.size), beta_slope)
    slope = u_slope.copy()
    for start, groups, q, effect, _ in problem.spread.factors:
        own = factor[effect : effect + q, effect : effect + q]
        standard = np.linalg.solve(own, u[start : start + groups * q].reshape(groups, q).T)
        total -= 0.5 * float(np.square(standard).sum()) + groups * float(np.log(np.diag(own)).sum())
        slope[start : start + groups * q] -= np.linalg.solve(own.T, standard).T.ravel()
    return total, np.concatenate([beta_slope, slope]), u_slope


def find_mode(problem: Problem, starts: np.ndarray, beta: np.ndarray) -> tuple[Conditional, np.ndarray]:
    """The mode over theta of Laplace's approximation, and its inverse curvature over what is sampled of it, both about.

    They serve to choose coordinates and where to begin. The climb begins at the likeliest of the starts (k, d).

    Raises
    ------
    FloatingPointError : where the density is not finite at any start.
    """
    words, kept = problem.words()
    free = np.setdiff1d(np.arange(starts.shape[1]), problem.tied.places)

    def whole(point: np.ndarray) -> np.ndarray:
        theta = np.empty((1, starts.shape[1]))
        tied_points(np.ascontiguousarray(point[None]), *problem.tied, theta)
        return theta[0]

    tried = [_from_zero(problem, words, whole(each[free]), beta) for each in starts]
    finite = [each for each in tried if each is not None and np.isfinite(each.value)]
    if not finite:
        raise FloatingPointError
    best = max(finite, key=lambda each: each.value)
    start = best.theta[free]

    def at(point: np.ndarray, near: Conditional) -> Conditional:
        found = conditional(problem, words, whole(point), near.beta, near.u)
        return replace(near, value=-np.inf) if found is None or not np.isfinite(found.value) else found

    def slope_at(here: Conditional) -> np.ndarray:
        steps = _APART * np.eye(start.size)
        return np.array([(at(here.theta[free] + step, here).value - here.value) / _APART for step in steps])

    # BFGS with halved steps: a line search that asked for more would cost more than it gains so near to the goal.
    inverse, slope = 0.1 * np.eye(start.size), slope_at(best)
    for _ in range(_CLIMB if start.size else 0):
        slope = np.where(np.isfinite(slope), slope, 0.0)
        step = inverse @ slope
        step *= min(1.0, _STRIDE / max(float(np.abs(step).max()), 1e-300))
        if step @ slope < _CLOSE:
            break
        for halving in range(8):
            found = at(best.theta[free] + 0.5**halving * step, best)
            if found.value > best.value:
                break
        else:
            break
        moved, new_slope = (found.theta - best.theta)[free], slope_at(found)
        change = slope - new_slope
        bent = float(change @ moved)
        if bent > 1e-8:
            straight = np.eye(start.size) - np.outer(moved, change) / bent
            inverse = straight @ inverse @ straight.T + np.outer(moved, moved) / bent
        best, slope = found, new_slope
    del kept  # it was alive while kernels read it
    return best, inverse


def _from_zero(problem: Problem, words: np.ndarray, theta: np.ndarray, beta: np.ndarray) -> Conditional | None:
    """The mode given theta from a start without effects; None if lost, as where an information is no number."""
    try:
        return conditional(problem, words, theta, beta, np.zeros(problem.spread.score.size))
    except np.linalg.LinAlgError:
        return None


def covariance(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """The covariance factor (Q + S, Q + S) of the effects of all factors and of structured terms at theta."""
    q = problem.prior.starts.size + problem.smooths.precision.size
    factor = np.empty((q, q))
    spreads(theta, problem.prior.starts, *problem.smooths, factor)
    return factor


def own_roots(problem: Problem, factor: np.ndarray, blocks: np.ndarray) -> dict[int, np.ndarray]:
    """A (J, q, q) of each factor's groups, by its first effect: A A' = (information + inverse covariance)^-1."""
    roots = {}
    for start, groups, q, effect, at in problem.spread.factors:
        own = factor[effect : effect + q, effect : effect + q]
        mine = blocks[at : at + groups * q * q].reshape(groups, q, q)
        inner = np.linalg.cholesky(np.eye(q) + own.T @ mine @ own)
        roots[int(start)] = own @ np.linalg.inv(inner).transpose(0, 2, 1)
    return roots


def applied(problem: Problem, roots: dict[int, np.ndarray], zeta: np.ndarray) -> np.ndarray:
    """A of each group times its zetas (U,)."""
    out = zeta.copy()
    for start, groups, q, _, _ in problem.spread.factors:
        mine = slice(start, start + groups * q)
        out[mine] = np.einsum("jab,jb->ja", roots[int(start)], zeta[mine].reshape(groups, q)).ravel()
    return out


def _transposed(problem: Problem, roots: dict[int, np.ndarray], slope: np.ndarray) -> np.ndarray:
    out = slope.copy()
    for start, groups, q, _, _ in problem.spread.factors:
        mine = slice(start, start + groups * q)
        out[mine] = np.einsum("jab,ja->jb", roots[int(start)], slope[mine].reshape(groups, q)).ravel()
    return out


def _of_leaf(problem: Problem, roots: dict[int, np.ndarray], side: np.ndarray) -> np.ndarray:
    """A' of each leaf group times its rows of a matrix (leaf, R)."""
    start, count = problem.spread.leaf
    if not count:
        return side
    each = roots[int(start)]
    return np.einsum("jab,jac->jbc", each, side.reshape(*each.shape[:2], -1)).reshape(side.shape)


def _with_leaf(problem: Problem, roots: dict[int, np.ndarray], effects: np.ndarray, zeta: np.ndarray) -> np.ndarray:
    """Effects (U,) with those of the leaf replaced by A zeta."""
    start, count = problem.spread.leaf
    if count:
        each = roots[int(start)]
        effects[start : start + count] = np.einsum("jab,jb->ja", each, zeta.reshape(each.shape[:2])).ravel()
    return effects


def _prior_precision(problem: Problem, theta: np.ndarray) -> np.ndarray:
    prior = problem.prior
    follows = prior.follows.reshape(len(prior.precision), prior.follows.shape[1] // NUMBERS, NUMBERS)
    precision = prior.precision * np.exp(log_precisions(follows, theta[theta.size - follows.shape[1] :]))
    return prior.rows.T @ (precision[:, None] * prior.rows)


def coupled(problem: Problem) -> list[tuple[np.ndarray, slice]]:
    """For each factor among the coupled coordinates, coarsest first: its row of `factors`, and its places there."""
    p, places = problem.mixing.centre.size, problem.mixing.places
    found = []
    for row in problem.spread.factors:
        at = np.flatnonzero(places == p + row[0])
        if len(at):
            found.append((row, slice(int(at[0]), int(at[0]) + int(row[1] * row[2]))))
    return found


def _add_covariances(problem: Problem, factor: np.ndarray, rest: np.ndarray) -> None:
    """Add the prior precision of coupled effects to `rest`."""
    for (_, groups, q, effect, _), where in coupled(problem):
        rest[where, where] += np.kron(np.eye(groups), inverse_covariance(factor, effect, q))


def inverse_covariance(factor: np.ndarray, effect: int, q: int) -> np.ndarray:
    """(q, q) precision of a group's effects at theta."""
    inverse = np.linalg.inv(factor[effect : effect + q, effect : effect + q])
    return inverse.T @ inverse


def _cholesky(schur: np.ndarray, rest: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(schur)
    except np.linalg.LinAlgError:
        return np.linalg.cholesky(schur + 1e-8 * np.diag(np.diag(rest)) + 1e-12 * np.eye(len(schur)))
