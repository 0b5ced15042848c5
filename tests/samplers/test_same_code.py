"""Draws do not depend on which kernels a process compiled or loaded before."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FIT = """
import numpy as np, pandas as pd, poolwise as pw
rng = np.random.default_rng(0)
g, x = rng.integers(0, 12, 120), rng.normal(size=120)
frame = pd.DataFrame({"k": rng.poisson(np.exp(0.5 * x + rng.normal(size=12)[g])), "x": x, "g": g})
fit = pw.fit("k ~ x + (1 | g)", frame, family="poisson", seed=1, draws=100, chains=2)
print(fit.result.beta.tobytes().hex())
"""
# What `advance` calls, by itself: a copy of it is linked into `advance` too, and need not round alike.
TRANSITION = """
import numpy as np
from numba import typeof
from numba.core.types import float64, int64
from poolwise.samplers.trajectory import transition
row, words, rng = float64[::1], int64[::1], typeof(np.random.Generator(np.random.SFC64(1)))
transition.dispatcher.compile((rng, int64, words, row, row, float64, float64, row, float64[:, ::1], row, words))
"""


def draws(code: str, **environment: str) -> str:
    asked = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.run(
        asked, capture_output=True, text=True, env={**os.environ, "POOLWISE_KERNELS": "jit", **environment}, timeout=900
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.slow
def test_kernels_call_their_own_copies_of_others():
    assert draws(FIT) == draws(TRANSITION + FIT)


@pytest.mark.slow
def test_draws_of_the_process_that_compiles_are_those_of_later_ones(tmp_path):
    compiling, loading = (draws(FIT, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert compiling == loading
