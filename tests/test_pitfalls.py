"""Traps that once caught the engine or that catch others: each with the right answer beside it."""

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.density.collapsed import collapse
from poolwise.samplers import SamplerSettings, sample
from tests.density.models import model_of
from tests.selection import long_but_for


@pytest.fixture
def base():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(6), 10)
    x = rng.normal(size=60)
    y = 1 + 2 * x + rng.normal(size=6)[group] + 0.5 * rng.normal(size=60)
    return pd.DataFrame({"x": x, "g": np.array(list("abcdef"))[group], "y": y})


def slope(fit):
    return float(fit.posterior["beta"].sel(coefficient="x").mean())


@pytest.mark.parametrize("seed", long_but_for(1, range(6)))
def test_priors_that_contradict_the_data_do_not_hide_the_higher_mode(seed):
    """Evidence against a grid: with such priors the posterior of (log tau, log sigma) often has two modes."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(9), rng.integers(3, 10, 9))
    y = 12 + 5 * rng.normal(size=9)[group] + 1.5 * rng.normal(size=len(group))
    priors = {"Intercept": pw.Normal(0, 1), "sd": pw.HalfNormal(1), "sigma": pw.HalfCauchy(0.2)}
    model, _, _ = model_of("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": group}), priors)
    density = collapse(model.statistics, model.design, model.priors, threads=1)
    drawn = sample(density, SamplerSettings(1000, 4, np.random.SeedSequence(seed), "independence"))
    tau, sigma = np.meshgrid(np.linspace(-12, 6, 700), np.linspace(-8, 6, 700))
    values = density.log_density(np.column_stack([tau.ravel(), sigma.ravel()]))
    exact = np.log(np.exp(values - values.max()).sum() * (18 / 699) * (14 / 699)) + values.max()
    if drawn.certificate.passed:
        assert drawn.certificate.log_evidence == pytest.approx(exact, abs=0.1)
        weights = np.exp(values - values.max())
        mean = (weights @ sigma.ravel()) / weights.sum()
        assert drawn.points[..., 1].mean() == pytest.approx(mean, abs=0.1)


def test_a_vague_intercept_does_not_cost_the_slope_its_data(base):
    vague = pw.fit("y ~ x", base, priors={"Intercept": pw.Normal(0, 1e9), "x": pw.Normal(0, 1)}, seed=1)
    plain = pw.fit("y ~ x", base, priors={"Intercept": pw.Normal(0, 1e3), "x": pw.Normal(0, 1)}, seed=1)
    assert slope(vague) == pytest.approx(slope(plain), abs=0.02)


def test_outcomes_exactly_on_a_line_are_not_certified(base):
    fit = pw.fit("y ~ x", base.assign(y=1 + 2 * base.x), seed=1)
    assert not fit.outcome.passed
    assert "lie exactly on a regression" in fit.outcome.advice
    assert slope(fit) == pytest.approx(2, abs=1e-3)
    base.loc[base.g == "a", "y"] = 3.0
    pooling = pw.compare_pooling("y ~ x", by="g", data=base, folds=0, seed=1)
    assert "regression in: a." in pooling.separate.outcome.advice
    assert np.isfinite(pooling.separate.result.beta).all()


def test_cell_means_leave_other_slopes_alone(base):
    frame = base.assign(z=["a", "b"] * 30, year=np.repeat(np.arange(1990, 2020), 2))
    frame["y"] += 0.1 * (frame.year - 2000)
    cells = pw.fit("y ~ 0 + z + year + (1 | g)", frame, seed=1).posterior["beta"].sel(coefficient="year")
    treatment = pw.fit("y ~ z + year + (1 | g)", frame, seed=1).posterior["beta"].sel(coefficient="year")
    assert float(cells.mean()) == pytest.approx(float(treatment.mean()), abs=0.02)


def test_a_model_without_common_terms(base):
    fit = pw.fit("y ~ 0 + (1 | g)", base, seed=1)
    assert fit.posterior["coef_g"].shape == (4, 1000, 6, 1)
    assert fit.prior_predictive(10, seed=1)["y"].shape == (10, 60)


def test_slopes_survive_a_predictor_far_from_zero(base):
    near = pw.fit("y ~ x + (x | g)", base, seed=1).group_coefficients()
    far = pw.fit("y ~ x + (x | g)", base.assign(x=base.x + 100), seed=1).group_coefficients()
    one, two = (table.loc[table.effect == "x", "mean"].to_numpy() for table in (near, far))
    np.testing.assert_allclose(
        one, two, atol=0.15
    )  # about their posterior sd; unscaled priors moved them by ten times that


@pytest.mark.parametrize(
    "change",
    [
        {"x": lambda x: x.astype(object)},
        {"y": lambda y: y.astype(object)},
        {"x": lambda x: x.astype("Float64")},
    ],
)
def test_numbers_in_odd_clothes_stay_numbers(change, base):
    plain = pw.fit("y ~ x + (1 | g)", base, seed=1, draws=50)
    odd = pw.fit("y ~ x + (1 | g)", base.assign(**{k: f(base[k]) for k, f in change.items()}), seed=1, draws=50)
    np.testing.assert_allclose(odd.result.theta, plain.result.theta, rtol=1e-9)


def test_small_integers_do_not_overflow(base):
    fit = pw.fit("y ~ I(x**2) + (1 | g)", base.assign(x=np.arange(60, dtype="int8")), seed=1, draws=50)
    np.testing.assert_array_equal(fit.rows.values[:, 0], np.arange(60.0) ** 2)


def test_the_first_declared_category_is_the_reference(base):
    arm = pd.Categorical(["placebo", "high", "low"] * 20, categories=["placebo", "low", "high"])
    names = pw.fit("y ~ arm", base.assign(arm=arm), seed=1, draws=50).result.model.design.coefficients
    assert set(names) == {"Intercept", "arm[T.high]", "arm[T.low]"}


@pytest.mark.parametrize("mark", ["NA", "NULL", "."])
def test_missing_values_as_other_systems_write_them(mark, base, tmp_path):
    base.loc[3, "x"] = np.nan
    base.to_csv(tmp_path / "rows.csv", na_rep=mark, index=False)
    with pytest.warns(pw.PoolwiseWarning, match="1 of 60"):
        fit = pw.fit("y ~ x + (1 | g)", tmp_path / "rows.csv", seed=1, draws=50)
    assert fit.result.model.design.coefficients == ("Intercept", "x")


def test_brackets_in_a_file_name_are_no_pattern(base, tmp_path):
    base.to_csv(tmp_path / "a[1].csv", index=False)
    base.assign(y=-base.y).to_csv(tmp_path / "a1.csv", index=False)
    assert slope(pw.fit("y ~ x", tmp_path / "a[1].csv", seed=1)) > 1


@pytest.mark.parametrize(
    ("formula", "change", "said"),
    [
        ("y - 1 ~ x", {}, r"needs I\(...\)"),
        ("y ~ x + (x | g)", {"x": 1.0}, "'x' is constant"),
        ("y ~ x", {"x": pd.date_range("2020", periods=60)}, "dates or times"),
        ("y ~ x", {"x": 1j}, "complex numbers"),
        ("y ~ x.mean()", {}, "cannot use"),
    ],
)
def test_more_inputs_that_are_refused(formula, change, said, base):
    with pytest.raises(pw.PoolwiseError, match=said):
        pw.fit(formula, base.assign(**change))


def test_asking_a_sampler_twice_with_the_same_settings_gives_the_same_draws(radon_fit):
    model = radon_fit.result.model
    density = collapse(model.statistics, model.design, model.priors, threads=1)
    settings = SamplerSettings(50, 2, np.random.SeedSequence(3))
    np.testing.assert_array_equal(sample(density, settings).points, sample(density, settings).points)


def test_predictors_with_spaces_survive_saving(base, tmp_path):
    fit = pw.fit("y ~ `my x` + (`my x` | g)", base.rename(columns={"x": "my x"}), seed=1, draws=50)
    fit.save(tmp_path / "fit")
    assert repr(pw.load(tmp_path / "fit")) == repr(fit)
