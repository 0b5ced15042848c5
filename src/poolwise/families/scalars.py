"""Scalar functions of compiled families, finite wherever their value is."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, lane, vector

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_SUMMED = 24.0  # counts up to here: a difference of gamma functions is a short sum
_STIRLING = 12.0  # from here on Stirling's series has all digits
_FRACTION = 16  # terms of a continued fraction, for all digits from eight on
_ASYMPTOTIC = 30.0  # from here on the asymptotic series of a Bessel function has all digits


@kernel
def softplus(x: float) -> tuple[float, float]:
    """log(1 + exp(x)) and its derivative, the logistic function."""
    e = vector.exp(-abs(x))
    return max(x, 0.0) + vector.log1p(e), (1.0 if x >= 0.0 else e) / (1.0 + e)


@kernel
def digamma(x: float) -> float:
    """d/dx log Gamma(x) for x > 0 (Abramowitz and Stegun 1964, 6.3.5 and 6.3.18)."""
    total = 0.0
    while x < _STIRLING:
        total -= 1.0 / x
        x += 1.0
    return total + math.log(x) - _digamma_tail(x)


@kernel
def _digamma_tail(x):
    """log(x) - digamma(x) for large x."""
    r = 1.0 / (x * x)
    return 0.5 / x + r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r * (1 / 132)))))


@kernel
def trigamma(x: float) -> float:
    """The derivative of digamma for x > 0 (Abramowitz and Stegun 1964, 6.4.6 and 6.4.12)."""
    total = 0.0
    while x < _STIRLING:
        total += 1.0 / (x * x)
        x += 1.0
    r = 1.0 / (x * x)
    return total + (1.0 + 0.5 / x + r * (1 / 6 - r * (1 / 30 - r * (1 / 42 - r * (1 / 30 - r * (5 / 66)))))) / x


@kernel
def _log_gamma_tail(x):
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2) for large x (Abramowitz and Stegun 1964, 6.1.41)."""
    r = 1.0 / (x * x)
    return (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188))))) / x


@lane
def log_gamma(x):
    """log Gamma(x) for x > 0, without a branch: Stirling's series, twelve further on where x is small."""
    near = x < _STIRLING
    product = 1.0
    for k in range(12):
        product *= x + k
    shifted = x + 12.0 if near else x
    found = (shifted - 0.5) * vector.log(shifted) - shifted + HALF_LOG_TWO_PI + _log_gamma_tail(shifted)
    return found - vector.log(product if near else 1.0)


@kernel
def gamma_constant(x):
    """x log x - x - log Gamma(x), and its derivative in log x, without cancellation for large x."""
    if x >= _STIRLING:
        return 0.5 * math.log(x) - HALF_LOG_TWO_PI - _log_gamma_tail(x), x * _digamma_tail(x)
    return x * math.log(x) - x - math.lgamma(x), x * (math.log(x) - digamma(x))


@kernel
def rising(x: float, y: float) -> tuple[float, float]:
    """log(Gamma(x + y) / Gamma(x)) and its derivative in x, for x > 0 and y >= 0, without cancellation."""
    if y <= _SUMMED and y == math.floor(y):
        value, slope, product = 0.0, 0.0, 1.0
        for k in range(int(y)):
            if product > 1e250 or product < 1e-250:
                value += math.log(product)
                product = 1.0
            # One factor may be as large as 1e300: it is taken by itself.
            if x > 1e40 or x < 1e-40:
                value += math.log(x + k)
            else:
                product *= x + k
            slope += 1.0 / (x + k)
        return value + math.log(product), slope
    if x >= _STIRLING:
        grown = math.log1p(y / x)
        value = y * math.log(x) + (x + y - 0.5) * grown - y + _log_gamma_tail(x + y) - _log_gamma_tail(x)
        return value, grown - _digamma_tail(x + y) + _digamma_tail(x)
    return math.lgamma(x + y) - math.lgamma(x), digamma(x + y) - digamma(x)


def log_rising(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log(Gamma(x + y) / Gamma(x)) of arrays, without cancellation for large x."""
    from scipy.special import gammaln

    far = np.maximum(x, _STIRLING)
    ends = _log_gamma_tail.function(far + y) - _log_gamma_tail.function(far)
    series = y * np.log(far) + (far + y - 0.5) * np.log1p(y / far) - y + ends
    near = np.minimum(x, _STIRLING)
    return np.where(x >= _STIRLING, series, gammaln(near + y) - gammaln(near))


@kernel
def log_normal_tail(x: float) -> float:
    """log Phi(x), the log of the standard normal distribution function; -x^2 / 2 far out on the left."""
    if x > -20.0:
        return math.log(0.5 * math.erfc(-x * math.sqrt(0.5)))
    r = 1.0 / (x * x)
    return -0.5 * x * x - math.log(-x) - HALF_LOG_TWO_PI + math.log1p(-r * (1.0 - r * (3.0 - 15.0 * r)))


@exact_kernel
def normal_hazard(x: float) -> tuple[float, float, float]:
    """Of the standard normal: the hazard phi(x) / (1 - Phi(x)), what it exceeds x by, and log(1 - Phi(x)).

    From eight on by the continued fraction of Laplace (Abramowitz and Stegun 1964, 26.2.14), whose terms are positive.
    """
    if x < 8.0:
        tail = 0.5 * math.erfc(x * math.sqrt(0.5))
        log_tail = math.log(tail) if x > 0.0 else math.log1p(-0.5 * math.erfc(-x * math.sqrt(0.5)))
        hazard = math.exp(-0.5 * x * x - HALF_LOG_TWO_PI) / tail
        return hazard, hazard - x, log_tail
    excess = 0.0
    for k in range(_FRACTION, 0, -1):
        excess = k / (x + excess)
    return x + excess, excess, -0.5 * x * x - HALF_LOG_TWO_PI - math.log(x + excess)


@kernel
def log_bessel(x: float) -> tuple[float, float, float]:
    """Of the modified Bessel function I0 at x > 0, with A = I1(x) / I0(x): log I0(x) - x, x (1 - A), and x^2 dA/dx.

    By its power series, from thirty on by its asymptotic series (Abramowitz and Stegun 1964, 9.6.12 and 9.7.1).
    """
    if x < _ASYMPTOTIC:
        quarter, term, k = 0.25 * x * x, 1.0, 0.0
        total, drift = 1.0, 0.0
        while term > 1e-17 * total:
            k += 1.0
            term *= quarter / (k * k)
            total += term
            drift += 2.0 * k * term
        a = drift / total  # x A
        return math.log(total) - x, x - a, x * x - a - a * a
    term, total, drift = 1.0, 1.0, 0.0
    for k in range(1, 25):
        term *= (2.0 * k - 1.0) ** 2 / (8.0 * k * x)
        total += term
        drift += k * term
    return math.log(total) - 0.5 * math.log(x) - HALF_LOG_TWO_PI, 0.5 + drift / total, 0.5 + (0.25 + 0.375 / x) / x
