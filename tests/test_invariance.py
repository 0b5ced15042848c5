"""Answers do not depend on where zero is, on units, names or order: the same data, written down in another way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.density.latent.density import latent
from poolwise.families import family_of
from poolwise.inference.prepare import prepare
from tests.selection import long_but_for

ROWS, GROUPS = 160, 12


@cache
def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    g, h = rng.integers(0, GROUPS, ROWS), rng.integers(0, 7, ROWS)
    x, z = rng.normal(1.0, 2.0, ROWS), rng.normal(-0.5, 0.7, ROWS)
    slope = 0.6 * rng.normal(size=GROUPS)
    eta = 0.4 + 0.5 * (x - 1) + rng.normal(size=GROUPS)[g] + slope[g] * (x - 1) / 2 + 0.5 * rng.normal(size=7)[h]
    return pd.DataFrame(
        {
            "y": eta + 0.7 * rng.normal(size=ROWS),
            "k": rng.poisson(np.exp(0.3 * eta)),
            "b": rng.binomial(1, 1 / (1 + np.exp(-eta))),
            "t": np.exp(0.4 * eta + 0.5 * rng.normal(size=ROWS)),
            "x": x,
            "z": z,
            "c": rng.choice(["a", "b", "c"], ROWS),
            "g": [f"g{i:02d}" for i in g],
            "h": h,
            "w": rng.choice([1.0, 2.0, 5.0], ROWS),
        }
    ).assign(
        amount=lambda rows: np.where(rows["k"] == 0, 0.0, rows["t"]),
        hits=lambda rows: np.minimum(rows["k"], 6),
    )


@dataclass(frozen=True)
class Answer:
    """What means the same however the data are written down: the linear predictor of every row, and the evidence."""

    mean: np.ndarray
    sd: np.ndarray
    sigma: float
    evidence: float


def answer(formula: str, frame: pd.DataFrame, back: np.ndarray | None = None, **options) -> Answer:
    """The answer for rows in their first order; `back` says where each of them is now."""
    fit = pw.fit(formula, frame, seed=3, draws=300, **options)
    assert fit.outcome.passed, fit.outcome.advice
    drawn = pw.predictions(fit, frame if back is None else frame.iloc[back]).draws
    flat = np.asarray(drawn).reshape(-1, len(frame) if back is None else len(back))
    return Answer(flat.mean(axis=0), flat.std(axis=0), float(fit.result.sigma.mean()), float(fit.log_evidence))


def assert_same(one: Answer, other: Answer, tolerance: float = 1e-6) -> None:
    """The same draws: with the same seed nothing is left to chance."""
    np.testing.assert_allclose(other.mean, one.mean, atol=tolerance * one.sd.max())
    np.testing.assert_allclose(other.sd, one.sd, rtol=tolerance)
    assert other.sigma == pytest.approx(one.sigma, rel=tolerance)
    assert other.evidence == pytest.approx(one.evidence, abs=max(1e-4, 10 * tolerance))


FORMULAS = {
    "intercepts": "y ~ x + (1 | g)",
    "slope": "y ~ x + (x | g)",
    "two slopes": "y ~ x + z + (x + z | g)",
    "interaction": "y ~ x * z + (x * z | g)",
    "with a category": "y ~ x * c + (x | g)",
    "square": "y ~ x + I(x**2) + (x + I(x**2) | g)",
    "crossed": "y ~ x + (x | g) + (1 | h)",
    "cell means": "y ~ 0 + c + x + (x | g)",
    "no groups": "y ~ x * z + c",
}


@cache
def plain(name: str) -> Answer:
    return answer(FORMULAS[name], table())


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize(("shift", "scale"), long_but_for(1, [(2000.0, 1.0), (0.0, 1e-6), (-50.0, 1000.0)]))
def test_where_zero_is_and_units_of_predictors(name, shift, scale):
    frame = table().assign(x=(table().x + shift) * scale, z=(table().z - 3 * shift) / scale)
    # Digits of squares and products that lie far from zero are lost in the data themselves.
    tolerance = 1e-4 if "*" in FORMULAS[name] and shift else 1e-6
    assert_same(plain(name), answer(FORMULAS[name], frame), tolerance)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("units", long_but_for(1, [1e-6, 1e6]))
def test_units_of_the_outcome(name, units):
    """Sampling is in logs of sds, which move: the same posterior, within the Monte Carlo error of other draws."""
    one, other = plain(name), answer(FORMULAS[name], table().assign(y=units * table().y))
    np.testing.assert_allclose(other.mean / units, one.mean, atol=0.2 * one.sd.max())
    assert other.sigma / units == pytest.approx(one.sigma, rel=0.01)
    assert other.evidence + ROWS * np.log(units) == pytest.approx(one.evidence, abs=0.1)


def test_time_stamps():
    frame = table().assign(x=1.7e9 + 86_400 * np.round(table().x * 100))
    days = frame.assign(x=(frame.x - 1.7e9) / 86_400)
    assert_same(answer("y ~ x + (x | g)", days), answer("y ~ x + (x | g)", frame), 1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_order_of_rows(name):
    order = np.random.default_rng(1).permutation(ROWS)
    found = answer(FORMULAS[name], table().iloc[order], np.argsort(order))
    assert_same(plain(name), found)


@pytest.mark.parametrize("name", FORMULAS)
def test_names_of_columns_and_groups(name):
    frame = table().rename(columns={"x": "price", "z": "size", "g": "shop"})
    frame["shop"] = "shop " + frame["shop"]
    formula = FORMULAS[name]
    for old, new in (("x", "price"), ("z", "size"), ("g", "shop")):
        formula = formula.replace(f" {old} ", f" {new} ").replace(f" {old})", f" {new})").replace(f"({old}", f"({new}")
    if formula.endswith(" x"):
        formula = formula[:-1] + "price"
    assert_same(plain(name), answer(formula, frame))


def test_order_of_groups_changes_draws_but_not_the_posterior():
    frame = table().assign(g=[f"g{99 - int(label[1:])}" for label in table().g])
    one, other = plain("slope"), answer("y ~ x + (x | g)", frame)
    np.testing.assert_allclose(other.mean, one.mean, atol=0.2 * one.sd.max())
    assert other.evidence == pytest.approx(one.evidence, abs=0.1)


@pytest.mark.parametrize("name", long_but_for(("slope", "cell means", "no groups").__contains__, FORMULAS))
def test_weights_are_relative(name):
    """Half of every weight is another unit of sigma."""
    single = answer(FORMULAS[name], table(), weights="w")
    halves = answer(FORMULAS[name], table().assign(w=0.5 * table().w), weights="w")
    np.testing.assert_allclose(halves.mean, single.mean, atol=0.2 * single.sd.max())
    assert halves.sigma == pytest.approx(single.sigma * np.sqrt(0.5), rel=0.01)
    assert halves.evidence == pytest.approx(single.evidence, abs=0.1)


@pytest.mark.parametrize(
    "name", long_but_for(lambda name: name != "interaction", ["slope", "interaction", "crossed", "no groups"])
)
def test_split_and_merged(name):
    whole = pw.SufficientStatistics.from_data(FORMULAS[name], table())
    parts = [
        pw.SufficientStatistics.from_data(FORMULAS[name], part, like=whole)
        for part in (table().iloc[:50], table().iloc[50:60], table().iloc[60:])
    ]
    merged = pw.fit(FORMULAS[name], parts[0] + parts[1] + parts[2], seed=3, draws=300)
    direct = pw.fit(FORMULAS[name], table(), seed=3, draws=300)
    np.testing.assert_allclose(merged.result.beta, direct.result.beta, rtol=1e-6, atol=1e-6)


def test_order_of_terms():
    one = answer("y ~ x * z + c + (x + z | g) + (1 | h)", table())
    other = answer("y ~ c + z * x + (1 | h) + (z + x | g)", table())
    np.testing.assert_allclose(other.mean, one.mean, atol=0.25 * one.sd.max())
    assert other.evidence == pytest.approx(one.evidence, abs=0.1)


SAMPLED = {
    "poisson": ("k ~ x * z + (x * z | g)", None),
    "bernoulli": ("b ~ x + (x | g)", None),
    "negative_binomial": ("k ~ x + (x | g) + (1 | h)", None),
    "gamma": ("t ~ x + I(x**2) + (x | g)", None),
    "student": ("y ~ x + (x | g)", "w"),
    "lognormal": ("t ~ x + (x | g)", "w"),
    "weibull": ("t ~ x + (x | g)", None),
    "beta_binomial": ("hits | trials(6) ~ x + (x | g)", None),
    "zero_inflated_poisson": (["k ~ x + (x | g)", "zi ~ x + (x | g)"], None),
    "hurdle_gamma": (["amount ~ x * z + (x | g)", "hu ~ x + (1 | h)"], None),
}


def density_of(family: str, frame: pd.DataFrame):
    formula, weights = SAMPLED[family]
    options = {"family": family_of(family), "weights": weights, "missing": "drop", "threads": 1}
    model, _ = prepare(formula, frame, priors={}, **options)
    return latent(model.observations, model.design, model.priors, model.family, model.link)


@cache
def sampled(family: str):
    return density_of(family, table())


@pytest.mark.parametrize("family", SAMPLED)
@pytest.mark.parametrize(("shift", "scale"), long_but_for(1, [(2000.0, 1.0), (0.0, 1e-6), (-50.0, 1000.0)]))
def test_densities_of_other_families_move_with_zero_and_units(family, shift, scale):
    one = sampled(family)
    frame = table().assign(x=(table().x + shift) * scale, z=(table().z - 3 * shift) / scale)
    other = density_of(family, frame)
    rng = np.random.default_rng(0)
    for _ in range(3):
        point = one.start + 0.5 * rng.normal(size=one.dimension)
        assert other.value_and_gradient(point)[0] == pytest.approx(one.value_and_gradient(point)[0], abs=1e-3)


@pytest.mark.parametrize(
    "family",
    long_but_for(
        ("bernoulli", "negative_binomial", "gamma").__contains__,
        ["poisson", "bernoulli", "negative_binomial", "gamma", "zero_inflated_poisson", "hurdle_gamma"],
    ),
)
def test_all_rows_twice_at_half_their_weight(family):
    """Here a weight is a number of rows."""
    formula, frame = SAMPLED[family][0], table()
    twice = pd.concat([frame, frame], ignore_index=True).assign(half=0.5)
    one, two = (
        prepare(formula, data, priors={}, family=family_of(family), weights=weights, missing="drop", threads=1)[0]
        for data, weights in ((frame, None), (twice, "half"))
    )
    assert one.priors.words() == two.priors.words()
    single, double = (
        latent(model.observations, model.design, model.priors, model.family, model.link) for model in (one, two)
    )
    point = single.start + 0.3
    assert double.value_and_gradient(point)[0] == pytest.approx(single.value_and_gradient(point)[0], abs=1e-5)


@pytest.mark.parametrize(
    "family",
    long_but_for(("student", "gamma", "poisson").__contains__, SAMPLED),
)
def test_draws_of_other_families_do_not_follow_the_order_of_rows(family):
    formula, weights = SAMPLED[family]
    order = np.random.default_rng(2).permutation(ROWS)
    options = {"family": family, "weights": weights, "seed": 1, "draws": 40, "chains": 2}
    one, other = (pw.fit(formula, frame, **options) for frame in (table(), table().iloc[order]))
    np.testing.assert_array_equal(one.result.beta, other.result.beta)
    np.testing.assert_array_equal(one.result.u[0].draws(), other.result.u[0].draws())
