"""Pedigrees: additive relationships of animals and, by Henderson's (1976) rules, their sparse inverse.

A = T D T' with T unit triangular: an animal is the mean of its parents and a Mendelian deviation of variance
d = 1/2 - (F_s + F_d) / 4, 3/4 - F / 4 with one parent known, 1 with none; F is inbreeding. So each animal adds to the
inverse 1 / d in its own place, -1 / 2d in those with a parent, and 1 / 4d in those of parents.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from poolwise.compiled import exact_kernel
from poolwise.compiled.types import IntVector, Vector
from poolwise.design.levels import label_text
from poolwise.support.errors import DataError, PoolwiseWarning

_UNKNOWN = frozenset({"0", "NA", "*", "."})  # as pedigrees in files write a parent that is not known


def read_pedigree(frame: Any, name: str) -> tuple[list[str], np.ndarray]:
    """Animals, parents first, and the places (n, 2) of their parents, -1 where not known.

    Parents without a row are founders.

    Raises
    ------
    DataError : for an animal that is there twice, or among its own ancestors.
    """
    import pandas as pd

    parents: dict[str, tuple[str, ...]] = {}
    if pd.isna(frame.iloc[:, 0]).any():
        raise DataError(f"The pedigree '{name}' has a row without an animal: leave it out.")
    for animal, *both in frame.itertuples(index=False):
        if label_text(animal) in parents:
            raise DataError(f"The pedigree '{name}' has '{label_text(animal)}' twice.")
        parents[label_text(animal)] = tuple("" if pd.isna(one) else label_text(one) for one in both)
    parents = {
        animal: tuple("" if one in _UNKNOWN and one not in parents else one for one in both)
        for animal, both in parents.items()
    }
    _warn_of_codes(parents, name)
    for both in list(parents.values()):
        for one in both:
            if one:
                parents.setdefault(one, ("", ""))
    order: list[str] = []
    left, placed = dict(parents), {""}
    while left:
        ready = sorted(animal for animal, both in left.items() if placed.issuperset(both))
        if not ready:
            raise DataError(f"The pedigree '{name}' has a loop: '{min(left)}' would be among its own ancestors.")
        order += ready
        placed |= set(ready)
        left = {animal: both for animal, both in left.items() if animal not in placed}
    place = {"": -1} | {animal: k for k, animal in enumerate(order)}
    return order, np.array([[place[one] for one in parents[animal]] for animal in order], dtype=np.int64)


def _warn_of_codes(parents: dict[str, tuple[str, ...]], name: str) -> None:
    """Say where a parent without a row looks like a word for an unknown one: it is father here and mother there."""
    fathers, mothers = ({both[k] for both in parents.values()} - {""} for k in range(2))
    for one in sorted(fathers & mothers - parents.keys()):
        warnings.warn(
            f"'{one}' has no row in the pedigree '{name}', and is the father of some animals and the mother of others. "
            "If it stands for parents that are not known, write NA.",
            PoolwiseWarning,
            stacklevel=4,
        )


def relationships(parents: np.ndarray) -> np.ndarray:
    """Additive relationships (n, n) of animals, parents first."""
    found = np.zeros((len(parents), len(parents)))
    for k, both in enumerate(parents):
        known = both[both >= 0]
        found[k, :k] = found[:k, k] = 0.5 * found[known, :k].sum(axis=0)
        found[k, k] = 1.0 + (0.5 * found[known[0], known[1]] if len(known) == 2 else 0.0)
    return found


def deviations(parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relationship of each animal with itself, and variance of its Mendelian deviation, both (n,)."""
    own, deviation = np.empty(len(parents)), np.empty(len(parents))
    _inbreeding(np.ascontiguousarray(parents[:, 0]), np.ascontiguousarray(parents[:, 1]), own, deviation)
    return own, deviation


def precision_of(parents: np.ndarray) -> tuple[Any, np.ndarray]:
    """The inverse of the additive relationships, sparse, and their diagonal (n,): one plus inbreeding."""
    from scipy.sparse import coo_array

    size = len(parents)
    own, deviation = deviations(parents)
    places = np.column_stack([np.arange(size), parents])
    weights = np.array([1.0, -0.5, -0.5])
    rows, columns, values = [], [], []
    for i in range(3):
        for j in range(3):
            known = (places[:, i] >= 0) & (places[:, j] >= 0)
            rows.append(places[known, i])
            columns.append(places[known, j])
            values.append(weights[i] * weights[j] / deviation[known])
    found = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(size, size))
    return found.tocsc(), own


@exact_kernel
def _inbreeding(father: IntVector, mother: IntVector, own: Vector, deviation: Vector) -> None:
    """Relationship of each animal with itself and variance of its Mendelian deviation, row by row of T (Quaas 1976).

    Both parents come before an animal. Squares of an animal's shares in the deviations of its ancestors add up; time
    goes with the square of the number of animals, of which 10^5 take seconds.
    """
    share = np.zeros(father.size)
    for animal in range(father.size):
        known, inbred = 0, 0.0
        for parent in (father[animal], mother[animal]):
            if parent >= 0:
                known += 1
                inbred += own[parent] - 1.0
        deviation[animal] = 1.0 - 0.25 * known - 0.25 * inbred
        share[animal] = 1.0
        total = 0.0
        for one in range(animal, -1, -1):
            part = share[one]
            if part != 0.0:
                total += part * part * deviation[one]
                share[one] = 0.0
                if father[one] >= 0:
                    share[father[one]] += 0.5 * part
                if mother[one] >= 0:
                    share[mother[one]] += 0.5 * part
        own[animal] = total
