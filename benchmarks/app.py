"""The page in headless Chromium: seconds to the first answer, from slider to new chart, and many sessions at a time.

    python -m benchmarks.app
    python -m benchmarks.app --sessions 50 --seconds 120

Writes `benchmarks/results/app.csv`, a line for each figure. A slider's time runs in the page, from its input event to
the first frame after the chart of the groups has changed. Sessions of the load are WebSocket clients without a browser
that move a slider as soon as the last answer is there, or after a tenth of a second; each looks whether the answer is
its own. The page opens in a process of its own; kernels are those that were installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
MOVES, LARGE = 60, 100_000
MOVED = """async ([k, value]) => {
  const chart = document.getElementById('chart-groups'), slider = document.getElementById(`width-${k}`);
  const changed = new Promise((done) => {
    const watch = new MutationObserver(() => {
      watch.disconnect();
      requestAnimationFrame(() => done(performance.now()));
    });
    watch.observe(chart, { subtree: true, childList: true, attributes: true });
  });
  const began = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  return (await changed) - began;
}"""


@contextlib.contextmanager
def served(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a page, and its process."""
    command = [sys.executable, "-m", "poolwise", "app", "--no-browser", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            assert process.stdout is not None
            yield next(word for word in process.stdout.readline().split() if word.startswith("http")), process
        finally:
            process.terminate()


def memory(process: subprocess.Popen[str]) -> float:
    """Megabytes that a process and those that it started have in memory."""
    started = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [number for one in started for number in one.read_text().split()]
    found = 0
    for number in (str(process.pid), *children):
        status = Path(f"/proc/{number}/status").read_text()
        found += int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    return found / 1024


def in_browser() -> list[dict[str, object]]:
    """Seconds to the first answer and milliseconds of sliders, of radon and of a larger table."""
    from playwright.sync_api import sync_playwright

    rng = np.random.default_rng(1)
    group, x = rng.integers(0, 200, LARGE), rng.normal(size=LARGE)
    y = 1 + 0.5 * x + rng.normal(size=200)[group] + rng.normal(size=LARGE)
    found: list[dict[str, object]] = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        rows = Path(folder) / "rows.parquet"
        pd.DataFrame({"g": [f"g{k}" for k in group], "x": x, "y": y}).to_parquet(rows)
        for name, arguments, slider in (("radon", (), 3), (f"{LARGE:,} rows", (str(rows),), 2)):
            began = time.perf_counter()
            with served(*arguments) as (address, _):
                page = browser.new_page()
                page.goto(address, wait_until="domcontentloaded")
                shown = time.perf_counter() - began
                page.wait_for_selector("#chart-groups svg .mark-symbol path", timeout=120_000)
                first = time.perf_counter() - began
                page.wait_for_function("document.body.dataset.judged", timeout=300_000)
                took = []
                for k in range(MOVES):
                    took.append(float(page.evaluate(MOVED, [slider, -2 + (k % 17) / 4])))
                    page.wait_for_timeout(120)
                took.sort()
                page.close()
            found += [
                {"what": f"{name}: seconds from the command to the page", "value": round(shown, 2)},
                {"what": f"{name}: seconds from the command to the first answer", "value": round(first, 2)},
                {"what": f"{name}: ms from slider to chart, median", "value": round(statistics.median(took))},
                {"what": f"{name}: ms from slider to chart, 95%", "value": round(took[int(0.95 * len(took))])},
            ]
        browser.close()
    return found


async def one_session(address: str, k: int, until: float, took: list[float], wrong: list[str]) -> None:
    """Move a slider until the time is over."""
    import websockets

    async with websockets.connect(address.replace("http", "ws") + "websocket/", max_size=2**24) as socket:

        async def send(name: str, value: object) -> None:
            await socket.send(json.dumps({"method": "update", "data": {f"{name}:shiny.action": value}}))

        async def message(kind: str) -> dict[str, object]:
            while True:
                said = json.loads(await socket.recv())
                custom = said.get("custom") or {}
                if "failed" in custom:
                    raise RuntimeError(custom["failed"]["message"])
                if kind in custom:
                    return dict(custom[kind])

        hello = {".clientdata_url_search": "", "hello": "?"}
        await socket.send(json.dumps({"method": "init", "data": hello}))
        await message("described")
        number = 1000 * k
        while time.monotonic() < until:
            number += 1
            width = 2.0 ** (((k + number) % 17 - 8) / 4)
            asked = {
                "source": "radon", "formula": "log_radon ~ floor + (floor | county)", "family": "gaussian",
                "widths": {"sd_county[floor]": width}, "groups": [], "number": number,
            }  # fmt: skip
            began = time.monotonic()
            await socket.send(json.dumps({"method": "update", "data": {"asked": asked}}))
            answer = await message("answer")
            took.append(time.monotonic() - began)
            shown = next(one for one in answer["priors"] if one["name"] == "sd_county[floor]")  # type: ignore[index,union-attr]
            if answer["number"] != number or abs(shown["width"] - width) > 1e-9:
                wrong.append(f"session {k} was given the answer of another")
            await asyncio.sleep(0.1)


def under_load(sessions: int, seconds: float, workers: int) -> list[dict[str, object]]:
    """Seconds of answers, wrong answers and memory while many sessions move sliders."""
    took: list[float] = []
    wrong: list[str] = []
    with served("--workers", str(workers)) as (address, process):

        async def all_of_them() -> tuple[float, list[BaseException | None]]:
            until = time.monotonic() + seconds
            tasks = [asyncio.create_task(one_session(address, k, until, took, wrong)) for k in range(1, sessions + 1)]
            await asyncio.sleep(seconds / 2)
            half = memory(process)
            return half, await asyncio.gather(*tasks, return_exceptions=True)

        half, ends = asyncio.run(all_of_them())
        full = memory(process)
    failed = [end for end in ends if end is not None]
    for end in failed[:3]:
        print(repr(end))
    name = f"{sessions} sessions, {seconds:g} s, {workers} processes that answer"
    return [
        {"what": f"{name}: answers", "value": len(took)},
        {"what": f"{name}: seconds of an answer, median", "value": round(statistics.median(took), 2)},
        {"what": f"{name}: errors", "value": len(failed)},
        {"what": f"{name}: answers of another session", "value": len(wrong)},
        {"what": f"{name}: MB after half the time", "value": round(half)},
        {"what": f"{name}: MB at the end", "value": round(full)},
    ]


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--load-alone", action="store_true", help="print the load, write nothing")
    task = parser.parse_args()
    load = (task.sessions, task.seconds, task.workers)
    if task.load_alone:
        print(pd.DataFrame(under_load(*load)).to_string(index=False))
        return
    table = pd.DataFrame(in_browser() + under_load(*load))
    print(table.to_string(index=False))
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "app.csv", index=False)


if __name__ == "__main__":
    main()
