"""Fits are compared on the same data only, and no closer than their Monte Carlo errors let them be told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 240
    x, g = rng.normal(size=n), rng.integers(0, 8, n)
    t = rng.exponential(size=n) * np.exp(0.5 * x + 0.3 * np.sin(g))
    return pd.DataFrame(
        {"x": x, "g": g, "t": t, "s": rng.binomial(10, 0.4, n), "m": 10, "more": 40, "w": 2.0, "one": 1.0}
        | {"y": np.log(t), "b": (t > 1) * 1, "late": (np.arange(n) % 3 == 0) * 1}
    )


@pytest.mark.parametrize(
    ("family", "one", "other", "said"),
    long_but_for(
        2,
        [
            ("bernoulli", ("b ~ x", None), ("b ~ x", "w"), "the weight of the log likelihood is 1 and 2"),
            ("binomial", ("s | trials(m) ~ x", None), ("s | trials(more) ~ x", None), "number of trials is 10 and 40"),
            ("exponential", ("t ~ x", None), ("t | cens(late) ~ x", None), "the end of the interval"),
        ],
    ),
)
def test_outcomes_that_count_or_are_known_differently_are_not_compared(rows, family, one, other, said):
    a, b = (pw.fit(f, rows, family=family, weights=w, seed=1, draws=100) for f, w in (one, other))
    with pytest.raises(pw.DataError, match=f"in row 1 .*{said}"):
        pw.compare(a=a, b=b)
    with pytest.raises(pw.DataError, match="adds up to"):
        pw.compare(a=a, b=b, by="g")
    with pytest.raises(pw.DataError, match="different outcomes"):
        pw.bayes_factor(a, b)


def test_weights_that_divide_a_variance_are_no_other_data(rows):
    plain, weighted = pw.fit("y ~ x", rows, seed=1), pw.fit("y ~ x", rows, weights="w", seed=1)
    for by in (None, "g"):
        assert abs(pw.compare(a=plain, b=weighted, by=by).table["elpd_diff"]).max() < 0.5
    assert np.log(pw.bayes_factor(plain, weighted)) == pytest.approx(0.0, abs=0.05)
    tails = pw.fit("y ~ x", rows, family="student", seed=1, draws=200)
    assert len(pw.compare(plain=plain, tails=tails).table) == 2


def test_outcomes_of_one_mean_and_another_spread_are_other_data(rows):
    centred = rows.assign(y=rows["y"] - rows["y"].mean())
    scaled = centred.assign(y=centred["y"] / centred["y"].std())
    with pytest.raises(pw.DataError, match="the square of the outcome is"):
        pw.bayes_factor(pw.fit("y ~ x", centred, seed=1, draws=50), pw.fit("y ~ x", scaled, seed=1, draws=50))
    # A sum that is zero but for rounding is the same in any order of the rows.
    again = centred.sample(frac=1.0, random_state=1)
    assert pw.bayes_factor(*(pw.fit("y ~ x", d, seed=1, draws=50) for d in (centred, again))) == pytest.approx(1, 0.01)


@pytest.mark.long
@pytest.mark.parametrize(
    ("formula", "family"), long_but_for(1, [("y ~ x + (1 | g)", "normal"), ("b ~ x + (1 | g)", "bernoulli")])
)
@pytest.mark.parametrize("by", long_but_for(1, ["g", None]))
def test_a_fit_is_not_worse_than_itself_and_the_error_of_its_elpd_is_known(rows, formula, family, by):
    fits = [pw.fit(formula, rows, family=family, seed=seed, draws=500) for seed in range(6)]
    records = [fit.loo(by=by) for fit in fits]
    spread = np.std([one.elpd for one in records], ddof=1)
    stated = np.median([one.error for one in records])
    assert stated / 4 < spread < 4 * stated  # of six numbers; units that were refitted have errors of their own
    assert "Monte Carlo error of elpd" in repr(records[0])
    for other in fits[1:]:
        assert "clearly worse" not in pw.compare(fits[0], other, by=by).verdict


def test_a_fit_that_is_worse_by_far_is_said_to_be(rows):
    found = pw.compare(with_x=pw.fit("y ~ x", rows, seed=1), without=pw.fit("y ~ 1", rows, seed=1))
    assert "without (" in found.verdict
    assert "clearly worse" in found.verdict


def test_the_error_is_that_of_a_mean_of_reciprocals():
    """Against the spread over many sets of draws, of which units share each."""
    from poolwise.evaluate.loo.importance_weights import left_out, monte_carlo_error

    rng = np.random.default_rng(1)
    totals, errors = [], []
    for _ in range(300):
        z = rng.standard_normal((1000, 1))
        density = -0.5 * np.square(0.3 * z - np.linspace(-0.5, 0.5, 10))
        elpd, weights, shapes = left_out(density)
        totals.append(elpd.sum())
        errors.append(monte_carlo_error(weights, shapes, np.ones(10, dtype=bool)))
    assert np.std(totals) == pytest.approx(np.mean(errors), rel=0.15)
