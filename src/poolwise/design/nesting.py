"""How grouping factors lie to one another: the same, nested, crossed, or without a link."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from poolwise.design.factors import Factor
from poolwise.support.errors import DataError


def check_distinct(factors: tuple[Factor, ...]) -> None:
    """Refuse two factors that are the same grouping under different names.

    Raises
    ------
    DataError : that names them.
    """
    for one, other in combinations(_independent(factors), 2):
        if _pairs(one, other) == len(one.levels) == len(other.levels):
            raise DataError(
                f"'{one.name}' and '{other.name}' are the same grouping but for the names of their "
                f"{len(one.levels):,} groups: nothing could tell their spreads apart. Leave one of them out."
            )


def relations(factors: tuple[Factor, ...]) -> list[str]:
    """What a user may not have meant, in sentences: factors nested by accident, and crossed ones without a link."""
    said = []
    for one, other in combinations(_independent(factors), 2):
        pairs = _pairs(one, other)
        for inner, outer in ((one, other), (other, one)):
            if pairs == len(inner.levels) and not set(outer.keys) <= set(inner.keys):
                said.append(
                    f"'{inner.name}' is nested in '{outer.name}': each of its {len(inner.levels):,} groups lies within "
                    f"one of '{outer.name}'."
                )
        parts = _parts(one, other)
        if pairs not in (len(one.levels), len(other.levels)) and parts > 1:
            said.append(
                f"'{one.name}' and '{other.name}' fall into {parts:,} parts that share no group: groups of different "
                "parts are compared through the pool alone."
            )
    return said


def _independent(factors: tuple[Factor, ...]) -> list[Factor]:
    """Factors whose levels are not coupled: areas may well have effects of their own beside those of a map."""
    return [factor for factor in factors if factor.coupling is None]


def _pairs(one: Factor, other: Factor) -> int:
    """Number of pairs of levels that occur together."""
    return len(np.unique(one.codes * len(other.levels) + other.codes))


def _parts(one: Factor, other: Factor) -> int:
    """Number of connected parts of the graph whose edges are pairs of levels that occur together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(one.levels) + len(other.levels)
    edges = (np.ones(len(one.codes)), (one.codes, len(one.levels) + other.codes))
    return int(connected_components(coo_array(edges, shape=(size, size)), directed=False)[0])
