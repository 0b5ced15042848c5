"""Smooth terms by themselves: what a term adds to the linear predictor, over the range of its variables."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import Design, Rows
from poolwise.design.encode import encode
from poolwise.design.expression_names import parse_expression
from poolwise.design.factors import Factor
from poolwise.design.levels import label_text
from poolwise.design.structures import Structure
from poolwise.evaluate.predict import predictor_of_rows
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.inference.posterior import Posterior
from poolwise.sources.frames import as_table
from poolwise.support.errors import DataError, suggest
from poolwise.support.naming import with_columns

if TYPE_CHECKING:
    import pandas as pd

_POINTS, _ALONG = 121, 41  # of a curve, and along each side of a surface
_MOST_RESIDUALS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class SmoothTerm:
    """A term over its variables.

    Attributes
    ----------
    name : of the term.
    axes : names of its one or two variables.
    by : the variable whose value is in the table's column `by`, None without.
    table : the variables, `by` (text), `mean`, `sd` and the ends of the interval of what the term adds; a name that a
        variable has comes with an underscore behind it.
    rows : the same variables and `by` of rows of the data, with `residual`, the term's mean plus what is left of the
        outcome; NaN where the outcome is not on the scale of the linear predictor.
    ordered : the categories of a monotonic term in their order; empty for other terms.
    """

    name: str
    axes: tuple[str, ...]
    by: str | None
    table: pd.DataFrame
    rows: pd.DataFrame
    ordered: tuple[str, ...] = ()


def structure_named(design: Design, name: str | None) -> tuple[Structure, Factor | None]:
    """The structured term of a name, the only one without, and the factor that it varies by.

    Raises
    ------
    DataError : where there is none, or several and no name.
    """
    known: dict[str, tuple[Structure, Factor | None]] = {one.name: (one, None) for one in design.structures}
    by_group = [(one, factor) for factor in design.factors for one in factor.structures]
    known |= {f"({one.name} | {factor.name})": (one, factor) for one, factor in by_group}
    if not known:
        raise DataError("This fit has no smooth term such as s(x).")
    if name is None:
        if len(known) > 1:
            first = next(iter(known))
            raise DataError(f"This fit has several smooth terms: say which, as in '{first}'. {suggest('', known)}")
        return next(iter(known.values()))
    asked = _bare(str(name))
    found = [term for label, term in known.items() if _bare(label) == asked]
    found = found or [term for term in known.values() if _bare(term[0].name) == asked]
    if not found:
        raise DataError(f"This fit has no smooth term '{name}'. {suggest(str(name), known)}")
    return found[0]


def _bare(label: str) -> str:
    return label.replace(" ", "").replace("||", "|")


def smooth_term(
    posterior: Posterior, rows: Rows, frame: pd.DataFrame, structure: Structure, interval: tuple[float, float]
) -> SmoothTerm:
    """What a term adds over the range of its variables, in a table of 121 points, or of 41 by 41.

    Parameters
    ----------
    rows, frame : encoded rows of the fit, and the same rows with their raw columns.
    interval : probabilities at its ends.
    """
    import pandas as pd

    axes, by = variables(structure)
    state = structure.learnt(posterior.model.encoding.specs)
    ranges = along(structure, state, axes, frame)
    grid = np.meshgrid(*ranges, indexing="ij")
    levels: list[object] = [None] if by is None else [1.0]
    apart = by is not None and not structure.simplex and state.get("levels") is not None  # a curve for each category
    if apart:
        levels = list(pd.unique(frame[by]))
    draws = posterior.beta.reshape(-1, posterior.beta.shape[-1])
    tables = []
    for level in levels:
        new = pd.concat([frame.head(1)] * grid[0].size, ignore_index=True)
        for name, values in zip(axes, grid, strict=True):
            new[name] = values.ravel() if values.dtype.kind != "U" else values.ravel().astype(object)
        if by is not None:
            new[by] = pd.Series([level] * len(new), dtype=frame[by].dtype if apart else None)
        added = contribution(posterior, structure, new) @ draws.T
        low, high = np.quantile(added, interval, axis=1)
        table = pd.DataFrame({name: values.ravel() for name, values in zip(axes, grid, strict=True)})
        figures = {"mean": added.mean(axis=1), "sd": added.std(axis=1, ddof=1), "low": low, "high": high}
        tables.append(with_columns(table, {"by": "" if by is None else str(level), **figures}))
    table, residuals = pd.concat(tables, ignore_index=True), _rows(posterior, rows, frame, structure)
    ordered = tuple(map(label_text, state.get("ordered", ())))
    for each in (table, residuals) if ordered else ():
        each[axes[0]] = [label_text(value) for value in each[axes[0]]]
    return SmoothTerm(structure.name, axes, by, table, residuals, ordered)


def along(
    structure: Structure, state: Mapping[str, Any], axes: tuple[str, ...], frame: pd.DataFrame
) -> list[np.ndarray]:
    """Values of each variable at which a term is shown: those that it has levels for, or evenly over the data.

    Raises
    ------
    DataError : for effects of levels that have no order.
    """
    for name in ("times", "ordered"):
        if name in state:
            return [np.asarray(state[name])]
    if "period" in state:
        return [np.arange(float(state["period"]))]
    if "columns" in state or not axes:
        raise DataError(f"'{structure.name}' has no curve: fit.area_effects('{(*axes, '...')[0]}') has its effects.")
    count = _POINTS if len(axes) == 1 else _ALONG
    return [np.linspace(frame[name].min(), frame[name].max(), count) for name in axes]


def contribution(posterior: Posterior, structure: Structure, frame: pd.DataFrame) -> np.ndarray:
    """(n, p) columns of the term; zeros in all others."""
    model = posterior.model
    _, rows = encode(model.design, model.encoding, as_table(frame), absent=model.encoding.keys)
    return _columns(posterior, structure, rows)


def _columns(posterior: Posterior, structure: Structure, rows: Rows) -> np.ndarray:
    design = posterior.model.design
    mine = [*structure.null, *structure.places]
    found = np.zeros((len(rows.codes), len(design.coefficients)))
    values = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    found[:, mine] = values @ design.common_map[:, mine]
    return found


def _rows(posterior: Posterior, rows: Rows, frame: pd.DataFrame, structure: Structure) -> pd.DataFrame:
    """Rows of the data, some of many, with partial residuals of a normal mean."""
    axes, by = variables(structure)
    chosen = np.linspace(0, len(frame) - 1, min(len(frame), _MOST_RESIDUALS)).astype(int)
    found = frame.iloc[chosen][list(axes)].reset_index(drop=True)
    label = "" if by is None else frame[by].astype(str).to_numpy()[chosen]
    model = posterior.model
    if model.sampled or structure.predictor:
        return with_columns(found, {"by": label, "residual": np.nan})
    some = rows.take(chosen)
    question = Question(Kind.MEAN, NewGroups.ERROR, posterior.seed)
    kept = np.linspace(0, posterior.chains * posterior.draws - 1, 400).astype(int)
    fitted = predictor_of_rows(posterior, replace(some, limits=None), question, kept).draws().mean(axis=0)
    added = _columns(posterior, structure, some) @ posterior.beta.mean(axis=(0, 1))
    return with_columns(found, {"by": label, "residual": some.response - fitted + added})


def variables(structure: Structure) -> tuple[tuple[str, ...], str | None]:
    """The variables that a term is a function of, and its `by=`.

    Raises
    ------
    DataError : for a term over expressions of several variables.
    """
    text = structure.text
    tree, names = parse_expression(text)
    assert isinstance(tree, ast.Call)
    axes = []
    for argument in tree.args:
        found = {names[node.id] for node in ast.walk(argument) if isinstance(node, ast.Name) and node.id in names}
        found -= {getattr(node.func, "id", "") for node in ast.walk(argument) if isinstance(node, ast.Call)}
        if isinstance(argument, ast.Constant):
            continue
        if len(found) != 1:
            raise DataError(
                f"'{ast.unparse(argument)}' in '{text}' is no single variable: make it a column to draw it."
            )
        axes.append(found.pop())
    if any(
        word.arg == "bs" and isinstance(word.value, ast.Constant) and word.value.value == "fs" for word in tree.keywords
    ):
        return (axes[0],), axes[1]
    by = next((word.value for word in tree.keywords if word.arg == "by"), None)
    return tuple(axes), None if by is None else names[by.id] if isinstance(by, ast.Name) else None
