"""What follows a fit of categories: probabilities by hand, tables, checks, leave-one-out, files."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logsumexp
from tests.selection import long_but_for

import poolwise as pw

LABELS = ["low", "middle", "high"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    g, x = rng.integers(0, 12, 240), rng.normal(size=240)
    y = (0.8 * x + rng.normal(size=12)[g] + rng.logistic(size=240))[:, None] > [-0.5, 1.0]
    labels = pd.Categorical(np.array(LABELS)[y.sum(axis=1)], LABELS, ordered=True)
    return pd.DataFrame({"y": labels, "x": x, "g": g, "rank": y.sum(axis=1) + 1})


@pytest.fixture(scope="module")
def ordered(frame):
    return pw.fit("y ~ x + (1 | g)", frame, family="cumulative", draws=200, seed=1)


@pytest.fixture(scope="module")
def unordered(frame):
    return pw.fit("y ~ x + (1 | g)", frame, family="categorical", draws=200, seed=1)


def test_probabilities_are_those_of_the_thresholds(ordered, frame):
    new = frame.head(3)
    posterior = ordered.posterior
    x = posterior["beta"].sel(coefficient="x").values[..., None] * new["x"].to_numpy()
    location = x + posterior["u_g"].values[:, :, new["g"], 0]
    below = expit(posterior["threshold"].values[:, :, None, :] - location[..., None])
    ends = np.concatenate([np.zeros_like(below[..., :1]), below, np.ones_like(below[..., :1])], axis=-1)
    drawn = ordered.predict(new, draws=True)
    assert drawn.dims == ("chain", "draw", "observation", "category")
    assert list(drawn["category"].values) == LABELS
    np.testing.assert_allclose(drawn.values, np.diff(ends, axis=-1), atol=1e-12)
    table = ordered.predict(new)
    assert table["category"].tolist() == LABELS * 3
    np.testing.assert_allclose(table["mean"], drawn.mean(("chain", "draw")).values.ravel())


def test_odds_of_categories_are_those_of_their_predictors(unordered, frame):
    new, posterior = frame.head(3), unordered.posterior
    scores = [np.zeros((4, 200, 3))]
    for k, label in enumerate(LABELS[1:]):
        beta = posterior["beta"].sel(coefficient=[f"mu{label}_Intercept", f"mu{label}_x"]).values
        own = posterior["u_g"].values[:, :, new["g"], k]
        scores.append(beta[..., :1] + beta[..., 1:] * new["x"].to_numpy() + own)
    scores = np.stack(scores, axis=-1)
    shares = np.exp(scores - logsumexp(scores, axis=-1, keepdims=True))
    np.testing.assert_allclose(unordered.predict(new, draws=True).values, shares, atol=1e-12)
    effects = ["mumiddle_Intercept", "muhigh_Intercept"]
    assert list(posterior["cor_g"]["effect"].values) == effects


def test_comparisons_of_all_categories_add_up_to_nothing(ordered):
    table = pw.avg_comparisons(ordered, "x").table
    assert table["category"].tolist() == LABELS
    assert table["mean"].sum() == pytest.approx(0, abs=1e-12)
    assert table["mean"].iloc[0] < 0 < table["mean"].iloc[-1]
    slopes = pw.avg_slopes(ordered, "x").table
    assert slopes["mean"].sum() == pytest.approx(0, abs=1e-9)


def test_checks_speak_of_shares(frame):
    ordered, unordered = (
        pw.fit("y ~ x + (1 | g)", frame, family=family, draws=25, seed=1) for family in ("cumulative", "categorical")
    )
    checks = ordered.check()
    observed = frame["y"].value_counts(normalize=True, sort=False)
    np.testing.assert_allclose(checks.table["observed"], observed)
    assert list(checks.table.index) == [f"share of {label}" for label in LABELS]
    assert "positions of categories" in repr(checks)
    plain = unordered.check()
    assert np.isnan(plain.rmsd_in_sample)
    assert "RMSD" not in repr(plain)
    assert plain.groups == {}
    chart = ordered.plot.ppc().to_dict(validate=False)
    bars = next(iter(chart["datasets"].values())) if "datasets" in chart else chart["layer"][0]["data"]["values"]
    assert [row["count"] for row in bars] == LABELS
    assert sum(row["observed"] for row in bars) == len(frame)


@pytest.mark.long
def test_leave_one_out_is_that_of_refits(ordered, frame):
    loo = ordered.loo()
    some = [3, 77, 140]
    for i in some:
        again = pw.fit("y ~ x + (1 | g)", frame.drop(index=i), family="cumulative", draws=500, seed=2)
        shares = again.predict(frame.loc[[i]], draws=True).sel(category=str(frame["y"][i]))
        assert loo.elpd_i[i] == pytest.approx(np.log(float(shares.mean())), abs=0.06)
    assert ordered.loo(by="g").elpd < 0


def test_new_outcomes_are_labels(ordered, frame):
    drawn = ordered.predict(frame.head(4), kind="response", draws=True)
    assert set(np.unique(drawn.values)) <= set(LABELS)
    with pytest.raises(pw.DataError, match="categories, which have no mean"):
        ordered.predict(frame.head(4), kind="response")


def test_linear_predictors_of_each_category_are_not_one(unordered, ordered, frame):
    with pytest.raises(pw.DataError, match="a linear predictor of its own"):
        unordered.predict(frame.head(2), kind="linear")
    assert len(ordered.predict(frame.head(2), kind="linear")) == 2


@pytest.mark.parametrize("which", ["ordered", "unordered"])
def test_files_and_copies_keep_the_labels(which, request, frame, tmp_path):
    fit = request.getfixturevalue(which)
    fit.save(tmp_path / "fit")
    for again in (pw.load(tmp_path / "fit"), pickle.loads(pickle.dumps(fit))):
        assert again.result.model.family is fit.result.model.family
        pd.testing.assert_frame_equal(again.predict(frame.head(3)), fit.predict(frame.head(3)))
        assert repr(again) == repr(fit)


@pytest.mark.long
def test_reports_are_written(ordered, unordered, tmp_path):
    for fit, name in ((ordered, "ordered"), (unordered, "unordered")):
        text = fit.report(tmp_path / name).read_text()
        assert "share of middle" in text
        assert "rows" in text


def test_numbers_and_text_mean_the_same(ordered, frame):
    numbers = pw.fit("rank ~ x + (1 | g)", frame, family="cumulative", draws=200, seed=1)
    np.testing.assert_array_equal(numbers.result.beta, ordered.result.beta)
    with pytest.warns(pw.PoolwiseWarning, match="high < low < middle"):
        pw.fit("y ~ x", frame.assign(y=frame["y"].astype(str)), family="cumulative", draws=50, seed=1)


def test_effects_of_categories_own_join_the_thresholds(frame):
    fit = pw.fit("y ~ cs(x) + (1 | g)", frame, family="sratio", draws=100, seed=1)
    assert list(fit.posterior["coefficient"].values) == ["Intercept", "x", "shift2_Intercept", "shift2_x"]
    assert "threshold" not in fit.posterior  # they depend on x
    plain = pw.fit("y ~ x + (1 | g)", frame, family="acat", draws=100, seed=1)
    cuts, beta = plain.posterior["threshold"].values, plain.posterior["beta"]
    np.testing.assert_allclose(cuts[..., 0], -beta.sel(coefficient="Intercept").values)
    shift = beta.sel(coefficient="shift2_Intercept").values
    np.testing.assert_allclose(cuts[..., 1], shift - beta.sel(coefficient="Intercept").values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, 2, 4, 5], "goes from 1 to 5, but no row holds 3"),
        ([7], "holds 7 only"),
        ([1.0, 2.5], "numbers of ordered categories are whole"),
        (list(range(60)), "60 different values"),
    ],
)
def test_categories_that_make_no_sense(values, said):
    y = np.resize(np.array(values, dtype=float), 120)
    with pytest.raises(pw.DataError, match=said):
        pw.fit("y ~ 1", {"y": y}, family="cumulative")


@pytest.mark.parametrize(
    ("formula", "family", "said"),
    [
        ("log(rank) ~ x", "cumulative", "must be a column of the data as it is"),
        ("rank ~ cs(x)", "cumulative", "gives effects of their own to the thresholds of 'sratio' and 'acat'"),
        ("rank ~ x + offset(x)", "categorical", "that of every category alike"),
        (["rank ~ x", "sigma ~ x"], "cumulative", "no parameter 'sigma'.*disc, gap2"),
        (["rank ~ x", "disc = -1"], "cumulative", "'disc = -1' is no value.*above 0"),
        (["rank ~ x", "disc = 2", "disc ~ 0 + x"], "cumulative", "'disc' is given twice"),
    ],
)
def test_formulas_that_make_no_sense(formula, family, said, frame):
    with pytest.raises(pw.FormulaError, match=said):
        pw.fit(formula, frame, family=family)


@pytest.mark.parametrize("disc", long_but_for(2, ["disc ~ z", "disc ~ 0 + z", "disc ~ z - 1", "disc ~ 0 + second"]))
def test_only_ratios_of_discriminations_are_learnt(frame, disc):
    """Text is coded as beside a constant, which is not estimated: the thresholds say the same."""
    data = frame.assign(z=np.where(frame["g"] % 2, "b", "a"), second=frame["g"] % 2)
    fit = pw.fit(["y ~ x", disc], data, family="cumulative", draws=100, seed=1)
    known = pw.fit(["y ~ x", "disc ~ second"], data, family="cumulative", draws=100, seed=1)
    assert [name for name in fit.summary().index if "disc" in name] == [
        "beta[disc_second]" if "second" in disc else "beta[disc_z[T.b]]"
    ]
    np.testing.assert_allclose(fit.summary()["mean"], known.summary()["mean"])
