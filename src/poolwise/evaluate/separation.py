"""Separation: predictors that tell zeros from ones without error, so that only the prior bounds a coefficient."""

from __future__ import annotations

import numpy as np

from poolwise.inference.posterior import Model

_MOST = 50_000  # rows; looking takes a linear programme of that size


def separated(model: Model) -> list[str]:
    """A sentence where a direction of the common coefficients separates successes from failures (Konis 2007).

    The linear programme asks for coefficients b between -1 and 1 with x b >= 0 in every row with only successes,
    x b <= 0 in every row with only failures and x b = 0 in the others, that are not zero in all rows (Albert and
    Anderson 1984).
    """
    observations = model.observations
    if observations is None or not model.design.coefficients or len(observations.y) > _MOST:
        return []
    if not model.family.whole:
        return []
    if model.family.scale.links.get("logit") is None:
        return _separated_counts(model)
    share = observations.y / np.maximum(observations.trials, 1e-300)
    sign = np.where(share >= 1, 1.0, np.where(share <= 0, -1.0, 0.0))
    if np.all(sign == 1) or np.all(sign == -1):
        what = "success" if sign[0] == 1 else "failure"
        return [f"Every outcome is a {what}: how likely the other one is rests on the priors alone."]
    x, names = _columns(model)
    if "Intercept" in names:
        x = x - np.where(np.array(names) == "Intercept", 0.0, x.mean(axis=0))
    x = x / np.maximum(np.abs(x).max(axis=0), 1e-300)
    kept = list(range(len(names)))
    if not _separates(x, sign):
        return []
    for k in reversed(range(len(names))):  # those without which the others separate too have no part in it
        fewer = [other for other in kept if other != k]
        if fewer and _separates(x[:, fewer], sign):
            kept = fewer
    slopes = [names[k] for k in kept if names[k] != "Intercept"] or [names[k] for k in kept]
    what = f"{slopes[0]} separates" if len(slopes) == 1 else f"Together, {', '.join(slopes)} separate"
    return [
        f"{what} successes from failures without error in the rows that tell: the likelihood rises forever along that "
        "direction, and how large the coefficients are rests on their priors alone. Narrower priors say what is "
        "plausible: priors={'slopes': pw.Normal(0, 1)}."
    ]


def _separated_counts(model: Model) -> list[str]:
    """The same for counts: a direction along which only rows with zero counts move (Correia et al. 2019)."""
    observations = model.observations
    assert observations is not None
    sign = np.where(observations.y > 0, 0.0, -1.0)
    x, names = _columns(model)
    if not _separates(x, sign):
        return []
    kept = list(range(len(names)))
    for k in reversed(range(len(names))):
        fewer = [other for other in kept if other != k]
        if fewer and _separates(x[:, fewer], sign):
            kept = fewer
    slopes = [names[k] for k in kept if names[k] != "Intercept"] or [names[k] for k in kept]
    what = f"{slopes[0]} marks" if len(slopes) == 1 else f"Together, {', '.join(slopes)} mark"
    return [
        f"{what} rows whose counts are all zero: the likelihood rises forever along that direction, and how large the "
        "coefficients are rests on their priors alone. Narrower priors say what is plausible: "
        "priors={'slopes': pw.Normal(0, 1)}."
    ]


def _columns(model: Model) -> tuple[np.ndarray, list[str]]:
    """Columns (n, p) of the coefficients of the mean, scaled, and their names; but those of smooth terms."""
    observations, design = model.observations, model.design
    assert observations is not None
    plain = [
        (of, name)
        for of, name, away in zip(design.predictors, design.coefficients, design.penalised, strict=True)
        if not away
    ]
    mean = [k for k, (of, _) in enumerate(plain) if not of]
    written = np.linalg.solve(observations.to_written.T, observations.columns)
    x, names = written[mean].T, [plain[k][1] for k in mean]
    return x / np.maximum(np.abs(x).max(axis=0), 1e-300), names


def _separates(x: np.ndarray, sign: np.ndarray) -> bool:
    """Whether some direction is on the right side of every row, and not at zero in all; `sign` 0 asks for zero."""
    from scipy.optimize import linprog

    ends, middle = sign != 0, sign == 0
    if not ends.any():
        return False
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
    return found.status == 0 and found.x is not None and float(found.x @ sided.sum(axis=0)) > 1e-6
