"""The same model as code for other systems: one file for each."""

from __future__ import annotations

from collections.abc import Callable

from poolwise.design.factors import Factor
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.output.translate.bambi import bambi
from poolwise.output.translate.brms import brms
from poolwise.output.translate.lme4 import lme4
from poolwise.output.translate.pymc import pymc
from poolwise.support.errors import DataError, suggest

SYSTEMS: dict[str, Callable[[Posterior], str]] = {"pymc": pymc, "bambi": bambi, "brms": brms, "lme4": lme4}


def as_code(posterior: Posterior, system: str) -> str:
    """A script that fits the model of a posterior in another system, to rows in `data.csv`.

    Raises
    ------
    DataError : for an unknown system, for separate regressions, or for something that the system cannot express.
    """
    if system not in SYSTEMS:
        raise DataError(f"There is no translation for '{system}'. {suggest(str(system), SYSTEMS)}")
    if posterior.model.pooling is Pooling.SEPARATE:
        raise DataError("Separate regressions are many models; translate the partially pooled fit.")
    _check_expressible(posterior, system)
    return SYSTEMS[system](posterior)


def _check_expressible(posterior: Posterior, system: str) -> None:
    """Refuse what no translation has words for yet."""
    formula, family = posterior.model.design.formula, posterior.model.family
    said = {
        "categories": family.labels,
        "censored, truncated or chosen outcomes": formula.additions,
        "parameters at a given value": formula.fixed,
        "smooth terms": posterior.model.design.structures,
        "effects that several formulas share": [one for one in posterior.model.design.factors if _is_shared(one)],
    }
    for what, found in said.items():
        if found:
            raise DataError(f"Models with {what} are not translated to {system}.")


def _is_shared(factor: Factor) -> bool:
    return len(set(factor.predictors)) > 1
