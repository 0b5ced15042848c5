"""The page: what it says, how it fails, and how a real browser shows it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.accessibility import faults
from tests.selection import long_but_for

import poolwise as pw
from poolwise.output.report import words


def frame(rows=120, groups=6):
    rng = np.random.default_rng(5)
    g, x = rng.integers(0, groups, rows), rng.normal(size=rows)
    y = 1 + 0.5 * x + rng.normal(size=groups)[g] + rng.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g], "h": rng.integers(0, 3, rows)})


@pytest.fixture(scope="module")
def pooling(radon, study_priors):
    """Of some counties, since each of them is explained on the page."""
    some = {*sorted(radon["county"].unique())[:12], "CASS", "HENNEPIN"}
    rows = radon[radon["county"].isin(some)]
    return pw.compare_pooling("log_radon ~ floor", by="county", data=rows, priors=study_priors, seed=1)


@pytest.fixture(scope="module")
def radon_page(tmp_path_factory, pooling):
    return pooling.report(tmp_path_factory.mktemp("report") / "radon.html", question="Where is radon high?")


def text_of(page: Path) -> str:
    """What a reader sees: scripts and styles taken away."""
    raw = page.read_text(encoding="utf-8")
    return re.sub(r"<(script|style)\b.*?</\1>", "", raw, flags=re.S)


def test_the_page_holds_every_section(radon_page, pooling):
    text = text_of(radon_page)
    assert "Where is radon high?" in text
    for section in (
        "In short",
        "Group by group",
        "What pooling bought",
        "The model",
        "Priors",
        "Coefficients",
        "Checks",
    ):
        assert f">{section}</h" in text
    for section in ("What limits this", "Do it again"):
        assert f">{section}</h" in text
    assert pooling.verdict in text
    assert "half-Cauchy(scale 1)" in text
    assert "Leave-one-county-out" in text
    assert text.count("<option ") == len(pooling.partial.result.model.design.factors[0].levels) > 12
    mean = pooling.partial.summary(groups=False)["mean"]["beta[floor]"]
    assert f"The mean of log_radon is lower by {-mean:.3g} where floor is 1 instead of 0" in text
    assert words.fingerprint(pooling.partial.result) in text


def test_the_page_is_accessible(radon_page):
    text = text_of(radon_page)
    assert '<html lang="en">' in text
    assert text.count("<h1>") == 1
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    charts = re.findall(r'<div id="chart-[^"]*"[^>]*>', text)
    assert len(charts) == 5
    assert all('role="img"' in chart and re.search(r'aria-label="[^"]{20,}"', chart) for chart in charts)
    assert '<label for="group">' in text
    assert text.count("<caption>") == text.count("<table>")
    style = re.search(r"<style>(.*?)</style>", radon_page.read_text(), flags=re.S).group(1)
    assert "@media print" in style
    colours = dict(re.findall(r"--(\w+): (#\w{6})", style))
    for name in ("ink", "soft", "blue"):
        assert contrast(colours[name], colours["paper"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """Ratio of relative luminances (WCAG 2.1)."""

    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_page_asks_for_nothing_outside_itself(radon_page):
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"', text_of(radon_page))
    assert "<script src" not in radon_page.read_text(encoding="utf-8")


def test_labels_are_text_and_not_markup(tmp_path):
    data = frame().assign(g=lambda d: np.where(d["g"] == "g1", "</script><b onclick='x'>&\"", d["g"]))
    page = pw.fit("y ~ x + (1 | g)", data, seed=1, draws=50).report(tmp_path / "page.html")
    raw = page.read_text()
    assert "<b onclick" not in raw
    assert "&lt;/script&gt;&lt;b onclick" in raw


@pytest.mark.parametrize(
    "formula",
    long_but_for("y ~ x".__eq__, ["y ~ x", "y ~ x + (1 | g/h)", "y ~ 1 + (1 | g)", "y ~ x + (x | g) + (1 | h)"]),
)
def test_pages_of_other_models(formula, tmp_path):
    page = pw.fit(formula, frame(), seed=1, draws=60).report(tmp_path / "page.html", title="Mine")
    text = text_of(page)
    assert "<h1>Mine</h1>" in text
    assert ("Group by group" in text) == ("|" in formula)


def test_a_page_of_a_fit_without_rows_says_so(tmp_path):
    fit = pw.fit("y ~ x + (1 | g)", frame(), seed=1, draws=60)
    fit.save(tmp_path / "fit")
    text = text_of(pw.load(tmp_path / "fit").report(tmp_path / "page.html"))
    assert "The rows are not at hand" in text
    assert "Leave-one-g-out" in text


def test_a_path_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    fit = pw.fit("y ~ x + (1 | g)", frame(), seed=1, draws=60)
    with pytest.raises(pw.FileError, match="no folder"):
        fit.report(tmp_path / "nowhere" / "page.html")
    with pytest.raises(pw.FileError, match="is a folder"):
        fit.report(tmp_path)
    old = tmp_path / "page.html"
    old.write_text("as it was")
    monkeypatch.setattr(words, "limits", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        fit.report(old)
    assert old.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [old]


def opened(browser, page_file, width, height):
    """A page after its charts are drawn, what its console said, and what it asked of any network."""
    said, asked = [], []
    page = browser.new_page(viewport={"width": width, "height": height})
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_selector("body[data-ready=yes]", timeout=60_000)
    return page, said, asked


@pytest.fixture(scope="module")
def shown(browser, radon_page):
    """A page that tests share."""
    found = opened(browser, radon_page, 1100, 900)
    yield found
    found[0].close()


def test_a_browser_shows_it_without_errors_and_without_a_network(shown, radon_page):
    page, said, asked = shown
    assert said == []
    assert asked == [radon_page.as_uri()]
    for name in ("chooser", "forest-0", "forest-1", "shrinkage", "ppc"):
        marks = page.locator(f"#chart-{name} svg .role-mark path, #chart-{name} svg .role-mark line")
        assert marks.count() > 0
        box = page.locator(f"#chart-{name} svg").bounding_box()
        assert box["width"] > 300
        assert box["height"] > 150


def test_choosing_a_county_changes_charts_and_sentence(shown):
    page, said, _ = shown

    def dots():
        return page.locator("#chart-chooser svg .mark-symbol.role-mark path").count()

    page.select_option("#group", "CASS")
    page.wait_for_selector("body[data-chosen=CASS]")
    assert page.inner_text("#explained").startswith("CASS: 5 rows, none with floor = 1; intercept ")
    assert dots() == 5
    page.select_option("#group", "HENNEPIN")
    page.wait_for_selector("body[data-chosen=HENNEPIN]")
    assert page.inner_text("#explained").startswith("HENNEPIN: 105 rows")
    assert dots() == 105
    front = page.locator('#chart-forest-0 svg .mark-symbol.role-mark path[fill="#D55E00"]')
    assert front.count() == 1
    assert said == []


def test_hovering_shows_a_tooltip(shown):
    page, _, _ = shown
    mark = page.locator("#chart-forest-0 svg .mark-symbol.role-mark path").first
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible", timeout=5_000)
    assert "shrinkage" in page.inner_text("#vg-tooltip-element")


@pytest.mark.long
def test_a_phone_does_not_scroll_sideways(browser, radon_page):
    page, said, _ = opened(browser, radon_page, 360, 760)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert said == []
    assert page.locator("#group").bounding_box()["height"] >= 40
    page.close()


@pytest.mark.long
def test_nothing_keeps_a_screen_reader_out(browser, radon_page):
    page, _, _ = opened(browser, radon_page, 1100, 900)
    assert faults(page) == []
    page.close()


@pytest.mark.long
def test_it_prints(browser, radon_page, tmp_path):
    page, _, _ = opened(browser, radon_page, 1100, 900)
    page.emulate_media(media="print")
    page.pdf(path=str(tmp_path / "radon.pdf"), format="A4")
    assert (tmp_path / "radon.pdf").stat().st_size > 30_000
    page.close()


HOSTILE = "</script><script>window.HURT=1</script>\n\u2028'\"`]}${alert(1)}<img src=x onerror=window.HURT=1>.[a]"


@pytest.mark.long
def test_hostile_names_are_text(browser, tmp_path):
    """In every place a name can stand, page and charts are drawn, and nothing that a name holds is run."""
    from poolwise.output.plots.export import save_chart

    data = frame()
    data["g"] = data.g.replace("g1", HOSTILE)
    names = {key: f"{key} {HOSTILE.replace('`', '')}" for key in ("g", "x", "y")}
    data = data.rename(columns=names)
    quoted = {key: f"`{name}`" for key, name in names.items()}
    pooling = pw.compare_pooling(f"{quoted['y']} ~ {quoted['x']}", by=names["g"], data=data, seed=1, draws=50, folds=2)
    fit = pooling.partial
    pages = [pooling.report(tmp_path / "report.html", title=HOSTILE, question=HOSTILE)]
    for k, chart in enumerate((fit.plot.forest(), fit.plot.trace(), fit.plot.ppc(), pooling.plot.shrinkage())):
        pages.append(save_chart(chart, tmp_path / f"chart{k}.html"))
        save_chart(chart, tmp_path / f"chart{k}.svg")
    for path in pages:
        page = browser.new_page()
        said = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector("svg, canvas", timeout=20_000)
        if path.name == "report.html":
            page.wait_for_selector("body[data-ready=yes]", timeout=20_000)
            page.select_option("#group", index=1)
        assert not said, path.name
        assert page.evaluate("window.HURT") is None
        page.close()
