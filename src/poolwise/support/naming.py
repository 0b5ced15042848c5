"""Names that give way: the one rule for tables and dimensions that hold the user's names beside ours.

A column, label or dimension of the user keeps its name. One of ours that is taken gets an underscore behind it, or more
where that is taken too: beside a grouping column `n`, the number of rows is `n_`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def free_name(name: str, taken: Iterable[str]) -> str:
    """`name`, or with underscores behind it where it is taken."""
    known = set(taken)
    while name in known:
        name += "_"
    return name


def free_column(name: str, taken: Iterable[str]) -> str:
    """The same for a column of a query: some engines do not tell `Z` from `z`."""
    known = {one.lower() for one in taken}
    while name.lower() in known:
        name += "_"
    return name


def beside(theirs: Iterable[str], ours: Iterable[str]) -> dict[str, str]:
    """What each of our names becomes beside theirs."""
    taken = set(theirs)
    found = {}
    for name in ours:
        found[name] = free_name(name, taken)
        taken.add(found[name])
    return found


def with_columns(theirs: pd.DataFrame, ours: Mapping[str, Any]) -> pd.DataFrame:
    """A frame of the user's columns with ours behind them; rows are matched by position."""
    import pandas as pd

    names = beside(map(str, theirs.columns), ours)
    mine = pd.DataFrame({names[name]: values for name, values in ours.items()}, index=theirs.index)
    both = [theirs.reset_index(drop=True), mine.reset_index(drop=True)]
    return pd.concat(both, axis=1).set_axis(theirs.index)


def by_quantity(theirs: pd.DataFrame, ours: Mapping[Any, Mapping[str, Any]], column: str) -> pd.DataFrame:
    """As `with_columns`, with a line for each row and quantity, whose name or value stands in a column."""
    import pandas as pd

    count, names = len(theirs), list(ours)
    order = np.arange(count * len(names)).reshape(len(names), count).T.ravel()  # the quantities of a row together
    measured = {
        name: np.concatenate([np.asarray(each[name]) for each in ours.values()])[order]
        for name in next(iter(ours.values()))
    }
    repeated = theirs.iloc[np.repeat(np.arange(count), len(names))]
    quantity: Any = np.tile(np.array(names), count)
    if isinstance(names[0], str):
        quantity = pd.Categorical(quantity, categories=names)
    return with_columns(repeated, {column: quantity, **measured})
