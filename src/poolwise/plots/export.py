"""Write charts to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poolwise.errors import FileError
from poolwise.whole import whole_file

_KINDS = (".png", ".svg", ".html", ".json")


def save_chart(chart: Any, path: Path, *, scale: float = 2.0) -> Path:
    """Write a chart under a temporary name and move it to `path`; its ending decides: .png, .svg, .html or .json.

    Raises
    ------
    FileError : for another ending, or a folder that cannot be written.
    """
    if path.suffix not in _KINDS:
        raise FileError(f"Cannot save a chart as '{path.name}': its name must end in {', '.join(_KINDS)}.")
    options: dict[str, Any] = {"scale_factor": scale} if path.suffix == ".png" else {}
    if path.suffix == ".html":
        options["inline"] = True  # opens without a network
    with whole_file(path) as temporary:
        chart.save(str(temporary), **options)
    return path
