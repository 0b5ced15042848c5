"""Simulation-based calibration of autoregressions by group, drawn from the covariance that defines them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

import poolwise as pw

FEW, MANY = 60, 200
DRAWS, CHAINS, BINS, KEPT = {"gaussian": 100, "poisson": 250}, 2, 10, 99
GROUPS, TIMES = 8, 6


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "data_sets"),
    [
        ("gaussian", FEW),
        pytest.param("gaussian", MANY, marks=pytest.mark.slow),
        pytest.param("poisson", FEW, marks=pytest.mark.slow),
    ],
)
def test_series_of_groups_are_calibrated(family, data_sets):
    rng = np.random.default_rng(8)
    group, time = (each.ravel() for each in np.meshgrid(np.arange(GROUPS), np.arange(TIMES), indexing="ij"))
    group, time = np.tile(group, 2), np.tile(time, 2)
    apart = np.abs(np.subtract.outer(np.arange(TIMES), np.arange(TIMES)))
    priors = {"Intercept": pw.Normal(0.3, 0.6), "sd": pw.HalfNormal(0.7)}
    priors |= {"sigma": pw.HalfNormal(1)} if family == "gaussian" else {}
    ranks, failed = [], 0
    while len(ranks) < data_sets:
        rho, sd, intercept = rng.uniform(-1, 1), abs(0.7 * rng.normal()), 0.3 + 0.6 * rng.normal()
        values, vectors = np.linalg.eigh(rho**apart)
        root = vectors * np.sqrt(np.maximum(values, 0))
        series = sd * rng.normal(size=(GROUPS, TIMES)) @ root.T
        eta, sigma = intercept + series[group, time], abs(rng.normal())
        y = rng.normal(eta, sigma) if family == "gaussian" else rng.poisson(np.exp(eta))
        if not y.any():
            continue
        data = pd.DataFrame({"y": y, "t": time, "g": group})
        fit = pw.fit(
            "y ~ 1 + (0 + ar1(t) | g)", data, family=family, priors=priors, draws=DRAWS[family], chains=CHAINS,
            seed=len(ranks), threads=1,
        )  # fmt: skip
        failed += not fit.outcome.passed
        posterior = fit.posterior
        at = fit.predict(data.iloc[[5]], draws=True).values.reshape(-1)
        found = [
            (posterior["sd_g[ar1(t)]"].values, sd),
            (posterior["cor_g[ar1(t)]"].values, rho),
            (posterior["beta"].values, intercept),
            (at, eta[5] if family == "gaussian" else np.exp(eta[5])),
        ]
        if family == "gaussian":
            found.append((posterior["sigma"].values, sigma))
        ranks.append([_rank(drawn.ravel(), true) for drawn, true in found])
    assert family == "poisson" or failed <= 0.05 * data_sets  # chains this short are too few draws for a certificate
    for column in np.array(ranks).T:
        counts = np.bincount(column * BINS // (KEPT + 1), minlength=BINS)
        assert chisquare(counts).pvalue > 1e-4, counts


def _rank(drawn, truth):
    thinned = drawn[:: max(1, len(drawn) // KEPT)][:KEPT]
    return int(np.sum(thinned < truth))
