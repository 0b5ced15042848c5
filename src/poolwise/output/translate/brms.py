"""brms: the formula as it is, and every prior."""

from __future__ import annotations

import numpy as np

from poolwise.inference.posterior import Model, Posterior
from poolwise.output.translate.common import (
    brms_coefficient,
    header,
    in_r,
    in_r_spelling,
    number,
    refuse_centred_slopes,
    refuse_weights,
)
from poolwise.priors import Exponential, HalfCauchy, HalfNormal, HalfStudentT, Normal, Prior, StudentT
from poolwise.support.errors import DataError


def brms(posterior: Posterior) -> str:
    """A script for brms.

    Raises
    ------
    DataError : for functions that R does not share, and for weights, which mean something else there.
    """
    model = posterior.model
    design, priors = model.design, model.priors
    refuse_weights(model, "brms")
    refuse_centred_slopes(model, "brms")
    text, columns, renamed = _at_centre(model, in_r(model, "brms"))
    lines = []
    for k, (name, prior) in enumerate(zip(design.coefficients, priors.coefficients, strict=True)):
        if name == "Intercept" and priors.centred[k]:
            lines.append(f'prior({_distribution(prior)}, class = "Intercept")')  # brms centres its predictors too
        else:
            lines.append(f'prior({_distribution(prior)}, class = "b", coef = "{brms_coefficient(name)}")')
    if "Intercept" in design.coefficients and not priors.centred[design.coefficients.index("Intercept")]:
        # brms puts the prior of an intercept of its own at the predictors' means; as a coefficient it stays at zero.
        left, right = text.split("~", 1)
        text = f"{left.strip()} ~ 0 + Intercept + {right.strip()}"
    for (group, effect), scale in zip(priors.layout.effects, priors.sd, strict=True):
        name = renamed.get((group, effect), brms_coefficient(effect))
        lines.append(f'prior({_distribution(scale)}, class = "sd", group = "{group}", coef = "{name}")')
    for group, cor in priors.correlation.items():
        lines.append(f'prior(lkj({number(cor.eta)}), class = "cor", group = "{group}")')
    lines.append(f'prior({_distribution(priors.sigma)}, class = "sigma")')
    joined = ",\n  ".join(lines)
    return (
        f"{header(model)}\nlibrary(brms)\n\n"
        'data <- read.csv("data.csv", stringsAsFactors = TRUE, check.names = FALSE)\n'
        f"{columns}"
        f"priors <- c(\n  {joined}\n)\n"
        f"fit <- brm({text},\n  data = data, prior = priors, chains = {posterior.chains}, "
        f"iter = {2 * posterior.draws}, seed = 1)\nsummary(fit)\n"
    )


def _at_centre(model: Model, text: str) -> tuple[str, str, dict[tuple[str, str], str]]:
    """The formula with bars whose priors speak of effects at the mean of every predictor, on columns made for them.

    Also the statements that make these columns, and their names by factor and effect.
    """
    statements, renamed, at = "", {}, 0
    for k, factor in enumerate(model.design.factors):
        q = len(factor.effects)
        moved = model.priors.from_stated[at : at + q, at : at + q]
        at += q
        bars = [bar for bar in model.design.formula.bars if set(bar.keys) == set(factor.keys)]
        if np.array_equal(moved, np.eye(q)):
            continue
        if len(bars) > 1:
            raise DataError(f"Write one bar for the effects by '{factor.name}' to translate it to brms.")
        left = in_r_spelling(bars[0].effects)
        rows = ", ".join(f"{value:.17g}" for value in moved.ravel())
        statements += (
            f"# Priors of effects by {factor.name} are at the mean of every predictor: columns that are zero there.\n"
            f"Z <- model.matrix(~ {left}, data) %*% matrix(c({rows}), {q}, byrow = TRUE)\n"
        )
        names = []
        for i, effect in enumerate(factor.effects):
            if effect == "Intercept":
                names.append("1")
                continue
            renamed[factor.name, effect] = f"centred{k}{i}"
            statements += f"data$centred{k}{i} <- Z[, {i + 1}]\n"
            names.append(f"centred{k}{i}")
        effects = " + ".join(names if "1" in names else ["0", *names])
        text = text.replace(in_r_spelling(str(bars[0])), f"({effects} | {bars[0].factor})")
    return text, statements, renamed


def _distribution(prior: Prior) -> str:
    """A prior as Stan writes it; those of scales are cut at zero by brms."""
    match prior:
        case Normal():
            return f"normal({number(prior.mean)}, {number(prior.sd)})"
        case StudentT():
            return f"student_t({number(prior.df)}, {number(prior.mean)}, {number(prior.scale)})"
        case HalfNormal():
            return f"normal(0, {number(prior.sd)})"
        case HalfCauchy():
            return f"cauchy(0, {number(prior.scale)})"
        case HalfStudentT():
            return f"student_t({number(prior.df)}, 0, {number(prior.scale)})"
        case Exponential():
            return f"exponential({number(prior.rate)})"
    raise DataError(f"brms has no {type(prior).__name__}.")
