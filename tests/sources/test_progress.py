"""Long scans show where they stand, and stop when asked to."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import duckdb
import pytest

import poolwise as pw
from poolwise.sources.engines.engine import watched
from poolwise.support.progress import Scan


def test_rows_rate_and_time_left_are_said():
    said = []
    scan = Scan(lambda step, share: said.append((step, share)), "reading", 1_000_000, time.perf_counter() - 10.0)
    scan.at(0.25)
    scan.at(None)
    Scan(lambda step, share: said.append((step, share)), "reading", None, time.perf_counter() - 10.0).at(0.5)
    assert said[0] == ("reading: 250,000 of 1,000,000 rows, 25,000 rows/s, 30 s left", 0.25)
    assert said[1] == ("reading: 10 s so far", 0.0)
    assert said[2] == ("reading: 50%, 10 s left", 0.5)


def test_a_scan_of_files_is_followed(tmp_path):
    path = tmp_path / "rows.parquet"
    query = "SELECT random() AS y, random() AS x, i % 1000 AS g FROM range(8000000) t(i)"
    duckdb.sql(f"COPY ({query}) TO '{path}'")
    said = []
    pw.SufficientStatistics.from_data("y ~ x + (x | g)", path, progress=lambda step, share: said.append((step, share)))
    shares = [share for step, share in said if "of 8,000,000 rows" in step]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert said


def test_what_runs_is_stopped_and_its_errors_come_through():
    stopped = threading.Event()

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watched(lambda: stopped.wait(5), interrupted, stopped.set, Scan(lambda *_: None))
    assert stopped.is_set()
    with pytest.raises(TimeoutError, match="mine"):
        watched(_times_out, lambda: None, lambda: None, Scan())


def _times_out():
    raise TimeoutError("mine")


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="signals work differently there")
@pytest.mark.parametrize("rows", ["duckdb", "polars"])
def test_ctrl_c_stops_a_query(rows, tmp_path):
    path = tmp_path / "rows.parquet"
    query = "SELECT random() AS y, random() AS x, i % 1000 AS g FROM range(3000000) t(i)"
    duckdb.sql(f"COPY ({query}) TO '{path}'")
    data = f"[{str(path)!r}] * 400" if rows == "duckdb" else f"pl.scan_parquet([{str(path)!r}] * 400)"
    code = f"""
import polars as pl, poolwise as pw
print("ready", flush=True)
try:
    pw.fit("y ~ x + (x | g)", {data}, seed=1)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(6)
    assert process.poll() is None
    sent = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert out == "stopped\n", error
    assert time.perf_counter() - sent < 10
