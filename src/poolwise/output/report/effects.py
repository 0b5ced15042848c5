"""What coefficients say of the outcome, one sentence each, with 90% intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from poolwise.evaluate.explain import is_indicator
from poolwise.families import locations
from poolwise.inference.posterior import Model, Posterior
from poolwise.output.report.location import located
from poolwise.output.report.terms import Term, terms_of
from poolwise.support.digits import beside


@dataclass(frozen=True, slots=True)
class Scale:
    """What a linear predictor is the scale of.

    Attributes
    ----------
    subject : what coefficients move, with its verb.
    multiplied : whether a coefficient multiplies it, by its exponential, and is not added to it.
    """

    subject: str
    multiplied: bool


def listed(names: list[str]) -> str:
    """Names as a sentence has them."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def spread(draws: np.ndarray, middle: float | None = None) -> tuple[str, str, str]:
    """The mean of draws, or another middle, and the ends of their 90% interval, with digits that tell the interval."""
    low, high = np.quantile(draws, [0.05, 0.95])
    found = (float(draws.mean()) if middle is None else middle, float(low), float(high))
    return tuple(beside(value, found[2] - found[1], 3) for value in found)  # type: ignore[return-value]


def means(model: Model) -> tuple[str, ...]:
    """The linear predictors that have the formula of the mean: one, or one for each category but the first."""
    return model.family.predictors[1:] if model.family.repeated else ("",)


def outcome_of(model: Model) -> str:
    """What is expected of a row: the outcome, or its share of trials."""
    return f"share of {model.design.response}" if model.family.trials else model.design.response


def odds_of(model: Model, predictor: str) -> str:
    """The odds whose log the linear predictor of a category is."""
    labels = model.family.labels
    label = labels[model.family.predictors.index(predictor)]
    return f"odds of {model.design.response} being {label} instead of {labels[0]}"


def effects(posterior: Posterior) -> Iterator[str]:
    """A sentence for each coefficient of the mean that says something alone, and one for those that do not."""
    opaque: list[Term] = []
    for predictor in means(posterior.model):
        terms, scale = terms_of(posterior, predictor), _scale(posterior, predictor)
        for term in terms:
            where = _where(term, terms)
            if term.structure is not None:
                yield from _of_structure(posterior, term, scale)
            elif where is None or not _says_something(term, alone=not predictor):
                opaque.append(term)
            elif term.whole:
                yield from _of_levels(posterior, term, terms)
            else:
                for k, level in zip(term.places, term.levels or term.columns, strict=True):
                    yield _effect(posterior.beta[..., k], scale, f"{_change(posterior, term, level)}{where}")
    yield from _of_opaque(opaque)


def _of_opaque(terms: list[Term]) -> Iterator[str]:
    """A sentence for the terms of the same variables, or of some of these, of which no coefficient says much."""
    together = dict.fromkeys(term.variables for term in terms)
    for variables in together:
        if any(variables < other for other in together):
            continue
        names = sorted(variables)
        texts = list(dict.fromkeys(term.text for term in terms if term.variables <= variables))
        verb, where = "does" if len(names) == 1 else "do", "" if texts == names else f" in {listed(texts)}"
        averages = f"pw.avg_comparisons(fit, {names}) has averages over rows"
        yield f"No coefficient alone says what {listed(names)} {verb}{where}: {averages}."


def sizes(posterior: Posterior) -> Iterator[str]:
    """How large the outcome is for the average group, where the mean has an intercept and no predictors."""
    model = posterior.model
    if set(model.design.coefficients) >= {_intercept(of) for of in means(model)} and not any(
        terms_of(posterior, of) for of in means(model)
    ):
        yield from _size(posterior, {of: _constant(posterior, of) for of in means(model)}, "")


def _intercept(predictor: str) -> str:
    return f"{predictor}_Intercept" if predictor else "Intercept"


def _constant(posterior: Posterior, predictor: str) -> np.ndarray:
    return posterior.beta[..., posterior.model.design.coefficients.index(_intercept(predictor))]


def _of_levels(posterior: Posterior, term: Term, terms: tuple[Term, ...]) -> Iterator[str]:
    """How large the outcome is in each category of a term, beside which there is no intercept."""
    others = [other for other in terms if other is not term]
    rest = " and all other predictors are 0 or in their first category" if others else ""
    for k, level in zip(term.places, term.levels, strict=True):
        yield from _size(posterior, {"": posterior.beta[..., k]}, f" where {term.text} is {level}{rest}")


def _size(posterior: Posterior, predictors: dict[str, np.ndarray], where: str) -> Iterator[str]:
    """The location at linear predictors where it has a name, and the expected outcome where that can be told."""
    model, family = posterior.model, posterior.model.family
    where = (" of the average group" if model.design.factors else "") + where
    if model.design.formula.offsets:
        where += f" where {listed(list(model.design.formula.offsets))} is 0"
    others = _others(posterior) if not family.repeated else list(predictors.values())
    location = locations(model.link, predictors[""]) if not family.repeated else np.zeros(posterior.beta.shape[:2])
    if family.labels and others is not None:
        shares = {label: spread(value(location, *others)) for label, value in family.quantities.items()}
        said = [f"{mean} ({low} to {high}) for {label}" for label, (mean, low, high) in shares.items()]
        yield f"The probabilities of {model.design.response}{where} are {listed(said)}."
        return
    named = family.expected is not None or (family.location and not family.trials)
    if named:
        mean, low, high = spread(np.asarray(family.scale.mean(location)))
        yield f"The {located(model).format(model.design.response)}{where} is {mean} ({low} to {high})."
    if not named or (family.expected is not None and others is not None and not family.quantities):
        drawn = family.expectation(family.scale.mean(location), tuple(others or ()))
        mean, low, high = spread(np.asarray(drawn))
        yield f"The expected {outcome_of(model)}{where} is {mean} ({low} to {high})."


def _others(posterior: Posterior) -> list[np.ndarray] | None:
    """Draws of the other parameters on their scales in the average group; None where they depend on predictors."""
    model, design = posterior.model, posterior.model.design
    fixed, found = model.family.fixed(design.formula.fixed), []
    for name in model.family.predictors[1:]:
        formula = dict(design.formula.further).get(name)
        mine = [k for k, of in enumerate(design.predictors) if of == name]
        if [design.coefficients[k] for k in mine] not in ([], [_intercept(name)]) or (formula and formula.offsets):
            return None
        drawn = posterior.beta[..., mine].sum(axis=-1) + fixed.get(name, 0.0)
        found.append(np.log(posterior.dispersions[name]) if name in posterior.dispersions else drawn)
    return found


def _scale(posterior: Posterior, predictor: str) -> Scale:
    """What the linear predictor of the mean moves, or that of a category."""
    model = posterior.model
    family, link, outcome = model.family, model.link.name, model.design.response
    if predictor:
        return Scale(f"The {odds_of(model, predictor)} are", True)
    what = located(model).format(outcome)
    if family.odds and link == "logit" and (not family.ordered or _proportional(posterior)):
        return Scale(f"The odds of {family.odds.format(outcome)} are", True)
    if family.ordered:
        return Scale(f"The {what} on the scale of the {link} link is", False)
    if family.odds and link == "cloglog":
        return Scale(f"The hazard of {family.odds.format(outcome)} is", True)
    if link in ("identity", "log"):
        return Scale(f"The {what} is", link == "log")
    return Scale(f"The {link} of the {what} is", False)


def _proportional(posterior: Posterior) -> bool:
    """Whether a step of the location multiplies the odds at every threshold alike, and by no other factor."""
    family, formula = posterior.model.family, posterior.model.design.formula
    values = dict(formula.fixed)
    usual = all(values.get(each.name) == each.fixed for each in family.parameters if each.fixed is not None)
    return usual and _others(posterior) is not None


def _says_something(term: Term, *, alone: bool) -> bool:
    """Whether a coefficient of a term is a difference, or a level; of categories that have several predictors levels
    are none `alone`."""
    return term.is_number or term.reference is not None or (term.whole and alone)


def _where(term: Term, terms: tuple[Term, ...]) -> str | None:
    """Where the coefficients of a term hold, products with others being zero there; None where no such place is."""
    if len(term.factors) > 1:
        return None
    places = []
    for other in terms:
        if other is term or not other.variables & term.variables:
            continue
        if term.text not in other.factors or other.structure is not None:
            return None
        for text in other.factors:
            by_itself = next((one for one in terms if one.factors == (text,)), None)
            if text == term.text:
                continue
            if by_itself is None or not (by_itself.is_number or by_itself.reference is not None):
                return None
            places.append(f"{text} at {by_itself.reference if by_itself.labels else 0}")
    return f" with {listed(list(dict.fromkeys(places)))}" if places else ""


def _change(posterior: Posterior, term: Term, level: str) -> str:
    """What is compared: a unit more of a number, or one category with the one left out."""
    if term.levels:
        return f"where {term.text} is {level} instead of {term.reference}"
    if is_indicator(posterior.model.statistics, level):
        return f"where {level} is 1 instead of 0"
    return f"for one unit more of {level}"


def _of_structure(posterior: Posterior, term: Term, scale: Scale) -> Iterator[str]:
    structure = term.structure
    assert structure is not None
    if structure.simplex:
        steps = posterior.beta[..., list(structure.places)].mean(axis=-1)
        yield _effect(steps, scale, f"for one step more of {structure.text}, on average over its steps")
    else:
        of_levels = "columns" in structure.learnt(posterior.model.encoding.specs)  # without an order: no curve
        has = "its parameters are in the table" if of_levels else f"fit.smooth_term({structure.name!r}) has it"
        yield f"What {structure.text} adds is no single number: {has}."


def _effect(draws: np.ndarray, scale: Scale, change: str) -> str:
    """What a change does, with a 90% interval."""
    low, high = np.quantile(draws, [0.05, 0.95])
    sure = "" if low > 0 or high < 0 else " Its sign is open."
    if scale.multiplied:
        times, least, most = spread(np.exp(draws), float(np.exp(np.median(draws))))
        return f"{scale.subject} multiplied by {times} {change}, all else equal (90% interval {least} to {most}).{sure}"
    side, sign = ("lower", -1.0) if draws.mean() < 0 else ("higher", 1.0)
    _, least, most = spread(draws)
    size, _, _ = spread(sign * draws)
    return (
        f"{scale.subject} {side} by {size} {change}, all else equal "
        f"(90% interval of the difference {least} to {most}).{sure}"
    )
