"""A model and its answers in words and formulas."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from poolwise.design.factors import Factor
from poolwise.design.required_columns import needed_columns
from poolwise.design.structures import Structure
from poolwise.families import is_listed
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.output.report.effects import effects, listed, means, odds_of, sizes, spread
from poolwise.output.report.location import located
from poolwise.output.report.terms import terms_of


def question(posterior: Posterior) -> str:
    """What the formula asks."""
    model, design = posterior.model, posterior.model.design
    terms = [term for of in means(model) for term in terms_of(posterior, of)]
    names = list(dict.fromkeys(name for term in terms for name in sorted(term.variables)))
    asked = f"How does {design.response} depend on {listed(names)}" if names else f"How large is {design.response}"
    groups = dict.fromkeys(f"the {len(factor.levels):,} groups of {_grouping(factor)}" for factor in design.factors)
    return f"{asked}, and how do {listed(list(groups))} differ?" if groups else f"{asked}?"


def answers(posterior: Posterior) -> list[str]:
    """A sentence for each effect and each spread between groups, with 90% intervals."""
    if posterior.model.pooling is Pooling.SEPARATE:
        return ["Every group is a regression of its own: nothing is said of groups that were not seen."]
    return [*sizes(posterior), *effects(posterior), *_depending(posterior), *_spreads(posterior), *_noise(posterior)]


def _depending(posterior: Posterior) -> Iterator[str]:
    """Which other parameters depend on predictors."""
    model = posterior.model
    for parameter in model.family.parameters:
        if parameter.name in means(model):
            continue
        names = sorted({name for term in terms_of(posterior, parameter.name) for name in term.variables})
        if names:
            scale = _on_scale(posterior, parameter.name)
            yield f"Its {parameter.name} depends on {listed(names)}: the coefficients are in the table{scale}."


def _spreads(posterior: Posterior) -> Iterator[str]:
    """How much groups differ, and on which scale."""
    if posterior.theta is None:
        return
    for factor in posterior.model.design.factors:
        sd = posterior.model.priors.layout.sd(posterior.theta, factor.name)
        curves = {one.name for one in factor.structures}
        for k, effect in _written(factor.effects, factor.structures).items():
            of = factor.predictors[k]
            if effect in curves:
                term = f"({effect} | {factor.name})"
                yield f"Groups of {_grouping(factor)} differ in {effect}: fit.smooth_term({term!r}) has it."
                continue
            what, (mean, low, high) = varying(posterior, effect, of, "s"), spread(sd[..., k])
            yield (
                f"Between groups of {_grouping(factor)} the {what} have a standard deviation of {mean} "
                f"({low} to {high}){_on_scale(posterior, of)}."
            )


def varying(posterior: Posterior, effect: str, of: str, plural: str = "") -> str:
    """The level or effect that differs between groups, and of what."""
    model, name = posterior.model, effect.removeprefix(f"{of}_") if of else effect
    what = f"level{plural}" if name == "Intercept" else f"effect{plural} of {name}"
    if not of and model.link.name == "identity" and model.family.located == "mean of {}":
        return what
    moved = f"the {located(model).format(model.design.response)}"
    if of:
        moved = f"the {odds_of(model, of)}" if of in means(model) else of
    return f"{what} {'of' if name == 'Intercept' else 'on'} {moved}"


def _on_scale(posterior: Posterior, of: str) -> str:
    link = "log" if of and posterior.model.family.repeated else _link(posterior, of)
    return "" if link == "identity" else f" on the {link} scale"


def _link(posterior: Posterior, of: str) -> str:
    """Name of the link of a linear predictor."""
    model = posterior.model
    if not of:
        return model.link.name
    return next(each.scale.link(None, model.family.name).name for each in model.family.parameters if each.name == of)


def _noise(posterior: Posterior) -> Iterator[str]:
    """How single outcomes scatter."""
    model = posterior.model
    if not model.sampled:
        of = "" if model.encoding.weights is None else f" where {model.encoding.weights} is 1"
        yield f"Single outcomes scatter around that with a standard deviation of {spread(posterior.sigma)[0]}{of}."
        return
    for name, values in posterior.dispersions.items():
        yield f"The {name} of the {model.family.name} family is {spread(values)[0]}."


def _grouping(factor: Factor) -> str:
    """What the groups are those of, without the parameter whose effects differ between them."""
    of = set(factor.predictors)
    return factor.name.removeprefix(f"{of.pop()}_") if len(of) == 1 and "" not in of else factor.name


def model_in_words(posterior: Posterior) -> str:
    """The model in a paragraph."""
    design = posterior.model.design
    if posterior.model.pooling is Pooling.SEPARATE:
        return f"One regression for each group of {design.factors[0].name}, each fitted to its own rows alone."
    if not design.factors:
        return "One regression for all rows: what group a row belongs to plays no part (complete pooling)."
    parts = []
    for factor in design.factors:
        places = _written(factor.effects, factor.structures)
        names = [varying(posterior, effect, factor.predictors[k]) for k, effect in places.items()]
        joint = ", which may go together" if factor.correlated else ""
        parts.append(f"Every group of {_grouping(factor)} has its own {listed(names)}{joint}")
    return (
        f"{'. '.join(parts)}. The groups are not fitted alone: each is drawn towards the others, the more so the less "
        "its own rows say (partial pooling). How strongly is learnt from the data."
    )


def formula_lines(posterior: Posterior) -> list[str]:
    """The model as statements of distributions."""
    design = posterior.model.design
    separate = posterior.model.pooling is Pooling.SEPARATE
    own = f", {design.factors[0].name}" if separate else ""
    curves = {one.name for one in design.structures}
    mean = [
        name if name in curves else f"β[{name}{own}]" + ("" if name == "Intercept" else f"·{name}")
        for k, name in _written(design.coefficients, design.structures).items()
        if not design.predictors[k]
    ]
    spreads = []
    if not separate:
        for factor in design.factors:
            group = factor.name
            mean += [
                _group_term(factor, effect)
                for k, effect in _written(factor.effects, factor.structures).items()
                if not factor.predictors[k]
            ]
            joint = "correlated" if factor.correlated else "independent"
            spreads.append(f"u[{group}] ~ Normal(0, sd_{group})" + (f", {joint}" if len(factor.effects) > 1 else ""))
    mean += [f"offset({text})" for text in design.formula.offsets]
    if posterior.model.sampled:
        return _sampled_lines(posterior, " + ".join(mean), spreads)
    sigma = f"σ[{design.factors[0].name}]" if separate else "σ"
    noise = sigma if posterior.model.encoding.weights is None else f"{sigma} / √{posterior.model.encoding.weights}"
    return [f"{design.response} ~ Normal(μ, {noise})", f"μ = {' + '.join(mean) or '0'}", *spreads]


def _group_term(factor: Factor, effect: str) -> str:
    """What an effect of a group adds."""
    if effect == "Intercept":
        return f"u[{factor.name}]"
    curve = any(effect == one.name for one in factor.structures)
    return f"u[{factor.name}, {effect}]" + ("" if curve else f"·{effect}")


def _written(names: tuple[str, ...], structures: tuple[Structure, ...]) -> dict[int, str]:
    """Names of columns by position, the columns of a structured term being one entry, with its name."""
    of = {place: one.name for one in structures for place in (*one.null, *one.places)}
    first = {of.get(k, name): k for k, name in reversed(list(enumerate(names)))}
    return {k: name for name, k in reversed(first.items())}


def _sampled_lines(posterior: Posterior, mean: str, spreads: list[str]) -> list[str]:
    """The same for a family that is sampled."""
    model = posterior.model
    design, family = model.design, model.family
    scales = {each.name: each.scale.link(None, family.name).name for each in family.parameters}
    inside = ", ".join((["trials"] if family.trials else []) + ["μ", *(_with_weights(model, name) for name in scales)])
    link = "μ" if model.link.name == "identity" else f"{model.link.name}(μ)"
    lines = [f"{design.response} ~ {family.name}({inside})", f"{link} = {mean or '0'}"]
    for of, formula in design.formula.further:
        written = _written(design.coefficients, design.structures)
        terms = [f"β[{name}]" for k, name in written.items() if design.predictors[k] == of]
        terms += [f"u[{factor.name}]" for factor in design.factors if factor.part_of(of).any()]
        lines.append(f"{scales[of]}({of}) = {' + '.join(terms)}, for {formula.text}")
    return [*lines, *spreads]


def _with_weights(model: Model, parameter: str) -> str:
    """A parameter as rows have it: known errors by their column, and what weights divide."""
    weights, errors = model.encoding.weights, model.design.formula.known_errors
    if weights is None or parameter != model.family.precise:
        return parameter
    return weights if errors else f"{parameter} / √{weights}"


def limits(posterior: Posterior, notes: list[str]) -> list[str]:
    """What a reader must know before trusting the page."""
    model, said = posterior.model, list(notes)
    if not posterior.certificate.passed:
        said.insert(0, f"The draws are not certified: {posterior.certificate.advice}")
    if model.data.dropped:
        said.append(f"{model.data.dropped:,} rows with missing values were left out.")
    for factor in model.design.factors:
        rows = np.bincount(factor.codes, model.statistics.counts, len(factor.levels))
        few = int(np.sum(rows < 3))
        if few:
            said.append(f"{few:,} of {len(rows):,} groups of {_grouping(factor)} have fewer than three rows.")
    assumed = f"{_assumed(model)}, and effects to be {_linear(model)}"
    said.append(f"{assumed}; intervals hold under the model, not beyond it.")
    if model.encoding.weights is not None and not model.family.precise:
        said.append(f"A row counts as often as its {model.encoding.weights} says.")
    said.append("Nothing here says what causes what: coefficients compare rows, they do not change them.")
    return said


def _assumed(model: Model) -> str:
    """What outcomes are taken to be."""
    weights, formula = model.encoding.weights, model.design.formula
    if formula.known_errors:
        beside = " beside a residual" if formula.residual else ""
        return f"Outcomes are taken to be {model.family.name} with the known standard errors {weights}{beside}"
    root = "" if weights is None or not model.family.precise else f", divided by the root of {weights}"
    if model.sampled:
        precise = f" with their {model.family.precise}{root}" if root else ""
        return f"Outcomes are taken to be {model.family.name}{precise}"
    each = " for each group" if model.pooling is Pooling.SEPARATE else ""
    return f"Residuals are taken to be Normal with one standard deviation{each}{root}"


def _linear(model: Model) -> str:
    """Which effects are taken to be linear, and on which scale."""
    structures = [*model.design.structures, *(one for factor in model.design.factors for one in factor.structures)]
    curves = list(dict.fromkeys(one.text for one in structures))
    scale = "" if model.link.name == "identity" else f" on the {model.link.name} scale"
    return f"linear{scale}" + (f" but for {listed(curves)}" if curves else "")


def reproduction(posterior: Posterior) -> str:
    """Code that fits the same model again, with the versions, the seed and a fingerprint of the data."""
    import platform
    from importlib.metadata import version

    model = posterior.model
    given = ", ".join(f"{name!r}: pw.{prior!r}" for name, prior in model.given.items())
    said_already = model.design.formula.weights is not None
    weights = f", weights={model.encoding.weights!r}" if model.encoding.weights and not said_already else ""
    settings = f"priors={{{given}}}, draws={posterior.draws}, chains={posterior.chains}, seed={posterior.seed}"
    own, what = _own(posterior)
    formulas: str | list[str] = model.design.formula.text
    if model.design.formula.further:
        formulas = [part.strip() for part in model.design.formula.text.split(";")]
    named = repr(model.family.name) if is_listed(model.family) else "..."
    family = f", family={named}, link={model.link.name!r}" if model.sampled else ""
    sampler = "" if posterior.sampler == "auto" else f", sampler={posterior.sampler!r}"
    call = f"fit = pw.fit({formulas!r}, data{family}{weights}{own}, {settings}{sampler})"
    if model.pooling is Pooling.SEPARATE:
        by = model.design.factors[0].name
        call = f"fit = pw.compare_pooling({formulas!r}, by={by!r}, data=data{family}{own}, {settings}).separate"
    return (
        f"import poolwise as pw\n\n{call}\n\n{what}"
        f"# poolwise {version('poolwise')}, Python {platform.python_version()}, NumPy {np.__version__}\n"
        f"# {model.statistics.rows:,} rows; fingerprint of their statistics: {fingerprint(posterior)}"
    )


def _own(posterior: Posterior) -> tuple[str, str]:
    """Arguments that hold what a script cannot: tables, functions and a family of the user; and what to give there."""
    model, formula = posterior.model, posterior.model.design.formula
    found = {"tables": list(formula.tables), "functions": list(formula.functions)}
    arguments = "".join(
        f", {name}={{{', '.join(f'{key!r}: ...' for key in keys)}}}" for name, keys in found.items() if keys
    )
    needed = needed_columns(formula, model.encoding.weights).columns
    columns = listed(list(dict.fromkeys((*needed, *model.encoding.keys))))
    said = [f"data has the columns {columns}; of those that are in tables of groups=, these tables are wanted too"]
    if arguments or not is_listed(model.family):
        said.append("in the place of each ... stands what the fit was given")
    return arguments, "".join(f"# {line}\n" for line in said)


def fingerprint(posterior: Posterior) -> str:
    """Sixteen hexadecimal digits that depend on the statistics of the data."""
    statistics = posterior.model.statistics
    found = hashlib.sha256()
    for array in (statistics.counts, statistics.weights, statistics.means, statistics.scatter, statistics.origin):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
