"""Rows that are added: what must be the same in both sets of rows, and what is told where it is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 120
    return pd.DataFrame({"y": rng.normal(size=n), "z": rng.normal(size=n), "g": rng.choice(list("abcdef"), n)})


def shifted(by):
    return lambda x: x + by


class Scaled:
    def __init__(self, by):
        self.by = by

    def of(self, x):
        return x * self.by


def raised(by):
    def power(x, *, to=by):
        return x**to

    return power


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.sin, np.exp),
        (lambda x: x + 1, lambda x: x + 2),
        (shifted(1), shifted(2)),
        (Scaled(2).of, Scaled(3).of),
        (raised(2), raised(3)),
        (lambda x: np.sin(x), lambda x: np.cos(x)),
    ],
)
def test_functions_of_one_name_are_not_merged(rows, one, other):
    fits = [
        pw.fit("y ~ f(z) + (1 | g)", part, functions={"f": f}, seed=1, draws=50)
        for part, f in ((rows[:60], one), (rows[60:], other))
    ]
    with pytest.raises(pw.FormulaError, match="'f' is not the same function in both"):
        pw.merge(*fits)


@pytest.mark.parametrize(
    ("one", "other"), [(np.sin, np.sin), (lambda x: np.sin(x) + 1, lambda x: np.sin(x) + 1), (shifted(2), shifted(2))]
)
def test_the_same_function_is_known_again(rows, one, other):
    fits = [
        pw.fit("y ~ f(z) + (1 | g)", part, functions={"f": f}, seed=1, draws=50)
        for part, f in ((rows[:60], one), (rows[60:], other))
    ]
    whole = pw.fit("y ~ f(z) + (1 | g)", rows, functions={"f": one}, seed=1, draws=50)
    np.testing.assert_allclose(pw.merge(*fits).summary()["mean"], whole.summary()["mean"], rtol=1e-6)


@pytest.mark.parametrize(
    "own",
    [
        lambda x: x - x.mean(),
        lambda x: x / x.max(),
        lambda x: x / x.min(),
        lambda x: np.concatenate([[0.0], np.asarray(x)[:-1]]),
        lambda x: np.sort(x),
    ],
)
def test_functions_that_look_at_other_rows_are_told(rows, own):
    with pytest.warns(pw.PoolwiseWarning, match=r"f\(\) gives a row other values beside other rows"):
        pw.fit("y ~ f(z) + (1 | g)", rows, functions={"f": own}, seed=1, draws=50)


def test_offsets_that_look_at_other_rows_are_told(rows, recwarn):
    counts = rows.assign(n=np.arange(120) % 4, t=np.exp(rows["z"]))
    formula = "n ~ 1 + offset(f(t)) + (1 | g)"
    pw.fit(formula, counts, family="poisson", functions={"f": np.log, "h": np.mean}, seed=1, draws=50)
    assert not recwarn.list
    with pytest.warns(pw.PoolwiseWarning, match="beside other rows"):
        own = {"f": lambda x: np.log(x / x.mean())}
        pw.fit(formula, counts, family="poisson", functions=own, seed=1, draws=50)


def test_group_predictors_that_differ_are_told(rows, recwarn):
    tables = [pd.DataFrame({"g": list("abcdef"), "u": scale * np.arange(6.0)}) for scale in (1, -3)]
    first = pw.fit("y ~ u + (1 | g)", rows[:60], groups={"g": tables[0]}, seed=1, draws=50)
    first.update(rows[60:], groups={"g": tables[0]})
    assert not recwarn.list
    said = "'u' is the same in all rows of a group, but in the new rows it is another for 5 groups, such as b"
    with pytest.warns(pw.PoolwiseWarning, match=said):
        first.update(rows[60:], groups={"g": tables[1]})
    second = pw.fit("y ~ u + (1 | g)", rows[60:], groups={"g": tables[1]}, seed=1, draws=50)
    with pytest.warns(pw.PoolwiseWarning, match=said):
        pw.merge(first, second)


def test_the_sampler_that_was_asked_for_draws_again(rows, tmp_path):
    fit = pw.fit("y ~ z + (1 | g)", rows, seed=1, draws=100, sampler="nuts")
    assert fit.update(rows).outcome.sampler == "nuts"
    fit.save(tmp_path / "fit.poolwise")
    assert pw.load(tmp_path / "fit.poolwise").update(rows).outcome.sampler == "nuts"
