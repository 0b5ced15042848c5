"""Effects with a known covariance: `(1 | gr(animal, cov="A"))` for pedigrees, phylogenies and kinship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.levels import label_text
from poolwise.design.structures import levels
from poolwise.design.structures.coupling import Coupling, inverse_diagonal, proper
from poolwise.design.structures.levels import check_number, encoded, learnt, table_named
from poolwise.design.structures.pedigree import deviations, precision_of, read_pedigree, relationships
from poolwise.design.structures.signs import signs
from poolwise.support.errors import DataError, FormulaError

_ROUNDING = 1e-10  # of the largest eigenvalue
_COPIES = 1e-9  # variance of a Mendelian deviation from which on it has no digits


@stateful_transform
def relatives(level: Any, cov: str = "", _state: Any = None, _context: Any = None) -> FactorValues[Any]:
    """Columns of effects with a covariance that is known up to their sd.

    Parameters
    ----------
    cov : name of a table given beside the data: a square frame with the levels as its index and columns; a pedigree
        with three columns, an animal and its parents, which may be missing; or a dict with the levels and the sparse
        precision, the inverse of the covariance.
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
        learnt(_state, names, (vectors * signs(vectors))[:, kept] * np.sqrt(values[kept]), groups=True)
    return encoded(_state, level, text)


def relatives_coupling(table: Any, name: str) -> Coupling:
    """What couples relatives in a normal model, whatever their number.

    Raises
    ------
    DataError : for a covariance or precision that is not positive definite.
    """
    found = _read(table, name)
    if isinstance(found, Pedigree):
        _, deviation = deviations(found.parents)
        if deviation.min() < _COPIES:
            copy = found.levels[int(np.argmin(deviation))]
            raise DataError(
                f"'{copy}' in '{name}' is so inbred that it is a copy of its parents to the last digits: give inbred "
                "lines one name."
            )
        precision, own = precision_of(found.parents)
        return proper(found.levels, precision, own)
    if found.inverse:
        return proper(found.levels, found.matrix, inverse_diagonal(_definite(found.matrix, name))[0])
    covariance = np.asarray(found.matrix)
    try:
        root = np.linalg.inv(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        raise DataError(
            f"'{name}' is not positive definite, as it must be for many levels, or for effects beside intercepts."
        ) from None
    precision = root.T @ root
    small = np.abs(precision) < _ROUNDING * np.sqrt(np.outer(np.diag(precision), np.diag(precision)))
    return proper(found.levels, np.where(small, 0.0, precision), np.diag(covariance).copy())


def many_relatives(table: Any, name: str) -> bool:
    """Whether a covariance, precision or pedigree has more levels than are best given columns."""
    found = _read(table, name)
    if len(found.levels) > levels.MOST:
        return True
    if isinstance(found, Pedigree):
        return len(found.levels) > levels.FEW and float(deviations(found.parents)[1].min()) > _COPIES
    return found.inverse and len(found.levels) > levels.FEW


@dataclass(frozen=True, slots=True, eq=False)
class Pedigree:
    """Animals, parents first, and the places (n, 2) of their parents."""

    levels: list[str]
    parents: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A covariance of levels, dense; or its inverse, sparse."""

    levels: list[str]
    matrix: Any
    inverse: bool


def _covariance(table: Any, name: str) -> tuple[list[str], np.ndarray]:
    """Levels and their covariance."""
    found = _read(table, name)
    check_number(f"'{name}'", len(found.levels))
    if isinstance(found, Pedigree):
        return found.levels, relationships(found.parents)
    if found.inverse:
        return found.levels, np.linalg.inv(_definite(found.matrix, name).toarray())
    return found.levels, np.asarray(found.matrix)


def _read(table: Any, name: str) -> Pedigree | Matrix:
    """What a table says of relatives.

    Raises
    ------
    DataError : for one that is of neither kind, not symmetric, or not finite.
    """
    import pandas as pd
    from scipy.sparse import csc_array

    if isinstance(table, Mapping) and set(table) == {"levels", "precision"}:
        levels, matrix = list(map(label_text, table["levels"])), csc_array(table["precision"], dtype=float)
        if matrix.shape != (len(levels),) * 2 or len(set(levels)) < len(levels):
            raise DataError(f"The precision of '{name}' must have a row and a column for each of its levels, once.")
        _check_symmetric(matrix.data, (matrix - matrix.T).data, f"The precision of '{name}'")
        return Matrix(levels, matrix, True)
    labelled = hasattr(table, "columns") or isinstance(table, Mapping)
    frame = table.to_pandas() if hasattr(table, "to_pandas") else pd.DataFrame(table)
    levels, columns = list(map(label_text, frame.index)), list(map(label_text, frame.columns))
    square = labelled and sorted(levels) == sorted(columns) and not _counted(frame)
    if frame.shape[1] == 3 and not square:
        return Pedigree(*read_pedigree(frame, name))
    if not square or len(set(levels)) < len(levels):
        raise DataError(
            f"'{name}' must be a square frame with the levels as its index and columns, or a pedigree with the columns "
            "animal, father, mother, or {'levels': ..., 'precision': ...} with a sparse matrix."
        )
    values = frame.to_numpy(dtype=float)[:, pd.Index(columns).get_indexer(pd.Index(levels))]
    _check_symmetric(values, values - values.T, f"'{name}'")
    return Matrix(levels, 0.5 * (values + values.T), False)


def _check_symmetric(values: np.ndarray, differences: np.ndarray, what: str) -> None:
    largest = np.abs(values).max(initial=0.0)
    if not np.isfinite(values).all() or np.abs(differences).max(initial=0.0) > 1e-8 * largest:
        raise DataError(f"{what} is not symmetric, or not finite: it is no covariance.")


def _definite(precision: Any, name: str) -> Any:
    """A sparse precision, which must be positive definite: its pivots on the diagonal then are."""
    from scipy.sparse.linalg import splu

    try:
        pivots = splu(precision, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        usable = bool((pivots.U.diagonal() > 0).all())
    except RuntimeError:  # singular
        usable = False
    if not usable:
        raise DataError(f"The precision of '{name}' is not positive definite.")
    return precision


def _counted(frame: Any) -> bool:
    """Whether the index and the columns are numbers that nobody gave: 0, 1, 2, ..."""
    import pandas as pd

    return isinstance(frame.index, pd.RangeIndex) and isinstance(frame.columns, pd.RangeIndex)
