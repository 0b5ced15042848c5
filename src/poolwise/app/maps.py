"""Which files are maps."""

from __future__ import annotations

from pathlib import Path

_ENDINGS = (".geojson", ".json")


def is_map(name: str) -> bool:
    """Whether a file is a map by its ending."""
    return Path(name).suffix.lower() in _ENDINGS
