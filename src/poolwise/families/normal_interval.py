"""Log probabilities of intervals of a normal outcome, and their derivatives, without cancellation.

With Mills' ratio M(z) = (1 - Phi(z)) / phi(z), an interval (a, b] on the right of zero has the probability
phi(a) D, D = M(a) - M(b) E, E = phi(b) / phi(a) = exp(-(b - a)(a + b) / 2). All derivatives are ratios of a, b, E and
D. A short interval has D = integral from 0 to b - a of exp(-a w - w^2 / 2) dw, which Gauss and Legendre's rule gives.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel, lane, vector
from poolwise.families.legendre import NODES, WEIGHTS
from poolwise.families.scalars import HALF_LOG_TWO_PI

_ROOT_HALF, _ROOT_HALF_PI = math.sqrt(0.5), math.sqrt(0.5 * math.pi)
_FAR = 20.0  # from here on the asymptotic series has all digits
FURTHEST = 1e150  # ends are moved to there, whose squares are numbers
_GONE = 37.6  # beyond, densities are zero among doubles


@lane
def mills(z):
    """Mills' ratio M(z) for z >= 0, and 1 - z M(z) (Abramowitz and Stegun 1964, 26.2.12)."""
    if z < _FAR:
        ratio = _ROOT_HALF_PI * math.erfc(z * _ROOT_HALF) * vector.exp(0.5 * z * z)
        return ratio, 1.0 - z * ratio
    r = 1.0 / z
    r = r * r
    rest = r * (
        1.0 - r * (3.0 - r * (15.0 - r * (105.0 - r * (945.0 - r * (10395.0 - r * (135135.0 - r * 2027025.0))))))
    )
    return (1.0 - rest) / z, rest


@kernel
def _short(a, width):
    """D of an interval of a small width, and 1 - E - a D, the first moment of the same integrand."""
    mass, first = 0.0, 0.0
    for j in range(NODES.size):
        w = width * NODES[j]
        share = width * WEIGHTS[j] * vector.exp(-w * (a + 0.5 * w))
        mass += share
        first += share * w
    return mass, first


@kernel
def _around(a, b):
    """An interval with zero inside: all but two tails."""
    below = above = outside = 0.0
    if a > -_GONE:
        below, outside = vector.exp(-0.5 * a * a - HALF_LOG_TWO_PI), 0.5 * math.erfc(-a * _ROOT_HALF)
    if b < _GONE:
        above, outside = vector.exp(-0.5 * b * b - HALF_LOG_TWO_PI), outside + 0.5 * math.erfc(b * _ROOT_HALF)
    a, b = max(a, -_GONE), min(b, _GONE)
    below, above = below / (1.0 - outside), above / (1.0 - outside)
    x, s = below - above, a * below - b * above
    return math.log1p(-outside), x, s, x * x - s, s * s + s - (a * a * a * below - b * b * b * above)


@lane
def normal_interval(a, b, width):
    """Log probability that a standard normal number lies in (a, b], where a < b and b - a = width.

    Returns
    -------
    The log probability; its derivatives in the mean and in the log of the standard deviation, both at a mean of zero
    and a standard deviation of one; minus the second derivatives.
    """
    sign = 1.0
    if a + b < 0.0:
        a, b, sign = -b, -a, -1.0
    middle = 0.5 * (a + b)
    if width <= 1.0 and width * middle <= 1.0:
        d, n = _short(a, width)
        e = vector.exp(-width * middle)
        drop, we = -vector.expm1(-width * middle), width * e
    elif a < 0.0:
        value, x, s, of_x, of_s = _around(a, b)
        return value, sign * x, s, of_x, of_s
    else:
        d, n = mills(a)
        e, we, drop = 0.0, 0.0, 1.0
        if width < 1e150 and width * middle < 700.0:
            e = vector.exp(-width * middle)
            far, far_rest = mills(b)
            d -= far * e
            n -= e * (far_rest + width * far)
            we, drop = width * e, -vector.expm1(-width * middle)
    value = -0.5 * a * a - HALF_LOG_TWO_PI + vector.log(d)
    x, s = drop / d, (a * drop - we) / d
    of_x = (drop * n + we * d) / (d * d)
    of_s = (a * drop - we) * (a * n - we) / (d * d) + s
    if we > 0.0:
        of_s += b * (we / d) * (a + b)
    return value, sign * x, s, of_x, of_s
