"""brms: the formula as it is, and every prior."""

from __future__ import annotations

import re
from collections.abc import Container

import numpy as np

from poolwise.formula import Formula
from poolwise.inference.posterior import Model, Posterior
from poolwise.output.translate import brms_outcome, brms_thresholds
from poolwise.output.translate.brms_priors import distribution
from poolwise.output.translate.categories import read_in_r
from poolwise.output.translate.common import (
    IN_R,
    bars_of,
    brms_coefficient,
    check_functions,
    header,
    in_r_spelling,
    number,
    of_predictor,
    own_column,
    own_name,
    quoted_in_r,
    refuse_centred_slopes,
    refuse_weights,
)
from poolwise.output.translate.families import Brms, elsewhere
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
    if model.family.precise and not model.design.formula.known_errors:
        refuse_weights(model, "brms")
    refuse_centred_slopes(model, "brms")
    check_functions(model, "brms", IN_R)
    statements, priors, formulas = brms_outcome.columns(model), [], []
    thresholds = brms_thresholds.found_in(model)
    for name, formula in model.design.formula.predictors:
        if name in thresholds.names:
            continue
        text, columns, renamed = _at_centre(model, name, _right(formula))
        statements += columns
        lines, text = _of_predictor(model, name, text, renamed, skipped=thresholds.coefficients)
        priors += lines
        # All categories have the formula of the mean.
        if not model.family.repeated:
            formulas.append(f"{_parameter(model, name) or brms_outcome.left(model)} ~ {text}")
        elif len(formulas) == 0 and name:
            formulas.append(f"{brms_outcome.left(model)} ~ {text}")
    for group, cor in {_group(model, name): cor for name, cor in model.priors.correlation.items()}.items():
        priors.append(f'prior(lkj({number(cor.eta)}), class = "cor", group = "{group}")')
    for name, prior in model.priors.dispersions.items():
        if name not in thresholds.names:
            priors.append(f'prior({distribution(prior)}, class = "{_parameter(model, name)}")')
    priors += thresholds.priors
    formulas += [
        f"{name} = {number(value)}"
        for name, value in model.design.formula.fixed
        if name not in family.unknown and not (model.design.formula.known_errors and name == "sigma")
    ]
    joined, whole = ",\n  ".join(priors), formulas[0]
    if len(formulas) > 1:
        whole = "bf(" + ",\n  ".join(formulas) + ")"
    added = [*(["weibull_functions"] if family.helper else []), *thresholds.densities]
    extra = ",\n  stanvars = " + " +\n    ".join(added) if added else ""
    note = f"# {family.note}\n" if family.note else ""
    return (
        f"{header(model)}{note}\nlibrary(brms)\n\n"
        f"{read_in_r(model)}{statements}{family.helper}"
        f"priors <- c(\n  {joined}\n)\n"
        f"fit <- brm({whole},\n  data = data{_called(model, family)}, prior = priors{extra},\n"
        f"  chains = {posterior.chains}, iter = {2 * posterior.draws}, seed = 1)\nsummary(fit)\n"
    )


def _called(model: Model, family: Brms) -> str:
    """The family as an argument."""
    if not model.sampled:
        return ""
    if family.helper:
        return f", family = {family.function}"
    equidistant = ', threshold = "equidistant"' if "delta" in family.parameters.values() else ""
    return f', family = {family.function}(link = "{model.link.name}"{equidistant})'


def _check_family(model: Model, family: Brms) -> None:
    """Refuse what brms has in another sense, or cannot say of groups."""
    formula = model.design.formula
    if formula.specific:
        raise DataError(
            "In brms each category has its own effect of a term in cs(...); here there are differences to the first, "
            "whose priors cannot be said there. Translate to PyMC."
        )
    if family.unlike:
        raise DataError(f"This model cannot be translated to brms: {family.unlike}. Translate to PyMC.")
    for name, _ in formula.further:
        if name in family.without_formula:
            raise DataError(
                f"brms has another link for '{name}' than the log, so that its formula says something else."
            )
    for name, only in family.unknown.items():
        given = dict(formula.fixed).get(name)
        if only is not None and given != only:
            raise DataError(
                f"brms has no parameter '{name}': add '{name} = {number(only)}' to the formulas to translate the model."
            )
    for key in formula.keys:
        if quoted_in_r(key) != key:
            raise DataError(f"brms takes plain names of grouping columns only: rename '{key}' to translate the model.")
    known = dict(formula.additions)
    if "status" in known and known.keys() & {"lb", "ub"}:
        raise DataError(
            "In brms a censored outcome may also lie outside of the bounds of trunc(), so that its density is another. "
            "Translate to PyMC."
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


def _right(formula: Formula) -> str:
    """The right side of a formula in R's spelling."""
    known = [f"offset({text})" for text in formula.offsets]
    return in_r_spelling(" + ".join([formula.common, *map(str, formula.bars), *known]))


def _of_predictor(
    model: Model, predictor: str, text: str, renamed: dict[tuple[str, str], str], skipped: Container[str]
) -> tuple[list[str], str]:
    """Priors of the coefficients and spreads in a linear predictor, and its right side as these need it."""
    priors, lines = model.priors, []
    of = f', dpar = "{_parameter(model, predictor)}"' if predictor else ""
    own = of_predictor(model, predictor)
    if not dict(model.design.formula.predictors)[predictor].constant:
        if any("[" in priors.names[k] for k in own):
            raise DataError(f"Make indicators of the categories in '{predictor} ~ {text}' to translate it to brms.")
        bars = dict(model.design.formula.predictors)[predictor].bars
        text = " + ".join(["0", *(in_r_spelling(own_name(priors.names[k], predictor)) for k in own), *map(str, bars)])
    for k in own:
        name, prior = own_name(priors.names[k], predictor), distribution(priors.coefficients[k])
        if priors.names[k] in skipped:
            continue
        if name == "Intercept" and priors.centred[k]:
            lines.append(f'prior({prior}, class = "Intercept"{of})')  # brms centres its predictors too
            continue
        lines.append(f'prior({prior}, class = "b", coef = "{brms_coefficient(name)}"{of})')
        if name == "Intercept" and len(own) > 1:
            # brms puts the prior of its own intercept at the predictors' means; as a coefficient it stays at zero.
            text = f"0 + Intercept + {text.removeprefix('1 + ')}"
        elif name == "Intercept":
            lines[-1] = f'prior({prior}, class = "Intercept"{of})'
    for factor in model.design.factors:
        places = priors.layout.places(factor.name)
        for effect, mine, scale in zip(factor.effects, factor.predictors, priors.sd[places], strict=True):
            if mine == predictor:
                plain = own_name(effect, predictor)
                name = renamed.get((factor.name, effect), brms_coefficient(plain))
                group = _group(model, factor.name)
                lines.append(f'prior({distribution(scale)}, class = "sd", group = "{group}", coef = "{name}"{of})')
    return lines, text


def _parameter(model: Model, name: str) -> str:
    """What brms calls a parameter: those of categories without signs."""
    if model.family.repeated:
        return re.sub(r"[\W_]", "", name)
    return elsewhere(model.family).brms.parameters.get(name, name)


def _at_centre(model: Model, predictor: str, text: str) -> tuple[str, str, dict[tuple[str, str], str]]:
    """The right side of a formula, its bars on columns of their own where priors are at the mean of every predictor.

    Also the statements that make these columns, and their names by factor and effect.
    """
    statements, renamed, at = "", {}, 0
    for k, factor in enumerate(model.design.factors):
        q = len(factor.effects)
        moved = model.priors.from_stated[at : at + q, at : at + q]
        at += q
        if predictor not in factor.predictors or np.array_equal(moved, np.eye(q)):
            continue
        if len(set(factor.predictors)) > 1:
            raise DataError(
                f"Priors of effects by '{factor.name}' that several formulas share are at the mean of every predictor: "
                "give priors={'sd': ...} at the fit, or centre the predictors, to translate it to brms."
            )
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
            name = own_column(model, f"centred{k}{i}")
            renamed[factor.name, effect] = name
            statements += f"data${name} <- Z[, {i + 1}]\n"
            names.append(name)
        effects = " + ".join(names if "1" in names else ["0", *names])
        text = text.replace(in_r_spelling(str(bars[0])), f"({effects} | {bars[0].factor})")
    return text, statements, renamed
