"""Estimators of scikit-learn: its own checks, and that they are the fits of poolwise."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import poolwise as pw
from poolwise.sklearn import HierarchicalClassifier, HierarchicalRegressor
from poolwise.support.errors import DataError, FormulaError

FORMULA = "log_radon ~ floor + (floor | county)"


@parametrize_with_checks([HierarchicalRegressor(draws=50)])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks_regressors(estimator, check):
    check(estimator)


@pytest.mark.long
@parametrize_with_checks([HierarchicalClassifier(draws=50)])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks_classifiers(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def houses():
    radon = pw.datasets.load_radon()
    return radon[["floor", "county"]], radon["log_radon"]


@pytest.fixture(scope="module")
def regressor(houses):
    return HierarchicalRegressor(FORMULA, random_state=1).fit(*houses)


def test_predictions_are_those_of_the_fit(regressor, houses):
    table = regressor.fit_.predict(houses[0])
    np.testing.assert_allclose(regressor.predict(houses[0]), table["mean"], rtol=1e-9)
    interval = regressor.predict_interval(houses[0], 0.9, kind="mean")
    np.testing.assert_allclose(interval, table[["5%", "95%"]], rtol=1e-12)
    again = pw.fit(FORMULA, houses[0].assign(log_radon=houses[1]), seed=regressor.fit_.result.seed)
    np.testing.assert_array_equal(again.result.theta, regressor.fit_.result.theta)
    assert list(regressor.feature_names_in_) == ["floor", "county"]


def test_formulas_may_leave_the_outcome_out(houses):
    X, y = houses
    wanted = HierarchicalRegressor(FORMULA, draws=100, random_state=1).fit(X, y).predict(X)
    for formula in ("floor + (floor | county)", "~ floor + (floor | county)"):
        mine = HierarchicalRegressor(formula, draws=100, random_state=1).fit(X, y)
        assert mine.fit_.formula.startswith("y ~")
        np.testing.assert_allclose(mine.predict(X), wanted, rtol=1e-12)
    polars = HierarchicalRegressor(FORMULA, draws=100, random_state=1).fit(pl.DataFrame(X), y.to_numpy())
    np.testing.assert_allclose(polars.predict(pl.DataFrame(X)), mine.predict(X), rtol=1e-12)


def test_groups_that_were_never_seen(regressor, houses):
    new = pd.DataFrame({"floor": [0.0, 1.0], "county": ["NOWHERE", "NOWHERE"]})
    average = HierarchicalRegressor(FORMULA, random_state=1, new_groups="average").fit(*houses).predict(new)
    spread = 0.35 / np.sqrt(4000)
    np.testing.assert_allclose(regressor.predict(new), average, atol=5 * spread)
    wide, narrow = (
        np.diff(regressor.predict_interval(rows, kind="mean"))[0, 0]
        for rows in (new, pd.DataFrame({"floor": [0.0], "county": ["ST LOUIS"]}))
    )
    assert wide > 3 * narrow
    with pytest.raises(DataError, match="NOWHERE"):
        HierarchicalRegressor(FORMULA, random_state=1, new_groups="error").fit(*houses).predict(new)


def test_cross_validation_by_groups_and_a_search_over_priors(houses):
    X, y = houses
    model = HierarchicalRegressor("floor + (1 | county)", draws=250, random_state=1)
    folds = KFold(5, shuffle=True, random_state=0)
    inside = cross_val_score(model, X, y, cv=folds).mean()
    flat = cross_val_score(LinearRegression(), X[["floor"]], y, cv=folds).mean()
    assert inside > flat + 0.05
    assert np.isfinite(cross_val_score(model, X, y, cv=GroupKFold(5), groups=X["county"])).all()
    grid = {"priors": [{"sd": pw.HalfNormal(1e-3)}, {"sd": pw.HalfNormal(1.0)}]}
    found = GridSearchCV(model, grid, cv=folds).fit(X, y)
    assert found.best_params_ == {"priors": {"sd": pw.HalfNormal(1.0)}}


def test_pipelines_clones_and_pickles(regressor, houses):
    X, y = houses
    doubled = FunctionTransformer(lambda frame: frame.assign(floor=2 * frame["floor"]))
    piped = make_pipeline(doubled, HierarchicalRegressor(FORMULA, random_state=1)).fit(X, y)
    np.testing.assert_allclose(piped.predict(X), regressor.predict(X), atol=0.03)
    arrays = make_pipeline(StandardScaler(), HierarchicalRegressor(random_state=1)).fit(X[["floor"]], y)
    expected = LinearRegression().fit(X[["floor"]], y).predict(X[["floor"]])
    np.testing.assert_allclose(arrays.predict(X[["floor"]]), expected, atol=0.01)
    assert clone(regressor).get_params() == regressor.get_params()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(X), regressor.predict(X))
    logs = TransformedTargetRegressor(HierarchicalRegressor(random_state=1), func=np.log, inverse_func=np.exp)
    assert (logs.fit(X[["floor"]], np.exp(y)).predict(X[["floor"]]) > 0).all()


def test_new_outcomes(regressor, houses):
    drawn = regressor.sample_y(houses[0], 300, random_state=2)
    assert drawn.shape == (919, 300)
    np.testing.assert_allclose(drawn.mean(axis=1), regressor.predict(houses[0]), atol=0.25)
    np.testing.assert_array_equal(drawn, regressor.sample_y(houses[0], 300, random_state=2))
    low, high = regressor.predict_interval(houses[0], 0.9).T
    assert 0.87 < np.mean((houses[1] > low) & (houses[1] < high)) < 0.95


@pytest.fixture(scope="module")
def poll():
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, 12, 600), rng.normal(size=600)
    eta = 0.8 * x + rng.normal(size=12)[g]
    grade = np.digitize(eta + rng.logistic(size=600), [-1, 1])
    return pd.DataFrame({"x": x, "g": [f"g{k}" for k in g]}), np.array(["z low", "a middle", "m high"])[grade], grade


def test_two_classes(poll):
    X, _, grade = poll
    y = np.where(grade > 0, "yes", "no")
    model = HierarchicalClassifier("x + (1 | g)", draws=250, random_state=1).fit(X, y)
    seed = model.fit_.result.seed
    fit = pw.fit("y ~ x + (1 | g)", X.assign(y=(grade > 0) * 1.0), family="bernoulli", seed=seed, draws=250)
    chance = model.predict_proba(X)
    np.testing.assert_allclose(chance[:, 1], fit.predict(X)["mean"], rtol=1e-9)
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    assert list(model.classes_) == ["no", "yes"]
    np.testing.assert_array_equal(model.predict(X), np.where(chance[:, 1] > 0.5, "yes", "no"))
    assert model.score(X, y) > 0.7
    drawn = model.sample_y(X, 200, random_state=1)
    assert set(np.unique(drawn)) == {"no", "yes"}
    np.testing.assert_allclose((drawn == "yes").mean(axis=1), chance[:, 1], atol=0.2)


def test_several_classes_with_and_without_an_order(poll):
    X, names, grade = poll[0][:300], poll[1][:300], poll[2][:300]
    plain = HierarchicalClassifier("x + (1 | g)", draws=200, random_state=1).fit(X, names)
    assert list(plain.classes_) == ["a middle", "m high", "z low"]
    assert plain.predict_proba(X).shape == (300, 3)
    assert plain.score(X, names) > 0.5
    ordered = HierarchicalClassifier("x + (1 | g)", family="cumulative", draws=200, random_state=1).fit(X, grade)
    assert ordered.score(X, grade) > 0.5
    np.testing.assert_allclose(ordered.predict_proba(X).sum(axis=1), 1.0)
    drawn = ordered.sample_y(X, 100, random_state=1)
    assert set(np.unique(drawn)) == {0, 1, 2}
    expected = ordered.predict_proba(X) @ np.arange(3)
    np.testing.assert_allclose(drawn.mean(axis=1), expected, atol=0.45)


def test_counts(poll):
    X, _, grade = poll
    model = HierarchicalRegressor("x + (1 | g)", family="poisson", random_state=1).fit(X, grade)
    np.testing.assert_allclose(model.predict(X), model.fit_.predict(X)["mean"], rtol=1e-9)


@pytest.mark.parametrize(
    ("formula", "error", "said"),
    [
        ("log(y) ~ floor", FormulaError, "TransformedTargetRegressor"),
        ("floor ~ county", FormulaError, "a column of X too"),
        ("y ~ flor", DataError, "Did you mean 'floor'"),
        ("y ~ floor + (1 | county", FormulaError, r"\("),
    ],
)
def test_formulas_that_make_no_sense(formula, error, said, houses):
    with pytest.raises(error, match=said):
        HierarchicalRegressor(formula).fit(*houses)


def test_other_bad_input(regressor, houses):
    X, y = houses
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(X.rename(columns={"county": "country"}))
    with pytest.raises(ValueError, match="'county' is missing in 1 rows"):
        regressor.predict(X.assign(county=[None, *X["county"][1:]]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        HierarchicalRegressor(FORMULA).fit(X, y[:-1])
    with pytest.raises(ValueError, match="only one class"):
        HierarchicalClassifier("floor").fit(X, ["a"] * 919)
