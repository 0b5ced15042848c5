"""The density of the wiener family in many digits, by its two series as textbooks write them."""

from __future__ import annotations

from decimal import Decimal, localcontext

from tests.families.exact import PI, STEP

DIGITS = 60
_TERMS = Decimal(10) ** -(DIGITS + 25)


def small_times(u: Decimal, z: Decimal) -> Decimal:
    """The driftless density between boundaries one apart, by images; digits for u up to about 20."""
    total, k = z * (-z * z / (2 * u)).exp(), 1
    while True:
        for r in (z + 2 * k, z - 2 * k):
            total += r * (-r * r / (2 * u)).exp()
        if (-(Decimal(2 * k - 1) ** 2) / (2 * u)).exp() < _TERMS * (-z * z / (2 * u)).exp() * min(z, 1):
            return total / (2 * PI * u**3).sqrt()
        k += 1


def sine(x: Decimal) -> Decimal:
    x %= 2 * PI
    term = total = x
    k = 1
    while abs(term) > Decimal(10) ** -100:
        term *= -x * x / ((k + 1) * (k + 2))
        total += term
        k += 2
    return total


def large_times(u: Decimal, z: Decimal) -> Decimal:
    """The same by sines; digits for u from about 0.02 on."""
    total, k = Decimal(0), 1
    while True:
        weight = k * (-((k * PI) ** 2) * u / 2).exp()
        total += weight * sine(k * PI * z)
        if weight < _TERMS * (-(PI**2) * u / 2).exp() * min(z, 1 - z):
            return PI * total
        k += 1


def log_first_passage(t: Decimal, c: Decimal, log_a: Decimal, z: Decimal) -> Decimal:
    """Log density of the time to a boundary, z away relative to their distance, with the drift c towards it."""
    a = log_a.exp()
    u = t / (a * a)
    g = (small_times if u < Decimal("0.5") else large_times)(u, z)
    return c * a * z - c * c * t / 2 - 2 * log_a + g.ln()


def log_density(y, v, log_a, log_ndt, logit_w, logit_p, log_longest):
    """Of a signed time."""
    t = abs(y) - log_ndt.exp()
    p, rest = 1 / (1 + (-logit_p).exp()), 1 / (1 + logit_p.exp())
    other = p / (2 * log_longest.exp())
    if t <= 0:
        return other.ln()
    z = 1 / (1 + (logit_w if y > 0 else -logit_w).exp())
    return (rest * log_first_passage(t, v if y > 0 else -v, log_a, z).exp() + other).ln()


def value_and_slopes(y: float, at: tuple[float, ...]) -> tuple[float, list[float]]:
    """Log density, and its derivatives in all predictors on their scales by differences."""
    with localcontext() as context:
        context.prec = DIGITS + 60
        outcome, point = Decimal(y), [Decimal(each) for each in at]
        slopes = []
        for k in range(len(point)):
            up, down = ([each + sign * STEP * (i == k) for i, each in enumerate(point)] for sign in (1, -1))
            slopes.append((log_density(outcome, *up) - log_density(outcome, *down)) / (2 * STEP))
        return float(log_density(outcome, *point)), [float(each) for each in slopes]
