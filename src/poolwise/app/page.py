"""The page's own files, and the chart engine beside them: nothing is fetched from elsewhere."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from poolwise.output.plots.export import library


def page() -> str:
    """The HTML, with a mark where Shiny puts its scripts."""
    return (files("poolwise.app") / "static" / "page.html").read_text(encoding="utf-8")


@cache
def static_folder() -> Path:
    """A folder with the page's script and style and Vega, made once for a process."""
    folder = Path(tempfile.mkdtemp(prefix="poolwise-page-"))
    for name in ("page.js", "page.css"):
        with as_file(files("poolwise.app") / "static" / name) as path:
            shutil.copy(path, folder / name)
    # In a function of its own, since names of the engine's are also names of Shiny's.
    (folder / "vega.js").write_text(f"(function () {{{library()}}})();", encoding="utf-8")
    return folder
