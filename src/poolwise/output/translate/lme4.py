"""lme4: the same formula; a point estimate without priors."""

from __future__ import annotations

from poolwise.inference.posterior import Posterior
from poolwise.output.translate.common import header, in_r
from poolwise.support.errors import DataError


def lme4(posterior: Posterior) -> str:
    """A script for lme4 (or `lm`, for a fit without groups), whose estimates are those of flat priors.

    Raises
    ------
    DataError : for functions that R does not share, and for other families than the normal.
    """
    model = posterior.model
    if model.sampled:
        raise DataError("as_code('lme4') speaks of the normal family: lmer has no other, and glmer has few of these.")
    text = in_r(model, "lme4")
    weights = "" if model.encoding.weights is None else f", weights = {model.encoding.weights}"
    call = f"lmer({text}, data = data{weights})" if model.design.factors else f"lm({text}, data = data{weights})"
    after = "fixef(fit)\nVarCorr(fit)" if model.design.factors else "coef(fit)\nsigma(fit)"
    return (
        f"{header(model, 'the same design; lme4 has no priors')}\nlibrary(lme4)\n\n"
        f'data <- read.csv("data.csv", stringsAsFactors = TRUE, check.names = FALSE)\nfit <- {call}\n{after}\n'
    )
