"""R-squared and intraclass correlations, against sums over rows written by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from tests.selection import long_but_for

import poolwise as pw


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    g, h, x = rng.integers(0, 15, 200), rng.integers(0, 6, 200), rng.normal(2.0, 1.5, 200)
    eta = 0.5 + 0.4 * x + rng.normal(size=15)[g] + 0.3 * rng.normal(size=15)[g] * x + 0.5 * rng.normal(size=6)[h]
    frame = pd.DataFrame({"x": x, "g": g, "h": h, "y": eta + rng.normal(size=200)})
    return frame.assign(b=(rng.random(200) < expit(eta - 1)) * 1, n=rng.poisson(np.exp(0.5 * eta)))


def _parts(fit, data):
    """Draws (m,) of the variance of common terms, and of each factor, by rows."""
    post, m = fit.posterior, fit.result.chains * fit.result.draws
    beta = post["beta"].values.reshape(m, -1)
    common = (beta[:, [0]] + beta[:, [1]] * data["x"].to_numpy()).var(axis=1)
    z = np.column_stack([np.ones(len(data)), data["x"]])
    sd, cor = post["sd_g"].values.reshape(m, 2), post["cor_g"].values.reshape(m, 2, 2)
    covariance = sd[:, :, None] * cor * sd[:, None, :]
    of_g = np.einsum("ni,mij,nj->mn", z, covariance, z).mean(axis=1)
    return common, of_g, post["sd_h"].values.reshape(m) ** 2


def test_components_of_a_normal_model_by_rows(data):
    fit = pw.fit("y ~ x + (x | g) + (1 | h)", data, seed=1, draws=200)
    common, of_g, of_h = _parts(fit, data)
    rest = fit.posterior["sigma"].values.ravel() ** 2
    total = common + of_g + of_h + rest
    table, shares = fit.r2(), fit.icc()
    assert table.loc["marginal", "mean"] == pytest.approx((common / total).mean())
    assert table.loc["conditional", "mean"] == pytest.approx(((total - rest) / total).mean())
    assert table.loc["conditional", "95%"] == pytest.approx(np.quantile((total - rest) / total, 0.95))
    assert shares.loc["g", "mean"] == pytest.approx((of_g / (total - common)).mean())
    assert shares.loc["all", "mean"] == pytest.approx(((of_g + of_h) / (total - common)).mean())
    means = fit.predict(draws=True).values.reshape(len(rest), -1)
    explained = means.var(axis=1)
    assert table.loc["fitted values", "mean"] == pytest.approx((explained / (explained + rest)).mean())


@pytest.mark.parametrize(("shift", "factor"), long_but_for(2, [(2000.0, 1.0), (0.0, 1e-6), (1e7, 1.0)]))
def test_they_do_not_depend_on_zero_and_units(data, shift, factor):
    formula = "y ~ x + (x | g) + (1 | h)"
    fit = pw.fit(formula, data, seed=1, draws=200)
    moved = pw.fit(formula, data.assign(x=factor * data["x"] + shift, y=100 * data["y"] - 7), seed=1, draws=200)
    for one, other in ((fit.r2(), moved.r2()), (fit.icc(), moved.icc())):
        np.testing.assert_allclose(one["mean"], other["mean"], rtol=1e-4)


def test_zero_one_outcomes_on_the_scale_of_the_latent_variable(data):
    for link, latent in (("logit", np.pi**2 / 3), ("probit", 1.0)):
        fit = pw.fit("b ~ x + (x | g) + (1 | h)", data, family="bernoulli", link=link, seed=1, draws=100)
        common, of_g, of_h = _parts(fit, data)
        assert fit.icc().loc["g", "mean"] == pytest.approx((of_g / (of_g + of_h + latent)).mean())
        p = fit.predict(draws=True).values.reshape(400, -1)
        explained, rest = p.var(axis=1), (p * (1 - p)).mean(axis=1)
        assert fit.r2().loc["fitted values", "mean"] == pytest.approx((explained / (explained + rest)).mean())
        assert fit.r2().loc["marginal", "mean"] == pytest.approx((common / (common + of_g + of_h + latent)).mean())


def test_counts_by_the_lognormal_approximation(data):
    fit = pw.fit("n ~ x + (x | g) + (1 | h)", data, family="negative_binomial", seed=1, draws=100)
    _, of_g, of_h = _parts(fit, data)
    mean = fit.predict(draws=True).values.reshape(400, -1).mean(axis=1)
    rest = np.log1p(1 / mean + 1 / fit.posterior["shape"].values.ravel())
    assert fit.icc().loc["all", "mean"] == pytest.approx(((of_g + of_h) / (of_g + of_h + rest)).mean())


@pytest.mark.long
def test_ordered_categories_on_the_scale_of_the_latent_variable(data):
    graded = data.assign(c=pd.cut(data["y"], [-np.inf, 0.5, 2.0, np.inf], labels=["low", "middle", "high"]))
    for link, latent in (("logit", np.pi**2 / 3), ("probit", 1.0)):
        fit = pw.fit("c ~ x + (x | g) + (1 | h)", graded, family="cumulative", link=link, seed=1, draws=100)
        common, of_g, of_h = _parts(fit, graded)
        assert fit.icc().loc["g", "mean"] == pytest.approx((of_g / (of_g + of_h + latent)).mean())
        total = common + of_g + of_h + latent
        assert fit.r2().loc["marginal", "mean"] == pytest.approx((common / total).mean())
    apart = pw.fit("c ~ x + (1 | g); disc ~ x", graded, family="cumulative", seed=1, draws=50)
    with pytest.raises(pw.DataError, match="follows 'disc'"):
        apart.icc()


def test_declared_variances_are_those_of_draws():
    from poolwise.families import FAMILIES

    rng, tried = np.random.default_rng(5), []
    usual = {"sigma": 1.3, "shape": 2.5, "phi": 6.0, "nu": 9.0}
    for name, family in FAMILIES.items():
        if family.variance is None:
            continue
        mean = np.full(400_000, 0.35)
        parameters = [np.full_like(mean, usual[each.name]) for each in family.parameters]
        drawn = family.draw(rng, np.ones_like(mean), mean, *parameters)
        assert drawn.var() == pytest.approx(family.variance(0.35, *(each[0] for each in parameters)), rel=0.03), name
        tried.append(name)
    assert len(tried) >= 10


def test_what_is_left_where_something_is_missing(data, tmp_path):
    shares = data.assign(p=expit(data["y"]))
    beta = pw.fit("p ~ x + (1 | g)", shares, family="beta", seed=1, draws=50)
    assert list(beta.r2().index) == ["fitted values"]
    fit = pw.fit("b ~ x + (1 | g)", data, family="bernoulli", seed=1, draws=50)
    fit.save(tmp_path / "fit")
    loaded = pw.load(tmp_path / "fit")
    pd.testing.assert_frame_equal(loaded.icc(), fit.icc())
    assert list(loaded.r2().index) == ["marginal", "conditional"]
    counts = pw.fit("n ~ x + (1 | g)", data, family="poisson", seed=1, draws=50)
    counts.save(tmp_path / "counts")
    with pytest.raises(pw.DataError, match="holds no rows"):
        pw.load(tmp_path / "counts").icc()


def test_what_has_no_shares_is_refused(data, radon):
    complete = pw.fit("y ~ x", data, seed=1, draws=100)
    assert list(complete.r2().index) == ["fitted values", "marginal"]
    with pytest.raises(pw.DataError, match="nothing lies between groups"):
        complete.icc()
    separate = pw.compare_pooling("log_radon ~ floor", by="county", data=radon, seed=1, draws=50, folds=0).separate
    assert list(separate.r2().index) == ["fitted values"]
    with pytest.raises(pw.DataError, match="Without pooling"):
        separate.icc()
    skewed = pw.fit("y ~ x + (1 | g)", data, family="skew_normal", seed=1, draws=50)
    with pytest.raises(pw.DataError, match="No variance is declared"):
        skewed.icc()


def test_rows_that_are_counted_count_as_often_as_there_are(data):
    coarse = data.assign(x=data["x"].round())
    whole = pw.fit("n ~ x + (1 | g)", coarse, family="poisson", seed=1, draws=100)
    of_counts = pw.fit("n ~ x + (1 | g)", whole.statistics, family="poisson", seed=1, draws=100)
    assert of_counts.rows is None
    pd.testing.assert_frame_equal(of_counts.r2(), whole.r2())
    pd.testing.assert_frame_equal(of_counts.icc(), whole.icc())


@pytest.mark.parametrize("family", ["gaussian", "student"])
def test_each_row_has_the_residual_variance_of_its_weight_in_any_order(data, family):
    """Rows that are equal but for their weight are not one."""
    rng = np.random.default_rng(5)
    rows = data.assign(x=(data["x"] > 2) * 1, w=rng.choice([0.1, 1.0, 10.0], len(data)))
    fit, turned = (
        pw.fit(
            ["y ~ x + (1 | g)", *(["nu = 8"] if family == "student" else [])],
            one,
            family=family,
            weights="w",
            seed=1,
            draws=200,
        )  # fmt: skip
        for one in (rows, rows.iloc[::-1].reset_index(drop=True))
    )
    pd.testing.assert_frame_equal(fit.r2(), turned.r2(), rtol=1e-5)
    pd.testing.assert_frame_equal(fit.icc(), turned.icc(), rtol=1e-5)
    post = fit.posterior
    square = post["sigma"].values.ravel() ** 2
    if family == "student":
        square = square * 8 / (8 - 2)
    rest = square * (1 / rows["w"]).mean()
    between = fit.predict(draws=True).values.reshape(len(rest), -1).var(axis=1)
    of_g = post["sd_g"].values.ravel() ** 2
    np.testing.assert_allclose(fit.r2().loc["fitted values", "mean"], (between / (between + rest)).mean(), rtol=1e-6)
    np.testing.assert_allclose(fit.icc().loc["g", "mean"], (of_g / (of_g + rest)).mean(), rtol=1e-6)


def test_without_rows_their_weights_are_not_known(data):
    rows = data.assign(w=1.0 + data["h"])
    sums = pw.SufficientStatistics.from_data("y ~ x + (1 | g)", rows, weights="w")
    with pytest.raises(pw.DataError, match="over which its variances"):
        pw.fit("y ~ x + (1 | g)", sums, seed=1, draws=50).icc()


@pytest.mark.parametrize(
    ("family", "term"),
    long_but_for(
        lambda family, term: (family, term) == ("gaussian", "mm(g, g)"),
        [
            ("gaussian", "mm(g, g)"),
            ("bernoulli", "gr(g, cov='A')"),
            ("gaussian", "gr(g, cov='A')"),
            ("bernoulli", "mm(g, g)"),
        ],
    ),
)
def test_structured_terms_of_groups_are_groups(data, family, term):
    """Of independent relatives, or members of one group twice, the model is that of a plain bar."""
    outcome, priors = ("y" if family == "gaussian" else "b"), {"sd": pw.HalfNormal(1.0)}
    labels = [str(k) for k in range(15)]
    options = {"family": family, "priors": priors, "tables": {"A": pd.DataFrame(np.eye(15), labels, labels)}, "seed": 1}
    plain, structured = (
        pw.fit(f"{outcome} ~ x + (1 | {one}) + (1 | h)", data, draws=1000, **options) for one in ("g", term)
    )
    mine, theirs = structured.icc()["mean"], plain.icc()["mean"]
    assert mine[term] == pytest.approx(theirs["g"], abs=0.03)
    assert mine["h"] == pytest.approx(theirs["h"], abs=0.03)
    for name in ("marginal", "conditional"):
        assert structured.r2().loc[name, "mean"] == pytest.approx(plain.r2().loc[name, "mean"], abs=0.03)
    rows = data.head(4)
    population = structured.predict(rows, new_groups="population", kind="linear")
    expected = plain.predict(rows, new_groups="population", kind="linear")
    np.testing.assert_allclose(population["mean"], expected["mean"], atol=0.1)
    np.testing.assert_allclose(population["sd"], expected["sd"], rtol=0.15)
    assert term in repr(pw.avg_predictions(structured, new_groups="population"))
    if family == "bernoulli":
        with pytest.raises(pw.DataError, match="are coupled"):
            structured.predict(rows, new_groups="marginal")


def test_precisions_play_no_part_in_how_predictors_spread():
    rng = np.random.default_rng(6)
    w = rng.choice([0.2, 5.0], 400)
    rows = pd.DataFrame({"w": w, "x": rng.normal(size=400) * np.where(w > 1, 3.0, 0.5), "g": rng.integers(0, 9, 400)})
    rows["y"] = 0.5 * rows["x"] + rng.normal(size=9)[rows["g"]] + rng.normal(size=400) / np.sqrt(w)
    fit = pw.fit("y ~ x + (1 | g)", rows, weights="w", seed=1, draws=200)
    post = fit.posterior
    common = post["beta"].sel(coefficient="x").values.ravel() ** 2 * rows["x"].var(ddof=0)
    rest = post["sigma"].values.ravel() ** 2 * (1 / w).mean()
    of_g = post["sd_g"].values.ravel() ** 2
    assert fit.r2().loc["marginal", "mean"] == pytest.approx((common / (common + of_g + rest)).mean())
