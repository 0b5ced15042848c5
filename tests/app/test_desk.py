"""What a session works on, without a browser: requests, tables, formulas by clicks, answers."""

from __future__ import annotations

import json
import threading

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.app.asked import Asked
from poolwise.app.clicks import clicks
from poolwise.app.columns import corrected, described, formula_for
from poolwise.app.desk import UPLOAD, Desk, Limits, read_table
from poolwise.app.examples import EXAMPLES
from poolwise.formula import parse
from poolwise.inference.posterior import Pooling

RADON = Asked(source="radon", formula="log_radon ~ floor + (floor | county)", number=3)


@pytest.fixture(scope="module")
def desk():
    found = Desk(Limits())
    judged(found, RADON)
    return found


def judged(desk, asked):
    """All that is said once a slider rests."""
    found = {}
    for step in desk.judgement(asked, threading.Event()):
        found |= step()
    return found


def rows(**columns):
    rng = np.random.default_rng(1)
    g = np.repeat(list("abcdefgh"), 5)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=40), "y": rng.normal(size=40) + (g > "d")})
    return frame.assign(**columns)


def uploaded(frame, tmp_path, name="rows.csv", **limits):
    path = tmp_path / name
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
    found = Desk(Limits(**limits))
    found.take(path, name)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_an_answer(name):
    example = EXAMPLES[name]
    desk = Desk(Limits())
    said = desk.described(name)
    assert said["formula"] == example.formula
    found = desk.answered(Asked(name, example.formula, example.family, number=7))
    json.dumps([said, found], allow_nan=False)
    assert found["number"] == 7
    assert found["certificate"]["passed"]
    assert found["groups"]["effects"]


def test_numbers_are_those_of_fit():
    found = Desk(Limits()).answered(RADON)
    fit = pw.fit(RADON.formula, pw.datasets.load_radon(), draws=250, seed=1)
    table = fit.summary()
    for line in found["coefficients"]:
        assert line["partial"][0] == pytest.approx(table.loc[line["name"], "mean"], rel=1e-3)
    counties = fit.group_coefficients()
    effect = found["groups"]["effects"][1]
    known = counties[counties["effect"] == "floor"].set_index("county")["mean"]
    for label, triple in zip(found["groups"]["labels"], effect["partial"], strict=True):
        assert triple[0] == pytest.approx(known[label], rel=1e-3, abs=1e-3)
    assert sum(effect["untold"]) == 25  # counties without a house measured on the first floor


def test_a_slider_widens_the_default_prior():
    moved = Asked(RADON.source, RADON.formula, widths={"sd_county[floor]": 0.125, "sigma": 2.0})
    found = Desk(Limits()).answered(moved)
    words = pw.fit(
        RADON.formula, pw.datasets.load_radon(), draws=8, seed=1,
        priors={"sd_county[floor]": pw.Default(0.125), "sigma": pw.Default(2)},
    ).priors  # fmt: skip
    assert {one["name"]: one["words"] for one in found["priors"]} == {
        name: text for name, text in words.items() if not name.startswith("cor")
    }


def test_densities_of_priors_integrate_to_what_is_shown():
    for one in Desk(Limits()).answered(RADON)["priors"]:
        x, prior = np.array(one["x"]), np.array(one["prior"])
        area = np.trapezoid(prior, x)
        assert 0.05 < area <= 1.02
        edges = np.array(one["edges"])
        assert np.sum(one["posterior"] * np.diff(edges)) == pytest.approx(1.0, abs=0.02)


def test_an_sd_at_the_centre_is_drawn_there(desk):
    """The prior speaks of the sd of counties' levels at the mean of floor, not in the basement."""
    shown = {one["name"]: one for one in Desk(Limits()).answered(RADON)["priors"]}["sd_county[Intercept]"]
    middle = np.average(
        0.5 * (np.array(shown["edges"])[1:] + np.array(shown["edges"])[:-1]), weights=shown["posterior"]
    )
    fit = desk.fit
    floor = fit.posterior["coef_county"].sel(effect="floor").values
    level = fit.posterior["coef_county"].sel(effect="Intercept").values
    at_centre = (level + pw.datasets.load_radon()["floor"].mean() * floor).std(axis=-1).mean()
    assert abs(middle - at_centre) < 0.06
    assert "at the mean of every predictor" in shown["words"]


def test_judgement_is_that_of_compare_pooling(desk):
    said = judged(desk, RADON)
    json.dumps(said, allow_nan=False)
    assert said["verdict"].startswith("On rows left out, partial pooling predicts best")
    known = pw.compare_pooling("log_radon ~ floor", by="county", data=pw.datasets.load_radon(), seed=1, correlated=True)
    scores = {line[0]: line[1:] for line in said["scores"]["lines"]}
    for name, line in known.table.drop(columns="seconds").iterrows():
        np.testing.assert_allclose(scores[name][:2], line.iloc[:2], rtol=0.01)
    assert {panel["label"] for panel in said["lines"]["panels"]} >= {"ST LOUIS"}
    panel = said["lines"]["panels"][0]
    assert {"complete", "separate", "partial"} <= set(panel)


def test_lines_are_predictions(desk):
    said = judged(desk, Asked(RADON.source, RADON.formula, groups=("CASS",)))
    panel = said["lines"]["panels"][0]
    assert panel["label"] == "CASS"
    assert len(panel["dots"]["x"]) == 5
    table = desk.fit.predict(pd.DataFrame({"county": ["CASS"] * 2, "floor": [0, 1]}))
    np.testing.assert_allclose([panel["partial"][0][0], panel["partial"][0][-1]], table["mean"], rtol=1e-3)


def test_what_nobody_waits_for_ends():
    withdrawn = threading.Event()
    withdrawn.set()
    first, *_ = Desk(Limits()).judgement(RADON, withdrawn)
    with pytest.raises(pw.PoolwiseError):
        first()


def test_explanations_pins_code_and_flips(tmp_path):
    desk, asked = Desk(Limits()), Asked("sleep", "reaction ~ days + (days | person)")
    judged(desk, asked)
    assert desk.explained("P01", asked)["text"].startswith("P01: 10 rows")
    with pytest.raises(pw.DataError, match="no group 'P99'"):
        desk.explained("P99", asked)
    assert "library(brms)" in desk.code("brms")
    names: dict[str, object] = {"data": EXAMPLES["sleep"].load()}
    exec(desk.code("poolwise"), names)  # the script is ours
    np.testing.assert_array_equal(names["fit"].result.beta, desk.fit.result.beta)
    assert "pin it too" in desk.pin()["said"]
    other = Desk(Limits(), pinned=desk.pinned)
    judged(other, Asked("sleep", "reaction ~ days + (1 | person)"))
    found = other.pin()
    assert len(found["lines"]) == 2
    assert "predicts best" in found["said"]
    assert any("days" in sentence for sentence in desk.flips("sd_person[days]"))
    assert desk.report(tmp_path / "page.html").stat().st_size > 100_000


def test_code_of_moved_priors_makes_the_same_fit():
    desk = Desk(Limits())
    judged(desk, Asked(RADON.source, RADON.formula, widths={"sd_county[Intercept]": 0.25}))
    names: dict[str, object] = {"data": pw.datasets.load_radon()}
    exec(desk.code("poolwise"), names)
    np.testing.assert_array_equal(names["fit"].result.beta, desk.fit.result.beta)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_table_of_ones_own(tmp_path, name):
    desk = uploaded(rows(), tmp_path, name)
    said = desk.described(UPLOAD)
    assert (said["formula"], said["family"]) == ("y ~ x + (1 | g)", "gaussian")
    assert desk.answered(Asked(UPLOAD, said["formula"]))["groups"]["by"] == "g"


def test_columns_are_guessed_and_can_be_corrected(tmp_path):
    desk = uploaded(rows(code=np.repeat([1, 2, 3, 4], 10), won=[0, 1] * 20, count=range(40)), tmp_path)
    kinds = {one["name"]: one["family"] for one in desk.described(UPLOAD)["columns"]}
    assert (kinds["y"], kinds["won"], kinds["count"], kinds["g"]) == ("gaussian", "bernoulli", "poisson", "categorical")
    desk.correct({"code": "category"})
    answer = desk.answered(Asked(UPLOAD, "y ~ code + (1 | g)"))
    assert "beta[code[T.2]]" in [line["name"] for line in answer["coefficients"]]
    with pytest.raises(pw.DataError, match="holds no numbers"):
        desk.correct({"g": "number"})
    assert desk.kinds == {"code": "category"}
    with pytest.raises(pw.DataError, match="no column 'h'"):
        desk.correct({"h": "number"})


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "a.csv", "could not be read"),
        ("x,y\n", "a.csv", "is empty"),
        ("x,x\n1,2\n", "a.csv", None),
        ("PK\x03\x04", "a.xlsx", "no CSV and no Parquet"),
        ("nothing", "a.parquet", "could not be read"),
        (",".join(f"c{k}" for k in range(10_000)) + "\n" + ",".join("1" * 10_000), "a.csv", "500 at most"),
        ("x\n" * 200, "a.csv", "50 are the most"),
    ],
)
def test_bad_files(tmp_path, content, name, message):
    path, desk = tmp_path / name, uploaded(rows(), tmp_path, rows=50)
    path.write_text(content)
    if message is None:
        desk.take(path, name)
        return
    with pytest.raises(pw.DataError, match=message):
        desk.take(path, name)
    assert len(desk.table(UPLOAD)) == 40  # what was there is kept


def test_files_that_are_too_large_or_hold_lists(tmp_path):
    with pytest.raises(pw.DataError, match="0.0001 MB are the most"):
        uploaded(rows(), tmp_path, megabytes=0.0001)
    with pytest.raises(pw.DataError, match="holds lists"):
        uploaded(rows(z=[[1, 2]] * 40), tmp_path, "rows.parquet")
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n")
    assert list(read_table(tmp_path / "x.tsv", "x.tsv", Limits()).columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("", "no formula"),
        ("log_radon ~ flor + (1 | county)", "flor"),
        ("log_radon ~ floor + (1 | county", "never closed"),
        ("log_radon ~ __import__('os').system('true')", "Cannot read|no column"),
        ("log_radon ~ open('/etc/passwd').read() + (1 | county)", "Cannot read|no column"),
        ("log_radon ~ (lambda: 1)() + floor", "Cannot read|no column"),
    ],
)
def test_formulas_that_make_no_sense_or_would_run_code(formula, message):
    with pytest.raises(pw.PoolwiseError, match=message):
        Desk(Limits()).answered(Asked(formula=formula))


def test_a_constant_outcome_and_a_group_with_one_row(tmp_path):
    desk = uploaded(rows(flat=1.0), tmp_path)
    with pytest.raises(pw.DataError):
        desk.answered(Asked(UPLOAD, "flat ~ x + (1 | g)"))
    frame = rows()
    frame.loc[0, "g"] = "alone"
    found = uploaded(frame, tmp_path).answered(Asked(UPLOAD, "y ~ x + (x | g)"))
    assert 1 in found["groups"]["rows"]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "said",
    [
        None,
        3,
        {"formula": 3},
        {"formula": "x" * 3000},
        {"widths": [1]},
        {"widths": {"sd": "a"}},
        {"widths": {"sd": 1e9}},
        {"widths": {"sd": True}},
        {"widths": {"sd": float("nan")}},
        {"groups": "abc"},
        {"groups": ["a"] * 99},
        {"number": "x"},
        {"number": float("inf")},
    ],
)
def test_requests_are_checked(said):
    with pytest.raises(pw.DataError):
        Asked.of(said)


def test_a_link_leads_to_the_same_state():
    asked = Asked("sleep", "reaction ~ days + (1 | person)", "student", {"sd_person[Intercept]": 0.5})
    assert Asked.of_link(asked.link) == asked
    assert Asked.of_link("?width.sd=oops") == Asked()
    assert Asked.of_link("?formula=" + "x" * 3000) == Asked()


@pytest.mark.parametrize(
    ("formula", "known"),
    [
        ("y ~ x + (x | g)", ("y", ["x"], "g", ["x"])),
        ("y ~ 1 + x + z", ("y", ["x", "z"], "", [])),
        ("`the y` ~ `an x` + (1 | `my g`)", ("the y", ["an x"], "my g", [])),
        ("y ~ 1", ("y", [], "", [])),
    ],
)
def test_formulas_as_clicks(formula, known):
    found = clicks(parse(formula))
    assert (found["outcome"], found["predictors"], found["group"], found["varying"]) == known


@pytest.mark.parametrize(
    "formula",
    ["y ~ x * z", "log(y) ~ x", "y ~ 0 + x", "y ~ x + (x || g)", "y ~ x + (1 | a/b)", "y ~ x + (z | g)",
     "y | weights(w) ~ x", "y ~ x + offset(z)", "y ~ s(x)", "y ~ x + (1 | a) + (1 | b)", "k | trials(n) ~ x"],
)  # fmt: skip
def test_formulas_beyond_clicks(formula):
    assert clicks(parse(formula)) is None


def test_a_first_formula():
    frame = rows(idnum=range(40))
    assert formula_for(described(frame), 40) == ("y ~ x + (1 | g)", "gaussian")
    assert formula_for(described(frame[["y"]]), 40) == ("y ~ 1", "gaussian")
    assert (
        formula_for(described(frame.rename(columns={"y": "the y"})[["g", "the y"]]), 40)[0] == "`the y` ~ 1 + (1 | g)"
    )
    assert corrected(frame, {}).equals(frame)


def test_sessions_do_not_share(tmp_path):
    one, other = uploaded(rows(), tmp_path), Desk(Limits())
    with pytest.raises(pw.DataError, match="No file has been dropped"):
        other.table(UPLOAD)
    one.answered(Asked(UPLOAD, "y ~ x + (1 | g)"))
    assert other.problem is None
    assert other.kept == {}
    with pytest.raises(pw.DataError, match="still being made"):
        other.code("poolwise")


def test_a_sampled_family_is_pooled_at_once_and_compared_later():
    desk = Desk(Limits())
    asked = Asked("polling", EXAMPLES["polling"].formula, "bernoulli")
    live = desk.answered(asked)
    assert not live["separate"]
    assert "separate" not in live["groups"]["effects"][0]
    assert set(desk.problem.model.design.coefficients) == {"Intercept", "woman", "age"}
    assert desk.problem.plain is not None
    assert Pooling.PARTIAL is desk.problem.model.pooling
