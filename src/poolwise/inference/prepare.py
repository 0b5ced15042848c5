"""From a formula, data and priors to a model that is ready to be inferred."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise import design as designs
from poolwise.density.latent.observations import observe
from poolwise.density.latent.scales import family_scales
from poolwise.density.resolve import resolve_priors
from poolwise.families import GAUSSIAN, Family, Link
from poolwise.formula import Formula, Functions, parse
from poolwise.inference.posterior import Model, Pooling
from poolwise.sources import as_source
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
    missing: str,
    threads: int,
    progress: Progress = silent,
) -> tuple[Model, designs.Rows | None]:
    """Formula, data and priors to a model, ready for `infer`; and the encoded rows."""
    rows_there = None if isinstance(source, Statistics) else as_source(source)
    names = None if rows_there is None else rows_there.names
    parsed = parse(formula, functions, names, [weights] if isinstance(weights, str) else [])
    parsed = parsed.with_intercepts(family.unshared)
    integrated = closed(parsed, family, family.link(link))
    check_family(parsed, family)
    if isinstance(source, Statistics):
        if not integrated:
            raise DataError("Statistics serve the normal family without further formulas; this model needs rows.")
        if str(parsed) != str(source.design.formula):
            raise FormulaError(f"The formula is '{formula}', but the statistics are of '{source.formula}'.")
        return model_of(source, priors or {}), None
    needed = designs.needed_columns(parsed, weights, linear=integrated, labelled=family.labelled)
    data, rows = reduce_source(needed, as_source(rows_there), None, missing, threads, progress)
    warn_of_dropped(data)
    if integrated:
        return model_of(data, priors or {}), rows
    if rows is None:
        raise DataError(f"The family '{family.name}' needs rows in memory, not a table of cells.")
    return sampled_model(data, rows, priors or {}, family, family.link(link)), rows


def sampled_model(
    data: Statistics, rows: designs.Rows, priors: Mapping[str, Prior], family: Family, link: Link
) -> Model:
    """A model whose coefficients are sampled, ready for `infer`."""
    data = data.without_empty_columns()
    trials = np.ones(len(rows.codes)) if rows.trials is None else rows.trials
    family.check(data.design.response, rows.response, trials)
    data.check(spread=not family.whole)
    if not (data.design.coefficients or data.design.factors or family.parameters):
        raise FormulaError(
            f"'{data.design.formula.text}' has no coefficient, group or spread: nothing is to be learnt."
        )
    scales = family_scales(family, link, rows, [of for of, _ in data.design.formula.predictors])
    products = data.products if family.precise else data.products.counted()
    resolved = resolve_priors(priors, data.design, products, scales)
    pooling = Pooling.PARTIAL if data.design.factors else Pooling.COMPLETE
    observations = observe(data.design, rows, family, resolved, products.merged())
    return Model(data, resolved, dict(priors), pooling, family, link, observations)


def closed(formula: Formula, family: Family, link: Link) -> bool:
    """Whether coefficients are integrated out in closed form: of a normal mean, with one sigma for all rows."""
    return family is GAUSSIAN and link.name == "identity" and not formula.further


def check_family(formula: Formula, family: Family) -> None:
    """Refuse trials where the family has none, and formulas of parameters that it does not have."""
    if formula.trials is not None and not family.trials:
        raise FormulaError(f"The family '{family.name}' has no trials; successes among trials are family='binomial'.")
    if family.trials and formula.trials is None:
        raise FormulaError(
            f"How many trials? Write '{formula.response} | trials(n) ~ ...' or '({formula.response}, failures) ~ ...'; "
            "zeros and ones are family='bernoulli'."
        )
    known = family.predictors[1:]
    for name, _ in formula.further:
        if name not in known:
            what = f"It has: {', '.join(known)}." if known else "It has none besides the mean."
            raise FormulaError(f"The family '{family.name}' has no parameter '{name}' to write a formula for. {what}")


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
        effects = len(factor.levels) * len(factor.effects)
        if effects >= data.rows:
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
