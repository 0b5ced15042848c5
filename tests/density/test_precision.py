"""Data and priors at the ends of what floating-point numbers hold: a right answer, or one sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from tests.density.models import dense_log_density, model_of
from tests.selection import long_but_for

RNG = np.random.default_rng(0)
GROUP = RNG.integers(0, 12, 120)
X = RNG.normal(size=120)
FRAME = pd.DataFrame(
    {
        "y": 1 + 0.5 * X + RNG.normal(size=12)[GROUP] + 0.5 * RNG.normal(size=120),
        "x": X,
        "z": RNG.normal(size=120),
        "g": [f"g{i}" for i in GROUP],
        "k": RNG.poisson(2, 120),
        "w": 10 ** RNG.uniform(-6, 12, 120),
    }
)


@pytest.mark.parametrize(
    ("change", "formula", "said"),
    [
        ({"x": FRAME.y}, "y ~ x + (1 | g)", "'y' is a combination of the predictors to the last digits, of 'x'"),
        ({"x": FRAME.y + 1e-12 * X}, "y ~ x + z + (x | g)", "combination of the predictors .* of 'x' above all"),
        (
            {"y": FRAME.groupby("g").y.transform("mean")},
            "y ~ 1 + (1 | g)",
            "Within groups of 'g' the values of 'y' lie",
        ),
        ({"y": FRAME.groupby("g").y.transform("mean") + 3 * X}, "y ~ x + (1 | g)", "exactly on a regression"),
        ({"x": 1e-160 * X}, "y ~ x + (x | g)", "'x' has values of size .*e-160, whose squares"),
        ({"x": 1e200 * X}, "y ~ x + (x | g)", "'x' has values of size inf, whose squares"),
        ({"y": 1e150 * FRAME.y}, "y ~ x + (1 | g)", r"'y' has values of size .*e\+150.*Change its units"),
        ({"y": 1e-150 * FRAME.y}, "y ~ x + (1 | g)", "'y' has values of size .*e-150"),
        ({"x": 1 + 1e-15 * X}, "y ~ x + (x | g)", "'x' is 1 and varies by .*e-15: only the last digits"),
        ({"w": [1e18] + [1e-18] * 119}, "y ~ x + (1 | g)", r"weights 'w' go from 1e-18 to 1e\+18"),
    ],
)
def test_what_has_no_posterior_is_refused_in_one_sentence(change, formula, said):
    weights = "w" if "w" in change else None
    with pytest.raises(pw.DataError, match=said):
        pw.fit(formula, FRAME.assign(**change), weights=weights)


@pytest.mark.parametrize("formula", ["y ~ x", "y ~ x + (1 | g)", "y ~ x + (x | g)"])
@pytest.mark.parametrize("term", ["Intercept", "x"])
def test_a_prior_beyond_all_digits_is_named(formula, term):
    with pytest.raises(pw.PriorError, match=f"The prior of '{term}', Normal.* contradicts the data"):
        pw.fit(formula, FRAME, priors={term: pw.Normal(1e8, 1e-3)})


def test_a_prior_that_only_contradicts_the_data_is_followed():
    fit = pw.fit("y ~ x + (x | g)", FRAME, priors={"x": pw.Normal(50, 0.01)}, seed=1)
    assert fit.outcome.passed
    assert fit.result.beta[..., 1].mean() == pytest.approx(50, abs=0.01)
    slopes = fit.result.beta[..., 1] + fit.result.u[0].draws()[..., 1].mean(axis=2)
    assert slopes.mean() == pytest.approx(0.5, abs=0.3)  # the groups keep theirs


@pytest.mark.parametrize("scale", [10**400, 1e200, 1e-300, float("inf")])
def test_scales_of_priors_are_numbers(scale):
    with pytest.raises(pw.PriorError, match="sd must be a positive, finite number"):
        pw.HalfNormal(scale)
    with pytest.raises(pw.PriorError, match="finite number"):
        pw.Normal(0, scale)


@pytest.mark.parametrize("weight", long_but_for(lambda weight: weight > 1e4, [1e4, 1e8, 1e12]))
def test_one_huge_weight(weight):
    """That row is exact all the same: with more weight nothing moves. REML by dense matrices stays where it is too."""
    rng = np.random.default_rng(5)
    counts, x, u = rng.integers(3, 60, 50).astype(float), np.arange(50) // 10, 0.3 * rng.normal(size=50)
    halves = [
        pd.DataFrame(
            {"y": 1 + 5 * x + u + 0.8 * rng.normal(size=50) / np.sqrt(counts), "x": x, "n": counts, "g": np.arange(50)}
        )
        for _ in range(2)
    ]
    frame = pd.concat(halves, ignore_index=True)
    frame.loc[0, "n"] = weight
    fit = pw.fit("y ~ x + (1 | g)", frame, weights="n", seed=1)
    assert fit.outcome.passed
    draws = fit.result.beta.reshape(-1, 2)
    sd, sigma, beta, spread = restricted(frame, "n")
    np.testing.assert_allclose(draws.mean(axis=0), beta, atol=0.3 * spread.max())
    np.testing.assert_allclose(draws.std(axis=0), spread, rtol=0.15)
    assert float(fit.posterior.sd_g.median()) == pytest.approx(sd, rel=0.15)
    assert float(fit.posterior.sigma.median()) == pytest.approx(sigma, rel=0.15)


def restricted(frame, weights):
    """Estimates of y ~ x + (1 | g) by restricted maximum likelihood, from dense matrices: sd, sigma, beta, errors."""
    from scipy.optimize import minimize

    y, x = frame.y.to_numpy(), np.column_stack([np.ones(len(frame)), frame.x])
    same = np.equal.outer(frame.g.to_numpy(), frame.g.to_numpy())

    def parts(theta):
        covariance = np.exp(2 * theta[0]) * same + np.diag(np.exp(2 * theta[1]) / frame[weights])
        inverse = np.linalg.inv(covariance)
        precision = x.T @ inverse @ x
        beta = np.linalg.solve(precision, x.T @ inverse @ y)
        rest = y - x @ beta
        value = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(precision)[1] + rest @ inverse @ rest
        return value, beta, np.sqrt(np.diag(np.linalg.inv(precision)))

    found = minimize(lambda theta: parts(theta)[0], [-1.0, 0.0], method="Nelder-Mead", options={"fatol": 1e-10})
    _, beta, errors = parts(found.x)
    return np.exp(found.x[0]), np.exp(found.x[1]), beta, errors


def test_weights_over_eighteen_orders_of_magnitude(small):
    """The density against dense matrices in extended precision."""
    from poolwise.density.gaussian import gaussian
    from poolwise.inference.prepare import prepare

    frame = small.assign(w=10 ** np.random.default_rng(0).uniform(-6, 12, len(small)))
    model, rows = prepare("y ~ x + (x | g)", frame, priors={}, weights="w", missing="drop", threads=1)
    density = gaussian(model.statistics, model.design, model.priors, threads=1)
    for theta in density.starts():
        wanted = dense_log_density(model, rows, theta)
        assert density.log_density(theta[None])[0] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("far", [1.7e18, 1.7e9])
def test_slopes_on_time_stamps(far, small):
    """Nanoseconds, and seconds: default priors, against extended precision."""
    frame = small.assign(t=far + np.round(small.x * far / 1e3))
    model, rows, density = model_of("y ~ t + (t | g)", frame, {})
    for theta in density.starts():
        assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-6)


def test_years_as_a_slope():
    """The spread of slopes was found to be 0.00008 where 0.47 is right, and certified."""
    rng = np.random.default_rng(3)
    g, year = np.repeat(np.arange(25), 12), np.tile(np.arange(2005, 2017), 25)
    slope = 0.4 * rng.normal(size=25)
    frame = pd.DataFrame({"y": 5 + (year - 2010) * (1 + slope[g]) + rng.normal(size=300), "year": year, "g": g})
    raw = pw.fit("y ~ year + (year | g)", frame, seed=1)
    centred = pw.fit("y ~ c + (c | g)", frame.assign(c=frame.year - 2010), seed=1)
    assert raw.outcome.passed and raw.log_evidence == pytest.approx(centred.log_evidence, abs=1e-6)
    assert raw.result.sigma.mean() == pytest.approx(1.0, abs=0.05)
    assert float(raw.posterior.sd_g.sel(effect="year").mean()) == pytest.approx(0.465, abs=0.01)
    np.testing.assert_allclose(raw.predict(frame)["mean"], centred.predict(frame.assign(c=frame.year - 2010))["mean"])


@pytest.mark.parametrize(
    ("formula", "priors"),
    [("y ~ year + (year || g)", {}), ("y ~ year + (year | g)", {"cor": pw.LKJ(2)})],
    ids=["independent", "correlations"],
)
def test_statements_about_a_far_zero_that_data_contradict(formula, priors):
    rng = np.random.default_rng(3)
    g, year = np.repeat(np.arange(25), 12), np.tile(np.arange(2005, 2017), 25)
    slope = 0.4 * rng.normal(size=25)
    frame = pd.DataFrame({"y": 5 + (year - 2010) * (1 + slope[g]) + rng.normal(size=300), "year": year, "g": g})
    fit = pw.fit(formula, frame, seed=1, priors=priors, draws=200)
    assert not fit.outcome.passed
    assert (
        "intercepts at year = 0, which is 582 standard deviations from the mean of year. Centre it"
        in fit.outcome.advice
    )
    near = pw.fit(formula, frame.assign(year=frame.year - 2010), seed=1, priors=priors)
    assert near.outcome.passed and not [note for note in near.notes if "Centre" in note]
