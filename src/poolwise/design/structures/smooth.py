"""`s(x)`: a smooth function of one variable; `s(x, by=z)`: one for each category, or times a number."""

from __future__ import annotations

from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.levels import label_text
from poolwise.design.structures.cubic import Cubics
from poolwise.design.structures.grouped_curves import curves_of_groups, learn_groups
from poolwise.design.structures.splines import BASES, check_distinct, mixed_model_columns
from poolwise.design.structures.structure import PENALTIES, Penalty
from poolwise.support.errors import DataError, FormulaError, suggest

_USUAL = 10  # functions, as in mgcv


@stateful_transform
def smooth(
    x: Any,
    *others: Any,
    k: int | None = None,
    bs: str = "tp",
    by: Any = None,
    period: float | None = None,
    _state: Any = None,
) -> FactorValues[Any]:
    """Columns of a smooth function of x.

    Parameters
    ----------
    others : with bs="fs" the groups that have a curve each; else k may stand here.
    k : size of the basis, constant included; 10 by default, fewer where x has fewer distinct values.
    bs : "tp" thin plate, "cr" cubic with knots at quantiles, "cc" cyclic, "fs" a thin-plate curve for each group.
    by : a category, each level of which has a curve and an sd of its own; or a number that multiplies the curve.
    period : of a cyclic curve; the range of x without one.
    """
    values = number_column("s(...)", x)
    if bs == "fs":
        return _by_group(_state, values, others, k, by)
    if others:
        if len(others) > 1 or not isinstance(others[0], int):
            raise FormulaError(
                "s() is of one variable: t2(x, z) is a surface, s(x, g, bs='fs') a curve for each group."
            )
        (k,) = others
    if "curves" not in _state:
        _learn(_state, values, k, bs, by, period)
    columns: dict[str, np.ndarray] = {}
    penalised: dict[str, np.ndarray] = {}
    multiplier = None if by is None or _state["levels"] is not None else number_column("by=", by)
    if _state["levels"] is not None:
        _refuse_strange(by, _state["levels"])
    for label, curve in zip(_state["levels"] or [None], _state["curves"], strict=True):
        name = "" if label is None else f"{label}]["
        inside = None if label is None else np.array([label_text(one) == label for one in by], dtype=float)
        z = (values - curve["centre"]) / curve["scale"]
        lines = [] if bs == "cc" else [("linear", z)]
        if multiplier is not None:
            lines = [("constant", np.ones_like(z)), *lines]
        found = Cubics.from_state(curve["cubics"])(z)
        for place, column in lines:
            columns[f"{name}{place}"] = _times(column, inside, multiplier)
        for j in range(found.shape[1]):
            penalised[f"{name}{j + 1}"] = _times(found[:, j], inside, multiplier)
    return FactorValues(
        {**columns, **penalised}, kind="numerical", spans_intercept=False, format="{name}[{field}]", encoded=False
    )


def _by_group(state: Any, x: np.ndarray, groups: tuple[Any, ...], k: int | None, by: Any) -> FactorValues[Any]:
    if len(groups) != 1 or by is not None:
        raise FormulaError("A curve for each group is s(x, g, bs='fs'), without by=.")
    if "basis" not in state:
        learn_groups(state, groups[0], learnt_curve(x, k, _USUAL, "tp", None, None, "s(..., bs='fs')")[0])
    return curves_of_groups(state, x, groups[0])


def _refuse_strange(by: Any, levels: list[str]) -> None:
    strange = sorted({label_text(one) for one in by} - set(levels))
    if strange:
        raise DataError(
            f"by= of a smooth term holds {', '.join(strange[:5])}, which the fit has not seen. "
            f"Known: {', '.join(levels)}."
        )


def _times(column: np.ndarray, *others: np.ndarray | None) -> np.ndarray:
    for other in others:
        column = column if other is None else column * other
    return column


def _learn(state: Any, x: np.ndarray, k: int | None, bs: str, by: Any, period: float | None) -> None:
    """Knots and columns from the rows of a fit, for each level of a category `by`."""
    import pandas as pd

    if period is not None and (bs != "cc" or not float(period) > 0):
        raise FormulaError("period= is a positive number, of a cyclic spline: s(x, bs='cc', period=12).")
    labels: list[str | None] | None = None
    if by is not None and not _is_number(by):
        found = pd.Series(by)
        order = (
            found.cat.categories if isinstance(found.dtype, pd.CategoricalDtype) else sorted(found.unique(), key=str)
        )
        labels = [label_text(label) for label in order]
    curves, penalties = [], []
    for label in labels or [None]:
        mine = x if label is None else x[np.array([label_text(one) == label for one in by], dtype=bool)]
        curve, columns = learnt_curve(mine, k, _USUAL, bs, period, label, "s(...)")
        curves.append(curve)
        penalties.append(Penalty.of_sd(columns, "" if label is None else f"[{label}]").state())
    state |= {"levels": labels, "curves": curves, PENALTIES: penalties}


def learnt_curve(
    x: np.ndarray, k: int | None, usual: int, bs: str, period: float | None, label: str | None, text: str
) -> tuple[dict[str, Any], int]:
    """State of one curve, and its penalised columns.

    Without k there are as many functions as is usual, or fewer where x has fewer values.

    Raises
    ------
    FormulaError : for a basis that is not known, and for too few distinct values.
    """
    if bs not in BASES:
        raise FormulaError(f"There is no spline basis bs={bs!r}. {suggest(str(bs), BASES)}")
    if k is not None and (isinstance(k, bool) or not isinstance(k, int)):
        raise FormulaError(f"k of a spline is a whole number, not {k!r}.")
    basis, null = BASES[bs]
    where = "" if label is None else f" where by is '{label}'"
    if not np.isfinite(x).all():
        raise DataError(f"{text} takes finite numbers.")
    if not float(x.max()) > float(x.min()):
        raise FormulaError(f"{text} needs a predictor that varies{where}.")
    mean, scale = float(x.mean()), float(x.std())
    distinct, counts = np.unique((x - mean) / scale, return_counts=True)
    least = 4 if bs == "cc" else 3
    k = max(min(usual, len(distinct)), least) if k is None else k
    check_distinct(f"{text}{where}", distinct, k, least)
    more = {} if period is None else {"period": float(period) / scale}
    cubics = mixed_model_columns(*basis(distinct, k, **more), distinct, counts.astype(float), null)
    state = {"centre": mean, "scale": scale, "cubics": cubics.state()}
    return state, cubics.coefficients.shape[2]


def number_column(what: str, values: Any) -> np.ndarray:
    """A column of numbers as floats.

    Raises
    ------
    DataError : for text or categories.
    """
    if not _is_number(values):
        raise DataError(f"{what} takes a column of numbers.")
    return np.asarray(values, dtype=float)


def _is_number(values: Any) -> bool:
    return getattr(getattr(values, "dtype", None), "kind", "O") in "fiu"
