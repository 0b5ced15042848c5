"""Files of our own: a zip of NumPy arrays with one JSON text beside them. Nothing in such a file can run code.

A file is checked whole before anything is made of it: its sizes against one another before memory is taken, then a
checksum over everything. Those who read it check that arrays have the shapes that belong together.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from poolwise.support.atomic_write import whole_file
from poolwise.support.errors import FileError, PoolwiseError

T = TypeVar("T")

FORMAT = 8
_MOST_DEFLATED = 1100  # deflate makes data at most 1,032 times smaller
_LARGEST = 1 << 36  # bytes: 64 GB
_HEADER = 1 << 27  # bytes of JSON


def write(path: Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write to a temporary name beside `path`, then move it there.

    Raises
    ------
    FileError : when the path cannot be written; nothing half-written remains.
    """
    kinds = {name: [array.dtype.str, *array.shape] for name, array in arrays.items()}
    text = json.dumps({**header, "format": FORMAT, "kind": kind, "arrays": kinds}, default=str)
    said = {"header": np.array(text), "checksum": np.array(_checksum(text, arrays))}
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **said, **arrays)  # type: ignore[arg-type]


def read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a file that `write` made with the same `kind`.

    Raises
    ------
    FileError : when it is missing, damaged, of another kind, or of another format.
    """
    damaged = f"'{path}' is not a poolwise {kind}, or it is damaged"
    try:
        if not path.exists():
            raise FileError(f"There is no file '{path}'.")
        if not path.is_file():
            raise FileError(f"'{path}' is not a file.")
        size = path.stat().st_size
        with path.open("rb") as file, zipfile.ZipFile(file) as stored:
            entries = _checked_entries(stored, size)
            text = str(_array(stored, entries.pop("header"), None))
            header = json.loads(text)
            if header["format"] != FORMAT:
                raise FileError(
                    f"'{path}' has format {header['format']!r}; this version of poolwise reads format {FORMAT}."
                )
            if header["kind"] != kind:
                raise FileError(f"'{path}' holds a poolwise {header['kind']}, not a {kind}.")
            told = str(_array(stored, entries.pop("checksum"), None))
            said = header["arrays"]
            if said.keys() != entries.keys():
                raise ValueError("other arrays than the header says")
            arrays = {name: _array(stored, entry, said[name]) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, EOFError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{damaged}.") from error
    except (NotImplementedError, RuntimeError, SyntaxError, OverflowError) as error:  # of zips and array headers
        raise FileError(f"{damaged}.") from error
    if told != _checksum(text, arrays):
        raise FileError(f"'{path}' is damaged or was edited: its checksum does not match what it holds.")
    return header, arrays


def _checked_entries(stored: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """What a zip holds by name; one that claims more than its bytes can hold is refused."""
    entries = {entry.filename.removesuffix(".npy"): entry for entry in stored.infolist()}
    if len(entries) != len(stored.infolist()):
        raise ValueError("two arrays of one name")
    if sum(entry.compress_size for entry in entries.values()) > size:
        raise ValueError("larger than the file")
    if any(entry.file_size > _MOST_DEFLATED * entry.compress_size + 1024 for entry in entries.values()):
        raise ValueError("larger than deflate makes")
    if entries["header"].file_size > _HEADER or sum(entry.file_size for entry in entries.values()) > _LARGEST:
        raise ValueError("too large")
    return entries


def _array(stored: zipfile.ZipFile, entry: zipfile.ZipInfo, said: list[Any] | None) -> np.ndarray:
    """One array, which has the kind and shape that the header of the file says, and the size that the zip says."""
    with stored.open(entry) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("an array of another version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        length = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or dtype.kind not in "biufUM" or not 0 <= length <= entry.file_size:
            raise ValueError("an array of another size or kind")
        if said is not None and said != [dtype.str, *shape]:
            raise ValueError("an array of another size or kind than the header says")
        data = bytearray(length)
        view = memoryview(data)
        while view and (read := file.readinto(view)):  # type: ignore[attr-defined]
            view = view[read:]
        if view or file.read(1):  # the end is where zip's own checksum is compared
            raise ValueError("an array of another size")
    found = np.frombuffer(data, dtype=dtype)
    return found.reshape(shape[::-1]).T if fortran else found.reshape(shape)


def _checksum(header: str, arrays: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def restored(path: Path, kind: str, build: Callable[[dict[str, Any], dict[str, np.ndarray]], T]) -> T:
    """What `build` makes of a file's header and arrays; whatever it stumbles over means that the file is damaged."""
    header, arrays = read(path, kind)
    try:
        return build(header, arrays)
    except PoolwiseError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise FileError(f"'{path}' is damaged: {error!r} is missing or wrong.") from error


def numbers(arrays: Mapping[str, np.ndarray], name: str, *shape: int) -> np.ndarray:
    """An array of finite numbers that must have a shape.

    Raises
    ------
    ValueError : when it has not.
    """
    found = arrays[name]
    if found.shape != shape:
        raise ValueError(f"'{name}' has shape {found.shape} where {shape} belongs")
    if found.dtype.kind not in "biuf" or not np.isfinite(found).all():
        raise ValueError(f"'{name}' does not hold finite numbers")
    return found if found.dtype.kind == "b" else found.astype(float)


def labels_state(labels: np.ndarray) -> list[Any] | None:
    """Labels of groups fit for JSON; None for arrays of numbers or times, which are stored as they are.

    Raises
    ------
    FileError : for labels of other kinds than text, numbers, dates, times with a zone, and tuples of these.
    """
    return None if labels.dtype.kind != "O" else [_label_state(label) for label in labels]


def labels_of(state: list[Any]) -> np.ndarray:
    """The labels that `labels_state` wrote."""
    found = np.empty(len(state), dtype=object)
    found[:] = [_label_of(one) for one in state]
    return found


def _label_state(label: Any) -> Any:
    import pandas as pd

    if isinstance(label, tuple):
        return {"tuple": [_label_state(one) for one in label]}
    if isinstance(label, pd.Timestamp):
        return {"time": label.isoformat(), "zone": None if label.tz is None else str(label.tz)}
    if type(label) is date:
        return {"date": label.isoformat()}
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, (str, int, float, bool)):
        return label
    raise FileError(f"Groups that are labelled by {type(label).__name__} cannot be saved, such as {label!r}.")


def _label_of(state: Any) -> Any:
    import pandas as pd

    if not isinstance(state, dict):
        return state
    if "tuple" in state:
        return tuple(_label_of(one) for one in state["tuple"])
    if "time" in state:
        time = pd.Timestamp(state["time"])
        return time if state["zone"] is None else time.tz_convert(state["zone"])
    return date.fromisoformat(state["date"])
