"""Coordinates from the normal approximation at the mode; see `problem` for what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poolwise.density.latent.bounds import without_bounds
from poolwise.density.latent.mode import Conditional, coupled, covariance, inverse_covariance, own_roots
from poolwise.density.latent.problem import Mixing, Problem, Spread

_MOST_COUPLED, _MOST_SHARED = 3000, 5e7  # effects that one dense matrix mixes, and numbers it shares with the leaf


def coupled_places(p: int, factors: np.ndarray, *, grouped: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which coordinates one dense matrix mixes, (R,), and the leaf's first effect and their number (2,).

    The leaf is the factor with the most effects: given all others its groups are independent. There is none where the
    last factor is that of a structured term (not `grouped`), whose coefficients share rows. Where the other factors are
    too many to be mixed, only the coefficients are. `factors` as in `Spread`, the coarsest first.
    """
    if not len(factors):
        return np.arange(p), np.zeros(2, dtype=np.int64)
    sizes = factors[:, 1] * factors[:, 2]
    leaf = np.array([factors[-1, 0], sizes[-1]]) if grouped else np.array([-1, 0])
    coarser = slice(0, -1) if grouped else slice(None)
    others = [p + start + np.arange(size) for start, size in zip(factors[coarser, 0], sizes[coarser], strict=True)]
    every = np.concatenate([np.arange(p), *others])
    fits = len(every) <= _MOST_COUPLED and len(every) * leaf[1] <= _MOST_SHARED
    return (every if fits else np.arange(p)), leaf


def whitened(problem: Problem, mode: Conditional) -> Problem:
    """The problem in coordinates that are about standard normal, whatever theta."""
    factor = covariance(problem, mode.theta)
    information, shares = _marginal(problem, mode, factor)
    roots = own_roots(problem, factor, information)
    score, flat = mode.slope.copy(), np.empty(information.size)
    for start, groups, q, _, at in problem.spread.factors:
        own = information[at : at + groups * q * q].reshape(groups, q, q)
        mine = slice(start, start + groups * q)
        score[mine] += np.einsum("jab,jb->ja", own, mode.u[mine].reshape(groups, q)).ravel()
        flat[at : at + groups * q * q] = roots[int(start)].ravel()
    spread = Spread(
        problem.spread.factors, information, score, mode.u, flat, *_sparse(shares, mode.u.size), problem.spread.leaf
    )
    scaled = mode.schur.copy()
    for (start, groups, q, _, _), where in coupled(problem):
        each = roots[int(start)]
        rows = scaled[where].reshape(groups, q, -1)
        scaled[where] = np.einsum("jba,jbl->jal", each, rows).reshape(groups * q, -1)
        columns = scaled[:, where].reshape(-1, groups, q)
        scaled[:, where] = np.einsum("ljb,jba->lja", columns, each).reshape(len(scaled), -1)
    matrix = np.linalg.inv(np.linalg.cholesky(0.5 * (scaled + scaled.T))) if len(scaled) else scaled
    bounds = problem.mixing.bounds
    centre, slopes = without_bounds(bounds, mode.beta)
    matrix[:, : centre.size] /= slopes
    spread = spread._replace(shared_values=_per_coordinate(spread, slopes))
    mixing = Mixing(centre, problem.mixing.places, matrix, bounds)
    volume = float(np.log(np.diag(matrix)).sum())  # of the fixed map
    return replace(problem, spread=spread, mixing=mixing, constant=problem.constant + volume)


def _marginal(
    problem: Problem, mode: Conditional, factor: np.ndarray
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Information on each group with finer factors integrated out; what its score shares with coarser coordinates.

    The latter as rows among effects, columns among all coordinates, and values, factor by factor.
    """
    p, places = problem.mixing.centre.size, problem.mixing.places
    information, left = mode.blocks.copy(), mode.schur.copy()
    rows, columns = np.nonzero(mode.side)
    shares = [(rows + problem.spread.leaf[0], places[columns], mode.side[rows, columns])]
    for (start, groups, q, effect, at), where in reversed(coupled(problem)):
        block = left[where, where]
        own = np.stack([block[j * q : (j + 1) * q, j * q : (j + 1) * q] for j in range(groups)])
        own -= inverse_covariance(factor, effect, q)
        information[at : at + groups * q * q] = own.ravel()
        coarser = left[where, p : where.start]
        rows, columns = np.nonzero(np.abs(coarser) > 1e-12 * np.abs(coarser).max(initial=0.0))
        shares.append((rows + start, places[p + columns], coarser[rows, columns]))
        before = slice(0, where.start)
        left[before, before] -= left[before, where] @ np.linalg.solve(block, left[where, before])
    return information, shares


def _per_coordinate(spread: Spread, slopes: np.ndarray) -> np.ndarray:
    """What scores share with coefficients, of the coordinates that these have without bounds."""
    everywhere = np.concatenate([slopes, np.ones(spread.score.size)])
    return np.asarray(spread.shared_values * everywhere[spread.shared_columns])


def _sparse(
    shares: list[tuple[np.ndarray, np.ndarray, np.ndarray]], size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (U + 1,), columns and values of a sparse matrix."""
    rows, columns, values = (np.concatenate(parts) for parts in zip(*shares, strict=True))
    order = np.argsort(rows, kind="stable")
    return np.searchsorted(rows[order], np.arange(size + 1)), columns[order].astype(np.int64), values[order]
