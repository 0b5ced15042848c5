"""Shared data and fits: each is made once in a session."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; BLAS that takes all of them in each would stall both
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import shutil
import warnings
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.inference import streamed
from poolwise.statistics import routes

# Loaded with the sizes that are meant, before a test changes one of them.
assert streamed.LARGE == routes.LARGE

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
REFERENCE = Path(__file__).parent / "reference"
RADON_FORMULA = "log_radon ~ floor + (floor || county)"


def pytest_addoption(parser):
    parser.addoption("--part", default="1/1", help="k/n: the k-th of n parts of the tests, by their names")


def pytest_collection_modifyitems(config, items):
    part, parts = map(int, config.getoption("--part").split("/"))
    items[:] = [each for each in items if crc32(each.nodeid.encode()) % parts == part - 1]


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(?!poolwise)")
        warnings.filterwarnings("ignore", category=PendingDeprecationWarning)
        yield


@pytest.fixture(scope="session")
def radon() -> pd.DataFrame:
    return pw.datasets.load_radon()


@pytest.fixture(scope="session")
def study_priors() -> dict[str, object]:
    return {"Intercept": pw.Normal(0, 1), "floor": pw.Normal(0, 1), "sd": pw.HalfCauchy(1), "sigma": pw.HalfCauchy(1)}


@pytest.fixture(scope="session")
def radon_fit(radon, study_priors) -> pw.Fit:
    return pw.fit(RADON_FORMULA, radon, priors=study_priors, seed=1)


@pytest.fixture(scope="session")
def pooling(radon, study_priors) -> pw.PoolingComparison:
    return pw.compare_pooling("log_radon ~ floor", by="county", data=radon, priors=study_priors, seed=1)


@pytest.fixture(scope="session")
def reference() -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in REFERENCE.glob("*.json")}


@pytest.fixture
def small() -> pd.DataFrame:
    """Six groups of 1 to 9 rows with two predictors and a category, one level of which some groups lack."""
    rng = np.random.default_rng(5)
    sizes = [1, 2, 9, 4, 6, 8]
    group = np.repeat(list("abcdef"), sizes)
    n = len(group)
    x, z = rng.normal(size=n), rng.choice(["low", "mid", "high"], n)
    z[group == "c"] = "low"
    y = 1 + 0.5 * x + rng.normal(size=6)[np.repeat(range(6), sizes)] + 0.7 * rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "w": rng.normal(2, 3, n), "z": z, "g": group})


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, of the system."""
    if CHROMIUM is None:
        if os.environ.get("POOLWISE_NEEDS_BROWSER"):
            pytest.fail("there is no Chromium, but POOLWISE_NEEDS_BROWSER is set")
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()
