"""Evenly spaced values, whose eigenfunctions are symmetric: draws depend on no rounding of their signs."""

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw

RNG = np.random.default_rng(3)
FRAME = pd.DataFrame({"x": RNG.integers(0, 40, 300) / 8, "g": RNG.integers(0, 6, 300).astype(str)}).assign(
    y=lambda frame: np.sin(2 * frame["x"]) + RNG.normal(size=300)
)
MOVED = {
    "order": FRAME.sample(frac=1, random_state=1),
    "zero": FRAME.assign(x=FRAME["x"] + 2000),
    "unit": FRAME.assign(x=FRAME["x"] * 1000),
}


@pytest.mark.parametrize(
    "term", long_but_for(3, ["s(x)", "s(x, g, bs='fs')", "rw2(x)", "s(x, bs='cc')", "s(x, by=g)", "rw1(x)"])
)
@pytest.mark.parametrize("moved", long_but_for("unit".__eq__, list(MOVED)))
def test_draws_are_the_same(term, moved):
    fit, other = (pw.fit(f"y ~ {term}", rows, draws=50, seed=1) for rows in (FRAME, MOVED[moved]))
    expected = fit.predict(FRAME)["mean"]
    found = other.predict(MOVED[moved])["mean"].loc[expected.index]
    np.testing.assert_allclose(found, expected, atol=1e-9)
