"""Posteriors of structured terms beside long NUTS runs of the same densities: see `tests/reference/structures.py`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.reference.structures import OUTPUT, STUDIES, shown

import poolwise as pw

KNOWN = json.loads(OUTPUT.read_text())
APART, SDS = 0.1, 0.07  # posterior sds between means, and share between sds


LONG = ("lip cancer", "new haven", "herd", "mauna loa")
SLOW = ("discoveries",)  # chains, of 199 coefficients


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else pytest.mark.long if name in LONG else ())
        for name in STUDIES
    ],
)
def test_curves_and_parameters_are_those_of_long_runs(name):
    study, known = STUDIES[name], KNOWN[name]
    assert known["formula"] == study.formula
    assert known["rhat"] < 1.01
    data = study.rows()
    fit = pw.fit(
        study.formula, data, family=study.family, priors=study.priors, tables=study.tables(), seed=1, draws=2000
    )
    assert fit.outcome.passed
    drawn = fit.predict(data.iloc[shown(len(data))], draws=True).values.reshape(-1, len(shown(len(data))))
    if study.family == "poisson":
        drawn = np.log(drawn)
    mean, sd = (np.array(known["eta"][each]) for each in ("mean", "sd"))
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - mean) / sd, APART)
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=SDS)
    table = fit.summary()
    for parameter, (middle, width) in known["parameters"].items():
        ours = table.loc[parameter]
        assert abs(ours["mean"] - middle) < APART * width, parameter
        assert ours["sd"] == pytest.approx(width, rel=2 * SDS), parameter
