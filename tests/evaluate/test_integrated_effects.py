"""Effects that are integrated out together, of one parameter or of several, against integrals on a dense grid."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import norm, poisson
from tests.selection import long_but_for

import poolwise as pw
from poolwise.density.latent.observations import known_parts
from poolwise.evaluate.loo import integrated_effects
from poolwise.evaluate.loo.group_integrals import integrate
from poolwise.evaluate.loo.integrated_effects import effects_by, finest, hardly_moved
from poolwise.families import locations
from poolwise.support.progress import silent

GROUPS = 5


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(GROUPS), 6), rng.normal(size=6 * GROUPS)
    location, spread = rng.normal(0, 0.8, GROUPS)[g], rng.normal(0, 0.4, GROUPS)[g]
    scores = np.column_stack([np.zeros(len(g)), location + x, spread - 0.5, -0.3 * x]) + rng.gumbel(size=(len(g), 4))
    y = location + x + np.exp(spread) * rng.normal(size=len(g))
    return pd.DataFrame(
        {
            "g": g,
            "x": x,
            "y": y,
            "count": rng.poisson(np.exp(0.5 + 0.5 * location)) * (rng.random(len(g)) > 0.3),
            "kind": np.array(list("abca"))[scores.argmax(axis=1)],
            "kinds": np.array(list("abcd"))[scores.argmax(axis=1)],
            "rt": 0.3 + rng.gamma(2.0, 0.3, len(g)),
            "choice": (location + rng.normal(size=len(g)) > 0).astype(int),
        }
    )


MODELS = {
    "mean and sigma": (["y ~ x + (1 | g)", "sigma ~ 1 + (1 | g)"], "gaussian", 2),
    "mean and zeros": (["count ~ x + (1 | p | g)", "zi ~ 1 + (1 | p | g)"], "zero_inflated_poisson", 2),
    "two effects of one": ("count ~ x + (x | g)", "poisson", 2),
    "categories": ("kind ~ x + (1 | g)", "categorical", 2),
    "four categories": ("kinds ~ 1 + (1 | g)", "categorical", 3),
    "choices": (["rt | dec(choice) ~ x + (1 | g)", "ndt ~ 1 + (1 | g)"], "wiener", 2),
}


def on_a_grid(fit, draw, points):
    """log p(rows of each group | theta, beta) and log p(row | its group's others) at a draw, by brute force."""
    posterior, rows = fit.result, fit.rows
    design, family, model = posterior.model.design, posterior.model.family, posterior.model
    theta = np.asarray(posterior.theta).reshape(-1, model.priors.layout.dimension)[draw]
    beta = posterior.beta.reshape(-1, posterior.beta.shape[-1])[draw]
    roots = [model.priors.layout.root(theta, factor.name) for factor in design.factors]
    sizes = [len(root) for root in roots]
    axis = np.linspace(-6.0, 6.0, points)
    nodes = np.array(list(product(axis, repeat=sum(sizes))))
    log_weights = norm.logpdf(nodes).sum(axis=1) + sum(sizes) * np.log(axis[1] - axis[0])
    effects = [v @ root.T for v, root in zip(np.split(nodes, np.cumsum(sizes)[:-1], axis=1), roots, strict=True)]
    ones = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    known, predictors = known_parts(design, rows, family), []
    for k, name in enumerate(family.predictors):
        if name in posterior.dispersions:
            predictors.append(
                np.log(posterior.dispersions[name].reshape(-1)[draw]) + known[k] + np.zeros((len(nodes), 1))
            )
            continue
        mine = np.array([of == name for of in design.predictors])
        total = ones @ design.common_map[:, mine] @ beta[mine] + known[k]
        for factor, each in zip(design.factors, effects, strict=True):
            part = factor.part_of(name)
            total = total + each[:, part] @ (ones @ factor.group_map[:, part]).T
        predictors.append(total + np.zeros((len(nodes), 1)))
    density = family.log_density(
        rows.response, np.ones(len(rows.codes)), locations(model.link, predictors[0]), *predictors[1:]
    )
    codes = design.factors[0].codes[rows.codes]
    groups, outside = np.empty(GROUPS), np.empty(len(codes))
    for j in range(GROUPS):
        mine = np.flatnonzero(codes == j)
        groups[j] = logsumexp(log_weights + density[:, mine].sum(axis=1))
        for i in mine:
            rest = np.setdiff1d(mine, [i])
            outside[i] = groups[j] - logsumexp(log_weights + density[:, rest].sum(axis=1))
    return groups, outside


@pytest.mark.parametrize("name", long_but_for(2, MODELS))
def test_integrals_are_those_of_a_dense_grid(frame, name):
    formula, family, size = MODELS[name]
    fit = pw.fit(formula, frame, family=family, draws=25, seed=1, priors={"sd": pw.HalfNormal(0.7)})
    effects = finest(fit.result)
    assert len(effects.of) == size and effects.name == "g"
    assert effects_by(fit.result, "g").names == effects.names
    found = integrate(fit.result, fit.rows, effects, silent)
    near = 0.1 if family == "wiener" else 0.02  # a shift ends where the fastest time does: far from normal
    for draw in (0, 60):
        groups, outside = on_a_grid(fit, draw, 121 if size == 2 else 41)
        np.testing.assert_allclose(found.groups[draw], groups, atol=near)
        np.testing.assert_allclose(found.outside[draw], outside, atol=near)


@pytest.mark.parametrize(("rows", "effects"), long_but_for(2, [(1, "1"), (8, "1"), (8, "x")]))
def test_a_row_that_is_most_of_its_group_is_left_out_right(rows, effects):
    """Without it the effects of its group spread far beyond what they are with it."""
    formula = f"y ~ {effects} + offset(log(exposure)) + ({effects} | g)"
    rng = np.random.default_rng(4)
    g, exposure = np.repeat(np.arange(GROUPS), rows), np.tile(np.r_[1000.0, np.ones(rows - 1)], GROUPS)
    y = rng.poisson(exposure * np.exp(0.5 + rng.normal(0, 0.6, GROUPS)[g]))
    data = {"y": y, "g": g, "exposure": exposure, "x": rng.normal(size=len(g))}
    fit = pw.fit(formula, data, family="poisson", draws=25, seed=1, priors={"sd": pw.HalfNormal(0.7)})
    found = integrate(fit.result, fit.rows, finest(fit.result), silent)
    for draw in (0, 60):
        groups, outside = on_a_grid(fit, draw, 5_001 if effects == "1" else 601)
        np.testing.assert_allclose(found.groups[draw], groups, atol=0.02)
        np.testing.assert_allclose(found.outside[draw], outside, atol=0.05)


@pytest.mark.long
def test_a_row_that_is_most_of_its_group_is_left_out_as_by_a_refit():
    rng = np.random.default_rng(0)
    g, exposure = np.repeat(np.arange(12), 10), np.r_[3000.0, np.ones(119)]
    y = rng.poisson(exposure * np.exp(0.5 + rng.normal(0, 0.6, 12)[g]))
    data = pd.DataFrame({"y": y, "g": g, "exposure": exposure})
    formula = "y ~ 1 + offset(log(exposure)) + (1 | g)"
    found = pw.fit(formula, data, family="poisson", seed=1).loo()
    again = pw.fit(formula, data.iloc[1:], family="poisson", draws=5000, seed=2)
    drawn = again.predict(data.iloc[:1], draws=True).to_numpy().ravel()
    assert found.pareto_k[0] < 0.7  # weights of draws had nothing to tell
    assert abs(found.elpd_i[0] - np.log(poisson.pmf(y[0], drawn).mean())) < 0.1


@pytest.mark.long
def test_large_groups_need_no_integrals(monkeypatch):
    """One of many rows hardly moves its group's effects: weights of the draws say the same as integrals do."""
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(6), 120), rng.normal(size=720)
    y = rng.random(720) < expit(0.5 * x + rng.normal(0, 0.8, 6)[g])
    fit = pw.fit("y ~ x + (1 | g)", {"y": y.astype(int), "x": x, "g": g}, family="bernoulli", seed=1)
    assert hardly_moved(finest(fit.result), fit.rows)
    by_weights = fit.loo()
    assert by_weights.method.startswith("given all effects") and by_weights.pareto_k.max() < 0.5
    monkeypatch.setattr(integrated_effects, "TELLING", np.inf)
    by_integrals = fit.loo()
    assert by_integrals.method.startswith("integrated over the effects of g")
    np.testing.assert_allclose(by_weights.elpd_i, by_integrals.elpd_i, atol=0.02)
    assert abs(by_weights.elpd - by_integrals.elpd) < 0.2


def test_a_row_that_is_most_of_a_large_group_has_its_effects_integrated():
    rng = np.random.default_rng(2)
    g, exposure = np.repeat(np.arange(6), 60), np.tile(np.r_[2000.0, np.ones(59)], 6)
    y = rng.poisson(exposure * np.exp(-2.0 + rng.normal(0, 0.7, 6)[g]))
    data = {"y": y, "g": g, "exposure": exposure}
    fit = pw.fit("y ~ 1 + offset(log(exposure)) + (1 | g)", data, family="poisson", seed=1, draws=250)
    assert hardly_moved(finest(fit.result), fit.rows)
    assert fit.loo().method.startswith("integrated over the effects of g")


@pytest.mark.long
@pytest.mark.parametrize("name", ["mean and sigma", "categories", "mean and zeros"])
def test_groups_left_out_are_those_of_refits(frame, name):
    formula, family, _ = MODELS[name]
    fit = pw.fit(formula, frame, family=family, draws=1000, seed=1, priors={"sd": pw.HalfNormal(0.7)})
    found = fit.loo(by="g")
    assert found.method == "integrated over the group's effects, draws weighed"
    assert list(found.labels) == list(range(GROUPS))
    np.testing.assert_allclose(found.elpd_i, fit.kfold(by="g", draws=1000, seed=3).elpd_i, atol=0.3)


def test_a_row_that_cannot_be_at_a_node_leaves_the_others_as_they_are(frame):
    """Response times below the shift have no density at all: sums of the others must not be lost with them."""
    formula, family, _ = MODELS["choices"]
    fit = pw.fit(
        formula, frame.assign(rt=np.where(frame.index % 6 == 0, 0.2, frame["rt"])), family=family, draws=50, seed=1
    )
    found = fit.loo()
    assert np.isfinite(found.elpd_i).all()
    assert "integrated over the effects of g" in found.method
