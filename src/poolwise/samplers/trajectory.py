"""One transition of the No-U-Turn sampler, compiled, for densities that are C functions.

The trajectory doubles until it turns; the next state is drawn from it in proportion to its density, later subtrees
preferred (Hoffman and Gelman 2014; Betancourt 2017, appendix A.3). Subtrees are built step by step, with turns looked
for at checkpoints whose number is the depth of the tree (Phan, Pradhan and Jankowiak 2019).
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import intrinsic, kernel
from poolwise.compiled.types import IntVector, Matrix, Vector

_DEEPEST = 10
_DIVERGED = -1000.0  # of the log density of position and momentum, relative to the start
LEAVES, ACCEPTED, DIVERGED, DEPTH, ENERGY, VALUE = range(6)


@intrinsic
def _call(typing_context, address, dimension, point, gradient, value, words):
    from llvmlite import ir
    from numba.core import types

    word = ir.IntType(64)
    shape = ir.FunctionType(word, [word] * 5)

    def generate(context, builder, signature, arguments):
        function = builder.inttoptr(arguments[0], shape.as_pointer())
        return builder.call(function, arguments[1:])

    return types.int64(*([types.int64] * 6)), generate


@kernel
def density_at(address: int, words: IntVector, point: Vector, gradient: Vector, value: Vector) -> float:
    """Value of a native density; its gradient is written. -inf where it is not finite."""
    lost = _call(
        np.int64(address),
        np.int64(point.size),
        np.int64(point.ctypes.data),
        np.int64(gradient.ctypes.data),
        np.int64(value.ctypes.data),
        np.int64(words.ctypes.data),
    )
    return value[0] if lost == 0 else -np.inf


@kernel
def transition(rng, address, words, point, gradient, value, step, scale, work, stats, stop):
    """Move `point` (d,) and its `gradient` (d,) to the next state.

    Momenta are kept in units in which they are standard normal, `scale` (d,) being that of positions. `work` is
    (10 + 2 deepest, d) of scratch; `stats` takes leaves, their summed acceptance, divergence, doublings, and energy and
    value of the new state. Once `stop` (1,) is not zero, the state means nothing.
    """
    d = point.size
    # Ends of the trajectory: position, momentum, gradient of the left one and the right one.
    ends, total, proposal, part = work[0:6], work[6], work[7:9], work[9]
    marks, sums = work[10 : 10 + _DEEPEST], work[10 + _DEEPEST : 10 + 2 * _DEEPEST]
    spot = stats[VALUE:]
    energy = 0.0
    for i in range(d):
        momentum = rng.standard_normal()
        ends[0, i] = ends[3, i] = point[i]
        ends[1, i] = ends[4, i] = total[i] = momentum
        ends[2, i] = ends[5, i] = gradient[i]
        energy += 0.5 * momentum * momentum
    start = value - energy
    weight, chosen_value, chosen_energy = 0.0, value, energy - value
    stats[LEAVES] = stats[ACCEPTED] = stats[DIVERGED] = stats[DEPTH] = 0.0
    for depth in range(_DEEPEST):
        right = rng.random() < 0.5
        sign, side = (1.0, 3) if right else (-1.0, 0)
        found, found_value, found_energy, broken = -np.inf, 0.0, 0.0, False
        stats[DEPTH] += 1.0
        for i in range(d):
            part[i] = 0.0
        for leaf in range(1 << depth):
            at, momentum_there, slope = ends[side], ends[side + 1], ends[side + 2]
            for i in range(d):
                momentum_there[i] += 0.5 * sign * step * scale[i] * slope[i]
                at[i] += sign * step * scale[i] * momentum_there[i]
            here = density_at(address, words, at, slope, spot)
            energy = 0.0
            for i in range(d):
                momentum_there[i] += 0.5 * sign * step * scale[i] * slope[i]
                energy += 0.5 * momentum_there[i] * momentum_there[i]
                part[i] += momentum_there[i]
            change = here - energy - start
            stats[LEAVES] += 1.0
            if not change > _DIVERGED or stop[0] != 0:
                stats[DIVERGED] = 1.0
                broken = True
                break
            stats[ACCEPTED] += min(1.0, math.exp(change))
            top = max(found, change)
            grown = top + math.log(math.exp(found - top) + math.exp(change - top))
            if math.log(rng.random()) < change - grown:
                found_value, found_energy = here, energy - here
                for i in range(d):
                    proposal[0, i], proposal[1, i] = at[i], slope[i]
            found = grown
            # Checkpoints: the one of an even leaf is where its ones begin, an odd leaf closes as many as it ends in.
            high, rest = 0, leaf >> 1
            while rest:
                high += rest & 1
                rest >>= 1
            if leaf & 1 == 0:
                for i in range(d):
                    marks[high, i], sums[high, i] = momentum_there[i], part[i]
                continue
            low, rest = high + 1, leaf
            while rest & 1:
                low -= 1
                rest >>= 1
            for k in range(high, low - 1, -1):
                ahead = back = 0.0
                for i in range(d):
                    between = part[i] - sums[k, i] + 0.5 * (marks[k, i] - momentum_there[i])
                    back += between * marks[k, i]
                    ahead += between * momentum_there[i]
                broken = broken or back <= 0.0 or ahead <= 0.0
            if broken:
                break
        if broken:
            break
        if math.log(rng.random()) < found - weight:
            chosen_value, chosen_energy = found_value, found_energy
            for i in range(d):
                point[i], gradient[i] = proposal[0, i], proposal[1, i]
        top = max(weight, found)
        weight = top + math.log(math.exp(weight - top) + math.exp(found - top))
        ahead = back = 0.0
        for i in range(d):
            total[i] += part[i]
            between = total[i] - 0.5 * (ends[1, i] + ends[4, i])
            back += between * ends[1, i]
            ahead += between * ends[4, i]
        if back <= 0.0 or ahead <= 0.0:
            break
    stats[ENERGY], stats[VALUE] = chosen_energy, chosen_value
    return chosen_value


@kernel
def advance(
    rng: np.random.Generator,
    address: int,
    words: IntVector,
    point: Vector,
    gradient: Vector,
    state: Vector,
    scale: Vector,
    moments: Matrix,
    kept: Matrix,
    told: Matrix,
    first: int,
    last: int,
    ends: IntVector,
    stop: IntVector,
) -> None:
    """Steps `first` to `last` of a chain: those of warm-up adapt, the others are kept.

    `state` holds value, log step, its average, the error's average, steps of averaging, draws in `moments`, the log
    step that averaging began with, and the acceptance that steps are to have; `moments` (2, d) mean and sum of squares
    since the last window began; `kept` (draws, d) takes draws and `told` (draws, 6) what `transition` says of each;
    `ends` are the steps at which a window of warm-up ends, the last one that of warm-up. Once `stop` (1,) is not zero,
    no step begins.
    """
    d, warmup = point.size, ends[-1]
    work, stats = np.empty((10 + 2 * _DEEPEST, d)), np.zeros(6)
    for now in range(first, last):
        if stop[0] != 0:
            break
        step = math.exp(state[1] if now < warmup else state[2])
        state[0] = transition(rng, address, words, point, gradient, state[0], step, scale, work, stats, stop)
        if now >= warmup:
            for i in range(d):
                kept[now - warmup, i] = point[i]
            for i in range(6):
                told[now - warmup, i] = stats[i]
            continue
        _average(state, stats[ACCEPTED] / stats[LEAVES])
        if now >= ends[0]:
            state[5] += 1.0
            for i in range(d):
                away = point[i] - moments[0, i]
                moments[0, i] += away / state[5]
                moments[1, i] += away * (point[i] - moments[0, i])
        for end in ends[1:-1]:
            if now + 1 == end:
                for i in range(d):
                    # Shrunk towards one, which coordinates were whitened to, as ten draws would.
                    scale[i] = math.sqrt((moments[1, i] + 10.0 * scale[i] * scale[i]) / (state[5] + 10.0))
                    moments[0, i] = moments[1, i] = 0.0
                state[1] = state[2]
                state[3] = state[4] = state[5] = 0.0
                state[6] = state[1]


@kernel
def _average(state, accepted):
    """Dual averaging of the log step (Hoffman and Gelman 2014, algorithm 5)."""
    state[4] += 1.0
    share = 1.0 / (state[4] + 10.0)
    state[3] = (1.0 - share) * state[3] + share * (state[7] - accepted)
    state[1] = state[6] + math.log(2.0) - math.sqrt(state[4]) / 0.05 * state[3]
    power = state[4] ** -0.75
    state[2] = power * state[1] + (1.0 - power) * state[2]
