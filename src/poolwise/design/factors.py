"""Grouping factors: which level of each factor the rows of a cell belong to.

A cell is one combination of labels of all grouping columns that occurs in the data. Statistics are kept by cell; a
level of a factor is a set of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.design.combinations import cells_of
from poolwise.design.levels import label_codes
from poolwise.design.structures.coupling import Coupling
from poolwise.design.structures.structure import Structure
from poolwise.support.errors import DataError
from poolwise.support.labels import quoted

Cells = tuple[np.ndarray, ...]  # for each grouping column, the label (C,) in each cell
NOBODY = "(no group)"  # label of rows whose group is not asked for


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A grouping factor with the effects that vary by its levels.

    Attributes
    ----------
    name : `county`, or `school:class` for combinations of columns.
    keys : the grouping columns.
    levels : (J,) labels, sorted; combinations are joined as `A:1`. A part that holds a colon stands in quotes.
    codes : (C,) position of each cell's level.
    effects : (q,) names of the effects that vary by level, of all its group terms.
    group_map : (1 + K, q) effect columns Z as combinations of [1, W].
    starts : (q,) position of the first effect that each effect is correlated with; its own where it is independent.
    margins : (q, q) whether effect j is a margin of effect k, at [k, j]; see `margins.py`.
    predictors : (q,) of which linear predictor each effect is part: "" for the mean, or a parameter's name. That begins
        the factor's name where all effects are of one parameter, else the effect's.
    coupling : of the effects of its levels, None where levels are independent given the covariance of their effects.
    structures : terms among its effects whose sds follow a few numbers, such as `(ar1(t) | g)`; their places are among
        the effects.
    """

    name: str
    keys: tuple[str, ...]
    levels: np.ndarray
    codes: np.ndarray
    effects: tuple[str, ...]
    group_map: np.ndarray
    starts: np.ndarray
    margins: np.ndarray
    predictors: tuple[str, ...]
    coupling: Coupling | None = None
    structures: tuple[Structure, ...] = ()

    @property
    def tied(self) -> np.ndarray:
        """(q,) which effects are those of a structured term, whose sds follow others' numbers."""
        found = np.zeros(len(self.effects), dtype=bool)
        for structure in self.structures:
            found[list(structure.places)] = True
        return found

    @property
    def is_term(self) -> bool:
        """Whether it is a term that has one sd, such as `icar(area, 'map')`, and not effects in bars."""
        return self.coupling is not None and self.effects == ("Intercept",)

    @property
    def rank(self) -> int:
        """Number of independent effects of each kind."""
        return len(self.levels) if self.coupling is None else self.coupling.rank

    @property
    def correlated(self) -> bool:
        """Whether any two effects are correlated."""
        return bool(np.any(self.starts != np.arange(len(self.starts))))

    @property
    def predictor(self) -> str:
        """The linear predictor that all effects are part of.

        Raises
        ------
        DataError : where they are part of several.
        """
        if len(set(self.predictors)) > 1:
            raise DataError(f"The effects by '{self.name}' are part of several formulas, which cannot be done here.")
        return self.predictors[0] if self.predictors else ""

    @property
    def of_mean(self) -> bool:
        """Whether all effects are part of the mean."""
        return not any(self.predictors)

    def part_of(self, predictor: str) -> np.ndarray:
        """(q,) which effects are part of a linear predictor."""
        return np.array([of == predictor for of in self.predictors], dtype=bool)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Name that the common coefficient of each effect has, if there is one."""
        if len(set(self.predictors)) > 1:
            return self.effects
        return tuple(f"{of}_{name}" if of else name for of, name in zip(self.predictors, self.effects, strict=True))

    @property
    def blocks(self) -> np.ndarray:
        """(q,) a number for the effects that are correlated with one another and part of one linear predictor."""
        known = sorted(set(self.predictors))
        of = np.array([known.index(name) for name in self.predictors], dtype=np.int64)
        return self.starts * len(known) + of


def levels_of(keys: tuple[str, ...], names: tuple[str, ...], cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Levels (J,) of the factor of some keys, and the code (C,) of each cell; `names` are those of the columns."""
    columns = [cells[names.index(key)] for key in keys]
    coded = [label_codes(column) for column in columns]
    if len(keys) == 1:
        return coded[0][1], coded[0][0]
    combinations, codes = cells_of([code for code, _ in coded])
    labels = [quoted(levels)[combinations[:, k]] for k, (_, levels) in enumerate(coded)]
    joined = labels[0].astype(object)
    for column in labels[1:]:
        joined = joined + ":" + column.astype(object)
    return joined, codes


def levels_with(
    name: str, keys: tuple[str, ...], coupling: Coupling | None, names: tuple[str, ...], cells: Cells
) -> tuple[np.ndarray, np.ndarray]:
    """Levels (J,) of a factor and the code (C,) of each cell; coupled levels are all there, whatever the cells."""
    if coupling is None:
        return levels_of(keys, names, cells)
    labels = cells[names.index(keys[0])]
    nobody = np.array([label == NOBODY for label in labels], dtype=bool)
    codes = np.full(len(labels), len(coupling.levels), dtype=np.int64)
    codes[~nobody] = coupling.positions(labels[~nobody], name)
    return np.append(coupling.levels, NOBODY) if nobody.any() else coupling.levels, codes
