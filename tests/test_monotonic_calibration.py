"""Simulation-based calibration of monotonic terms: data from the definition in Buerkner and Charpentier (2020)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

import poolwise as pw

FEW, MANY = 60, 200
DRAWS, CHAINS, BINS, KEPT = {"gaussian": 100, "bernoulli": 250}, 2, 10, 99
ROWS, GROUPS, STEPS = 80, 6, 3
CONCENTRATION = (2.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("family", "data_sets"),
    [
        pytest.param("gaussian", FEW, marks=pytest.mark.long),
        pytest.param("gaussian", MANY, marks=pytest.mark.slow),
        pytest.param("bernoulli", MANY, marks=pytest.mark.slow),
    ],
)
def test_monotonic_terms_are_calibrated(family, data_sets):
    rng = np.random.default_rng(3)
    level, group = rng.integers(0, STEPS + 1, ROWS), rng.integers(0, GROUPS, ROWS)
    level[: STEPS + 1] = np.arange(STEPS + 1)
    priors = {
        "Intercept": pw.Normal(0.3, 0.6),
        "mo(x)": pw.Normal(0.2, 0.8),
        "simplex_mo(x)": pw.Dirichlet(CONCENTRATION),
        "sd": pw.HalfNormal(0.7),
    }
    priors |= {"sigma": pw.HalfNormal(1)} if family == "gaussian" else {}
    ranks, failed = [], 0
    while len(ranks) < data_sets:
        intercept, mean_step = 0.3 + 0.6 * rng.normal(), 0.2 + 0.8 * rng.normal()
        shares, sd = rng.dirichlet(CONCENTRATION), abs(0.7 * rng.normal())
        added = mean_step * STEPS * np.concatenate([[0.0], np.cumsum(shares)])[level]
        eta = intercept + added + sd * rng.normal(size=GROUPS)[group]
        sigma = abs(rng.normal())
        y = rng.normal(eta, sigma) if family == "gaussian" else rng.binomial(1, 1 / (1 + np.exp(-eta)))
        if np.ptp(y) == 0:
            continue
        fit = pw.fit(
            "y ~ mo(x) + (1 | g)", pd.DataFrame({"y": y, "x": level, "g": group}), family=family, priors=priors,
            draws=DRAWS[family], chains=CHAINS, seed=len(ranks), threads=1,
        )  # fmt: skip
        failed += not fit.outcome.passed
        posterior = fit.posterior
        found = [
            (posterior["mo(x)"].values, mean_step),
            (posterior["beta"].sel(coefficient="Intercept").values, intercept),
            (posterior["sd_g"].values, sd),
            *((posterior["simplex_mo(x)"].values[..., k], shares[k]) for k in range(STEPS)),
        ]
        if family == "gaussian":
            found.append((posterior["sigma"].values, sigma))
        ranks.append([_rank(drawn.ravel(), true) for drawn, true in found])
    assert family == "bernoulli" or failed <= 0.05 * data_sets  # chains this short are too few draws for a certificate
    for column in np.array(ranks).T:
        counts = np.bincount(column * BINS // (KEPT + 1), minlength=BINS)
        assert chisquare(counts).pvalue > 1e-4, counts


def _rank(drawn, truth):
    thinned = drawn[:: max(1, len(drawn) // KEPT)][:KEPT]
    return int(np.sum(thinned < truth))
