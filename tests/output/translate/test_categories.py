"""Categories of predictors in scripts, and columns of the scripts' own beside those of the data."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw

RSCRIPT = shutil.which("Rscript")
NEEDS_R = pytest.mark.skipif(RSCRIPT is None and not os.environ.get("POOLWISE_NEEDS_R"), reason="no R on this machine")
LEVELS = {
    "declared order": pd.CategoricalDtype(["low", "mid", "high"]),
    "text of numbers": ["1", "2", "3"],
    "text with zeros in front": ["01", "1", "10"],
    "declared numbers": pd.CategoricalDtype([3, 1, 2]),
    "truths": [False, True],
    "intervals": [str(one) for one in pd.interval_range(0, 3)],
    "quotes": ['a "b"', "c\\d", "it's"],
}


def frame(levels=LEVELS["declared order"], rows=60):
    rng = np.random.default_rng(5)
    known = list(getattr(levels, "categories", levels))
    z = pd.Series([known[k] for k in rng.integers(0, len(known), rows)])
    z = z.astype(levels) if isinstance(levels, pd.CategoricalDtype) else z
    data = pd.DataFrame({"x": rng.normal(size=rows), "z": z, "g": rng.integers(0, 6, rows)})
    return data.assign(y=data["x"] + np.array([known.index(one) for one in z]) + rng.normal(size=rows), w=1.0)


def fitted(formula, data, **more):
    return pw.fit(formula, data, seed=1, draws=8, chains=1, **more)


def as_read(fit, system, data):
    """The rows as the script reads them from a file, and its names."""
    names: dict[str, object] = {"__name__": "translated"}
    code = fit.as_code(system)
    exec(code, names)
    call = next(line for line in code.splitlines() if "pd.read_csv(" in line).split("build(")[1]
    call = call.rstrip(":")[:-1].replace('"data.csv"', "file")
    return eval(call, {"pd": pd, "file": io.StringIO(data.to_csv(index=False))}), names


def built(fit, system, data):
    rows, names = as_read(fit, system, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return names["build"](rows)


@pytest.mark.parametrize("levels", LEVELS.values(), ids=list(LEVELS))
@pytest.mark.parametrize("term", long_but_for(1, ["z", "C(z)"]))
def test_categories_of_a_file_are_those_of_the_fit(levels, term):
    data = frame(levels)
    fit = fitted(f"y ~ {term} + x + (1 | g)", data, priors={"slopes": pw.Normal(0, 1)})
    known = [str(label) for label in getattr(levels, "categories", levels)]
    assert [name for name in fit.result.model.design.coefficients if "[" in name] == [
        f"{term}[T.{label}]" for label in known[1:]
    ]
    model = built(fit, "pymc", data)
    assert list(model.coords["coefficient"]) == list(fit.result.model.design.coefficients)
    theirs = built(fit, "bambi", data)
    assert [str(label) for label in theirs.components["mu"].design.common.terms["z"].levels] == known[1:]
    x = np.asarray(theirs.components["mu"].design.common.design_matrix, dtype=float)
    wanted = np.column_stack([data["z"].astype(str) == label for label in known[1:]])
    np.testing.assert_array_equal(x[:, 1 : len(known)], wanted.astype(float))


def test_priors_follow_their_categories():
    """And labels are found whether whole numbers come with a decimal point or not."""
    data = frame(LEVELS["declared numbers"])
    fit = fitted("y ~ z + (1 | g)", data, priors={"z[T.1]": pw.Normal(1, 2), "z[T.2]": pw.Normal(3, 4)})
    assert "as_category(data['z'], [3, 1, 2], ordered=True)" in fit.as_code("bambi")
    assert "mu=[1, 3], sigma=[2, 4]" in fit.as_code("bambi")
    code = fit.as_code("brms")
    assert "data$z <- factor(data$z, levels = c(3, 1, 2))" in code
    assert 'prior(normal(1, 2), class = "b", coef = "z1")' in code
    gaps = data.astype({"z": float}).assign(x=np.where(data["x"] > 1, np.nan, data["x"]))
    assert "1.0" in gaps.to_csv()
    assert list(built(fit, "pymc", gaps).coords["coefficient"]) == ["Intercept", "z[T.1]", "z[T.2]"]
    with pytest.raises(ValueError, match="'z' holds other categories than"):
        built(fit, "pymc", gaps.replace({"z": {3.0: 4.0}}))


def test_categories_within_expressions_and_in_groups():
    """Comparisons know the declared order; levels of groups are sorted whatever the order of categories."""
    data = frame(pd.CategoricalDtype(["low", "mid", "high"], ordered=True))
    fit = fitted("y ~ I(z > 'low') + (1 | g)", data)
    model = built(fit, "pymc", data)
    assert list(model.coords["coefficient"]) == list(fit.result.model.design.coefficients)
    fit = fitted("y ~ z + (1 | z)", data)
    model = built(fit, "pymc", data)
    assert list(model.coords["z"]) == ["high", "low", "mid"] == list(fit.result.model.design.factors[0].levels)
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point()))
    fit = fitted("y ~ C(g) + x", data)
    assert "as_category" not in fit.as_code("pymc") and "factor(data" not in fit.as_code("lme4")
    lost = data.assign(z=data["z"].astype(str).replace("mid", "NA"))
    for system in ("pymc", "bambi", "brms", "lme4"):
        with pytest.raises(pw.DataError, match="has the category 'NA', which .* reads from a file as a missing value"):
            fitted("y ~ z", lost).as_code(system)


@pytest.mark.long
def test_effects_of_categories_by_group_in_bambi():
    """Each has an sd of its own."""
    data = frame()
    model = built(fitted("y ~ z + (z || g)", data, priors={"sd": pw.HalfNormal(1)}), "bambi", data)
    model.build()
    assert model.backend.model["z|g_sigma"].eval().shape == (2,)


@NEEDS_R
@pytest.mark.parametrize(
    "levels",
    long_but_for(
        lambda levels: levels in [LEVELS[name] for name in ("declared order", "text with zeros in front")],
        LEVELS.values(),
    ),
    ids=list(LEVELS),
)
def test_categories_in_r(levels, tmp_path):
    data = frame(levels)
    fit = fitted("y ~ z + x", data)
    data.to_csv(tmp_path / "data.csv", index=False)
    code = fit.as_code("lme4").replace("library(lme4)\n", "") + "\nwriteLines(names(coef(fit)), 'names.txt')\n"
    (tmp_path / "fit.R").write_text(code)
    subprocess.run([RSCRIPT, "fit.R"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    known = [str(label) for label in getattr(levels, "categories", levels)]
    there = (tmp_path / "names.txt").read_text().splitlines()
    assert there == ["(Intercept)", *(f"z{label}" for label in known[1:]), "x"]


def counts():
    rng = np.random.default_rng(2)
    data = frame().assign(n=rng.integers(3, 9, 60), trials=rng.normal(size=60), status=rng.normal(size=60))
    return data.assign(
        succ=rng.binomial(data["n"], 0.4), pos=rng.gamma(2, 1, 60), seen=rng.choice(["none", "right"], 60),
        time=rng.gamma(3, 0.3, 60) + 0.2, said=rng.choice(["upper", "lower"], 60), choice=rng.normal(size=60),
    )  # fmt: skip


def test_columns_of_scripts_give_way_to_those_of_the_data():
    data = counts()
    tried = fitted("succ | trials(n) ~ trials + (1 | g)", data, family="binomial")
    code = tried.as_code("brms")
    assert "data$trials2 <- with(data, n)" in code and "succ | trials(trials2) ~ trials" in code
    model = built(tried, "bambi", data)
    np.testing.assert_allclose(
        model.components["p"].design.common.terms["trials"].data.ravel(), data["trials"], rtol=1e-9
    )
    censored = fitted("pos | cens(seen) ~ status", data, family="exponential")
    model = built(censored, "bambi", data)
    assert "status2" in censored.as_code("bambi")
    np.testing.assert_allclose(
        model.components["mu"].design.common.terms["status"].data.ravel(), data["status"], rtol=1e-9
    )
    decided = fitted(["time | dec(said) ~ choice", "p_outlier = 0"], data, family="wiener").as_code("brms")
    assert "data$choice2 <- as.integer(with(data, said)" in decided and "time | dec(choice2) ~ choice" in decided
    centred = data.rename(columns={"x": "centred01"})
    code = fitted("y ~ centred01 + (centred01 | g)", centred).as_code("brms")
    assert "data$centred012 <- Z[, 2]" in code and "(1 + centred012 | g)" in code


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_models_without_common_coefficients(family):
    data = counts()
    fit = fitted(f"{'y' if family == 'gaussian' else 'n'} ~ 0 + (1 | g)", data, family=family)
    model = built(fit, "pymc", data)
    assert "beta" not in model.named_vars
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point()))
    assert f"var_names={['sigma'] if family == 'gaussian' else ['sd_']!r}" in fit.as_code("pymc")
    built(fit, "bambi", data).build()


def test_effects_that_lme4_would_correlate():
    data = frame()
    for formula in ("y ~ z + (z || g)", "y ~ x + (0 + z || g)", "y ~ x + (poly(x, 2) || g)"):
        with pytest.raises(pw.DataError, match="In lme4 the columns of one term in .* are correlated"):
            fitted(formula, data).as_code("lme4")
    assert "(z | g)" in fitted("y ~ z + (z | g)", data).as_code("lme4")
    assert "(x || g)" in fitted("y ~ z + (x || g)", data).as_code("lme4")


def test_spellings_of_r():
    data = frame().assign(k=np.arange(60) % 5).rename(columns={"w": "my w"})
    assert "weights = `my w`)" in fitted("y ~ x + (1 | g)", data, weights="my w").as_code("lme4")
    left = fitted("y | weights(w) ~ x + (1 | g)", frame()).as_code("lme4")
    assert "lmer(y ~ x + (1 | g), data = data, weights = w)" in left
    counted = fitted("k ~ x + (1 | g)", data, weights="my w", family="poisson").as_code("brms")
    assert "k | weights(`my w`) ~ x" in counted
    known = fitted("y | se(`my w`) ~ x + (1 | g)", data).as_code("brms")
    assert "se(`my w`)" in known
    for formula in ("y ~ C(z, contr.sum)", "y ~ I(k % 2)", "y ~ I(x > 0)", "y ~ x > 0", "y ~ I(k // 2)", "y ~ {x + k}"):
        for system in ("lme4", "brms", "bambi"):
            with pytest.raises(pw.DataError, match="may mean something else in (lme4|brms|Bambi)"):
                fitted(formula, data).as_code(system)
    with pytest.raises(pw.DataError, match="may mean something else in brms"):
        fitted(["y ~ x", "sigma ~ I(k % 2)"], data).as_code("brms")
    assert "lm(y ~ scale(x, center=TRUE) + I(x * 2 - 1)" in fitted(
        "y ~ scale(x, center=True) + I(x * 2 - 1)", data
    ).as_code("lme4")
    with pytest.raises(pw.DataError, match="plain names of grouping columns only: rename 'my g'"):
        fitted("y ~ x + (1 | `my g`)", data.rename(columns={"g": "my g"})).as_code("brms")
