"""Equal rows of a few whole numbers, counted by places: each combination of values has one, whether it is met or not.

A table of places is read once and needs no search for equal rows, which is what a GROUP BY of many groups does most of
its time (10^8 rows of 2.4 million groups: two seconds for seven with DuckDB).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.sources.relation import Relation, check_unchanged
from poolwise.support.errors import DataError
from poolwise.support.naming import free_column
from poolwise.support.progress import Scan
from poolwise.support.threads import look

_MOST = 1 << 24  # places
_BATCH = 1 << 20  # rows


@dataclass(frozen=True, slots=True)
class PackedKeys:
    """Columns as digits of one number.

    Attributes
    ----------
    names, types : of the columns, the slowest first.
    least, sizes : the least value of each, and how many there are from it to the largest one.
    """

    names: tuple[str, ...]
    types: tuple[np.dtype[Any], ...]
    least: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def places(self) -> int:
        """How many numbers there are, from zero on."""
        return math.prod(self.sizes)

    def count(self, relation: Relation, rows: Any, scan: Scan) -> np.ndarray:
        """(places,) how many of some rows of a relation, without missing values, have each number.

        Raises
        ------
        DataError : where a number is none of these, as of a Parquet file that states false ends; a value beyond its
            ends whose number is that of another combination is not noticed.
        FileError : when a file has changed since its ends were read.
        """
        import narwhals as nw

        name, found = free_column("key", self.names), np.zeros(self.places, dtype=np.int64)
        keys = rows.select(self._key().cast(nw.Int32).alias(name))
        for batch in relation.batches(keys, _BATCH, scan):
            look()
            places = nw.from_native(batch, eager_only=True)[name].to_numpy()
            if len(places) and (places.min() < 0 or places.max() >= self.places):
                check_unchanged(relation.stamp)
                raise DataError(f"{relation.words} holds values beyond the least and the largest that it states.")
            np.add.at(found, places, 1)
        return found

    def _key(self) -> Any:
        import narwhals as nw

        found = nw.lit(0)
        for name, least, size in zip(self.names, self.least, self.sizes, strict=True):
            found = found * size + (nw.col(name).cast(nw.Int64) - least)
        return found

    def values(self, keys: np.ndarray) -> dict[str, np.ndarray]:
        """The columns behind some numbers (n,)."""
        rest, found = keys.astype(np.int32), dict[str, np.ndarray]()
        for name, kind, least, size in reversed(list(zip(self.names, self.types, self.least, self.sizes, strict=True))):
            rest, digit = np.divmod(rest, np.int32(size))
            found[name] = (digit.astype(np.int64) + least).astype(kind)
        return {name: found[name] for name in self.names}


def packed_keys(relation: Relation, names: Sequence[str]) -> PackedKeys | None:
    """Some columns packed; None where they are not all whole numbers of few values, or where it takes as long to know
    that as to count rows."""
    import narwhals as nw

    types = tuple(kind for name in names if (kind := _whole(relation.schema[name])) is not None)
    if len(types) < len(names) or not relation.rows:
        return None
    # As they are, where they are numbers: of these Parquet knows the ends.
    columns = [
        nw.col(name).cast(nw.Int8) if kind.kind == "b" else nw.col(name)
        for name, kind in zip(names, types, strict=True)
    ]
    ends = [(column.min().alias(f"l{i}"), column.max().alias(f"m{i}")) for i, column in enumerate(columns)]
    found = relation.fetch(relation.frame.select(*(end for both in ends for end in both)), Scan())
    if any(np.asarray(values).dtype.kind not in "iu" for values in found.values()):  # missing values alone
        return None
    least, most = ([int(found[f"{end}{i}"][0]) for i in range(len(names))] for end in "lm")
    sizes = tuple(high - low + 1 for low, high in zip(least, most, strict=True))
    packed = PackedKeys(tuple(names), types, tuple(least), sizes)
    return packed if packed.places <= _MOST else None


def _whole(kind: Any) -> np.dtype[Any] | None:
    """NumPy's type of a narwhals one of whole numbers of up to 64 bits with a sign, or of truth values."""
    import narwhals as nw

    if kind == nw.Boolean:
        return np.dtype(bool)
    return np.dtype(str(kind).lower()) if kind.is_integer() and kind not in (nw.UInt64, nw.Int128, nw.UInt128) else None
