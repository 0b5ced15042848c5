"""What the columns of a table seem to be, and which model to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design.levels import label_text
from poolwise.support.errors import DataError, suggest

if TYPE_CHECKING:
    import pandas as pd

NUMBER, CATEGORY = "number", "category"
_FEW = 2  # values of a number that are shown as two kinds rather than as an amount
MOST_COLUMNS = 500


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes
    ----------
    name, kind : "number" or "category".
    values, missing : how many different ones, and how many rows without.
    example : the first value, as text.
    family : of outcomes like these.
    groups : whether it looks like the label of groups.
    """

    name: str
    kind: str
    values: int
    missing: int
    example: str
    family: str
    groups: bool


def described(frame: pd.DataFrame) -> list[Column]:
    """Every column of a table.

    Raises
    ------
    DataError : for a table without rows or columns, with more than the page can show, or with names that no formula
        holds.
    """
    if not len(frame.columns) or not len(frame):
        raise DataError("The table is empty: it needs a line of names and at least one row.")
    check_width(len(frame.columns))
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"Two columns are named '{twice}'.")
    if odd := [name for name in names if "`" in name or len(f"{name}.".splitlines()) > 1]:
        raise DataError(
            f"The name of the column {odd[0][:60]!r} holds a backtick or the end of a line, which no formula can: "
            "rename it."
        )
    return [_column(name, frame[name]) for name in frame.columns]


def check_width(columns: int) -> None:
    """Refuse more columns than the page can show.

    Raises
    ------
    DataError : with how many there are.
    """
    if columns > MOST_COLUMNS:
        raise DataError(f"The table has {columns:,} columns; the page takes {MOST_COLUMNS} at most.")


def corrected(frame: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """The table with columns of the kinds that were said.

    Raises
    ------
    DataError : for a column that is not there, or that holds no numbers.
    """
    import pandas as pd

    changed = {}
    for name, kind in kinds.items():
        if name not in frame.columns:
            raise DataError(f"There is no column '{name}'. {suggest(name, map(str, frame.columns))}")
        if kind not in (NUMBER, CATEGORY):
            raise DataError(f"A column is a {NUMBER} or a {CATEGORY}, not '{kind}'.")
        if kind == CATEGORY:
            changed[name] = frame[name].map(label_text, na_action="ignore").astype("category")
        elif not pd.api.types.is_numeric_dtype(frame[name]):
            numbers = pd.to_numeric(frame[name], errors="coerce")
            if numbers.isna().all():
                raise DataError(f"'{name}' holds no numbers: '{frame[name].iloc[0]}' is its first value.")
            changed[name] = numbers
    return frame.assign(**changed)


def formula_for(columns: list[Column], rows: int) -> tuple[str, str]:
    """A formula and a family to begin with: the last amount, else the last number, by the first label of groups."""
    outcomes = [one for one in columns if one.kind == NUMBER and not one.groups and one.values > 1]
    amounts = [one for one in outcomes if one.family == "gaussian"]
    outcome = (amounts or outcomes or columns)[-1]
    labels = [one for one in columns if one.groups and one is not outcome]
    others = [one for one in columns if one not in (outcome, *labels) and one.values > 1 and one.missing < rows / 2]
    first = [one for one in others if one.kind == NUMBER or one.values <= 10][:1]
    terms = [quoted(one.name) for one in first] or ["1"]
    bar = [f"(1 | {quoted(labels[0].name)})"] if labels else []
    return f"{quoted(outcome.name)} ~ {' + '.join([*terms, *bar])}", outcome.family


def quoted(name: str) -> str:
    """A name as formulas have it."""
    return name if name.isidentifier() else f"`{name}`"


def _column(name: object, values: pd.Series) -> Column:
    import pandas as pd

    present = values.dropna()
    if len(present) and isinstance(present.iloc[0], (list, dict, tuple, set, np.ndarray)):
        raise DataError(f"'{name}' holds lists; a column needs one number or one text in each row.")
    numeric = pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)
    try:
        count = int(present.nunique())
    except (TypeError, OverflowError) as error:
        raise DataError(f"'{name}' holds values that are neither numbers nor text: {error}.") from error
    kind = NUMBER if numeric else CATEGORY
    example = label_text(present.iloc[0])[:60] if len(present) else ""
    whole = numeric and bool(len(present)) and bool((present.astype(float) % 1 == 0).all())
    numeric = numeric and count > 0
    return Column(str(name), kind, count, int(values.isna().sum()), example, _family(present, numeric, whole, count),
                  _labels(str(name), numeric, whole, count, len(present)))  # fmt: skip


def _family(present: pd.Series, numeric: bool, whole: bool, count: int) -> str:
    """The family of outcomes like these."""
    if count == _FEW and (not numeric or set(present.astype(float)) == {0.0, 1.0}):
        return "bernoulli"
    if not numeric:
        return "categorical"
    return "poisson" if whole and present.min() >= 0 and count > _FEW and present.max() < 1e6 else "gaussian"


def _labels(name: str, numeric: bool, whole: bool, count: int, rows: int) -> bool:
    """Whether values repeat often enough to be groups, of numbers only where their name says so."""
    if not (_FEW < count <= rows / 2):
        return False
    last = name.lower().rsplit("_", 1)[-1]
    return not numeric or (whole and last in ("id", "group", "subject", "school", "county", "state", "site", "shop"))
