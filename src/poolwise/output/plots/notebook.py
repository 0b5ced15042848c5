"""Charts in notebooks without a network.

Altair's default shows a chart by scripts from elsewhere. Instead a notebook gets the chart for its own viewer
(JupyterLab and VS Code have one), and a picture where there is none.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

NAME = "poolwise"


def draw_without_a_network() -> None:
    """Let charts of this session be shown so, in a notebook whose user has not chosen another renderer of Altair."""
    import altair as alt

    if in_notebook() and alt.renderers.active == "default":
        alt.renderers.register(NAME, bundle)
        alt.renderers.enable(NAME)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")


def bundle(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A chart by media type: Vega-Lite, and PNG for notebooks that cannot draw it."""
    import altair as alt
    import vl_convert

    from poolwise.output.plots.export import check_address_space

    check_address_space()
    picture = vl_convert.vegalite_to_png(spec, scale=2)
    major = alt.SCHEMA_VERSION.lstrip("v").split(".")[0]
    return {f"application/vnd.vegalite.v{major}.json": spec, "image/png": base64.b64encode(picture).decode()}
