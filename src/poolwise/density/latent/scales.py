"""What default priors of other families are scaled by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poolwise.density.centring import settled
from poolwise.density.resolve import PriorScales
from poolwise.design.design import Rows
from poolwise.families import Family, Link


def family_scales(
    family: Family,
    link: Link,
    rows: Rows,
    predictors: Sequence[str],
    fixed: Sequence[str] = (),
    moments: tuple[float, float] | None = None,
) -> PriorScales:
    """Where linear predictors lie, and what one unit of them is, from the outcomes.

    On scales such as logit and log a step of one says much whatever the data; the identity has the outcome's own
    units. Linear predictors of other parameters lie around what is usual on their scale, in steps of one. `predictors`
    names those that there are, `fixed` the parameters that are not estimated; `moments` are the mean and sd of the
    outcomes where rows have others in their place.
    """
    if family.zeros_apart:
        rows = rows.take(np.flatnonzero(rows.response))
    y = rows.response if rows.trials is None else rows.response / np.maximum(rows.trials, 1.0)
    many, weights = rows.multiplicities, rows.multiplicities * rows.precisions
    shift = 0.0 if rows.offset is None else float(np.average(rows.offset, weights=weights))
    mean = float(np.average(y, weights=weights if rows.trials is None else rows.trials * weights))
    sd = float(np.sqrt(np.average(np.square(y - np.average(y, weights=many)), weights=weights)))
    if moments is not None:
        mean, sd = moments
    if family.summary is not None:
        mean, sd = family.summary(y, weights)
    centre, unit = family.moments(link, mean, max(sd, 1e-300))
    found = {"": (float(settled(centre - shift, unit)), float(settled(unit, unit)))}
    dispersions = {}
    for parameter in family.parameters:
        typical = sd if parameter.scaled else 1.0
        if parameter.name == family.precise:  # a row of weight w has the residual sd sigma / sqrt(w)
            typical *= np.sqrt(np.average(rows.precisions, weights=many))
        if parameter.name in predictors:
            usual = typical * parameter.typical if parameter.usual is None else parameter.usual(y)
            found[parameter.name] = (float(settled(parameter.to_scale(usual), 1.0)), 1.0)
        elif parameter.prior is not None and parameter.name not in fixed:
            dispersions[parameter.name] = parameter.prior.widened(float(settled(typical, typical)))
    return PriorScales(found, dispersions)
