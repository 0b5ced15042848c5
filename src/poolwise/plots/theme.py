"""Colours and type that all charts share. The colours are told apart by the colour-blind (Okabe and Ito 2008)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

PARTIAL = "#0072B2"
SEPARATE = "#D55E00"
COMPLETE = "#555555"
DATA = "#222222"
CHAINS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#555555")


def data(frame: pd.DataFrame) -> alt.InlineData:
    """A table as part of the chart itself, so that the chart is one self-contained document of any size."""
    import altair as alt

    return alt.InlineData(values=frame.to_dict("records"))


def styled(chart: Any) -> Any:
    """A finished chart in the common style."""
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
        .configure_title(fontSize=14, anchor="start", fontWeight="bold", subtitleFontSize=12, subtitleColor="#555555")
        .configure_header(labelFontSize=12, titleFontSize=12, labelFontWeight="bold")
        .configure_legend(labelFontSize=11, titleFontSize=12, titleFontWeight="normal")
    )
