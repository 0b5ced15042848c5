import numpy as np
import pytest

import poolwise as pw


def test_summary_lists_the_population(radon_fit):
    table = radon_fit.summary()
    assert list(table.index) == ["beta[Intercept]", "beta[floor]", "sigma", "sd_county[Intercept]", "sd_county[floor]"]
    assert list(table.columns) == ["mean", "sd", "5%", "95%", "ess_bulk", "ess_tail", "r_hat"]
    draws = radon_fit.posterior["beta"].sel(coefficient="floor").values
    assert table.loc["beta[floor]", "mean"] == pytest.approx(draws.mean())
    assert table.loc["beta[floor]", "95%"] == pytest.approx(np.quantile(draws, 0.95))


def test_summary_with_groups_lists_all_parameters(radon_fit):
    assert len(radon_fit.summary(groups=True, interval=0.5)) == 175


def test_posterior_has_structured_names(radon_fit):
    posterior = radon_fit.posterior
    assert dict(posterior.sizes) == {"chain": 4, "draw": 1000, "coefficient": 2, "effect": 2, "county": 85}
    cass = posterior["coef_county"].sel(county="CASS", effect="floor")
    common = posterior["beta"].sel(coefficient="floor")
    np.testing.assert_allclose(cass, common + posterior["u_county"].sel(county="CASS", effect="floor"))


def test_datatree_for_arviz(radon_fit, radon):
    tree = radon_fit.to_datatree()
    assert set(tree.children) == {"posterior", "observed_data", "constant_data"}
    np.testing.assert_array_equal(tree["observed_data/log_radon"], radon["log_radon"])


def test_shrinkage_of_intercepts_is_the_textbook_factor(small):
    fit = pw.fit("y ~ x + (1 | g)", small, seed=1)
    tau = fit.posterior["sd_g"].values[..., 0].ravel()
    sigma = fit.posterior["sigma"].values.ravel()
    table = fit.group_coefficients()
    for n, factor in zip(table["n"], table["shrinkage"], strict=True):
        assert factor == pytest.approx(np.mean(sigma**2 / n / (sigma**2 / n + tau**2)), abs=1e-9)


def test_shrinkage_lies_between_zero_and_one_and_is_one_without_data(radon_fit):
    table = radon_fit.group_coefficients("county")
    assert table["shrinkage"].between(0, 1).all()
    assert table.loc[table["prior_only"], "shrinkage"].min() > 1 - 1e-9
    assert table["n"].sum() == 2 * 919


def test_intervals_and_estimates_are_those_of_the_draws(radon_fit):
    table = radon_fit.group_coefficients(interval=0.8).set_index(["county", "effect"])
    draws = radon_fit.posterior["coef_county"].sel(county="CASS", effect="Intercept")
    row = table.loc[("CASS", "Intercept")]
    assert row["mean"] == pytest.approx(float(draws.mean()))
    assert row["10%"] == pytest.approx(float(draws.quantile(0.1)))


def test_text_and_html_say_what_was_fitted(radon_fit, pooling):
    for text in (repr(radon_fit), radon_fit._repr_html_()):
        assert "Partial pooling: log_radon ~ floor + (floor || county)" in text
        assert "919 rows, 85 groups in county" in text
        assert "OK: 4 x 1,000 draws by independence" in text
    assert len(repr(radon_fit).splitlines()) < 24
    assert "more; see fit.group_coefficients()" in repr(pooling.separate)
    assert "<table" in pooling._repr_html_()


def test_description_shows_blocks_sampler_and_priors(radon_fit):
    text = radon_fit.describe()
    assert repr(text) == text
    for words in (
        "85 blocks of 2 x 2",
        "3 parameters are left to sample",
        "sampler     independence",
        "sigma ~ half-Cauchy",
    ):
        assert words in text


def test_priors_in_words(small):
    fit = pw.fit("y ~ x + (x | g)", small, seed=1, draws=50)
    said = repr(fit.priors).splitlines()
    assert said[0].startswith("Intercept ~ Normal(") and said[0].endswith("at the mean of every predictor")
    assert [line.split(" ~ ")[0] for line in said] == ["Intercept", "x", "sd_g[Intercept]", "sd_g[x]", "cor_g", "sigma"]


def test_default_priors_follow_the_units(small):
    one = pw.fit("y ~ x + (x || g)", small, seed=1, draws=50).result.model.priors
    other = pw.fit(
        "y ~ x + (x || g)", small.assign(y=100 * small.y, x=small.x / 10), seed=1, draws=50
    ).result.model.priors
    np.testing.assert_allclose(other.width, one.width * [100, 1000], rtol=1e-9)
    np.testing.assert_allclose(
        [p.scale for p in other.sd], np.array([p.scale for p in one.sd]) * [100, 1000], rtol=1e-9
    )


def test_cell_means_are_centred_on_the_outcome(small):
    priors = pw.fit("y ~ 0 + z + (1 | g)", small.assign(y=small.y + 1e6), seed=1, draws=50).result.model.priors
    np.testing.assert_allclose(priors.mean, small.y.mean() + 1e6, rtol=1e-9)
