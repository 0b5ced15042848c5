"""Priors of the thresholds between ordered categories, as additions to what brms writes.

brms has priors on thresholds, here they are on the first and on what lies between it and the others. Both are densities
of the same size: the change of variables has determinant one.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolwise.density.priors import is_intercept
from poolwise.inference.posterior import Model
from poolwise.output.translate.brms_priors import distribution
from poolwise.output.translate.common import of_predictor
from poolwise.priors import CoefficientPrior, Prior
from poolwise.support.errors import DataError


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What thresholds add to a script.

    Attributes
    ----------
    names : of the parameters that are thresholds in brms.
    coefficients : names of the coefficients that are.
    priors : instead of those of brms.
    densities : additions to its code.
    """

    names: tuple[str, ...] = ()
    coefficients: tuple[str, ...] = ()
    priors: tuple[str, ...] = ()
    densities: tuple[str, ...] = ()


def found_in(model: Model) -> Thresholds:
    """The thresholds of a model, none where its family has none.

    Raises
    ------
    DataError : where thresholds depend on predictors, in other ways than by `cs(...)`.
    """
    family, priors = model.family, model.priors
    if not family.ordered:
        return Thresholds()
    further = [name for name, _ in model.design.formula.further]
    gaps = [each.name for each in family.parameters if each.name in priors.dispersions]
    shifts = [name for name in family.thresholds if name in further]
    for name in (
        *shifts,
        *(each.name for each in family.parameters if each.prior is not None and each.name in further),
    ):
        if len(of_predictor(model, name)) != 1 or any(name in each.predictors for each in model.design.factors):
            raise DataError(f"brms has no formula of '{name}'. Translate to PyMC.")
    equidistant = gaps == ["gap"]
    first = "first_Intercept" if equidistant else "Intercept[1]"
    densities = []
    for k in of_predictor(model, ""):
        if is_intercept(priors.names[k]):
            # brms has its thresholds where predictors have their means.
            moved = "" if priors.centred[k] or len(of_predictor(model, "")) == 1 else " - dot_product(means_X, b)"
            densities.append(_density(f"-{first}{moved}", priors.coefficients[k]))
    if not equidistant:
        ends = enumerate(gaps, start=2)
        densities += [_density(f"Intercept[{k}] - Intercept[{k - 1}]", priors.dispersions[name]) for k, name in ends]
        for k, name in enumerate(shifts, start=2):
            own = priors.coefficients[of_predictor(model, name)[0]]
            densities.append(_density(f"Intercept[{k}] - Intercept[1]", own))
    kept = () if equidistant else tuple(gaps)
    flat = 'prior("", class = "Intercept")'
    return Thresholds((*kept, *shifts), ("Intercept",), (flat,), tuple(densities))


def _density(of: str, prior: Prior | CoefficientPrior) -> str:
    name, numbers = distribution(prior).rstrip(")").split("(")
    return f'stanvar(block = "model", scode = "target += {name}_lpdf({of} | {numbers});")'
