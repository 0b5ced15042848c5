"""The time at which a Brownian motion with drift first leaves an interval: log density and its derivatives.

The motion has the diffusion coefficient one and starts inside (0, a). Seen from the boundary that it reaches at time t,
let z a be the distance of the start to that boundary and c the drift towards it (the drift v and z = 1 - w at the upper
boundary, -v and z = w at the lower one). With u = t / a^2 the density is (Feller 1968, chapter 14)

    f = a^-2 exp(c a z - c^2 t / 2) g(u, z),

where g is that of a motion without drift between boundaries one apart. It has two series:

    small times:  g = (2 pi u^3)^(-1/2) sum over all whole k of r exp(-r^2 / (2 u)),  r = z + 2 k  (images of the start)
    large times:  g = pi sum over k = 1, 2, ... of k exp(-k^2 pi^2 u / 2) sin(k pi z)

Navarro and Fuss (2009) take the one that needs fewer terms. For u <= 1/3 the images with |r| <= 5.5 are enough, for
larger u the terms up to k = 4: each leaves out less than 1e-14 of g and of its derivatives, for every z. So the number
of terms needs no bound to be computed; of small u the images that are too small are skipped.

Derivatives: both series converge uniformly in u and z, as do their termwise derivatives, on every range u >= u0 > 0,
so these may be summed in place of the series (Blurton, Kesselmeier and Gondan 2012; Hartmann and Klauer 2021). As g
depends on t and a through u alone, the derivative in log a follows from that in log u,

    d log f / d log a = -2 + c a z - 2 u g_u / g,      d log f / d t = -c^2 / 2 + u g_u / (g t).

No digits are lost: for z > 1/2 images come in pairs m - d and -(m + d) around odd m with d = 1 - z, for z <= 1/2 around
even m with d = z; the two of a pair nearly cancel where d is small, so their difference is written with
(1 - exp(-2 m d / u)) / d. The exponents of small times are completed to the square -(a z - c t)^2 / (2 t), which is
small where the density is large, although its parts are not. sin(k pi z) / sin(pi z) is a Chebyshev polynomial in
cos(pi z), whatever z.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel, vector
from poolwise.families.scalars import HALF_LOG_TWO_PI

_LARGE = 1.0 / 3.0  # from here on the series of large times
_FARTHEST = 1e150  # a^2 / t is kept between this and its inverse: the series have long reached their limits
_LOG_FARTHEST = math.log(_FARTHEST)
_LOG_PI = math.log(math.pi)


@kernel
def _pair(m, first, d, h, power, geometric, b, odd):
    """The images m - d and -(m + d), of even m the other way round, relative to the leading image.

    Parameters
    ----------
    first : exp of the exponent of m - d minus that of the leading image.
    d, h : as above; 1 / u.
    power, geometric : E^m and 1 + E + ... + E^(m - 1) with E = exp(-2 d h).
    b : (1 - E) / d.
    odd : one for odd m, else zero.

    Returns
    -------
    With the sums over both images: of r / d; of r (r^2 - z^2) h / (2 d); of 1 - h r (r - z).
    """
    sign = 2.0 * odd - 1.0
    both, difference = first * (1.0 + power), m * b * geometric * first
    # m^2 + d^2 - z^2, between r^2 - z^2 of the two
    between = m * m - odd * (1.0 - 2.0 * d)
    moved = 0.5 * h * ((between + 2.0 * d * d) * difference - (2.0 * m * m + between) * both)
    near, far = 1.0 - h * (m - d) * (m - odd), 1.0 - h * (m + d) * (m + odd)
    return sign * (difference - both), sign * moved, first * (near + far * power)


@kernel
def small_times(d: float, beyond: bool, h: float) -> tuple[float, float, float]:
    """Sums over images, relative to the leading one at the distance z.

    Parameters
    ----------
    d, beyond : the smaller of z and 1 - z; whether z is the larger.
    h : 1 / u >= 3.

    Returns
    -------
    S with g = (2 pi u^3)^(-1/2) d S exp(-z^2 / (2 u)); what u g_u / g has besides -3/2 + z^2 / (2 u); d times what
    g_z / g has besides -z / u.
    """
    less = vector.expm1(-2.0 * d * h)
    e, b = 1.0 + less, -less / d
    if beyond:
        total, moved, slope = b - (1.0 + e), -2.0 * h * (1.0 + d) * e, (1.0 + e) - 2.0 * h * (1.0 + d) * e
        if h < 16.0:
            e2 = e * e
            e3 = e2 * e
            q = vector.exp(-h * (4.0 - 2.0 * d))
            one, two, three = _pair(3.0, q, d, h, e3, 1.0 + e + e2, b, 1.0)
            q = q * q * q * e
            four, five, six = _pair(5.0, q, d, h, e3 * e2, 1.0 + e + e2 + e3 + e2 * e2, b, 1.0)
            total, moved, slope = total + one + four, moved + two + five, slope + three + six
    else:
        total, moved, slope = 1.0, 0.0, 1.0
        if h < 45.0:
            e2 = e * e
            q = vector.exp(-2.0 * h * (1.0 - d))
            one, two, three = _pair(2.0, q, d, h, e2, 1.0 + e, b, 0.0)
            q = q * q * e
            q = q * q
            four, five, six = _pair(4.0, q, d, h, e2 * e2, (1.0 + e) * (1.0 + e2), b, 0.0)
            total, moved, slope = total + one + four, moved + two + five, slope + three + six
    return total, moved / total, slope / total


@kernel
def large_times(d: float, beyond: bool, u: float) -> tuple[float, float, float]:
    """Sums over sines.

    Parameters
    ----------
    d, beyond : the smaller of z and 1 - z; whether z is the larger.
    u : at least 1/3.

    Returns
    -------
    L with g = pi L exp(-pi^2 u / 2); u g_u / g; d g_z / g.
    """
    half = 0.5 * math.pi * math.pi * u
    sine, c = math.sin(math.pi * d), math.cos(math.pi * d)
    c = -c if beyond else c
    p = vector.exp(-half)
    p3 = p * p * p
    p8 = p3 * p3 * p * p
    p15 = p8 * p3 * p3 * p
    # Chebyshev polynomials of the second kind, sin(k pi z) / sin(pi z), and of the first, cos(k pi z)
    s2 = 2.0 * c
    s3 = 2.0 * c * s2 - 1.0
    s4 = 2.0 * c * s3 - s2
    t2, t3 = s3 - c * s2, s4 - c * s3
    t4 = 2.0 * c * t3 - t2
    a2, a3, a4 = 2.0 * p3 * s2, 3.0 * p8 * s3, 4.0 * p15 * s4
    total = 1.0 + a2 + a3 + a4
    moved = -half * (1.0 + (3.0 * a2 + 8.0 * a3 + 15.0 * a4) / total)
    cosines = c + 4.0 * p3 * t2 + 9.0 * p8 * t3 + 16.0 * p15 * t4
    return sine * total, moved, math.pi * d / sine * cosines / total


@kernel
def log_first_passage(
    t: float, c: float, a: float, log_a: float, z: float, rest: float
) -> tuple[float, float, float, float, float]:
    """Log density of reaching one of the boundaries at time t > 0, and its derivatives.

    Parameters
    ----------
    t, c : time; drift towards the boundary.
    a, log_a : distance of the boundaries.
    z, rest : distance of the start to the boundary that is reached, and to the other one, as shares of a.

    Returns
    -------
    The value; the derivatives in c, log a, t and the logit of z.
    """
    log_t = vector.log(t)
    log_h = min(max(2.0 * log_a - log_t, -_LOG_FARTHEST), _LOG_FARTHEST)
    h = vector.exp(log_h)
    d, beyond = min(z, rest), z > rest
    ahead = a * z - c * t
    if h * _LARGE < 1.0:
        total, moved, slope = large_times(d, beyond, 1.0 / h)
        value = _LOG_PI + vector.log(total) - 2.0 * log_a + c * (a * z - 0.5 * c * t) - 0.5 * math.pi * math.pi / h
        of_start = c * a * z * rest + max(z, rest) * slope
        return value, ahead, c * a * z - 2.0 - 2.0 * moved, moved / t - 0.5 * c * c, of_start
    total, moved, slope = small_times(d, beyond, h)
    gone = ahead / t
    value = vector.log(d * total) + log_a - 1.5 * log_t - HALF_LOG_TWO_PI - 0.5 * ahead * gone
    of_time = (moved - 1.5 + 0.5 * gone * (a * z + c * t)) / t
    return value, ahead, 1.0 - 2.0 * moved - a * z * gone, of_time, max(z, rest) * slope - z * rest * a * gone
