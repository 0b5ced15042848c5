"""The page in a real browser: by clicks, by keyboard, on a phone, and when things go wrong."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time

import numpy as np
import pandas as pd
import pytest
from tests.accessibility import faults

import poolwise as pw


class Server:
    """The page's server in a thread of its own."""

    def __init__(self, port=0, **limits):
        import uvicorn

        from poolwise.app.limits import Limits
        from poolwise.app.server import make_app

        self.listening = socket.create_server(("127.0.0.1", port))
        self.port = self.listening.getsockname()[1]
        config = uvicorn.Config(make_app(Limits(**limits)), log_level="error", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)

    def _run(self):
        asyncio.run(self.server.serve(sockets=[self.listening]))

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"

    def stop(self):
        self.server.should_exit = True
        self.thread.join(20)
        self.listening.close()


@pytest.fixture(scope="module")
def server():
    found = Server(megabytes=1.0)
    yield found
    found.stop()


SLEEP = "?source=sleep&formula=reaction+~+days+%2B+(days+%7C+person)&family=gaussian"


@pytest.fixture
def page(browser, server):
    found = opened(browser, server.address)
    yield found
    assert_well(found, server)
    found.close()


@pytest.fixture(scope="module")
def standing(browser, server):
    """Pages that tests share, by what they ask for: another is opened where a test has left one in another state."""
    pages = {}

    def page_of(asked, as_it_is=False):
        found = pages.get(asked)
        if found is None or (found.url != found.began and not as_it_is):
            if found is not None:
                found.close()
            found = pages[asked] = opened(browser, server.address + asked)
            found.began = found.url  # which holds the state
        return found

    yield page_of
    for found in pages.values():
        found.close()


@pytest.fixture
def radon_page(standing, server):
    found = standing("")
    yield found
    assert_well(found, server)


@pytest.fixture
def any_page(standing, server):
    """The page of radon as tests have left it."""
    found = standing("", as_it_is=True)
    yield found
    assert_well(found, server)


@pytest.fixture
def sleep(standing, server):
    """Of few rows, about which all is said in less time."""
    found = standing(SLEEP)
    yield found
    assert_well(found, server)


def assert_well(page, server):
    assert page.said == []
    assert all(address.startswith((server.address, "data:", "blob:")) for address in page.asked)


def opened(browser, address, **options):
    """A page with its first answer; errors of its console and all that it asked for are kept on it."""
    found = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    found.said, found.asked = [], []
    found.on("console", lambda message: found.said.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: found.said.append(str(error)))
    found.on("request", lambda request: found.asked.append(request.url))
    found.goto(address)
    judged(found)
    return found


def judged(page, before=None):
    """Wait until all is said of what was asked last."""
    page.wait_for_function(
        "before => document.body.dataset.judged && document.body.dataset.judged !== before "
        "&& document.body.dataset.judged === document.body.dataset.answered "
        "&& !document.body.classList.contains('busy')",
        arg=before, timeout=60_000,
    )  # fmt: skip


def answered(page, before):
    """Wait for the numbers alone."""
    page.wait_for_function(
        "before => document.body.dataset.answered !== before && !document.body.classList.contains('busy')",
        arg=before, timeout=30_000,
    )  # fmt: skip


def number(page):
    return page.evaluate("document.body.dataset.answered")


def slide(page, k, presses, key="ArrowRight"):
    before = number(page)
    page.locator(f"#width-{k}").focus()
    for _ in range(presses):
        page.keyboard.press(key)
    judged(page, before)


def dropped(page, tmp_path, content, name="mine.csv"):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    page.set_input_files("#upload", str(path))


def test_radon_is_there_at_once(radon_page):
    assert radon_page.inner_text("#certificate").startswith("OK: 4 x 1,000 draws")
    assert "partial pooling predicts best" in radon_page.inner_text("#verdict")
    assert radon_page.input_value("#formula") == "log_radon ~ floor + (floor | county)"
    assert radon_page.locator("#chart-groups svg .mark-symbol path").count() >= 170  # a ring and a dot for each county
    assert radon_page.locator("#chart-lines svg .mark-line path").count() >= 9  # three models in three panels
    assert radon_page.locator("#groups tbody tr").count() == 85
    assert radon_page.locator("#priors input[type=range]").count() == 5


@pytest.mark.long
def test_a_slider_moves_everything(page):
    words, lines = page.inner_text("#words-3"), page.inner_text("#coefficients")
    slide(page, 3, 16, "ArrowLeft")  # the slopes may hardly differ any more
    assert page.inner_text("#times-3") == "× 0.0625"
    assert page.inner_text("#words-3") != words
    assert page.inner_text("#coefficients") != lines
    spread = float(re.search(r"sd_county\[floor\]\s+(\S+)", page.inner_text("#coefficients"))[1])
    fit = pw.fit(
        "log_radon ~ floor + (floor | county)", pw.datasets.load_radon(), seed=1,
        priors={"sd_county[floor]": pw.Default(1 / 16)},
    )  # fmt: skip
    assert spread == pytest.approx(fit.summary().loc["sd_county[floor]", "mean"], rel=0.01)
    assert "width.sd_county" in page.url
    page.reload()
    judged(page)
    assert page.inner_text("#times-3") == "× 0.0625"  # the address holds the state
    before = number(page)
    page.click("#reset")
    judged(page, before)
    assert page.inner_text("#times-3") == "default"


def test_errors_stand_at_their_place_and_nothing_is_lost(radon_page):
    table = radon_page.inner_text("#coefficients")
    for formula, message in (
        ("log_radon ~ flor + (1 | county)", "flor"),
        ("log_radon ~ floor + (1 | county", "never closed"),
        ("log_radon ~ open('/etc/passwd').read()", "Cannot read"),
    ):
        radon_page.fill("#formula", formula)
        radon_page.locator("#formula").blur()
        radon_page.wait_for_function(
            "t => document.getElementById('formula-error').textContent.includes(t)", arg=message
        )
        assert radon_page.inner_text("#coefficients") == table
    before = number(radon_page)
    radon_page.fill("#formula", "log_radon ~ floor + (floor | county)")
    radon_page.locator("#formula").blur()
    answered(radon_page, before)
    assert radon_page.inner_text("#formula-error") == ""


def test_a_group_explains_itself(radon_page):
    radon_page.fill("#search", "cass")
    assert radon_page.locator("#groups tbody tr").count() == 1
    radon_page.click("#groups tbody button")
    radon_page.wait_for_function("document.getElementById('explanation').textContent.startsWith('CASS: 5 rows')")
    radon_page.wait_for_selector("#chart-lines svg >> text=CASS")
    radon_page.fill("#search", "")
    radon_page.click("#groups thead button >> nth=0")
    assert radon_page.inner_text("#groups tbody tr >> nth=0").startswith("AITKIN")
    radon_page.select_option("#effect", "floor")
    assert "*" in radon_page.inner_text("#groups")  # counties that say nothing of the floor
    radon_page.select_option("#effect", "Intercept")


def test_everything_has_a_name_and_can_be_reached_by_keyboard(radon_page):
    nameless = radon_page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button, a')].filter(one => one.offsetParent && "
        "!(one.labels && one.labels.length) && !one.getAttribute('aria-label') && !one.textContent.trim())"
        ".map(one => one.outerHTML)"
    )
    assert nameless == []
    radon_page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    radon_page.keyboard.press("Tab")
    wanted = {"source", "upload", "outcome", "group", "formula", "family", "width-0", "width-4", "reset"}
    for _ in range(200):
        wanted.discard(radon_page.evaluate("document.activeElement.id"))
        if not wanted:
            break
        radon_page.keyboard.press("Tab")
    assert not wanted


def test_clicks_and_formula_stay_in_step(radon_page):
    before = number(radon_page)
    radon_page.check("[data-use=Uppm]")
    answered(radon_page, before)
    assert radon_page.input_value("#formula") == "log_radon ~ floor + Uppm + (floor | county)"
    before = number(radon_page)
    radon_page.uncheck("[data-vary=floor]")
    answered(radon_page, before)
    assert radon_page.input_value("#formula") == "log_radon ~ floor + Uppm + (1 | county)"
    before = number(radon_page)
    radon_page.fill("#formula", "log_radon ~ log(Uppm) + floor + (1 | county)")
    radon_page.locator("#formula").blur()
    answered(radon_page, before)
    assert radon_page.is_hidden("#clicks")
    assert radon_page.is_visible("#beyond")
    before = number(radon_page)
    radon_page.fill("#formula", "log_radon ~ room + (1 | county)")
    answered(radon_page, before)  # without leaving the field, a moment after the last key
    assert radon_page.is_checked("[data-use=room]")
    assert not radon_page.is_checked("[data-use=floor]")


def said_of_the_last_answer(page):
    return page.evaluate("['explanation', 'flips', 'code'].map(id => document.getElementById(id).textContent).join('')")


@pytest.mark.long
def test_what_is_said_too_late_is_not_shown(sleep):
    """An answer to what was asked of a fit that has been left meanwhile."""
    sleep.evaluate(
        "for (const [kind, said] of [['flipped', {said: ['Old.']}], ['code', {text: 'Old.'}]]) "
        "window.Shiny.shinyapp.dispatchMessage(JSON.stringify({custom: {[kind]: {number: -1, ...said}}}))"
    )
    sleep.click("#show-code")
    sleep.wait_for_function("document.getElementById('code').textContent.includes('pw.fit(')")
    assert "Old." not in said_of_the_last_answer(sleep)


@pytest.mark.long
def test_pins_flips_code_and_downloads(page):
    page.click("#pin")
    page.wait_for_function("document.querySelectorAll('#pins tbody tr').length === 1")
    before = number(page)
    page.uncheck("[data-vary=floor]")
    judged(page, before)
    page.click("#pin")
    page.wait_for_function("document.querySelectorAll('#pins tbody tr').length === 2", timeout=60_000)
    page.select_option("#flip-term", "sd_county[Intercept]")
    page.click("#flip")
    page.wait_for_function("document.querySelectorAll('#flips li').length > 2", timeout=60_000)
    for system, part in (
        ("poolwise", "pw.fit("),
        ("brms", "library(brms)"),
        ("pymc", "import pymc"),
        ("lme4", "lmer("),
    ):
        page.select_option("#system", system)
        page.click("#show-code")
        page.wait_for_function("part => document.getElementById('code').textContent.includes(part)", arg=part)
    for what, least in (("report", 100_000), ("draws", 50_000), ("fit", 1_000)):
        with page.expect_download(timeout=60_000) as waiting:
            page.click(f"#take_{what}")
        path = waiting.value.path()
        assert path.stat().st_size > least
        if what == "fit":
            assert pw.load(path).formula == "log_radon ~ floor + (1 | county)"


def test_labels_of_a_table_of_ones_own_are_text(any_page, tmp_path):
    own_table(any_page, tmp_path)


def own_table(page, tmp_path):
    """A table whose labels are markup is dropped, fitted, and one of its groups explained."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"school <b>x</b>": np.repeat(["<script>alert(1)</script>", *"bcdefgh"], 6), "x": rng.normal(size=48)}
    )
    frame["points"] = frame["x"] + rng.normal(size=48)
    before = number(page)
    dropped(page, tmp_path, frame.to_csv(index=False))
    judged(page, before)
    assert page.input_value("#formula") == "points ~ x + (1 | `school <b>x</b>`)"
    assert "48 rows, 3 columns" in page.inner_text("#about")
    assert page.locator("main script, main b").count() == 0
    assert "<script>alert(1)</script>" in page.inner_text("#groups")
    page.click("#groups tbody button >> text=<script>")
    page.wait_for_function("document.getElementById('explanation').textContent.includes('<script>')")


@pytest.mark.long
def test_a_table_of_ones_own(sleep, tmp_path):
    own_table(sleep, tmp_path)
    table = sleep.inner_text("#groups")
    for content, name, message in (
        ("", "empty.csv", "'empty.csv' is empty"),
        ("g,x\na,1,2\nb,3,4\n", "ragged.csv", "'ragged.csv', line 2: 3 fields"),
        ("x,y\n", "none.csv", "is empty"),
        (b"PK\x03\x04", "book.xlsx", "no CSV and no Parquet"),
        (",".join(f"c{k}" for k in range(10_000)) + "\n" + ",".join("1" * 10_000), "wide.csv", "500 at most"),
        ("x\n" + "1\n" * 600_000, "large.csv", "1 MB are the most"),
    ):
        dropped(sleep, tmp_path, content, name)
        sleep.wait_for_function(
            "t => document.getElementById('error').textContent.includes(t)", arg=message, timeout=20_000
        )
        assert sleep.inner_text("#groups") == table
    before = number(sleep)
    sleep.select_option("#source", "sleep")
    judged(sleep, before)
    assert sleep.input_value("#formula") == "reaction ~ days + (days | person)"


@pytest.mark.long
def test_two_tabs_do_not_share(sleep, browser, server):
    other = opened(browser, server.address + SLEEP.replace("days+%7C", "1+%7C"))
    assert other.input_value("#formula") == "reaction ~ days + (1 | person)"
    before = number(other)
    other.locator("#width-0").focus()
    other.keyboard.press("ArrowRight")
    answered(other, before)
    assert sleep.inner_text("#times-0") == "default"
    assert sleep.input_value("#formula") == "reaction ~ days + (days | person)"
    assert sleep.locator("#groups tbody tr").count() == 18
    other.close()


@pytest.mark.long
def test_another_family(page):
    before = number(page)
    page.select_option("#source", "polling")
    judged(page, before)
    assert "partial pooling predicts best" in page.inner_text("#verdict")
    before = number(page)
    page.locator("#width-3").focus()
    page.keyboard.press("ArrowRight")
    answered(page, before)
    assert page.locator("#groups thead th").count() == 4  # own estimates are still there


@pytest.mark.long
def test_a_server_that_is_gone_and_comes_back(browser):
    first = Server()
    page = opened(browser, first.address)
    first.stop()
    page.wait_for_selector("#lost:not([hidden])", timeout=20_000)
    assert page.locator("#groups tbody tr").count() == 85  # the last answer is still there
    second = Server(first.port)
    page.wait_for_function("document.getElementById('lost').hidden", timeout=30_000)
    judged(page)
    page.close()
    second.stop()


@pytest.mark.long
def test_a_phone_and_a_dark_room(browser, server):
    page = opened(browser, server.address + SLEEP, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    page.close()


@pytest.mark.long
@pytest.mark.parametrize("change", ["prior", pytest.param("table", marks=pytest.mark.long)])
def test_what_was_said_of_other_numbers_is_gone(sleep, change):
    sleep.click("#groups tbody button >> nth=0")
    sleep.click("#show-code")
    sleep.wait_for_function("['explanation', 'code'].every(id => document.getElementById(id).textContent.length > 20)")
    sleep.evaluate("document.getElementById('flips').textContent = 'Some conclusion.'")
    sleep.click("#pin")
    sleep.wait_for_function("document.getElementById('pin-said').textContent")
    before = number(sleep)
    if change == "prior":
        slide(sleep, 0, 1)
    else:
        sleep.select_option("#source", "radon")
        judged(sleep, before)
        assert sleep.inner_text("#pin-said") == ""
        assert sleep.locator("#pins tr").count() == 0
    assert said_of_the_last_answer(sleep) == ""
    assert sleep.is_hidden("#code")


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_a_screen_reader_out(browser, server, scheme):
    page = opened(browser, server.address, color_scheme=scheme)
    page.locator("summary").first.click()
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_selector("#code:not([hidden])")
    page.locator("#pin").click()
    page.wait_for_function("document.getElementById('pin-said').textContent")
    before = number(page)
    page.fill("#formula", "log_radon ~ flor")
    page.wait_for_function("document.getElementById('formula-error').textContent")
    assert number(page) == before
    assert faults(page) == []
    page.close()


@pytest.mark.long
def test_a_map_is_drawn_and_neighbours_are_known(page):
    assert page.locator("#chart-map svg .mark-shape path").count() >= 2 * 85  # own rows alone, and given all areas
    before = number(page)
    page.fill("#formula", "log_radon ~ floor + bym2(county, map)")
    judged(page, before)
    assert "share_bym2(county, 'map')" in page.inner_text("#coefficients")
    page.select_option("#source", "sleep")
    judged(page, number(page))
    assert page.locator("#chart-map").is_hidden()


@pytest.mark.long
def test_a_map_is_dropped_after_its_table(browser, server, tmp_path):
    square = lambda x, y: [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1], [x, y]]]  # noqa: E731
    shapes = [
        {
            "type": "Feature",
            "properties": {"name": f"<b>{x}{y}", "id": 7},
            "geometry": {"type": "Polygon", "coordinates": square(x, y)},
        }
        for x in range(3)
        for y in range(3)
    ]
    rng = np.random.default_rng(3)
    area = rng.integers(0, 9, 90)
    frame = pd.DataFrame({"place": [f"<b>{k // 3}{k % 3}" for k in area], "y": rng.normal(size=90) + area})
    page = opened(browser, server.address + SLEEP)
    before = number(page)
    dropped(page, tmp_path, json.dumps({"type": "FeatureCollection", "features": shapes}), "map.geojson")
    page.wait_for_function("document.getElementById('error').textContent.includes('Drop the table first')")
    dropped(page, tmp_path, frame.to_csv(index=False))
    judged(page, before)
    before = number(page)
    dropped(page, tmp_path, json.dumps({"type": "FeatureCollection", "features": shapes}), "map.geojson")
    judged(page, before)
    assert page.locator("#chart-map svg .mark-shape path").count() >= 18
    before = number(page)
    page.fill("#formula", "y ~ 1 + bym2(place, map)")
    judged(page, before)
    assert "share_bym2" in page.inner_text("#coefficients")
    assert_well(page, server)
    page.close()
