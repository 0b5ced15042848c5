"""Shapes of areas: GeoJSON from a path or a dict, or a GeoPandas frame; and which areas share a border."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwise.support.errors import DataError, FileError, PoolwiseWarning, suggest

if TYPE_CHECKING:
    import pandas as pd


def features_of(shapes: Any, key: str) -> dict[str, dict[str, Any]]:
    """GeoJSON features by the text of their property `key`.

    Raises
    ------
    FileError, DataError : for what holds no areas, and a property that is missing or not one of a kind.
    """
    known = _geojson(shapes)
    if not isinstance(known, Mapping) or known.get("type") != "FeatureCollection" or not known.get("features"):
        raise DataError("Shapes must be a GeoJSON collection of features: a path, a dict or a GeoPandas frame.")
    found: dict[str, dict[str, Any]] = {}
    for feature in known["features"]:
        properties = feature.get("properties") or {}
        if key not in properties:
            raise DataError(f"The shapes have no property '{key}'. {suggest(key, properties)}")
        name = str(properties[key])
        if name in found:
            raise DataError(f"The shapes have '{name}' twice under '{key}'.")
        found[name] = feature
    return found


def _geojson(shapes: Any) -> Any:
    if getattr(shapes, "crs", None) is not None and hasattr(shapes, "to_crs"):
        shapes = shapes.to_crs(4326)  # GeoJSON, and maps of charts, are in degrees
    if hasattr(shapes, "__geo_interface__"):
        return shapes.__geo_interface__
    if not isinstance(shapes, (str, Path)):
        return shapes
    try:
        return json.loads(Path(shapes).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise FileError(f"Cannot read shapes from '{shapes}': {error}.") from error


def neighbours(shapes: Any, key: str) -> pd.DataFrame:
    """Pairs of areas that share a border, for `icar(area, neighbours)`.

    Areas are neighbours where a piece of both borders runs between the same two points; to meet in one point is not
    enough. Borders must have been cut from one map, so that they have the same points.

    Parameters
    ----------
    shapes : GeoJSON by its path or as a dict, or a GeoPandas frame.
    key : the property with the areas' names.

    Returns
    -------
    Columns `area` and `neighbour`, each pair once.

    Raises
    ------
    FileError, DataError : for what holds no areas, or no two that share a border.
    """
    import pandas as pd

    features = features_of(shapes, key)
    owners: dict[frozenset[tuple[float, float]], set[str]] = defaultdict(set)
    for name, feature in features.items():
        for ring in _rings(feature.get("geometry") or {}):
            for one, other in zip(ring, ring[1:], strict=False):
                owners[frozenset((one, other))].add(name)
    pairs = sorted({pair for names in owners.values() for pair in combinations(sorted(names), 2)})
    if not pairs:
        raise DataError("No two of the shapes share a border: their points differ, or they are no map.")
    alone = sorted(set(features) - {name for pair in pairs for name in pair})
    if alone:
        warnings.warn(
            f"No border is shared by: {', '.join(alone[:5])}{', ...' if len(alone) > 5 else ''}. Add their neighbours "
            "to the table, or leave these areas out.",
            PoolwiseWarning,
            stacklevel=2,
        )
    return pd.DataFrame(pairs, columns=["area", "neighbour"])


def _rings(geometry: Mapping[str, Any]) -> Iterator[list[tuple[float, float]]]:
    """Closed lines of a polygon or of several."""
    kind, coordinates = geometry.get("type"), geometry.get("coordinates", ())
    polygons = {"Polygon": [coordinates], "MultiPolygon": coordinates}.get(str(kind), ())
    for polygon in polygons:
        for ring in polygon:
            yield [(float(x), float(y)) for x, y, *_ in ring]
