"""Bambi: independent effects only, which it writes `(x | g)`."""

from __future__ import annotations

import re

from poolwise.inference.posterior import Posterior
from poolwise.output.translate.common import (
    check_functions,
    header,
    needed,
    number,
    refuse_centred_slopes,
    refuse_weights,
)
from poolwise.priors import Exponential, HalfCauchy, HalfNormal, HalfStudentT, Normal, Prior, StudentT
from poolwise.support.errors import DataError


def bambi(posterior: Posterior) -> str:
    """A script for Bambi: `build(data)` makes the model.

    Raises
    ------
    DataError : for correlated effects and for weights, which Bambi does not have in this sense.
    """
    model = posterior.model
    design, priors = model.design, model.priors
    refuse_weights(model, "Bambi")
    refuse_centred_slopes(model, "Bambi")
    check_functions(model, "Bambi", frozenset({"C"}))
    lines: list[str] = []
    terms: dict[str, list[Prior]] = {}
    for name, prior in zip(design.coefficients, priors.coefficients, strict=True):
        terms.setdefault(_term(name, design.formula.text), []).append(prior)
    for name, several in terms.items():
        lines.append(f"        {name!r}: {_several(name, several)},")
    bars = []
    for factor in design.factors:
        if factor.correlated:
            raise DataError(
                "Bambi has no correlated group effects (its issue 702): translate to PyMC, or fit "
                f"({_left(factor.effects)} || {factor.name})."
            )
        bars.append(f"({_left(factor.effects)} | {factor.name})")
        for effect, scale in zip(factor.effects, priors.sd[priors.layout.places(factor.name)], strict=True):
            label = f"{'1' if effect == 'Intercept' else effect}|{factor.name}"
            lines.append(f"        {label!r}: bmb.Prior('Normal', mu=0, sigma={_distribution(scale)}),")
    lines.append(f"        'sigma': {_distribution(priors.sigma)},")
    offsets = [f"offset({text})" for text in design.formula.offsets]
    formula = f"{design.formula.response} ~ {' + '.join([design.formula.common, *offsets, *bars])}"
    # Where a default prior is on the value at the predictors' means, Bambi's own centring puts it there.
    centred = any(priors.centred)
    return "\n".join(
        [
            header(model),
            "import bambi as bmb\nimport pandas as pd\n\n",
            "def build(data):",
            f"    data = data.dropna(subset={needed(model)!r})",
            *(f"    data = data.assign(**{{{key!r}: data[{key!r}].astype(str)}})" for key in model.encoding.keys),
            "    priors = {",
            *lines,
            "    }",
            f"    return bmb.Model({formula!r}, data, priors=priors, center_predictors={centred})",
            "",
            "",
            'if __name__ == "__main__":',
            '    model = build(pd.read_csv("data.csv"))',
            f"    draws = model.fit(draws={posterior.draws}, chains={posterior.chains}, random_seed=1)",
            "    print(draws)",
            "",
        ]
    )


def _left(effects: tuple[str, ...]) -> str:
    parts = ["1" if effect == "Intercept" else effect for effect in effects]
    return " + ".join(parts if "1" in parts else ["0", *parts])


def _term(coefficient: str, formula: str) -> str:
    """The term of a coefficient, as Bambi names it: `z[T.b]:x` belongs to `z:x`.

    Raises
    ------
    DataError : for an interaction that the formula spells in another order: its prior would be lost without a word.
    """
    term = re.sub(r"\[[^\]]*\]", "", coefficient)
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
    raise TypeError(f"Bambi has no {type(prior).__name__}")
