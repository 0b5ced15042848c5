"""Write charts to files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from poolwise.support.atomic_write import whole_file
from poolwise.support.errors import FileError, PoolwiseError

_KINDS = (".png", ".svg", ".html", ".json")
_ADDRESSES = 80 << 30  # bytes of address space that V8, inside vl-convert, reserves and aborts the process without


def save_chart(chart: Any, path: Path, *, scale: float = 2.0) -> Path:
    """Write a chart under a temporary name and move it to `path`; its ending decides: .png, .svg, .html or .json.

    Raises
    ------
    FileError : for another ending, or a folder that cannot be written.
    """
    if path.suffix not in _KINDS:
        raise FileError(f"Cannot save a chart as '{path.name}': its name must end in {', '.join(_KINDS)}.")
    if path.suffix != ".json":
        check_address_space()
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

    check_address_space()
    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub takes the default away
    return bundle.replace("</script", "<\\/script")


def check_address_space() -> None:
    """Refuse to start the chart engine where it would abort the process.

    Raises
    ------
    PoolwiseError : under a limit of the address space, as `ulimit -v` sets it.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit not in (resource.RLIM_INFINITY, -1) and limit < _ADDRESSES:
        raise PoolwiseError(
            f"Charts are drawn by an engine that reserves {_ADDRESSES >> 30} GB of addresses (not of memory), and this "
            f"process is limited to {limit / 2**30:.3g} GB. Raise the limit (ulimit -v), or save the chart as .json."
        )


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element."""
    text = json.dumps(_known(value), default=str, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _known(value: Any) -> Any:
    """A value with null in the place of numbers that JSON does not have: NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _known(one) for key, one in value.items()}
    return [_known(one) for one in value] if isinstance(value, (list, tuple)) else value
