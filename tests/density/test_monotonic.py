"""Monotonic terms: one coefficient times shares, against the regression on the sum of the steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.density.gaussian import gaussian
from poolwise.density.monotonic import simplex_of
from poolwise.inference.prepare import prepare
from tests.selection import long_but_for

RIGHT = {
    "one factor": "(1 + w | g)",
    "two factors": "(1 | g) + (1 | h)",
    "none": "",
    "with a curve": "s(w, k=5) + (1 | g)",
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 160
    x, w, g, h = rng.integers(0, 4, n), rng.normal(size=n), rng.integers(0, 9, n), rng.integers(0, 7, n)
    z = rng.integers(1, 4, n)
    y = np.array([0.0, 0.2, 1.5, 1.6])[x] + 0.5 * w + rng.normal(size=9)[g] - 0.3 * z + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "w": w, "g": g, "h": h, "z": z})


# Default priors of other coefficients are put where predictors have their means, which terms like curves have none of.
OTHERS = {"Intercept": pw.Normal(0, 3), "w": pw.Normal(0, 1)}


def _density(formula, data, priors):
    model, _ = prepare(formula, data, priors=priors, missing="drop", threads=1)
    return model, gaussian(model.statistics, model.design, model.priors, threads=1)


def _points(model, count=5):
    layout, rng = model.priors.layout, np.random.default_rng(1)
    return rng.normal(0, 0.6, (count, layout.dimension))


@pytest.mark.parametrize("right", long_but_for(lambda right: "s(" not in right, RIGHT.values()), ids=RIGHT)
def test_density_is_that_of_the_regression_on_the_steps_summed(right, frame):
    """Given the shares the term is a slope on a known column, whatever else is in the model."""
    model, density = _density(
        f"y ~ w + mo(x) + mo(z) + {right}".rstrip("+ "),
        frame,
        OTHERS | {"mo(x)": pw.Normal(0.4, 0.7), "mo(z)": pw.Normal(0, 2)},
    )
    points, layout = _points(model), model.priors.layout
    smooth = len(layout.smoothing)
    for point in points:
        data = frame.copy()
        for name, low in (("x", 0), ("z", 1)):
            shares = layout.simplex(point, f"mo({name})")
            data[f"{name}_"] = (len(shares) * np.concatenate([[0.0], np.cumsum(shares)]))[frame[name] - low]
        other, plain = _density(
            f"y ~ w + x_ + z_ + {right}".rstrip("+ "), data, OTHERS | {"x_": pw.Normal(0.4, 0.7), "z_": pw.Normal(0, 2)}
        )
        curves = [k for k, name in enumerate(layout.smoothing) if name not in layout.shares]
        same = np.concatenate([point[: len(point) - smooth], point[len(point) - smooth :][curves]])
        log_prior = sum(
            prior.log_density(np.exp(x)) + x
            for (name, prior), x in zip(model.priors.smoothing.items(), point[len(point) - smooth :], strict=True)
            if name in layout.shares
        )
        expected = plain.log_density(same[None])[0] + log_prior
        np.testing.assert_allclose(density.log_density(point[None])[0], expected, atol=1e-8)
        mean = density.basis.written(density.common_of(density.draw_common(point[None], None)))[0]
        plainly = plain.basis.written(plain.common_of(plain.draw_common(same[None], None)))[0]
        names, others = model.design.coefficients, other.design.coefficients
        for name in ("x", "z"):
            mine = [k for k, each in enumerate(names) if each.startswith(f"mo({name})")]
            steps = len(mine) * layout.simplex(point, f"mo({name})") * plainly[others.index(f"{name}_")]
            np.testing.assert_allclose(mean[mine], steps, atol=1e-8)


@pytest.mark.parametrize("right", RIGHT.values(), ids=RIGHT)
def test_gradients_are_differences(right, frame):
    priors = {"mo(x)": pw.Normal(0.5, 0.3)}
    model, density = _density(f"y ~ w + mo(x) + mo(z) + {right}".rstrip("+ "), frame, priors)
    for point in _points(model):
        _, gradient = density.value_and_gradient(point)
        steps = 1e-5 * np.eye(len(point))
        differences = [
            (a - b) / 2e-5 for a, b in zip(*(density.log_density(point + s * steps) for s in (1, -1)), strict=True)
        ]
        np.testing.assert_allclose(gradient, differences, rtol=2e-5, atol=2e-5)


def test_shares_of_the_prior_are_a_dirichlet():
    """Means and variances of Dirichlet(2, 1, 3), from what each takes of the rest."""
    rng, a = np.random.default_rng(3), np.array([2.0, 1.0, 3.0])
    logs = np.log([prior.sample(rng, (40_000,)) for prior in pw.Dirichlet(tuple(a)).of_shares(3)]).T
    shares = simplex_of(logs)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(shares.mean(axis=0), a / a.sum(), atol=0.006)
    np.testing.assert_allclose(shares.var(axis=0), a * (6 - a) / (36 * 7), atol=0.002)


@pytest.mark.parametrize("family", long_but_for("gaussian".__eq__, ["gaussian", "bernoulli"]))
def test_posteriors_are_those_of_brms(family):
    """`tests/reference/monotonic.R` fits the same models with the same priors."""
    folder = Path(__file__).parents[1] / "reference"
    theirs = json.loads((folder / "monotonic.json").read_text())[family]
    priors = {"Intercept": pw.Normal(0, 3), "x": pw.Normal(0, 1), "mo(k)": pw.Normal(0, 1), "sd": pw.HalfNormal(1)}
    priors |= {"simplex_mo(k)": pw.Dirichlet((2, 1, 1))}
    priors |= {"sigma": pw.HalfNormal(2)} if family == "gaussian" else {}
    outcome = "y" if family == "gaussian" else "b"
    rows = pd.read_csv(folder / "monotonic.csv")
    fit = pw.fit(f"{outcome} ~ x + mo(k) + (1 | g)", rows, family=family, priors=priors, draws=2000, seed=1)
    ours = fit.summary()
    names = {
        "b_Intercept": "beta[Intercept]",
        "b_x": "beta[x]",
        "bsp_mok": "mo(k)",
        "sd_g__Intercept": "sd_g[Intercept]",
    }
    names |= {f"simo_mok1[{j}]": f"simplex_mo(k)[{j + 1}]" for j in (1, 2, 3)}
    for name, (mean, sd) in theirs.items():
        mine = ours.loc[names.get(name, name)]
        assert abs(mine["mean"] - mean) < 0.1 * sd, name
        assert mine["sd"] == pytest.approx(sd, rel=0.06), name
