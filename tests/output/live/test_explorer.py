"""`fit.explore()`: what sliders change, in Python and in a browser, and in a notebook that is executed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tests.accessibility import faults

import poolwise as pw
from poolwise.support.errors import DataError

FORMULA = "log_radon ~ floor + (floor | county)"
HOST = """<!DOCTYPE html><html lang="en"><title>host</title>
<body style="margin: 0; background: %s"><div class="here"></div>%s<script type="module">
const heard = {};
const model = {
  state: await window.state(),
  get(name) { return this.state[name]; },
  set(name, value) { this.state[name] = value; for (const act of heard[`change:${name}`] || []) act(); },
  on(name, act) { (heard[name] = heard[name] || []).push(act); },
  off(name, act) { heard[name] = (heard[name] || []).filter((one) => one !== act); },
  async save_changes() {
    this.state.answer = await window.asked(this.state.asked);
    for (const act of heard["change:answer"] || []) act();
  },
  async send(content) {
    const said = await window.said(content);
    for (const act of heard["msg:custom"] || []) act(said);
  },
};
const address = URL.createObjectURL(new Blob([await window.module()], { type: "text/javascript" }));
const { default: widget } = await import(address);
for (const where of document.querySelectorAll(".here")) widget.render({ model, el: where });
</script></body></html>"""


@pytest.fixture(scope="module")
def fit(radon):
    return pw.fit(FORMULA, radon, seed=3)


def line(answer, name):
    return next(one for one in answer["coefficients"] if one["name"] == name)


def prior(answer, name):
    return next(one for one in answer["priors"] if one["name"] == name)


def ask(explorer, number, settled=True, groups=(), **widths):
    explorer.asked = {"number": number, "widths": widths, "groups": list(groups), "settled": settled}
    return explorer.answer


def test_it_begins_with_the_draws_of_the_fit(fit):
    explorer = fit.explore()
    mean, low, high = line(explorer.answer, "beta[floor]")["partial"]
    table = fit.summary().loc["beta[floor]"]
    assert (mean, low, high) == pytest.approx((table["mean"], table["5%"], table["95%"]), abs=1e-4)
    assert explorer.fit.result is fit.result
    assert explorer.answer["certificate"]["passed"]
    assert explorer.answer["formula"] == FORMULA
    json.dumps(explorer.answer, allow_nan=False)  # what a notebook can be sent


def test_a_slider_is_a_refit_with_that_prior(fit, radon):
    explorer = fit.explore()
    answer = ask(explorer, 1, **{"sd_county[floor]": 1 / 16})
    again = pw.fit(FORMULA, radon, priors={"sd_county[floor]": pw.Default(times=1 / 16)}, seed=3)
    np.testing.assert_array_equal(explorer.fit.result.theta, again.result.theta)
    mean = again.summary().loc["sd_county[floor]", "mean"]
    assert line(answer, "sd_county[floor]")["partial"][0] == pytest.approx(mean, abs=1e-4)
    assert prior(answer, "sd_county[floor]")["width"] == 1 / 16
    assert str(explorer.fit.result.model.given["sd_county[floor]"]) == str(pw.Default(times=1 / 16))
    assert ask(explorer, 2)["coefficients"] == fit.explore().answer["coefficients"]  # and back


def test_while_a_slider_moves_few_draws_answer(fit):
    explorer = fit.explore()
    answer = ask(explorer, 5, settled=False, **{"sd_county[floor]": 4.0})
    assert answer["number"] == 5
    assert "explained" not in answer
    assert line(answer, "sd_county[floor]")["partial"][0] > 0
    assert "separate" in answer["groups"]["effects"][0]


def test_priors_that_were_set_are_widened_themselves(radon):
    fit = pw.fit(FORMULA, radon, priors={"sd": pw.HalfNormal(0.5), "floor": pw.Default(times=2)}, seed=3)
    explorer = fit.explore()
    ask(explorer, 1, **{"sd_county[Intercept]": 2.0, "floor": 3.0})
    given = explorer.fit.result.model.given
    assert given["sd_county[Intercept]"] == pw.HalfNormal(1.0)
    assert given["floor"] == pw.Default(times=6.0)
    again = pw.fit(FORMULA, radon, priors=dict(given), seed=3)
    np.testing.assert_allclose(again.result.theta, explorer.fit.result.theta, rtol=1e-10)


def test_a_group_explains_itself(fit):
    explorer = fit.explore()
    answer = ask(explorer, 1, groups=["LAC QUI PARLE"])
    assert answer["explained"] == fit.explain("LAC QUI PARLE").text
    assert answer["lines"]["panels"][0]["label"] == "LAC QUI PARLE"


def test_what_cannot_be_is_said_and_the_next_question_answered(fit):
    explorer = fit.explore()
    assert "64 times as wide" in ask(explorer, 1, floor=1e9)["failed"]
    assert "No prior of this model is moved by 'flor'. Did you mean 'floor'?" in ask(explorer, 2, flor=2.0)["failed"]
    assert "failed" not in ask(explorer, 3, floor=2.0)
    assert "no group" in ask(explorer, 4, groups=["NOWHERE"])["explained"].lower()


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("log_radon ~ floor", "gaussian"),
        ("log_radon ~ s(Uppm) + (1 | county)", "gaussian"),
        ("log_radon ~ floor + (1 | county) + (1 | floor)", "gaussian"),
        ("high ~ floor + (1 | county)", "bernoulli"),
    ],
)
def test_models_of_all_kinds(formula, family, radon):
    rows = radon.assign(high=(radon["log_radon"] > 1.4).astype(int))
    explorer = pw.fit(formula, rows, family=family, seed=1, draws=250).explore()
    before = explorer.answer
    answer = ask(explorer, 1, **{before["priors"][0]["name"]: 2.0})
    assert "failed" not in answer
    json.dumps(answer, allow_nan=False)
    assert answer["priors"] != before["priors"]


def test_fits_without_rows(fit, tmp_path):
    fit.save(tmp_path / "fit")
    loaded = pw.load(tmp_path / "fit").explore()
    assert loaded.answer["coefficients"] == fit.explore().answer["coefficients"]
    assert ask(loaded, 1, groups=["AITKIN"])["lines"] is None
    rows = pd.DataFrame({"g": list("abc") * 8, "y": np.random.default_rng(1).normal(size=24)})
    with pytest.raises(DataError, match="no explorer"):
        pw.compare_pooling("y ~ 1", by="g", data=rows, folds=0, draws=50, seed=1).separate.explore()


def test_without_anywidget(fit, monkeypatch):
    monkeypatch.setattr("poolwise.api.fitted_model.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"poolwise\[notebook\]"):
        fit.explore()


@pytest.fixture
def notebook_page(browser, fit):
    """The widget's own script with the widget's own Python behind it, in a page without anything else."""

    def opened(ground="#ffffff", width=1000, fit=fit, views=1):
        explorer = fit.explore()
        page = browser.new_page(viewport={"width": width, "height": 1100})
        page.failures, page.requests = [], []
        page.on("pageerror", lambda error: page.failures.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        sent = []
        explorer.send = lambda content, buffers=None: sent.append(content)

        def asked(value):
            explorer.asked = value
            return explorer.answer

        def said(content):
            explorer._message(None, content, None)
            return sent.pop()

        page.expose_function(
            "state", lambda: {name: getattr(explorer, name) for name in ("specifications", "asked", "answer")}
        )
        page.expose_function("module", lambda: explorer._esm)
        page.expose_function("asked", asked)
        page.expose_function("said", said)
        page.set_content(HOST % (ground, '<div class="here"></div>' * (views - 1)))
        page.add_style_tag(content=explorer._css)
        page.wait_for_selector(".poolwise-explorer[data-ready] .chart svg .mark-symbol path", timeout=60_000)
        return page, explorer

    return opened


@pytest.mark.long
def test_in_a_browser(notebook_page, fit):
    page, explorer = notebook_page()
    assert page.locator(".certificate").inner_text() == explorer.answer["certificate"]["line"]
    slider = page.locator('input[data-term="sd_county[floor]"]')
    slider.focus()
    before = page.locator(".poolwise-explorer tbody").inner_text()
    page.evaluate("window.heard = 0; document.addEventListener('keydown', () => { window.heard += 1; })")
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "document.querySelector('.poolwise-explorer').dataset.settled === 'true' && "
        "Number(document.querySelector('.poolwise-explorer').dataset.answered) > 1"
    )
    assert explorer.asked["widths"] == {"sd_county[floor]": 0.25}
    assert page.evaluate("window.heard") == 0  # JupyterLab would take the keys
    assert page.locator(".poolwise-explorer tbody").inner_text() != before
    assert page.locator(".prior output").all_inner_texts().count("× 0.25") == 1
    page.get_by_label("Explain").select_option("LAC QUI PARLE")
    page.wait_for_function("document.querySelector('.said').textContent.startsWith('LAC QUI PARLE')")
    page.get_by_role("button", name="Priors of the fit").click()
    page.wait_for_function("!document.querySelector('.poolwise-explorer').textContent.includes('× 0.25')")
    page.wait_for_function("document.querySelector('.poolwise-explorer').dataset.settled === 'true'")
    assert explorer.fit.result is fit.result
    assert faults(page) == []
    assert page.evaluate("window.vegaEmbed === undefined")  # nobody else's names are taken
    assert page.failures == []
    assert all(address.startswith(("data:", "blob:", "about:")) for address in page.requests)
    page.close()


@pytest.fixture(scope="module")
def hostile():
    rows = pd.DataFrame(
        {"g": ["<img src=x onerror=boom()>", "b", "c"] * 8, "y": np.random.default_rng(1).normal(size=24)}
    )
    return pw.fit("y ~ 1 + (1 | g)", rows, seed=1)


@pytest.mark.long
def test_nothing_keeps_a_screen_reader_out_in_the_dark(notebook_page, hostile):
    page, _ = notebook_page("#111111", width=360, fit=hostile)
    assert faults(page) == []
    page.close()


def test_labels_are_text_and_the_dark_is_dark(notebook_page, hostile):
    page, explorer = notebook_page("#111111", width=360, fit=hostile)
    assert page.locator(".poolwise-explorer.dark").count() == 1
    page.get_by_label("Explain").select_option("<img src=x onerror=boom()>")
    page.wait_for_function("document.querySelector('.said').textContent.startsWith('<img')")
    assert page.locator(".poolwise-explorer img").count() == 0
    assert page.failures == []
    assert page.evaluate("document.documentElement.scrollWidth <= 360")
    page.close()


@pytest.mark.long
def test_two_views_of_one_widget_agree(notebook_page):
    page, explorer = notebook_page(views=2)
    page.wait_for_function("document.querySelectorAll('.poolwise-explorer[data-ready]').length === 2")
    boxes = page.locator(".poolwise-explorer")
    for view, name in ((0, "floor"), (1, "sigma"), (0, "sd_county[floor]")):
        boxes.nth(view).locator(f'input[data-term="{name}"]').focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(600)
    assert set(explorer.asked["widths"]) == {"floor", "sigma", "sd_county[floor]"}
    for view in range(2):
        assert boxes.nth(view).locator(".prior output").all_inner_texts().count("× 0.841") == 3
    assert page.failures == []
    page.close()


def test_an_answer_comes_whatever_happens(fit, monkeypatch):
    explorer = fit.explore()

    def broken(*_, **__):
        raise RuntimeError("no reason")

    monkeypatch.setattr("poolwise.output.live.explorer.quick_answer", broken)
    assert "RuntimeError. no reason" in ask(explorer, 1, settled=False, floor=2.0)["failed"]
    for wrong in (None, "wide", [1], True):
        assert "must be a number" in ask(explorer, 2, floor=wrong)["failed"]
    assert "failed" not in ask(explorer, 3, floor=2.0)


def test_a_frame_that_is_changed_afterwards_has_the_lines_of_the_fit(radon):
    frame = radon.copy()
    fit = pw.fit(FORMULA, frame, seed=1)
    before = ask(fit.explore(), 1, groups=["AITKIN"])["lines"]
    frame["floor"] = 1 - frame["floor"]
    assert ask(fit.explore(), 1, groups=["AITKIN"])["lines"] == before is not None


def test_priors_of_terms_and_odd_names_are_widened_as_set():
    rng = np.random.default_rng(1)
    names = [f"a{k}" for k in range(80)]
    near = pd.DataFrame({"one": names[:-1], "other": names[1:]})
    rows = pd.DataFrame(
        {"area": rng.choice(names, 300), "y": rng.normal(size=300), "grp[1]": rng.choice(list("abcd"), 300)}
    )
    term = "sd_icar(area, 'near')"
    for given in ({f"{term}[Intercept]": pw.HalfNormal(0.1)}, {term: pw.HalfNormal(0.1)}):
        explorer = pw.fit(
            "y ~ icar(area, near)", rows, tables={"near": near}, priors=given, seed=1, draws=100
        ).explore()
        ask(explorer, 1, **{term: 4.0})
        assert dict(explorer.fit.result.model.given) == {term: pw.HalfNormal(0.4)}
        again = pw.fit(
            "y ~ icar(area, near)", rows, tables={"near": near}, priors={term: pw.HalfNormal(0.4)}, seed=1, draws=100
        )
        np.testing.assert_allclose(again.result.theta, explorer.fit.result.theta, rtol=1e-9)
    given = {"sd_grp[1]": pw.HalfNormal(1.0)}
    explorer = pw.fit("y ~ 1 + (1 | `grp[1]`)", rows, priors=given, seed=1, draws=100).explore()
    ask(explorer, 1, **{"sd_grp[1][Intercept]": 0.25})
    assert explorer.fit.result.model.given["sd_grp[1][Intercept]"] == pw.HalfNormal(0.25)


@pytest.mark.long
def test_a_notebook(tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    cells = [
        "import poolwise as pw\nfit = pw.fit('log_radon ~ floor + (floor | county)', pw.datasets.load_radon(), seed=1)",
        "explorer = fit.explore()\nexplorer",
        "explorer.asked = {'number': 1, 'widths': {'floor': 0.125}, 'groups': [], 'settled': True}",
        "print(explorer.answer['number'], 'failed' in explorer.answer)",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = book.cells[1]["outputs"][0]["data"]
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert book.cells[3]["outputs"][0]["text"] == "1 False\n"
