"""A predictor that lines are drawn along: its values, and all columns of the design that move with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.encode import encode
from poolwise.design.factors import Factor
from poolwise.inference.fitted_rows import Shown
from poolwise.inference.posterior import Model
from poolwise.sources.frames import as_table
from poolwise.support.errors import PoolwiseError

if TYPE_CHECKING:
    import pandas as pd

_MOST = 1 << 17  # rows that are encoded for a picture
_FEW = 12  # values of a number that are shown as they are


@dataclass(frozen=True, slots=True, eq=False)
class Along:
    """A predictor of some rows.

    Attributes
    ----------
    title : the column that moves alone, or else the variable that several columns are made of.
    places : (n,) of the rows on its axis.
    moving : positions of the columns that are made of it, among those of the design.
    words : of the places of categories; empty for numbers.
    alone : whether no other variable is part of these columns.
    between : whether a number may have values that no row has, which terms such as `mo(x)` do not know.
    rows, raw : encoded, and with their raw columns; None where one column moves, which may have any value then.
    """

    title: str
    places: np.ndarray
    moving: tuple[int, ...]
    words: Mapping[float, str] = field(default_factory=dict)
    alone: bool = True
    between: bool = True
    rows: Rows | None = None
    raw: pd.DataFrame | None = None

    def spread(self, points: int) -> np.ndarray:
        """Places of all categories, or some between the least and the largest number, evenly."""
        return np.arange(len(self.words)) if self.words else self.near(np.linspace(*self.ends, points))

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest place."""
        return float(self.places.min()), float(self.places.max())

    def near(self, places: np.ndarray) -> np.ndarray:
        """Places that can be had next to some."""
        if self.between:
            return np.asarray(places)
        known = np.unique(self.places)
        return np.unique(known[np.abs(known - np.asarray(places)[:, None]).argmin(axis=1)])

    def columns(self, model: Model, factor: Factor, groups: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(groups, places, K) columns of the design on average over the rows of each group, if all of these were at
        some place; over all rows, where a group has none."""
        means = np.array([_means(model, factor.codes == j) for j in groups])
        found = np.repeat(means[:, None], len(places), axis=1)
        found[..., list(self.moving)] = (
            places[:, None] if self.raw is None else self._moved(model, factor, groups, places)
        )
        return found

    def _moved(self, model: Model, factor: Factor, groups: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(groups, places, moving) the columns that move, from rows of each group."""
        raw, rows, count = self.raw, self.rows, len(places)
        assert raw is not None
        assert rows is not None
        most = 1 if self.alone else max(1, _MOST // (count * len(groups)))
        of_row = factor.codes[rows.codes]
        some = [_some(np.flatnonzero(of_row == j), len(of_row), most) for j in groups]
        rows_at, values_at = np.concatenate(some), np.abs(self.places - places[:, None]).argmin(axis=1)
        values = np.tile(places, len(rows_at))
        if not self.between:
            values = raw[self.title].array.take(np.tile(values_at, len(rows_at)))
        frame = raw.iloc[np.repeat(rows_at, count)].assign(**{self.title: values}).reset_index(drop=True)
        _, encoded = encode(model.design, model.encoding, as_table(frame), absent=model.encoding.keys)
        moved = encoded.values[:, list(self.moving)].reshape(len(rows_at), count, -1)
        weights = rows.precisions * rows.multiplicities
        parts = np.split(moved, np.cumsum([len(mine) for mine in some])[:-1])
        return np.array(
            [np.tensordot(weights[k], part, 1) / weights[k].sum() for k, part in zip(some, parts, strict=True)]
        )


def along(model: Model, shown: Shown | None, column: int) -> Along | None:
    """What a column is made of, the first variable of several; None where that needs raw rows that are not at hand."""
    import pandas as pd

    design, rows = model.design, None if shown is None else shown.rows
    made_of = [_variables(name, model.encoding.variables) for name in design.columns]
    variable = next(iter(made_of[column]), None)
    moving = tuple(k for k, mine in enumerate(made_of) if k == column or variable in mine)
    if len(moving) == 1:
        return Along(design.columns[column], np.zeros(0) if rows is None else rows.values[:, column], moving)
    raw = None if shown is None else shown.raw()
    if raw is None or variable is None:
        return None
    alone = all(len(made_of[k]) == 1 for k in moving)
    if raw[variable].dtype.kind in "iuf":
        places = raw[variable].to_numpy(dtype=float)
        return Along(variable, places, moving, {}, alone, _has_between(model, raw, variable, places), rows, raw)
    kinds = pd.Categorical(raw[variable]).remove_unused_categories()
    words = {float(k): str(word) for k, word in enumerate(kinds.categories)}
    return Along(variable, kinds.codes.astype(float), moving, words, alone, False, rows, raw)


def _has_between(model: Model, raw: pd.DataFrame, variable: str, places: np.ndarray) -> bool:
    """Whether columns are known at a number between two that rows have."""
    known = np.unique(places)
    if len(known) <= _FEW or (known == np.floor(known)).all():
        return False
    try:
        between = raw.head(1).assign(**{variable: known[:2].mean()})
        encode(model.design, model.encoding, as_table(between), absent=model.encoding.keys)
    except PoolwiseError:
        return False
    return True


def _variables(column: str, known: Iterable[str]) -> list[str]:
    """Variables that may be part of a column, in the order of its name: a label of a category passes for one."""
    found = {name: re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", column) for name in known}
    places = {name: match.start() for name, match in found.items() if match is not None}
    return sorted(places, key=lambda name: (places[name], -len(name)))


def _means(model: Model, cells: np.ndarray) -> np.ndarray:
    """(K,) means of the columns in some cells; in all, where these have no rows."""
    statistics = model.statistics
    shares = statistics.weights * cells
    shares = shares if shares.any() else statistics.weights
    return np.asarray(shares @ statistics.means[:, :-1] / shares.sum() + statistics.origin[:-1])


def _some(mine: np.ndarray, rows: int, most: int) -> np.ndarray:
    """At most so many of a group's rows, evenly; of all rows, where it has none."""
    chosen = mine if len(mine) else np.arange(rows)
    return chosen[np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(int)]
