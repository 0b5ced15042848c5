"""Translations of families: log densities of PyMC and Bambi against those of poolwise; brms by its text."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from tests.selection import long_but_for

import poolwise as pw
from poolwise.families import FAMILIES, locations
from poolwise.output.translate.families import ELSEWHERE

RSCRIPT = shutil.which("Rscript")
OUTCOMES = {
    "gaussian": "real", "student": "real", "bernoulli": "bin", "binomial": "succ | trials(n)",
    "beta_binomial": "succ | trials(n)", "zero_inflated_binomial": "succ | trials(n)", "gamma": "pos",
    "lognormal": "pos", "exponential": "pos", "weibull": "pos", "beta": "share", "hurdle_gamma": "semi",
    "hurdle_lognormal": "semi", "cumulative": "level", "cumulative_equidistant": "level", "sratio": "level",
    "acat": "level", "categorical": "brand", "wiener": "time | dec(choice)", "shifted_lognormal": "time",
    "exgaussian": "real", "inverse_gaussian": "pos", "skew_normal": "real", "asymmetric_laplace": "real",
    "von_mises": "angle", "zero_one_inflated_beta": "ends",
}  # fmt: skip
# Formulas beside that of the mean; of the last parameter for others.
FURTHER = {
    "cumulative": ["disc ~ 0 + x"], "cumulative_equidistant": [], "sratio": ["shift2 ~ 1"], "acat": ["disc ~ 0 + x"],
    "categorical": [], "wiener": ["bs ~ x + (1 | g)"], "asymmetric_laplace": ["sigma ~ x + (1 | g)", "quantile = 0.8"],
    "shifted_lognormal": ["sigma ~ x + (1 | g)"],
}  # fmt: skip
NOT_IN_BAMBI = {
    "geometric": "no family of counts", "lognormal": "no log-normal", "weibull": "log of the Weibull scale",
    "cumulative": "distances between thresholds", "cumulative_equidistant": "distances between thresholds",
    "sratio": "distances between thresholds", "acat": "adjacent", "categorical": "independent in Bambi",
    "wiener": "HSSM has", "shifted_lognormal": "no log-normal", "exgaussian": "exponential parts",
    "skew_normal": "no skew normal", "asymmetric_laplace": "at a given quantile",
    "zero_one_inflated_beta": "zeros and ones",
}  # fmt: skip


def frame(n=40):
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=n) + 2, "g": rng.integers(0, 4, n), "w": rng.integers(1, 4, n) * 1.0})
    data = data.assign(n=rng.integers(3, 9, n), real=rng.normal(size=n), pos=rng.gamma(2, 1, n))
    data = data.assign(share=rng.beta(2, 3, n), count=rng.poisson(2, n), bin=rng.integers(0, 2, n))
    data["succ"] = rng.binomial(data["n"], 0.4)
    data["semi"] = np.where(data["bin"] == 1, data["pos"], 0.0)
    data = data.assign(word=np.where(data["bin"] == 1, "yes", "no"), level=rng.integers(1, 5, n))
    data = data.assign(brand=rng.choice(["own", "known", "cheap"], n), angle=rng.uniform(-3, 3, n))
    data = data.assign(time=rng.gamma(3, 0.3, n) + 0.2, choice=np.where(rng.random(n) < 0.6, "upper", "lower"))
    data["ends"] = np.where(data["n"] < 4, 0.0, np.where(data["n"] > 7, 1.0, data["share"]))
    data["seen"] = rng.choice(["none", "right", "left", "interval"], n, p=[0.4, 0.2, 0.2, 0.2])
    data["edge"] = np.where((data["seen"] == "interval") | (data["count"] == 0), "none", data["seen"])
    return data.assign(
        late=np.where(data["seen"] == "interval", data["pos"] + 1, np.nan), most=data["count"] + 2, h=np.arange(n) % 3
    )


def fitted(family, effects="(x || g)", **more):
    """A fit with a formula for the last parameter, and the others shared."""
    last = FURTHER.get(family, [f"{each.name} ~ x + (1 | g)" for each in FAMILIES[family].parameters[-1:]])
    formulas = [f"{OUTCOMES.get(family, 'count')} ~ x + {effects}", *last]
    return pw.fit(formulas, frame(), family=family, seed=1, draws=8, chains=1, **more)


def built(fit, system):
    names: dict[str, object] = {"__name__": "translated"}
    exec(fit.as_code(system), names)
    return names["build"](frame())


def log_density(fit, beta, effects, spreads, dispersions):
    """At coefficients as written, effects by factor, their sds and shared dispersions; over logs of positive ones."""
    model, rows = fit.result.model, fit.rows
    value = sum(
        norm.logpdf(at, prior.mean, prior.sd)
        for at, prior in zip(model.priors.rows @ beta, model.priors.coefficients, strict=True)
    )
    value += sum(p.log_density(sd) + np.log(sd) for p, sd in zip(model.priors.sd, spreads, strict=True))
    value += sum(
        prior.log_density(dispersions[k]) + np.log(dispersions[k]) for k, prior in model.priors.dispersions.items()
    )
    columns = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    linear = {}
    for name, _ in model.design.formula.predictors:
        mine = np.array([of == name for of in model.design.predictors])
        linear[name] = columns @ model.design.common_map[:, mine] @ beta[mine]
    for factor, u in zip(model.design.factors, effects, strict=True):
        added = columns @ factor.group_map * u[factor.codes[rows.codes]]
        for of in set(factor.predictors):
            linear[of] = linear[of] + added[:, factor.part_of(of)].sum(axis=1)
    family, fixed = model.family, model.family.fixed(model.design.formula.fixed)
    shared = fixed | {each: np.log(at) for each, at in dispersions.items()}
    others = [
        linear[each.name] if each.name in linear else np.full(len(columns), shared[each.name])
        for each in family.parameters
    ]
    counted = rows.precisions
    if family.precise:
        place = family.predictors.index(family.precise) - 1
        others[place], counted = others[place] - 0.5 * np.log(counted), 1.0
    trials = np.ones(len(columns)) if rows.trials is None else rows.trials
    at = (locations(model.link, linear[""]), *others)
    known = family.log_density(rows.response, trials, *at)
    if rows.limits is not None:
        lower, upper, lb, ub = rows.limits
        hidden = family.log_interval(np.where(rows.observed, 0.0, lower), np.where(rows.observed, 1.0, upper), *at)
        cut = np.isfinite(lb) | np.isfinite(ub)
        bound = family.log_interval(np.where(cut, lb, -1.0), np.where(cut, ub, np.inf), *at)
        known = np.where(rows.observed, known, hidden) - np.where(cut, bound, 0.0)
    return value + float(np.sum(counted * known))


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "link"),
    [*((name, None) for name in ELSEWHERE), ("bernoulli", "cloglog"), ("binomial", "probit"), ("student", "log")],
)
def test_the_density_of_pymc_is_ours(family, link):
    """Normalised, at random points, with weights; effects of (x || g) and of a parameter's own formula."""
    fit = fitted(family, weights="w", link=link)
    ours = fit.result.model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = built(fit, "pymc")
        theirs = model.compile_logp(mode="FAST_COMPILE")
        names = ["beta", *(f"u_{factor.name}" for factor in ours.design.factors), *ours.priors.dispersions]
        inside = model.compile_fn(
            model.replace_rvs_by_values([model[name] for name in names]),
            inputs=model.value_vars, mode="FAST_COMPILE", on_unused_input="ignore",
        )  # fmt: skip
    rng = np.random.default_rng(1)
    for _ in range(2):
        start = model.initial_point().items()
        point = {name: value + 0.4 * rng.normal(size=np.shape(value)) for name, value in start}
        beta, *rest = inside(point)
        effects, dispersions = rest[: len(ours.design.factors)], rest[len(ours.design.factors) :]
        sds = [np.exp(point[f"sd_{factor}[{effect}]_log__"]) for factor, effect in ours.priors.layout.effects]
        expected = log_density(fit, beta, effects, sds, dict(zip(ours.priors.dispersions, dispersions, strict=True)))
        expected += sum(norm.logpdf(point[f"z_{factor.name}"]).sum() for factor in ours.design.factors)
        assert float(theirs(point)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "family",
    long_but_for(
        "bernoulli".__eq__,
        [name for name in ELSEWHERE if name not in NOT_IN_BAMBI],
    ),
)
def test_the_density_of_bambi_is_ours(family):
    link = "identity" if family == "von_mises" else None  # of angles Bambi has no other
    same_as_bambi(fitted(family, "(1 | g)", link=link))


@pytest.mark.parametrize("status", long_but_for("1 - bin".__eq__, ["edge", "1 - bin"]))
def test_the_density_of_bambi_is_ours_where_outcomes_are_censored(status):
    formulas = [f"pos | cens({status}) ~ x + (1 | g)", "shape ~ x + (1 | g)"]
    same_as_bambi(pw.fit(formulas, frame(), family="gamma", seed=1, draws=8, chains=1))


def same_as_bambi(fit):
    family = fit.result.model.family.name
    ours, theirs_of = fit.result.model, ELSEWHERE[family].bambi
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bambi = built(fit, "bambi")
        bambi.build()
        model = bambi.backend.model
        theirs = model.compile_logp(mode="FAST_COMPILE")
    rng = np.random.default_rng(1)
    point = {name: value + 0.4 * rng.normal(size=np.shape(value)) for name, value in model.initial_point().items()}
    stated, effects, sds, offsets = [], [], [], 0.0
    for name, _ in ours.design.formula.predictors:
        prefix, sign = (f"{theirs_of.parameters[name]}_" if name else ""), (-1 if name in theirs_of.turned else 1)
        stated += [sign * float(np.squeeze(point[f"{prefix}{term}"])) for term in ("Intercept", "x")]
        sds.append(float(np.exp(point[f"{prefix}1|g_sigma_log__"])))
        offsets += norm.logpdf(point[f"{prefix}1|g_offset"]).sum()
        effects.append(sign * sds[-1] * point[f"{prefix}1|g_offset"][:, None])
    beta = np.linalg.solve(ours.priors.rows, stated)
    dispersions = {
        name: float(np.exp(point[f"{theirs_of.parameters[name]}_log__"])) for name in ours.priors.dispersions
    }
    expected = log_density(fit, beta, effects, sds, dispersions) + offsets
    assert float(theirs(point)) == pytest.approx(expected, abs=1e-5)


def test_every_family_has_words_in_other_systems():
    assert set(ELSEWHERE) == set(FAMILIES)


@pytest.mark.long
@pytest.mark.skipif(RSCRIPT is None and not os.environ.get("POOLWISE_NEEDS_R"), reason="no R on this machine")
def test_brms_code_of_families_is_r(tmp_path):
    codes = []
    for family in ELSEWHERE:
        if family not in ("student", "wiener"):
            weights = {} if FAMILIES[family].precise else {"weights": "w"}
            codes.append(fitted(family, **weights).as_code("brms"))
    codes += [hidden(*HIDDEN[name]).as_code("brms") for name in HIDDEN if name not in NOT_IN_BRMS]
    for i, code in enumerate(codes):
        (tmp_path / f"{i}.R").write_text(code)
    parse = "for (file in list.files(pattern = 'R$')) invisible(parse(file))"
    subprocess.run([RSCRIPT, "-e", parse], cwd=tmp_path, check=True, capture_output=True)


def test_brms_has_family_link_parameters_and_priors():
    code = fitted("zero_inflated_negative_binomial").as_code("brms")
    for part in (
        "bf(count ~ x + (x || g),\n  zi ~ x + (1 | g))",
        'family = zero_inflated_negbinomial(link = "log")',
        'class = "Intercept", dpar = "zi")',
        'class = "b", coef = "x", dpar = "zi")',
        'class = "sd", group = "g", coef = "Intercept", dpar = "zi")',
        'prior(cauchy(0, 5), class = "shape")',
    ):
        assert part in code
    binomial = pw.fit("(succ, n - succ) ~ x + (1 | g)", frame(), family="binomial", link="probit", draws=8, seed=1)
    code = binomial.as_code("brms")
    assert "data$trials <- with(data, (succ) + (n - succ))" in code
    assert "brm(succ | trials(trials) ~ x + (1 | g)," in code
    assert 'binomial(link = "probit")' in code
    student = pw.fit("real ~ x", frame(), family="student", draws=8, seed=1).as_code("brms")
    assert 'prior(gamma(2, 0.1), class = "nu")' in student
    assert "brms keeps nu above 1" in student
    set_ = pw.fit("bin ~ x", frame(), family="bernoulli", priors={"Intercept": pw.Normal(0, 1)}, draws=8, seed=1)
    assert "brm(bin ~ 0 + Intercept + x," in set_.as_code("brms")
    weighed = pw.fit("count ~ x", frame(), family="poisson", weights="w", draws=8, seed=1).as_code("brms")
    assert "brm(count | weights(w) ~ x," in weighed
    word = pw.fit("word ~ x", frame(), family="bernoulli", draws=8, seed=1)
    assert 'data$word <- as.integer(data$word == "yes")' in word.as_code("brms")
    for system in ("pymc", "bambi"):
        ast.parse(word.as_code(system))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = built(word, system)
            if system == "bambi":
                model.build()
                model = model.backend.model
            assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point()))


@pytest.mark.parametrize("family", long_but_for("asymmetric_laplace".__ne__, NOT_IN_BAMBI))
def test_what_bambi_cannot_say(family):
    with pytest.raises(pw.DataError, match=NOT_IN_BAMBI[family]):
        fitted(family, "(1 | g)").as_code("bambi")


def test_what_cannot_be_said():
    own = replace(FAMILIES["poisson"], name="mine")
    with pytest.raises(pw.DataError, match="'mine' is one of your own"):
        pw.fit("count ~ x", frame(), family=own, draws=8, seed=1).as_code("pymc")
    with pytest.raises(pw.DataError, match="add 'p_outlier = 0' to the formulas"):
        fitted("wiener").as_code("brms")
    with pytest.raises(pw.DataError, match="may also lie outside of the bounds"):
        hidden(*HIDDEN["intervals and bounds"]).as_code("brms")
    with pytest.raises(pw.DataError, match="each category has its own effect"):
        hidden(*HIDDEN["effects by category"]).as_code("brms")
    with pytest.raises(pw.DataError, match="that several formulas share are at the mean"):
        hidden(*HIDDEN["several formulas"]).as_code("brms")
    with pytest.raises(pw.DataError, match="that several formulas share"):
        hidden(["real ~ x + (1 | p | g)", "sigma ~ (1 | p | g)"], "gaussian").as_code("bambi")
    with pytest.raises(pw.DataError, match="cannot fix 'sigma'"):
        hidden(["real ~ x", "sigma = 1"], "gaussian").as_code("bambi")
    with pytest.raises(pw.DataError, match="no intervals, no censored counts"):
        hidden(["count | cens(edge) ~ x"], "poisson").as_code("bambi")
    with pytest.raises(pw.DataError, match="brms has another link for 'nu'"):
        fitted("student").as_code("brms")
    with pytest.raises(pw.DataError, match="Weights mean something else in brms"):
        fitted("gaussian", weights="w").as_code("brms")
    with pytest.raises(pw.DataError, match="Weights mean something else in Bambi"):
        fitted("poisson", "(1 | g)", weights="w").as_code("bambi")
    with pytest.raises(pw.DataError, match="speaks of the normal family"):
        fitted("poisson").as_code("lme4")
    with pytest.raises(pw.DataError, match="no link 'sqrt'"):
        pw.fit("count ~ x", frame(), family="poisson", link="sqrt", draws=8, seed=1).as_code("bambi")


HIDDEN = {
    "intervals and bounds": (["pos | cens(seen, late) + trunc(lb=0.001, ub=50) ~ x + (1 | g)"], "weibull"),
    "far tails": (["pos | cens(edge) ~ x + (1 | g)", "shape = 9"], "weibull"),
    "counts": (["count | cens(edge) + trunc(lb=0, ub=30) ~ x + (1 | g)"], "negative_binomial"),
    "truncated counts": (["count | trunc(ub=most) ~ x + (1 | g)"], "poisson"),
    "weighted": (["pos | cens(seen, late) + weights(w) ~ x + (1 | g)"], "lognormal"),
    "normal": (["real | cens(1 - bin) ~ x + (1 | g)", "sigma ~ x"], "gaussian"),
    "known errors": (["real | se(w) ~ x + (1 | g)"], "gaussian"),
    "a residual beside errors": (["real | se(w, sigma=True) ~ x + (1 | g)"], "gaussian"),
    "a known share": (["time | dec(choice) ~ x", "p_outlier = 0", "ndt ~ 1 + (1 | g)"], "wiener"),
    "effects by category": (["level ~ x + cs(x) + (1 | g)"], "sratio"),
    "several formulas": (
        ["real ~ x + (0 + x | g) + (1 | p | g) + (1 | q | h)", "sigma ~ x + (x | p | g) + (1 | q | h)"],
        "gaussian",
    ),
    "correlated choices": (["brand ~ x + (1 | g)"], "categorical"),
}  # fmt: skip


NOT_IN_BRMS = {"intervals and bounds", "counts", "effects by category", "several formulas"}


def hidden(formulas, family):
    return pw.fit(formulas, frame(), family=family, seed=1, draws=8, chains=1)


@pytest.mark.parametrize(
    "name",
    long_but_for(("far tails", "known errors").__contains__, HIDDEN),
)
def test_the_density_of_pymc_is_ours_where_more_is_said_of_outcomes(name):
    fit, data = hidden(*HIDDEN[name]), frame()
    ours = fit.result.model
    names: dict[str, object] = {"__name__": "translated"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(fit.as_code("pymc"), names)
        model = names["build"](data)
        theirs = model.compile_logp(mode="FAST_COMPILE")
        inner = ["beta", *(f"u_{factor.name}" for factor in ours.design.factors), *ours.priors.dispersions]
        inside = model.compile_fn(
            model.replace_rvs_by_values([model[each] for each in inner]),
            inputs=model.value_vars, mode="FAST_COMPILE", on_unused_input="ignore",
        )  # fmt: skip
        rng, apart = np.random.default_rng(1), []
        for _ in range(3):
            start = model.initial_point().items()
            point = {
                each: value + (0.0 if each.startswith("cor_") else 0.3) * rng.normal(size=np.shape(value))
                for each, value in start
            }
            beta, *rest = inside(point)
            effects, dispersions = rest[: len(ours.design.factors)], rest[len(ours.design.factors) :]
            sds = [np.exp(point[f"sd_{factor}[{effect}]_log__"]) for factor, effect in ours.priors.layout.effects]
            expected = log_density(
                fit, beta, effects, sds, dict(zip(ours.priors.dispersions, dispersions, strict=True))
            )
            expected += sum(norm.logpdf(point[f"z_{factor.name}"]).sum() for factor in ours.design.factors)
            apart.append(float(theirs(point)) - expected)
    np.testing.assert_allclose(apart, apart[0], atol=1e-5)  # densities of correlations stay the same
    if not any(factor.correlated for factor in ours.design.factors):
        assert apart[0] == pytest.approx(0.0, abs=1e-5)
