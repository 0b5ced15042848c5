"""What a user should know of a fit beside its numbers, in sentences."""

from __future__ import annotations

import numpy as np

from poolwise.density.gaussian import gaussian
from poolwise.density.prior_conflict import far_from_zero
from poolwise.design import Rows
from poolwise.design.nesting import relations
from poolwise.design.rank import collinear, empty_columns
from poolwise.design.required_columns import labels_in
from poolwise.evaluate.confounding import confounded
from poolwise.evaluate.explain import is_indicator_column
from poolwise.evaluate.identifiability import undecided
from poolwise.evaluate.resolution import unresolved
from poolwise.evaluate.separation import separated
from poolwise.inference.posterior import Model, Pooling, Posterior

_SMALL = 10.0  # mean of counts below which a normal model misses their shape


def notes(posterior: Posterior, rows: Rows | None, threads: int) -> list[str]:
    """What the data leave open and what may not have been meant.

    These are columns without content, an outcome of another kind than the family's, factors nested by accident,
    predictors that a structured term can imitate, processes of too few functions, spreads that might be zero, and
    correlations that might be anything.
    """
    model = posterior.model
    said = [
        *_labels(model),
        *_beside_a_map(model),
        *_columns(model),
        *_kind_of_outcome(model, rows),
        *relations(model.design.factors),
        *confounded(posterior),
        *unresolved(posterior),
    ]
    if posterior.u:
        told = posterior.certificate.advice
        said += [one for one in far_from_zero(model.design, model.priors, model.statistics) if one not in told]
    if model.sampled:
        return said + separated(model)
    if posterior.u and not posterior.by_turns:
        density = gaussian(model.statistics, model.design, model.priors, threads=threads)
        said += undecided(posterior, density)
    return said


def _labels(model: Model) -> list[str]:
    """Which label of an outcome is the success."""
    labels, family = model.encoding.labels, model.family
    if family.labels:
        order = " < ".join(family.labels) if family.ordered else f"{', '.join(family.labels)}, compared with the first"
        return [f"Categories: {order}."]
    return [f"Success is '{labels[1]}', failure is '{labels[0]}'."] if labels else []


def _beside_a_map(model: Model) -> list[str]:
    """Factors whose levels have structured effects as well, which tables of groups do not hold."""
    design = model.design
    maps = [(one.name, labels_in(one.text)) for one in design.structures if not one.predictor]
    maps += [(factor.name, set(factor.keys)) for factor in design.factors if factor.coupling is not None]
    return [
        f"Coefficients by {factor.name} are those beside {name}; fit.area_effects('{factor.name}') has both together."
        for factor in design.factors
        for name, keys in maps
        if factor.of_mean and factor.coupling is None and keys == set(factor.keys)
    ]


def _columns(model: Model) -> list[str]:
    design, said = model.design, []
    if empty := empty_columns(design):
        named = ", ".join(f"'{name}'" for name in empty[:6]) + (f" and {len(empty) - 6} more" if len(empty) > 6 else "")
        has = (
            "is zero in every row, so it has no coefficient"
            if len(empty) == 1
            else "are zero in every row, so they have none"
        )
        said.append(f"{named} {has}: no row has these categories together.")
    if model.pooling is not Pooling.SEPARATE:
        total = model.statistics.merged()
        mean, scatter = (total.means[0] + total.origin)[:-1], total.scatter[0][:-1, :-1]
        said += collinear(design, mean, scatter, float(total.weights[0]))
    return said


def _kind_of_outcome(model: Model, rows: Rows | None) -> list[str]:
    """Zeros and ones, and small counts, that are fitted as normal outcomes."""
    if model.sampled or model.design.formula.offsets:
        return []
    name = model.design.response
    if is_indicator_column(model.statistics, -1):
        return [f"'{name}' holds zeros and ones only: family='bernoulli' keeps its probabilities between 0 and 1."]
    if rows is None:
        return []
    y = rows.response
    if np.all(y >= 0) and np.all(y == np.round(y)) and y.min() == 0 and y.mean() < _SMALL and len(np.unique(y)) > 2:
        return [f"'{name}' holds counts, zeros among them: family='poisson' or 'negative_binomial' knows their shape."]
    return []
