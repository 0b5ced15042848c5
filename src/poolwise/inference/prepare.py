"""From a formula, data and priors to a model that is ready to be inferred."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise import design as designs
from poolwise.density.latent.observations import observe
from poolwise.density.latent.scales import family_scales
from poolwise.density.resolve import resolve_priors
from poolwise.families import GAUSSIAN, Family, Link, of_categories, with_errors
from poolwise.formula import Formula, Functions, parse
from poolwise.formula.parse import unquote
from poolwise.inference.completion import completed
from poolwise.inference.posterior import Model, Pooling
from poolwise.sources import as_source
from poolwise.sources.files import read_all
from poolwise.sources.frames import Table, has_order
from poolwise.sources.relation import Relation
from poolwise.sources.source import Source
from poolwise.statistics import Statistics
from poolwise.statistics.routes import reduce_source
from poolwise.support.errors import DataError, FormulaError, PoolwiseWarning
from poolwise.support.progress import Progress, silent

if TYPE_CHECKING:
    from poolwise.priors import Prior


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
    names = None if rows_there is None else rows_there.names
    parsed = parse(formula, functions, names, [weights] if isinstance(weights, str) else [], tables)
    if family.of_labels is not None:
        family = of_categories(family, _labels(parsed, rows_there, family), link)
    if parsed.residual:
        family = with_errors(family)
    parsed = completed(parsed, family)
    integrated = closed(parsed, family, family.link(link))
    if integrated:
        parsed = designs.as_factors(parsed)
    elif coupled := [bar for _, each in parsed.predictors for bar in each.bars if bar.structure]:
        raise FormulaError(
            f"{coupled[0]} needs a normal model with one sigma; other models have (1 | {coupled[0].structure})."
        )
    if isinstance(source, Statistics):
        if not integrated:
            raise DataError("Statistics serve the normal family without further formulas; this model needs rows.")
        if str(parsed) != str(source.design.formula):
            raise FormulaError(f"The formula is '{formula}', but the statistics are of '{source.formula}'.")
        for bar in parsed.bars:
            if bar.structure and not source.design.coupled_alike(bar.factor, designs.coupling_of(bar, parsed.tables)):
                raise DataError(f"The table that {bar.factor} refers to is not that of the statistics.")
        return model_of(source, priors or {}), None
    needed = designs.needed_columns(parsed, weights, linear=integrated, labelled=family.labelled, labels=family.labels)
    data, rows = reduce_source(needed, as_source(rows_there), None, missing, threads, progress)
    warn_of_dropped(data)
    if integrated:
        return model_of(data, priors or {}), rows
    if rows is None:
        raise DataError(f"The family '{family.name}' needs rows in memory, not a table of cells.")
    if family.whole and rows.limits is not None:
        rows = replace(rows, limits=designs.with_whole_bounds(rows.limits))
    if rows.limits is not None:
        designs.check_intervals(data.design.response, rows.limits)
    _check_occurring(data.design.response, rows, family)
    return sampled_model(data, rows, priors or {}, family, family.link(link)), rows


def _labels(formula: Formula, source: Source | None, family: Family) -> tuple[str, ...]:
    """Labels of the categories that the outcome is one of."""
    name = unquote(formula.response)
    if isinstance(source, Relation) and name in source.names:
        source = read_all(source, (name,))
    if not isinstance(source, Table) or name not in source.names:
        raise FormulaError(f"The outcome of '{family.name}' must be a column of the data as it is, not '{name}'.")
    values, stated = source.columns([name])[name], has_order(source, name)
    return designs.outcome_labels(name, values, stated=stated, ordered=family.ordered)


def sampled_model(
    data: Statistics, rows: designs.Rows, priors: Mapping[str, Prior], family: Family, link: Link
) -> Model:
    """A model whose coefficients are sampled, ready for `infer`."""
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
    scales = family_scales(family, link, rows, [of for of, _ in formula.predictors], fixed)
    products = data.products if family.precise else data.products.counted()
    resolved = resolve_priors(priors, data.design, products, scales)
    pooling = Pooling.PARTIAL if data.design.factors else Pooling.COMPLETE
    observations = observe(data.design, rows, family, resolved, products.merged())
    return Model(data, resolved, dict(priors), pooling, family, link, observations)


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
    family.check(name, values, trials)


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


def closed(formula: Formula, family: Family, link: Link) -> bool:
    """Whether coefficients are integrated out in closed form: of a normal mean, with one sigma for all rows."""
    more = formula.further or formula.additions or formula.fixed
    return family is GAUSSIAN and link.name == "identity" and not more


def model_of(data: Statistics, priors: Mapping[str, Prior]) -> Model:
    """A model of statistics, ready for `infer`; complete pooling where there are no groups."""
    data = data.without_empty_columns()
    data.check()
    warn_of_many_effects(data)
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
                stacklevel=4,
            )


def warn_of_dropped(data: Statistics) -> None:
    """Say how many rows were left out."""
    if data.dropped:
        warnings.warn(
            f"{data.dropped:,} of {data.rows + data.dropped:,} rows have missing values and were left out.",
            PoolwiseWarning,
            stacklevel=4,
        )
