"""Translations, run in the systems that they are for."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import poolwise as pw

RSCRIPT = shutil.which("Rscript")


def frame(rows=150, groups=10):
    rng = np.random.default_rng(4)
    g, x = rng.integers(0, groups, rows), rng.normal(size=rows)
    z = rng.choice(["a", "b", "c"], rows)
    level, slope = rng.normal(size=groups), 0.5 + 0.4 * rng.normal(size=groups)
    y = 1 + (z == "b") + level[g] + slope[g] * x + rng.normal(size=rows)
    h = rng.integers(0, 4, rows)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": [f"g{i}" for i in g], "h": h, "o": 0.5 * x, "n": 1.0 + h})


def fitted(formula, **more):
    return pw.fit(formula, frame(), seed=1, **more)


def built(fit, system, data=None):
    """What `build` of a translation makes of the data."""
    names: dict[str, object] = {"__name__": "translated"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(fit.as_code(system), names)
        return names["build"](frame() if data is None else data)


PRIORS = {
    "Intercept": pw.Normal(0, 2), "x": pw.StudentT(4, 0, 1), "sd": pw.HalfCauchy(0.7), "sigma": pw.Exponential(0.5),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("priors", [PRIORS, {}], ids=["set, at zero", "default, at the centre"])
def test_the_density_of_pymc_is_ours_up_to_a_constant(priors):
    """At random points, term by term; PyMC's LKJ density is not normalised in the same way."""
    data = frame().assign(x=frame().x + 5)
    fit = pw.fit("y ~ x + z + offset(o) + (1 + x | g) + (1 | h)", data, priors=priors, weights="n", draws=50, seed=1)
    assert any(fit.result.model.priors.at_zero) == bool(priors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = built(fit, "pymc", data)
        theirs = model.compile_logp(mode="FAST_COMPILE")
        wanted = [model[name] for name in ("beta", "u_g", "u_h")]
        inside = model.compile_fn(
            model.replace_rvs_by_values(wanted), inputs=model.value_vars, mode="FAST_COMPILE", on_unused_input="ignore"
        )
        rng = np.random.default_rng(1)
        apart = []
        for _ in range(4):
            start = model.initial_point().items()
            point = {name: value + 0.7 * rng.normal(size=np.shape(value)) for name, value in start}
            apart.append(float(theirs(point)) - by_hand(fit.result.model, data, point, *inside(point)))
    np.testing.assert_allclose(apart, apart[0], atol=1e-6)


def by_hand(model, data, point, beta, u, v) -> float:
    """Log density of the script's unconstrained variables, but for a constant."""
    priors, design = model.priors, model.design
    sds = [np.exp(point[f"sd_{effect}_log__"]) for effect in ("g[Intercept]", "g[x]", "h[Intercept]")]
    sigma = np.exp(point["sigma_log__"])
    stated = u @ np.linalg.inv(priors.from_stated[:2, :2]).T
    root = np.linalg.lstsq(point["z_g"], stated / sds[:2], rcond=None)[0].T
    value = sum(
        stats.norm.logpdf(b, prior.mean, prior.sd)
        if isinstance(prior, pw.Normal)
        else stats.t.logpdf(b, prior.df, prior.mean, prior.scale)
        for b, prior in zip(priors.rows @ beta, priors.coefficients, strict=True)
    )
    value += sum(float(prior.log_density(sd)) + np.log(sd) for prior, sd in zip(priors.sd, sds, strict=True))
    value += float(priors.sigma.log_density(sigma)) + np.log(sigma)
    value += stats.norm.logpdf(point["z_g"]).sum() + stats.norm.logpdf(point["z_h"]).sum()
    columns = {"Intercept": np.ones(150), "x": data["x"], "z[T.b]": data["z"] == "b", "z[T.c]": data["z"] == "c"}
    x = np.column_stack([columns[name] for name in design.coefficients]).astype(float)
    code = pd.factorize(data["g"], sort=True)[0]
    mu = x @ beta + u[code, 0] + u[code, 1] * data["x"] + v[data["h"], 0] + data["o"]
    value += stats.norm.logpdf(data["y"], mu, sigma / np.sqrt(data["n"])).sum()
    cor = (root @ root.T)[0, 1]
    # LKJ(2) of one correlation, which moves along 2 logistic(t) - 1: density and Jacobian are 1 - cor^2 each.
    return float(value + 2 * np.log(1 - cor**2))


@pytest.mark.long
def test_three_correlated_effects_in_pymc():
    fit = fitted("y ~ x + o + (x + n | g)", draws=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = built(fit, "pymc")
        assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point()))
    assert "LKJCholeskyCov" in fit.as_code("pymc")


@pytest.mark.slow
@pytest.mark.parametrize("system", ["pymc", "bambi"])
def test_posteriors_agree(system):
    fit = fitted("y ~ x + z + (x || g)")
    model = built(fit, system)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if system == "pymc":
            import pymc as pm

            with model:
                draws = pm.sample(1000, chains=2, nuts_sampler="nutpie", random_seed=1, progressbar=False)
            theirs = {name: draws.posterior["beta"].sel(coefficient=name) for name in ("Intercept", "x", "z[T.b]")}
            theirs |= {"sd": draws.posterior["sd_g[Intercept]"], "sigma": draws.posterior["sigma"]}
        else:
            draws = model.fit(draws=1000, chains=2, inference_method="nutpie", random_seed=1, progressbar=False)
            post = draws.posterior
            theirs = {"Intercept": post["Intercept"], "x": post["x"], "z[T.b]": post["z"].isel(z_dim=0)}
            theirs |= {"sd": post["1|g_sigma"], "sigma": post["sigma"]}
    post = fit.posterior
    ours = {name: post["beta"].sel(coefficient=name) for name in ("Intercept", "x", "z[T.b]")}
    ours |= {"sd": post["sd_g"].sel(effect="Intercept"), "sigma": post["sigma"]}
    for name, draws in ours.items():
        spread = float(draws.std())
        assert float(theirs[name].mean()) == pytest.approx(float(draws.mean()), abs=0.15 * spread), name
        assert float(theirs[name].std()) == pytest.approx(spread, rel=0.15), name


@pytest.mark.long
@pytest.mark.skipif(RSCRIPT is None and not os.environ.get("POOLWISE_NEEDS_R"), reason="no R on this machine")
@pytest.mark.parametrize("formula", ["y ~ x + z + (x | g)", "y ~ x + (x || g) + (1 | h)", "y ~ x + z"])
def test_lme4_runs_it_and_agrees(formula, tmp_path):
    frame().to_csv(tmp_path / "data.csv", index=False)
    fit = fitted(formula, priors={"sd": pw.HalfStudentT(3, 10)} if "|" in formula else {})
    last = "write(if (inherits(fit, 'lm')) coef(fit) else fixef(fit), 'out.txt', ncolumns = 1)\n"
    last += "write(names(if (inherits(fit, 'lm')) coef(fit) else fixef(fit)), 'names.txt', ncolumns = 1)\n"
    (tmp_path / "fit.R").write_text(fit.as_code("lme4") + last)
    subprocess.run([RSCRIPT, "fit.R"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    theirs = dict(zip((tmp_path / "names.txt").read_text().split(), np.loadtxt(tmp_path / "out.txt"), strict=True))
    for k, name in enumerate(fit.result.model.design.coefficients):
        there = "(Intercept)" if name == "Intercept" else name.replace("[T.", "").replace("]", "")
        draws = fit.result.beta[..., k]
        assert draws.mean() == pytest.approx(theirs[there], abs=0.2 * draws.std())


@pytest.mark.skipif(RSCRIPT is None and not os.environ.get("POOLWISE_NEEDS_R"), reason="no R on this machine")
def test_brms_code_is_r(tmp_path):
    code = fitted("y ~ x + z + (x | g) + (1 | h)", priors={"sd": pw.HalfCauchy(1)}, draws=50).as_code("brms")
    (tmp_path / "fit.R").write_text(code)
    subprocess.run([RSCRIPT, "-e", "invisible(parse('fit.R'))"], cwd=tmp_path, check=True, capture_output=True)
    for line in (
        'prior(cauchy(0, 1), class = "sd", group = "g", coef = "x")',
        'prior(lkj(2), class = "cor", group = "g")',
        'class = "b", coef = "zb")',
        'class = "Intercept")',
    ):
        assert line in code
    centred = fitted("y ~ x + z + (x | g) + (1 | h)", draws=50).as_code("brms")
    (tmp_path / "fit.R").write_text(centred)
    subprocess.run([RSCRIPT, "-e", "invisible(parse('fit.R'))"], cwd=tmp_path, check=True, capture_output=True)
    assert "(1 + centred01 | g) + (1 | h)," in centred and 'group = "g", coef = "centred01")' in centred
    frame().to_csv(tmp_path / "data.csv", index=False)
    made = (
        centred[centred.index("data <-") : centred.index("priors <-")]
        + "\nwrite(data$centred01, 'out.txt', ncolumns = 1)"
    )
    (tmp_path / "made.R").write_text(made)
    subprocess.run([RSCRIPT, "made.R"], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "out.txt"), frame().x - frame().x.mean(), rtol=1e-5, atol=1e-7)
    with pytest.raises(pw.DataError, match="default prior of 'x' is on its value at the mean"):
        fitted("y ~ x * o + (1 | g)", draws=50).as_code("brms")
    given = fitted("y ~ x + (1 | g)", priors={"Intercept": pw.Normal(0, 1)}, draws=50).as_code("brms")
    assert "brm(y ~ 0 + Intercept + x + (1 | g)," in given
    assert 'prior(normal(0, 1), class = "b", coef = "Intercept")' in given


def test_what_cannot_be_said_is_refused():
    fit = fitted("y ~ x + (x | g)", draws=50)
    with pytest.raises(pw.DataError, match="no translation for 'stan'.*brms"):
        fit.as_code("stan")
    with pytest.raises(pw.DataError, match="no correlated group effects"):
        fit.as_code("bambi")
    weighted = fitted("y ~ x + (1 | g)", weights="n", draws=50)
    for system in ("bambi", "brms"):
        with pytest.raises(pw.DataError, match="Weights mean something else"):
            weighted.as_code(system)
    assert "weights = n" in weighted.as_code("lme4")
    with pytest.raises(pw.DataError, match="may mean something else in lme4"):
        fitted("y ~ bs(x, df=4) + (1 | g)", draws=50).as_code("lme4")
    pooling = pw.compare_pooling("y ~ x", by="g", data=frame(), seed=1, folds=0, draws=50)
    with pytest.raises(pw.DataError, match="many models"):
        pooling.separate.as_code("pymc")


def test_names_in_other_systems():
    from poolwise.output.translate.common import brms_coefficient

    names = {
        "z[T.b]": "zb", "z[a]": "za", "z[a]:x": "za:x", "C(h)[T.1.0]": "factorh1", "scale(x)": "scalex",
        "poly(x, 2)[1]": "polyx21", "I(x ** 2)": "IxE2", "Intercept": "Intercept",
        "I(x - 1)": "IxM1", "scale(x, center=True)": "scalexcenterEQTRUE", "z[T.a-b & c/d]": "zaMb&cDd",
        "b[T.True]": "bTrue", "k[T.(0.5, 9.0]]:x": "k0.59.0:x",
    }  # fmt: skip
    assert {name: brms_coefficient(name) for name in names} == names
    code = fitted("y ~ z * x + (1 | g)", draws=50, priors={"slopes": pw.Normal(0, 1)}).as_code("bambi")
    assert "'z:x': bmb.Prior('Normal', mu=0, sigma=1)" in code
    with pytest.raises(pw.DataError, match="may mean something else in Bambi"):
        fitted("y ~ np.log(n) + (1 | g)", draws=50).as_code("bambi")
