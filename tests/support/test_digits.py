"""Numbers as text: what they have to tell is there in any units, and wherever zero is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.support.digits import apart, beside, fixed, in_text, labels, significant


def test_digits_follow_what_is_beside_them():
    assert significant(1234567.0) == "1.235e+06"
    assert beside(20000.15293, 0.0866) == "20000.153"
    assert beside(2.0000153, 8.66e-6) == "2.0000153"
    assert beside(-0.1802, 0.1765) == "-0.1802"
    assert beside(1.8e-6, 1.7e-6) == "1.800e-06"
    assert beside(float("nan"), 0.1) == "nan"
    assert apart([20000.1, 20000.2, 20000.2]) == ["20000.10", "20000.20", "20000.20"]
    assert apart([0.457, 0.433, 0.4330001]) == ["0.45700", "0.43300", "0.43300"]
    assert fixed(-0.001, 0.5, 2) == "0.00"
    assert fixed(1e9 + 0.0034, 0.0102, 2) == "1000000000.003"
    assert fixed(0.457, 0.27, 2) == "0.46"
    assert fixed(1.802e-6, 3e-6, 2) == "0.0000018"


def test_whole_numbers_are_words_without_decimals():
    assert labels([1999.0, 2001.0]) == ["1999", "2001"]
    assert labels([1999.0, 2000.25]) == apart([1999.0, 2000.25])
    assert labels([np.inf, 1.0]) == apart([np.inf, 1.0])


@pytest.mark.parametrize(
    ("add", "times"),
    long_but_for(lambda add, times: times < 1, [(-3e6, 1.0), (0.0, 1e-5), (0.0, 1.0), (20_000.0, 1.0)]),
)
def test_tables_tell_groups_apart(add, times):
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(6), 20)
    frame = pd.DataFrame({"y": add + times * (rng.normal(size=6)[g] + 0.3 * rng.normal(size=120)), "g": g})
    fit = pw.fit("y ~ 1 + (1 | g)", frame, seed=1)
    shown = in_text(pw.avg_predictions(fit, by="g").table)["mean"]
    assert shown.nunique() == 6
    ends = set(repr(fit).splitlines()[5].split()[1:])
    assert len(ends) == 4  # mean, sd and both ends of the intercept
    cells = fit.table().frame.iloc[:, 0].tolist()
    assert len(set(cells[1].strip("[]").split(", "))) == 2
    assert "-0.00 " not in " ".join(cells)
    low = repr(fit.check()).splitlines()[3].split()
    assert len(set(low[1:5])) >= 3
    said = fit.explain(3).text
    own, rest = said.split("(")[-1].split(" by own data, ") if "by own data" in said else ("1", "2 by the pool")
    assert own != rest.split(" by the pool")[0]
    assert "0.000 against" not in pw.compare_pooling("y ~ 1", by="g", data=frame, seed=1).verdict
