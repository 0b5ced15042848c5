"""Parts of a gamma distribution and their derivatives, in the mean and the shape, with one cost for all parameters.

The log u of an outcome over its mean has the density exp(c(k) + k (1 + u - exp(u))), which is log-concave. A part is
integrated from its end next to the mode outwards by Gauss and Legendre's rule, in panels of a length that the first
two derivatives of the log density set, until what is left is below the last digit. The derivatives are means of those
of the log density over the same points, so that nothing is a difference of large numbers; the error is below 1e-12 of
the part.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel, vector
from poolwise.families.intervals import complement, nothing
from poolwise.families.legendre import NODES, WEIGHTS
from poolwise.families.scalars import gamma_constant, trigamma

_LOST = 40.0  # logs below the largest density that matters no more
_DROP = 5.0  # of a panel: about half as many logs


@kernel
def gamma_constants(shape):
    """Of c(k): its value, its derivative in log k and its second one."""
    value, slope = gamma_constant(shape)
    if shape < 1e3:
        return value, slope, slope + shape * (1.0 - shape * trigamma(shape))
    r = 1.0 / shape  # k (log k - digamma(k)) = 1 / 2 + 1 / (12 k) - ..., as k (1 - k trigamma(k)) + 1 / 2 is small
    return value, slope, -r * (1.0 / 12.0 - r * r * (1.0 / 40.0))


@kernel
def _grown(start, begin, w):
    """exp(start + w) - exp(start), from exp(start) too."""
    return begin * vector.expm1(w) if w < 1.0 else vector.exp(start + w) - begin


@kernel
def gamma_part(shape, constants, start, width):
    """The part from u = start outwards to start + width, where width may be negative or infinite.

    Returns
    -------
    As in `intervals`: predictors are the log of the mean and the log of the shape.
    """
    constant, drift, bend = constants
    sign, length = (1.0, width) if width > 0.0 else (-1.0, -width)
    if length == 0.0:
        return nothing()
    begin = vector.exp(start)
    mass, first_x, first_s, second_x, second_s = 0.0, 0.0, 0.0, 0.0, 0.0
    done, at, top = 0.0, 0.0, 0.0  # distance, log density there and the largest one, from that at the start
    while done < length and not (at < top - _LOST):
        here = start + sign * done
        ratio = vector.exp(here)
        slope = shape * (1.0 - ratio)
        step = _DROP / (0.5 * abs(slope) + math.sqrt(shape * ratio))
        # exp(u) changes on a length of one, where it matters: above zero.
        step = min(step, max(2.0, -0.5 * here if sign > 0.0 else abs(here)), length - done)
        if not done + step > done:
            break
        for j in range(NODES.size):
            w = sign * (done + step * NODES[j])
            grown = _grown(start, begin, w)
            rise = shape * (w - grown)
            share = step * WEIGHTS[j] * vector.exp(rise)
            away = shape * grown
            mass += share
            first_x += share * away
            first_s += share * rise
            second_x += share * away * away
            second_s += share * rise * rise
        done += step
        far = sign * done
        at = shape * (far - _grown(start, begin, far))
        top = max(top, at)
    if not mass > 0.0:
        return nothing()
    first_x, first_s, second_x, second_s = first_x / mass, first_s / mass, second_x / mass, second_s / mass
    height = shape * (start - vector.expm1(start))  # k (1 + u - exp(u)) at the start
    score = shape * vector.expm1(start)
    return (
        constant + height + math.log(mass),
        score + first_x,
        drift + height + first_s,
        0.0,
        shape * begin + first_x - (second_x - first_x * first_x),
        -(bend + height + first_s) - (second_s - first_s * first_s),
        0.0,
    )


@kernel
def gamma_interval(shape, constants, lower, upper, width):
    """The part between two logs of outcomes over their mean, a width apart; either may be infinite."""
    if upper <= 0.0:
        return gamma_part(shape, constants, upper, -width)
    if lower >= 0.0:
        return gamma_part(shape, constants, lower, width)
    below = gamma_part(shape, constants, lower, -math.inf) if lower > -math.inf else nothing()
    above = gamma_part(shape, constants, upper, math.inf) if upper < math.inf else nothing()
    if math.exp(max(below[0], -700.0)) + math.exp(max(above[0], -700.0)) <= 0.5:
        return complement(below, above)
    if lower == -math.inf:
        return gamma_part(shape, constants, upper, -math.inf)
    return gamma_part(shape, constants, lower, width)
