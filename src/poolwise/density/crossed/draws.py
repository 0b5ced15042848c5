"""Each part of a crossed model drawn given the rest, for several chains side by side.

The effects of one large factor are independent given all else, so that they can be integrated out of the draw of the
dense part: the two are drawn together, factor after factor. This is the collapsed Gibbs sampler of Papaspiliopoulos,
Roberts and Zanella (2020, Biometrika 107), in which small factors are collapsed too; it does not mix worse with more
levels. Standard deviations are drawn given effects, and once more given standardised effects (the interweaving of Yu
and Meng 2011): one of the two moves well, whether the data say much of the effects or little.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poolwise.density.crossed.equations import CrossedEquations
from poolwise.samplers.slice import slice_draw

_ROUNDING = 1e-13  # of the squares of the outcomes, which sums of residuals are differences of
_ALIKE, _PARTS = 100, 20  # draws with nearly the same sd, and how many such parts at the most
_TOGETHER = 256  # levels


class NoResidual(Exception):
    """Outcomes lie on the regression, to within rounding."""


@dataclass(eq=False)
class CrossedState:
    """Where C chains are.

    Attributes
    ----------
    log_sds : (Q, C) of the effects of each factor of the design.
    log_sigma : (C,) of the residual standard deviation.
    dense : (m, C) common coefficients in working coordinates, and effects of small factors.
    effects : of each large factor, (J, C).
    generators : of random numbers, one of each chain.
    """

    log_sds: np.ndarray
    log_sigma: np.ndarray
    dense: np.ndarray
    effects: list[np.ndarray]
    generators: list[np.random.Generator]


def sweep(equations: CrossedEquations, state: CrossedState, first: int = 0) -> None:
    """Draw all parts once, in place, and of the large factors one of them first."""
    order = np.roll(np.arange(len(equations.large)), -first)
    for k in order.tolist():
        factor = equations.large[k]
        others = sum(factor.meetings[i] @ state.effects[i] for i in factor.meetings)
        left = factor.outcome[:, None] - others
        beside = equations.outcome[:, None] - sum(
            equations.large[i].dense.T @ state.effects[i] for i in factor.meetings
        )
        _draw_together(equations, state, k, left, beside)
        _draw_sd(equations, state, k, left - factor.dense @ state.dense)
    for f, place in equations.small:
        _draw_small_sd(equations, state, f, place, beside - factor.dense.T @ state.effects[k])
    _draw_sigma(equations, state, left, k)


def _draw_together(
    equations: CrossedEquations, state: CrossedState, k: int, left: np.ndarray, beside: np.ndarray
) -> None:
    """The dense part and the effects of the k-th large factor, given sums of what is left of the outcomes by its levels
    (J, C), and with the columns of the dense part (m, C)."""
    factor, m = equations.large[k], len(equations.outcome)
    ratios = np.exp(2.0 * (state.log_sigma - state.log_sds[factor.place]))
    for c, rng in enumerate(state.generators):
        variance = math.exp(2.0 * state.log_sigma[c])
        inverse = 1.0 / (factor.weights + ratios[c])
        scaled = factor.dense * inverse[:, None]
        precision = equations.products + variance * equations.penalty - scaled.T @ factor.dense
        for f, place in equations.small:
            own = np.arange(place.start, place.stop)
            precision[own, own] += math.exp(2.0 * (state.log_sigma[c] - state.log_sds[f, c]))
        right = beside[:, c] + variance * equations.pull - scaled.T @ left[:, c]
        root, sd = np.linalg.cholesky(precision), math.exp(state.log_sigma[c])
        dense = np.linalg.solve(root.T, np.linalg.solve(root, right) + sd * rng.standard_normal(m))
        noise = rng.standard_normal(len(inverse)) * np.sqrt(inverse) * sd
        state.dense[:, c] = dense
        state.effects[k][:, c] = (left[:, c] - factor.dense @ dense) * inverse + noise


def _draw_sd(equations: CrossedEquations, state: CrossedState, k: int, left: np.ndarray) -> None:
    """Of the k-th large factor, given its effects, then given its effects in units of the sd, which move with it."""
    factor, effects = equations.large[k], state.effects[k]
    squares = np.square(effects).sum(axis=0)
    weighted = (factor.weights[:, None] * np.square(effects)).sum(axis=0)
    state.effects[k] = effects * _two_sd_draws(
        equations, state, factor.place, len(effects), squares, weighted, (left * effects).sum(axis=0)
    )


def _draw_small_sd(equations: CrossedEquations, state: CrossedState, f: int, place: slice, beside: np.ndarray) -> None:
    """The same of a small factor."""
    effects, products = state.dense[place], equations.products
    others = state.dense.copy()
    others[place] = 0.0
    left = beside[place] - products[place] @ others
    squares, weighted = np.square(effects).sum(axis=0), (effects * (products[place, place] @ effects)).sum(axis=0)
    state.dense[place] = effects * _two_sd_draws(
        equations, state, f, len(effects), squares, weighted, (left * effects).sum(axis=0)
    )


def _two_sd_draws(
    equations: CrossedEquations, state: CrossedState, f: int, count: int, squares: np.ndarray, weighted: np.ndarray,
    crossed: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """What the effects are to be multiplied by, (C,).

    Parameters
    ----------
    squares, weighted, crossed : (C,) sums of squares of effects, the same by weights of rows, and of effects with what
        is left of the outcomes.
    """
    prior, times = log_scale_prior(equations.scales[f]), np.empty(len(squares))
    for c, rng in enumerate(state.generators):
        now, square = float(state.log_sds[f, c]), float(squares[c])

        def given_effects(log_sd: float, square: float = square) -> float:
            return prior(log_sd) - count * log_sd - 0.5 * square * math.exp(-2.0 * log_sd)

        drawn = slice_draw(given_effects, now, 3.0 / math.sqrt(2.0 * count), rng)
        precision = math.exp(-2.0 * state.log_sigma[c])
        bend, slope = precision * float(weighted[c]), precision * float(crossed[c])

        def given_standardised(log_sd: float, drawn: float = drawn, bend: float = bend, slope: float = slope) -> float:
            if log_sd - drawn > 300.0:
                return -math.inf
            size = math.exp(log_sd - drawn)
            return prior(log_sd) - 0.5 * size * size * bend + size * slope

        moved = slice_draw(given_standardised, drawn, 3.0 / math.sqrt(1.0 + bend), rng)
        times[c], state.log_sds[f, c] = math.exp(moved - drawn), moved
    return times


def _draw_sigma(equations: CrossedEquations, state: CrossedState, left: np.ndarray, last: int) -> None:
    """The residual sd, given sums of what is left of the outcomes by levels (J, C) of the large factor drawn last.

    Raises
    ------
    NoResidual : where outcomes lie on the regression, to within rounding.
    """
    squares, prior = squared_residuals(equations, state, left, last), log_scale_prior(equations.scales[-1])
    if not (squares > _ROUNDING * equations.square).all():
        raise NoResidual
    for c, rng in enumerate(state.generators):
        square = float(squares[c])

        def given_rest(log_sd: float, square: float = square) -> float:
            return prior(log_sd) - equations.rows * log_sd - 0.5 * square * math.exp(-2.0 * log_sd)

        width = 3.0 / math.sqrt(2.0 * equations.rows)
        state.log_sigma[c] = slice_draw(given_rest, float(state.log_sigma[c]), width, rng)


def squared_residuals(equations: CrossedEquations, state: CrossedState, left: np.ndarray, last: int) -> np.ndarray:
    """Weighted sums of squares of residuals (C,); `left` and `last` as in `_draw_sigma`."""
    dense = state.dense
    found = equations.square + (dense * (equations.products @ dense - 2.0 * equations.outcome[:, None])).sum(axis=0)
    for k, factor in enumerate(equations.large):
        effects, outcome = state.effects[k], left if k == last else factor.outcome[:, None]
        found += (effects * (factor.weights[:, None] * effects - 2.0 * (outcome - factor.dense @ dense))).sum(axis=0)
        for i in range(k + 1, len(equations.large)):
            if last not in (i, k):  # what meets the last one is in `left`
                found += 2.0 * (effects * (factor.meetings[i] @ state.effects[i])).sum(axis=0)
    return np.asarray(found)


def log_scale_prior(row: np.ndarray) -> Callable[[float], float]:
    """Log density of the log of a standard deviation, by the numbers of its prior; see `density.theta`."""
    _, power, linear, square, tail, curve = row.tolist()

    def log_density(log_sd: float) -> float:
        if abs(log_sd) > 300.0:
            return -math.inf
        x = math.exp(log_sd)
        return (power + 1.0) * log_sd - linear * x - 0.5 * square * x * x - 0.5 * tail * math.log1p(curve * x * x)

    return log_density


def unexplained(draws: np.ndarray, sds: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Var(u_j | y, beta, theta) / sd^2 averaged over theta, (J, 1), by draws.

    Of draws with nearly the same sd, since the mean of an effect depends on it too; of those what the common
    coefficients leave of an effect.

    Parameters
    ----------
    draws, sds, common : of effects (chains, draws, J), of their sd (chains, draws), of the common coefficients
        (chains, draws, p).
    """
    flat, sd = draws.reshape(-1, draws.shape[2]), sds.ravel()
    known = np.column_stack([np.ones(len(flat)), common.reshape(len(flat), -1)])
    parts = np.array_split(np.argsort(sd, kind="stable"), int(np.clip(len(sd) // _ALIKE, 1, _PARTS)))
    found = np.zeros(flat.shape[1])
    for part in parts:
        inside = known[part] - known[part].mean(axis=0)
        inside[:, 0] = 1.0
        basis = np.linalg.svd(inside / np.maximum(np.abs(inside).max(axis=0), 1e-300), full_matrices=False)[0]
        spread = np.square(sd[part]).mean() * max(len(part) - basis.shape[1], 1)
        for start in range(0, len(found), _TOGETHER):
            some = flat[part, start : start + _TOGETHER]
            left = np.square(some - basis @ (basis.T @ some)).sum(axis=0)
            found[start : start + _TOGETHER] += np.minimum(left / max(spread, 1e-300), 1.0) / len(parts)
    return found[:, None]
