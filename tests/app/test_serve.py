"""Saved fits behind a server: pages, schema, predictions, and requests that make no sense."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest
from tests.accessibility import faults

import poolwise as pw
from poolwise.app.serve import Bounds, from_environment, predicted, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory, radon):
    found = tmp_path_factory.mktemp("fits")
    pw.fit("log_radon ~ floor + (floor | county)", radon, seed=1).save(found / "radon.fit")
    rows = pd.DataFrame({"<b>x</b>": np.arange(20.0), "y": np.arange(20) % 3 + 0.1, "g": list("abcd") * 5})
    pw.fit("y ~ `<b>x</b>` + (1 | g)", rows, draws=100, seed=1).save(found / "<i>odd</i>.fit".replace("/", ""))
    pw.fit("y ~ 1 + (1 | g)", rows, draws=100, seed=1).save(found / "a b#c%20?d&amp.fit")
    (found / "notes.txt").write_text("no fit")
    return found


@pytest.fixture(scope="module")
def address(folder):
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(serving(folder, Bounds(1.0, 5_000, 20.0)), log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listening.close()


def asked(address, body=None):
    """Status and text of an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_pages_show_fits_and_nothing_runs(address):
    status, text = asked(address + "/")
    assert status == 200
    assert "log_radon ~ floor + (floor | county)" in text
    assert "<i>odd" not in text
    assert "&lt;i&gt;odd" in text
    status, text = asked(address + "/fits/radon")
    assert "sd_county" in text
    assert "half-Student-t" in text
    status, text = asked(address + "/fits/%3Ci%3Eodd%3Ci%3E")
    assert status == 200
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x" in text


def test_links_lead_to_what_they_name(address):
    links = re.findall('href="([^"]*)"', asked(address + "/")[1])
    assert len(links) == 3
    for link in links:
        status, text = asked(f"{address}/{link}")
        assert status == 200
        (schema,) = re.findall('href="([^"]*/schema)"', text)
        assert asked(address + schema)[0] == 200


def test_columns_that_the_fit_has_no_use_for_do_not_hide_predictions(address):
    columns = {"floor": [0, 1], "county": ["CASS", "ST LOUIS"]}
    expected = json.loads(asked(address + "/fits/radon/predict", {"columns": columns})[1])
    more = {"mean": [5, 6], "5%": [7, 8], "estimate": ["a", "b"], "log_radon": [1, 2]}
    assert json.loads(asked(address + "/fits/radon/predict", {"columns": columns | more})[1]) == expected


def test_predictions_are_those_of_the_fit(address, folder):
    fit = pw.load(folder / "radon.fit")
    rows = [{"floor": 0, "county": "CASS"}, {"floor": 1, "county": "ST LOUIS"}]
    known = fit.predict(pd.DataFrame(rows))
    for path, body in (
        ("/predict", {"fit": "radon", "rows": rows}),
        ("/fits/radon/predict", {"columns": {"floor": [0, 1.0], "county": ["CASS", "ST LOUIS"]}}),
    ):
        status, text = asked(address + path, body)
        assert status == 200, text
        said = json.loads(text)
        assert said["rows"] == 2
        assert set(said["columns"]) == set(known) - {"county", "floor"}
        for name in said["columns"]:
            assert said["columns"][name] == known[name].tolist()
    body = {
        "columns": {"floor": [0], "county": ["NEW"]},
        "new_groups": "sample",
        "interval": 0.5,
        "kind": "response",
        "seed": 3,
    }
    found = json.loads(asked(address + "/fits/radon/predict", body)[1])["columns"]
    new = fit.predict({"floor": [0], "county": ["NEW"]}, new_groups="sample", interval=0.5, kind="response", seed=3)
    assert found["mean"] == new["mean"].tolist()
    assert "25%" in found


def test_the_schema_says_what_is_taken(address):
    said = json.loads(asked(address + "/fits/radon/schema")[1])
    assert said["columns"] == ["floor", "county"]
    assert len(said["groups"]["county"]) == 85
    assert said["kind"] == ["mean", "response", "linear"]
    assert said["most_rows"] == 5_000


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/fits/radon/predict", b"no json", 400, "no JSON"),
        ("/fits/radon/predict", b"[" * 200_000, 400, "no JSON"),
        ("/fits/radon/predict", {"columns": {"floor": [10**400], "county": ["CASS"]}}, 400, "more than 64 bits"),
        ("/fits/radon/predict", {"columns": {"floor": [0.5, 10**400], "county": ["CASS"] * 2}}, 400, "64 bits"),
        ("/fits/radon/predict", {"columns": {"floor": [0], "county": [-(10**30)]}}, 400, "more than 64 bits"),
        ("/fits/radon/predict", [1], 400, "is an object"),
        ("/fits/radon/predict", {}, 400, "has either"),
        ("/fits/radon/predict", {"rows": []}, 400, "list of objects"),
        ("/fits/radon/predict", {"columns": {"floor": [0], "county": ["CASS", "CASS"]}}, 400, "same length"),
        ("/fits/radon/predict", {"columns": {"floor": [[0]], "county": ["CASS"]}}, 400, "holds lists"),
        ("/fits/radon/predict", {"columns": {"flor": [0], "county": ["CASS"]}}, 400, "no column 'floor'"),
        ("/fits/radon/predict", {"columns": {"floor": [0], "county": ["CAS"]}}, 400, "CAS"),
        ("/fits/radon/predict", {"columns": {"floor": [0], "county": ["CASS"]}, "kind": "means"}, 400, "means"),
        ("/fits/radon/predict", {"columns": {"floor": [0], "county": ["CASS"]}, "kind": 3}, 400, "must be text"),
        ("/fits/radon/predict", {"columns": {"floor": [0], "county": ["CASS"]}, "draws": True}, 400, "no 'draws'"),
        ("/fits/radon/predict", {"columns": {"floor": [0], "county": ["CASS"]}, "seed": "a"}, 400, "seed"),
        ("/fits/radon/predict", {"columns": {"floor": ["a"], "county": ["CASS"]}}, 400, "another kind"),
        ("/fits/radon/predict", {"columns": {"floor": [None], "county": ["CASS"]}}, 400, "missing"),
        ("/fits/radon/predict", {"columns": {"floor": [0] * 5001, "county": ["CASS"] * 5001}}, 400, "5,000 rows"),
        ("/fits/radon/predict", b"[" + b" " * 1_100_000 + b"]", 413, "1 MB at most"),
        ("/predict", {"columns": {"floor": [0]}}, 404, "Which fit"),
        ("/predict", {"fit": "../radon", "columns": {"floor": [0]}}, 404, "no fit"),
        ("/fits/..%2Fradon/predict", {"columns": {"floor": [0]}}, 404, ""),
        ("/fits/notes", None, 404, "no fit 'notes'"),
        ("/fits/rado", None, 404, "radon"),
        ("/etc/passwd", None, 404, ""),
    ],
)  # fmt: skip
def test_requests_that_make_no_sense(address, path, body, status, message):
    found, text = asked(address + path, body)
    assert (found, message in text) == (status, True), text


def test_a_hundred_thousand_rows_take_less_than_a_second(folder, radon):
    fit = pw.load(folder / "radon.fit")
    rows = radon[["floor", "county"]].sample(100_000, replace=True, random_state=1)
    said = {"columns": {"floor": rows["floor"].tolist(), "county": rows["county"].tolist()}}
    predicted(fit, said, Bounds())
    took = []
    for _ in range(3):
        began = time.perf_counter()
        predicted(fit, said, Bounds())
        took.append(time.perf_counter() - began)
    assert min(took) < 1.0


def test_folders_without_fits_are_refused(tmp_path, folder, monkeypatch):
    with pytest.raises(pw.FileError, match="no folder"):
        serving(tmp_path / "none", Bounds())
    with pytest.raises(pw.FileError, match="has no saved fit"):
        serving(tmp_path, Bounds())
    (tmp_path / "bad.fit").write_text("no fit")
    with pytest.raises(pw.FileError):
        serving(tmp_path, Bounds())
    monkeypatch.setenv("POOLWISE_SERVED_FOLDER", str(folder))
    monkeypatch.setenv("POOLWISE_SERVED_LIMITS", "[1.0, 10, 5.0]")
    assert from_environment().routes


def test_nothing_keeps_a_screen_reader_out(browser, address):
    page = browser.new_page(viewport={"width": 360, "height": 760})
    for place in ("/", "/fits/radon"):
        page.goto(address + place)
        assert faults(page) == []
    page.close()
