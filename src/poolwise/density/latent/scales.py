"""What default priors of other families are scaled by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poolwise.density.centring import settled
from poolwise.density.resolve import PriorScales
from poolwise.design.design import Rows
from poolwise.families import Family, Link


def family_scales(family: Family, link: Link, rows: Rows, predictors: Sequence[str]) -> PriorScales:
    """Where linear predictors lie, and what one unit of them is, from the outcomes.

    On scales such as logit and log a step of one says much whatever the data; the identity has the outcome's own
    units. Logs of dispersions that have a formula lie around the log of what is usual, in steps of one.
    """
    y = rows.response if rows.trials is None else rows.response / np.maximum(rows.trials, 1.0)
    shift = 0.0 if rows.offset is None else float(np.average(rows.offset, weights=rows.precisions))
    mean = float(np.average(y, weights=rows.precisions if rows.trials is None else rows.trials * rows.precisions))
    sd = float(np.sqrt(np.average(np.square(y - y.mean()), weights=rows.precisions)))
    centre, unit = family.moments(link, mean, max(sd, 1e-300))
    found = {"": (float(settled(centre - shift, unit)), float(settled(unit, unit)))}
    dispersions = {}
    for dispersion in family.dispersions:
        # A row of weight w has the residual sd sigma / sqrt(w).
        typical = sd * np.sqrt(rows.precisions.mean()) if dispersion.scaled else 1.0
        if dispersion.name in predictors:
            found[dispersion.name] = (float(settled(np.log(typical * dispersion.typical), 1.0)), 1.0)
        else:
            dispersions[dispersion.name] = dispersion.prior.widened(float(settled(typical, typical)))
    return PriorScales(found, dispersions)
