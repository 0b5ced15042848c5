"""The page's own files, and the chart engine beside them: nothing is fetched from elsewhere."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from poolwise.output.live.engine import chart_engine

_FILES = {"poolwise.app": ("static/page.js", "static/page.css"), "poolwise.output.live": ("drawing.js", "charts.json")}


def page() -> str:
    """The HTML, with a mark where Shiny puts its scripts."""
    return (files("poolwise.app") / "static" / "page.html").read_text(encoding="utf-8")


@cache
def static_folder() -> Path:
    """A folder with the page's files and Vega, made once for a process."""
    folder = Path(tempfile.mkdtemp(prefix="poolwise-page-"))
    for package, names in _FILES.items():
        for name in names:
            with as_file(files(package) / name) as path:
                shutil.copy(path, folder / path.name)
    shutil.copy(chart_engine(), folder / "vega.js")
    return folder
