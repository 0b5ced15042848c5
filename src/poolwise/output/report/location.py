"""What the location of an outcome is, in words: its mean, its median, another quantile."""

from __future__ import annotations

from poolwise.inference.posterior import Model

_NAMED = {("quantile", 0.5): "median"}


def located(model: Model) -> str:
    """What coefficients of a fit are of, `{}` being the outcome: a parameter that names it has its value beside it."""
    text, fixed = model.family.located, dict(model.design.formula.fixed)
    for each in model.family.parameters:
        value = fixed.get(each.name, each.fixed)
        if each.name in text.split() and isinstance(value, (int, float)) and each.name not in model.design.predictors:
            text = text.replace(each.name, _NAMED.get((each.name, float(value)), f"{value:g} {each.name}"))
    return text
