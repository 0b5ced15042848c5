"""Bambi: independent effects only, which it writes `(x | g)`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from poolwise.families import LOGIT
from poolwise.formula import Formula
from poolwise.inference.posterior import Model, Posterior
from poolwise.output.translate.categories import HELPER, categories_of, in_python, read_in_python
from poolwise.output.translate.common import (
    CATEGORY,
    check_functions,
    column_of_response,
    header,
    needed,
    number,
    of_predictor,
    own_column,
    own_name,
    refuse_centred_slopes,
    refuse_weights,
)
from poolwise.output.translate.families import Bambi, elsewhere
from poolwise.priors import (
    CoefficientPrior,
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    Normal,
    Prior,
    StudentT,
)
from poolwise.support.errors import DataError


def bambi(posterior: Posterior) -> str:
    """A script for Bambi: `build(data)` makes the model.

    Raises
    ------
    DataError : for correlated effects, for weights, which Bambi does not have in this sense, and for families and links
        that it lacks or has in another sense.
    """
    model = posterior.model
    family = elsewhere(model.family).bambi
    _check_family(model, family)
    refuse_weights(model, "Bambi")
    refuse_centred_slopes(model, "Bambi")
    check_functions(model, "Bambi", frozenset({"C"}))
    categories = {each.name for each in categories_of(model)}
    priors, formulas = [], []
    for name, formula in model.design.formula.predictors:
        theirs = family.parameters[name] if name else _response(model)
        lines, right = _of_predictor(model, name, formula, -1.0 if name in family.turned else 1.0)
        if name:
            lines = [f"        {theirs!r}: {{", *(f"    {line}" for line in lines), "        },"]
        priors += lines
        formulas.append(f"{theirs} ~ {right}")
    for name, prior in model.priors.dispersions.items():
        priors.append(f"        {family.parameters[name]!r}: {_distribution(prior)},")
    whole = repr(formulas[0]) if len(formulas) == 1 else f"bmb.Formula({', '.join(map(repr, formulas))})"
    asked = ""
    if model.sampled:
        links = {family.parent: model.link.name}
        for of, _ in model.design.formula.further:
            parameter = next(one for one in model.family.parameters if one.name == of)
            links[family.parameters[of]] = parameter.scale.link(None, of).name
        asked = f", family={family.name!r}, link={links!r}"
    # Where a default prior is on the value at the predictors' means, Bambi's own centring puts it there.
    centred = any(model.priors.centred)
    return "\n".join(
        [
            header(model),
            "import bambi as bmb\nimport pandas as pd\n",
            *([HELPER] if categories else []),
            "",
            "def build(data):",
            f"    data = data.dropna(subset={needed(model)!r})",
            *(
                f"    data = data.assign(**{{{key!r}: data[{key!r}].astype(str)}})"
                for key in model.encoding.keys
                if key not in categories
            ),
            # Bambi sorts the labels of categories that do not say that they are ordered.
            *in_python(model, ordered=True),
            *_outcome_columns(model),
            "    priors = {",
            *priors,
            "    }",
            f"    return bmb.Model({whole}, data{asked}, priors=priors, center_predictors={centred})",
            "",
            "",
            'if __name__ == "__main__":',
            f"    model = build({read_in_python(model)})",
            f"    draws = model.fit(draws={posterior.draws}, chains={posterior.chains}, random_seed=1)",
            "    print(draws)",
            "",
        ]
    )


_LINKS = frozenset({"identity", "logit", "log", "probit", "cloglog", "inverse"})  # of the mean, that Bambi has
_OF_PROBABILITY = frozenset({"p"})  # parents whose link cannot be the log


def _check_family(model: Model, family: Bambi) -> None:
    formula = model.design.formula
    if family.unlike:
        raise DataError(f"This model cannot be translated to Bambi: {family.unlike}. Translate to PyMC.")
    link = model.link.name
    if link not in _LINKS or (link == "log" and (family.parent in _OF_PROBABILITY or model.family.scale is LOGIT)):
        raise DataError(f"Bambi has no link '{link}' of its family '{family.name}'; translate to PyMC.")
    if formula.known_errors:
        raise DataError("Bambi has no known standard errors; translate to brms or PyMC.")
    for name, _ in formula.fixed:
        raise DataError(f"Bambi cannot fix '{name}' at a value; translate to PyMC.")
    known = dict(formula.additions)
    if known.keys() - {"status"} or (known and model.family.whole):
        raise DataError("Bambi has no intervals, no censored counts, and other bounds than these; translate to PyMC.")
    for factor in model.design.factors:
        if len(set(factor.predictors)) > 1:
            raise DataError(f"Bambi has no effects by '{factor.name}' that several formulas share; translate to PyMC.")


def _response(model: Model) -> str:
    """The left side; successes among trials and censored outcomes as Bambi writes them."""
    response = model.design.response
    if "status" in dict(model.design.formula.additions):
        return f"censored({response}, {own_column(model, 'status')})"
    return f"p({response}, {own_column(model, 'trials')})" if model.family.trials else response


def _outcome_columns(model: Model) -> list[str]:
    """Statements for the number of trials, and for zeros and ones of two labels."""
    said, column, formula = [], column_of_response(model), model.design.formula
    if (status := dict(formula.additions).get("status")) is not None:
        words = "{0: 'none', 1: 'right', -1: 'left', False: 'none', True: 'right'}"
        codes = f"data[{status!r}]" if status.isidentifier() else f"data.eval({status!r})"
        mine = own_column(model, "status")
        said.append(f"    data = data.assign({mine}={codes}.map(lambda value: {words}.get(value, value)))")
    if model.family.trials:
        count = (
            repr(int(formula.fixed_trials)) if formula.fixed_trials is not None else f"data.eval({formula.trials!r})"
        )
        said.append(f"    data = data.assign({own_column(model, 'trials')}={count})")
    if model.encoding.labels and column:
        label = model.encoding.labels[1]
        said.append(f"    data = data.assign(**{{{column!r}: (data[{column!r}] == {label!r}).astype(int)}})")
    return said


def _of_predictor(model: Model, predictor: str, formula: Formula, sign: float) -> tuple[list[str], str]:
    """Priors of a linear predictor, which may be of one less our probability, and its right side."""
    priors, lines = model.priors, []
    categories = [each.name for each in categories_of(model)]
    terms: dict[str, list[Prior]] = {}
    for k in of_predictor(model, predictor):
        prior = priors.coefficients[k]
        term = _as_columns(_term(own_name(priors.names[k], predictor), formula.text), categories)
        terms.setdefault(term, []).append(prior if sign > 0 else _turned(prior))
    for name, several in terms.items():
        lines.append(f"        {name!r}: {_several(name, several)},")
    bars = []
    for factor in (one for one in model.design.factors if one.predictor == predictor):
        keys = ":".join(factor.keys)
        if factor.correlated:
            raise DataError(
                "Bambi has no correlated group effects (its issue 702): translate to PyMC, or fit "
                f"({_left(factor.effects)} || {keys})."
            )
        scales: dict[str, list[Prior]] = {}
        for effect, scale in zip(factor.effects, priors.sd[priors.layout.places(factor.name)], strict=True):
            scales.setdefault(_as_columns(CATEGORY.sub("", effect), categories), []).append(scale)
        bars.append(f"({_left(tuple(scales))} | {keys})")
        for effect, mine in scales.items():
            if any(scale != mine[0] for scale in mine):
                raise DataError(f"Bambi takes one prior for the sds of all categories of '{effect}' by '{keys}'.")
            label = f"{'1' if effect == 'Intercept' else effect}|{keys}"
            lines.append(f"        {label!r}: bmb.Prior('Normal', mu=0, sigma={_distribution(mine[0])}),")
    offsets = [f"offset({text})" for text in formula.offsets]
    return lines, " + ".join([_as_columns(formula.common, categories), *offsets, *bars])


def _as_columns(text: str, categories: Iterable[str]) -> str:
    """A formula or term with `z` for `C(z)` where the script makes `z` a category: Bambi's `C(z)` sorts the labels."""
    for name in categories:
        text = re.sub(rf"(?<![\w.])C\(\s*(`{re.escape(name)}`|{re.escape(name)})\s*\)", r"\1", text)
    return text


def _turned(prior: CoefficientPrior) -> Prior:
    """The prior of a coefficient with the other sign."""
    if isinstance(prior, StudentT):
        return StudentT(prior.df, 0.0 - prior.mean, prior.scale)
    return Normal(0.0 - prior.location, prior.width)


def _left(effects: tuple[str, ...]) -> str:
    parts = ["1" if effect == "Intercept" else effect for effect in effects]
    return " + ".join(parts if "1" in parts else ["0", *parts])


def _term(coefficient: str, formula: str) -> str:
    """The term of a coefficient, as Bambi names it: `z[T.b]:x` belongs to `z:x`.

    Raises
    ------
    DataError : for an interaction that the formula spells in another order: its prior would be lost without a word.
    """
    term = CATEGORY.sub("", coefficient)
    plain = formula.replace(" ", "")
    if ":" in term and not any(term.replace(":", sign) in plain for sign in ":*"):
        raise DataError(f"Write the interaction '{term}' of '{formula}' as {term.replace(':', ' * ')} to translate it.")
    return term


def _several(name: str, priors: list[Prior]) -> str:
    """One prior for all columns of a categorical term."""
    if len(set(priors)) > 1 and not all(isinstance(prior, Normal) for prior in priors):
        raise DataError(f"Bambi takes one prior for all categories of '{name}'.")
    first = priors[0]
    if all(prior == first for prior in priors):
        return _distribution(first)
    normals = [prior for prior in priors if isinstance(prior, Normal)]
    means, sds = (
        [number(value) for value in values] for values in ([p.mean for p in normals], [p.sd for p in normals])
    )
    return f"bmb.Prior('Normal', mu=[{', '.join(means)}], sigma=[{', '.join(sds)}])"


def _distribution(prior: Prior) -> str:
    match prior:
        case Normal():
            return f"bmb.Prior('Normal', mu={number(prior.mean)}, sigma={number(prior.sd)})"
        case StudentT():
            numbers = f"nu={number(prior.df)}, mu={number(prior.mean)}, sigma={number(prior.scale)}"
            return f"bmb.Prior('StudentT', {numbers})"
        case HalfNormal():
            return f"bmb.Prior('HalfNormal', sigma={number(prior.sd)})"
        case HalfCauchy():
            return f"bmb.Prior('HalfCauchy', beta={number(prior.scale)})"
        case HalfStudentT():
            return f"bmb.Prior('HalfStudentT', nu={number(prior.df)}, sigma={number(prior.scale)})"
        case Exponential():
            return f"bmb.Prior('Exponential', lam={number(prior.rate)})"
        case Gamma():
            return f"bmb.Prior('Gamma', alpha={number(prior.shape)}, beta={number(prior.rate)})"
    raise TypeError(f"Bambi has no {type(prior).__name__}")
