"""Write charts to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from poolwise.support.atomic_write import whole_file
from poolwise.support.errors import FileError

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
    with whole_file(path) as temporary:
        if path.suffix == ".html":
            temporary.write_text(_page(chart), encoding="utf-8")
        else:
            chart.save(str(temporary), **options)
    return path


def _page(chart: Any) -> str:
    """A page that opens without a network; whatever names and labels hold stays text."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Chart</title></head><body>\n'
        f'<div id="chart"></div>\n<script>{library()}</script>\n'
        f'<script>window.vegaEmbed("#chart", {script_json(chart.to_dict())});</script>\n</body></html>\n'
    )


def library() -> str:
    """Vega, Vega-Lite and Vega-Embed, as one script."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub takes the default away
    return bundle.replace("</script", "<\\/script")


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(value, default=str).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
