"""The same fit under wider and narrower priors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw

PRIORS = {"Intercept": pw.Normal(0, 3), "x": pw.Normal(0, 0.5), "sd": pw.HalfNormal(0.5), "sigma": pw.Exponential(1)}


def frame(rows=40, groups=8):
    rng = np.random.default_rng(3)
    g, x = rng.integers(0, groups, rows), rng.normal(size=rows)
    y = 1 + 0.5 * x + rng.normal(size=groups)[g] + rng.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def fitted(**priors):
    return pw.fit("y ~ x + (1 | g)", frame(), priors=PRIORS | priors, seed=1)


@pytest.mark.parametrize(
    ("term", "wider"),
    long_but_for(2, [("sd", pw.HalfNormal(2.0)), ("x", pw.Normal(0, 2.0)), ("sigma", pw.Exponential(0.25))]),
)
def test_every_scale_is_the_fit_with_that_prior(term, wider):
    found = fitted().sensitivity(term, [0.25, 4.0])
    assert sorted(found.table["times"].unique()) == [0.25, 1.0, 4.0]
    direct = fitted(**{term: wider})
    mine = found.table[found.table["times"] == 4.0].set_index("quantity")
    post = direct.posterior
    assert mine.loc["beta[x]", "mean"] == pytest.approx(float(post["beta"][..., 1].mean()), abs=0.01)
    assert mine.loc["sd_g[Intercept]", "mean"] == pytest.approx(float(post["sd_g"].mean()), rel=0.03)
    order = np.argsort(-direct.result.offsets(direct.result.model.design.factor()).mean()[:, 0])
    ranks = found.ranks[found.ranks["times"] == 4.0].set_index("g")["rank"]
    assert ranks[order[0]] == 1


def test_conclusions_say_where_they_change():
    found = fitted().sensitivity("x", [0.01, 0.1, 10.0])
    lines = found.table[found.table["quantity"] == "beta[x]"]
    sure = (lines["5%"] > 0) | (lines["95%"] < 0)
    assert not sure.iloc[0]
    assert sure.iloc[-1]
    said = next(line for line in found.conclusions if line.startswith("beta[x]"))
    assert "open at 0.01" in said
    assert "so many times as wide" in repr(found)


def test_chosen_groups_and_bad_terms():
    fit = fitted()
    assert set(fit.sensitivity("sd", [2.0], groups=[3, 5]).ranks["g"]) == {3, 5}
    with pytest.raises(pw.PriorError, match="no term 'sdd'.*'sd'"):
        fit.sensitivity("sdd")
    with pytest.raises(pw.DataError, match="positive"):
        fit.sensitivity("sd", [0.0])
    assert not len(pw.fit("y ~ x", frame(), seed=1, draws=50).sensitivity("sigma", [2.0]).ranks)


def test_all_kinds_of_priors_widen():
    for prior in (pw.HalfCauchy(2.0), pw.HalfNormal(2.0), pw.HalfStudentT(3, 2.0), pw.Exponential(0.5)):
        wide, x = prior.widened(3.0), np.array([0.3, 2.0])
        np.testing.assert_allclose(wide.log_density(3 * x), prior.log_density(x) - np.log(3))
    assert pw.Normal(1.0, 2.0).widened(3.0) == pw.Normal(1.0, 6.0)
    assert pw.StudentT(4, 1.0, 2.0).widened(3.0) == pw.StudentT(4, 1.0, 6.0)


def test_a_sign_that_turns_is_said_to():
    from poolwise.evaluate.sensitivity import _sign

    table = pd.DataFrame(
        {"times": [0.5, 1.0, 2.0], "quantity": "x", "mean": [-1.0, 0.5, 1.0], "sd": 0.1}
        | {"5%": [-1.2, 0.3, 0.8], "95%": [-0.8, 0.7, 1.2]}
    )
    said = _sign("x", table)
    assert said == "The sign of x turns: it is negative at 0.5, and positive at 1, 2 times the prior's width."
