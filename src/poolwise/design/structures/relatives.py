"""Effects with a known covariance: `(1 | gr(animal, cov="A"))` for pedigrees, phylogenies and kinship.

A pedigree gives the additive relationship matrix by Henderson's (1976) rules: an animal with parents s and d has the
relationship (a_sj + a_dj) / 2 to any earlier j, and 1 + a_sd / 2 to itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.levels import label_text
from poolwise.design.structures.levels import check_number, encoded, learnt, table_named
from poolwise.design.structures.signs import signs
from poolwise.support.errors import DataError, FormulaError

_ROUNDING = 1e-10  # of the largest eigenvalue
_UNKNOWN = frozenset({"0", "NA", "*", "."})  # as pedigrees in files write a parent that is not known


@stateful_transform  # type: ignore[untyped-decorator]
def relatives(level: Any, cov: str = "", _state: Any = None, _context: Any = None) -> FactorValues[Any]:
    """Columns of effects with a covariance that is known up to their sd.

    Parameters
    ----------
    cov : name of a table given beside the data: a square frame with the levels as its index and columns, or a pedigree
        with three columns, an animal and its parents, which may be missing.
    """
    if not cov:
        raise FormulaError("gr() takes the name of a covariance: (1 | gr(animal, cov='A')).")
    text = f"gr(..., cov='{cov}')"
    if "levels" not in _state:
        names, covariance = _covariance(table_named(_context, cov, text), cov)
        values, vectors = np.linalg.eigh(covariance)
        if not values[-1] > 0:
            raise DataError(f"'{cov}' is zero everywhere: its levels would have no effects.")
        if values[0] < -_ROUNDING * values[-1]:
            raise DataError(f"'{cov}' is no covariance: it has the negative eigenvalue {values[0]:.3g}.")
        kept = values > _ROUNDING * values[-1]
        learnt(_state, names, (vectors * signs(vectors))[:, kept] * np.sqrt(values[kept]))
    return encoded(_state, level, text)


def _covariance(table: Any, name: str) -> tuple[list[str], np.ndarray]:
    """Levels and their covariance."""
    import pandas as pd

    labelled = hasattr(table, "columns") or isinstance(table, dict)
    frame = table.to_pandas() if hasattr(table, "to_pandas") else pd.DataFrame(table)
    levels, columns = list(map(label_text, frame.index)), list(map(label_text, frame.columns))
    square = labelled and sorted(levels) == sorted(columns) and not _counted(frame)
    if frame.shape[1] == 3 and not square:
        return _of_pedigree(frame, name)
    if not square or len(set(levels)) < len(levels):
        raise DataError(
            f"'{name}' must be a square frame with the levels as its index and columns, or a pedigree with the columns "
            "animal, father, mother."
        )
    check_number(f"'{name}'", len(levels))
    values = frame.to_numpy(dtype=float)[:, [columns.index(one) for one in levels]]
    if not np.isfinite(values).all() or not np.allclose(values, values.T, rtol=1e-8, atol=1e-12 * np.abs(values).max()):
        raise DataError(f"'{name}' is not symmetric, or not finite: it is no covariance.")
    return levels, 0.5 * (values + values.T)


def _counted(frame: Any) -> bool:
    """Whether the index and the columns are numbers that nobody gave: 0, 1, 2, ..."""
    import pandas as pd

    return isinstance(frame.index, pd.RangeIndex) and isinstance(frame.columns, pd.RangeIndex)


def _of_pedigree(frame: Any, name: str) -> tuple[list[str], np.ndarray]:
    """Animals, parents first, and their additive relationships; parents without a row are founders."""
    import pandas as pd

    parents: dict[str, tuple[str, ...]] = {}
    for animal, *both in frame.itertuples(index=False):
        if label_text(animal) in parents:
            raise DataError(f"The pedigree '{name}' has '{label_text(animal)}' twice.")
        parents[label_text(animal)] = tuple("" if pd.isna(one) else label_text(one) for one in both)
    parents = {
        animal: tuple("" if one in _UNKNOWN and one not in parents else one for one in both)
        for animal, both in parents.items()
    }
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
    check_number(f"The pedigree '{name}'", len(order))
    place = {animal: k for k, animal in enumerate(order)}
    found = np.zeros((len(order), len(order)))
    for k, animal in enumerate(order):
        known = [place[one] for one in parents[animal] if one]
        found[k, :k] = found[:k, k] = 0.5 * found[known, :k].sum(axis=0)
        found[k, k] = 1.0 + (0.5 * found[known[0], known[1]] if len(known) == 2 else 0.0)
    return order, found
