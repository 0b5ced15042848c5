"""From a formula, data and priors to a model that is ready to be inferred."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise import design as designs
from poolwise.density.latent.observations import observe
from poolwise.density.latent.scales import family_scales
from poolwise.density.resolve import resolve_priors
from poolwise.families import GAUSSIAN, Family, Link
from poolwise.families.checks import without_place
from poolwise.formula import Formula, Functions
from poolwise.inference.posterior import Model, Pooling
from poolwise.sources import as_source
from poolwise.statistics import Statistics
from poolwise.statistics.model_formula import ModelFormula, model_formula
from poolwise.statistics.routes import reduce_source
from poolwise.support.errors import DataError, FormulaError, PoolwiseWarning
from poolwise.support.progress import Progress, silent

if TYPE_CHECKING:
    from poolwise.priors import Prior

_NUMBER_AS_TEXT = re.compile(r"(?P<column>\w+)\[(?:T\.)?(?P<value>[-+]?[.,]?\d.*)\]")  # a coefficient's name
_MANY_TEXTS = 20  # labels that begin with a number; bands of ages are fewer


def prepare(
    formula: str | Sequence[str],
    source: Any,
    *,
    priors: Mapping[str, Prior] | None,
    family: Family = GAUSSIAN,
    link: str | None = None,
    weights: str | None = None,
    functions: Functions | None = None,
    tables: Mapping[str, Any] | None = None,
    missing: str,
    threads: int,
    progress: Progress = silent,
) -> tuple[Model, designs.Rows | None]:
    """Formula, data and priors to a model, ready for `infer`; and the encoded rows."""
    rows_there = None if isinstance(source, Statistics) else as_source(source)
    used = [weights] if isinstance(weights, str) else []
    labels = source.encoding.labels if isinstance(source, Statistics) and source.counted is not None else None
    read = model_formula(
        formula, rows_there, family, link, functions=functions, used=used, tables=tables, labels=labels
    )
    family = read.family
    if isinstance(source, Statistics):
        _check_statistics(read, source, formula)
        if read.closed:
            return model_of(source, priors or {}), None
        return sampled_model(source, rows_of(source, family), priors or {}, family, family.link(link)), None
    needed = read.needed(weights)
    data, rows = reduce_source(needed, as_source(rows_there), None, missing, threads, progress, family=family)
    warn_of_dropped(data)
    if read.closed:
        return model_of(data, priors or {}), rows
    there = rows_of(data, family, rows)
    model = sampled_model(data, there, priors or {}, family, family.link(link))
    return model, None if rows is None else there


def _check_statistics(read: ModelFormula, source: Statistics, written: str | Sequence[str]) -> None:
    """Refuse statistics of another formula, or without what the family needs."""
    if read.closed != (source.counted is None):
        raise DataError(
            "These statistics are of a normal model with one sigma: make those of this family by "
            f"SufficientStatistics.from_data(formula, data, family='{read.family.name}')."
            if source.counted is None
            else "These statistics are of a family that is sampled, and not of this model: pass that family= and link=."
        )
    if source.summed is not None and source.summed is not read.family.summed:
        raise DataError(
            f"These statistics have outcomes summed up for the family '{source.summed.family}'; another one needs sums "
            f"of its own: SufficientStatistics.from_data(formula, data, family='{read.family.name}')."
        )
    if str(read.formula) != str(source.design.formula):
        raise FormulaError(f"The formula is '{written}', but the statistics are of '{source.formula}'.")
    for bar in read.formula.bars:
        if bar.structure and not source.design.coupled_alike(bar.factor, designs.coupling_of(bar, read.formula.tables)):
            raise DataError(f"The table that {bar.factor} refers to is not that of the statistics.")


def rows_of(data: Statistics, family: Family, rows: designs.Rows | None = None) -> designs.Rows:
    """The rows of a family that is sampled, or those that differ with their counts.

    Raises
    ------
    DataError : where there are none.
    """
    rows = data.counted if rows is None else rows
    if rows is None:
        raise DataError(f"The family '{family.name}' needs rows in memory, not a table of cells.")
    if family.whole and rows.limits is not None:
        rows = replace(rows, limits=designs.with_whole_bounds(rows.limits))
    if rows.limits is not None:
        designs.check_intervals(data.design.response, rows.limits)
    _check_occurring(data.design.response, rows, family)
    return rows


def sampled_model(
    data: Statistics, rows: designs.Rows, priors: Mapping[str, Prior], family: Family, link: Link
) -> Model:
    """A model whose coefficients are sampled, ready for `infer`."""
    model = without_rows(data, rows, priors, family, link)
    products = model.statistics if family.precise else model.statistics.counted()
    observations = observe(model.design, rows, family, model.priors, products.merged())
    return replace(model, observations=observations)


def without_rows(
    data: Statistics, rows: designs.Rows, priors: Mapping[str, Prior], family: Family, link: Link
) -> Model:
    """The same before rows are observed; of these, outcomes and offsets alone are looked at."""
    data = data.without_empty_columns()
    _check_outcomes(data.design.response, rows, family)
    _check_fixed(data.design.formula, rows, family)
    scaled, given = [each.name for each in family.parameters if each.scaled], dict(data.design.formula.fixed)
    known = bool(scaled) and all(name in given for name in scaled)  # how outcomes spread is not to be learnt
    data.check(spread=not (family.whole or family.labels or known))
    data = _with_values(data, rows, family)
    if not (data.design.coefficients or data.design.factors or family.parameters):
        raise FormulaError(
            f"'{data.design.formula.text}' has no coefficient, group or spread: nothing is to be learnt."
        )
    formula = data.design.formula
    fixed = [name for name, _ in formula.fixed]
    moments = None if data.summed is None or family.zeros_apart else data.outcome_moments
    scales = family_scales(family, link, rows, [of for of, _ in formula.predictors], fixed, moments)
    products = data.products if family.precise else data.products.counted()
    resolved = resolve_priors(priors, data.design, products, scales)
    pooling = Pooling.PARTIAL if data.design.factors else Pooling.COMPLETE
    return Model(data, resolved, dict(priors), pooling, family, link)


def _with_values(data: Statistics, rows: designs.Rows, family: Family) -> Statistics:
    """The statistics, with the parameters fixed that have a value from the outcomes."""
    values = {each.name: each.fixed(rows.response) for each in family.parameters if callable(each.fixed)}
    if not values:
        return data
    formula = data.design.formula.with_values(values)
    return replace(data, design=replace(data.design, formula=formula))


def _check_outcomes(name: str, rows: designs.Rows, family: Family) -> None:
    """Refuse outcomes, and finite ends of intervals, that the family cannot have; an interval may begin where outcomes
    do."""
    values = rows.response
    trials = np.ones(len(values)) if rows.trials is None else rows.trials
    if not rows.observed.all():
        lower, upper = np.asarray(rows.limits)[:2]
        first = -1.0 if family.whole else 0.0
        begins = ~rows.observed & ((lower == first) | np.isneginf(lower))
        values = np.where(begins & np.isfinite(upper), upper, np.where(begins, 1.0, values))
        ends = ~rows.observed & np.isfinite(upper) & np.isfinite(lower)
        values, trials = np.concatenate([values, upper[ends]]), np.concatenate([trials, trials[ends]])
    try:
        family.check(name, values, trials)
    except DataError as error:
        raise error if rows.counts is None else DataError(without_place(str(error))) from None


def _check_fixed(formula: Formula, rows: designs.Rows, family: Family) -> None:
    """Refuse a value of a parameter that all outcomes are on the wrong side of."""
    given = dict(formula.fixed)
    for each in family.parameters:
        if each.most is not None and each.name in given and given[each.name] >= each.most(rows.response):
            raise DataError(
                f"'{each.name} = {given[each.name]:g}' leaves no outcome possible: the largest of "
                f"'{formula.response}' is {each.most(rows.response):g}. Are the units the same?"
            )


def _check_occurring(name: str, rows: designs.Rows, family: Family) -> None:
    """Refuse categories that no complete row has."""
    if family.labels:
        counts = np.bincount(rows.response.astype(np.int64), minlength=len(family.labels))
        empty = [label for label, count in zip(family.labels, counts, strict=True) if not count]
        if empty:
            raise DataError(f"No complete row has '{name}' {', '.join(empty[:5])}: leave these rows out of the data.")


def model_of(data: Statistics, priors: Mapping[str, Prior]) -> Model:
    """A model of statistics, ready for `infer`; complete pooling where there are no groups."""
    data = data.without_empty_columns()
    data.check()
    warn_of_many_effects(data)
    warn_of_numbers_as_text(data)
    pooling = Pooling.PARTIAL if data.design.factors else Pooling.COMPLETE
    return Model(data, resolve_priors(priors, data.design, data.products), dict(priors), pooling)


def warn_of_many_effects(data: Statistics) -> None:
    """Say where a factor has as many effects as there are rows: priors then tell their spread from the residual's."""
    for factor in data.design.factors:
        own = int((~factor.tied).sum())  # a structured term has a few numbers for all of its effects
        effects = len(factor.levels) * own
        if effects >= data.rows and factor.coupling is None:
            warnings.warn(
                f"'{factor.name}' has {effects:,} effects for {data.rows:,} rows: how much of the spread is theirs and "
                "how much is residual rests on the priors. Let fewer effects vary.",
                PoolwiseWarning,
                stacklevel=5,
            )


def warn_of_numbers_as_text(data: Statistics) -> None:
    """Say where a predictor is text that begins with numbers, such as `70.3 kg`, and each value has a coefficient."""
    found = [_NUMBER_AS_TEXT.fullmatch(name) for name in data.design.coefficients]
    values: dict[str, list[str]] = {}
    for one in filter(None, found):
        values.setdefault(one["column"], []).append(one["value"])
    for column, texts in values.items():
        if len(texts) >= _MANY_TEXTS:
            warnings.warn(
                f"The predictor '{column}' is text such as {texts[0]!r}, and {len(texts)} of its values have a "
                "coefficient each: make it a column of numbers if that is what it holds.",
                PoolwiseWarning,
                stacklevel=5,
            )


def warn_of_dropped(data: Statistics) -> None:
    """Say how many rows were left out."""
    if data.dropped:
        warnings.warn(
            f"{data.dropped:,} of {data.rows + data.dropped:,} rows have missing values and were left out.",
            PoolwiseWarning,
            stacklevel=4,
        )
