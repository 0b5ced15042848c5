"""Predictions for rows, of groups that are known, unknown or new: draws, or a table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows, with_whole_bounds
from poolwise.design.encode import encode
from poolwise.design.rank import check_estimated
from poolwise.design.required_columns import design_parts
from poolwise.evaluate.marginal_means import check_integrable
from poolwise.evaluate.prediction_request import Kind, NewGroups, Quantity, Question
from poolwise.evaluate.predictor import Predictor
from poolwise.families import CIRCLE, Family
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.samplers.settings import check_interval
from poolwise.sources.frames import Table
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import xarray as xr


def complete_rows(
    posterior: Posterior, table: Table, question: Question, missing: str
) -> tuple[Table, np.ndarray | None]:
    """The rows without missing values, and which these are, (n,); None where all are wanted.

    Raises
    ------
    DataError : for an unknown word, or where every row lacks a value.
    """
    import pandas as pd

    if missing not in ("error", "keep"):
        raise DataError(f"missing must be 'error' or 'keep', not {missing!r}.")
    if missing == "error":
        return table, None
    encoding = posterior.model.encoding
    keys = [name for name in encoding.keys if name not in _absent(posterior, table, question)]
    extra = [*encoding.trials, encoding.weights] if question.kind is Kind.RESPONSE else []
    wanted = dict.fromkeys([*encoding.variables, *keys, *(name for name in extra if name in table.names)])
    columns = {name: table.keys(name) if name in keys else table.columns([name])[name] for name in map(str, wanted)}
    complete = np.ones(table.rows, dtype=bool)
    for values in columns.values():
        complete &= ~np.asarray(pd.isna(values))
    if not complete.any():
        raise DataError("Every new row lacks a value that the fit needs.")
    return Table.of(table.frame.filter(complete.tolist())), complete


def quantities(posterior: Posterior, question: Question) -> list[Question]:
    """The question for each quantity that is predicted; itself where that is the mean alone.

    Raises
    ------
    DataError : for the linear predictor, where there are several.
    """
    family = posterior.model.family
    if question.kind is Kind.LINEAR and family.repeated:
        raise DataError("Each category has a linear predictor of its own; kind='mean' gives their probabilities.")
    if question.kind is not Kind.MEAN or not family.quantities:
        return [question]
    return [replace(question, quantity=Quantity(name, value)) for name, value in family.quantities.items()]


def predictor_of(posterior: Posterior, table: Table, question: Question, *, groups: Table | None = None) -> Predictor:
    """A predictor for new rows; `groups` has their grouping columns, where it is another table.

    Raises
    ------
    DataError : for a missing column or value, categories that the fit has not seen, or not together where their
        combination has a coefficient, or groups as `question` has it.
    """
    model = posterior.model
    if not table.rows:
        raise DataError("The new data hold no rows.")
    absent, weighted = _absent(posterior, table, question), question.kind is Kind.RESPONSE
    if question.new_groups is NewGroups.MARGINAL and not model.encoding.linear:
        check_integrable(posterior, question.quantity)
    design, rows = encode(model.design, model.encoding, table, absent=absent, weighted=weighted, groups=groups)
    check_estimated(design, rows.values, _asked_of(posterior, question))
    if model.family.whole and rows.limits is not None:
        rows = replace(rows, limits=with_whole_bounds(rows.limits))
    return Predictor(posterior, design, rows, question)


def _asked_of(posterior: Posterior, question: Question) -> set[str]:
    """The columns that a prediction depends on: those of other parameters only where these play a part."""
    model = posterior.model
    mean = question.kind is not Kind.RESPONSE and question.quantity is None and model.family.expected is None
    specs = [getattr(model.encoding.specs, part) for part in design_parts(model.design.formula, mean=mean)]
    if any(spec.structure is None for spec in specs):  # those of a file do not say which columns are whose
        return set(model.design.columns)
    return {str(name) for spec in specs for name in spec.column_names}


def _absent(posterior: Posterior, table: Table, question: Question) -> tuple[str, ...]:
    """Grouping columns that are not looked at: the average group needs no label; every other choice does."""
    keys, model = posterior.model.encoding.keys, posterior.model
    if model.pooling is not Pooling.PARTIAL:
        return ()
    if question.unlabelled:
        return keys
    return tuple(name for name in keys if name not in table.names and question.new_groups is NewGroups.AVERAGE)


def predictor_of_rows(
    posterior: Posterior, rows: Rows, question: Question, kept: np.ndarray | None = None
) -> Predictor:
    """A predictor for rows of the data themselves."""
    return Predictor(posterior, posterior.model.design, rows, question, kept)


def predictions(predictor: Predictor, interval: float, complete: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Mean, sd and the ends of a central interval of each row's prediction, (n,) each, by name.

    Parameters
    ----------
    complete : (n,) which rows the predictor has; the others are NaN. None for all.
    """
    tail = (1 - check_interval(interval)) / 2
    names = ("mean", "sd", f"{100 * tail:g}%", f"{100 * (1 - tail):g}%")
    return dict(zip(names, _spread_out(predictor.summaries(tail).T, complete), strict=True))


def prediction_draws(predictor: Predictor, labels: np.ndarray, complete: np.ndarray | None = None) -> xr.DataArray:
    """Draws (chain, draw, observation) of each row's prediction; see `predictions`."""
    import xarray as xr

    posterior = predictor.posterior
    drawn = _spread_out(predictor.draws(), complete).reshape(posterior.chains, posterior.draws, -1)
    return xr.DataArray(
        drawn, {"observation": labels}, ("chain", "draw", "observation"), name=posterior.model.design.response
    )


def all_draws(predictors: Sequence[Predictor], labels: np.ndarray, complete: np.ndarray | None = None) -> xr.DataArray:
    """Draws of each row's prediction; of several quantities along a last dimension. Categories come as their labels."""
    import xarray as xr

    found = [prediction_draws(each, labels, complete) for each in predictors]
    family, kind = predictors[0].posterior.model.family, predictors[0].question.kind
    if kind is Kind.RESPONSE and family.labels:
        known = np.array([*family.labels, None], dtype=object)  # rows that are not complete have none
        place = np.where(np.isnan(found[0].values), len(family.labels), found[0].values).astype(int)
        return found[0].copy(data=known[place])
    if len(found) == 1:
        return found[0]
    column, dims = quantity_column(family), ("chain", "draw", "observation")
    drawn = np.stack([each.values for each in found], axis=-1)
    names = [each.question.quantity.name for each in predictors if each.question.quantity]
    coordinates = {"observation": labels, column: names}
    return xr.DataArray(drawn, coordinates, (*dims, column), name=found[0].name)


def quantity_column(family: Family) -> str:
    """What the quantities of a family are called in tables."""
    return "category" if family.labels else "quantity"


def check_tabled(posterior: Posterior, question: Question) -> None:
    """Refuse a table of new outcomes that have no mean."""
    if question.kind is not Kind.RESPONSE:
        return
    family = posterior.model.family
    for known, what, instead in (
        (bool(family.labels), "categories, which have no mean", "kind='mean' their probabilities"),
        (family.signed, "times of two choices", "kind='mean' the share of the upper one and the mean time"),
        (family.scale is CIRCLE, "angles, whose mean depends on where zero is", "kind='mean' mean directions"),
    ):
        if known:
            raise DataError(f"New outcomes are {what}: draws=True gives them, {instead}.")


def _spread_out(found: np.ndarray, complete: np.ndarray | None) -> np.ndarray:
    """Columns of complete rows among those of all, which are NaN."""
    if complete is None:
        return found
    all_rows = np.full((found.shape[0], len(complete)), np.nan)
    all_rows[:, complete] = found
    return all_rows
