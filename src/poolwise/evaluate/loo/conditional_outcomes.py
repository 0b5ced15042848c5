"""The distribution of outcomes in rows given the effects of groups, or all but some of them, draw by draw."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from poolwise.density.latent.observations import known_parts
from poolwise.design import Rows
from poolwise.design.design import linear_predictor, regression_weights
from poolwise.evaluate.outcome_distribution import Outcomes
from poolwise.families import locations
from poolwise.inference.posterior import Pooling, Posterior


def conditional(posterior: Posterior, rows: Rows, chosen: np.ndarray) -> Outcomes:
    """The distribution of outcomes in rows given all effects, for the draws at some positions."""
    return outcomes_of(posterior, rows, predictors_of(posterior, rows, frozenset(), chosen))


def predictors_of(posterior: Posterior, rows: Rows, without: frozenset[str], chosen: np.ndarray) -> np.ndarray:
    """Linear predictors of all parameters (parameters, m, n), leaving out the effects of some factors."""
    model = posterior.model
    design, values = model.design, rows.values[:, :-1]
    known = known_parts(design, rows, model.family)
    if model.pooling is Pooling.SEPARATE:
        return _of_regressions(posterior, rows, chosen) + known[:, None, :]
    beta = posterior.beta.reshape(-1, posterior.beta.shape[-1])[chosen]
    common = design.common_map[0] + values @ design.common_map[1:]
    found = []
    for k, name in enumerate(model.family.predictors):
        if name in posterior.dispersions:
            drawn = posterior.dispersions[name].reshape(-1)[chosen]
            found.append(np.log(drawn)[:, None] + known[k])
            continue
        mine = np.array([of == name for of in design.predictors], dtype=bool)
        total = beta[:, mine] @ common[:, mine].T + known[k]
        for factor in design.factors:
            part = factor.part_of(name)
            if not part.any() or factor.name in without:
                continue
            z = factor.group_map[0, part] + values @ factor.group_map[1:, part]
            drawn = posterior.offsets(factor).draws()[..., part]
            effects = drawn.reshape(-1, *drawn.shape[2:])[chosen]
            total = total + np.einsum("nq,mnq->mn", z, effects[:, factor.codes[rows.codes]])
        found.append(total)
    return np.stack(found)


def _of_regressions(posterior: Posterior, rows: Rows, chosen: np.ndarray) -> np.ndarray:
    """Linear predictors of all parameters (parameters, m, n) by the regression of each row's own group."""
    design, count = posterior.model.design, posterior.chains * posterior.draws
    weights = regression_weights(design, posterior.beta.reshape(count, *posterior.beta.shape[2:])[chosen])
    logs = {name: np.log(each.reshape(count, -1)[chosen]) for name, each in posterior.dispersions.items()}
    values, codes, names = rows.values[:, :-1], rows.codes, posterior.model.family.predictors
    fixed = np.zeros((len(chosen), len(codes)))  # what is known of a parameter that is not estimated is added later
    found = [
        logs[name][:, codes]
        if name in logs
        else linear_predictor(values, codes, weights[name])
        if name in weights
        else fixed
        for name in names
    ]
    return np.stack(found)


def outcomes_of(posterior: Posterior, rows: Rows, predictors: Iterable[np.ndarray]) -> Outcomes:
    """The distribution of outcomes in rows at linear predictors of all parameters, each (m, n)."""
    model = posterior.model
    trials = np.ones(len(rows.codes)) if rows.trials is None else rows.trials
    counted = np.ones(len(rows.codes)) if model.family.precise else rows.precisions
    linear, *others = predictors
    return Outcomes(model.family, linear, locations(model.link, linear), tuple(others), trials, counted, rows.limits)
