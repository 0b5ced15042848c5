"""What a family makes of a formula: parameters that it does not name, a predictor for each category, thresholds."""

from __future__ import annotations

from dataclasses import replace

from poolwise.families import Family
from poolwise.formula import Formula
from poolwise.support.errors import FormulaError


def completed(formula: Formula, family: Family) -> Formula:
    """The formula with a linear predictor or a value for every parameter that needs one.

    Raises
    ------
    FormulaError : for what the family does not have, with what it has.
    """
    _check_trials(formula, family)
    _check_additions(formula, family)
    _check_parameters(formula, family)
    if formula.known_errors and not formula.residual:
        formula = _with_known_errors(formula, family)
    family.fixed(formula.fixed)
    if formula.specific:
        formula = _with_own_effects(formula, family)
    if family.repeated:
        formula = _repeated(formula, family)
    formula = _without_constants(formula, family)
    values = {each.name: each.fixed for each in family.parameters if isinstance(each.fixed, float)}
    return formula.with_intercepts(family.unshared).with_values(values)


def _with_known_errors(formula: Formula, family: Family) -> Formula:
    """Standard errors say all of the residual spread: a row of weight 1 / s^2 has it where sigma is one."""
    if not (family.precise and [each.name for each in family.parameters] == ["sigma"]):
        raise FormulaError(f"se() is for normal outcomes; family='{family.name}' has another spread.")
    if "sigma" in [name for name, _ in (*formula.further, *formula.fixed)]:
        raise FormulaError(
            f"'{formula.text}' says of sigma what the standard errors say already; se({formula.weights}, sigma=True) "
            "has a residual beside them."
        )
    return formula.with_values({"sigma": 1.0})


def _with_own_effects(formula: Formula, family: Family) -> Formula:
    """Terms in `cs(...)` join the mean, whose thresholds get them as well: each has effects of its own."""
    if not family.thresholds:
        raise FormulaError(
            f"cs() gives effects of their own to the thresholds of 'sratio' and 'acat'; '{family.name}' has none of "
            "that kind."
        )
    terms = " + ".join(formula.specific)
    named = [name for name, _ in formula.further]
    more = tuple(
        (name, Formula(f"{name} ~ {terms}", name, f"1 + {terms}", ()))
        for name in family.thresholds
        if name not in named
    )
    return replace(formula, common=f"{formula.common} + {terms}", further=(*formula.further, *more))


def _repeated(formula: Formula, family: Family) -> Formula:
    """The formula of the mean as that of each parameter; groups' effects are correlated across them."""
    if formula.offsets:
        raise FormulaError(
            f"'{formula.text}' has an offset, which would be that of every category alike: leave it out."
        )
    bars = tuple(replace(bar, shared=bar.shared or "categories") if bar.correlated else bar for bar in formula.bars)
    named = [name for name, _ in formula.further]
    more = tuple(
        (name, Formula(f"{name} ~ {formula.common}", name, formula.common, bars))
        for name in family.predictors[1:]
        if name not in named
    )
    return replace(formula, common="0", bars=(), further=(*formula.further, *more))


def _without_constants(formula: Formula, family: Family) -> Formula:
    """`disc ~ x`, and `disc ~ 0 + x` as well, as a formula whose constant is zero."""
    relative = {each.name for each in family.parameters if each.relative}
    further = tuple(
        (name, replace(each, common=f"{each.common} + 1", constant=False) if name in relative else each)
        for name, each in formula.further
    )
    return replace(formula, further=further)


def _check_trials(formula: Formula, family: Family) -> None:
    if formula.trials is not None and not family.trials:
        raise FormulaError(f"The family '{family.name}' has no trials; successes among trials are family='binomial'.")
    if family.trials and formula.trials is None:
        raise FormulaError(
            f"How many trials? Write '{formula.response} | trials(n) ~ ...' or '({formula.response}, failures) ~ ...'; "
            "zeros and ones are family='bernoulli'."
        )


def _check_additions(formula: Formula, family: Family) -> None:
    known = {name for name, _ in formula.additions}
    if known - {"choice"} and family.interval is None:
        raise FormulaError(
            f"The family '{family.name}' has no distribution function here, which censored and truncated outcomes need."
        )
    if family.signed and "choice" not in known:
        raise FormulaError(
            f"Which response is it? Write '{formula.response} | dec(choice) ~ ...', with a column of 0 and 1 or "
            "'lower' and 'upper'."
        )
    if "choice" in known and not family.signed:
        raise FormulaError(f"dec() is for family='wiener'; '{family.name}' has no boundaries.")


def _check_parameters(formula: Formula, family: Family) -> None:
    known = [each.name for each in family.parameters if not each.known]
    for name in [name for name, _ in (*formula.further, *formula.fixed)]:
        if name not in known:
            what = f"It has: {', '.join(known)}." if known else "It has none besides the mean."
            raise FormulaError(f"The family '{family.name}' has no parameter '{name}' to write a formula for. {what}")
