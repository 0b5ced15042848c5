"""Colours and type that all charts share. The colours are told apart by the colour-blind (Okabe and Ito 2008)."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from poolwise.output.plots.notebook import draw_without_a_network
from poolwise.support.plain_text import plain

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

PARTIAL = "#0072B2"
SEPARATE = "#D55E00"
COMPLETE = "#555555"
DATA = "#222222"
FAINT = "#999999"  # of lines that points are compared with
NUMBER = ".6~g"  # six digits, of numbers of any size
CHAINS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#555555")


def data(frame: pd.DataFrame) -> alt.InlineData:
    """A table as part of the chart itself, so that the chart is one self-contained document of any size.

    NaN and infinities, which JSON does not have, are null.
    """
    from altair.utils.schemapi import debug_mode

    known = frame.replace({math.nan: None, math.inf: None, -math.inf: None})
    with debug_mode(False):  # records of ours need no check against Vega-Lite's schema
        table: alt.InlineData = _shared_table()(values=known.to_dict("records"))
    return table


@cache
def _shared_table() -> Any:
    """Altair's inline data, which it would copy number by number with every step that a chart is built in."""
    import altair as alt

    class SharedTable(alt.InlineData):  # type: ignore[misc]
        def __deepcopy__(self, memo: Any = None) -> SharedTable:
            return self

    return SharedTable


def _plain(value: Any) -> Any:
    """A specification with plain texts only."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def styled(chart: Any) -> Any:
    """A finished chart in the common style, in which every name and label is plain text."""
    draw_without_a_network()
    spec = chart.to_dict(validate=False)
    if (clean := _plain(spec)) != spec:
        chart = type(chart).from_dict(clean, validate=False)
    return (
        chart.configure(font="Helvetica, Arial, sans-serif", background="white")
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=11,
            labelFlush=False,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor="#ececec",
            domainColor="#888888",
        )
        .configure_axisXQuantitative(labelSeparation=5)
        .configure_title(fontSize=14, anchor="start", fontWeight="bold", subtitleFontSize=12, subtitleColor="#555555")
        .configure_header(labelFontSize=12, titleFontSize=12, labelFontWeight="bold")
        .configure_legend(labelFontSize=11, titleFontSize=12, titleFontWeight="normal")
    )
