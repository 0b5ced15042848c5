"""Files of our own: a zip of NumPy arrays with one JSON text beside them. Nothing in such a file can run code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from poolwise.errors import FileError
from poolwise.whole import whole_file

T = TypeVar("T")

FORMAT = 4


def write(path: Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write to a temporary name beside `path`, then move it there.

    Raises
    ------
    FileError : when the path cannot be written; nothing half-written remains.
    """
    text = json.dumps({**header, "format": FORMAT, "kind": kind}, default=str)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, header=np.array(text), **arrays)  # type: ignore[arg-type]


def read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a file that `write` made with the same `kind`.

    Raises
    ------
    FileError : when it is missing, damaged, of another kind, or of another format.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(str(arrays.pop("header")))
    except FileNotFoundError as error:
        raise FileError(f"There is no file '{path}'.") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"'{path}' is not a poolwise {kind}, or it is damaged.") from error
    if not isinstance(header, dict) or "format" not in header:
        raise FileError(f"'{path}' is not a poolwise {kind}, or it is damaged.")
    if header["format"] != FORMAT:
        raise FileError(f"'{path}' has format {header['format']}; this version of poolwise reads format {FORMAT}.")
    if header.get("kind") != kind:
        raise FileError(f"'{path}' holds a poolwise {header.get('kind')}, not a {kind}.")
    return header, arrays


def restored(path: Path, kind: str, build: Callable[[dict[str, Any], dict[str, np.ndarray]], T]) -> T:
    """What `build` makes of a file's header and arrays; whatever it stumbles over means that the file is damaged."""
    header, arrays = read(path, kind)
    try:
        return build(header, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FileError(f"'{path}' is damaged: {error!r} is missing or wrong.") from error


def plain_labels(labels: np.ndarray) -> np.ndarray:
    """Labels as numbers, or as fixed-width text, which needs no pickle."""
    return labels.astype(str) if labels.dtype.kind == "O" else labels


def kind_of_labels(labels: np.ndarray) -> str:
    """What `plain_labels` makes text of: "text", "date", or nothing for labels that are numbers or times already."""
    if labels.dtype.kind != "O":
        return ""
    return "date" if len(labels) and all(type(label) is date for label in labels) else "text"


def labels_of_kind(plain: np.ndarray, kind: str) -> np.ndarray:
    """The labels that `plain_labels` wrote."""
    if kind == "date":
        return np.array([date.fromisoformat(str(label)) for label in plain], dtype=object)
    return plain.astype(object) if kind == "text" else plain
