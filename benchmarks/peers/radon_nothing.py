"""Nothing: start Python, import numpy, read the data. The floor under every total."""

from __future__ import annotations

from common import load_radon, read_task, report, timed

if __name__ == "__main__":
    task = read_task()
    _, import_s = timed(lambda: __import__("numpy"))
    load_radon(task.data)
    report(task, packages=["numpy"], import_s=import_s)
