"""From a formula, data and priors to a model that is ready to be inferred."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from poolwise import design as designs
from poolwise.density.priors import resolve_priors
from poolwise.errors import FormulaError, PoolwiseWarning
from poolwise.formula import parse
from poolwise.posterior import Model, Pooling
from poolwise.progress import Progress, silent
from poolwise.sources import as_source
from poolwise.statistics import SufficientStatistics
from poolwise.statistics.routes import reduce_source

if TYPE_CHECKING:
    from poolwise.priors import Prior


def prepare(
    formula: str,
    source: Any,
    *,
    priors: Mapping[str, Prior] | None,
    weights: str | None = None,
    missing: str,
    threads: int,
    progress: Progress = silent,
) -> tuple[Model, designs.Rows | None]:
    """Formula, data and priors to a model, ready for `infer`; and the encoded rows."""
    if isinstance(source, SufficientStatistics):
        if str(parse(formula)) != str(source.design.formula):
            raise FormulaError(f"The formula is '{formula}', but the statistics are of '{source.formula}'.")
        return model_of(source, priors or {}), None
    needed = designs.needed_columns(parse(formula), weights)
    data, rows = reduce_source(needed, as_source(source), None, missing, threads, progress)
    warn_of_dropped(data)
    return model_of(data, priors or {}), rows


def model_of(data: SufficientStatistics, priors: Mapping[str, Prior]) -> Model:
    """A model of statistics, ready for `infer`; complete pooling where there are no groups."""
    data.check()
    warn_of_many_effects(data)
    pooling = Pooling.PARTIAL if data.design.factors else Pooling.COMPLETE
    return Model(data, resolve_priors(priors, data.design, data.products), dict(priors), pooling)


def warn_of_many_effects(data: SufficientStatistics) -> None:
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


def warn_of_dropped(data: SufficientStatistics) -> None:
    """Say how many rows were left out."""
    if data.dropped:
        warnings.warn(
            f"{data.dropped:,} of {data.rows + data.dropped:,} rows have missing values and were left out.",
            PoolwiseWarning,
            stacklevel=4,
        )
