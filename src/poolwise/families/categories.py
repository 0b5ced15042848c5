"""What families of categories share: the latent distributions behind their links, draws, and expected positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from poolwise.compiled import kernel
from poolwise.families.family import Parameter
from poolwise.families.links import LATENT_VARIANCES, REAL, Link, Scale
from poolwise.families.scalars import HALF_LOG_TWO_PI, log_normal_tail, softplus

LOGIT, PROBIT, CLOGLOG = range(3)  # of the probability to lie below a threshold
KINDS = {"logit": LOGIT, "probit": PROBIT, "cloglog": CLOGLOG}
DISC = Parameter("disc", fixed=1.0, relative=True)  # discrimination, one over the latent standard deviation
LogDensity = Callable[..., np.ndarray]


def latent_scale(*names: str) -> Scale:
    """The scale of a latent location, whose links are the distributions of the noise around it."""
    links = {name: Link(name, 0, lambda mean: mean, True, latent=LATENT_VARIANCES.get(name)) for name in names}
    return replace(REAL, links=links)


@kernel
def below(kind, x):
    """log F(x), its slope f / F and minus its second derivative."""
    if kind == LOGIT:
        value, share = softplus(-x)
        return -value, share, share * (1.0 - share)
    if kind == PROBIT:
        value = log_normal_tail(x)
        slope = math.exp(-0.5 * x * x - HALF_LOG_TWO_PI - value)
        return value, slope, min(max(slope * (x + slope), 0.0), 1.0)  # far out nothing but rounding is left of it
    rate = math.exp(min(x, 700.0))
    if rate > 700.0:
        return 0.0, 0.0, 0.0
    slope = rate / math.expm1(rate) if rate > 0.0 else 1.0
    value = math.log(-math.expm1(-rate)) if rate > 1e-16 else x
    return value, slope, slope * (slope + rate - 1.0)


@kernel
def above(kind, x):
    """log(1 - F(x)), its slope and minus its second derivative."""
    if kind == CLOGLOG:
        rate = math.exp(min(x, 700.0))
        return -rate, -rate, rate
    value, slope, bend = below(kind, -x)
    return value, -slope, bend


@kernel
def between(kind, low, gap):
    """log(F(low + gap) - F(low)); its slopes in the upper and in the lower end; and minus its second derivative where
    both move together.
    """
    high = low + gap
    if kind == LOGIT:
        # F(high) (1 - F(low)) (1 - exp(-gap))
        lower, up = softplus(-high)
        upper, down = softplus(low)
        within = -math.expm1(-gap)
        pull = (1.0 - within) / within if gap > 0.0 else math.inf  # 1 / (exp(gap) - 1)
        value = math.log(within) - lower - upper
        return value, up + pull, -down - pull, up * (1.0 - up) + down * (1.0 - down)
    if kind == PROBIT:
        turned = low + high > 0.0  # on the right by upper tails
        a, b = (-high, -low) if turned else (low, high)
        below_b, below_a = log_normal_tail(b), log_normal_tail(a)
        if gap < 1e-5:
            value = math.log(gap) - HALF_LOG_TWO_PI - 0.5 * (0.5 * (a + b)) ** 2
        else:
            value = below_b + math.log(-math.expm1(min(below_a - below_b, -1e-300)))
        of_b = math.exp(min(-0.5 * b * b - HALF_LOG_TWO_PI - value, 700.0))
        of_a = math.exp(min(-0.5 * a * a - HALF_LOG_TWO_PI - value, 700.0))
        bend = min(max(b * of_b - a * of_a + (of_b - of_a) ** 2, 0.0), 1.0)
        if gap < 1e-3:  # the difference of two large numbers: within a narrow band the density is a normal one's
            bend = 1.0
        return (value, of_a, -of_b, bend) if turned else (value, of_b, -of_a, bend)
    # exp(-exp(low)) - exp(-exp(high))
    rate = math.exp(min(low, 700.0))
    width = rate * math.expm1(gap) if gap < 1.0 else math.exp(min(high, 700.0)) - rate
    if width > 700.0:
        return -rate, 0.0, -rate, rate
    of_width = 1.0 / math.expm1(width) if width > 0.0 else math.inf
    value = -rate + (math.log(-math.expm1(-width)) if width > 1e-16 else high + math.log(-math.expm1(-gap)))
    up = (width + rate) * of_width if width > 1e-16 else 1.0 / -math.expm1(-gap)
    down = rate + (rate * of_width if width > 1e-16 else math.exp(-gap) / -math.expm1(-gap))
    share = width * of_width if width > 1e-16 else 1.0
    return value, up, -down, rate + max(share * (share + width - 1.0), 0.0)


def log_between(kind: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """log(F(high) - F(low)) of arrays that broadcast; either end may be infinite."""
    from scipy.special import log_expit, log_ndtr

    with np.errstate(all="ignore"):
        if kind == LOGIT:
            return np.asarray(log_expit(high) + log_expit(-low) + np.log(-np.expm1(low - high)))
        if kind == PROBIT:
            turned = low + high > 0
            a, b = np.where(turned, -high, low), np.where(turned, -low, high)
            return np.asarray(log_ndtr(b) + np.log(-np.expm1(log_ndtr(a) - log_ndtr(b))))
        return np.asarray(-np.exp(low) + np.log(-np.expm1(np.exp(low) - np.exp(high))))


def category_draws(log_density: LogDensity, count: int, logs: int) -> Callable[..., np.ndarray]:
    """Draws of one of `count` categories; of the parameters the first `logs` are positive, on their log scale."""

    def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        left, found = rng.random(np.shape(mean)), np.zeros(np.shape(mean))
        for share in _shares(log_density, count - 1, logs, mean, parameters):
            left = left - share
            found += left > 0
        return found

    return draw


def expected_position(log_density: LogDensity, count: int, logs: int) -> Callable[..., np.ndarray]:
    """The expected position of the category, from the location and the parameters."""

    def expected(mean: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        shares = _shares(log_density, count, logs, mean, parameters)
        return np.asarray(sum(k * share for k, share in enumerate(shares)))

    return expected


def _shares(
    log_density: LogDensity, count: int, logs: int, location: np.ndarray, parameters: tuple[np.ndarray, ...]
) -> Iterator[np.ndarray]:
    at = [np.log(each) if k < logs else each for k, each in enumerate(parameters)]
    return (np.exp(log_density(np.array(float(k)), np.array(1.0), location, *at)) for k in range(count))


def probabilities(log_density: LogDensity, labels: tuple[str, ...]) -> dict[str, Callable[..., np.ndarray]]:
    """For each label, a function of the location and the parameters on their scales to its probability."""

    def of(place: int) -> Callable[..., np.ndarray]:
        at = np.array(float(place))
        return lambda location, *parameters: np.exp(log_density(at, np.array(1.0), location, *parameters))

    return {label: of(place) for place, label in enumerate(labels)}


def any_position(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Every category is fine."""
