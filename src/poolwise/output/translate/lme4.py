"""lme4: the same formula; a point estimate without priors."""

from __future__ import annotations

from poolwise.design.required_columns import effects_part
from poolwise.inference.posterior import Model, Posterior
from poolwise.output.translate.categories import read_in_r
from poolwise.output.translate.common import IN_R, check_functions, header, in_r_spelling, quoted_in_r
from poolwise.support.errors import DataError


def lme4(posterior: Posterior) -> str:
    """A script for lme4 (or `lm`, for a fit without groups), whose estimates are those of flat priors.

    Raises
    ------
    DataError : for functions that R does not share, for independent effects of one term that lme4 would correlate, and
        for other families than the normal.
    """
    model = posterior.model
    if model.sampled:
        raise DataError("as_code('lme4') speaks of the normal family: lmer has no other, and glmer has few of these.")
    check_functions(model, "lme4", IN_R)
    _check_bars(model)
    right = model.design.formula.text.split("~", 1)[1].strip()
    text = in_r_spelling(f"{model.design.formula.response} ~ {right}")  # weights on the left are an argument there
    weights = "" if model.encoding.weights is None else f", weights = {quoted_in_r(model.encoding.weights)}"
    call = f"lmer({text}, data = data{weights})" if model.design.factors else f"lm({text}, data = data{weights})"
    after = "fixef(fit)\nVarCorr(fit)" if model.design.factors else "coef(fit)\nsigma(fit)"
    return (
        f"{header(model, 'the same design; lme4 has no priors')}\nlibrary(lme4)\n\n"
        f"{read_in_r(model)}fit <- {call}\n{after}\n"
    )


def _check_bars(model: Model) -> None:
    """Refuse `(z || g)` of a term with several columns: lme4 takes it for `(1 | g) + (0 + z | g)`."""
    formula = model.design.formula
    for bar in formula.bars:
        names = getattr(model.encoding.specs, effects_part("", formula, bar)).column_names
        if not bar.correlated and any("[" in str(name) for name in names):
            raise DataError(
                f"In lme4 the columns of one term in '{bar}' are correlated, here they are independent: make columns "
                "of the data of them, such as indicators of categories, to translate the model."
            )
