"""Ctrl-C is heard at any time: soon, by all threads; and the next fit is right, and as fast as ever."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from poolwise.support.interrupts import uninterrupted
from poolwise.support.threads import look, map_slices, steps, stop_flag

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals work differently there")

ACTIONS = {  # each takes much longer than anyone would wait here
    "power": "pw.power('y ~ x + (1 | g)', small, effects={'x': 0.1}, studies=100_000)",
    "fit": "pw.fit('y ~ x + (x | g)', small, draws=5_000_000)",
    "many groups": "pw.fit('y ~ x + (x | g)', many, draws=100_000)",
    "counts": "pw.fit('k ~ x + (x | g)', large, family='poisson', draws=100_000)",
    "kfold": "fitted.kfold(100_000)",
    "kfold of counts": "of_counts.kfold(500)",
    "sensitivity": "fitted.sensitivity('sd', scales=list(np.linspace(0.1, 10, 30_000)))",
    "variances by NUTS": "pw.fit('y ~ x + (x | g)', small, sampler='nuts', draws=2_000_000)",
    "predict": "fitted.predict(pd.concat([large] * 100))",
    "loo": "of_many.loo()",
}

CHILD = """
import json, signal, sys, threading, time, warnings
import numpy as np, pandas as pd, poolwise as pw
warnings.simplefilter("ignore")

def rows(n, groups):
    rng = np.random.default_rng(0)
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    effects = rng.normal(size=groups)
    frame = {"y": 1 + x / 2 + effects[g] + rng.normal(size=n), "x": x, "g": g, "k": rng.poisson(np.exp(effects[g] / 2))}
    return pd.DataFrame(frame)

actions, repetitions = json.loads(sys.argv[1]), int(sys.argv[2])
small, large, many = rows(120, 12), rows(200_000, 50), rows(400_000, 50_000)
fitted, right = pw.fit("y ~ x + (1 | g)", large, seed=1), pw.fit("y ~ x + (1 | g)", small, seed=1).result.beta
if any("of_counts" in action for action in actions):
    of_counts = pw.fit("k ~ x + (1 | g)", large[:20_000], family="poisson", seed=1, draws=100)
if any("of_many" in action for action in actions):
    of_many = pw.fit("y ~ x + (x | g)", many, seed=1)
if any("nuts" in action for action in actions):
    pw.fit("y ~ x + (x | g)", small, sampler="nuts", draws=20, seed=1)
rng, main = np.random.default_rng(len(actions)), threading.main_thread().ident

def interrupt(sent):
    sent.append(time.perf_counter())
    signal.pthread_kill(main, signal.SIGINT)

for action in actions * repetitions:
    timer = threading.Timer(1.5 * rng.random(), interrupt, [sent := []])
    try:
        timer.start()
        exec(compile(action, "action", "exec"))  # of text, exec would have an interrupt end the process
        timer.join()
        raise SystemExit(action + " ended by itself")
    except KeyboardInterrupt:
        heard = time.perf_counter() - sent[0]
    began, worked = time.perf_counter(), time.process_time()
    time.sleep(0.1)
    busy = (time.process_time() - worked) / (time.perf_counter() - began)
    began = time.perf_counter()
    same = np.array_equal(pw.fit("y ~ x + (1 | g)", small, seed=1).result.beta, right)
    print(json.dumps([action, heard, busy, time.perf_counter() - began, bool(same)]), flush=True)
"""


def check_interrupts(names: list[str], repetitions: int) -> None:
    """Interrupt actions at random times."""
    asked = [sys.executable, "-c", CHILD, json.dumps([ACTIONS[name] for name in names]), str(repetitions)]
    found = subprocess.run(asked, capture_output=True, text=True, timeout=900)
    assert found.returncode == 0, found.stderr
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(lines) == len(names) * repetitions
    for action, heard, busy, fit, same in lines:
        assert heard < 2.0, f"{action} was heard after {heard:.1f} s"
        assert busy < 0.5, f"{action} went on: {busy:.0%} of a core"
        assert fit < 2.0, f"after {action} a fit took {fit:.1f} s"
        assert same, f"after {action} a fit was another"


@pytest.mark.long
def test_work_of_many_fits_is_interrupted():
    check_interrupts(["power", "fit", "counts", "kfold", "predict"], 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIONS)
def test_work_is_interrupted_at_any_time(name):
    check_interrupts([name], 20)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.7, 1.0, 1.3, 1.6, 2.0])
def test_a_session_survives_an_interrupt_of_its_first_fit(seconds):
    """Half imported modules would make all later fits fail."""
    code = """
import _thread, sys, threading
import poolwise as pw
fit = lambda: pw.fit("log_radon ~ floor + (1 | county)", pw.datasets.load_radon(), seed=1)
threading.Timer(float(sys.argv[1]), _thread.interrupt_main).start()
try:
    fit()
    threading.Event().wait(10)
except KeyboardInterrupt:
    fit()
    print("fitted")
"""
    found = subprocess.run([sys.executable, "-c", code, str(seconds)], capture_output=True, text=True, timeout=300)
    assert found.stdout == "fitted\n", found.stderr


def test_slices_within_slices_are_worked_on_in_their_thread():
    """They would wait for threads that wait for them."""

    def outer(i: int, _: slice) -> list[str]:
        return map_slices(lambda *_: threading.current_thread().name, 4, 1, 2)

    found = map_slices(outer, 8, 1, 2)
    assert all(len(set(names)) == 1 for names in found)


def test_the_first_slice_that_fails_is_told_of_and_none_begins_after_it():
    begun = []

    def work(i: int, _: slice) -> int:
        begun.append(i)
        if i >= 3:
            time.sleep(0.02 if i == 3 else 0.0)
            raise ValueError(str(i))
        return i

    with pytest.raises(ValueError, match="3"):
        map_slices(work, 1000, 1, 2)
    assert len(begun) < 10
    assert map_slices(lambda i, _: i, 10, 1, 2) == list(range(10))


def test_slices_that_have_begun_hear_an_interrupt():
    ended, begun = [], threading.Barrier(3)

    def work(i: int, part: slice) -> None:
        flag = stop_flag()
        begun.wait(5)
        try:
            for _ in steps(slice(0, 10_000), 1):
                time.sleep(0.01)
        finally:
            ended.append(int(flag[0]))

    def interrupt() -> None:
        begun.wait(5)
        raise KeyboardInterrupt

    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        map_slices(work, 100, 1, 2, meanwhile=interrupt)
    assert time.perf_counter() - started < 1.0
    assert ended == [1, 1]
    look()  # this thread was not told to stop
    assert stop_flag()[0] == 0


def test_slices_that_do_not_look_up_leave_others_their_threads():
    asleep = threading.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_slices(lambda *_: asleep.wait(20), 2, 1, 2, meanwhile=interrupt)
    started = time.perf_counter()
    assert map_slices(lambda i, _: i, 2, 1, 2) == [0, 1]
    assert time.perf_counter() - started < 1.0
    asleep.set()


def test_an_interrupt_is_put_off():
    import _thread

    before, done = signal.signal(signal.SIGINT, signal.default_int_handler), []  # processes of the suite ignore it
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            _thread.interrupt_main()
            time.sleep(0.01)
            done.append("whole")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done
