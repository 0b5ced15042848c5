"""Log probabilities of intervals of a Student outcome, with derivatives in location, scale and degrees of freedom.

With z = sqrt(nu) sinh(s), the density of s is cosh(s)^-nu but for a constant, which is log-concave; intervals on one
side of zero are integrated from their end next to zero outwards, as in `incomplete_gamma`. Derivatives, that in the
degrees of freedom too, are means of those of the log density over the same points. The error is below 1e-12 of the
probability.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel, lane, vector
from poolwise.families.intervals import complement, nothing, reflected, union
from poolwise.families.legendre import NODES, WEIGHTS
from poolwise.families.scalars import rising, trigamma

_HALF_LOG_PI = 0.5 * math.log(math.pi)
_LOST = 40.0  # logs below the density at the inner end that matter no more
_DROP = 5.0  # of a panel: about half as many logs


@kernel
def student_constants(log_df):
    """The degrees of freedom; and of s at zero the log density with its first two derivatives in `log_df`."""
    df = math.exp(log_df)
    value, slope = rising(0.5 * df, 0.5)
    drift = 0.5 * df * slope
    if df > 1e5:  # where trigamma functions are too close to each other
        return df, (value - _HALF_LOG_PI, drift, -0.25 / df)
    bend = drift + 0.25 * df * df * (trigamma(0.5 * df + 0.5) - trigamma(0.5 * df))
    return df, (value - _HALF_LOG_PI, drift, bend)


@lane
def _farther(t, w):
    """x and rest with cosh(s + w) / cosh(s) = (1 + x) exp(rest) for w >= 0; and tanh(s + w), from t = tanh(s) >= 0."""
    inside = min(w, 700.0)
    e = vector.expm1(inside)
    g = 1.0 / (1.0 + e)
    x = 0.5 * (e * g) * (e + t * (2.0 + e))
    tanh = e * g * (1.0 + g) / (1.0 + g * g)
    return x, w - inside, (t + tanh) / (1.0 + t * tanh)


@kernel
def _part(df, constants, start, width):
    """From sinh(s) = start >= 0, over a width of s; as in `intervals`, at a scale of one."""
    if not width > 0.0:
        return nothing()
    constant, drift, bend = constants
    steep = math.sqrt(1.0 + start * start)
    sech, t, root = 1.0 / steep, start / steep, math.sqrt(df)
    pull_0, far_0 = (df + 1.0) / root * t * sech, t * t
    mass, first_x, first_s, first_t, second_x, second_s, second_t = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    done, at, slope = 0.0, 0.0, t
    while done < width and at > -_LOST:
        step = _DROP / (0.5 * df * slope + math.sqrt(df * (1.0 - slope * slope)))
        # cosh(s) has zeros at a distance of pi / 2 from the line.
        step = min(step, 2.0 + done, width - done)
        if not done + step > done:
            break
        for j in range(NODES.size):
            w = done + step * NODES[j]
            x, rest, tanh = _farther(t, w)
            bent = vector.log1p(x) + rest
            share = step * WEIGHTS[j] * vector.exp(-df * bent)
            near, far = sech / (1.0 + x), tanh * tanh
            pull = (df + 1.0) / root * tanh * near - pull_0
            near *= near  # 1 / (1 + z^2 / df); `far` is the rest
            more = (df + 1.0) * (far - far_0)
            heavy = 0.5 * more - df * bent
            mass += share
            first_x += share * pull
            first_s += share * more
            first_t += share * heavy
            second_x += share * (pull * pull + (1.0 + 1.0 / df) * near * (far - near))
            second_s += share * (more * more - 2.0 * (df + 1.0) * far * near)
            second_t += share * (heavy * heavy - df * bent + df * far - 0.5 * (df + 1.0) * far * near)
        done += step
        x, rest, slope = _farther(t, done)
        at = -df * (vector.log1p(x) + rest)
    if not mass > 0.0:
        return nothing()
    first_x, first_s, first_t = first_x / mass, first_s / mass, first_t / mass
    height = -0.5 * df * math.log1p(start * start)
    return (
        constant + height + math.log(mass),
        pull_0 + first_x,
        (df + 1.0) * far_0 - 1.0 + first_s,
        drift - 0.5 + height + 0.5 * (df + 1.0) * far_0 + first_t,
        first_x * first_x - second_x / mass,
        first_s * first_s - second_s / mass,
        first_t * first_t - second_t / mass - bend - height,
    )


@kernel
def _right(df, constants, a, b, width):
    """The interval (a, b] of z / sqrt(df), for a >= -b."""
    if a >= 0.0:
        if b == math.inf:
            return _part(df, constants, a, math.inf)
        apart = width * ((a + b) / (b * math.sqrt(1.0 + a * a) + a * math.sqrt(1.0 + b * b)))  # sinh of the difference
        return _part(df, constants, a, math.asinh(apart))
    below = reflected(_part(df, constants, -a, math.inf)) if a > -math.inf else nothing()
    above = _part(df, constants, b, math.inf) if b < math.inf else nothing()
    if math.exp(max(below[0], -700.0)) + math.exp(max(above[0], -700.0)) <= 0.5:
        return complement(below, above)
    return union(reflected(_part(df, constants, 0.0, math.asinh(-a))), _part(df, constants, 0.0, math.asinh(b)))


@kernel
def student_interval(df, constants, a, b, width):
    """The interval (a, b] of z, which is so wide; predictors are location, log scale and log degrees of freedom."""
    r = 1.0 / math.sqrt(df)
    if a + b < 0.0:
        return reflected(_right(df, constants, -b * r, -a * r, width * r))
    return _right(df, constants, a * r, b * r, width * r)
