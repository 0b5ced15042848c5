"""Families of skewed, bounded and circular outcomes: fits of simulated groups, and where priors and searches begin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.families import CIRCLE, FAMILIES

GROUPS, EACH = 15, 20
# Intercept, slope, spread of groups; parameters as drawn, and what the table of the fit says of them.
SIMULATED = {
    "shifted_lognormal": ((-0.6, 0.2, 0.3), {"sigma": 0.5, "beta[ndt_Intercept]": 0.25}),
    "exgaussian": ((1.0, 0.3, 0.4), {"sigma": 0.3, "tau": 0.6}),
    "inverse_gaussian": ((0.5, 0.3, 0.4), {"shape": 4.0}),
    "skew_normal": ((1.0, 0.3, 0.4), {"sigma": 0.7, "beta[alpha_Intercept]": -4.0}),
    "asymmetric_laplace": ((1.0, 0.3, 0.4), {"sigma": 0.4}),
    "von_mises": ((0.4, 0.3, 0.3), {"kappa": 4.0}),
    "zero_one_inflated_beta": (
        (0.4, 0.3, 0.5), {"phi": 6.0, "beta[zoi_Intercept]": 0.2, "beta[coi_Intercept]": 0.4}
    ),
}  # fmt: skip


def simulated(name: str, seed: int = 2) -> pd.DataFrame:
    family, rng, n = FAMILIES[name], np.random.default_rng(seed), GROUPS * EACH
    (intercept, slope, spread), others = SIMULATED[name]
    group, x = np.repeat(np.arange(GROUPS), EACH), rng.normal(size=n)
    eta = intercept + slope * x + spread * rng.normal(size=GROUPS)[group]
    at = 2 * np.arctan(eta) if family.scale is CIRCLE else eta
    values = [*others.values(), *[each.fixed for each in family.parameters if each.fixed is not None]]
    y = family.draw(rng, np.ones(n), family.scale.mean(at), *(np.full(n, value) for value in values))
    return pd.DataFrame({"y": y, "x": x, "g": group})


@pytest.mark.long
@pytest.mark.parametrize("name", SIMULATED)
def test_fits_are_certified_and_near_the_truth(name):
    fit = pw.fit("y ~ x + (1 | g)", simulated(name), family=name, seed=1)
    assert fit.outcome.passed, str(fit)
    table, (first, others) = fit.summary(), SIMULATED[name]
    truth = dict(zip(("beta[Intercept]", "beta[x]", "sd_g[Intercept]"), first, strict=True))
    for key, value in others.items():
        of = next(each for each in FAMILIES[name].parameters if each.name == key.removeprefix("beta[").split("_")[0])
        truth[key] = of.to_scale(value) if key.startswith("beta[") else value
    for key, value in truth.items():
        mean, sd = table.loc[key, "mean"], table.loc[key, "sd"]
        assert abs(mean - value) < 4 * sd, (key, mean, sd)  # the log of a shift is skewed


@pytest.mark.parametrize("name", long_but_for(1, ["shifted_lognormal", "skew_normal", "zero_one_inflated_beta"]))
def test_a_fit_whose_formula_leaves_parameters_out_is_saved_and_loaded(name, tmp_path):
    frame = simulated(name)
    fit = pw.fit("y ~ x + (1 | g)", frame, family=name, seed=1, draws=50, chains=2)
    fit.save(tmp_path / "fit.pw")
    again = pw.load(tmp_path / "fit.pw")
    for kind in ("mean", "response"):
        pd.testing.assert_frame_equal(again.predict(frame[:4], kind=kind), fit.predict(frame[:4], kind=kind))


def test_a_turn_of_all_angles_moves_the_default_prior():
    frame = simulated("von_mises")
    centres = []
    for turn in (0.0, 1.5, 3.0):
        y = np.angle(np.exp(1j * (frame.y + turn)))
        mean, sd = FAMILIES["von_mises"].summary(y, np.ones(len(y)))
        at, unit = FAMILIES["von_mises"].moments(FAMILIES["von_mises"].link("identity"), mean, sd)
        centres.append((np.exp(1j * (at - turn)), unit))
    for place, unit in centres[1:]:
        assert place == pytest.approx(centres[0][0])
        assert unit == pytest.approx(centres[0][1])


def test_directions_opposite_to_zero_have_a_prior():
    family = FAMILIES["von_mises"]
    for mean in (np.pi, -np.pi, 3.0):
        at, unit = family.moments(family.link(None), mean, 0.3)
        assert 1 < abs(at) < 100
        assert 0.3 < unit < 100


def test_a_search_for_a_slant_begins_towards_the_longer_tail():
    start = FAMILIES["skew_normal"].parameters[1].start
    y = np.array([0.0, 0.1, 0.2, 5.0])
    assert start(y) == 1.0
    assert start(-y) == -1.0


@pytest.mark.parametrize(
    ("family", "value", "said"),
    [
        ("shifted_lognormal", 0.0, "must be above zero"),
        ("inverse_gaussian", -1.0, "must be above zero"),
        ("von_mises", 270.0, r"angles in radians from -pi to pi, but row 4 .* holds 270. From degrees: \(degrees - 18"),
        ("zero_one_inflated_beta", 1.2, "must lie between 0 and 1 for this family, but row 4"),
    ],
)
def test_outcomes_that_a_family_cannot_have(family, value, said):
    frame = simulated(family)
    frame.loc[3, "y"] = value
    with pytest.raises(pw.DataError, match=said):
        pw.fit("y ~ x", frame, family=family)


def test_nothing_but_ends_is_refused():
    frame = simulated("zero_one_inflated_beta").assign(y=lambda each: 1.0 * (each.y > 0.5))
    with pytest.raises(pw.DataError, match="zero or one, which is family='bernoulli'"):
        pw.fit("y ~ x", frame, family="zero_one_inflated_beta")
