"""Separation: predictors that tell zeros from ones without error, so that only the prior bounds a coefficient."""

from __future__ import annotations

import numpy as np

from poolwise.posterior import Model

_MOST = 50_000  # rows; looking takes a linear programme of that size


def separated(model: Model) -> list[str]:
    """A sentence where a direction of the common coefficients separates successes from failures (Konis 2007).

    The linear programme asks for coefficients b between -1 and 1 with x b >= 0 in every row with only successes,
    x b <= 0 in every row with only failures and x b = 0 in the others, that are not zero in all rows (Albert and
    Anderson 1984).
    """
    observations, design = model.observations, model.design
    if observations is None or not model.design.coefficients or len(observations.y) > _MOST:
        return []
    if model.family.scale.links.get("logit") is None or not model.family.whole:
        return []
    from scipy.optimize import linprog

    share = observations.y / np.maximum(observations.trials, 1e-300)
    x = observations.columns.T
    sign = np.where(share >= 1, 1.0, np.where(share <= 0, -1.0, 0.0))
    ends, middle = sign != 0, sign == 0
    if not ends.any():
        return []
    sided = x[ends] * sign[ends, None]
    found = linprog(
        -sided.sum(axis=0),
        A_ub=-sided,
        b_ub=np.zeros(int(ends.sum())),
        A_eq=x[middle] if middle.any() else None,
        b_eq=np.zeros(int(middle.sum())) if middle.any() else None,
        bounds=[(-1.0, 1.0)] * x.shape[1],
        method="highs",
    )
    if (
        found.status != 0
        or found.x is None
        or float(found.x @ sided.sum(axis=0)) < 1e-6 * max(float(np.abs(sided).max()), 1e-300)
    ):
        return []
    named = [name for name, weight in zip(design.coefficients, found.x, strict=True) if abs(weight) > 1e-7]
    slopes = [name for name in named if name != "Intercept"] or named
    what = f"{slopes[0]} separates" if len(slopes) == 1 else f"Together, {', '.join(slopes)} separate"
    return [
        f"{what} successes from failures without error in the rows that tell: the likelihood rises forever along that "
        "direction, and how large the coefficients are rests on their priors alone. Narrower priors say what is "
        "plausible: priors={'slopes': pw.Normal(0, 1)}."
    ]
