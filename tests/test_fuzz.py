"""Odd calls by the thousand, seeded: each ends in a result with finite draws, or in one sentence of ours."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import poolwise as pw

CALLS = 2_000
ROWS = 60
RNG = np.random.default_rng(0)
G = RNG.integers(0, 6, ROWS)
X = RNG.normal(size=ROWS)
BASE = pd.DataFrame(
    {"x": X, "z": RNG.normal(size=ROWS), "g": [f"g{i}" for i in G], "h": G % 3, "k": RNG.poisson(2, ROWS)}
)
BASE["y"] = 1 + 0.5 * X + RNG.normal(size=6)[G] + 0.5 * RNG.normal(size=ROWS)
BASE["b"] = (X > 0) * 1

# What can stand in place of a column, a term, a number, a name; the sound ones are more, so that oddities meet depth.
COLUMNS = (
    lambda: X,
    lambda: X * 1e6,
    lambda: X * 1e-9 + 1e4,
    lambda: np.where(X > 1, np.nan, X),
    lambda: X > 0,
    lambda: list("ab") * 30,
    lambda: pd.Categorical(G),
    lambda: pd.date_range("2020", periods=ROWS),
    lambda: [None] * ROWS,
    lambda: [[1]] * ROWS,
    lambda: np.full(ROWS, np.inf),
    lambda: np.zeros(ROWS),
    lambda: [str(v) for v in X],
    lambda: ["1", "2", "n.a."] * 20,
    lambda: [1, "a"] * 30,
    lambda: pd.Series(G, dtype="Int64"),
    lambda: X * 1e200,
    lambda: [(1, "a"), (2, "b")] * 30,
    lambda: pd.cut(X, 3),
    lambda: X + 1j,
    lambda: [2**70] * ROWS,
    lambda: [b"a", b"b"] * 30,
    lambda: pd.to_timedelta(G, "h"),
)
TERMS = (
    "x",
    "z",
    "1",
    "0",
    "odd",
    "x:odd",
    "x*odd",
    "odd:b",
    "I(odd**2)",
    "log(odd)",
    "scale(odd)",
    "C(odd)",
    "poly(odd, 2)",
    "bs(odd, df=4)",
    "factor(odd)",
    "I(odd > 0)",
    "odd > 0",
    "offset(odd)",
    "np.exp(odd)",
    "nosuch",
    "odd.mean()",
    "I(__import__('os').getcwd())",
    "f'{odd}'",
    "`odd`",
    "(x + z)^2",
    "-x",
    ".",
    "s(odd)",
    "x y",
    "((x)",
    "'a'",
    "lambda: 1",
    "I(9**9**9)",
    "odd[0]",
    "C(odd, contr.sum)",
    "cr(odd, df=3)",
    "center(odd)",
    "",
)
BARS = (
    "(1 | g)",
    "(x | g)",
    "(x || g)",
    "(1 | odd)",
    "(odd | g)",
    "(0 + odd || g)",
    "(1 | g) + (1 | h)",
    "(1 | g/h)",
    "(1 | g:odd)",
    "",
    "(1 | nosuch)",
    "(x | g) + (1 | g)",
    "(| g)",
    "(1 | g",
    "(1 | I(odd))",
    "us(x | g)",
    "(x > 0 | g)",
)
OUTCOMES = (
    "y",
    "y",
    "y",
    "odd",
    "log(y)",
    "I(y + odd)",
    "y | weights(odd)",
    "k",
    "b",
    "nosuch",
    "y + x",
    "y | cens(x)",
    "",
)
FAMILIES = ("gaussian",) * 6 + ("poisson", "bernoulli", "nosuch", 3, None)
NUMBERS = (50, 50, 50, 4, 0, -1, 2.5, "many", None, True, 10**20, np.int64(50), [50])
SEEDS = (1, 1, 1, 0, -1, None, "a", 1.5, 10**40)
MAPS = (None, None, {}, {"sd": pw.HalfNormal(1)}, {"nosuch": pw.Normal(0, 1)}, {"x": 3}, {"x": pw.Normal(0, 1e-9)}, [1])
NEW = (
    None,
    BASE.head(3),
    BASE.head(0),
    {"x": [1.0]},
    {"x": [1e300], "g": ["g1"]},
    {"x": ["a"], "g": ["g1"]},
    {"g": ["new"]},
    3,
    "nosuch.csv",
    BASE.assign(g="new").head(2),
    BASE.assign(x=np.nan).head(2),
    [1, 2],
)
QUESTIONS = (
    lambda fit, pick: fit.predict(pick(NEW), kind=pick(("mean", "response", "linear", "nosuch"))),
    lambda fit, pick: fit.predict(pick(NEW), new_groups=pick(("sample", "average", "population", "one_of_these", 1))),
    lambda fit, pick: fit.predict(pick(NEW), interval=pick((0.9, 0, 1, "a", None, 0.5))),
    lambda fit, pick: fit.predict(pick(NEW), missing=pick(("keep", "error", "drop"))),
    lambda fit, pick: pw.avg_comparisons(fit, pick((None, "x", "nosuch", ["x"], {"x": 2}, {"x": "a"}, 3))),
    lambda fit, pick: pw.slopes(fit, pick((None, "x", "g", [], 3)), by=pick((None, "g", "nosuch", 3, BASE.g))),
    lambda fit, pick: fit.loo(by=pick((None, "g", "nosuch", 3))),
    lambda fit, pick: fit.kfold(pick((2, 3, 1, 0, "a", 10**9)), draws=20),
    lambda fit, pick: fit.group_coefficients(groups=pick((None, ["g1"], [], "g1", ["nosuch"], 3))),
    lambda fit, pick: fit.check(draws=pick((20, 0, "a", 10**12))),
    lambda fit, pick: fit.explain(pick(("g1", "nosuch", None, ["g1"], 3))),
    lambda fit, pick: fit.summary(groups=pick((True, False)), interval=pick((0.9, 2, "a"))),
    lambda fit, pick: pw.datagrid(
        fit, **pick(({}, {"x": [0, 1]}, {"nosuch": 1}, {"x": []}, {"x": lambda column: 1 / 0}))
    ),
)


def call(rng):
    """One odd call; what it gives."""

    def pick(some):
        return some[rng.integers(len(some))]

    odd, plain = pick(COLUMNS)(), rng.random(3) < 0.5
    data = BASE.assign(odd=X if plain[0] else odd)
    terms = " + ".join(pick(TERMS[:12] if plain[1] else TERMS) for _ in range(rng.integers(1, 4)))
    formula = " + ".join(part for part in (f"{'y' if plain[2] else pick(OUTCOMES)} ~ {terms}", pick(BARS)) if part)
    if rng.random() < 0.35:  # a sound fit, and an odd question
        return pick(QUESTIONS)(sound(), pick)
    options = {"family": "gaussian", "draws": 20, "seed": 1, "priors": None, "chains": 2}
    changed = pick((None, None, "family", "draws", "seed", "priors", "chains"))
    values = {"family": FAMILIES, "draws": NUMBERS, "seed": SEEDS, "priors": MAPS, "chains": NUMBERS}
    if changed:
        options[changed] = pick(values[changed])
    return pw.fit(formula, data, time_limit=20, **options)


SOUND = []


def sound():
    if not SOUND:
        SOUND.append(pw.fit("y ~ x + (1 | g)", BASE, seed=1, draws=20, chains=2))
    return SOUND[0]


def finite(found):
    if isinstance(found, pw.Fit):
        repr(found)
        return np.isfinite(found.result.beta).all()
    table = getattr(found, "table", found)
    if isinstance(table, pd.DataFrame):
        numbers = table.select_dtypes("number").drop(columns=["x", "pareto_k"], errors="ignore")
        return bool(np.isfinite(numbers.dropna(how="all").to_numpy(dtype=float)).all())
    return True


def tried(calls, first=0):
    ended = Counter()
    for seed in range(first, first + calls):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = call(np.random.default_rng(seed))
            except pw.PoolwiseError as error:
                assert str(error), seed
                assert str(error).count("\n") < 12, seed
                ended["refused"] += 1
                continue
            except Exception as error:
                raise AssertionError(f"call {seed} ended in {type(error).__name__}: {error}") from error
        assert finite(found), seed
        ended["answered"] += 1
    return ended


def test_some_odd_calls():
    ended = tried(100)
    assert min(ended["refused"], ended["answered"]) > 20  # both ends are reached


@pytest.mark.slow
def test_odd_calls_by_the_thousand():
    ended = tried(CALLS)
    assert min(ended["refused"], ended["answered"]) > CALLS // 10
