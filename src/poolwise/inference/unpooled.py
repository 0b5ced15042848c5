"""The same regression without pooling, or pooled completely, from the model that pools partially."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poolwise.density.latent.observations import observe, observe_groups
from poolwise.density.resolve import ties_in
from poolwise.design import Rows
from poolwise.design.completion import completed
from poolwise.design.factors import Factor
from poolwise.formula import Formula
from poolwise.inference.posterior import Model, Pooling
from poolwise.statistics import Statistics


def completely_pooled(model: Model, formula: Formula, rows: Rows | None) -> Model:
    """One regression for all rows, by the formula without group terms; `rows` have one cell."""
    data = replace(model.data, design=replace(model.design, formula=_formula(model, formula), factors=()))
    encoding = replace(data.encoding, keys=(), cells=())
    found = _without_effects(model, replace(data, encoding=encoding, products=data.products.merged()), Pooling.COMPLETE)
    if not model.sampled or rows is None:
        return found
    total = model.statistics if model.family.precise else model.statistics.counted()
    return replace(found, observations=observe(found.design, rows, model.family, found.priors, total.merged()))


def not_pooled(model: Model, formula: Formula, rows: Rows | None) -> Model:
    """One regression for each group, all with the priors of the regression of all rows."""
    factors = tuple(_bare(factor) for factor in model.design.factors)
    data = replace(model.data, design=replace(model.design, formula=_formula(model, formula), factors=factors))
    found = _without_effects(model, data, Pooling.SEPARATE)
    if not model.sampled or rows is None:
        return found
    total = model.statistics if model.family.precise else model.statistics.counted()
    return replace(found, by_group=observe_groups(found.design, rows, model.family, found.priors, total.merged()))


def _formula(model: Model, formula: Formula) -> Formula:
    """The formula without group terms, and with what the family makes of it."""
    return completed(formula, model.family).with_values(dict(model.design.formula.fixed))


def _without_effects(model: Model, data: Statistics, pooling: Pooling) -> Model:
    layout = replace(model.priors.layout, effects=(), starts=(), to_zero=(), tied=())
    ties = ties_in(data.design, layout)
    priors = replace(model.priors, layout=layout, sd=(), at_zero=(), correlation={}, ties=ties)
    known = (*data.design.coefficients, "slopes", *priors.dispersions)
    given = {name: prior for name, prior in model.given.items() if name in known}
    return replace(model, data=data, priors=priors, given=given, pooling=pooling, observations=None)


def _bare(factor: Factor) -> Factor:
    """A factor by whose levels nothing varies: it only labels the groups of separate regressions."""
    nothing, none = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=bool)
    group_map = np.zeros((factor.group_map.shape[0], 0))
    return replace(factor, effects=(), group_map=group_map, starts=nothing, margins=none, predictors=(), structures=())
