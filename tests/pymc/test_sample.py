"""`pw.pymc`: what is integrated out, its density, and the posteriors that follow."""

from __future__ import annotations

import warnings
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.sparse import structured_dot
from scipy import sparse, stats

import poolwise as pw
from poolwise.pymc.density import CollapsedModel
from poolwise.pymc.draw import _first_points
from poolwise.pymc.graph import find_block
from poolwise.pymc.linear_rows import linear_rows
from poolwise.pymc.rest import rest_of
from poolwise.pymc.variables import values_of
from poolwise.pymc.vectorised import over
from poolwise.support.errors import DataError, PoolwiseWarning, SamplingError
from tests.pymc import models
from tests.selection import long_but_for


def collapsed(model):
    block = find_block(model)
    rest = rest_of(block)
    return block, CollapsedModel.of(linear_rows(block, rest, _first_points(rest)), rest)


@pytest.fixture(scope="module")
def hierarchical():
    return pw.pymc.sample(models.hierarchical()[0], seed=1)


# Those of which sums or factors are compared instead.
ELSEWHERE = (models.correlated, models.crossed, models.two_outcomes, models.autoregressive_outcomes)


@pytest.mark.parametrize(
    "build", long_but_for(lambda build: build in models.MAIN and build not in ELSEWHERE, models.ALL)
)
def test_the_block_is_found_and_its_density_is_the_models_own(build):
    """log p(rest) + log p(block | rest) against PyMC's log density of both, at points far from the posterior too."""
    model, expected = build()
    block, density = collapsed(model)
    assert {one.name for one in block.variables} == expected
    rng = np.random.default_rng(1)
    points = density.rest.start + 0.7 * rng.standard_normal((6, density.dimension))
    drawn, marginal, _ = density.block(points, rng)
    np.testing.assert_allclose(density.log_density(points), marginal, rtol=1e-10)
    values, logp = values_of(block, density, points, drawn), model.compile_logp(sum=True)
    volume = over(block.log_volume, block.values_of_rest, density.rest.shapes)(density.rest.split(points))
    volume = volume + density.rest.log_jacobian(points)
    for k in range(6):
        expected = float(logp({name: value[k] for name, value in values.items()})) + np.broadcast_to(volume, 6)[k]
        found = density.joint(points[[k]], drawn[[k]])[0]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-5)  # PyMC takes logs of whole numbers in 32 bits


@pytest.mark.parametrize("change", [None, lambda s: pt.exp(0.1 * s)])
def test_standard_deviations_of_each_row_are_those_of_the_model(change):
    """By sums, and by rows where means are affine in nothing that is known."""
    rng = np.random.default_rng(1)
    x, error = rng.normal(size=60), rng.uniform(0.5, 2.0, 60)
    with pm.Model() as model:
        s = pm.HalfNormal("s", 1)
        b = pm.Normal("b", 0, np.array([1.0, 3.0]), shape=2)
        mean = b[0] + b[1] * (x if change is None else pt.cos(x * change(s)))
        pm.Normal("y", mean, s * error, observed=x + error * rng.normal(size=60))
    assert pw.pymc.sample(model, 200, seed=1)["sample_stats"].attrs["passed"]


DENSE = (
    models.hierarchical,
    models.correlated,
    models.crossed,
    models.nested,
    models.random_walk,
    models.autoregression,
)


@pytest.mark.parametrize("build", long_but_for((models.hierarchical, models.crossed).__contains__, DENSE))
def test_marginals_are_those_of_dense_matrices(build):
    """The joint density over the normal density of the block, whose precision is read off the joint density."""
    model, _ = build()
    _, density = collapsed(model)
    point = density.rest.start[None] + 0.2
    p = density.rows.size
    unit = np.vstack([np.zeros((1, p)), np.eye(p)])
    i, j = np.tril_indices(p, -1)

    def joint(block):
        parts = np.array_split(block, max(1, len(block) // 500))
        return np.concatenate([density.joint(np.repeat(point, len(part), axis=0), part) for part in parts])

    base = joint(unit[:1])[0]
    along, back = joint(unit[1:]) - base, joint(-unit[1:]) - base
    slope, precision = 0.5 * (along - back), np.diag(-(along + back))
    pairs = np.concatenate(
        [joint(unit[1 + a] + unit[1 + b]) for a, b in zip(*(np.array_split(k, 20) for k in (i, j)), strict=True)]
    )
    precision[i, j] = precision[j, i] = along[i] + along[j] - (pairs - base)
    mean = np.linalg.solve(precision, slope)
    expected = base + 0.5 * slope @ mean + 0.5 * p * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(precision)[1]
    assert density.log_density(point)[0] == pytest.approx(expected, rel=1e-8)
    draws, *_ = density.block(np.repeat(point, 4000, axis=0), np.random.default_rng(2))
    spread = np.sqrt(np.diag(np.linalg.inv(precision)))
    assert np.abs((draws.mean(axis=0) - mean) / spread).max() < 5 / np.sqrt(4000)
    np.testing.assert_allclose(draws.std(axis=0), spread, rtol=0.08)


@pytest.mark.parametrize("build", long_but_for((models.robust, models.items).__contains__, models.NOT_NORMAL))
def test_of_outcomes_that_are_not_normal_nothing_is_integrated_out(build):
    model, expected = build()
    assert set(pw.pymc.explain(model).block) == expected
    with pytest.raises(DataError, match="Nothing can be integrated out"):
        pw.pymc.sample(model)


def test_posteriors_are_those_of_the_formula(hierarchical):
    wide = {"sd": pw.HalfCauchy(5), "sigma": pw.HalfCauchy(5), "floor": pw.Normal(0, 10), "Intercept": pw.Normal(0, 10)}
    fit = pw.fit("log_radon ~ floor + (floor || county)", models.RADON, priors=wide, seed=2)
    theirs = fit.posterior
    posterior = hierarchical["posterior"]
    pairs = {
        "mu_a": theirs["beta"].sel(coefficient="Intercept"),
        "mu_b": theirs["beta"].sel(coefficient="floor"),
        "eps": theirs["sigma"],
        "sigma_a": theirs["sd_county"][..., 0],
        "sigma_b": theirs["sd_county"][..., 1],
    }
    for name, other in pairs.items():
        own, error = posterior[name], float(other.std()) / np.sqrt(3000)
        assert float(own.mean()) == pytest.approx(float(other.mean()), abs=5.5 * error), name
        assert float(own.std()) == pytest.approx(float(other.std()), rel=0.08), name
    group = theirs["coef_county"].sel(county=list(posterior["county"].values))
    for k, name in enumerate(("a", "b")):
        spread = group[..., k].std(("chain", "draw")).values
        off = posterior[name].mean(("chain", "draw")).values - group[..., k].mean(("chain", "draw")).values
        assert np.abs(off / spread).max() < 0.12


def test_centred_or_not_is_the_same_posterior(hierarchical):
    one, other = (tree["posterior"] for tree in (hierarchical, pw.pymc.sample(models.non_centred()[0], seed=3)))
    for name in ("mu_a", "sigma_a", "sigma_b", "eps"):
        assert float(one[name].mean()) == pytest.approx(float(other[name].mean()), abs=0.12 * float(one[name].std()))
    off = (one["a"].mean(("chain", "draw")) - other["a"].mean(("chain", "draw"))) / one["a"].std(("chain", "draw"))
    assert float(np.abs(off).max()) < 0.12


@pytest.mark.long
def test_slopes_centred_by_a_covariance_are_those_of_deviations():
    one, other = (
        pw.pymc.sample(build()[0], seed=3)["posterior"] for build in (models.correlated, models.centred_slopes)
    )
    for name in ("eps", "chol_stds", "chol_corr", "centre"):
        off = (one[name].mean(("chain", "draw")) - other[name].mean(("chain", "draw"))).values
        spread = one[name].std(("chain", "draw")).values
        assert (np.abs(off) <= 0.12 * spread + 1e-9).all(), name
    groups = (one["both"] + one["centre"].rename(centre_dim_0="param") if "centre_dim_0" in one["centre"].dims
              else one["both"] + one["centre"])  # fmt: skip
    off = (groups.mean(("chain", "draw")) - other["both"].mean(("chain", "draw"))) / groups.std(("chain", "draw"))
    assert float(np.abs(off).max()) < 0.12
    np.testing.assert_allclose(other["both"].std(("chain", "draw")), groups.std(("chain", "draw")), rtol=0.12)


def test_effects_that_sum_to_zero_do():
    tree = pw.pymc.sample(models.sums_to_zero()[0], 500, seed=1)
    assert tree["sample_stats"].attrs["passed"] == 1
    posterior = tree["posterior"]
    assert posterior["cells"].shape == (4, 500, 6, 4)
    for name, axis in (("rows", -1), ("cells", -1), ("cells", -2)):
        assert float(np.abs(posterior[name].values.sum(axis=axis)).max()) < 1e-9
    assert posterior["rows"].mean(("chain", "draw")).values[0] == pytest.approx(-1, abs=0.35)


def test_names_dims_coords_and_groups():
    model, _ = models.group_predictor()
    tree = pw.pymc.sample(model, 500, chains=2, seed=1)
    posterior = tree["posterior"]
    assert dict(posterior.sizes) | {"gamma_dim_0": 2} == dict(posterior.sizes)
    assert posterior["a"].dims == ("chain", "draw", "county")
    assert list(posterior["county"].values) == list(models.NAMES)
    assert set(posterior.data_vars) == {"gamma", "sigma_a", "a", "b", "eps"}
    assert set(tree["constant_data"].data_vars) == {"uranium", "floor"}
    np.testing.assert_array_equal(tree["observed_data"]["y"], models.Y)
    assert tree["sample_stats"]["lp"].shape == (2, 500)
    assert tree["sample_stats"].attrs["passed"] == 1
    deterministic = pw.pymc.sample(models.correlated()[0], 200, seed=1)["posterior"]
    assert deterministic["both"].dims == ("chain", "draw", "county", "param")
    assert {"chol", "chol_corr", "chol_stds"} <= set(deterministic.data_vars)


def test_same_seed_same_draws():
    model, _ = models.eight_schools()
    one, other, third = (pw.pymc.sample(model, 200, seed=seed)["posterior"]["theta"].values for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)
    with model:
        np.testing.assert_array_equal(pw.pymc.sample(draws=200, seed=1)["posterior"]["theta"].values, one)


@pytest.mark.parametrize(("shift", "scale"), long_but_for(1, [(-300.0, 1e-3), (1e6, 1.0), (0.0, 1e4)]))
def test_zero_and_units_do_not_matter(shift, scale):
    rng = np.random.default_rng(2)
    g, e = rng.integers(0, 12, 150), rng.normal(size=150)

    def built(shift, scale):
        y = shift + scale * (np.linspace(-1, 1, 12)[g] + e)
        with pm.Model() as model:
            mu = pm.Normal("mu", shift, 10 * scale)
            u = pm.Normal("u", mu, pm.HalfNormal("tau", scale), shape=12)
            pm.Normal("y", u[g], pm.HalfNormal("s", 2 * scale), observed=y)
        return pw.pymc.sample(model, 500, seed=1)["posterior"]

    plain, moved = built(0.0, 1.0), built(shift, scale)
    np.testing.assert_allclose(moved["tau"].mean() / scale, plain["tau"].mean(), rtol=0.05)
    np.testing.assert_allclose(
        (moved["u"].mean(("chain", "draw")) - shift) / scale, plain["u"].mean(("chain", "draw")), atol=0.05
    )


def test_predictors_of_any_units():
    """One in billions, one in billionths: neither is nothing beside the other."""
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=(2, 200))
    y = 1 + 2 * one - 3 * other + rng.normal(size=200)
    with pm.Model() as model:
        a, b, c = pm.Normal("a", 0, 1e-8), pm.Normal("b", 0, 1e10), pm.Normal("c", 0, 10.0)
        pm.Normal("y", c + a * (1e9 * one) + b * (1e-9 * other), pm.HalfNormal("s", 2), observed=y)
    found = pw.pymc.sample(model, 500, seed=1)["posterior"]
    assert float(found["a"].mean()) * 1e9 == pytest.approx(2, abs=0.3)
    assert float(found["b"].mean()) * 1e-9 == pytest.approx(-3, abs=0.3)


def test_nothing_left_to_sample():
    with pm.Model() as model:
        mu = pm.Normal("mu", 1, 2)
        pm.Normal("y", mu, 0.5, observed=np.array([1.0, 2.0, 4.0]))
    drawn = pw.pymc.sample(model, 2000, seed=1)["posterior"]["mu"].values
    precision = 3 / 0.25 + 1 / 4
    assert drawn.mean() == pytest.approx((7 / 0.25 + 1 / 4) / precision, abs=5 / np.sqrt(8000 * precision))
    assert stats.kstest((drawn.ravel() - (7 / 0.25 + 0.25) / precision) * np.sqrt(precision), "norm").pvalue > 1e-4


def test_explanations_say_what_was_found_and_what_was_not():
    text = repr(pw.pymc.explain(models.noise_by_group()[0]))
    assert "integrated out: mu, a (85), b" in text or "integrated out: a (85)" in text
    assert "kept out: log_eps, as the standard deviation of 'y' depends on it" in text
    with pm.Model() as product:
        one, other = pm.Normal("one", 0, 1), pm.Normal("other", 0, 1, shape=5)
        pm.Normal("y", one * other[np.arange(20) % 5], 1.0, observed=np.ones(20))
    found = pw.pymc.explain(product)
    assert dict(found.block) == {"other": 5}
    assert dict(found.kept_out) == {"one": "a mean is not known to be linear in it"}
    with pm.Model() as curved:
        pm.Normal("y", pt.exp(pm.Normal("eta", 0, 1)), 1.0, observed=np.ones(3))
    assert "nothing" in repr(pw.pymc.explain(curved)).split("\n")[0]
    with pm.Model() as bounded:
        x = pm.Normal("x", 0, 1)
        pm.Potential("ridge", -(x**4))
        pm.Normal("y", x + pm.Normal("z", 0, 1), 1.0, observed=np.ones(3))
    assert dict(pw.pymc.explain(bounded).kept_out) == {"x": "the potential 'ridge' depends on it"}


def test_models_that_are_refused():
    with pm.Model() as counts:
        pm.Poisson("y", pt.exp(pm.Normal("eta", 0, 1)), observed=np.array([1, 2]))
    with pytest.raises(DataError, match=r"Nothing can be integrated out.*'eta': the outcomes 'y' are not normal"):
        pw.pymc.sample(counts)
    with pm.Model() as discrete:
        kind = pm.Bernoulli("kind", 0.5)
        pm.Normal("y", pm.Normal("x", 0, 1) + kind, 1.0, observed=np.ones(3))
    with pytest.raises(DataError, match="'kind' is discrete"):
        pw.pymc.sample(discrete)
    with pm.Model() as single:
        packed = pm.LKJCholeskyCov("packed", n=1, eta=2, sd_dist=pm.Exponential.dist(1.0), compute_corr=False)
        pm.Normal("y", packed[0] * pm.Normal("x", 0, 1), 1.0, observed=np.ones(3))
    with pytest.raises(DataError, match="LKJ prior of one standard deviation"):
        pw.pymc.sample(single)
    with pm.Model() as empty:
        pm.Normal("x", 0, 1)
    with pytest.raises(DataError, match="no observed variables"):
        pw.pymc.sample(empty)
    with pm.Model() as missing, pytest.warns(pm.exceptions.ImputationWarning):
        pm.Normal("y", pm.Normal("x", 0, 1), 1.0, observed=np.ma.masked_invalid([1.0, np.nan]))
    with pytest.raises(DataError, match="outcomes are missing"):
        pw.pymc.sample(missing)
    with pytest.raises(DataError, match=r"must be a pymc\.Model"):
        pw.pymc.explain("model")
    with pytest.raises(DataError, match="otherwise must be one of"):
        pw.pymc.sample(counts, otherwise="stan")


@pytest.mark.parametrize(
    "bent",
    [
        lambda x: pt.switch(pt.gt(x, 20.0), x - 17.0, x),
        lambda x: pt.minimum(x, 4.5),
        lambda x: pt.clip(x, -100.0, 100.0),
        lambda x: pt.cast(x, "int64"),
        lambda x: pt.cast(x, "float32"),
        lambda x: x * x,
        lambda x: 1.0 / x,
        lambda x: pt.abs(x),
        lambda x: pt.sort(pt.stack([x, 0.0]))[0],
        lambda x: pt.cumprod(pt.stack([x, x]))[1],
        lambda x: pt.zeros(3)[pt.cast(x, "int64") % 3],
    ],
)
def test_means_that_are_linear_here_and_there_only_keep_a_variable_out(bent):
    with pm.Model() as model:
        x, z = pm.Normal("x", 0, 50), pm.Normal("z", 0, 1)
        pm.Normal("y", bent(x) + z, 20.0, observed=np.full(3, 4.0))
    assert dict(pw.pymc.explain(model).block) == {"z": 1}


def test_linear_operations_of_all_kinds_are_known():
    x = np.arange(12.0).reshape(4, 3)
    with pm.Model() as model:
        b, u, s = pm.Normal("b", 0, 1, shape=3), pm.Normal("u", 0, 1, shape=(2, 2)), pm.HalfNormal("s", 1)
        mean = pt.dot(x, b) + x @ b - pt.sum(x * b, axis=1) / 2 + pt.mean(u) + u.T.ravel() + pt.concatenate([b, b[:1]])
        mean += pt.cumsum(pt.repeat(b[0], 4)) + pt.set_subtensor(pt.zeros(4)[1], b[1]) + (s * u).reshape((4,))
        mean += pt.tensordot(x, b, 1) + pt.einsum("ij,j->i", x, b) + pt.stack([b[0], b[1], u[0, 0], -u[1, 1]])
        pm.Normal("y", pm.Deterministic("mean", mean), s, observed=np.arange(4.0))
    assert dict(pw.pymc.explain(model).block) == {"b": 3, "u": 4}
    assert pw.pymc.sample(model, 100, seed=1)["sample_stats"].attrs["passed"] == 1


def test_entries_that_appear_elsewhere_are_noticed():
    """A peak that is nothing where rows are told apart first: the higher mode at 12 must not be missed."""
    t, rng = np.arange(70.0), np.random.default_rng(1)
    y = 6 * np.exp(-0.5 * ((t - 12) / 1.5) ** 2) + 5 * np.exp(-0.5 * ((t - 50) / 1.5) ** 2) + 0.3 * rng.normal(size=70)
    with pm.Model() as model:
        c, a, b = pm.Uniform("c", 0, 100), pm.Normal("a", 0, 10), pm.Normal("b", 0, 10)
        pm.Normal("y", b + a * pt.exp(-0.5 * ((t - c) / 1.5) ** 2), pm.HalfNormal("s", 1), observed=y)
    try:
        found = pw.pymc.sample(model, 200, seed=1)["posterior"]["c"]
    except DataError as error:
        assert "differs from value to value" in str(error)
    else:
        assert abs(float(found.median()) - 12) < 1
    with pm.Model() as change:
        tau, a, b = pm.Uniform("tau", 0, 70), pm.Normal("a", 0, 5), pm.Normal("b", 0, 5)
        pm.Normal("y", pt.switch(pt.lt(t, tau), a, b), pm.HalfNormal("s", 1), observed=y)
    with pytest.raises(DataError, match="as with a change point"):
        pw.pymc.sample(change, 100, seed=1)


def test_modes_where_the_priors_lie_are_found():
    t = np.arange(70.0)
    y = 7 / (1 + (t - 12) ** 2) + 5 / (1 + (t - 50) ** 2) + 0.3 * np.random.default_rng(1).normal(size=70)
    with pm.Model() as model:
        c, a = pm.Normal("c", 50, 30), pm.Normal("a", 0, 10)
        pm.Normal("y", a / (1 + (t - c) ** 2), pm.HalfNormal("s", 1), observed=y)
    assert float(pw.pymc.sample(model, 200, seed=1)["posterior"]["c"].median()) == pytest.approx(12, abs=0.5)


def test_outcomes_by_data_whole_numbers_and_what_is_beside():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 40, 30)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 20)
        pm.Normal("y", mu, 20, observed=pm.Data("seen", y))
        pm.Poisson("k", 3.0, observed=np.array([2, 3]))
        pm.Deterministic("noise", pm.Normal.dist(0, 1))
    found = pw.pymc.sample(model, 2000, seed=1)["posterior"]
    precision = 30 / 400 + 1 / 400
    assert float(found["mu"].mean()) == pytest.approx(y.sum() / 400 / precision, abs=5 / np.sqrt(8000 * precision))
    assert float(found["mu"].std()) == pytest.approx(precision**-0.5, rel=0.05)
    assert "noise" not in found  # random numbers of its own
    with model:
        pm.set_data({"seen": y + 100})
    moved = pw.pymc.sample(model, 2000, seed=1)["posterior"]["mu"]
    assert float(moved.mean()) == pytest.approx((y + 100).sum() / 400 / precision, abs=5 / np.sqrt(8000 * precision))


@pytest.mark.long
def test_what_cannot_be_done_after_the_block_is_found_is_handed_over_too():
    x = np.random.default_rng(1).normal(size=(120, 70))
    with pm.Model() as model:
        beta = pm.Normal("beta", 0, 1, shape=70)
        pm.Normal("y", x @ beta, pm.HalfNormal("s", 1), observed=x[:, 0])
    with pytest.raises(DataError, match="70 numbers of the block at once"):
        pw.pymc.sample(model)
    assert pw.pymc.sample(model, 50, chains=2, seed=1, otherwise="pymc")["posterior"]["beta"].shape == (2, 50, 70)
    with pm.Model() as unused:
        pm.Normal("a", 0, 1)
        pm.Normal("y", 0.0, pm.HalfNormal("s", 1), observed=np.ones(3))
    with pytest.raises(DataError, match="no normal outcome depends on it"):
        pw.pymc.sample(unused)


def test_much_that_is_left_is_refused_or_handed_over():
    with pm.Model() as model:
        sd = pm.HalfNormal("sd", 1, shape=25)
        pm.Normal("y", pm.Normal("mu", 0, 1), sd, observed=np.ones(25))
    with pytest.raises(DataError, match="25 numbers are left to sample"):
        pw.pymc.sample(model)


def _powers(years, degree):
    """Regression on raw powers of a year, sigma known."""
    x = np.column_stack([years**k for k in range(degree + 1)])
    y = 10 + 0.1 * (years - 2010) - 0.02 * (years - 2010) ** 2 + np.sin(years)
    with pm.Model() as model:
        b = pm.Normal("b", 0, 1e6, shape=degree + 1)
        pm.Normal("y", pt.dot(x, b), pm.HalfNormal("s", 1), observed=y)
    return model, x, y


def _exactly(x, y, sigma):
    """Means and sds of the coefficients in rational numbers."""
    x, y = [[Fraction(v) for v in row] for row in x.tolist()], [Fraction(v) for v in y.tolist()]
    precision, p = 1 / Fraction(sigma) ** 2, len(x[0])
    rows = [
        [precision * sum(row[i] * row[j] for row in x) + (Fraction(1, 10**12) if i == j else 0) for j in range(p)]
        + [precision * sum(row[i] * value for row, value in zip(x, y, strict=True))]
        + [Fraction(int(i == j)) for j in range(p)]
        for i in range(p)
    ]
    for i in range(p):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(p):
            if j != i:
                rows[j] = [value - rows[j][i] * own for value, own in zip(rows[j], rows[i], strict=True)]
    return np.array([float(rows[i][p]) for i in range(p)]), np.sqrt([float(rows[i][p + 1 + i]) for i in range(p)])


@pytest.mark.parametrize("by_rows", [False, True])
def test_coefficients_of_powers_of_a_year_keep_their_digits(by_rows):
    model, x, y = _powers(np.arange(1990.0, 2021.0), 3)
    _, density = collapsed(model)
    density = density.by_rows() if by_rows else density
    drawn = density.block(np.log(np.full((20_000, 1), 0.5)), np.random.default_rng(1))[0]
    mean, sd = _exactly(x, y, 0.5)
    assert np.abs((drawn.mean(axis=0) - mean) / sd).max() < 5 / np.sqrt(20_000)
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=5 / np.sqrt(2 * 20_000))


def test_draws_that_lost_their_digits_are_not_returned(monkeypatch):
    monkeypatch.setattr("poolwise.pymc.by_rows.turn_of", lambda *_: None)
    monkeypatch.setattr("poolwise.pymc.standardised.turn_of", lambda *_: None)
    with pytest.raises(SamplingError, match="[Cc]entre and scale predictors"):
        pw.pymc.sample(_powers(np.arange(1990.0, 2021.0), 3)[0], seed=1)


def test_flat_coefficients_are_integrated_out_and_wide_tails_of_spreads_are_known():
    """Two groups, a flat mean and a half-Cauchy spread, whose posterior falls as its third power; against a grid."""
    group = np.repeat([0, 1], 10)
    outcome = group + np.random.default_rng(2).normal(size=20)
    with pm.Model() as model:
        mean, spread = pm.Flat("mean"), pm.HalfCauchy("spread", 1)
        pm.Normal("y", pm.Normal("u", mean, spread, shape=2)[group], pm.HalfNormal("s", 2), observed=outcome)
    assert set(pw.pymc.explain(model).block) == {"mean", "u"}
    taus, sigmas = np.exp(np.linspace(-12, 14, 2600))[:, None], np.exp(np.linspace(-1.2, 1.4, 120))
    means = np.array([outcome[:10].mean(), outcome[10:].mean()])
    within = ((outcome - means[group]) ** 2).sum()
    variance = taus**2 + sigmas**2 / 10
    logs = -0.5 * np.log(variance) - 0.25 * (means[1] - means[0]) ** 2 / variance - 17 * np.log(sigmas)
    logs = logs - 0.5 * within / sigmas**2 - sigmas**2 / 8 + np.log(taus) - np.log1p(taus**2)
    below = np.cumsum(np.exp(logs - logs.max()).sum(axis=1))
    drawn = np.concatenate([np.ravel(pw.pymc.sample(model, seed=seed)["posterior"]["spread"]) for seed in (1, 2)])
    for share in (0.05, 0.5, 0.95, 0.99, 0.998):
        cut = np.interp(share, below / below[-1], taus[:, 0])
        assert abs((drawn <= cut).mean() - share) < 5 * np.sqrt(share * (1 - share) / len(drawn))


def test_a_variable_may_be_called_unobserved():
    with pm.Model() as model:
        level = pm.Normal("level_unobserved", 0, 5)
        pm.Normal("y", level, 1, observed=np.arange(5.0))
    assert pw.pymc.explain(model).block == {"level_unobserved": 1}


def test_a_prior_that_cannot_be_drawn_from_and_has_no_initial_value():
    """PyMC truncates Student's t by its quantiles, in whole numbers, and begins at the bound."""

    def model(**options):
        with pm.Model() as found:
            spread = pm.Truncated("spread", pm.StudentT.dist(nu=3, sigma=2), lower=0, **options)
            pm.Normal("y", pm.Normal("u", 0, spread, shape=8), 1, observed=np.linspace(-3, 3, 8))
        return found

    with pytest.raises(DataError, match="'spread': give it one by initval="):
        pw.pymc.sample(model(), 100, seed=1)
    assert pw.pymc.sample(model(initval=1.0), 100, seed=1)["sample_stats"].attrs["passed"]


def test_spreads_that_are_zero_are_said_in_a_sentence():
    with pm.Model() as model:
        level = pm.Normal("level", 0, pm.HalfNormal("spread", 1), shape=4)
        pm.Normal("y", level, np.array([1.0, 1.0, 0.0, 1.0]), observed=np.arange(4.0))
    with pytest.raises(DataError, match="deviation of 'y' is not positive everywhere"):
        pw.pymc.sample(model, 100, seed=1)


def test_deterministic_variables_keep_their_types():
    with pm.Model() as model:
        level = pm.Normal("level", 0, pm.HalfNormal("spread", 1), shape=4)
        pm.Deterministic("positive", level > 0)
        pm.Deterministic("largest", pt.argmax(level))
        pm.Normal("y", level, 1, observed=np.arange(4.0))
    found = pw.pymc.sample(model, 100, seed=1)["posterior"]
    assert found["positive"].dtype == bool and found["largest"].dtype.kind == "i"


def _of_logs(between):
    """Groups whose log spread has a flat prior: the likelihood does not fall where it goes to minus infinity."""
    rng = np.random.default_rng(1)
    with pm.Model() as model:
        log_spread = pm.Flat("log_spread")
        effects = pm.Normal("effects", 0, pt.exp(log_spread), shape=8)
        outcome = rng.normal(size=80) + np.repeat(between * rng.normal(size=8), 10)
        pm.Normal("y", effects[np.repeat(np.arange(8), 10)], pm.HalfNormal("s", 1), observed=outcome)
    return model


@pytest.mark.parametrize("between", long_but_for(1, [0.6, 0.0]))
def test_posteriors_without_an_end_are_refused_or_not_certified(between):
    with pytest.raises((SamplingError, PoolwiseWarning), match="improper along 'log_spread'|fits the posterior"):
        pw.pymc.sample(_of_logs(between), seed=1)


@pytest.mark.parametrize("groups", long_but_for(2, [2, 3, 1, 4]))
def test_flat_spreads_are_proper_from_three_groups_on(groups):
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(groups), 10)
    with pm.Model() as model:
        effects = pm.Normal("effects", pm.Flat("mean"), pm.HalfFlat("spread"), shape=groups)
        outcome = group + rng.normal(size=len(group))
        pm.Normal("y", effects[group], pm.HalfNormal("s", 1), observed=outcome)
    if groups > 2:
        assert pw.pymc.sample(model, seed=1)["sample_stats"].attrs["passed"]
        return
    with warnings.catch_warnings(), suppress(SamplingError):
        warnings.simplefilter("ignore")
        assert not pw.pymc.sample(model, seed=1)["sample_stats"].attrs["passed"]


@pytest.mark.parametrize("seed", long_but_for(1, [1, 2, 3]))
def test_rounding_where_a_spread_goes_to_zero_is_no_mode(seed):
    """Walks as PyMC writes them, and by as many coefficients as outcomes."""
    rng = np.random.default_rng(1)
    outcome = np.cumsum(rng.normal(0, 0.3, 120)) + rng.normal(0, 0.5, 120)
    with pm.Model() as model:
        levels = pm.GaussianRandomWalk("w", sigma=pm.HalfNormal("s", 1), init_dist=pm.Normal.dist(0, 2), shape=120)
        pm.Normal("y", levels, pm.HalfNormal("sd", 1), observed=outcome)
    tree = pw.pymc.sample(model, seed=seed)
    assert tree["sample_stats"].attrs["passed"]
    assert tree["posterior"]["s"].mean() == pytest.approx(0.2, abs=0.15)


def _grouped(build):
    """A model of forty outcomes in five groups, given what else it is made of."""
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(5), 8), rng.normal(size=40)
    with pm.Model() as model:
        build(g, x, 1 + 0.5 * x + rng.normal(size=5)[g] + 0.4 * rng.normal(size=40))
    return model


def _outcomes_of_the_shape_of_a_mean(g, x, y):
    mean = pm.Normal("m", 0, 5) + pm.Normal("b", 0, 1) * x
    pm.Normal("y", mean, pm.HalfNormal("s", 1) * pt.ones_like(mean), observed=y)


def _outcomes_of_the_length_of_effects(g, x, y):
    a = pm.Normal("a", 0, 5, shape=5)
    pm.Normal("y", a[g], pm.HalfNormal("s", 1) * a.shape[0], observed=y)


def _prior_of_the_shape_of_effects(g, x, y):
    a = pm.Normal("a", 0, 5, shape=5)
    pm.Normal("y", a[g], pm.HalfNormal("s", pt.ones_like(a))[g], observed=y)


def _potential_of_the_shape_of_effects(g, x, y):
    a, s = pm.Normal("a", 0, 5, shape=5), pm.HalfNormal("s", 1)
    pm.Potential("small", -pt.sum(s * pt.ones_like(a)))
    pm.Normal("y", a[g], s, observed=y)


def _effects_of_the_shape_of_their_means(g, x, y):
    mu = pm.Normal("mu", 0, 5, shape=5)
    a = pm.Normal("a", mu, pm.HalfNormal("t", 1) * pt.ones_like(mu))
    pm.Normal("y", a[g], pm.HalfNormal("s", 1), observed=y)


def _correlated_and_of_the_shape_of_effects(g, x, y):
    root = pm.LKJCholeskyCov("root", n=2, eta=2, sd_dist=pm.HalfNormal.dist(1.0))[0]
    a = pm.MvNormal("a", np.zeros(2), chol=root, shape=(5, 2))
    pm.Normal("y", a[g, 0] + a[g, 1] * x, pm.HalfNormal("s", 1) * pt.ones_like(a[g, 0]), observed=y)


@pytest.mark.parametrize(
    "build",
    long_but_for(
        3,
        [
            _outcomes_of_the_shape_of_a_mean,
            _outcomes_of_the_length_of_effects,
            _prior_of_the_shape_of_effects,
            _potential_of_the_shape_of_effects,
            _effects_of_the_shape_of_their_means,
            _correlated_and_of_the_shape_of_effects,
        ],
    ),
)
def test_of_what_is_integrated_out_the_shape_may_be_read(build):
    model = _grouped(build)
    assert not {"a", "b", "m", "mu"} & set(pw.pymc.explain(model).left)
    assert pw.pymc.sample(model, 200, seed=1)["sample_stats"].attrs["passed"]


def test_random_numbers_within_deterministic_variables_are_not_frozen():
    """One draw of them would be shared by all draws of the posterior."""

    def build(g, x, y):
        m = pm.Normal("m", 0, 1)
        one = pm.CustomDist.dist(0.0, dist=lambda mean, size: pm.Normal.dist(mean, 1, size=size))
        pm.Deterministic("custom", m + one)
        pm.Deterministic("zero_sum", m + pm.ZeroSumNormal.dist(1.0, shape=3))
        pm.Deterministic("truncated", m + pm.Truncated.dist(pm.Normal.dist(0, 1), lower=0))
        pm.Deterministic("twice", 2 * m)
        pm.Normal("y", m, pm.HalfNormal("s", 1), observed=y)

    assert set(pw.pymc.sample(_grouped(build), 100, seed=1)["posterior"]) == {"m", "s", "twice"}


def test_potentials_of_random_numbers_are_refused():
    def build(g, x, y):
        s = pm.HalfNormal("s", 1)
        pm.Potential("odd", -s * pm.Normal.dist() ** 2)
        pm.Normal("y", pm.Normal("m", 0, 1), s, observed=y)

    with pytest.raises(DataError, match="The density of 'odd' has random numbers in it"):
        pw.pymc.sample(_grouped(build), 100, seed=1)


def _bounded_by_a_potential(g, x, y):
    s, t = pm.HalfNormal("s", 1), pm.HalfNormal("t", 1)
    pm.Potential("order", pt.switch(t < 0.3 * s, 0.0, -np.inf))
    pm.Normal("y", pm.Normal("m", 0, 5) + t * pm.Normal("z", 0, 1, shape=5)[g], s, observed=y)


def _bounded_by_a_prior(g, x, y):
    pm.Normal("y", pm.Normal("m", 0, 5), pm.Uniform("s", 1.5, 5.0, default_transform=None), observed=y)


def _bounded_by_zero(g, x, y):
    t = pm.HalfNormal("t", 1, default_transform=None)
    pm.Normal("y", pm.Normal("m", 0, 1) + t * pm.Normal("z", 0, 1, shape=8)[g], 2.0, observed=y)


@pytest.mark.parametrize("build", [_bounded_by_a_potential, _bounded_by_a_prior, _bounded_by_zero])
def test_where_priors_end_posteriors_do(build):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a certificate may not pass at an edge
        assert pw.pymc.sample(_grouped(build), 200, seed=1)["posterior"]["m"].shape == (4, 200)


@pytest.mark.long
def test_sparse_means_choices_and_neighbours_are_computed():
    """By operations that PyTensor has no form of for many arrays, or not without rewriting."""

    def build(g, x, y):
        members = sparse.csr_matrix((np.ones(40), (np.arange(40), g)), shape=(40, 5))
        a = pm.CAR("a", np.zeros(5), np.ones((5, 5)) - np.eye(5), alpha=0.5, tau=pm.Gamma("tau", 2, 2))
        s = pm.HalfNormal("s", 1)
        pm.Deterministic("chosen", pt.choose(pt.cast(s > 0.5, "int64"), [s, a[0]]))
        pm.Normal("y", pm.Normal("m", 0, 1) + structured_dot(members, a[:, None])[:, 0], s, observed=y)

    posterior = pw.pymc.sample(_grouped(build), 100, seed=1)["posterior"]
    s, first = posterior["s"].values, posterior["a"].values[..., 0]
    np.testing.assert_array_equal(posterior["chosen"], np.where(s > 0.5, first, s))


def test_shapes_that_only_numpy_fits_together_are_said():
    def build(g, x, y):
        pm.Normal("y", pm.Normal("m", 0, 1) + pm.Data("x", x), pm.HalfNormal("s", 1), observed=y)

    model = _grouped(build)
    with model:
        pm.set_data({"x": np.zeros(1)})
    with pytest.raises(SamplingError, match="PyTensor cannot compute the density of this model"):
        pw.pymc.sample(model, 100, seed=1)


def test_outcomes_without_rows_and_what_nobody_has_foreseen_are_said(monkeypatch):
    def build(g, x, y):
        pm.Normal("y", pm.Normal("m", 0, 1), pm.HalfNormal("s", 1), observed=pm.Data("seen", y))

    model = _grouped(build)

    def fails(*_):
        raise KeyError("of a graph")

    with monkeypatch.context() as patched:
        patched.setattr("poolwise.pymc.draw.linear_rows", fails)
        for act in (pw.pymc.explain, pw.pymc.sample):
            with pytest.raises(DataError, match="cannot be read here .KeyError: 'of a graph'"):
                act(model)
    with model:
        pm.set_data({"seen": np.zeros(0)})
    with pytest.raises(DataError, match="The outcomes 'y' have no rows"):
        pw.pymc.sample(model)


@pytest.mark.long
def test_what_is_handed_over(monkeypatch):
    with pm.Model() as counts:
        pm.Poisson("y", pt.exp(pm.Normal("eta", 0, 1)), observed=np.array([1, 2]))
    tree = pw.pymc.sample(counts, 100, chains=2, seed=1, otherwise="pymc")
    assert tree["posterior"]["eta"].shape == (2, 100)
    monkeypatch.setattr("poolwise.pymc.draw.linear_rows", lambda *_: {}["of a graph"])
    model = _grouped(_outcomes_of_the_shape_of_a_mean)
    assert pw.pymc.sample(model, 20, chains=2, otherwise="pymc", seed=1)["posterior"]["m"].shape == (2, 20)
