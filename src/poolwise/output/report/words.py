"""A model and its answers in words and formulas."""

from __future__ import annotations

import hashlib

import numpy as np

from poolwise.evaluate.explain import is_indicator
from poolwise.families import locations
from poolwise.inference.posterior import Pooling, Posterior


def question(posterior: Posterior) -> str:
    """What the formula asks."""
    design = posterior.model.design
    slopes = [name for name in design.coefficients if name != "Intercept"]
    asked = f"How does {design.response} depend on {_listed(slopes)}" if slopes else f"How large is {design.response}"
    groups = [f"the {len(factor.levels):,} groups of {factor.name}" for factor in design.factors]
    return f"{asked}, and how do {_listed(groups)} differ?" if groups else f"{asked}?"


def answers(posterior: Posterior) -> list[str]:
    """One sentence for each slope and each spread between groups, with 90% intervals."""
    design, said = posterior.model.design, []
    if posterior.model.pooling is Pooling.SEPARATE:
        return ["Every group is a regression of its own: nothing is said of groups that were not seen."]
    if design.coefficients == ("Intercept",):
        said.append(_size(posterior))
    for k, name in enumerate(design.coefficients):
        if name != "Intercept" and not design.predictors[k]:
            said.append(_effect(posterior, k))
    for factor in design.factors:
        if posterior.theta is None:
            continue
        sd = posterior.model.priors.layout.sd(posterior.theta, factor.name)
        for k, effect in enumerate(factor.effects):
            low, high = np.quantile(sd[..., k], [0.05, 0.95])
            what = "levels" if effect == "Intercept" else f"effects of {effect}"
            said.append(
                f"Between groups of {factor.name} the {what} have a standard deviation of {sd[..., k].mean():.3g} "
                f"({low:.3g} to {high:.3g})."
            )
    if not posterior.model.sampled:
        said.append(f"Single outcomes scatter around that with a standard deviation of {posterior.sigma.mean():.3g}.")
    else:
        said += [
            f"The {name} of the {posterior.model.family.name} family is {values.mean():.3g}."
            for name, values in posterior.dispersions.items()
        ]
    return said


def _change(posterior: Posterior, name: str) -> str:
    """What is compared: a unit more of a number, or one category with the first one."""
    if not is_indicator(posterior.model.statistics, name):
        return f"for one unit more of {name}"
    if name in posterior.model.encoding.variables:
        return f"where {name} is 1 instead of 0"
    return f"for {name}, compared with the first category"


def _size(posterior: Posterior) -> str:
    """How large the outcome is for the average group, on its own scale."""
    model = posterior.model
    drawn = np.asarray(model.family.scale.mean(locations(model.link, posterior.beta[..., 0])))
    low, high = np.quantile(drawn, [0.05, 0.95])
    of = " of the average group" if model.design.factors else ""
    return f"The expected {model.design.response}{of} is {drawn.mean():.3g} ({low:.3g} to {high:.3g})."


_FACTORS = {"logit": "The odds of {} are", "cloglog": "The hazard of {} is", "log": "The expected {} is"}


def _effect(posterior: Posterior, k: int) -> str:
    """What one unit of a predictor does to the mean, with a 90% interval."""
    model, draws = posterior.model, posterior.beta[..., k]
    low, high = np.quantile(draws, [0.05, 0.95])
    change, outcome = f"{_change(posterior, model.design.coefficients[k])}, all else equal", model.design.response
    sure = "" if low > 0 or high < 0 else " Its sign is open."
    link = model.link.name
    if model.sampled and link in _FACTORS:
        return (
            f"{_FACTORS[link].format(outcome)} multiplied by {np.exp(np.median(draws)):.3g} {change} "
            f"(90% interval {np.exp(low):.3g} to {np.exp(high):.3g}).{sure}"
        )
    of = "The mean of" if link == "identity" else f"The {link} of the mean of"
    mean = draws.mean()
    return (
        f"{of} {outcome} is {'lower' if mean < 0 else 'higher'} by {abs(mean):.3g} {change} "
        f"(90% interval of the difference {low:.3g} to {high:.3g}).{sure}"
    )


def model_in_words(posterior: Posterior) -> str:
    """The model in a paragraph."""
    design = posterior.model.design
    if posterior.model.pooling is Pooling.SEPARATE:
        return f"One regression for each group of {design.factors[0].name}, each fitted to its own rows alone."
    if not design.factors:
        return "One regression for all rows: what group a row belongs to plays no part (complete pooling)."
    parts = []
    for factor in design.factors:
        names = ["level" if effect == "Intercept" else f"effect of {effect}" for effect in factor.effects]
        joint = ", which may go together" if factor.correlated else ""
        parts.append(f"Every group of {factor.name} has its own {_listed(names)}{joint}")
    return (
        f"{'. '.join(parts)}. The groups are not fitted alone: each is drawn towards the others, the more so the less "
        "its own rows say (partial pooling). How strongly is learnt from the data."
    )


def formula_lines(posterior: Posterior) -> list[str]:
    """The model as statements of distributions."""
    design = posterior.model.design
    separate = posterior.model.pooling is Pooling.SEPARATE
    own = f", {design.factors[0].name}" if separate else ""
    mean = [
        f"β[{name}{own}]" + ("" if name == "Intercept" else f"·{name}")
        for name, of in zip(design.coefficients, design.predictors, strict=True)
        if not of
    ]
    spreads = []
    if not separate:
        for factor in design.factors:
            group = factor.name
            mean += [
                f"u[{group}]" if effect == "Intercept" else f"u[{group}, {effect}]·{effect}"
                for effect, of in zip(factor.effects, factor.predictors, strict=True)
                if not of
            ]
            joint = "correlated" if factor.correlated else "independent"
            spreads.append(f"u[{group}] ~ Normal(0, sd_{group})" + (f", {joint}" if len(factor.effects) > 1 else ""))
    mean += [f"offset({text})" for text in design.formula.offsets]
    if posterior.model.sampled:
        return _sampled_lines(posterior, " + ".join(mean), spreads)
    sigma = f"σ[{design.factors[0].name}]" if separate else "σ"
    noise = sigma if posterior.model.encoding.weights is None else f"{sigma} / √{posterior.model.encoding.weights}"
    return [f"{design.response} ~ Normal(μ, {noise})", f"μ = {' + '.join(mean) or '0'}", *spreads]


def _sampled_lines(posterior: Posterior, mean: str, spreads: list[str]) -> list[str]:
    """The same for a family that is sampled."""
    model = posterior.model
    design, family = model.design, model.family
    scales = {each.name: each.scale.link(None, family.name).name for each in family.parameters}
    inside = ", ".join((["trials"] if family.trials else []) + ["μ", *scales])
    link = "μ" if model.link.name == "identity" else f"{model.link.name}(μ)"
    lines = [f"{design.response} ~ {family.name}({inside})", f"{link} = {mean or '0'}"]
    for of, formula in design.formula.further:
        terms = [
            f"β[{name}]" for name, other in zip(design.coefficients, design.predictors, strict=True) if other == of
        ]
        terms += [f"u[{factor.name}]" for factor in design.factors if factor.part_of(of).any()]
        lines.append(f"{scales[of]}({of}) = {' + '.join(terms)}, for {formula.text}")
    return [*lines, *spreads]


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
            said.append(f"{few:,} of {len(rows):,} groups of {factor.name} have fewer than three rows.")
    each = " for each group" if model.pooling is Pooling.SEPARATE else ""
    noise = f"Residuals are taken to be Normal with one standard deviation{each}, and effects to be linear"
    if model.sampled:
        noise = f"Outcomes are taken to be {model.family.name}, and effects to be linear on the {model.link.name} scale"
    said.append(f"{noise}; intervals hold under the model, not beyond it.")
    said.append("Nothing here says what causes what: coefficients compare rows, they do not change them.")
    return said


def reproduction(posterior: Posterior) -> str:
    """Code that fits the same model again, with the versions, the seed and a fingerprint of the data."""
    import platform
    from importlib.metadata import version

    model = posterior.model
    given = ", ".join(f"{name!r}: pw.{prior!r}" for name, prior in model.given.items())
    weights = f", weights={model.encoding.weights!r}" if model.encoding.weights else ""
    settings = f"priors={{{given}}}, draws={posterior.draws}, chains={posterior.chains}, seed={posterior.seed}"
    formulas: str | list[str] = model.design.formula.text
    if model.design.formula.further:
        formulas = [part.strip() for part in model.design.formula.text.split(";")]
    family = f", family={model.family.name!r}, link={model.link.name!r}" if model.sampled else ""
    call = f"fit = pw.fit({formulas!r}, data{family}{weights}, {settings})"
    if model.pooling is Pooling.SEPARATE:
        by = model.design.factors[0].name
        call = f"fit = pw.compare_pooling({formulas!r}, by={by!r}, data=data{family}, {settings}).separate"
    return (
        f"import poolwise as pw\n\n{call}\n\n"
        f"# poolwise {version('poolwise')}, Python {platform.python_version()}, NumPy {np.__version__}\n"
        f"# {model.statistics.rows:,} rows; fingerprint of their statistics: {fingerprint(posterior)}"
    )


def fingerprint(posterior: Posterior) -> str:
    """Sixteen hexadecimal digits that depend on the statistics of the data."""
    statistics = posterior.model.statistics
    found = hashlib.sha256()
    for array in (statistics.counts, statistics.weights, statistics.means, statistics.scatter, statistics.origin):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
