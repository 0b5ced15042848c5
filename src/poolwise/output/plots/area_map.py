"""Areas on a map: what their own rows say, what the model says, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.output.plots import theme
from poolwise.sources.shapes import check_degrees
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_NOTHING = "#dddddd"


def area_map(
    table: pd.DataFrame, features: Mapping[str, Mapping[str, Any]], outcome: str, *, width: int = 230
) -> alt.HConcatChart:
    """Panels side by side: raw means where there are any, effects given all areas, and their sds.

    Parameters
    ----------
    table : `area`, `n`, `raw`, `mean`, `sd`.
    features : GeoJSON features by the areas' names; shapes of no area of the table are drawn empty.
    """
    import altair as alt

    check_degrees(features)
    lines = table.set_index("area")
    if not set(lines.index) & set(features):
        raise DataError(
            f"No shape has the name of an area: areas are such as '{lines.index[0]}', shapes such as "
            f"'{next(iter(features))}'."
        )
    shapes = []
    for name, feature in features.items():
        known = lines.loc[name].to_dict() if name in lines.index else {}
        said = {key: float(value) for key, value in known.items() if np.isfinite(value)}
        shapes.append({"type": "Feature", "geometry": feature["geometry"], "properties": {"area": name, **said}})
    most = float(np.nanmax(np.abs(lines["mean"])))
    panels = []
    diverging = alt.Scale(scheme="blueorange", domain=[-most, most], clamp=True)
    for column, title, scale in (
        ("raw", "own rows alone", diverging),
        ("mean", "given all areas", diverging),
        ("sd", "its sd", alt.Scale(scheme="greys", domainMin=0)),
    ):
        if not np.isfinite(lines[column]).any():
            continue
        field = f"properties.{column}"
        legend = alt.Legend(orient="bottom", gradientLength=width - 40, title=None)
        data = alt.InlineData(
            values={"type": "FeatureCollection", "features": shapes}, format=alt.DataFormat(property="features")
        )
        chart = (
            alt.Chart(data)
            .mark_geoshape(stroke="white", strokeWidth=0.6)
            .encode(
                color=alt.condition(
                    f"isValid(datum.properties.{column})",
                    alt.Color(f"{field}:Q", scale=scale, legend=legend),
                    alt.value(_NOTHING),
                ),
                tooltip=[
                    alt.Tooltip("properties.area:N", title="area"),
                    *(
                        alt.Tooltip(f"properties.{name}:Q", title=name, format=theme.NUMBER)
                        for name in ("n", "raw", "mean", "sd")
                    ),
                ],
            )
            .project(type="mercator")
            .properties(width=width, height=int(1.15 * width), title=alt.TitleParams(title, fontSize=12))
        )
        panels.append(chart)
    subtitle = "light grey: nothing is known"
    if beyond := int((lines["raw"].abs() > most).sum()):
        areas = f"{beyond} area{'s' * (beyond != 1)}"
        subtitle += f"; own rows of {areas} lie beyond the scale and have the colour of its end"
    heading = alt.TitleParams(f"What areas add to {outcome}", subtitle=subtitle)
    return theme.styled(alt.hconcat(*panels).resolve_scale(color="independent").properties(title=heading))
