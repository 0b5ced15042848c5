"""Families of categories against probabilities in sixty digits, and against one another where they are the same."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import product

import numpy as np
import pytest
from tests.families import exact
from tests.families.test_kernels import alone, call
from tests.selection import long_but_for

from poolwise.families import FAMILIES, of_categories
from poolwise.families.callback import call_values

LABELS = tuple("abcde")
MADE = {
    f"{name} {link} {count}": of_categories(family, LABELS[:count], link)
    for name, family in FAMILIES.items()
    if family.labels
    for link in family.scale.links
    for count in (2, 3, 5)
}
LIKE_OTHERS = [f"{name} {link} 5" for name in ("sratio", "cumulative_equidistant") for link in ("probit", "cloglog")]
EVERY = [
    pytest.param(family, id=name, marks=pytest.mark.long if name.endswith(" 3") or name in LIKE_OTHERS else ())
    for name, family in MADE.items()
]


def normal_below(x: Decimal) -> Decimal:
    """Phi(x): Taylor's series around zero (Abramowitz and Stegun 1964, 26.2.11), far out the continued fraction."""
    if abs(x) > 9:
        tail, t = Decimal(0), abs(x)
        for k in range(300, 0, -1):
            tail = k / (t + tail)
        tail = (-t * t / 2 - exact.HALF_LOG_TWO_PI).exp() / (t + tail)
        return tail if x < 0 else 1 - tail
    term, total, k = x, x, 1
    while abs(term) > Decimal("1e-70"):
        term *= x * x / (2 * k + 1)
        total += term
        k += 1
    return Decimal("0.5") + total * (-x * x / 2 - exact.HALF_LOG_TWO_PI).exp()


BELOW = {
    "logit": lambda x: 1 / (1 + (-x).exp()),
    "probit": normal_below,
    "cloglog": lambda x: -exact.expm1(-x.exp()),
}
ABOVE = {
    "logit": lambda x: 1 / (1 + x.exp()),
    "probit": lambda x: normal_below(-x),
    "cloglog": lambda x: (-x.exp()).exp(),
}


def between(link, low, high):
    """F(high) - F(low), by the tails on the side where these are small."""
    if link == "cloglog" or low + high > 0:
        return ABOVE[link](low) - ABOVE[link](high)
    return BELOW[link](high) - BELOW[link](low)


def cumulative(link, count, k, x, disc, *logs):
    at = [Decimal(0)]
    for j in range(count - 2):
        at.append(at[-1] + logs[min(j, len(logs) - 1)].exp())
    ends = [disc.exp() * (each - x) for each in at]
    if k == 0:
        return BELOW[link](ends[0])
    return ABOVE[link](ends[-1]) if k == count - 1 else between(link, ends[k - 1], ends[k])


def sratio(link, count, k, x, disc, *shifts):
    ends = [disc.exp() * (each - x) for each in (Decimal(0), *shifts)]
    share = Decimal(1)
    for j in range(min(k, count - 1)):
        share *= ABOVE[link](ends[j])
    return share * (BELOW[link](ends[k]) if k < count - 1 else 1)


def acat(link, count, k, x, disc, *shifts):
    scores = [Decimal(0)]
    for each in (Decimal(0), *shifts):
        scores.append(scores[-1] + disc.exp() * (x - each))
    return scores[k].exp() / sum(score.exp() for score in scores)


def categorical(link, count, k, *odds):
    return odds[k].exp() / sum(each.exp() for each in odds)


ORACLES = {
    "cumulative": cumulative,
    "cumulative_equidistant": lambda link, count, k, x, disc, gap, _: cumulative(link, count, k, x, disc, gap),
    "sratio": sratio,
    "acat": acat,
    "categorical": categorical,
}


def known(family, k, at):
    """Log probability and its slopes in sixty digits; minus infinity where it is beyond their range."""
    oracle, link = ORACLES[family.name], link_of(family)

    def log(point):
        return oracle(link, len(family.labels), k, *point).ln()

    with localcontext() as context:
        context.prec = exact.DIGITS
        point, slopes = [Decimal(each) for each in at], []
        if not oracle(link, len(family.labels), k, *point):
            return -np.inf, np.full(len(at), np.nan)
        for r in range(len(point)):
            up, down = ([each + sign * exact.STEP * (i == r) for i, each in enumerate(point)] for sign in (1, -1))
            slopes.append((log(up) - log(down)) / (2 * exact.STEP))
        return float(log(point)), np.array(slopes, dtype=float)


def link_of(family):
    return next(name.split()[1] for name, one in MADE.items() if one is family)


def points(family, locations, logs=(-1.0, 0.5), shifts=(-3.0, 0.3, 1.5)):
    """Locations with some values of the others, on their scales; constants stay what they are."""
    rng = np.random.default_rng(len(family.parameters))
    found = []
    for x, _ in product(locations, range(4)):
        at = [x]
        for each in family.parameters:
            constant = each.fixed is not None and each.name != "disc"
            at.append(float(each.fixed) if constant else float(rng.choice(logs if each.name == "disc" else shifts)))
        found.append((0.0, *at[1:]) if family.repeated else tuple(at))
    return found


@pytest.mark.parametrize("places", long_but_for(1, [[-4.0, 0.4], [-0.7, 3.0]]))
@pytest.mark.parametrize("family", EVERY)
def test_values_and_slopes_equal_sixty_digits(family, places):
    for at in points(family, places):
        for k in range(len(family.labels)):
            value, slopes, information = alone(family, (k, 1.0), at)
            target, target_slopes = known(family, k, at)
            if target < -1e6:
                continue
            estimated = [r for r, each in enumerate(("", *family.parameters)) if not each or each.name != "categories"]
            assert value == pytest.approx(target, rel=1e-10, abs=1e-13)
            np.testing.assert_allclose(slopes[estimated], target_slopes[estimated], rtol=1e-8, atol=1e-10)
            assert float(family.log_density(np.array(k), 1.0, *at)) == pytest.approx(target, rel=1e-9, abs=1e-12)
            assert np.all(information >= 0)


@pytest.mark.parametrize("places", long_but_for(1, [[-40.0, 12.0], [-12.0, 40.0]]))
@pytest.mark.parametrize("family", EVERY)
def test_far_locations_keep_their_digits(family, places):
    for at in points(family, places, logs=(0.0,), shifts=(-2.0, 1.0)):
        for k in range(len(family.labels)):
            value, slopes, _ = alone(family, (k, 1.0), at)
            target, target_slopes = known(family, k, at)
            if target < -1e15:  # exp(40) and the like: nothing is left to compare
                continue
            assert value == pytest.approx(target, rel=1e-9, abs=1e-12), (k, at)
            np.testing.assert_allclose(slopes[0], target_slopes[0], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("family", EVERY)
def test_nothing_is_nan(family):
    for at in points(family, (-700.0, -40.0, 0.0, 40.0, 700.0), logs=(-20.0, 0.0, 5.0), shifts=(-30.0, -8.0, 0.0, 6.0)):
        for k in range(len(family.labels)):
            value, slopes, information = alone(family, (k, 1.0), at)
            assert not np.isnan([value, *slopes, *information]).any(), (k, at)
            assert value <= 0
            assert np.all(information >= 0)


@pytest.mark.parametrize("family", EVERY)
def test_probabilities_add_up_and_draws_follow_them(family):
    rng, m = np.random.default_rng(1), 40_000
    at = points(family, (0.4,))[0]
    shares = np.array([float(each(*map(np.array, at))) for each in family.quantities.values()])
    assert list(family.quantities) == list(family.labels)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    location, others = np.full(m, at[0]), family.values(tuple(np.full(m, each) for each in at[1:]))
    drawn = family.draw(rng, np.ones(m), location, *others)
    observed = np.bincount(drawn.astype(int), minlength=len(shares)) / m
    np.testing.assert_allclose(observed, shares, atol=5 * np.sqrt(0.25 / m))
    expected = family.expectation(location, tuple(np.full(m, each) for each in at[1:]))
    assert expected[0] == pytest.approx(shares @ np.arange(len(shares)))


@pytest.mark.parametrize("family", EVERY)
def test_rows_add_up_with_their_weights(family):
    rng, n = np.random.default_rng(3), 61
    y = rng.integers(0, len(family.labels), n).astype(float)
    at = np.ascontiguousarray(np.array([points(family, (x,))[0] for x in rng.normal(size=n)]).T)
    weights = rng.uniform(0.1, 3, n)
    value, slopes, _ = call(family, y, np.ones(n), at, weights)
    each = [alone(family, (y[i], 1.0), at[:, i]) for i in range(n)]
    assert value == pytest.approx(sum(w * one[0] for w, one in zip(weights, each, strict=True)), rel=1e-12)
    np.testing.assert_allclose(slopes, weights * np.array([one[1] for one in each]).T, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["cumulative", "sratio", "acat", "categorical"])
def test_two_categories_are_a_bernoulli_outcome(name):
    family, bernoulli = of_categories(FAMILIES[name], ("no", "yes"), None), FAMILIES["bernoulli"]
    for x, k in product((-3.0, 0.2, 2.0), (0, 1)):
        at = (0.0, x) if family.repeated else (x, 0.0)
        assert alone(family, (k, 1.0), at)[0] == pytest.approx(alone(bernoulli, (k, 1.0), (x,))[0])


def test_stopping_ratios_by_cloglog_are_cumulative():
    """The one link by which both families are the same (Laara and Matthews 1985)."""
    stop, whole = (of_categories(FAMILIES[name], LABELS[:3], "cloglog") for name in ("sratio", "cumulative"))
    x, gap = 0.4, 0.7  # thresholds 0 and gap of the cumulative model
    rate = np.exp(gap - x) - np.exp(-x)
    for k in range(3):
        assert alone(stop, (k, 1.0), (x, 0.0, np.log(rate) + x))[0] == pytest.approx(
            alone(whole, (k, 1.0), (x, 0.0, np.log(gap)))[0]
        )


@pytest.mark.parametrize("name", ["cumulative", "acat"])
@pytest.mark.parametrize("link", ["logit", "probit"])
def test_categories_in_reverse_are_the_same_model(name, link):
    family = FAMILIES[name]
    if link not in family.scale.links:
        pytest.skip("has no such link")
    family = of_categories(family, LABELS[:4], link)
    x, shifts = 0.3, np.array([0.6, 1.1])
    if name == "cumulative":  # thresholds 0, 0.6, 1.7 become 0, 1.1, 1.7 about 1.7
        there, back = (x, 0.0, *np.log(shifts)), (1.7 - x, 0.0, *np.log(shifts[::-1]))
    else:
        there, back = (x, 0.0, *shifts), (shifts[1] - x, 0.0, shifts[1] - shifts[0], shifts[1])
    for k in range(4):
        assert alone(family, (k, 1.0), there)[0] == pytest.approx(alone(family, (3 - k, 1.0), back)[0], rel=1e-10)


@pytest.mark.parametrize("family", [each for each in EVERY if each.values[0].likelihood is not None])
@pytest.mark.parametrize("shared", [True, False], ids=["shared thresholds", "thresholds by row"])
def test_values_of_many_draws_are_those_of_the_kernel(family, shared):
    rng = np.random.default_rng(1)
    n, draws = 300, 11
    y, trials = rng.integers(0, len(family.labels), n).astype(float), np.ones(n)
    weights = rng.integers(0, 4, n) * 0.5
    at = rng.normal(size=(1 + len(family.parameters), n, draws))
    at[0] *= np.where(rng.random((n, draws)) < 0.05, 30.0, 1.0)
    at[2:, :, 0] = -30.0  # next to no category between
    if shared:
        at[1:] = at[1:, :1]
    totals = np.full(draws, 0.25)
    call_values(family.likelihood.address, y, trials, weights, at.ravel(), totals)
    own = np.array([call(family, y, trials, at[..., k], weights)[0] for k in range(draws)])
    assert np.isfinite(own).all()
    np.testing.assert_allclose(totals - 0.25, own, rtol=1e-12)
