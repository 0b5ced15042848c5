"""A map beside a table: shapes whose names are labels of one of its columns."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwise.design.levels import label_text
from poolwise.sources.shapes import check_degrees, features_of, neighbours
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

TABLE = "map"  # what formulas call the neighbours
_MOST = 5_000  # areas that a page can draw
_LEAST = 0.5  # share of a column's labels that must be names of shapes


@dataclass(frozen=True, slots=True, eq=False)
class AreaMap:
    """Shapes of the labels of a column.

    Attributes
    ----------
    by : the column.
    features : GeoJSON features by label.
    borders : pairs of neighbours, None where no two shapes share a border.
    """

    by: str
    features: Mapping[str, Mapping[str, Any]]
    borders: pd.DataFrame | None

    def said(self) -> dict[str, Any]:
        """For the page: outlines without their properties."""
        return {
            "by": self.by,
            "joined": self.borders is not None,
            "shapes": [{"area": name, "geometry": one["geometry"]} for name, one in self.features.items()],
        }


def read_shapes(path: Path, frame: pd.DataFrame) -> AreaMap:
    """The map in a GeoJSON file.

    Raises
    ------
    DataError : for what holds no shapes, or shapes of other areas than those of the table.
    """
    try:
        shapes = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_number)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataError(f"The file is no GeoJSON: {str(error)[:200]}") from error
    return area_map(shapes, frame)


def area_map(shapes: Any, frame: pd.DataFrame) -> AreaMap:
    """The map of the column whose labels the shapes name.

    Raises
    ------
    DataError : as `read_shapes` does.
    """
    known = shapes.get("features") if isinstance(shapes, dict) else None
    if not isinstance(known, list) or not all(isinstance(one, dict) and one.get("geometry") for one in known):
        raise DataError("A map is a GeoJSON collection of features, each with a geometry.")
    if len(known) > _MOST:
        raise DataError(f"The map has {len(known):,} shapes; {_MOST:,} are the most here.")
    by, key = _matching(known, frame)
    features = features_of({"type": "FeatureCollection", "features": known}, key)
    check_degrees(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes that are islands
        try:
            borders = neighbours({"type": "FeatureCollection", "features": known}, key)
        except DataError:
            borders = None
    return AreaMap(by, features, borders)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _matching(features: list[dict[str, Any]], frame: pd.DataFrame) -> tuple[str, str]:
    """The column, and the property that has its labels."""
    values: dict[str, list[str]] = {}
    for one in features:
        properties = one.get("properties")
        for key, value in (properties if isinstance(properties, dict) else {}).items():
            if isinstance(value, (str, int, float)):
                values.setdefault(str(key), []).append(str(value))
    names = {key: set(texts) for key, texts in values.items() if len(set(texts)) == len(texts) == len(features)}
    found = []
    for column in map(str, frame.columns):
        labels = {label_text(value) for value in frame[column].dropna().unique()[: 4 * _MOST]}
        found += [(len(labels & of_shapes) / max(1, len(labels)), column, key) for key, of_shapes in names.items()]
    best = max(found, default=(0.0, "", ""), key=lambda one: one[0])
    if best[0] < _LEAST:
        raise DataError(
            "No property of the shapes has the labels of a column: one must have a name for each shape, such as the "
            "labels of the groups."
        )
    return best[1], best[2]
