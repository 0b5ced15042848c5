"""The same model as code for other systems: one file for each."""

from __future__ import annotations

from collections.abc import Callable

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
    design = posterior.model.design
    if design.structures or any(factor.coupling is not None or factor.structures for factor in design.factors):
        raise DataError("Models with smooth and other structured terms are not translated.")
    return SYSTEMS[system](posterior)
