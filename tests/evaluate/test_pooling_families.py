"""Complete, no and partial pooling of families that are sampled, against integrals on a grid."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import poolwise as pw
from poolwise.families import FAMILIES, family_of
from poolwise.inference.posterior import Pooling

PRIORS = {"Intercept": pw.Normal(0, 1.5), "slopes": pw.Normal(0.2, 1)}
AXIS = np.linspace(-6, 6, 241)
GRID = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), axis=-1).reshape(-1, 2)


def frame(rows=90):
    rng = np.random.default_rng(5)
    g = rng.integers(0, 6, rows)
    g[:2] = 7  # a group of two rows
    x = rng.normal(size=rows) + 1.0
    level = rng.normal(size=8)
    p = 1 / (1 + np.exp(-(level[g] + 0.7 * x - 0.7)))
    data = pd.DataFrame(
        {"g": [f"g{i}" for i in g], "x": x, "o": 0.3 * rng.normal(size=rows), "n": rng.integers(2, 6, rows)}
    )
    data["y"] = (rng.random(rows) < p) * 1
    data.loc[g == 3, "y"] = 0  # a group without a success
    data["s"] = rng.binomial(data["n"], p)
    data["c"] = rng.poisson(np.exp(0.5 + 0.4 * level[g] + 0.2 * x + data["o"]))
    data["z"] = np.where(rng.random(rows) < 0.3, 0, data["c"])
    return data


def log_joint(data, outcome="y", family="bernoulli"):
    """Log likelihood of each row (grid, n) and log prior (grid,) of both coefficients."""
    location = GRID[:, :1] + GRID[:, 1:] * data["x"].to_numpy()
    trials = data["n"].to_numpy(dtype=float) if family == "binomial" else np.ones(len(data))
    rows = family_of(family).log_density(data[outcome].to_numpy(dtype=float), trials, location)
    return rows, norm.logpdf(GRID[:, 0], 0, 1.5) + norm.logpdf(GRID[:, 1], 0.2, 1)


@pytest.fixture(scope="module")
def bernoulli():
    return pw.compare_pooling("y ~ x", by="g", data=frame(), family="bernoulli", priors=PRIORS, seed=1, folds=0)


@pytest.fixture(scope="module")
def with_folds():
    return pw.compare_pooling("y ~ x", by="g", data=frame(), family="bernoulli", priors=PRIORS, seed=1, folds=5)


@pytest.mark.parametrize(
    ("formula", "outcome", "family"),
    [("y ~ x", "y", "bernoulli"), pytest.param("s | trials(n) ~ x", "s", "binomial", marks=pytest.mark.long)],
)
def test_without_pooling_each_group_has_the_posterior_of_its_own_rows(formula, outcome, family, request):
    data = frame()
    if family == "bernoulli":
        found = request.getfixturevalue("bernoulli")
    else:
        found = pw.compare_pooling(formula, by="g", data=data, family=family, priors=PRIORS, seed=1, folds=0)
    separate = found.separate.result
    assert separate.certificate.passed
    for j, label in enumerate(separate.model.design.factors[0].levels):
        rows, prior = log_joint(data[data["g"] == label], outcome, family)
        weight = np.exp(rows.sum(axis=1) + prior - logsumexp(rows.sum(axis=1) + prior))
        mean = weight @ GRID
        sd = np.sqrt(weight @ (GRID - mean) ** 2)
        drawn = separate.beta[:, :, j].reshape(-1, 2)
        np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - mean), 0.1 * sd)
        np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.1)
    together, prior = log_joint(data, outcome, family)
    weight = np.exp(together.sum(axis=1) + prior - logsumexp(together.sum(axis=1) + prior))
    sd = np.sqrt(weight @ (GRID - weight @ GRID) ** 2)
    apart = np.abs(found.complete.result.beta.mean(axis=(0, 1)) - weight @ GRID)
    np.testing.assert_array_less(apart, 0.1 * sd)


def test_other_groups_do_not_move_a_group():
    data = frame()
    turned = data.assign(y=np.where(data["g"] == "g1", data["y"], 1 - data["y"]))
    one, two = (
        pw.compare_pooling("y ~ x", by="g", data=each, family="bernoulli", priors=PRIORS, seed=1, folds=0, draws=50)
        for each in (data, turned)
    )
    np.testing.assert_array_equal(one.separate.result.beta[:, :, 1], two.separate.result.beta[:, :, 1])
    assert not np.array_equal(one.separate.result.beta[:, :, 2], two.separate.result.beta[:, :, 2])


def test_the_same_draws_whatever_the_threads():
    one, two = (
        pw.compare_pooling("c ~ x", by="g", data=frame(), family="poisson", seed=4, folds=0, draws=20, threads=threads)
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.separate.result.beta, two.separate.result.beta)


OFTEN = ("poisson", "gamma", "student", "cumulative", "asymmetric_laplace")
SELDOM = [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name not in (*OFTEN, "gaussian")]


@pytest.mark.long
@pytest.mark.parametrize("family", [*OFTEN, *SELDOM])
def test_every_family_is_compared(family):
    """Three fits and their scores, with a group whose outcomes are all the same where these are whole numbers."""
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(3), 8), rng.normal(size=24)
    whole = np.where(g == 0, 0, rng.binomial(4, 0.5, 24))
    outcome = whole if FAMILIES[family].whole else rng.beta(2, 3, 24)
    outcome = np.resize([1, 2, 3], 24) if FAMILIES[family].labels else outcome
    outcome = np.minimum(outcome, 1) if family == "bernoulli" else outcome
    outcome = np.where(g + (x > 0) == 2, 0.0, outcome) if family.startswith("hurdle") else outcome
    data = {"y": outcome, "x": x, "g": g}
    formula = "y | trials(4) ~ x" if FAMILIES[family].trials else "y ~ x"
    if FAMILIES[family].signed:
        data, formula = data | {"side": np.resize([0, 1], 24)}, "y | dec(side) ~ x"
    found = pw.compare_pooling(formula, by="g", data=data, family=family, folds=2, draws=100, seed=1)
    assert np.isfinite(found.table.to_numpy(dtype=float)).all()
    assert np.isfinite(found.separate.result.beta).all()
    assert set(found.separate.result.dispersions) == set(found.partial.result.dispersions)
    assert "predicts best" in found.verdict


def test_rows_and_groups_left_out_without_pooling(bernoulli):
    """Leave-one-out of rows and of groups against the integrals that they are."""
    data, loo = frame(), bernoulli.separate.loo()
    by_group, total = bernoulli.separate.loo(by="g"), 0.0
    for label in np.unique(data["g"]):
        mine = np.flatnonzero(data["g"] == label)
        rows, prior = log_joint(data.iloc[mine])
        whole = logsumexp(rows.sum(axis=1) + prior)
        without = [logsumexp(rows.sum(axis=1) - rows[:, i] + prior) for i in range(len(mine))]
        np.testing.assert_allclose(loo.elpd_i[mine], whole - np.array(without), atol=0.12)
        total += float(np.sum(whole - np.array(without)))
        evidence = whole - logsumexp(prior)
        assert by_group.elpd_i[list(by_group.labels).index(label)] == pytest.approx(evidence, abs=0.03)
    assert loo.elpd == pytest.approx(total, abs=0.2)
    assert loo.bad == 0


@pytest.mark.long
def test_folds_without_pooling_are_predicted_by_the_rest_of_the_group(with_folds):
    data, found = frame(), with_folds.separate.kfold(5, seed=1)
    rng = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(97,)))
    fold_of = rng.permutation(len(data)) % 5
    expected = np.empty(len(data))
    for label in np.unique(data["g"]):
        mine = np.flatnonzero(data["g"] == label)
        rows, prior = log_joint(data.iloc[mine])
        for i, at in enumerate(mine):
            rest = rows[:, fold_of[mine] != fold_of[at]].sum(axis=1) + prior
            expected[at] = logsumexp(rest + rows[:, i]) - logsumexp(rest)
    np.testing.assert_allclose(found.elpd_i, expected, atol=0.08)
    assert found.elpd / len(data) == pytest.approx(with_folds.scores[Pooling.SEPARATE].log_score, abs=0.01)


@pytest.mark.long
def test_the_table_has_proper_scores(with_folds):
    table = with_folds.table
    assert list(table.columns) == [
        "parameters", "brier_in_sample", "brier_5_fold", "log_score_5_fold", "log_score_leave_one_out", "seconds",
    ]  # fmt: skip
    data = frame()
    for name, fit in zip(table.index, (with_folds.complete, with_folds.separate, with_folds.partial), strict=True):
        p = fit.predict()["mean"].to_numpy()
        assert table.loc[name, "brier_in_sample"] == pytest.approx(np.mean((data["y"] - p) ** 2), abs=1e-3)
        assert fit.rmsd() ** 2 == pytest.approx(table.loc[name, "brier_in_sample"], rel=1e-9)
        assert table.loc[name, "log_score_leave_one_out"] == pytest.approx(fit.loo().elpd / len(data), abs=1e-9)
    assert "Brier score" in with_folds.verdict
    compared = with_folds.compare()
    assert set(compared.table.index) == {"complete", "separate", "partial"}


def test_charts_are_on_the_scale_of_the_outcome(bernoulli):
    from poolwise.output.plots.lines import expected

    factor = bernoulli.partial.result.model.design.factors[0]
    ends = np.array([-1.0, 2.0])
    for fit in (bernoulli.separate, bernoulli.partial):
        drawn = expected(fit.result, factor, 2, ends[:, None])
        new = pd.DataFrame({"x": ends, "g": [factor.levels[2]] * 2})
        np.testing.assert_allclose(drawn.mean(axis=0), fit.predict(new)["mean"], rtol=1e-9)
    chart = bernoulli.plot.lines(["g1", "g7"]).to_dict()
    assert chart["concat"]
    assert "Intercept (on the logit scale)" in bernoulli.plot.shrinkage().to_json()
    arrows = bernoulli.plot.shrinkage(outcome=True).to_dict()
    table = pd.DataFrame(next(iter(arrows["datasets"].values())))
    low = frame()["x"].mean() - frame()["x"].std(ddof=0)
    at_low = {"x": [low] * 7, "g": list(factor.levels)}
    np.testing.assert_allclose(table["x"], bernoulli.separate.predict(at_low)["mean"], rtol=1e-9)
    np.testing.assert_allclose(table["x2"], bernoulli.partial.predict(at_low)["mean"], rtol=1e-9)
    with pytest.raises(pw.DataError, match="'Intercept' is no column"):
        bernoulli.plot.shrinkage(y="Intercept", outcome=True)


def test_parameters_of_their_own_in_each_group():
    """Zero inflation by a formula, and a dispersion that every group has by itself."""
    found = pw.compare_pooling(
        ["z ~ x", "zi ~ x"], by="g", data=frame(), family="zero_inflated_negative_binomial", seed=1, folds=0, draws=100
    )
    separate = found.separate
    assert separate.result.beta.shape[2:] == (7, 4)
    assert separate.result.dispersions["shape"].shape == (4, 100, 7)
    assert "shape_g" in separate.posterior
    table = separate.group_coefficients(groups=["g2"])
    assert list(table["effect"]) == ["Intercept", "x", "zi_Intercept", "zi_x"]
    new = {"g": ["g2"], "x": [0.5]}
    drawn = separate.predict(new, draws=True).to_numpy().ravel()
    beta = separate.result.beta[:, :, 2].reshape(-1, 4)
    by_hand = np.exp(beta[:, 0] + 0.5 * beta[:, 1]) / (1 + np.exp(beta[:, 2] + 0.5 * beta[:, 3]))
    np.testing.assert_allclose(drawn, by_hand, rtol=1e-9)
    assert found.partial.result.dispersions["shape"].shape == (4, 100)
    assert "rmsd_in_sample" in found.table
    assert found.plot.lines(["g1"]).to_dict()["concat"]
    assert "regressions of 5 numbers" in separate.describe()


def test_new_groups_saved_fits_and_copies(bernoulli, tmp_path):
    separate = bernoulli.separate
    new = {"g": ["g1", "other"], "x": [0.0, 0.0]}
    drawn = separate.predict(new, new_groups="sample", kind="linear", draws=True).to_numpy().reshape(-1, 2)
    assert drawn[:, 1].std() == pytest.approx(1.5, rel=0.1)  # the prior
    np.testing.assert_array_equal(drawn[:, 0], separate.result.beta[:, :, 1, 0].ravel())
    separate.save(tmp_path / "separate.pw")
    again = pw.load(tmp_path / "separate.pw")
    np.testing.assert_array_equal(again.result.beta, separate.result.beta)
    np.testing.assert_array_equal(again.predict({"g": ["g7"], "x": [1.0]}), separate.predict({"g": ["g7"], "x": [1.0]}))
    copied = pickle.loads(pickle.dumps(separate))
    assert copied.loo(by="g").elpd == separate.loo(by="g").elpd


def test_rows_without_a_group_are_in_none_of_the_three():
    data = frame().assign(g=frame()["g"].mask(frame()["x"] > 2))
    with pytest.warns(pw.PoolwiseWarning, match="have missing values"):
        found = pw.compare_pooling("y ~ 1", by="g", data=data, family="bernoulli", seed=1, folds=0, draws=50)
    assert len({len(fit.rows.codes) for fit in (found.complete, found.separate, found.partial)}) == 1
    assert set(found.compare(by="g").table.index) == {"complete", "separate", "partial"}


def test_offsets_stay_in_all_three():
    data = frame()
    counts = pw.compare_pooling("c ~ x + offset(o)", by="g", data=data, family="poisson", seed=1, folds=0, draws=100)
    for fit in (counts.complete, counts.separate, counts.partial):
        np.testing.assert_array_equal(fit.rows.offset, data["o"])
        assert fit.result.model.design.formula.offsets == ("o",)
    normal = pw.compare_pooling("c ~ x + offset(o)", by="g", data=data, seed=1, folds=0, draws=100)
    direct = pw.fit("c ~ x + (x || g) + offset(o)", data, seed=1, draws=100)
    np.testing.assert_array_equal(normal.partial.result.beta, direct.result.beta)


@pytest.mark.long
def test_the_report_of_a_comparison(bernoulli, tmp_path):
    page = bernoulli.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "brier 5 fold" in page
    assert "family=&#39;bernoulli&#39;" in page or "family='bernoulli'" in page


def test_what_cannot_be_compared_is_refused():
    data = frame()
    with pytest.raises(pw.FormulaError, match="takes no weights"):
        pw.compare_pooling("y | weights(n) ~ x", by="g", data=data)
    with pytest.raises(pw.FormulaError, match="no group terms of 'zi': write 'zi ~ x'"):
        pw.compare_pooling(["z ~ x", "zi ~ x + (1 | g)"], by="g", data=data, family="zero_inflated_poisson")
    with pytest.raises(pw.FormulaError, match="no family 'bernouli'.*bernoulli"):
        pw.compare_pooling("y ~ x", by="g", data=data, family="bernouli")
    with pytest.raises(pw.FormulaError, match="How many trials"):
        pw.compare_pooling("s ~ x", by="g", data=data, family="binomial")
