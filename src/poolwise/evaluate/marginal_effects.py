"""Predictions, comparisons and slopes: weighted sums of predictions, for each row or averaged over rows.

The verbs of marginaleffects (Arel-Bundock, Greifer and Heiss 2024), on draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design.expression_names import required_columns
from poolwise.design.model_matrices import column_of_category
from poolwise.design.required_columns import design_parts, needed_columns
from poolwise.evaluate.explain import is_indicator
from poolwise.evaluate.predict import predictor_of, quantities, quantity_column
from poolwise.evaluate.prediction_request import Question
from poolwise.evaluate.predictor import Predictor
from poolwise.evaluate.smooth_terms import variables
from poolwise.inference.posterior import Posterior
from poolwise.sources.frames import as_table
from poolwise.support.errors import DataError, suggest

if TYPE_CHECKING:
    import pandas as pd

_STEP = 1e-4  # of a predictor's spread: slopes are central differences over twice this


Weight = float | np.ndarray
Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _log_odds(mean: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(mean) - np.log1p(-mean))


_COMPARED: Mapping[str, tuple[Compare | None, str]] = {  # and what is counted of the result
    "difference": (None, "above_zero"),
    "ratio": (lambda high, low: high / low, "above_one"),
    "lnratio": (lambda high, low: np.log(high / low), "above_zero"),
    "lnor": (lambda high, low: _log_odds(high) - _log_odds(low), "above_zero"),
    "lift": (lambda high, low: (high - low) / low, "above_zero"),
}


_OF_POSITIVE_MEANS = tuple(_COMPARED[name][0] for name in ("lnratio", "lift"))  # of negative ones the sign turns


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """A weighted sum of predictions of the same rows with other values in some column, or another function of two.

    Attributes
    ----------
    labels : what it is, by column of the table.
    parts : weights, one for all rows or (n,), and predictors.
    compare : (averages of the first part, of the second) to what is asked, where it is no weighted sum.
    above : what is counted of the draws: "above_zero" or "above_one".
    """

    labels: dict[str, str]
    parts: tuple[tuple[Weight, Predictor], ...]
    compare: Compare | None = None
    above: str = "above_zero"

    def averages(self, shares: np.ndarray, codes: np.ndarray, groups: int) -> np.ndarray:
        """(m, groups) of the rows of each group, which have these shares (n,) in its average.

        A function is of the averages, not the average of functions: only so is the ratio of all rows one of two risks.
        """
        if (difference := self._difference()) is not None:
            times, one, other = difference
            return one.linear_sums(np.broadcast_to(times, len(codes)) * shares, codes, groups, less=other)
        sums = []
        for weight, predictor in self.parts:
            add = predictor.linear_sums if predictor.linear else predictor.sums
            sums.append(add(np.broadcast_to(np.asarray(weight, dtype=float), len(codes)) * shares, codes, groups))
        if self.compare is None:
            return np.asarray(sum(sums))
        with np.errstate(all="ignore"):
            try:
                found = np.asarray(self.compare(*sums), dtype=float)
            except Exception as error:  # whatever a function of the user raises
                raise DataError(f"The comparison failed: {error} ({type(error).__name__}).") from error
        if found.shape != sums[0].shape:
            raise DataError(
                f"A comparison takes arrays {sums[0].shape} and gives one of that shape, not {found.shape}."
            )
        positive = self.compare in _OF_POSITIVE_MEANS and any((each <= 0).any() for each in sums)
        if positive or not np.isfinite(found).all():
            raise DataError(
                "The comparison has no finite value, or another sign, at some draws: logs and lifts need means above 0."
            )
        return found

    def _difference(self) -> tuple[np.ndarray, Predictor, Predictor] | None:
        """Weights and both predictors, where it is a weighted difference of predictions that are linear."""
        if self.compare is not None or len(self.parts) != 2:
            return None
        (weight, one), (less, other) = self.parts
        alike = one.linear and other.linear and np.array_equal(one.rows.codes, other.rows.codes)
        opposite = np.array_equal(np.asarray(weight, dtype=float), -np.asarray(less, dtype=float))
        return (np.asarray(weight, dtype=float), one, other) if alike and opposite else None


def check_comparison(comparison: str | Compare) -> tuple[Compare | None, str]:
    """What is made of two predictions, and what is counted of it."""
    if callable(comparison):
        return comparison, "above_zero"
    if not isinstance(comparison, str) or comparison not in _COMPARED:
        raise DataError(f"There is no comparison {comparison!r}. {suggest(str(comparison), _COMPARED)} Or a function.")
    return _COMPARED[comparison]


def categories(posterior: Posterior, name: str) -> list[Any] | None:
    """The categories of a predictor, in order; None where it is a number."""
    for part in posterior.model.encoding.specs._flatten():
        for factor, (_, state) in getattr(part, "encoder_state", {}).items():
            if column_of_category(factor) == name and "categories" in state:
                return list(state["categories"])
    for structure in posterior.model.design.structures:
        if structure.simplex and variables(structure)[0] == (name,):
            return list(structure.learnt(posterior.model.encoding.specs)["ordered"])
    for declared in posterior.model.encoding.declared:  # within expressions
        if declared.name == name:
            return list(declared.labels)
    return None


def check_variable(posterior: Posterior, frame: pd.DataFrame, name: str) -> None:
    """Refuse a name that is not a predictor."""
    known = predictors(posterior)
    if name not in known:
        raise DataError(f"'{name}' is not a predictor of this fit. {suggest(str(name), known)}")
    if name not in frame:
        raise DataError(f"There is no column '{name}' in the new data. {suggest(str(name), map(str, frame.columns))}")


def predictors(posterior: Posterior) -> list[str]:
    """Raw columns that terms are made of; those of offsets alone are known, and nothing is learnt of them."""
    formula = posterior.model.design.formula
    needed = needed_columns(formula)
    used = {name for part in design_parts(formula) for name in required_columns(getattr(needed.parts, part))}
    used -= needed.labelling  # as the groups of bars, they are not predictors
    return [name for name in posterior.model.encoding.variables if name in used]


def _pairs(
    posterior: Posterior, frame: pd.DataFrame, name: str, asked: Any, seen: pd.DataFrame | None
) -> list[tuple[str, Any, Any]]:
    """Words, and high and low values, of the changes of one variable; `seen` are rows of the fit."""
    column = _wide(frame[name])
    if asked is None:
        levels = categories(posterior, name)
        if levels is None and (column.dtype.kind == "b" or _is_indicator(posterior, name, seen)):
            levels = [False, True] if column.dtype.kind == "b" else [0, 1]
        if levels is None and column.dtype.kind not in "iuf":
            raise DataError(f"'{name}' is no number: give the values to compare, as in {{'{name}': ['a', 'b']}}.")
        if levels is None:
            return [("+1", column + 1, column)]
        return [(f"{_said(level)} - {_said(levels[0])}", level, levels[0]) for level in levels[1:]]
    if isinstance(asked, (int, float, np.number)) and not isinstance(asked, bool):
        if categories(posterior, name) is not None or column.dtype.kind not in "iuf":
            raise DataError(f"'{name}' has categories, which have no steps: give those to compare, as in ['a', 'b'].")
        return [(f"{asked:+g}", column + asked, column)]
    if isinstance(asked, (list, tuple)) and len(asked) >= 2:
        return [(f"{_said(value)} - {_said(asked[0])}", value, asked[0]) for value in asked[1:]]
    raise DataError(f"The change of '{name}' must be a step or a list of values to compare, not {asked!r}.")


def _is_indicator(posterior: Posterior, name: str, seen: pd.DataFrame | None) -> bool:
    """Whether a column holds zeros and ones alone; where no row is at hand, as far as statistics say."""
    if seen is None or name not in seen:
        return is_indicator(posterior.model.statistics, name)
    values = seen[name]
    return values.dtype.kind in "iuf" and bool(values.isin([0, 1]).all()) and values.nunique() == 2


def _wide(column: pd.Series) -> pd.Series:
    """Small whole numbers as large ones, single precision as double: sums would begin again at the other end."""
    kind, plain = column.dtype.kind, isinstance(column.dtype, np.dtype)
    if kind == "f":
        return column.astype("float64" if plain else "Float64")
    if kind not in "iu" or column.max() > np.iinfo(np.int64).max // 2:
        return column
    return column.astype("int64" if plain else "Int64")


def _said(value: Any) -> str:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return f"{value:.15g}" if number else str(value)


def predictions(posterior: Posterior, frame: pd.DataFrame, question: Question) -> list[Contrast]:
    """The predictions themselves."""
    table = as_table(frame)
    return [
        Contrast(_named(posterior, one), ((1.0, predictor_of(posterior, table, one)),))
        for one in quantities(posterior, question)
    ]


def comparisons(
    posterior: Posterior,
    frame: pd.DataFrame,
    question: Question,
    variables: Mapping[str, Any],
    comparison: str | Compare = "difference",
    *,
    seen: pd.DataFrame | None,
) -> list[Contrast]:
    """What a change of each variable does: as asked for, or one unit more, the other of two values, each category.

    Parameters
    ----------
    seen : rows of the fit, which tell indicators from other numbers; None where they are not at hand.
    """
    found = []
    compare, above = check_comparison(comparison)
    for name, asked in variables.items():
        check_variable(posterior, frame, name)
        for words, high, low in _pairs(posterior, frame, name, asked, seen):
            second = -1.0 if compare is None else 1.0
            parts = [(weight, frame.assign(**{name: value})) for weight, value in ((1.0, high), (second, low))]
            made = _contrasts(posterior, question, frame, {"term": name, "contrast": words}, parts)
            found += [replace(each, compare=compare, above=above) for each in made]
    return found


def slopes(
    posterior: Posterior, frame: pd.DataFrame, question: Question, variables: Sequence[str], seen: pd.DataFrame | None
) -> list[Contrast]:
    """Derivatives of the prediction in each numeric variable, at each row.

    Parameters
    ----------
    seen : rows of the fit, beyond whose values no difference reaches: splines end there.
    """
    found = []
    for name in variables:
        check_variable(posterior, frame, name)
        if frame[name].dtype.kind not in "iuf" or categories(posterior, name) is not None:
            raise DataError(f"'{name}' is not a number on a scale, so it has no slope; comparisons() takes categories.")
        values = frame[name].astype(float)
        known = values if seen is None else seen[name].astype(float)
        step = _STEP * (float(known.std(ddof=0)) or 1.0)
        high, low = values + step, values - step
        if seen is not None and known.min() < known.max():
            high = high.where(high <= known.max(), values).where(values <= known.max(), high)
            low = low.where(low >= known.min(), values).where(values >= known.min(), low)
        weight = 1.0 / (high - low).to_numpy()
        ends = [(weight, frame.assign(**{name: high})), (-weight, frame.assign(**{name: low}))]
        found += _contrasts(posterior, question, frame, {"term": name, "contrast": "dy/dx"}, ends)
    return found


def _contrasts(
    posterior: Posterior,
    question: Question,
    frame: pd.DataFrame,
    labels: dict[str, str],
    parts: Sequence[tuple[Weight, pd.DataFrame]],
) -> list[Contrast]:
    """One for each quantity that is predicted.

    Rows stay in their groups, those of `frame`, also where a predictor that changes is a grouping column too; new
    outcomes are drawn apart.
    """
    tables, groups = [(weight, as_table(changed)) for weight, changed in parts], as_table(frame)
    return [
        Contrast(
            labels | _named(posterior, one),
            tuple(
                (weight, predictor_of(posterior, table, replace(one, apart=(k,) if k else ()), groups=groups))
                for k, (weight, table) in enumerate(tables)
            ),
        )
        for one in quantities(posterior, question)
    ]


def _named(posterior: Posterior, question: Question) -> dict[str, str]:
    return {quantity_column(posterior.model.family): question.quantity.name} if question.quantity else {}
