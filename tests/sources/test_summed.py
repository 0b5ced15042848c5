"""Outcomes on a scale summed up where they live: the posterior of the rows, and sums that add, subtract and travel."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for
from tests.sources.engines import MAIN_KINDS, source

import poolwise as pw
from poolwise.density.latent.observations import observe
from poolwise.families import family_of
from poolwise.families.summed import has_digits
from poolwise.inference.prepare import prepare
from poolwise.statistics import routes

FORMULA = "{} ~ a + b + (1 | g)"
FEW = {"seed": 3, "draws": 100}


def _rows(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    g, a = rng.integers(0, 7, n), rng.integers(0, 3, n)
    frame = pd.DataFrame({"a": a, "b": rng.choice(["u", "v"], n), "g": [f"g{k}" for k in g]})
    mean = np.exp(2.0 + 0.3 * a + 0.6 * (frame["b"] == "v") + rng.normal(size=7)[g])
    share = 1 / (1 + mean**-0.3)
    frame["gamma"], frame["exponential"] = rng.gamma(3.0, mean / 3.0), rng.exponential(mean)
    frame["lognormal"] = mean * np.exp(0.4 * rng.normal(size=n))
    frame["beta"] = np.clip(rng.beta(4 * share, 4 * (1 - share)), 1e-3, 1 - 1e-3)
    frame["gaussian"] = 1e4 + np.log(mean) + rng.normal(size=n) * (1 + 0.5 * a)
    frame["y"], frame["hurdle_gamma"] = frame["gamma"], np.where(rng.random(n) < 0.4, 0.0, frame["gamma"])
    frame.loc[::100, "b"] = None
    return frame


DATA = _rows()
FAMILIES = ("gamma", "exponential", "lognormal", "beta", "gaussian", "hurdle_gamma")


def formula(family):
    written = FORMULA.format(family)
    return [written, "sigma ~ a"] if family == "gaussian" else written


def fitted(family, data=DATA, **options):
    return pw.fit(formula(family), data, family=family, **FEW, **options)


@pytest.fixture
def summing(monkeypatch):
    """Rows are summed up however few they are."""
    monkeypatch.setattr(routes, "LARGE", 0)


@pytest.fixture(autouse=True)
def _dropping():
    """Rows with missing values are left out, and nothing is said."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*missing values", category=pw.PoolwiseWarning)
        yield


@pytest.fixture(scope="module")
def of_rows():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pw.PoolwiseWarning)
        return {family: fitted(family) for family in FAMILIES}


def assert_same_posterior(one, other, rtol=1e-5):
    assert one.outcome.sampler == other.outcome.sampler
    assert [*one.priors] == [*other.priors]
    for name, variable in other.result.variables().items():
        np.testing.assert_allclose(one.result.variables()[name].values, variable.values, rtol=rtol, atol=1e-6)
    assert one.outcome.log_evidence == pytest.approx(other.outcome.log_evidence, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_few_outcomes_have_the_likelihood_of_all(family):
    """At any parameters, by the densities themselves, weights and units included."""
    rng, given = np.random.default_rng(4), family_of(family)
    y = DATA[family].to_numpy()
    weights, place = rng.uniform(0.5, 2.0, len(y)), rng.integers(0, 30, len(y))
    kinds = given.summed.kinds(y)
    place = 30 * kinds + place
    first, units = np.unique(place, return_index=True)[1], given.summed.units(y, np.ones(len(y)))
    cells = len(first)
    means = given.summed.means(y, weights, place, units)
    found, square = given.summed.outcomes(means, units, kinds[first])
    total = np.bincount(place, weights)
    assert has_digits(square, total)
    middle = {"gaussian": 1e4, "beta": 1.0}.get(family, 2.0)
    for _ in range(20):
        location = middle + rng.normal(size=cells)
        others = rng.normal(size=(len(given.parameters), cells))
        mine = sum(total / len(found) * given.log_density(each, np.ones(cells), location, *others) for each in found)
        all_rows = given.log_density(y, np.ones(len(y)), location[place], *others[:, place])
        np.testing.assert_allclose(mine, np.bincount(place, weights * all_rows), rtol=1e-11)


@pytest.mark.parametrize("family", FAMILIES)
def test_outcomes_that_hardly_spread_are_left_as_they_are(family):
    y = {"beta": 0.3, "gaussian": 1e6}.get(family, 50.0) + 1e-9 * np.random.default_rng(1).normal(size=3000)
    given = family_of(family)
    units, whole = given.summed.units(y, np.ones(3000)), np.zeros(3000, dtype=int)
    means = given.summed.means(y, np.ones(3000), whole, units)
    _, square = given.summed.outcomes(means, units, np.zeros(1, dtype=int))
    assert has_digits(square, np.ones(1)) == (family in ("exponential", "gaussian"))  # the latter in units of its sd


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_in_memory_are_summed_up_too(family, of_rows):
    observed = of_rows[family].result.model.observations
    assert len(observed.y) <= 3 * 42
    assert observed.rows == 2970


def test_single_rows_stay_as_they_are(of_rows):
    fit = of_rows["gamma"]
    model, rows = fit.result.model, fit.rows.take(np.arange(60))
    few = observe(model.design, rows, model.family, model.priors, model.statistics.merged())
    assert set(few.y) == set(rows.response)


@pytest.mark.parametrize("family", long_but_for(("gamma", "gaussian", "hurdle_gamma").__contains__, FAMILIES))
def test_sums_of_an_engine_have_the_posterior_of_the_rows(family, of_rows, summing):
    fit = fitted(family)
    assert "summed up" in fit.result.model.data.reading
    assert fit.rows is None
    assert_same_posterior(fit, of_rows[family])
    assert fit.result.model.data.outcome_moments == pytest.approx(
        of_rows[family].result.model.data.outcome_moments, rel=1e-9
    )


@pytest.mark.parametrize("kind", long_but_for(("polars lazy", "parquet").__contains__, MAIN_KINDS))
def test_every_source(kind, of_rows, summing, tmp_path, monkeypatch):
    fit = fitted("gamma", source(kind, DATA, tmp_path, monkeypatch))
    assert "summed up" in fit.result.model.data.reading
    assert_same_posterior(fit, of_rows["gamma"])


@pytest.mark.long
def test_spark_sums_the_same(spark, of_rows, summing):
    fit = fitted("gamma", spark.createDataFrame(DATA.astype({"b": object})))
    assert "summed up by Spark" in fit.result.model.data.reading
    assert_same_posterior(fit, of_rows["gamma"])


@pytest.mark.parametrize("family", long_but_for("gamma".__eq__, FAMILIES))
def test_sums_add_subtract_and_travel(family, summing, tmp_path):
    first, second = DATA.iloc[:1200], DATA[DATA["g"] != "g0"].iloc[1200:]
    written = formula(family)
    make = lambda rows, **more: pw.SufficientStatistics.from_data(written, rows, family=family, **more)  # noqa: E731
    one = make(first)
    two = make(second, like=one)
    together, expected = one + two, fitted(family, pd.concat([first, second]))
    assert len(together.counted.codes) <= 3 * 42
    assert_same_posterior(pw.fit(written, together, family=family, **FEW), expected)
    together.save(tmp_path / "both.stats")
    loaded = pw.SufficientStatistics.load(tmp_path / "both.stats")
    assert_same_posterior(pw.fit(written, loaded, family=family, **FEW), expected)
    assert_same_posterior(pw.fit(written, loaded - two, family=family, **FEW), fitted(family, first), rtol=1e-4)
    with pytest.raises(pw.DataError, match="not part of these statistics"):
        one - together


@pytest.mark.parametrize("family", ["gamma", pytest.param("gaussian", marks=pytest.mark.long)])
def test_updates_forgetting_and_merging_are_refits(family, of_rows, monkeypatch):
    """Also where a part of the rows was in memory, and another was not."""
    first, second = DATA.iloc[:1500], DATA.iloc[1500:]
    small = fitted(family, first)
    monkeypatch.setattr(routes, "LARGE", 1400)
    updated = small.update(second)
    assert "summed up" in updated.result.model.data.reading
    assert_same_posterior(updated, of_rows[family])
    assert_same_posterior(updated.forget(second), small, rtol=1e-4)
    assert_same_posterior(pw.merge(small, fitted(family, second)), of_rows[family])


@pytest.mark.long
def test_rows_are_read_again_for_what_looks_at_each(of_rows, summing, tmp_path):
    fit = fitted("gamma")
    assert fit.loo().elpd == pytest.approx(of_rows["gamma"].loo().elpd, abs=0.5)
    checked, expected = fit.check(draws=50).table, of_rows["gamma"].check(draws=50).table
    assert checked["observed"].to_numpy() == pytest.approx(expected["observed"].to_numpy(), rel=1e-9)
    pd.testing.assert_frame_equal(fit.icc(), of_rows["gamma"].icc(), rtol=1e-5)
    pd.testing.assert_frame_equal(fit.r2(), of_rows["gamma"].r2(), rtol=1e-5)
    of_sums = pw.fit(formula("gamma"), fit.statistics, family="gamma", **FEW)
    assert_same_posterior(of_sums, fit)
    for call in (of_sums.loo, of_sums.check):
        with pytest.raises(pw.DataError, match="made of statistics"):
            call()
    fit.save(tmp_path / "fit")
    assert_same_posterior(pw.load(tmp_path / "fit"), fit)


def test_sums_are_of_one_family(summing):
    sums = pw.SufficientStatistics.from_data(formula("gamma"), DATA, family="gamma")
    with pytest.raises(pw.DataError, match="summed up for the family 'gamma'"):
        pw.fit(formula("gamma"), sums, family="lognormal", **FEW)
    others = pw.SufficientStatistics.from_data(formula("gamma"), DATA, family="lognormal", like=sums)
    with pytest.raises(pw.DataError, match="'gamma' and 'lognormal' cannot be combined"):
        sums + others


def test_units_and_order_do_not_matter(of_rows, summing):
    data = DATA.sample(frac=1, random_state=2).assign(gamma=lambda d: 1e6 * d["gamma"])
    mine, theirs = (one.result.model.observations for one in (fitted("gamma", data), of_rows["gamma"]))
    np.testing.assert_allclose(mine.y, 1e6 * theirs.y, rtol=1e-8)
    np.testing.assert_array_equal(mine.weights, theirs.weights)


@pytest.mark.parametrize(
    ("family", "bad", "said"),
    [("gamma", 0.0, "above zero"), ("gamma", -2.0, "a row holds -2"), ("beta", 1.0, "a row holds 1")]
    + [(family, np.inf, "must be finite") for family in FAMILIES],
)
def test_outcomes_that_a_family_cannot_have(family, bad, said, summing):
    data = DATA.copy()
    data.loc[17, family] = bad
    with pytest.raises(pw.DataError, match=said):
        fitted(family, data)


def test_what_is_not_summed(summing):
    data = DATA.dropna().assign(x=np.random.default_rng(5).normal(size=2970), w=1.0)
    for written, options in (
        ("log(gamma) ~ a + (1 | g)", {"family": "student"}),
        ("gamma ~ x + (1 | g)", {"family": "gamma"}),
        ("gamma ~ a + (1 | g)", {"family": "gamma", "weights": "w"}),
        ("gamma ~ a + (1 | g)", {"family": "weibull"}),
    ):
        family = family_of(options.pop("family"))
        model, _ = prepare(written, data, priors={}, family=family, missing="drop", threads=1, **options)
        assert "summed up" not in model.data.reading


def test_rare_rows_are_left_out_of_files_by_group(summing, tmp_path):
    data = DATA.dropna()
    data = data.drop(data[(data["g"] == "g3") & (data["a"] == 1) & (data["b"] == "u")].index[3:])
    sums = pw.SufficientStatistics.from_data(formula("gamma"), data, family="gamma")
    with pytest.warns(pw.PoolwiseWarning, match="rows whose group"):
        sums.save(tmp_path / "some.stats", minimum_cell=5)
    kept = pw.SufficientStatistics.load(tmp_path / "some.stats")
    expected = fitted("gamma", data[data["g"] != "g3"])
    assert_same_posterior(pw.fit(formula("gamma"), kept, family="gamma", **FEW), expected)


@pytest.mark.parametrize("name", long_but_for(1, ["Z", "Y", "Least", "N", "F0", "KIND"]))
def test_names_that_an_engine_takes_for_ours(name, of_rows, summing):
    """DuckDB does not tell `Z` from `z`, and would sum up the predictor."""
    data = DATA.drop(columns="y").rename(columns={"a": name})
    fit = pw.fit(f"gamma ~ {name} + b + (1 | g)", data, family="gamma", **FEW)
    assert "summed up" in fit.result.model.data.reading
    for mine, theirs in zip(fit.result.variables().values(), of_rows["gamma"].result.variables().values(), strict=True):
        np.testing.assert_allclose(mine.values, theirs.values, rtol=1e-5, atol=1e-6)
    zero = data.assign(gamma=lambda d: np.where(d["g"] == "g1", 0.0, d["gamma"]))
    with pytest.raises(pw.DataError, match="above zero"):
        pw.fit(f"gamma ~ {name} + b + (1 | g)", zero, family="gamma", **FEW)
    zero["count"] = np.round(zero["gamma"])
    counted = pw.fit(f"count ~ {name} + (1 | g)", zero, family="poisson", **FEW)
    assert "equal rows counted" in counted.result.model.data.reading


@pytest.mark.parametrize("shape", [0.5, 0.05, 0.02])
@pytest.mark.parametrize("family", ["gamma", "beta"])
def test_outcomes_near_an_end_keep_the_means_or_are_refused(family, shape):
    """The smaller of two outcomes may be some 10^-20 of the larger."""
    rng, given = np.random.default_rng(5), family_of(family)
    y = rng.gamma(shape, 1 / shape, 100_000) if family == "gamma" else rng.beta(shape, 1.0, 100_000)
    y = np.clip(y, 1e-300, np.inf if family == "gamma" else 1 - 1e-16)
    ones, whole = np.ones(len(y)), np.zeros(len(y), dtype=int)
    units = given.summed.units(y, ones)
    found, _ = given.summed.outcomes(given.summed.means(y, ones, whole, units), units, np.zeros(1, dtype=int))
    assert family == "beta" or np.isfinite(found).all()
    if np.isfinite(found).all():
        assert np.log(found).mean() == pytest.approx(np.log(y).mean(), rel=1e-9)
        with np.errstate(divide="ignore"):
            assert family == "gamma" or np.log1p(-found).mean() == pytest.approx(np.log1p(-y).mean(), rel=1e-6)


def test_standard_deviations_that_differ_a_thousandfold():
    """What rows tell of a mean and a sigma together is not in the outcomes that stand for them."""
    rng = np.random.default_rng(1)
    noisy = rng.integers(0, 2, 20_000)
    rows = pd.DataFrame({"b": noisy, "y": 5 + np.where(noisy == 1, 1.0, 1e-3) * rng.normal(size=20_000)})
    fit = pw.fit(["y ~ b", "sigma ~ b"], rows, seed=1)
    assert fit.outcome.passed
    assert len(fit.result.model.observations.y) == 4
    log_sds = np.log(rows.groupby("b")["y"].std(ddof=0))
    assert fit.summary().loc["beta[sigma_Intercept]", "mean"] == pytest.approx(log_sds[0], abs=0.01)


def test_the_evidence_is_known_of_as_many_rows_as_before(of_rows):
    assert of_rows["gamma"].log_evidence == pytest.approx(
        pw.fit(formula("gamma"), DATA, family="gamma", sampler="independence", **FEW).log_evidence, abs=0.2
    )


@pytest.mark.parametrize("engine", [False, True])
def test_a_spread_of_its_own_that_is_next_to_nothing_keeps_its_digits(engine, monkeypatch):
    """On the average over cells there are digits enough; in the fine one rounding would be its spread."""
    if engine:
        monkeypatch.setattr(routes, "LARGE", 0)
    rng = np.random.default_rng(2)
    noisy = rng.integers(0, 2, 4000)
    rows = pd.DataFrame({"b": noisy, "y": 5 + np.where(noisy == 1, 1.0, 1e-7) * rng.normal(size=4000)})
    gamma = rows.assign(y=np.where(noisy == 1, rng.gamma(2.0, 1.0, 4000), rows["y"]))
    for formulas, family, data in (
        (["y ~ b", "sigma ~ b"], "gaussian", rows),
        (["y ~ b", "shape ~ b"], "gamma", gamma),
    ):
        model, _ = prepare(formulas, data, priors=None, family=family_of(family), missing="drop", threads=1)
        assert len(model.observations.y) > 1000
