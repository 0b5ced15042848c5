"""How much areas differ, and how much of it neighbours share: the two numbers of BYM2.

Riebler, Sorbye, Simpson and Rue (2016) give effects of areas the standard deviation sigma and let the share phi of its
square be spatial. A model here has the sd of each part, s of `icar(area, map)` and t of `(1 | area)`, so that

    sigma^2 = s^2 + t^2,    phi = s^2 / sigma^2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poolwise.density.layout import ParameterLayout
from poolwise.design import Design
from poolwise.design.structures.coupled_terms import map_of


def map_variances(design: Design, layout: ParameterLayout, theta: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Name and draws of `sd_bym2(...)` and `share_bym2(...)`, for each map that has independent effects beside it.

    Parameters
    ----------
    theta : (..., d) unconstrained draws; what is given back is (...).
    """
    neighbours = [
        (one.text, one.predictor, layout.smoothing_parameter(theta, f"sd_{one.name}"))
        for one in design.structures
        if map_of(one.text)
    ]
    neighbours += [
        (one.name, "", layout.sd(theta, one.name)[..., 0])
        for one in design.factors
        if one.coupling is not None and map_of(one.name)
    ]
    for text, predictor, spatial in neighbours:
        column, table = map_of(text) or ("", "")
        own = _independent(design, layout, theta, column, predictor)
        if own is None:
            continue
        written = column if column.isidentifier() else f"`{column}`"
        name = f"{predictor}_" * bool(predictor) + f"bym2({written}, {table!r})"
        total = np.hypot(spatial, own)
        yield f"sd_{name}", total
        yield f"share_{name}", (spatial / total) ** 2


def _independent(
    design: Design, layout: ParameterLayout, theta: np.ndarray, column: str, predictor: str
) -> np.ndarray | None:
    """The sd of the intercepts that vary by a column, independently, and nothing else beside them."""
    intercept = f"{predictor}_" * bool(predictor) + "Intercept"
    for factor in design.factors:
        if factor.keys != (column,) or factor.coupling is not None:
            continue
        mine = np.flatnonzero(factor.part_of(predictor))
        if [factor.coefficients[k] for k in mine] == [intercept]:
            return np.asarray(layout.sd(theta, factor.name)[..., mine[0]])
    return None
