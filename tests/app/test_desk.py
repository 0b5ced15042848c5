"""What a session works on, without a browser: requests, tables, formulas by clicks, answers."""

from __future__ import annotations

import json
import threading
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.app.asked import UPLOAD, Asked
from poolwise.app.clicks import clicks
from poolwise.app.columns import corrected, described, formula_for
from poolwise.app.desk import Desk, unused
from poolwise.app.examples import EXAMPLES
from poolwise.app.folder import files_in
from poolwise.app.limits import Limits
from poolwise.app.uploads import read_table
from poolwise.formula import parse
from poolwise.sources import files as sources_files
from poolwise.support.errors import PoolwiseError

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


@pytest.mark.parametrize("name", long_but_for(("radon", "sleep", "polling").__contains__, EXAMPLES))
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


def test_numbers_do_not_depend_on_where_zero_is_nor_on_units(tmp_path):
    frame = rows()
    asked = Asked(UPLOAD, "y ~ x + (1 | g)")
    near = uploaded(frame, tmp_path).answered(asked)
    for shift, scale in ((1e7, 1.0), (0.0, 1e3), (-2e3, 1e-3)):
        far = uploaded(frame.assign(y=shift + scale * frame["y"]), tmp_path).answered(asked)
        for kind in ("partial", "separate", "population"):
            one, other = (np.array(each["groups"]["effects"][0][kind]) for each in (near, far))
            np.testing.assert_allclose((other - shift) / scale, one, atol=0.02 * np.ptp(one), err_msg=f"{kind} {shift}")
        intercept = {each["name"]: each for each in far["priors"]}["Intercept"]
        assert len(set(intercept["edges"])) == len(intercept["edges"])
        assert len(set(intercept["x"])) == len(intercept["x"])


@pytest.mark.long
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
    asked = Asked(RADON.source, RADON.formula, groups=("CASS",))
    said = desk.judgement(asked, threading.Event())[0]()
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


@pytest.mark.long
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
    judged(desk, Asked("sleep", "reaction ~ days + (1 | person)", widths={"sd_person[Intercept]": 0.25}))
    names: dict[str, object] = {"data": EXAMPLES["sleep"].load()}
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
        ("", "a.csv", "is empty"),
        ("x,y\n", "a.csv", "is empty"),
        ("x,x\n1,2\n", "a.csv", "'a.csv' has two columns 'x'"),
        ("g,x\na,1,2\nb,3,4\n", "a.csv", "'a.csv', line 2: 3 fields, where the header has 2"),
        ("g,x,y\na,1\nb,2,3\n", "a.csv", "'a.csv', line 2: 2 fields, where the header has 3"),
        ("PK\x03\x04", "a.xlsx", "no CSV and no Parquet"),
        ("nothing", "a.parquet", "'a.parquet' cannot be read as Parquet"),
        (",".join(f"c{k}" for k in range(10_000)) + "\n" + ",".join("1" * 10_000), "a.csv", "500 at most"),
        ("x\n" * 200, "a.csv", "50 are the most"),
    ],
)
def test_bad_files(tmp_path, content, name, message):
    path, desk = tmp_path / "dropped", uploaded(rows(), tmp_path, rows=50)
    path.write_text(content)
    with pytest.raises(pw.DataError, match=message):
        desk.take(path, name)
    assert len(desk.table(UPLOAD)) == 40  # what was there is kept


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ("g,x,y\na,1,2,\nb,3,4,\n", "a.csv", {"g": ["a", "b"], "x": [1, 3], "y": [2, 4]}),
        ("g;x;y\na;1,5;2\nb;2,5;3\n", "a.csv", {"g": ["a", "b"], "x": [1.5, 2.5], "y": [2, 3]}),
        ("who, when\ty\nx, y\t1\nx, w\t2\n", "a.tsv", {"who, when": ["x, y", "x, w"], "y": [1, 2]}),
        ("yields\n1\n2\n", "a.txt", {"yields": [1, 2]}),
        ('g,y\na,"1,234"\nb,950\n', "a.csv", {"g": ["a", "b"], "y": [1234, 950]}),
    ],
)
def test_files_that_are_dropped_are_read_as_files_that_lie_there(tmp_path, content, name, expected):
    path, desk = tmp_path / name, Desk(Limits())
    path.write_text(content)
    desk.take(path, name)
    assert desk.table(UPLOAD).to_dict("list") == expected
    if name.endswith(".txt"):
        return
    desk.folder = files_in(tmp_path)
    assert desk.table(f"file:{name}").to_dict("list") == expected


def test_whole_numbers_beside_missing_ones_keep_their_digits_as_labels(tmp_path):
    """To six digits there were three groups of twenty."""
    codes = np.where(np.arange(40) < 39, 1_234_560.0 + np.arange(40) % 20, np.nan)
    desk = uploaded(rows(code=codes), tmp_path)
    desk.correct({"code": "category"})
    said = desk.described(UPLOAD)
    found = {one["name"]: (one["values"], one["missing"], one["example"]) for one in said["columns"]}
    assert found["code"] == (20, 1, "1234560")
    assert said["preview"][1][-1] == "1234561"
    desk.correct({"code": "number"})
    assert desk.described(UPLOAD)["preview"][1][-1] == "1234561"


@pytest.mark.parametrize("name", ["a`b", "a\nb", "a\r", "a\u2028b"])
def test_names_that_no_formula_holds_are_refused(tmp_path, name):
    with pytest.raises(pw.DataError, match="holds a backtick or the end of a line"):
        uploaded(rows(**{name: 1.0}), tmp_path, "rows.parquet")


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
    assert other.posed is None
    assert other.kept is None
    with pytest.raises(pw.DataError, match="still being made"):
        other.code("poolwise")


@pytest.mark.long
def test_a_sampled_family_is_pooled_at_once_and_compared_later():
    desk = Desk(Limits())
    asked = Asked("polling", EXAMPLES["polling"].formula, "bernoulli")
    assert "separate" not in desk.answered(asked)["groups"]["effects"][0]
    for step in desk.judgement(asked, threading.Event())[:1]:
        step()
    moved = replace(asked, widths={"sd_district[Intercept]": 2.0})
    assert "separate" in desk.answered(moved)["groups"]["effects"][0]  # no pooling has no such prior
    assert "separate" not in desk.answered(replace(asked, widths={"age": 2.0}))["groups"]["effects"][0]
    other = replace(asked, formula="woman ~ age + (1 | district)")
    assert "separate" not in desk.answered(other)["groups"]["effects"][0]


@pytest.mark.long
def test_what_is_taken_away_is_of_the_question_asked_last(tmp_path):
    desk = uploaded(rows(z=np.arange(40.0) % 7), tmp_path)
    one, other = Asked(UPLOAD, "y ~ x + (x | g)"), Asked(UPLOAD, "z ~ x + (x | g)")
    judged(desk, one)
    assert desk.code("lme4")
    for asked in (other, replace(one, widths={"sd_g[x]": 0.5})):
        desk.answered(asked)
        with pytest.raises(pw.DataError, match="still being made"):
            desk.code("lme4")
        with pytest.raises(pw.DataError, match="still being made"):
            desk.explained("a", asked)
    judged(desk, one)
    assert desk.explained("a", one)["text"].startswith("a: 5 rows")


@pytest.mark.long
def test_steps_of_a_judgement_are_of_its_own_fits(tmp_path):
    desk = uploaded(rows(z=np.arange(40.0) % 7), tmp_path)
    first = desk.judgement(Asked(UPLOAD, "y ~ x + (x | g)"), threading.Event())
    second = desk.judgement(Asked(UPLOAD, "z ~ x + (x | g)"), threading.Event())
    first[0]()
    second[0]()
    assert first[2]()["outcomes"]["name"] == "y"
    first[1]()
    assert desk.comparison is None  # it would stand beside the other's fits
    second[1]()
    assert desk.comparison is not None


def test_priors_of_monotonic_terms_stand_beside_what_they_speak_of(tmp_path):
    rng = np.random.default_rng(1)
    level = rng.integers(0, 4, 40)
    desk = uploaded(rows(level=level, y=level + 0.1 * rng.normal(size=40)), tmp_path)
    found = desk.answered(Asked(UPLOAD, "y ~ mo(level) + (1 | g)"))["priors"]
    shown = {one["name"]: one for one in found}["mo(level)"]
    edges = np.array(shown["edges"])
    assert np.average(0.5 * (edges[1:] + edges[:-1]), weights=shown["posterior"]) == pytest.approx(1.0, abs=0.1)


def test_poolings_stand_side_by_side_where_they_are_one_regression(tmp_path):
    desk = uploaded(rows(h=list("uvwx") * 10), tmp_path)
    assert "separate" in desk.answered(Asked(UPLOAD, "y ~ x + (x | g)"))["groups"]["effects"][0]
    for formula in ("y ~ 1 + (x | g)", "y ~ x + (1 | g) + (1 | h)"):
        assert "separate" not in desk.answered(Asked(UPLOAD, formula))["groups"]["effects"][0]


@pytest.mark.parametrize(
    ("formula", "along"),
    long_but_for(
        lambda formula, _: (
            formula
            not in (
                "y ~ log(z) + (1 | g)",
                "y ~ b + (b | g)",
                "y ~ C(code) + (1 | g)",
                "y ~ x",
                "y | weights(w) ~ x + (1 | g)",
            )
        ),
        [
            ("y ~ z + x + (z | g)", "z"),
            ("y ~ log(z) + (1 | g)", "z"),
            ("y ~ x + offset(z) + (1 | g)", None),
            ("y ~ b + (b | g)", None),
            ("y ~ C(code) + (1 | g)", None),
            ("y ~ mo(code) + (1 | g)", None),
            ("y ~ word + (1 | g)", None),
            ("y | weights(w) ~ x + (1 | g)", "x"),
            ("y | se(w, sigma=True) ~ x + (1 | g)", "x"),
            ("y ~ s(x) + (1 | g)", "x"),
            ("y ~ 1 + (1 | g)", None),
            ("y ~ x", None),
        ],
    ),
)
def test_lines_are_along_the_first_amount(tmp_path, formula, along):
    rng = np.random.default_rng(1)
    w = np.where(np.arange(40) % 9, 1.0 + rng.random(40), np.nan)
    more = {"z": 1 + rng.random(40), "b": rng.random(40) > 0.5, "code": np.arange(40) % 4, "word": list("uvwx") * 10}
    desk = uploaded(rows(w=w, **more), tmp_path, "rows.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = desk.judgement(Asked(UPLOAD, formula), threading.Event())[0]()
    json.dumps(first, allow_nan=False)
    assert (first["lines"] and first["lines"]["x"]) == along


@pytest.mark.long
def test_labels_that_are_numbers_and_text_and_long_ones(tmp_path):
    long = "x" * 300
    desk = uploaded(rows(g=np.repeat([*"abcdefg", long], 5)), tmp_path)
    asked = Asked.of({"source": UPLOAD, "formula": "y ~ x + (1 | g)", "family": "gaussian", "groups": [long]})
    assert judged(desk, asked)["lines"]["panels"][0]["label"] == long
    mixed = Desk(Limits(), uploaded=rows(g=pd.Series([1, "b", 2, "d"] * 10, dtype=object)))
    panels = judged(mixed, replace(asked, groups=()))["lines"]["panels"]
    assert {"1", "2"} < {panel["label"] for panel in panels}


def test_tables_of_other_kinds(tmp_path):
    frame = rows().convert_dtypes().assign(n=pd.array([None, *range(39)], dtype="Int64"))
    said = uploaded(frame, tmp_path, "rows.parquet").described(UPLOAD)
    assert said["preview"][0][-1] == ""
    for kinds in (5, "abc", None, [1]):
        with pytest.raises(pw.DataError):
            uploaded(rows(), tmp_path).correct(kinds)


@pytest.mark.parametrize("formula", ["y ~ C(n) + (1 | g)", "y ~ c:d + (1 | g)", "y ~ x + (c:d | g)", "y ~ c * d"])
def test_terms_of_thousands_of_columns_are_refused_at_once(tmp_path, formula):
    rng, k = np.random.default_rng(1), np.arange(3_000)
    frame = pd.DataFrame({"n": k, "y": rng.normal(size=3_000), "x": rng.normal(size=3_000), "g": list("abc") * 1_000})
    frame = frame.assign(c=[f"c{j % 60}" for j in k], d=[f"d{j % 50}" for j in k])
    with pytest.raises(pw.FormulaError, match="3,000 columns; 2,000 are the most"):
        uploaded(frame, tmp_path).answered(Asked(UPLOAD, formula))


def test_widths_are_of_priors_by_their_own_names():
    for name in ("slopes", "sd", "sd_county", "cor_county", "oops"):
        with pytest.raises(pw.PriorError, match="No prior of this model is moved"):
            Desk(Limits()).answered(Asked(formula=RADON.formula, widths={name: 2.0}))


def test_pins_have_names_of_their_own():
    known: list[str] = []
    for _ in range(9):
        known.append(unused("y ~ x", known))
    assert len(set(known)) == 9
    assert unused("y ~ x", known[1:]) == "y ~ x"


def shapes(count, **properties):
    outline = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    return [
        {"type": "Feature", "geometry": outline, "properties": {name: values[k] for name, values in properties.items()}}
        for k in range(count)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "no GeoJSON"),
        (b"[" * 100_000, "no GeoJSON"),
        (b"[1, 2]", "collection of features"),
        (b'{"features": [1]}', "collection of features"),
        (b'{"features": [{"geometry": null}]}', "collection of features"),
        (json.dumps({"features": shapes(3, name=["x", "y", "z"])}).encode(), "labels of a column"),
        (json.dumps({"features": shapes(8, name=["a"] * 8)}).encode(), "labels of a column"),
        (
            json.dumps({"features": shapes(8, name=list("abcdefgh"))}).replace("[1, 1]", "[NaN, 1]").encode(),
            "no number",
        ),
        (json.dumps({"features": shapes(8, name=list("abcdefgh"))}).replace("[1, 1]", "[1e999, 1]").encode(), "finite"),
        (
            json.dumps({"features": shapes(8, name=list("abcdefgh"))}).replace("[1, 1]", "[5e5, 1]").encode(),
            "in degrees",
        ),
        (
            json.dumps({"features": [one | {"geometry": "x"} for one in shapes(8, name=list("abcdefgh"))]}).encode(),
            "no polygon",
        ),
        (json.dumps({"features": shapes(5001, name=list(map(str, range(5001))))}).encode(), "5,000 are the most"),
    ],
)
def test_maps_that_are_none(content, message, tmp_path):
    desk = uploaded(rows(), tmp_path)
    before = desk.described(UPLOAD)
    (tmp_path / "map.json").write_bytes(content)
    with pytest.raises(PoolwiseError, match=message):
        desk.take(tmp_path / "map.json", "map.json")
    assert desk.described(UPLOAD) == before


@pytest.mark.long
def test_a_map_of_islands_is_drawn_but_joins_nothing(tmp_path):
    desk = uploaded(rows(), tmp_path)
    found = shapes(8, code=list(range(8)), name=list("abcdefgh"))
    for k, one in enumerate(found):
        one["geometry"] = {"type": "Polygon", "coordinates": [[[3 * k, 0], [3 * k + 1, 0], [3 * k, 1], [3 * k, 0]]]}
    (tmp_path / "map.json").write_text(json.dumps({"features": found}))
    desk.take(tmp_path / "map.json", "map.json")
    said = desk.described(UPLOAD)["map"]
    assert (said["by"], said["joined"], len(said["shapes"])) == ("g", False, 8)
    areas = judged(desk, Asked(UPLOAD, "y ~ x + (1 | g)", "gaussian"))["areas"]
    fit = pw.fit("y ~ x + (1 | g)", desk.table(UPLOAD), seed=1)
    np.testing.assert_allclose(areas["mean"], fit.area_effects("g")["mean"], atol=1e-4)
    with pytest.raises(PoolwiseError, match="map"):
        desk.answered(Asked(UPLOAD, "y ~ x + bym2(g, map)", "gaussian"))
    desk.take(tmp_path / "rows.csv", "rows.csv")
    assert desk.described(UPLOAD)["map"] is None  # another table, another map


@pytest.mark.long
def test_files_of_a_folder_that_the_operator_opened(tmp_path, monkeypatch):
    place = tmp_path / "data"
    place.mkdir()
    frame = rows()
    frame.to_parquet(place / "rows.parquet")
    frame.to_csv(place / "rows.csv", index=False)
    (place / "notes.md").write_text("no table")
    files = files_in(place)
    assert sorted(files) == ["rows.csv", "rows.parquet"]
    desk = Desk(Limits(), folder=files)
    mine = uploaded(frame, tmp_path).answered(Asked(UPLOAD, "y ~ x + (1 | g)"))
    for name in files:
        said = desk.described(f"file:{name}")
        assert said["rows"] == 40
        found = desk.answered(Asked(f"file:{name}", "y ~ x + (1 | g)"))
        assert found["coefficients"] == mine["coefficients"]
    monkeypatch.setattr(sources_files, "SMALL", 10)  # bytes: rows stay in their file
    (place / "large.csv").write_bytes((place / "rows.csv").read_bytes())
    desk = Desk(Limits(), folder=files_in(place))
    assert "All rows are fitted, where they lie." in desk.described("file:large.csv")["about"]
    found = judged(desk, asked := Asked("file:large.csv", "y ~ x + (1 | g)"))
    assert desk.answered(asked)["coefficients"] == mine["coefficients"]
    assert found["lines"] is None
    assert found["checks"]["verdict"]
    other = desk.described("file:rows.csv")["preview"]
    frame.assign(y=frame["y"] + 100).to_csv(place / "rows.csv", index=False)
    assert desk.described("file:rows.csv")["preview"] != other
    moved = desk.answered(Asked("file:rows.csv", "y ~ x + (1 | g)"))["coefficients"][0]["partial"][0]
    assert moved == pytest.approx(mine["coefficients"][0]["partial"][0] + 100, abs=0.3)  # the file as it now is
    (place / "bad.csv").write_bytes(b"a,b\n1,2,3\n")
    with pytest.raises(PoolwiseError) as failed:
        Desk(Limits(), folder=files_in(place)).described("file:bad.csv")
    assert str(tmp_path) not in str(failed.value)
    (place / "large.csv").unlink()
    with pytest.raises(PoolwiseError, match=r"'large\.csv' is not there any more"):
        desk.described("file:large.csv")


@pytest.mark.parametrize("source", ["file:../secret.csv", "file:/etc/passwd", "file:notes.md", "file:", "rows.csv"])
def test_a_source_is_a_name_and_no_path(source, tmp_path):
    (tmp_path / "secret.csv").write_text("y\n1\n")
    (tmp_path / "data").mkdir()
    rows().to_csv(tmp_path / "data" / "rows.csv", index=False)
    desk = Desk(Limits(), folder=files_in(tmp_path / "data"))
    with pytest.raises(PoolwiseError, match="There is no example"):
        desk.described(source)
    with pytest.raises(PoolwiseError, match="There is no example"):
        desk.answered(Asked(source, "y ~ 1"))


def test_folders_without_tables(tmp_path):
    with pytest.raises(PoolwiseError, match="no folder"):
        files_in(tmp_path / "none")
    with pytest.raises(PoolwiseError, match="no CSV"):
        files_in(tmp_path)
