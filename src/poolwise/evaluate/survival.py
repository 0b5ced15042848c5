"""Survival: the probability that an outcome lies above a value, of rows and of groups of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import Rows
from poolwise.evaluate.kaplan_meier import kaplan_meier
from poolwise.evaluate.predict import predictor_of_rows
from poolwise.evaluate.prediction_request import Kind, NewGroups, Quantity, Question
from poolwise.evaluate.shown_groups import shown_groups
from poolwise.families import Family
from poolwise.inference.posterior import Posterior
from poolwise.support.digits import apart
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_POINTS, _DRAWS = 60, 200


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Survival by the model and by Kaplan and Meier.

    Attributes
    ----------
    model : lines with `group`, `time`, `mean` and the ends `low` and `high` of a 90% interval.
    observed : the same by Kaplan and Meier, with a 90% interval; empty where outcomes are censored other than right.
    censored : lines with `group`, `time` and `survival` at which rows were censored.
    """

    model: pd.DataFrame
    observed: pd.DataFrame
    censored: pd.DataFrame


def beyond(family: Family, time: float) -> Quantity:
    """The probability that an outcome is above a value.

    Raises
    ------
    DataError : for a family without a distribution function.
    """
    log_interval = family.log_interval
    if log_interval is None:
        raise DataError(f"The family '{family.name}' has no distribution function here, which survival needs.")
    ends = np.array(float(time)), np.array(np.inf)
    return Quantity(f"{time:g}", lambda *at: np.exp(log_interval(*ends, *at)))


def questions(posterior: Posterior, question: Question, times: Iterable[float]) -> dict[float, Question]:
    """A question for each time."""
    given = list(times) if isinstance(times, Iterable) and not isinstance(times, str) else [times]
    numbers = all(isinstance(time, (int, float, np.number)) and not isinstance(time, bool) for time in given)
    found = [float(time) for time in given] if numbers else []
    if not found or not np.isfinite(found).all():
        raise DataError("times must be one number or more, all of them finite.")
    return {time: replace(question, quantity=beyond(posterior.model.family, time)) for time in found}


def curves(posterior: Posterior, rows: Rows, values: Any) -> Curves:
    """Survival of the rows that share a value, on average over them.

    Raises
    ------
    DataError : for a family without a distribution function, and for too many groups.
    """
    import pandas as pd

    family = posterior.model.family
    levels, codes = shown_groups(values)
    y = rows.response
    times = np.linspace(min(0.0, float(y.min())), float(y.max()), _POINTS)
    count = posterior.chains * posterior.draws
    kept = np.linspace(0, count - 1, min(_DRAWS, count)).astype(int)
    many = rows.multiplicities if family.precise else rows.multiplicities * rows.precisions
    counts = np.bincount(codes, many)
    asked, plain = Question(Kind.MEAN, NewGroups.ERROR, posterior.seed), replace(rows, limits=None)
    model = []
    for time in times:
        question = replace(asked, quantity=beyond(family, float(time)))
        drawn = predictor_of_rows(posterior, plain, question, kept).sums(many, codes, len(levels)) / counts
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        means = drawn.mean(axis=0)
        model += [
            {"group": level, "time": float(time), "mean": float(means[k]), "low": float(low[k]), "high": float(high[k])}
            for k, level in enumerate(levels)
        ]
    observed, censored = _observed(rows, many, levels, codes, float(times[0]))
    return Curves(pd.DataFrame(model), observed, censored)


def shares_above(rows: Rows, completed: np.ndarray, replicated: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Shares of outcomes above some of those observed, (draws,) each: of the data, completed where they were censored,
    and of replications; both (draws, n)."""
    values = rows.response[rows.observed]
    if not len(values):
        values = np.asarray(rows.limits)[:2].ravel()
        values = values[np.isfinite(values)]
    at = np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf"))
    names = [f"share above {text}" for text in apart(list(map(float, at)))]
    return {
        name: ((completed > t).mean(axis=1), (replicated > t).mean(axis=1)) for name, t in zip(names, at, strict=True)
    }


def _observed(
    rows: Rows, many: np.ndarray, levels: np.ndarray, codes: np.ndarray, start: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Steps by Kaplan and Meier of rows that count `many` times (n,), and where rows were censored."""
    import pandas as pd

    lines: dict[str, list[float]] = {name: [] for name in ("group", "time", "mean", "low", "high")}
    steps, marks = pd.DataFrame(lines), pd.DataFrame({"group": [], "time": [], "survival": []})
    right = rows.observed if rows.limits is None else rows.observed | np.isposinf(rows.limits[1])
    cut = rows.limits is not None and np.isfinite(rows.limits[2:]).any()
    if cut or not right.all():
        return steps, marks
    found, ends = [], []
    for k, level in enumerate(levels):
        mine = codes == k
        time, status = rows.response[mine], rows.observed[mine]
        times, survival, low, high = kaplan_meier(time, status, 0.9, many[mine])
        table = pd.DataFrame({"group": level, "time": times, "mean": survival, "low": low, "high": high})
        first = pd.DataFrame({"group": [level], "time": [start], "mean": [1.0], "low": [1.0], "high": [1.0]})
        found.append(pd.concat([first, table]))
        at = np.concatenate([[1.0], survival])[np.searchsorted(times, time[~status], side="right")]
        ends.append(pd.DataFrame({"group": level, "time": time[~status], "survival": at}))
    return pd.concat(found, ignore_index=True), pd.concat(ends, ignore_index=True)
