"""The sd and the spatial share of BYM2, from the sds of its parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.design.structures import levels

SIDE = 5
NAMES = [f"a{i}{j}" for i in range(SIDE) for j in range(SIDE)]
PAIRS = pd.DataFrame(
    [(f"a{i}{j}", f"a{i + 1}{j}") for i in range(SIDE - 1) for j in range(SIDE)]
    + [(f"a{j}{i}", f"a{j}{i + 1}") for i in range(SIDE - 1) for j in range(SIDE)],
    columns=["one", "other"],
)
SD, SHARE, SPATIAL = "sd_bym2(area, 'near')", "share_bym2(area, 'near')", "sd_icar(area, 'near')"


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(2)
    area, x = rng.integers(0, SIDE**2, 300), rng.normal(size=300)
    eta = 0.5 * x + np.sin(area // SIDE) + 0.2 * rng.normal(size=SIDE**2)[area]
    return pd.DataFrame(
        {"area": [NAMES[k] for k in area], "x": x, "y": eta + rng.normal(size=300), "n": rng.poisson(np.exp(0.4 * eta))}
    )


@pytest.mark.parametrize("few", long_but_for(1, [1, 1000]))  # as a factor, and as columns
def test_names_and_numbers_do_not_depend_on_how_a_map_is_computed(few, rows, monkeypatch):
    monkeypatch.setattr(levels, "FEW", few)
    fit = pw.fit("y ~ x + bym2(area, near)", rows, tables={"near": PAIRS}, seed=1)
    drawn = fit.posterior
    own = drawn["sd_area"].sel(effect="Intercept") if "effect" in drawn["sd_area"].dims else drawn["sd_area"][..., 0]
    assert drawn[SPATIAL].dims == ("chain", "draw")
    np.testing.assert_allclose(drawn[SD] ** 2, drawn[SPATIAL] ** 2 + own.values**2)
    np.testing.assert_allclose(drawn[SHARE] * drawn[SD] ** 2, drawn[SPATIAL] ** 2)
    assert {SD, SHARE, SPATIAL} <= set(fit.summary().index)
    assert SPATIAL in fit.priors
    wider = pw.fit("y ~ x + bym2(area, near)", rows, tables={"near": PAIRS}, priors={SPATIAL: pw.Default(2)}, seed=1)
    assert wider.priors[SPATIAL] != fit.priors[SPATIAL]
    sensitivity = fit.sensitivity(SPATIAL, scales=(0.5, 2.0), draws=250)
    assert sensitivity.table["quantity"].isin([SHARE]).any()
    assert not any(f"{SHARE} is positive" in one for one in sensitivity.conclusions)  # what else could it be


@pytest.mark.long
def test_of_sampled_families_and_other_parameters(rows):
    counts = pw.fit("n ~ x + bym2(area, near)", rows, family="poisson", tables={"near": PAIRS}, seed=1).posterior
    assert float(counts[SHARE].min()) >= 0
    assert float(counts[SHARE].max()) <= 1
    assert float(counts[SD].min()) > 0
    spread = ["y ~ x + (1 | area)", "sigma ~ icar(area, near) + (1 | area)"]
    names = pw.fit(spread, rows, tables={"near": PAIRS}, seed=1).posterior.data_vars
    assert {"sd_sigma_bym2(area, 'near')", "share_sigma_bym2(area, 'near')"} <= set(names)
    assert SD not in names  # the mean has no neighbours


def test_a_map_alone_has_no_share(rows):
    names = pw.fit("y ~ x + icar(area, near)", rows, tables={"near": PAIRS}, seed=1).posterior.data_vars
    assert not any(str(name).startswith("share_") for name in names)


def test_slopes_beside_a_map_make_it_no_bym2(rows):
    names = pw.fit("y ~ x + icar(area, near) + (x | area)", rows, tables={"near": PAIRS}, seed=1).posterior.data_vars
    assert not any(str(name).startswith("share_") for name in names)


def test_names_stay_after_saving(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(levels, "FEW", 1)
    fit = pw.fit("y ~ x + bym2(area, near)", rows, tables={"near": PAIRS}, seed=1)
    fit.save(tmp_path / "fit")
    loaded = pw.load(tmp_path / "fit")
    assert dict(loaded.priors) == dict(fit.priors)
    assert list(loaded.summary().index) == list(fit.summary().index)
