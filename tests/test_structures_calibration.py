"""Simulation-based calibration of structured terms, as in `test_calibration` for groups.

What a term adds is drawn here from the covariance that defines it, with nothing of the package; of splines, whose
functions are the package's own, from a plain product of its columns with normal numbers.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

import poolwise as pw
from poolwise.design.structures import levels
from poolwise.inference.prepare import prepare

FEW, MANY = 60, 200
DRAWS, CHAINS, BINS, KEPT = {"gaussian": 100, "poisson": 250}, 2, 10, 99
ROWS = 70
RNG = np.random.default_rng(4)
TIME, X = RNG.integers(0, 12, ROWS), RNG.uniform(-1, 2, ROWS)
AREAS = [f"a{k}" for k in range(9)]
PAIRS = [(f"a{k}", f"a{k + 1}") for k in range(8) if k % 3 != 2] + [(f"a{k}", f"a{k + 3}") for k in range(6)]
AREA = RNG.integers(0, 9, ROWS)
RELATED = np.linalg.cholesky(0.6 * np.ones((8, 8)) + 0.4 * np.eye(8)) + 0.1 * np.tril(RNG.normal(size=(8, 8)))
ANIMAL = RNG.integers(0, 8, ROWS)
TABLES = {
    "map": pd.DataFrame(PAIRS, columns=["a", "b"]),
    "A": pd.DataFrame(RELATED @ RELATED.T, index=list("abcdefgh"), columns=list("abcdefgh")),
}
FRAME = pd.DataFrame(
    {
        "y": RNG.normal(size=ROWS),
        "t": np.concatenate([np.arange(12), TIME[12:]]),
        "x": X,
        "area": [AREAS[k] for k in AREA],
        "animal": [list("abcdefgh")[k] for k in ANIMAL],
    }
)


def scaled(precision):
    found = np.linalg.pinv(precision)
    return found / np.exp(np.log(np.diag(found)).mean())


def of_walk():
    steps = np.diff(np.eye(12), axis=0)
    return scaled(steps.T @ steps)[np.ix_(FRAME["t"], FRAME["t"])]


def of_map():
    adjacency = np.zeros((9, 9))
    for one, other in PAIRS:
        adjacency[AREAS.index(one), AREAS.index(other)] = adjacency[AREAS.index(other), AREAS.index(one)] = 1
    return scaled(np.diag(adjacency.sum(axis=1)) - adjacency)[np.ix_(AREA, AREA)]


def of_relatives():
    return (RELATED @ RELATED.T)[np.ix_(ANIMAL, ANIMAL)]


def of_autoregression(rho):
    return rho ** np.abs(np.subtract.outer(FRAME["t"].to_numpy(), FRAME["t"].to_numpy()))


def of_curve():
    model, rows = prepare("y ~ s(x, k=6)", FRAME, priors={}, missing="drop", threads=1)
    (structure,) = model.design.structures
    columns = (np.column_stack([np.ones(ROWS), rows.values[:, :-1]]) @ model.design.common_map)[:, structure.places]
    return columns @ columns.T


TERMS = {
    "walk": ("rw1(t)", "sd_rw1(t)", of_walk),
    "map": ("icar(area, map)", "sd_icar(area, 'map')", of_map),
    "relatives": ("1 + (1 | gr(animal, cov='A'))", "sd_gr(animal, cov='A')", of_relatives),
    "curve": ("s(x, k=6)", "sd_s(x, k=6)", of_curve),
    "autoregression": ("ar1(t)", "sd_ar1(t)", of_autoregression),
}
COUPLED = ("map", "relatives")  # which many levels are coupled, not columns, in


OFTEN = [*((kind, "gaussian", FEW, False) for kind in TERMS), *((kind, "gaussian", FEW, True) for kind in COUPLED)]
OFTEN += [("curve", "poisson", FEW, False)]
SELDOM = [(kind, family, MANY, False) for kind in TERMS for family in ("gaussian", "poisson")]
SELDOM += [(kind, "gaussian", MANY, True) for kind in COUPLED]


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "family", "data_sets", "coupled"),
    [*OFTEN, *(pytest.param(*one, marks=pytest.mark.slow) for one in SELDOM)],
)
def test_structured_terms_are_calibrated(kind, family, data_sets, coupled, monkeypatch):
    if coupled:
        monkeypatch.setattr(levels, "FEW", 3)
        monkeypatch.setattr(levels, "MOST", 3)
    term, sd_name, covariance_of = TERMS[kind]
    priors = {"Intercept": pw.Normal(0.3, 0.6), "sd": pw.HalfNormal(0.7)}
    priors |= {"sigma": pw.HalfNormal(1)} if family == "gaussian" else {}
    linear = "s(x, k=6)[linear]"
    priors |= {linear: pw.Normal(0, 0.5)} if kind == "curve" else {}
    rng = np.random.default_rng(7)
    ranks, failed = [], 0
    while len(ranks) < data_sets:
        rho = rng.uniform(-1, 1) if kind == "autoregression" else None
        values, vectors = np.linalg.eigh(covariance_of() if rho is None else covariance_of(rho))
        root = vectors * np.sqrt(np.maximum(values, 0))
        sd, intercept = abs(0.7 * rng.normal()), 0.3 + 0.6 * rng.normal()
        added = sd * root @ rng.normal(size=ROWS)
        eta = intercept + added
        if kind == "curve":
            slope = 0.5 * rng.normal()
            eta = eta + slope * (X - X.mean()) / X.std()
        sigma = abs(rng.normal())
        y = rng.normal(eta, sigma) if family == "gaussian" else rng.poisson(np.exp(eta))
        if not y.any():
            continue
        data = FRAME.assign(y=y)
        fit = pw.fit(
            f"y ~ {term}", data, family=family, priors=priors, tables=TABLES, draws=DRAWS[family], chains=CHAINS,
            seed=len(ranks), threads=1,
        )  # fmt: skip
        failed += not fit.outcome.passed
        posterior = fit.posterior
        at = fit.predict(data.iloc[[5, 40]], draws=True).values.reshape(-1, 2)
        truth = eta if family == "gaussian" else np.exp(eta)
        found = [
            (posterior[sd_name].values.ravel(), sd),
            (posterior["beta"].values[..., 0].ravel(), intercept),
            (at[:, 0], truth[5]),
            (at[:, 1], truth[40]),
        ]
        if family == "gaussian":
            found.append((posterior["sigma"].values.ravel(), sigma))
        if rho is not None:
            found.append((posterior["cor_ar1(t)"].values.ravel(), rho))
        ranks.append([_rank(drawn, true) for drawn, true in found])
    assert family == "poisson" or failed <= 0.05 * data_sets  # chains this short are too few draws for a certificate
    for column in np.array(ranks).T:
        counts = np.bincount(column * BINS // (KEPT + 1), minlength=BINS)
        assert chisquare(counts).pvalue > 1e-4, (kind, counts)


def _rank(drawn, truth):
    thinned = drawn[:: max(1, len(drawn) // KEPT)][:KEPT]
    return int(np.sum(thinned < truth))
