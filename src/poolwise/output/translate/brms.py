"""brms: the formula as it is, and every prior."""

from __future__ import annotations

import numpy as np

from poolwise.formula import Formula
from poolwise.inference.posterior import Model, Posterior
from poolwise.output.translate.common import (
    IN_R,
    bars_of,
    brms_coefficient,
    check_functions,
    column_of_response,
    header,
    in_r_spelling,
    number,
    of_predictor,
    own_name,
    quoted_in_r,
    refuse_centred_slopes,
    refuse_weights,
)
from poolwise.output.translate.families import Brms, elsewhere
from poolwise.priors import Exponential, Gamma, HalfCauchy, HalfNormal, HalfStudentT, Normal, Prior, StudentT
from poolwise.support.errors import DataError


def brms(posterior: Posterior) -> str:
    """A script for brms.

    Raises
    ------
    DataError : for functions that R does not share, for weights that mean something else there, and for families that
        brms lacks or has in another sense.
    """
    model = posterior.model
    family = elsewhere(model.family).brms
    _check_family(model, family)
    if model.family.precise:
        refuse_weights(model, "brms")
    refuse_centred_slopes(model, "brms")
    check_functions(model, "brms", IN_R)
    statements, priors, formulas = _outcome_columns(model), [], []
    for name, formula in model.design.formula.predictors:
        text, columns, renamed = _at_centre(model, name, _right(formula))
        statements += columns
        lines, text = _of_predictor(model, name, text, renamed)
        priors += lines
        formulas.append(f"{name or _left(model)} ~ {text}")
    for group, cor in {_group(model, name): cor for name, cor in model.priors.correlation.items()}.items():
        priors.append(f'prior(lkj({number(cor.eta)}), class = "cor", group = "{group}")')
    for name, prior in model.priors.dispersions.items():
        priors.append(f'prior({_distribution(prior)}, class = "{name}")')
    joined, whole = ",\n  ".join(priors), formulas[0]
    if len(formulas) > 1:
        whole = "bf(" + ",\n  ".join(formulas) + ")"
    called = "" if not model.sampled else f', family = {family.function}(link = "{model.link.name}")'
    note = f"# {family.note}\n" if family.note else ""
    return (
        f"{header(model)}{note}\nlibrary(brms)\n\n"
        'data <- read.csv("data.csv", stringsAsFactors = TRUE, check.names = FALSE)\n'
        f"{statements}"
        f"priors <- c(\n  {joined}\n)\n"
        f"fit <- brm({whole},\n  data = data{called}, prior = priors, chains = {posterior.chains}, "
        f"iter = {2 * posterior.draws}, seed = 1)\nsummary(fit)\n"
    )


def _check_family(model: Model, family: Brms) -> None:
    """Refuse what brms has in another sense, or cannot say of groups."""
    if family.unlike:
        raise DataError(f"This model cannot be translated to brms: {family.unlike}. Translate to PyMC.")
    for name, _ in model.design.formula.further:
        if name in family.without_formula:
            raise DataError(
                f"brms has another link for '{name}' than the log, so that its formula says something else."
            )
    etas: dict[str, float] = {}
    for factor, cor in model.priors.correlation.items():
        if etas.setdefault(_group(model, factor), cor.eta) != cor.eta:
            raise DataError(
                f"brms has one prior for all correlations by '{_group(model, factor)}'; give them the same."
            )


def _group(model: Model, factor: str) -> str:
    """What brms calls the group of a factor, in whichever formula it stands."""
    return ":".join(model.design.factor(factor).keys)


def _left(model: Model) -> str:
    """The outcome, its trials and its weights."""
    response, weights = in_r_spelling(model.design.response), model.encoding.weights
    added = (["trials(trials)"] if model.family.trials else []) + ([f"weights({weights})"] if weights else [])
    return f"{response} | {' + '.join(added)}" if added else response


def _right(formula: Formula) -> str:
    """The right side of a formula in R's spelling."""
    known = [f"offset({text})" for text in formula.offsets]
    return in_r_spelling(" + ".join([formula.common, *map(str, formula.bars), *known]))


def _outcome_columns(model: Model) -> str:
    """Statements for the number of trials, and for zeros and ones of two labels."""
    said, column = "", column_of_response(model)
    if model.family.trials:
        said += f"data$trials <- with(data, {in_r_spelling(str(model.design.formula.trials))})\n"
    if model.encoding.labels and column:
        said += (
            f'data${quoted_in_r(column)} <- as.integer(data${quoted_in_r(column)} == "{model.encoding.labels[1]}")\n'
        )
    return said


def _of_predictor(
    model: Model, predictor: str, text: str, renamed: dict[tuple[str, str], str]
) -> tuple[list[str], str]:
    """Priors of the coefficients and spreads in a linear predictor, and its right side as these need it."""
    priors, lines = model.priors, []
    of = f', dpar = "{predictor}"' if predictor else ""
    own = of_predictor(model, predictor)
    for k in own:
        name, prior = own_name(priors.names[k], predictor), _distribution(priors.coefficients[k])
        if name == "Intercept" and priors.centred[k]:
            lines.append(f'prior({prior}, class = "Intercept"{of})')  # brms centres its predictors too
            continue
        lines.append(f'prior({prior}, class = "b", coef = "{brms_coefficient(name)}"{of})')
        if name == "Intercept" and len(own) > 1:
            # brms puts the prior of its own intercept at the predictors' means; as a coefficient it stays at zero.
            text = f"0 + Intercept + {text.removeprefix('1 + ')}"
        elif name == "Intercept":
            lines[-1] = f'prior({prior}, class = "Intercept"{of})'
    for (factor, effect), scale in zip(priors.layout.effects, priors.sd, strict=True):
        if model.design.factor(factor).predictor == predictor:
            name = renamed.get((factor, effect), brms_coefficient(effect))
            group = _group(model, factor)
            lines.append(f'prior({_distribution(scale)}, class = "sd", group = "{group}", coef = "{name}"{of})')
    return lines, text


def _at_centre(model: Model, predictor: str, text: str) -> tuple[str, str, dict[tuple[str, str], str]]:
    """The right side of a formula, its bars on columns of their own where priors are at the mean of every predictor.

    Also the statements that make these columns, and their names by factor and effect.
    """
    statements, renamed, at = "", {}, 0
    for k, factor in enumerate(model.design.factors):
        q = len(factor.effects)
        moved = model.priors.from_stated[at : at + q, at : at + q]
        at += q
        if factor.predictor != predictor or np.array_equal(moved, np.eye(q)):
            continue
        bars = bars_of(model, factor)
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
        case Gamma():
            return f"gamma({number(prior.shape)}, {number(prior.rate)})"
    raise DataError(f"brms has no {type(prior).__name__}.")
