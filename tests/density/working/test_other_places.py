"""Groups that a Student-t likelihood may pull to two places, of which draws know one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.density.working import other_places
from poolwise.density.working.concavity import looks_concave
from poolwise.families.student import STUDENT


def far_group(spread, at, rows, nu, shift=0.0, scale=1.0):
    """Ten groups and a small one that is far from them; the shares of both places are known by quadrature."""
    rng = np.random.default_rng(7)
    g, u = np.repeat(np.arange(10), 210), rng.normal(0, spread, 10)
    y = np.r_[u[g] + rng.standard_t(nu, len(g)), at + 0.5 * rng.standard_normal(rows)]
    return pd.DataFrame({"y": shift + scale * y, "g": [f"g{k:02d}" for k in np.r_[g, np.full(rows, 10)]]})


def fitted(data, formula="y ~ 1 + (1 | g)", **more):
    return pw.fit(formula, data, family="student", seed=1, draws=300, **more)


@pytest.mark.parametrize(
    ("data", "sampler", "elsewhere"),
    long_but_for(
        2,
        [
            (far_group(0.5, 15.0, 4, 2.0), "auto", 0.954),  # sampled where the group's rows are outliers
            (far_group(0.5, 15.0, 4, 2.0), "nuts", 0.046),  # and where the group is far
            (far_group(0.3, 20.0, 5, 1.5), "auto", 0.771),
            (far_group(0.3, 30.0, 3, 2.0), "nuts", 0.9999),
        ],
    ),
)
def test_a_place_where_no_draw_is_fails_the_certificate(data, sampler, elsewhere):
    fit = fitted(data, sampler=sampler)
    assert not fit.outcome.passed
    assert "The effect of g g10 may lie elsewhere" in fit.outcome.advice
    odds = np.log(fit.outcome.figures["elsewhere"] / (1 - fit.outcome.figures["elsewhere"]))
    assert odds == pytest.approx(np.log(elsewhere / (1 - elsewhere)), abs=4.5)  # given all else, about


@pytest.mark.parametrize(
    ("further", "sampler"),
    long_but_for(
        lambda further, sampler: (further == "nu ~ 1") == (sampler == "auto"),
        product(["sigma ~ 1", "nu ~ 1"], ["auto", "nuts"]),
    ),
)
def test_a_dispersion_may_be_written_as_an_intercept(further, sampler):
    fit = fitted(far_group(0.5, 15.0, 4, 2.0), ["y ~ 1 + (1 | g)", further], sampler=sampler)
    assert not fit.outcome.passed and "may lie elsewhere" in fit.outcome.advice


def test_a_place_that_hardly_counts_is_not_told():
    fit = fitted(far_group(0.3, 30.0, 3, 2.0))  # a probability of 0.0001
    assert fit.outcome.passed
    assert abs(float(fit.posterior["sd_g"].mean()) - 0.231) < 0.02


def test_of_a_family_that_does_not_say_it_is_looked_up_whether_likelihoods_are_concave():
    """A family of one's own, as it would be written."""
    family = replace(STUDENT, name="heavy tails", concave=None)
    data = far_group(0.5, 15.0, 4, 2.0)
    fit = pw.fit("y ~ 1 + (1 | g)", data, family=family, seed=1, draws=300)
    assert not fit.outcome.passed and "may lie elsewhere" in fit.outcome.advice


@pytest.mark.parametrize("family", long_but_for(1, ["exgaussian", "asymmetric_laplace"]))
def test_concave_likelihoods_are_seen_to_be_so(monkeypatch, family):
    seen = []
    monkeypatch.setattr(other_places, "looks_concave", lambda *of: seen.append(looks_concave(*of)) or seen[-1])
    pw.fit("y ~ 1 + (1 | g)", far_group(0.5, 3.0, 4, 5.0), family=family, seed=1, draws=100)
    assert seen == [True]


def test_units_zero_and_order_play_no_part():
    plain = fitted(far_group(0.5, 15.0, 4, 2.0)).outcome.figures["elsewhere"]
    moved = far_group(0.5, 15.0, 4, 2.0, shift=1e4, scale=1e3).sample(frac=1.0, random_state=1)
    moved["g"] = "z" + (99 - moved["g"].str[1:].astype(int)).astype(str)
    assert fitted(moved).outcome.figures["elsewhere"] == pytest.approx(plain, abs=0.05)


@pytest.mark.parametrize("seed", long_but_for(2, range(6)))
def test_outliers_and_small_groups_alone_are_no_second_place(seed):
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, rng.poisson(rng.choice([3, 12, 40], 30)))
    g = np.repeat(np.arange(30), sizes)
    y = 100 + rng.normal(0, 0.7, 30)[g] + rng.standard_t(2.5, len(g))
    fit = fitted(pd.DataFrame({"y": y, "g": g}))
    assert "elsewhere" not in fit.outcome.figures
