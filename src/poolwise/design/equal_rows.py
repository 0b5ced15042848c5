"""Encoded rows that equal each other, put together, and the one order that all rows have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poolwise.design.combinations import first_of, places_by, places_of
from poolwise.design.design import Rows


def distinct(rows: Rows) -> Rows:
    """The rows that differ, in an order that does not depend on that of the rows, with how many there are of each."""
    place = places_by(rows.codes, _numbers(rows))
    counts = np.bincount(place, rows.multiplicities)
    return replace(rows.take(first_of(place)), counts=counts, dropped=rows.dropped)


def distinct_of(few: Rows, place: np.ndarray, codes: np.ndarray, counts: np.ndarray) -> Rows:
    """The same of rows that are each one of a few but for their cells.

    Parameters
    ----------
    place, codes, counts : (n,) which of the few each row is, its cell, and how many rows it stands for.
    """
    kind = places_by(few.codes, _numbers(few))
    own = places_of([codes, kind[place]])
    first = first_of(own)
    return replace(few.take(place[first]), codes=codes[first], counts=np.bincount(own, counts), dropped=few.dropped)


def in_order(rows: Rows) -> Rows:
    """All rows, in an order that does not depend on that of the query's answer."""
    return rows.take(np.argsort(places_by(rows.codes, _numbers(rows)), kind="stable"))


def _numbers(rows: Rows) -> tuple[np.ndarray, ...]:
    """(n,) each, what tells rows of a cell apart."""
    more = [each for each in (rows.weights, rows.offset, rows.trials) if each is not None]
    return (*rows.values.T, *more, *(() if rows.limits is None else rows.limits))
