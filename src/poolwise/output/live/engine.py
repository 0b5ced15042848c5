"""The chart engine as a script for pages and notebooks: nothing is fetched from elsewhere."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from poolwise.support.atomic_write import whole_file


def chart_engine() -> Path:
    """Vega as one script, which takes seconds to put together: kept in the user's cache."""
    name = f"vega-{version('vl-convert-python')}.js"
    for place in (_cache_folder, lambda: Path(tempfile.mkdtemp(prefix="poolwise-vega-"))):
        folder = place()
        if (folder / name).is_file():
            return folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(folder / name) as temporary:
                from poolwise.output.plots.export import library

                # In a function of its own, since names of the engine's are also names of Shiny's.
                temporary.write_text(f"(function () {{{library()}}})();", encoding="utf-8")
        except OSError:  # a home that cannot be written to
            continue
        return folder / name
    raise AssertionError("a new temporary folder can be written to")


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poolwise"
