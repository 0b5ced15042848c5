"""Explanations of groups against the textbook's formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.evaluate.explain import _singular, _source


def frame():
    rng = np.random.default_rng(2)
    sizes = [1, 2, 4, 8, 40]
    g = np.repeat(np.arange(5), sizes)
    floor = (rng.random(55) < 0.4).astype(float)
    floor[g == 1] = 0.0
    y = 1 + rng.normal(size=5)[g] * 0.6 - 0.5 * floor + rng.normal(size=55)
    return pd.DataFrame({"y": y, "floor": floor, "g": np.array(list("abcde"))[g]})


def test_shares_and_tipping_points_are_the_textbook_s():
    fit = pw.fit("y ~ floor + (1 | g)", frame(), seed=1)
    theta = fit.result.theta.reshape(-1, 2)
    ratio = np.exp(2 * (theta[:, 1] - theta[:, 0]))  # sigma^2 / tau^2

    def own(rows):
        return np.mean(rows / (rows + ratio))

    for label, rows in zip("abcde", [1, 2, 4, 8, 40], strict=True):
        found = fit.explain(label)
        assert found.rows == rows
        assert found.shares[0].own == pytest.approx(own(rows), abs=1e-9)
        needed = next(m for m in range(1000) if own(rows + m) >= 0.5)
        assert found.shares[0].tipping == needed
    assert "its own data outweigh the pool" in fit.explain("e").text


def test_the_sentence_names_what_a_group_lacks():
    fit = pw.fit("y ~ floor + (floor || g)", frame(), seed=1)
    found = fit.explain("b", noun="houses", words={"floor": "on the first floor"})
    assert found.text.startswith("b: 2 houses, none on the first floor; intercept ")
    assert "slope of floor 100% pool" in found.text
    assert "no number of such houses would tell its slope of floor" in found.text
    assert not found.shares[1].told
    assert found.shares[1].tipping is None
    assert fit.explain("a", noun="houses").text.startswith("a: 1 house")
    assert repr(found) == found.text


def test_several_factors():
    data = frame().assign(h=np.arange(55) % 6)
    fit = pw.fit("y ~ floor + (1 | g) + (1 | h)", data, seed=1, draws=200)
    for by in ("g", "h"):
        table = fit.group_coefficients(by)
        label = table[by][0]
        found = fit.explain(label, by)
        assert found.shares[0].own == pytest.approx(1 - table["shrinkage"][0], abs=0.02)
        if found.shares[0].tipping:
            assert found.shares[0].own < 0.5
    with pytest.raises(pw.DataError, match="say which"):
        fit.explain("a")


def test_bad_questions():
    fit = pw.fit("y ~ floor + (1 | g)", frame(), seed=1, draws=50)
    with pytest.raises(pw.DataError, match="no group 'z'"):
        fit.explain("z")
    with pytest.raises(pw.DataError, match="no groups"):
        pw.fit("y ~ floor", frame(), seed=1, draws=50).explain("a")
    pooling = pw.compare_pooling("y ~ floor", by="g", data=frame(), seed=1, folds=0, draws=50)
    with pytest.raises(pw.DataError, match="partially pooled"):
        pooling.separate.explain("a")


@pytest.mark.parametrize(("at", "found"), [(1, 1), (9_000, 9_000), (10_000, 10_000), (10_001, None)])
def test_tipping_points_are_found_up_to_the_last_one(at, found):
    from poolwise.evaluate.explain import _tipping_point

    rows = 100
    curve = lambda times: np.array([0.5 if times * rows - rows >= at - 0.5 else 0.1])  # noqa: E731
    assert _tipping_point(curve, 0, rows, 0.1, True) == found


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (0.497, "49.7% own data, 50.3% pool"),
        (0.49999, "50.0% own data"),
        (0.5, "50% own data, 50% pool"),
        (0.002, "under 1% own data, over 99% pool"),
        (0.998, "over 99% own data, under 1% pool"),
        (0.0, "100% pool"),
        (1.0, "100% own data"),
        (0.76, "76% own data, 24% pool"),
    ],
)
def test_shares_say_no_more_than_is_so(own, said):
    assert _source(own).startswith(said)


def test_one_of_several_things():
    plurals = ("rows", "studies", "classes", "houses", "patients", "dishes", "data")
    assert [_singular(noun) for noun in plurals] == ["row", "study", "class", "house", "patient", "dish", "data"]
