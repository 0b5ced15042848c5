"""Log densities of the families in sixty digits, as textbooks write them; slopes by differences of these."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from math import comb

DIGITS = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
STEP = Decimal("1e-20")


def _stirling(count: int) -> list[Decimal]:
    """Coefficients of 1 / x, 1 / x^3, ..., from Bernoulli's numbers."""
    numbers = [Fraction(1)]
    for m in range(1, 2 * count + 1):
        numbers.append(-sum(comb(m + 1, k) * numbers[k] for k in range(m)) / (m + 1))
    terms = [numbers[2 * k] / (2 * k * (2 * k - 1)) for k in range(1, count + 1)]
    return [Decimal(term.numerator) / term.denominator for term in terms]


with localcontext() as _context:
    _context.prec = DIGITS
    STIRLING = _stirling(22)
    HALF_LOG_TWO_PI = (2 * PI).ln() / 2


def log1p(x: Decimal) -> Decimal:
    return x - x * x / 2 if abs(x) < Decimal("1e-30") else (1 + x).ln()


def log_gamma(x: Decimal) -> Decimal:
    """By Stirling's series from forty on, by the recurrence below."""
    if x == 1:  # not a last digit more or less: logs of probabilities near one are taken
        return Decimal(0)
    product = Decimal(1)
    while x < 40:
        product *= x
        x += 1
    square, tail = 1 / (x * x), Decimal(0)
    for coefficient in reversed(STIRLING):
        tail = tail * square + coefficient
    return (x - Decimal("0.5")) * x.ln() - x + HALF_LOG_TWO_PI - product.ln() + tail / x


def _gaussian(y, n, x, s):
    return -HALF_LOG_TWO_PI - s - ((y - x) / s.exp()) ** 2 / 2


def _binomial(y, n, x):
    choose = log_gamma(n + 1) - log_gamma(y + 1) - log_gamma(n - y + 1)
    return choose + ((y - n) * x if x >= 0 else y * x) - n * log1p((-abs(x)).exp())


def _poisson(y, n, x):
    return y * x - x.exp() - log_gamma(y + 1)


def _negative_binomial(y, n, x, s):
    shape, ratio = s.exp(), (x - s).exp()
    return log_gamma(y + shape) - log_gamma(shape) - log_gamma(y + 1) + y * (x - s) - (shape + y) * log1p(ratio)


def _student(y, n, x, s, t):
    df, z = t.exp(), (y - x) / s.exp()
    constant = log_gamma((df + 1) / 2) - log_gamma(df / 2) - (df * PI).ln() / 2 - s
    return constant - (df + 1) / 2 * log1p(z * z / df)


def _gamma(y, n, x, s):
    shape = s.exp()
    return shape * (s - x) - log_gamma(shape) + (shape - 1) * y.ln() - shape * y / x.exp()


def _lognormal(y, n, x, s):
    return _gaussian(y.ln(), n, x, s) - y.ln()


def _beta(y, n, x, s):
    a, b = s.exp() / (1 + (-x).exp()), s.exp() / (1 + x.exp())
    return log_gamma(s.exp()) - log_gamma(a) - log_gamma(b) + (a - 1) * y.ln() + (b - 1) * log1p(-y)


def _exponential(y, n, x):
    return -x - y / x.exp()


def expm1(x: Decimal) -> Decimal:
    small = x + x * x / 2 + x**3 / 6 + x**4 / 24
    return small if abs(x) < Decimal("1e-15") else x.exp() - 1


def _weibull(y, n, x, s):
    power = s.exp() * (y.ln() - x)
    return s - y.ln() + power - power.exp()


def _geometric(y, n, x):
    return -log1p(x.exp()) - y * log1p((-x).exp())


def _beta_binomial(y, n, x, s):
    a, b = s.exp() / (1 + (-x).exp()), s.exp() / (1 + x.exp())
    choose = log_gamma(n + 1) - log_gamma(y + 1) - log_gamma(n - y + 1)
    risen = [log_gamma(each + count) - log_gamma(each) for each, count in ((a, y), (b, n - y), (s.exp(), n))]
    return choose + risen[0] + risen[1] - risen[2]


def normal_tail(x: Decimal) -> Decimal:
    """log(1 - Phi(x)): by Laplace's continued fraction far out, else by a series of positive terms."""
    density = -HALF_LOG_TWO_PI - x * x / 2
    if x > 8:
        fraction = Decimal(0)
        for k in range(4000 if x < 30 else 400, 0, -1):
            fraction = k / (x + fraction)
        return density - (x + fraction).ln()
    if x < -8:
        return log1p(-normal_tail(-x).exp())
    with localcontext() as context:
        context.prec = DIGITS + 20  # the difference from a half loses up to fifteen
        term, total, k = abs(x), Decimal(0), 1
        while abs(term) > Decimal(10) ** -(DIGITS + 20):
            total += term
            k += 2
            term *= x * x / k
        part = density.exp() * total
        tail = Decimal("0.5") - (part if x > 0 else -part)
    return tail.ln()


def cosine(x: Decimal) -> Decimal:
    """By its series, at an angle between -pi and pi."""
    x -= 2 * PI * (x / (2 * PI)).to_integral_value()
    term, total, k = Decimal(1), Decimal(0), 0
    while abs(term) > Decimal(10) ** -(DIGITS + 5):
        total += term
        k += 2
        term *= -x * x / (k * (k - 1))
    return total


def log_bessel(x: Decimal) -> Decimal:
    """log I0(x), by its power series."""
    term, total, k = Decimal(1), Decimal(0), 0
    while term > total * Decimal(10) ** -(DIGITS + 5):
        total += term
        k += 1
        term *= x * x / (4 * k * k)
    return total.ln()


def _shifted_lognormal(y, n, x, s, t):
    return _lognormal(y - t.exp(), n, x, s)


def _exgaussian(y, n, x, s, t):
    sigma, tau = s.exp(), t.exp()
    z = (y - (x - tau)) / sigma
    return -t + (sigma / tau) ** 2 / 2 - z * sigma / tau + normal_tail(sigma / tau - z)


def _inverse_gaussian(y, n, x, s):
    mean = x.exp()
    return s / 2 - HALF_LOG_TWO_PI - 3 * y.ln() / 2 - s.exp() * (y - mean) ** 2 / (2 * mean**2 * y)


def _skew_normal(y, n, x, s, a):
    delta = a / (1 + a * a).sqrt()
    omega = s.exp() / (1 - 2 * delta**2 / PI).sqrt()
    z = (y - (x - omega * delta * (2 / PI).sqrt())) / omega
    return Decimal(2).ln() - HALF_LOG_TWO_PI - omega.ln() - z * z / 2 + normal_tail(-a * z)


def _asymmetric_laplace(y, n, x, s, z):
    q, u = 1 / (1 + (-z).exp()), (y - x) / s.exp()
    return (q / (1 + z.exp())).ln() - s - u * (q - (1 if u < 0 else 0))


def _von_mises(y, n, x, s):
    return s.exp() * cosine(y - x) - (2 * PI).ln() - log_bessel(s.exp())


def _zero_one_inflated_beta(y, n, x, s, z, v):
    if y in (0, 1):
        return -log1p((-z).exp()) - log1p((-v if y == 1 else v).exp())
    return -log1p(z.exp()) + _beta(y, n, x, s)


def _inflated(base):
    def density(y, n, *at):
        *own, z = at
        on, off = -log1p((-z).exp()), -log1p(z.exp())
        return (on.exp() + off.exp() * base(y, n, *own).exp()).ln() if y == 0 else off + base(y, n, *own)

    return density


def _hurdle(base, cut_off):
    def density(y, n, *at):
        *own, z = at
        if y == 0:
            return -log1p((-z).exp())
        less = (-expm1(base(Decimal(0), n, *own))).ln() if cut_off else 0
        return -log1p(z.exp()) + base(y, n, *own) - less

    return density


DENSITIES = {
    "gaussian": _gaussian,
    "bernoulli": _binomial,
    "binomial": _binomial,
    "poisson": _poisson,
    "negative_binomial": _negative_binomial,
    "student": _student,
    "gamma": _gamma,
    "lognormal": _lognormal,
    "beta": _beta,
    "exponential": _exponential,
    "weibull": _weibull,
    "geometric": _geometric,
    "beta_binomial": _beta_binomial,
    "zero_inflated_poisson": _inflated(_poisson),
    "zero_inflated_negative_binomial": _inflated(_negative_binomial),
    "zero_inflated_binomial": _inflated(_binomial),
    "hurdle_poisson": _hurdle(_poisson, True),
    "hurdle_negative_binomial": _hurdle(_negative_binomial, True),
    "hurdle_gamma": _hurdle(_gamma, False),
    "hurdle_lognormal": _hurdle(_lognormal, False),
    "shifted_lognormal": _shifted_lognormal,
    "exgaussian": _exgaussian,
    "inverse_gaussian": _inverse_gaussian,
    "skew_normal": _skew_normal,
    "asymmetric_laplace": _asymmetric_laplace,
    "von_mises": _von_mises,
    "zero_one_inflated_beta": _zero_one_inflated_beta,
}


def value_and_slopes(family: str, y: float, trials: float, at: tuple[float, ...]) -> tuple[Decimal, list[Decimal]]:
    """Log density and its derivatives in the location and the other parameters on their scales."""
    density = DENSITIES[family]
    with localcontext() as context:
        context.prec = DIGITS
        outcome, point = (Decimal(y), Decimal(trials)), [Decimal(each) for each in at]
        slopes = []
        for k in range(len(point)):
            up, down = ([each + sign * STEP * (i == k) for i, each in enumerate(point)] for sign in (1, -1))
            slopes.append((density(*outcome, *up) - density(*outcome, *down)) / (2 * STEP))
        return density(*outcome, *point), slopes


def digamma(x: float) -> float:
    with localcontext() as context:
        context.prec = DIGITS
        step = STEP * Decimal(x)
        return float((log_gamma(Decimal(x) + step) - log_gamma(Decimal(x) - step)) / (2 * step))


def rising(x: float, y: float) -> tuple[float, float]:
    """log(Gamma(x + y) / Gamma(x)) and its derivative in x."""
    with localcontext() as context:
        context.prec = DIGITS
        at, count, step = Decimal(x), Decimal(y), STEP * Decimal(x)
        if y == int(y) and y < 100:  # the product itself
            each = [at + k for k in range(int(y))]
            return float(sum((one.ln() for one in each), Decimal(0))), float(sum((1 / one for one in each), Decimal(0)))
        value = log_gamma(at + count) - log_gamma(at)
        up, down = (log_gamma(at + sign * step + count) - log_gamma(at + sign * step) for sign in (1, -1))
        return float(value), float((up - down) / (2 * step))
