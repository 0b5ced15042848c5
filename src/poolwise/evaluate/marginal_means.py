"""Means over the groups that there could be: effects are integrated out of the mean of a row.

Where the link is not the identity the mean of the average group is not the mean over groups. Given theta the effects
add a normal deviate to the linear predictor, so that one Gauss-Hermite rule for each row does (Pavlou, Ambler, Seaman
and Omar 2015 compare the two means of a logistic model).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from poolwise.evaluate.level_terms import terms_of_groups
from poolwise.evaluate.outcome_distribution import Outcomes
from poolwise.evaluate.prediction_request import Quantity
from poolwise.families import Link, locations
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.errors import DataError

_NODES = 61


def check_integrable(posterior: Posterior, asked: Quantity | None) -> None:
    """Refuse what one normal deviate of the linear predictor does not describe.

    Raises
    ------
    DataError : without pooling, for coupled levels, and where effects on other parameters move the mean.
    """
    model = posterior.model
    if model.pooling is Pooling.SEPARATE:
        raise DataError("Without pooling there is no distribution of groups to average over.")
    coupled = [factor.name for factor in model.design.factors if factor.coupling is not None]
    if coupled := coupled + [term.name for term in terms_of_groups(model)]:
        raise DataError(
            f"The levels of {coupled[0]} are coupled, so that a group that could be has no distribution by itself: "
            "new_groups='population' is the mean of the average one."
        )
    for factor in model.design.factors:
        moved = model.family.expected is not None or asked is not None
        if moved and not factor.part_of("").all():
            raise DataError(
                f"Groups of {factor.name} differ in other parameters than the mean, which move it here: "
                "new_groups='sample' draws new groups."
            )


def spread_of_groups(posterior: Posterior, values: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """Sds (m, n) between groups of the linear predictor of the mean in rows (n, K) of columns W, for each draw."""
    design, count = posterior.model.design, posterior.chains * posterior.draws
    wide = np.column_stack([np.ones(len(values)), values])
    total = np.zeros((count if kept is None else len(kept), len(values)))
    if posterior.theta is None:
        return total
    theta = posterior.theta.reshape(count, -1) if kept is None else posterior.theta.reshape(count, -1)[kept]
    for factor in design.factors:
        layout, mine = posterior.model.priors.layout, factor.part_of("")
        place = layout.places(factor.name)
        # At the centre of the predictors first: far from it, large numbers would cancel.
        effects = wide @ ((factor.group_map * mine) @ layout.map_to_zero[place, place])
        moved = np.einsum("nq,mqk->mnk", effects, layout.root_at_centre(theta, factor.name))
        total += np.einsum("mnk,mnk->mn", moved, moved)
    return np.sqrt(total)


def mean_over_groups(
    found: Outcomes, link: Link, sds: np.ndarray, asked: Callable[[Outcomes], np.ndarray]
) -> np.ndarray:
    """The mean (m, n) of a quantity over normal deviates of the linear predictor with sds (m, n)."""
    nodes, weights = np.polynomial.hermite.hermgauss(_NODES)
    total = np.zeros_like(found.linear)
    for node, weight in zip(nodes, weights, strict=True):
        linear = found.linear + math.sqrt(2.0) * node * sds
        total += weight / math.sqrt(math.pi) * asked(replace(found, linear=linear, location=locations(link, linear)))
    return total
