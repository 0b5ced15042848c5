"""Default priors that are made wider or narrower by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, 9, 200), 5 + rng.normal(size=200)
    y = 1 + 0.5 * x + rng.normal(size=9)[g] + 0.3 * rng.normal(size=9)[g] * x + rng.normal(size=200)
    return pd.DataFrame({"y": y, "x": x, "g": g, "level": rng.integers(0, 4, 200)})


@pytest.fixture(scope="module")
def plain(frame):
    return pw.fit("y ~ x + (x | g)", frame, draws=8, seed=1)


def words(frame, priors, formula="y ~ x + (x | g)"):
    return pw.fit(formula, frame, priors=priors, draws=8, seed=1).priors


@pytest.mark.parametrize("term", ["x", "Intercept", "slopes", "sigma", "sd", "sd_g", "sd_g[x]", "sd_g[Intercept]"])
def test_a_default_as_wide_again_is_that_of_sensitivity(frame, plain, term):
    wide = pw.fit("y ~ x + (x | g)", frame, priors={term: pw.Default(3)}, draws=8, seed=1)
    assert dict(wide.priors) == plain.result.model.priors.widened(term, 3.0).words()
    assert wide.result.model.priors.at_zero == plain.result.model.priors.at_zero
    assert dict(words(frame, {term: pw.Default()})) == dict(plain.priors)


def test_the_most_specific_name_wins(frame):
    usual = words(frame, {})
    found = words(frame, {"sd": pw.HalfNormal(1), "sd_g[x]": pw.Default(2)})
    assert found["sd_g[Intercept]"].startswith("half-Normal(sd 1)")
    of_slope, usual_slope = (float(each["sd_g[x]"].split("scale ")[1].split(")")[0]) for each in (found, usual))
    assert of_slope == pytest.approx(2 * usual_slope, rel=1e-3)
    both = words(frame, {"slopes": pw.Default(2), "x": pw.Normal(0, 7)})
    assert both["x"] == "Normal(mean 0, sd 7)"


def test_curves_series_and_steps_have_defaults_too(frame):
    usual = words(frame, {}, "y ~ s(x) + mo(level)")
    found = words(frame, {"sd_s(x)": pw.Default(2), "mo(level)": pw.Default(0.5)}, "y ~ s(x) + mo(level)")
    assert {name for name in usual if usual[name] != found[name]} == {"sd_s(x)", "mo(level)"}


def test_a_fit_remembers_that_its_prior_was_the_default(frame, tmp_path):
    fit = pw.fit("y ~ x + (x | g)", frame, priors={"sd": pw.Default(2)}, draws=8, seed=1)
    fit.save(tmp_path / "fit")
    assert pw.load(tmp_path / "fit").result.model.given == {"sd": pw.Default(2)}


def test_what_has_no_width_is_refused(frame):
    for name in ("cor", "cor_g"):
        with pytest.raises(pw.PriorError, match="has no width"):
            words(frame, {name: pw.Default(2)})
    with pytest.raises(pw.PriorError, match="has no width"):
        words(frame, {"simplex_mo(level)": pw.Default(2)}, "y ~ mo(level)")
    with pytest.raises(pw.PriorError, match="times must be a positive"):
        pw.Default(0)
    for kind in (pw.Default, pw.HalfNormal):
        with pytest.raises(pw.PriorError, match="not True"):
            kind(True)
    assert dict(words(frame, {"cor": pw.Default()})) == dict(words(frame, {}))
