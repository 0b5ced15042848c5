"""Shapes of areas: GeoJSON from a path or a dict, or a GeoPandas frame; and which areas share a border."""

from __future__ import annotations

import json
import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwise.support.errors import DataError, FileError, PoolwiseWarning, suggest
from poolwise.support.threads import look

if TYPE_CHECKING:
    import pandas as pd


_MOST_OWNERS = 8  # of a piece of border; two are usual


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
        properties = feature.get("properties") if isinstance(feature, Mapping) else None
        if not isinstance(properties, Mapping):
            raise DataError("A feature of the shapes has no properties, one of which is the area's name.")
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
        return json.loads(Path(shapes).read_text(encoding="utf-8-sig"))
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
        look()
        for ring in rings(name, feature.get("geometry") or {}):
            for one, other in zip(ring, ring[1:], strict=False):
                owners[frozenset((one, other))].add(name)
    if crowded := [sorted(names) for names in owners.values() if len(names) > _MOST_OWNERS]:
        raise DataError(
            f"{len(crowded[0]):,} shapes have one piece of border in common, such as {', '.join(crowded[0][:3])}: they "
            "lie on one another, and are no map."
        )
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


def rings(name: str, geometry: Any) -> Iterator[list[tuple[float, float]]]:
    """Closed lines of a polygon or of several.

    Raises
    ------
    DataError : for what is no geometry, and coordinates that are no finite numbers.
    """
    try:
        kind, coordinates = geometry.get("type"), geometry.get("coordinates", ())
        polygons = {"Polygon": [coordinates], "MultiPolygon": coordinates}.get(str(kind), ())
        for polygon in polygons:
            for ring in polygon:
                found = [(float(x), float(y)) for x, y, *_ in ring]
                if not all(map(math.isfinite, (number for point in found for number in point))):
                    raise ValueError("a coordinate is not finite")
                yield found
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"The shape of '{name}' is no polygon of GeoJSON: {error}.") from error


def check_degrees(features: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse shapes whose coordinates are no longitudes and latitudes: a map of them would be drawn wrongly.

    Raises
    ------
    DataError : with a shape of this kind; or without coordinates that could be read.
    """
    for name, feature in features.items():
        for ring in rings(name, feature.get("geometry") or {}):
            for x, y in ring:
                if abs(x) > 360.0 or abs(y) > 90.0:
                    raise DataError(
                        f"The shape of '{name}' has the point ({x:g}, {y:g}), which is no longitude and latitude in "
                        "degrees: bring the map to degrees first (EPSG:4326)."
                    )
