"""`predictions`, `comparisons`, `slopes`, and their averages, as in marginaleffects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.api.fitted_model import Fit
from poolwise.evaluate import marginal_effects as contrasts
from poolwise.evaluate.estimates import Estimates, Range, estimate
from poolwise.evaluate.level_terms import terms_of_groups
from poolwise.evaluate.marginal_effects import Compare, Contrast
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.inference.posterior import Pooling
from poolwise.samplers.settings import check_seed
from poolwise.sources.source import table_of
from poolwise.support.arguments import check_range, check_text
from poolwise.support.errors import DataError, suggest

if TYPE_CHECKING:
    import pandas as pd

Variables = str | list[str] | Mapping[str, Any] | None


def predictions(
    fit: Fit,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    weights: str | None = None,
    kind: str = "mean",
    new_groups: str = "error",
    hypothesis: str | Sequence[str] | None = None,
    equivalence: Range | None = None,
    interval: float = 0.9,
    seed: int | None = None,
) -> Estimates:
    """Predictions of each row, or averaged over the rows that share the values of `by`.

    Parameters
    ----------
    fit : a fit.
    new_data : rows to predict for, the data of the fit by default; `datagrid(fit, ...)` makes some.
    by : column or columns of these rows.
    weights : column of these rows: how many each stands for in averages.
    kind, seed : as in `Fit.predict`.
    new_groups : as in `Fit.predict`. Rows of the data are predicted for their own groups; "population" is the average
        group for every row, "marginal" the mean over all groups that there could be.
    hypothesis : what is made of the estimates, as in `Estimates.hypothesis`: "pairwise", "reference", "b2 = b1", ...
    equivalence : a range whose values are as good as equal: the table says how probable it is to lie inside.
    interval : probability of the central interval.

    Raises
    ------
    DataError : as `Fit.predict` does, and for a hypothesis that cannot be read.
    """
    asked = _asked(fit, new_data, kind, new_groups, seed, by, weights)
    found = contrasts.predictions(fit.result, asked.frame, asked.question)
    return _answered(fit, found, asked, hypothesis, equivalence, interval)


def comparisons(
    fit: Fit,
    variables: Variables = None,
    new_data: Any = None,
    *,
    comparison: str | Compare = "difference",
    by: str | list[str] | None = None,
    weights: str | None = None,
    kind: str = "mean",
    new_groups: str = "error",
    hypothesis: str | Sequence[str] | None = None,
    equivalence: Range | None = None,
    interval: float = 0.9,
    seed: int | None = None,
) -> Estimates:
    """What a change of a predictor does to the prediction of each row, all else equal; or its average by columns.

    A number goes up by one unit, an indicator from zero to one, a category from the first to each other; rows stay in
    their groups, also where the predictor is a grouping column too. With kind="response" the two outcomes are
    independent ones.

    Parameters
    ----------
    variables : predictors to change, all by default; or a dict that says how: `{"age": 10}` is ten more,
        `{"age": [20, 60]}` from 20 to 60.
    comparison : "difference", "ratio", "lnratio", "lnor" (log odds ratio), "lift" (difference over the second), or a
        function of the two predictions, arrays (draws, averages). With `by` it is of the two averages.
    fit, new_data, by, weights, kind, new_groups, hypothesis, equivalence, interval, seed : as in `predictions`.
    """
    asked = _asked(fit, new_data, kind, new_groups, seed, by, weights)
    changes, seen = _changes(fit, variables), _rows_of(fit)
    found = contrasts.comparisons(fit.result, asked.frame, asked.question, changes, comparison, seen=seen)
    return _answered(fit, found, asked, hypothesis, equivalence, interval)


def slopes(
    fit: Fit,
    variables: str | list[str] | None = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    weights: str | None = None,
    kind: str = "mean",
    new_groups: str = "error",
    hypothesis: str | Sequence[str] | None = None,
    equivalence: Range | None = None,
    interval: float = 0.9,
    seed: int | None = None,
) -> Estimates:
    """How steeply the prediction of each row rises with a numeric predictor; or its average by columns.

    Parameters
    ----------
    fit, variables, new_data, by, weights, kind, new_groups, hypothesis, equivalence, interval, seed : as in
        `comparisons`; new outcomes (kind="response") have no slopes.
    """
    asked = _asked(fit, new_data, kind, new_groups, seed, by, weights)
    if asked.question.kind is Kind.RESPONSE:
        raise DataError(
            "New outcomes have no slope, since each is drawn apart: ask for kind='mean', or for comparisons()."
        )
    varied = _numbers(fit, asked.frame, variables)
    found = contrasts.slopes(fit.result, asked.frame, asked.question, varied, _rows_of(fit))
    return _answered(fit, found, asked, hypothesis, equivalence, interval)


def avg_predictions(fit: Fit, new_data: Any = None, *, by: str | list[str] | None = None, **options: Any) -> Estimates:
    """`predictions`, averaged over all rows, or by columns."""
    return predictions(fit, new_data, by=[] if by is None else by, **options)


def avg_comparisons(
    fit: Fit,
    variables: Variables = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    **options: Any,
) -> Estimates:
    """`comparisons`, averaged over all rows, or by columns."""
    return comparisons(fit, variables, new_data, by=[] if by is None else by, **options)


def avg_slopes(
    fit: Fit,
    variables: str | list[str] | None = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    **options: Any,
) -> Estimates:
    """`slopes`, averaged over all rows, or by columns."""
    return slopes(fit, variables, new_data, by=[] if by is None else by, **options)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Rows to predict for, the question in the words of `Fit.predict`, and what is averaged by and with."""

    frame: pd.DataFrame
    question: Question
    by: list[str] | None
    weights: np.ndarray | None


def _asked(
    fit: Fit,
    new_data: Any,
    kind: str,
    new_groups: str,
    seed: int | None,
    by: str | list[str] | None,
    weights: str | None,
) -> _Asked:
    check_fit(fit)
    columns = _columns(by)
    check_text("weights", weights)
    question = Question.asked(kind, new_groups, fit.result.seed if seed is None else check_seed(seed))
    if new_data is None:
        frame = fit.behind.units([*(columns or []), *([weights] if weights else [])]).reset_index(drop=True)
    else:
        frame = table_of(new_data).frame.to_pandas().reset_index(drop=True)
    asked = _Asked(frame, question, columns, None if weights is None else _weights(frame, weights))
    return _without_labels(fit, asked) if question.unlabelled else asked


def _without_labels(fit: Fit, asked: _Asked) -> _Asked:
    """The rows without labels of groups, which the answer does not depend on."""
    encoding = fit.result.model.encoding
    unread = [name for name in encoding.keys if name not in (*encoding.variables, *(asked.by or []))]
    return replace(asked, frame=asked.frame.drop(columns=unread, errors="ignore"))


def _weights(frame: pd.DataFrame, name: str) -> np.ndarray:
    """(n,) a column of weights."""
    if name not in frame:
        raise DataError(f"There is no column '{name}' of weights. {suggest(name, map(str, frame.columns))}")
    if frame[name].dtype.kind not in "iufb":
        raise DataError(f"'{name}' must hold numbers for the weights.")
    values = frame[name].to_numpy(dtype=float, na_value=np.nan)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise DataError(f"'{name}' must hold weights that are not negative, and none that is missing.")
    return np.asarray(values)


def _answered(
    fit: Fit,
    found: list[Contrast],
    asked: _Asked,
    hypothesis: str | Sequence[str] | None,
    equivalence: Range | None,
    interval: float,
) -> Estimates:
    if asked.by is None and asked.weights is not None:
        raise DataError("weights= are of averages: say over which rows with by=[...], or take avg_...().")
    within = check_range("equivalence", equivalence)
    made = estimate(
        fit.result, found, asked.frame, asked.by, weights=asked.weights, interval=interval, equivalence=within
    )
    made = replace(made, words=_words(fit, asked))
    return made if hypothesis is None else made.hypothesis(hypothesis)


def _words(fit: Fit, asked: _Asked) -> str:
    """Of which groups the answer is, where there are groups."""
    model, meant = fit.result.model, asked.question.new_groups
    if model.pooling is Pooling.SEPARATE or not (model.design.factors or terms_of_groups(model)):
        return ""
    of_groups = [factor.name for factor in model.design.factors] + [term.name for term in terms_of_groups(model)]
    names = " and ".join(dict.fromkeys(of_groups))
    if meant is NewGroups.POPULATION:
        return f"Of the average group of {names}."
    if meant is NewGroups.MARGINAL:
        return f"Means over all groups of {names} that there could be."
    if asked.by is None:
        return ""
    return (
        f"Averages over the groups of {names} that the rows have; new_groups='marginal' is of all that there could be, "
        "'population' of the average one."
    )


def check_fit(fit: object) -> None:
    """Refuse what is not a fit."""
    if not isinstance(fit, Fit):
        raise DataError(f"The first argument must be a fit, not {type(fit).__name__}.")


def _columns(by: str | list[str] | None, argument: str = "by") -> list[str] | None:
    if by is None or (isinstance(by, (list, tuple)) and all(isinstance(name, str) for name in by)):
        return None if by is None else list(by)
    if not isinstance(by, str):
        raise DataError(f"{argument} must be the name of a column or a list of names, not a {type(by).__name__}.")
    return [by]


def _changes(fit: Fit, variables: Variables) -> dict[str, Any]:
    """How each variable changes; None for the usual way."""
    if variables is None:
        return dict.fromkeys(contrasts.predictors(fit.result))
    if isinstance(variables, Mapping):
        return dict(variables)
    return dict.fromkeys(_columns(variables, "variables") or [])


def _numbers(fit: Fit, frame: pd.DataFrame, variables: str | list[str] | None) -> list[str]:
    """Variables that slopes are asked of: all that are numbers on a scale, by default."""
    if variables is not None:
        return _columns(variables, "variables") or []
    return [
        name
        for name in contrasts.predictors(fit.result)
        if name in frame and frame[name].dtype.kind in "iuf" and contrasts.categories(fit.result, name) is None
    ]


def _rows_of(fit: Fit) -> pd.DataFrame | None:
    """The rows that were fitted, where they are at hand."""
    try:
        return fit.behind.units()
    except DataError:
        return None
