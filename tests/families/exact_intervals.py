"""Log probabilities of intervals in sixty digits, from distribution functions as textbooks write them."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import inf

from tests.families.exact import DENSITIES, expm1, log1p, log_gamma

DIGITS = 75
STEP = Decimal("1e-12")
ONE, NEVER = Decimal(1), Decimal("-Infinity")
LAST = Decimal("1e-72")


def _rest(log_p: Decimal) -> Decimal:
    """log(1 - P)."""
    p = log_p.exp()
    if p >= 1:
        return NEVER
    return log1p(-p) if p < Decimal("0.9") else (-expm1(log_p)).ln()


def _gamma_tails(a: Decimal, x: Decimal) -> tuple[Decimal, Decimal]:
    """Logs of P(a, x) and Q(a, x): the power series (Abramowitz and Stegun 1964, 6.5.29), or Legendre's fraction."""
    front = a * x.ln() - x - log_gamma(a)
    if x > 2 * a + 40:
        # 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), from the inside
        terms = 40 + int(min(Decimal(3000), 20000 / x))
        value = x + 2 * terms + 1 - a
        for k in range(terms, 0, -1):
            value = x + 2 * k - 1 - a - k * (k - a) / value
        upper = front - value.ln()
        return _rest(upper), upper
    term = total = 1 / a
    n = a
    while term > total * LAST:
        n += 1
        term *= x / n
        total += term
    lower = front + total.ln()
    return lower, _rest(lower)


def _beta_series(a: Decimal, b: Decimal, x: Decimal, y: Decimal) -> Decimal:
    """log I_x(a, b), y = 1 - x (Abramowitz and Stegun 1964, 26.5.4)."""
    front = a * x.ln() + b * y.ln() + log_gamma(a + b) - log_gamma(a + 1) - log_gamma(b)
    term = total = ONE
    n = ONE * 0
    while term > total * LAST:
        term *= (a + b + n) / (a + 1 + n) * x
        total += term
        n += 1
    return front + total.ln()


def _gaussian(y, x, s):
    z = (y - x) / s.exp()
    _, outside = _gamma_tails(Decimal("0.5"), z * z / 2) if z else (NEVER, Decimal(0))
    tail = outside - Decimal(2).ln()
    return (tail, _rest(tail)) if z < 0 else (_rest(tail), tail)


def _student(y, x, s, t):
    z, df = (y - x) / s.exp(), t.exp()
    far, near = z * z / (df + z * z), df / (df + z * z)
    if far == 0:
        tail = -Decimal(2).ln()
    elif near < Decimal("0.7"):
        tail = _beta_series(df / 2, Decimal("0.5"), near, far) - Decimal(2).ln()
    else:
        tail = _rest(_beta_series(Decimal("0.5"), df / 2, far, near)) - Decimal(2).ln()
    return (tail, _rest(tail)) if z < 0 else (_rest(tail), tail)


def _lognormal(y, x, s):
    return _gaussian(y.ln(), x, s) if y > 0 else (NEVER, Decimal(0))


def _waiting(exponent):
    return (-expm1(-exponent)).ln(), -exponent


def _exponential(y, x):
    return _waiting(y / x.exp()) if y > 0 else (NEVER, Decimal(0))


def _weibull(y, x, s):
    return _waiting((s.exp() * (y.ln() - x)).exp()) if y > 0 else (NEVER, Decimal(0))


def _gamma(y, x, s):
    return _gamma_tails(s.exp(), y * (s - x).exp()) if y > 0 else (NEVER, Decimal(0))


def _counts(name):
    """Sums of probabilities: upwards where terms fall fast, else what remains of those up to a count."""

    def tails(y, *at):
        if y < 0:
            return NEVER, Decimal(0)
        density, last = DENSITIES[name], int(y)
        mean = at[0].exp()
        first = density(Decimal(last + 1), ONE, *at)
        shape = at[1].exp() if len(at) == 2 else ONE
        if mean < Decimal("0.2") * (last + 1) and (name == "poisson" or mean < shape):
            term = total = ONE
            k = last + 1
            while term > total * LAST:
                if name == "poisson":
                    term *= mean / (k + 1)
                else:
                    term *= (shape + k) / (k + 1) * mean / (mean + shape)
                total += term
                k += 1
            upper = first + total.ln()
            return _rest(upper), upper
        logs = [density(Decimal(k), ONE, *at) for k in range(last, -1, -1)]
        top = max(logs)
        lower = top + sum(((each - top).exp() for each in logs), Decimal(0)).ln()
        return lower, _rest(lower)

    return tails


TAILS = {
    "gaussian": _gaussian,
    "lognormal": _lognormal,
    "exponential": _exponential,
    "weibull": _weibull,
    "student": _student,
    "gamma": _gamma,
    "poisson": _counts("poisson"),
    "negative_binomial": _counts("negative_binomial"),
    "geometric": _counts("geometric"),
}


def _log_interval(family, lower, upper, at):
    low = (NEVER, Decimal(0)) if lower == -inf else TAILS[family](Decimal(lower), *at)
    high = (Decimal(0), NEVER) if upper == inf else TAILS[family](Decimal(upper), *at)
    half = Decimal("0.5").ln()
    if high[0] < half:
        return high[0] + (_rest(low[0] - high[0]) if low[0] != NEVER else 0)
    if low[1] < half:
        return low[1] + (_rest(high[1] - low[1]) if high[1] != NEVER else 0)
    outside = low[0].exp() + high[1].exp()
    return log1p(-outside)


def log_interval(family: str, lower: float, upper: float, at: tuple[float, ...]) -> float:
    """Log probability of (lower, upper]."""
    with localcontext() as context:
        context.prec = DIGITS
        return float(_log_interval(family, lower, upper, [Decimal(each) for each in at]))


def with_derivatives(
    family: str, lower: float, upper: float, at: tuple[float, ...]
) -> tuple[float, list[float], list[float]]:
    """Log probability of (lower, upper], its derivatives in all predictors, and minus the second ones."""
    with localcontext() as context:
        context.prec = DIGITS
        point, slopes, curves = [Decimal(each) for each in at], [], []
        value = _log_interval(family, lower, upper, point)
        for k in range(len(point)):
            up, down = (
                _log_interval(family, lower, upper, [p + sign * STEP * (i == k) for i, p in enumerate(point)])
                for sign in (1, -1)
            )
            slopes.append(float((up - down) / (2 * STEP)))
            curves.append(float((2 * value - up - down) / STEP**2))
        return float(value), slopes, curves
