"""The corrected working model against brute force: integrals, the family's own density, NUTS, other coordinates."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.interpolate import CubicSpline
from scipy.special import expit, gammaln, logsumexp
from scipy.stats import halfcauchy, multivariate_normal, nbinom, norm
from tests.agreement import assert_same_moments
from tests.selection import long_but_for

import poolwise as pw
from poolwise.density.latent.density import first_guess
from poolwise.density.working import turns
from poolwise.density.working.corrected import CorrectedDensity
from poolwise.density.working.outcomes import with_guess
from poolwise.density.working.remainders import RowRemainders
from poolwise.density.working.turns import working_model
from poolwise.families import family_of, locations
from poolwise.inference import near_normal, working
from poolwise.inference.prepare import prepare
from poolwise.inference.working import by_working_outcomes
from poolwise.samplers import independence, near, proposal
from poolwise.samplers.settings import sampler_settings
from poolwise.support.progress import silent


@pytest.fixture(autouse=True)
def _however_few_rows(monkeypatch):
    monkeypatch.setattr(working, "LEAST", 0)
    monkeypatch.setattr(near_normal, "_GRADIENTS", np.inf)


def _data(family, seed=3, groups=6, rows=60):
    rng = np.random.default_rng(seed)
    g, h, x = rng.integers(0, groups, rows), rng.integers(0, 4, rows), rng.normal(size=rows)
    eta = 0.3 + 0.5 * x + 0.8 * rng.normal(size=groups)[g] + 0.4 * rng.normal(size=4)[h]
    y = {
        "bernoulli": lambda: (rng.random(rows) < expit(eta)).astype(int),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "negative_binomial": lambda: rng.poisson(np.exp(eta) * rng.gamma(4.0, 0.25, rows)),
        "gamma": lambda: rng.gamma(3.0, np.exp(eta) / 3.0),
        "weibull": lambda: np.exp(eta) * rng.weibull(1.5, rows),
        "student": lambda: eta + 0.6 * rng.standard_t(5, rows),
    }[family]()
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h})


def _working_model(model, guess):
    return working_model(model.regression(model.observations), guess, 1)


def _densities(formula, data, family, *, link=None, priors=None, pairs=1):
    model, _ = prepare(formula, data, priors=priors, family=family_of(family), link=link, missing="drop", threads=1)
    observations = model.observations
    guess = with_guess(observations, first_guess(observations, model.priors, model.family))
    found = _working_model(model, guess)
    remainders = RowRemainders.of(found, model.regression(model.observations))
    corrected = CorrectedDensity.of(found, remainders, model.design, model.priors, pairs, 1)
    return model, found, corrected


PRIORS = {"Intercept": pw.Normal(0, 1), "x": pw.Normal(0, 1), "sd": pw.HalfNormal(1)}
SHAPE = 3.0
SLOPES, CROSSED = "y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)"
WITHOUT_X = {name: prior for name, prior in PRIORS.items() if name != "x"}
WITHOUT_SD = {name: prior for name, prior in PRIORS.items() if name != "sd"}


@cache
def _exact(family, y, g):
    """The log density of a log sd: effects by quadrature, the intercept on a grid, with a half-normal prior."""
    y, g = np.array(y), np.array(g)
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    grid = np.linspace(-6, 6, 1001)

    def loglik(eta, y):
        """Of all rows of a group, whose linear predictor is one."""
        if family == "bernoulli":
            return y.sum() * eta - len(y) * np.logaddexp(0, eta)
        if family == "poisson":
            return y.sum() * eta - len(y) * np.exp(eta) - gammaln(y + 1).sum()
        constants = nbinom.logpmf(y, SHAPE, 0.5) + (y + SHAPE) * np.log(2)  # without the mean
        total = (y + SHAPE).sum()
        return (
            constants.sum() + y.sum() * eta + len(y) * SHAPE * np.log(SHAPE) - total * np.logaddexp(np.log(SHAPE), eta)
        )

    @cache
    def exact(log_sd):
        sd, total = np.exp(log_sd), norm.logpdf(grid)
        for j in range(3):
            each = loglik(grid[:, None] + sd * nodes, y[g == j])
            total = total + logsumexp(each + np.log(weights / weights.sum()), axis=1)
        integral = logsumexp(total) + np.log(grid[1] - grid[0])
        return integral + np.log(2) + norm.logpdf(sd) + log_sd  # with the Jacobian of the log

    return exact


@pytest.mark.parametrize(("defended", "mirrored"), long_but_for(1, [(True, True), (False, True), (False, False)]))
@pytest.mark.parametrize("family", ["bernoulli", "poisson", "negative_binomial"])
def test_estimates_average_to_the_integral_over_coefficients_and_effects(family, defended, mirrored):
    data = _data(family, groups=3, rows=24)
    model, _, corrected = _densities("y ~ 1 + (1 | g)", data, family, priors=WITHOUT_X)
    corrected = replace(corrected, defended=defended, mirrored=mirrored)
    of_shape = family == "negative_binomial"
    exact = _exact(family, tuple(data["y"]), tuple(data["g"]))
    prior_of_shape = float(model.priors.dispersions["shape"].log_density(SHAPE)) + np.log(SHAPE) if of_shape else 0.0

    for start in (-0.7, 0.2):
        points = start + 2e-5 * np.arange(4000)[:, None]  # each with noise of its own
        some = np.linspace(points[0, 0], points[-1, 0], 9)
        expected = CubicSpline(some, [exact(each) for each in some])(points[:, 0]) + prior_of_shape
        points = np.column_stack([points, np.full(len(points), np.log(SHAPE))]) if of_shape else points
        ratios = np.exp(corrected.log_density(points) - expected)
        error = ratios.std() / np.sqrt(len(ratios))
        assert abs(ratios.mean() - 1) < 5 * error
        assert error < 0.01


@pytest.mark.parametrize(
    ("formula", "family", "link"),
    [
        ("y ~ x + (x | g)", "bernoulli", None),
        ("y ~ x + (1 | g) + (1 | h)", "bernoulli", "probit"),
        ("y ~ s(x) + (1 | g)", "poisson", None),
        ("y ~ x + offset(0.1 * x) + (1 | g)", "poisson", None),
        ("y ~ x + (1 | g)", "bernoulli", "cloglog"),
        ("y ~ x + (x | g)", "negative_binomial", None),
        ("y ~ x + (1 | g)", "gamma", None),
        ("y ~ x + (1 | g)", "weibull", None),  # which has no kernel of values alone
        ("y ~ x + (1 | g) + (1 | h)", "student", None),
        (["y ~ x + (1 | g)", "nu = 7"], "student", None),
    ],
)
def test_points_have_the_family_s_own_density(formula, family, link):
    """Ratios at the draws that were kept are those of the family's own functions and normal densities."""
    data = _data(family)
    model, found, corrected = _densities(formula, data, family, link=link)
    rng = np.random.default_rng(1)
    mode = found.modes[0]
    points = mode.point + 0.3 * rng.normal(size=(6, len(mode.point)))
    one = corrected.completed(points)
    corrected.log_density(points)
    again = corrected.completed(points)
    for first, second in zip(one.u, again.u, strict=True):
        np.testing.assert_array_equal(first, second)
    effects = corrected._stacked(one.beta, one.u)
    ratios = corrected.remainders.ratios(
        corrected.working.logs(points), one.beta, effects
    )  # of the draws that were kept
    assert np.isfinite(ratios).all()
    # The exact likelihood at the kept draws, against the family's own density functions.
    rows = corrected.remainders.observations
    own = np.linalg.solve(rows.to_written, one.beta[:, ~model.priors.scaled].T).T
    u = effects.T
    eta = rows.known[0] + own @ rows.columns
    for values, places in zip(rows.slot_values, rows.slot_places, strict=True):
        eta = eta + values * u[:, places]
    layout, logs = model.priors.layout, corrected.working.logs(points)
    others = [
        rows.known[r] + (logs[:, [layout.dispersions.index(name)]] if name in layout.dispersions else 0.0)
        for r, name in enumerate(model.family.predictors)
        if r
    ]
    exact = rows.weights * model.family.log_density(rows.y, rows.trials, locations(model.link, eta), *others)
    normal = norm.logpdf(
        corrected.remainders.outcomes.values, eta, 1 / np.sqrt(corrected.remainders.outcomes.precisions)
    )
    ratio = (exact - normal).sum(axis=1)
    apart = ratio - ratios.sum(axis=1)
    assert np.ptp(apart) < 1e-8 * np.abs(exact).sum()


def test_however_sharply_theta_is_known_coefficients_are_drawn_anew():
    """Cells of noise are small beside what theta is known to; where doubles are too coarse for that, it is no way."""
    data, found = _data("poisson", groups=10, rows=300), []
    for sharp in (1e4, 1e10, 1e20):
        priors = {"sd": pw.Gamma(sharp, sharp / 0.4)}
        model, _ = prepare(
            "y ~ x + (1 | g)", data, priors=priors, family=family_of("poisson"), missing="drop", threads=1
        )
        found.append(by_working_outcomes(model, sampler_settings(1000, 4, 1, "auto", silent), 2))
    assert found[2] is None
    one, other = (each[1].reshape(-1, 2) for each in found[:2])
    np.testing.assert_allclose(other.std(axis=0), one.std(axis=0), rtol=0.12)
    assert np.all(np.abs(other.mean(axis=0) - one.mean(axis=0)) < 0.12 * one.std(axis=0))


def test_asked_twice_in_any_company_the_same_answer():
    _, found, corrected = _densities("y ~ x + (x | g)", _data("bernoulli"), "bernoulli")
    points = found.modes[0].point + 0.1 * np.random.default_rng(2).normal(size=(150, len(found.modes[0].point)))
    together = corrected.log_density(points)
    np.testing.assert_array_equal(corrected.log_density(points[::-1])[::-1], together)
    np.testing.assert_array_equal(corrected.log_density(points[7:9]), together[7:9])
    np.testing.assert_array_equal(corrected.log_density(points), together)
    whole = corrected.completed(points)
    fresh = replace(corrected, chosen={}).completed(points[40:45])
    np.testing.assert_array_equal(whole.u[0][40:45], fresh.u[0])


def test_more_pairs_are_the_same_density_with_no_more_noise():
    data = _data("bernoulli", groups=30, rows=120)
    errors, means = [], []
    for pairs in (1, 8):
        _, found, corrected = _densities("y ~ x + (x | g)", data, "bernoulli", pairs=pairs)
        points = found.modes[0].point + 2e-5 * np.arange(1500)[:, None]
        values = corrected.log_density(points) - found.density.log_density(points)
        ratios = np.exp(values - values.max())
        errors.append(ratios.std() / ratios.mean() / np.sqrt(len(ratios)))
        means.append(logsumexp(values) - np.log(len(values)))
    assert errors[1] < 1.3 * errors[0]  # wide draws, whose share grows with the pairs, take what these gain
    assert abs(means[0] - means[1]) < 5 * np.hypot(*errors)


@pytest.mark.parametrize("family", ["negative_binomial", "student"])
def test_gradients_of_the_working_density_are_its_slopes(family):
    _, found, _ = _densities("y ~ x + (x | g)", _data(family), family)
    density, point = found.density, found.modes[0].point + 0.1
    value, gradient = density.value_and_gradient(point)
    ends = point + 1e-5 * np.vstack([np.eye(len(point)), -np.eye(len(point))])
    up, down = np.split(density.log_density(ends), 2)
    np.testing.assert_allclose(gradient, (up - down) / 2e-5, rtol=1e-6, atol=1e-6)
    assert value == density.log_density(point[None])[0]
    low, high = density.box()
    assert ((low < found.modes[0].point) & (found.modes[0].point < high)).all()
    assert density.starts().shape[1] == density.dimension == len(found.density.layout.names)


@pytest.mark.long
@pytest.mark.parametrize(
    ("formula", "family", "rows"),
    long_but_for(
        1,
        [
            (SLOPES, "bernoulli", 240),
            (CROSSED, "poisson", 600),
            (SLOPES, "poisson", 240),
            (CROSSED, "bernoulli", 600),
            (SLOPES, "gamma", 600),
            (SLOPES, "negative_binomial", 1500),
            (SLOPES, "student", 1500),
        ],
    ),
)
def test_draws_are_those_of_nuts(formula, family, rows):
    data = _data(family, groups=12, rows=rows)
    model, _ = prepare(formula, data, priors=PRIORS, family=family_of(family), missing="drop", threads=2)
    settings = sampler_settings(2500, 4, 1, "auto", silent)
    theta, beta, u, dispersions, certificate = by_working_outcomes(model, settings, 2)
    assert certificate.passed
    fit = pw.fit(formula, data, family=family, priors=PRIORS, seed=2, sampler="nuts", draws=2500)
    pairs = [(beta, fit.result.beta), (theta, fit.result.theta)]
    pairs += [(np.log(values), np.log(fit.result.dispersions[name])) for name, values in dispersions.items()]
    pairs += [(one.draws(), other.draws()) for one, other in zip(u, fit.result.u, strict=True)]
    for mine, theirs in pairs:
        assert_same_moments(mine, theirs)


def test_the_evidence_is_the_integral():
    data = _data("bernoulli", groups=2, rows=20)
    fit = pw.fit("y ~ 1 + (1 | g)", data, family="bernoulli", priors=WITHOUT_X, seed=1)
    assert fit.outcome.sampler == "independence"
    y, g = data["y"].to_numpy(), data["g"].to_numpy()
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    weights = weights / weights.sum()

    def inner(sd):
        each = []
        for j in range(2):
            eta = nodes[:, None] + sd * nodes[None, :]  # intercept by effect
            likelihood = np.exp((y[g == j] * eta[..., None] - np.logaddexp(0, eta[..., None])).sum(axis=-1))
            each.append(likelihood @ weights)
        return float(weights @ (each[0] * each[1]))

    exact = quad(lambda sd: 2 * norm.pdf(sd) * inner(sd), 0, 8, epsabs=1e-14)[0]
    assert fit.log_evidence == pytest.approx(np.log(exact), abs=0.03)


@pytest.mark.parametrize("family", long_but_for(1, ["poisson", "student", "negative_binomial"]))
@pytest.mark.parametrize(("shift", "factor"), long_but_for(1, [(2000.0, 1e3), (2000.0, 1.0), (0.0, 1e-3)]))
def test_where_zero_is_units_order_and_names_play_no_part(shift, factor, family):
    data = _data(family, groups=10, rows=150 if family == "poisson" else 600)
    one = pw.fit("y ~ x + (x | g)", data, family=family, seed=1)
    moved = data.assign(x=factor * data["x"] + shift).sample(frac=1.0, random_state=1)
    renamed = moved.rename(columns={"x": "shape", "g": "sigma", "y": "nu"})
    other = pw.fit("nu ~ shape + (shape | sigma)", renamed, family=family, seed=1)
    assert one.outcome.sampler == other.outcome.sampler == "independence"
    # Last digits may take a few of thousands of thetas to another cell, and so to other noise, and with it proposals:
    # to within the Monte Carlo error it is the same.
    error = np.hypot(*(fit.outcome.figures.get("evidence_error", 0.003) for fit in (one, other)))
    assert one.log_evidence == pytest.approx(other.log_evidence, abs=2 * error)
    predicted = pd.Series(other.predict()["mean"].to_numpy(), index=moved.index).sort_index()
    np.testing.assert_allclose(predicted, one.predict()["mean"], rtol=0.01, atol=0.01)


@pytest.mark.parametrize(
    ("family", "link"),
    long_but_for(
        lambda family, link: family == "gamma" and link is None,
        [("student", None), ("gamma", None), ("gamma", "identity"), ("weibull", None)],
    ),
)
def test_units_of_the_outcome_play_no_part(family, link):
    """The working model is the same, in other units: as efficient, and with the posterior in these."""
    data, found = _data(family, groups=10, rows=2_000), []
    data["y"] = 3.0 + data["y"] if link == "identity" else data["y"]
    for factor in (1.0, 1e-6, 1e6):
        other = data.assign(y=factor * data["y"])
        found.append(pw.fit("y ~ x + (1 | g)", other, family=family, link=link, seed=1))
        assert found[-1].outcome.sampler == "independence"
    efficiencies = [each.outcome.figures["efficiency"] for each in found]
    assert np.ptp(efficiencies) < 0.05
    tables = [each.summary().loc[["beta[x]", "sd_g[Intercept]"]] for each in found]
    scales = (1.0, 1e-6, 1e6) if family == "student" or link else (1.0, 1.0, 1.0)
    for table, scale in zip(tables, scales, strict=True):
        apart = (table["mean"] / scale - tables[0]["mean"]).abs() / tables[0]["sd"]
        assert apart.max() < 0.12
        np.testing.assert_allclose(table["sd"] / scale, tables[0]["sd"], rtol=0.1)


def test_where_it_is_no_way_nuts_is_taken():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.integers(0, 2, 30), "g": np.arange(30)})  # one row a group
    fit = pw.fit("y ~ 1 + (1 | g)", data, family="bernoulli", seed=1)
    assert fit.outcome.passed
    formulas = ["y ~ x + (1 | g)", "shape ~ x"]  # a regression of another parameter
    fit = pw.fit(formulas, _data("poisson"), family="negative_binomial", seed=1, draws=200)
    assert fit.outcome.sampler == "nuts"


def test_where_chains_diverge_few_rows_that_differ_will_do():
    """Two groups of many rows that are alike: their spread has a long tail, in which trajectories diverge."""
    rng = np.random.default_rng(0)
    g = rng.integers(0, 2, 3000)
    y = (rng.normal(size=2)[g] + rng.logistic(size=3000) > 0).astype(int)
    priors = {"Intercept": pw.Normal(0, 1), "sd": pw.HalfCauchy(1)}
    fit = pw.fit("y ~ 1 + (1 | g)", {"y": y, "g": g}, family="bernoulli", priors=priors, seed=1)
    assert fit.outcome.passed and fit.outcome.sampler == "independence"
    # The logits of both groups on a grid, under their normal prior given the spread.
    logits, logs = [], []
    for j in range(2):
        ones, count = y[g == j].sum(), (g == j).sum()
        at = np.log(ones / (count - ones)) + np.linspace(-7, 7, 141) / np.sqrt(ones * (1 - ones / count))
        logits.append(at)
        logs.append(ones * at - count * np.logaddexp(0, at) + np.log(at[1] - at[0]))
    one, two = np.meshgrid(*logits, indexing="ij")
    both = logs[0][:, None] + logs[1]
    log_sd = np.linspace(-9, 9, 361)
    sd = np.exp(log_sd)
    values = [
        logsumexp(both + multivariate_normal(cov=1 + s**2 * np.eye(2)).logpdf(np.stack([one, two], axis=-1)))
        for s in sd
    ]
    values += halfcauchy.logpdf(sd) + log_sd
    exact = logsumexp(values) + np.log(log_sd[1] - log_sd[0])
    assert fit.log_evidence == pytest.approx(exact, abs=0.1)
    weights = np.exp(values - logsumexp(values))
    drawn = fit.result.theta[..., 0].ravel()
    for end in (0.05, 0.5, 0.95):
        below = float(np.mean(drawn < np.interp(end, np.cumsum(weights), log_sd)))
        assert below == pytest.approx(end, abs=0.03)


def test_coefficients_and_effects_with_heavy_tails_are_not_thinned():
    """One arm has successes only: its coefficient reaches far out. Draws are NUTS's, or those of NUTS are taken."""
    rng = np.random.default_rng(8)
    g, t = np.repeat(np.arange(12), 20), np.tile([0, 1], 120)
    y = np.where(t == 1, 1, rng.random(240) < expit(rng.normal(size=12)[g])).astype(int)
    data = pd.DataFrame({"y": y, "t": t, "g": g})
    fit = pw.fit("y ~ t + (1 | g)", data, family="bernoulli", seed=1, draws=1500)
    nuts = pw.fit("y ~ t + (1 | g)", data, family="bernoulli", seed=2, draws=1500, sampler="nuts")
    mine, theirs = (each.result.beta[..., 1] for each in (fit, nuts))
    for share in (0.05, 0.5, 0.95):
        apart = abs(np.quantile(mine, share) - np.quantile(theirs, share))
        assert apart < 0.12 * theirs.std()


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_outcomes_of_large_counts_settle(scale):
    """Counts up to thousands, seen from means near one: a step of Newton's overshoots by hundreds on the log scale."""
    rng = np.random.default_rng(2)
    g, x = rng.integers(0, 200, 10_000), rng.normal(size=10_000)
    eta = scale * (-0.3 + 0.5 * x + 1.2 * rng.normal(size=200)[g] + 0.7 * rng.normal(size=200)[g] * x)
    y = rng.poisson(np.exp(eta))
    y[0], x[0] = rng.poisson(3_000), 6.0
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    model, _ = prepare("y ~ x + (x | g)", data, priors=None, family=family_of("poisson"), missing="drop", threads=1)
    observations = model.observations
    guess = with_guess(observations, np.zeros(len(model.design.coefficients)))
    found = _working_model(model, guess)
    assert found is not None
    large = observations.y > 100
    off = found.outcomes.values[large] - np.log(observations.y[large])
    assert np.abs(off).max() < 0.6
    np.testing.assert_allclose(found.outcomes.precisions[large], observations.y[large], rtol=0.8)


@pytest.mark.parametrize("far", long_but_for(1, [1000.0, 10.0]))
def test_a_group_far_from_all_others_is_reached(far):
    """Its rows are first seen from where a Student-t likelihood is not concave: turns went from one side of them to the
    other, and back."""
    rng = np.random.default_rng(0)
    g, x = rng.integers(0, 20, 3000), rng.normal(size=3000)
    y = rng.standard_t(3, 3000) + np.where(g == 3, far, 0.0) * (1 + 0.5 * x) + rng.normal(size=20)[g]
    fit = pw.fit("y ~ x + (x | g)", {"y": y, "x": x, "g": g}, family="student", seed=1, draws=300)
    assert fit.outcome.passed
    assert fit.outcome.sampler == "independence"
    found = fit.group_coefficients().query("g == 3")
    assert found["mean"].to_numpy() == pytest.approx([far, 0.5 * far], abs=1.5)


@pytest.mark.parametrize("kinds", [2, 12, 50, 365])
def test_scattered_rows_are_some_of_each_kind(kinds):
    """Kinds of rows that follow one another in each cell, such as all combinations of predictors."""
    some = turns.scattered(120_000, 6)
    counts = np.bincount(some % kinds, minlength=kinds)
    assert abs(len(some) - 20_000) < 2
    assert counts.min() > 0.7 * counts.mean() and counts.max() < 1.3 * counts.mean()
    assert len(turns.scattered(10, 1)) == 10


@pytest.mark.parametrize("family", ["negative_binomial", "student"])
def test_turns_that_begin_with_some_of_the_rows_end_at_the_same_model(family, monkeypatch):
    data = _data(family, groups=10, rows=1500).assign(exposure=np.linspace(0.5, 2.0, 1500))
    formula = "y ~ x + offset(log(exposure)) + (x | g)"
    model, _ = prepare(formula, data, priors=None, family=family_of(family), link=None, missing="drop", threads=1)
    guess = with_guess(model.observations, np.zeros(2))
    whole = _working_model(model, guess)
    monkeypatch.setattr(turns, "_FEW", 300)
    begun = _working_model(model, guess)
    sd = np.sqrt(np.diag(whole.modes[0].covariance))
    assert np.abs(begun.modes[0].point - whole.modes[0].point).max() < 0.1 * sd.max()
    np.testing.assert_allclose(begun.outcomes.values, whole.outcomes.values, rtol=0.03, atol=0.1)


@pytest.mark.long
def test_few_rows_are_sampled_by_nuts(monkeypatch):
    """And an effect for each row, whose estimates would cost more than they are worth."""
    monkeypatch.undo()
    few, many = _data("bernoulli"), _data("poisson", groups=40, rows=2_500)
    assert pw.fit("y ~ x + (1 | g)", few, family="bernoulli", seed=1, draws=50).outcome.sampler == "nuts"
    rows = _data("negative_binomial", groups=40, rows=2_100).assign(row=np.arange(2_100))
    fit = pw.fit("y ~ x + (1 | g) + (1 | row)", rows, family="poisson", seed=1, draws=20, chains=2)
    assert fit.outcome.sampler == "nuts"
    assert pw.fit("y ~ x + (1 | g)", many, family="poisson", seed=1, draws=50).outcome.sampler == "independence"


def test_where_nothing_tells_them_apart_draws_are_those_of_the_working_model(monkeypatch):
    """Of 1,800,000 rows the ratio hardly varies; means are those of corrected draws."""
    few = _data("bernoulli", groups=5, rows=90)
    statistics = pw.SufficientStatistics.from_data(
        "y ~ h + (1 | g)", few.loc[few.index.repeat(20_000)], family="bernoulli"
    )
    corrected = pw.fit("y ~ h + (1 | g)", statistics, family="bernoulli", seed=1)
    for module in (independence, near, proposal):
        monkeypatch.setattr(module, "effort_of", lambda _: proposal.EXPENSIVE)
    same = pw.fit("y ~ h + (1 | g)", statistics, family="bernoulli", seed=1)
    assert "the same to within" in same.outcome.reason
    assert "make up for the rest" in corrected.outcome.reason
    spread = corrected.result.beta.std(axis=(0, 1))
    apart = corrected.result.beta.mean(axis=(0, 1)) - same.result.beta.mean(axis=(0, 1))
    assert np.all(np.abs(apart) < 0.15 * spread)
    assert same.log_evidence == pytest.approx(corrected.log_evidence, abs=0.1)


@pytest.mark.parametrize("seed", long_but_for(1, [267, 365]))
def test_heavy_tails_of_a_predictor(seed):
    """Working outcomes of rows without curvature lay 1e34 away: log sds of 50, and equal weights, were certified."""
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 30, 12_000)
    x = rng.standard_cauchy(12_000) if seed % 3 else rng.standard_t(1.3, 12_000) * 2
    u = rng.normal(size=30) * 0.8
    y = (rng.random(12_000) < 1 / (1 + np.exp(-(-1 + u[g] + 0.02 * x)))).astype(int)
    data = {"y": y, "x": x, "g": g.astype(str)}
    fit = pw.fit("y ~ x + (x | g)", data, family="bernoulli", seed=1)
    assert fit.outcome.sampler == "independence"
    slope, spread = fit.summary().loc["beta[x]"], fit.summary().loc["sd_g[Intercept]"]
    expected = {267: (0.0155, 0.0022, 0.878), 365: (0.0168, 0.0026, 0.668)}[seed]  # by NUTS
    assert slope["mean"] == pytest.approx(expected[0], abs=0.0006)
    assert slope["sd"] == pytest.approx(expected[1], rel=0.15)
    assert spread["mean"] == pytest.approx(expected[2], abs=0.02)
    assert -8000 < fit.log_evidence < -6000


def test_a_density_without_digits_is_not_sampled(monkeypatch):
    """Where log densities are so large that differences between draws are gone, all weights are equal."""
    model, found, corrected = _densities(SLOPES, _data("poisson"), "poisson")
    settings = sampler_settings(100, 4, 1, "auto", silent)
    remainders = corrected.remainders
    parts = near_normal.near_normal(model, found, remainders, np.inf, settings, 1)
    assert parts is not None
    monkeypatch.setattr(type(found.density), "without_sigma", staticmethod(lambda values: values + 1e18))
    assert near_normal.near_normal(model, found, remainders, np.inf, settings, 1) is None


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_without_groups_the_posterior_is_that_of_a_grid(family):
    """There is no theta: a number that nothing depends on has a draw of coefficients at each of its values."""
    data = _data(family, rows=80)
    fit = pw.fit("y ~ x", data, family=family, seed=1, priors=WITHOUT_SD)
    assert fit.outcome.sampler == "independence"
    assert fit.outcome.passed
    x, y, shift = data["x"].to_numpy(), data["y"].to_numpy(), data["x"].mean()
    intercept, slope = np.meshgrid(np.linspace(-3, 3, 401), np.linspace(-3, 3, 401), indexing="ij")
    eta = intercept[..., None] + slope[..., None] * (x - shift)
    logs = (y * eta - np.logaddexp(0, eta) if family == "bernoulli" else y * eta - np.exp(eta) - gammaln(y + 1)).sum(-1)
    logs += norm.logpdf(intercept) + norm.logpdf(slope)
    weights = np.exp(logs - logs.max())
    assert fit.log_evidence == pytest.approx(logsumexp(logs) + 2 * np.log(6 / 400), abs=0.05)
    at_centre = fit.posterior["beta"].values.reshape(-1, 2) @ np.array([[1.0, 0.0], [shift, 1.0]])
    for k, values in enumerate((intercept, slope)):
        mean = (weights * values).sum() / weights.sum()
        sd = np.sqrt((weights * (values - mean) ** 2).sum() / weights.sum())
        assert at_centre[:, k].mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(2000))
        assert at_centre[:, k].std() == pytest.approx(sd, rel=0.06)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_shape_that_may_be_as_large_as_it_likes_has_its_tail(seed):
    """Of Poisson counts: proposals around the mode of the working model reach the tail by weights alone."""
    rng = np.random.default_rng(1)
    y = rng.poisson(2.0, 4000)
    priors = {"Intercept": pw.Normal(0, 1), "shape": pw.HalfCauchy(5.0)}
    fit = pw.fit("y ~ 1", {"y": y}, family="negative_binomial", seed=seed, priors=priors)
    assert fit.outcome.sampler == "independence"
    assert fit.outcome.passed
    counts, many = np.unique(y, return_counts=True)
    mean, log_shape = np.meshgrid(np.linspace(0.5, 0.9, 81), np.linspace(0, 25, 1001), indexing="ij")
    logs = norm.logpdf(mean) + halfcauchy.logpdf(np.exp(log_shape), scale=5.0) + log_shape
    for count, times in zip(counts, many, strict=True):
        logs += times * nbinom.logpmf(count, np.exp(log_shape), 1 / (1 + np.exp(mean - log_shape)))
    weights = np.exp(logs - logs.max()).sum(axis=0)
    beyond = 1 - np.cumsum(weights) / weights.sum()
    draws = np.log(fit.posterior["shape"].values.ravel())
    for share in (0.5, 0.1, 0.02, 0.005):
        at = np.interp(-share, -beyond, log_shape[0])
        assert (draws > at).mean() == pytest.approx(share, abs=4 * np.sqrt(share / 2000))


@pytest.mark.parametrize("family", ["exponential", "poisson"])
def test_where_all_outcomes_are_intervals_these_are_what_is_drawn_from(family):
    """And not their lower ends: the evidence is the integral over the one coefficient."""
    rng = np.random.default_rng(0)
    y = (rng.exponential if family == "exponential" else rng.poisson)(2.0, 400)
    low = np.maximum(np.floor(y / 0.5) * 0.5, 1e-9) if family == "exponential" else np.maximum(y - 1, 0)
    high = np.floor(y / 0.5) * 0.5 + 0.5 if family == "exponential" else y + 1
    data = pd.DataFrame({"low": low, "high": high, "k": "interval"})
    fit = pw.fit("low | cens(k, high) ~ 1", data, family=family, priors={"Intercept": pw.Normal(0, 1)}, seed=1)
    assert fit.outcome.sampler == "independence"
    at = np.linspace(-1, 2, 4001)[:, None]
    interval = family_of(family).log_interval
    values = interval(data["low"].to_numpy(), high, at).sum(axis=1) + norm.logpdf(at[:, 0])
    assert fit.log_evidence == pytest.approx(logsumexp(values) + np.log(at[1, 0] - at[0, 0]), abs=0.05)
    weights = np.exp(values - logsumexp(values))
    assert fit.summary()["mean"].iloc[0] == pytest.approx(weights @ at[:, 0], abs=0.005)


def test_groups_by_themselves_whose_order_plays_no_part(monkeypatch):
    """Of many rows by working outcomes, and of few by NUTS; the certificate has the worst of all."""
    monkeypatch.setattr(working, "LEAST", 1000)
    rng = np.random.default_rng(1)
    g, x = np.repeat(["a", "b", "c"], [100, 1500, 1200]), rng.normal(size=2800)
    data = pd.DataFrame({"y": rng.poisson(np.exp(0.3 + 0.4 * x)), "x": x, "g": g})
    fit = pw.compare_pooling("y ~ x", by="g", data=data, family="poisson", folds=0, seed=1).separate
    assert fit.outcome.sampler == "independence and nuts"
    assert {"efficiency", "chain_ess", "rhat", "ess"} <= set(fit.outcome.figures)
    assert fit.outcome.passed
    for name, rows in data.groupby("g"):
        alone = pw.fit("y ~ x", rows, family="poisson", seed=2)
        mine = fit.result.beta[:, :, "abc".index(name)].mean(axis=(0, 1))
        np.testing.assert_allclose(mine, alone.result.beta.mean(axis=(0, 1)), atol=0.02)
