"""Processes that answer: the same numbers as in this one, errors in words, and a process that dies."""

from __future__ import annotations

import os
import signal

import numpy as np
import pandas as pd
import pytest

from poolwise.app import workers as module
from poolwise.app.asked import UPLOAD, Asked
from poolwise.app.desk import Desk
from poolwise.app.limits import Limits
from poolwise.app.workers import Workers
from poolwise.support.errors import PriorError, SamplingError

RADON = Asked(source="radon", formula="log_radon ~ floor + (floor | county)", number=3)


@pytest.fixture(scope="module")
def workers():
    found = Workers(1)
    yield found
    found.stop()


def moved(times, source="radon", formula=RADON.formula):
    return Asked(source=source, formula=formula, widths={"sd_county[floor]": times}, number=4)


def test_answers_are_those_of_this_process(workers):
    mine, theirs = Desk(Limits(threads=1)), Desk(Limits(), workers=workers)
    for asked in (RADON, moved(0.25), RADON):
        assert theirs.answered(asked) | {"certificate": None} == mine.answered(asked) | {"certificate": None}
    assert theirs.answered(RADON)["certificate"]["passed"]  # its words hold the seconds that it took


def test_tables_of_two_sessions_stay_apart(workers):
    desks = []
    for k in range(2):
        rng = np.random.default_rng(k)
        frame = pd.DataFrame({"y": rng.normal(size=40) + 100 * k, "g": list("abcd") * 10})
        desks.append(Desk(Limits(), uploaded=frame, tables=1, workers=workers))
    for k in (0, 1, 0):
        answer = desks[k].answered(Asked(UPLOAD, "y ~ 1 + (1 | g)"))
        assert answer["coefficients"][0]["partial"][0] == pytest.approx(100 * k, abs=1)


def test_what_is_wrong_is_said_in_words(workers):
    desk = Desk(Limits(), workers=workers)
    with pytest.raises(PriorError, match="Did you mean"):
        desk.answered(Asked(formula=RADON.formula, widths={"sd_county[flor]": 2.0}))
    with pytest.raises(SamplingError, match="time limit"):
        Desk(Limits(seconds=1e-9), workers=workers).answered(RADON)
    assert desk.answered(RADON)["number"] == 3


def test_sampled_families_are_answered_here(workers, monkeypatch):
    monkeypatch.setattr(Workers, "answer", lambda *_: pytest.fail("asked of a process"))
    found = Desk(Limits(), workers=workers).answered(Asked("polling", "agrees ~ woman + (1 | district)", "bernoulli"))
    assert found["certificate"]["passed"]


@pytest.mark.long
def test_a_process_that_is_killed_is_replaced():
    own = Workers(1)
    desk = Desk(Limits(), workers=own)
    before = desk.answered(RADON)
    os.kill(next(iter(own._pool._processes)), signal.SIGKILL)
    assert desk.answered(RADON)["groups"] == before["groups"]  # by this process
    assert desk.answered(moved(2.0))["priors"] != before["priors"]  # by the next one
    own.stop()


def test_a_process_forgets_what_was_asked_long_ago(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 2)
    monkeypatch.setattr(module, "_known", module.OrderedDict())
    monkeypatch.setattr(module, "quick_answer", lambda beside, *_, **__: {"of": beside})
    for word in ("a", "b", "a", "c"):
        module._answered(word, module.pickle.dumps(None), {}, 10.0)
    assert list(module._known) == ["a", "c"]
    assert module._answered("b", None, {}, 10.0) is None
