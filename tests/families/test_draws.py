"""New outcomes have the mean and variance that the density of their family says, by sums and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from poolwise.families import FAMILIES

DRAWS = 200_000
POINTS = [  # family, location, dispersions
    ("gaussian", -1.3, (0.4,)),
    ("bernoulli", 0.8, ()),
    ("binomial", -0.8, ()),
    ("poisson", 1.1, ()),
    ("poisson", -2.0, ()),
    ("negative_binomial", 1.1, (0.7,)),
    ("negative_binomial", 2.0, (30.0,)),
    ("student", 2.0, (0.5, 12.0)),
    ("gamma", 0.9, (3.0,)),
    ("gamma", -1.0, (0.6,)),
    ("lognormal", 0.3, (0.5,)),
    ("beta", 0.7, (4.0,)),
    ("beta", -1.0, (25.0,)),
    ("exponential", -0.4, ()),
    ("weibull", 0.4, (1.7,)),
    ("weibull", -0.4, (0.8,)),
    ("geometric", 0.7, ()),
    ("beta_binomial", -0.5, (3.0,)),
    ("zero_inflated_poisson", 0.9, (0.3,)),
    ("zero_inflated_negative_binomial", 0.9, (1.5, 0.6)),
    ("zero_inflated_binomial", -0.3, (0.2,)),
    ("hurdle_poisson", 0.6, (0.3,)),
    ("hurdle_poisson", -3.0, (0.7,)),
    ("hurdle_negative_binomial", 0.6, (1.5, 0.3)),
    ("hurdle_gamma", 0.5, (2.0, 0.4)),
    ("hurdle_lognormal", 0.2, (0.6, 0.4)),
    ("shifted_lognormal", 0.2, (0.5, 0.7)),
    ("exgaussian", 0.8, (0.4, 0.3)),
    ("exgaussian", -0.5, (0.2, 1.5)),
    ("inverse_gaussian", 0.5, (2.0,)),
    ("inverse_gaussian", -1.0, (5.0,)),
    ("skew_normal", 0.7, (0.8, 3.0)),
    ("skew_normal", -0.7, (2.0, -1.0)),
    ("asymmetric_laplace", 0.4, (0.5, 0.5)),
    ("asymmetric_laplace", -0.4, (1.5, 0.8)),
    ("von_mises", 0.8, (60.0,)),
    ("zero_one_inflated_beta", 0.6, (4.0, 0.3, 0.6)),
]
SMOOTH = ("shifted_lognormal", "exgaussian", "inverse_gaussian", "skew_normal", "asymmetric_laplace", "von_mises")
ENDS = dict.fromkeys(("gamma", "lognormal", "exponential", "weibull"), (0, np.inf)) | {"beta": (0, 1)}
ENDS |= dict.fromkeys(("hurdle_gamma", "hurdle_lognormal", "shifted_lognormal", "inverse_gaussian"), (0, np.inf))
ENDS |= {"von_mises": (-np.pi, np.pi), "zero_one_inflated_beta": (0, 1)}
MASSES = {"hurdle_gamma": [0.0], "hurdle_lognormal": [0.0], "zero_one_inflated_beta": [0.0, 1.0]}  # among densities


def on_scales(family, values):
    return tuple(
        each.scale.link(None, family.name).forward(np.array(value))
        for each, value in zip(family.parameters, values, strict=True)
    )


def moments(family, trials, location, dispersions):
    """Mass, mean, variance and fourth central moment of the density."""
    at = (location, *on_scales(family, dispersions))

    def density(y):
        return np.exp(family.log_density(np.asarray(y, dtype=float), np.asarray(trials), *at))

    if family.whole:
        y = np.arange(2000.0) if not (family.trials or family.name == "bernoulli") else np.arange(trials + 1)
        mass = density(y)
        mean = mass @ y
        return mass.sum(), mean, *(mass @ (y - mean) ** k for k in (2, 4))
    masses = [(at, float(density(at))) for at in MASSES.get(family.name, ())]
    low, high = ENDS.get(family.name, (-np.inf, np.inf))

    def integral(power, centre=0.0):
        middle = float(np.clip(family.scale.mean(np.array(location)), low + 1e-3, 1 - 1e-3 if high == 1 else 1e9))
        ends = [(low, middle), (middle, high)]
        return sum(quad(lambda y: density(y) * (y - centre) ** power, *end, epsabs=1e-10)[0] for end in ends)

    def total(power, centre=0.0):
        return integral(power, centre) + sum(mass * (at - centre) ** power for at, mass in masses)

    mean = total(1)
    return total(0), mean, *(total(k, mean) for k in (2, 4))


@pytest.mark.parametrize(("name", "location", "dispersions"), POINTS)
def test_draws_have_the_moments_of_the_density(name, location, dispersions):
    family, rng = FAMILIES[name], np.random.default_rng(7)
    trials = 9.0 if family.trials else 1.0
    mass, mean, variance, fourth = moments(family, trials, location, dispersions)
    assert mass == pytest.approx(1, abs=1e-7)
    at = family.scale.mean(np.array(location))
    expected = family.expectation(at, on_scales(family, dispersions))
    assert trials * expected == pytest.approx(mean, rel=1e-6)
    shape = (2, DRAWS // 2)
    drawn = family.draw(rng, np.full(shape, trials), np.full(shape, at), *(np.full(shape, d) for d in dispersions))
    assert drawn.shape == shape
    assert drawn.dtype == float
    assert drawn.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / DRAWS))
    assert drawn.var() == pytest.approx(variance, abs=5 * np.sqrt((fourth - variance**2) / DRAWS))
    family.check("y", drawn.ravel(), np.full(DRAWS, trials))


@pytest.mark.parametrize(("mean", "kappa"), [(0.5, 0.3), (3.0, 2.0), (-2.0, 40.0), (9.0, 5.0)])
def test_angles_have_the_trigonometric_moments_of_their_density(mean, kappa):
    family, rng = FAMILIES["von_mises"], np.random.default_rng(3)
    y = family.draw(rng, np.ones(DRAWS), np.full(DRAWS, mean), np.full(DRAWS, kappa))
    assert np.abs(y).max() <= np.pi
    grid = np.linspace(-np.pi, np.pi, 20_001)[:-1]
    density = np.exp(family.log_density(grid, 1.0, mean, np.log(kappa))) * (grid[1] - grid[0])
    assert density.sum() == pytest.approx(1, abs=1e-12)
    for k in (1, 2):
        for wave in (np.cos, np.sin):
            drawn = wave(k * y)
            assert drawn.mean() == pytest.approx(density @ wave(k * grid), abs=5 * drawn.std() / np.sqrt(DRAWS))


@pytest.mark.parametrize(("name", "location", "dispersions"), [p for p in POINTS if p[0] in SMOOTH])
def test_draws_have_the_distribution_of_the_density(name, location, dispersions):
    """By Kolmogorov and Smirnov's test against the integrated density."""
    family, rng, size = FAMILIES[name], np.random.default_rng(5), 20_000
    mean = np.full(size, family.scale.mean(np.array(location)))
    y = np.sort(family.draw(rng, np.ones(size), mean, *(np.full(size, each) for each in dispersions)))
    at = (location, *on_scales(family, dispersions))
    places = np.unique(np.concatenate([y, np.linspace(y[0], y[-1], 200_001)]))
    density = np.exp(family.log_density(places, 1.0, *at))
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(places)
    below = np.concatenate([[0.0], np.cumsum(steps)])
    assert kstest(below[np.searchsorted(places, y)], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.labels])
def test_draws_broadcast_and_hang_on_the_seed_alone(name):
    """Means differ by row, dispersions by draw."""
    family = FAMILIES[name]
    mean = family.scale.mean(np.linspace(-1, 1, 5)) * np.ones((3, 1))
    dispersions = family.values((np.log([[0.5], [1.0], [4.0]]),) * len(family.parameters))
    one, two = (family.draw(np.random.default_rng(seed), np.full(5, 4.0), mean, *dispersions) for seed in (1, 1))
    assert one.shape == (3, 5)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.labels])
def test_draws_are_numbers_at_the_ends(name):
    """Means and dispersions that a sampler may visit: nothing raises, nothing is NaN."""
    family, rng = FAMILIES[name], np.random.default_rng(2)
    for location in (-700.0, -40.0, 40.0, 600.0):
        for log in (-20.0, 20.0):
            mean = np.full(50, family.scale.mean(np.array(location)))
            dispersions = family.values((np.full(50, log),) * len(family.parameters))
            if name.endswith("lognormal"):  # whose outcome overflows
                mean, dispersions = np.clip(mean, -300, 300), [np.ones(50), *dispersions[1:]]
            assert not np.isnan(family.draw(rng, np.full(50, 3.0), mean, *dispersions)).any(), (location, log)


# Families whose outcomes have the location as their mean, or say where it lies from mean and sd of outcomes.
PLACED = [point for point in POINTS if point[0] != "weibull" and not FAMILIES[point[0]].unshared]


@pytest.mark.parametrize(("name", "location", "dispersions"), PLACED)
def test_moments_of_outcomes_give_the_place_of_the_linear_predictor(name, location, dispersions):
    """`Family.moments`, which scales default priors, inverts the mean."""
    family = FAMILIES[name]
    _, mean, variance, _ = moments(family, 1.0, location, dispersions)
    for link in family.scale.links.values():
        if family.scale is FAMILIES["gaussian"].scale and link.unit and mean <= 0:
            continue
        at, unit = family.moments(link, mean, float(np.sqrt(variance)))
        if family.centre is not None:
            if link.name == "identity":
                assert (at, unit) == pytest.approx((location, dispersions[0]), rel=1e-6)
            continue
        assert at == pytest.approx(float(link.forward(np.array(mean))), rel=1e-9)
        step = 1e-6 * abs(mean)
        slope = float(link.forward(np.array(mean + step)) - link.forward(np.array(mean - step))) / (2 * step)
        assert unit == pytest.approx(1.0 if link.unit else abs(slope) * np.sqrt(variance), rel=1e-3)
