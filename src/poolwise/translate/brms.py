"""brms: the formula as it is, and every prior."""

from __future__ import annotations

from poolwise.errors import DataError
from poolwise.posterior import Posterior
from poolwise.priors import Exponential, HalfCauchy, HalfNormal, HalfStudentT, Normal, Prior, StudentT
from poolwise.translate.common import brms_coefficient, header, in_r, number, refuse_weights


def brms(posterior: Posterior) -> str:
    """A script for brms.

    Raises
    ------
    DataError : for functions that R does not share, and for weights, which mean something else there.
    """
    model = posterior.model
    design, priors = model.design, model.priors
    refuse_weights(model, "brms")
    text = in_r(model, "brms")
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
        lines.append(
            f'prior({_distribution(scale)}, class = "sd", group = "{group}", coef = "{brms_coefficient(effect)}")'
        )
    for group, cor in priors.correlation.items():
        lines.append(f'prior(lkj({number(cor.eta)}), class = "cor", group = "{group}")')
    lines.append(f'prior({_distribution(priors.sigma)}, class = "sigma")')
    joined = ",\n  ".join(lines)
    return (
        f"{header(model)}\nlibrary(brms)\n\n"
        'data <- read.csv("data.csv", stringsAsFactors = TRUE, check.names = FALSE)\n'
        f"priors <- c(\n  {joined}\n)\n"
        f"fit <- brm({text},\n  data = data, prior = priors, chains = {posterior.chains}, "
        f"iter = {2 * posterior.draws}, seed = 1)\nsummary(fit)\n"
    )


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
