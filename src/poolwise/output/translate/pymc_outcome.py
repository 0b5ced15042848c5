"""The outcome in a script for PyMC: its columns, and its likelihood given `mu` and the other parameters."""

from __future__ import annotations

from collections.abc import Mapping

from poolwise.design.additions import number as number_of
from poolwise.inference.posterior import Model
from poolwise.output.translate.common import column_of_response
from poolwise.output.translate.families import Pymc
from poolwise.output.translate.pymc_helpers import LOG_INTERVAL

_STATUS = {"none": 0, "right": 1, "left": -1, "interval": 2}
_CHOICE = {"lower": 0, "upper": 1}


def columns(model: Model) -> list[str]:
    """Statements that make arrays of the outcome, its trials, and what else is known of it."""
    formula, known = model.design.formula, dict(model.design.formula.additions)
    found = [f"    y = {_outcome(model)}"]
    if model.family.trials:
        found.append(f"    trials = {_trials(model)}")
    if "choice" in known:
        found.append(f"    y = np.where({_coded(known['choice'], _CHOICE)} == 1, y, -y)")
    if "status" in known:
        found.append(f"    status = {_coded(known['status'], _STATUS)}")
    for name in ("upper", "lb", "ub"):
        if name in known:
            found.append(f"    {name} = {_numbers(known[name])}")
    if "status" in known:
        lowest, highest = ("lb" if "lb" in known else "-np.inf"), ("ub" if "ub" in known else "np.inf")
        last = "upper" if "upper" in known else "y"
        found.append(f"    low = np.where(status == -1, {lowest}, y)")
        found.append(f"    high = np.where(status == 1, {highest}, np.where(status == 2, {last}, y))")
    if model.family.whole and "lb" in known:
        found.append("    lb = np.ceil(lb) - 1  # bounds of counts are possible counts")
        if "status" in known:
            found.append("    low = np.where(status == -1, lb, low)")
    if formula.known_errors:
        found.append(f"    errors = data[{model.encoding.weights!r}].to_numpy(dtype=float)")
    elif model.encoding.weights is not None:
        found.append(f"    weights = data[{model.encoding.weights!r}].to_numpy(dtype=float)")
    return found


def likelihood(model: Model, of: Pymc) -> list[str]:
    """Statements for the outcome: weights divide a variance, or multiply log likelihoods."""
    name, weighed = model.design.response, model.encoding.weights is not None
    known = dict(model.design.formula.additions)
    kind = of.distribution
    arguments = of.arguments.format(parameters=", ".join(each.name for each in model.family.parameters))
    found: list[str] = []
    if weighed and model.family.precise:
        spread = "sigma * errors" if model.design.formula.known_errors else "sigma / np.sqrt(weights)"
        if model.design.formula.residual:
            spread = "pm.math.sqrt(sigma**2 + errors**2)"
        found.append(f"        sigma = {spread}")
        weighed = False
    if not weighed and not known.keys() & {"status", "lb", "ub"}:
        return [*found, f"        pm.{kind}({name!r}, {arguments}, observed=y)"]
    found += [f"        outcome = pm.{kind}.dist({arguments})", "        logp = pm.logp(outcome, y)"]
    tail = f", lambda _, end: {of.survival}" if of.survival else ""
    if "status" in known:
        found.append(f"        logp = pt.switch(status == 0, logp, log_interval(outcome, low, high, y{tail}))")
    if known.keys() & {"lb", "ub"}:
        ends = ", ".join(
            name if name in known else infinite for name, infinite in (("lb", "-np.inf"), ("ub", "np.inf"))
        )
        found.append(f"        logp = logp - log_interval(outcome, {ends}, y)")
    total = "(weights * logp).sum()" if weighed else "logp.sum()"
    return [*found, f"        pm.Potential({name!r}, {total})"]


def helpers(model: Model) -> list[str]:
    """Functions that the likelihood calls besides the family's own."""
    hidden = dict(model.design.formula.additions).keys() & {"status", "lb", "ub"}
    return [LOG_INTERVAL] if hidden else []


def _outcome(model: Model) -> str:
    """The outcome as an array; of two labels the second is the success, of several each stands for its position."""
    column, labels = column_of_response(model), model.family.labels
    if labels:
        numbers = [number_of(label) for label in labels]
        if None not in numbers:
            return f"pd.Index({numbers!r}).get_indexer(data[{column!r}].astype(float))"
        return f"pd.Index({list(labels)!r}).get_indexer(data[{column!r}].astype(str))"
    if not model.sampled or column is None:
        found = f"np.asarray(model_matrix({'0 + ' + model.design.response!r}, data), dtype=float)[:, 0]"
    elif model.encoding.labels:
        found = f"(data[{column!r}] == {model.encoding.labels[1]!r}).to_numpy(dtype=float)"
    else:
        found = f"data[{column!r}].to_numpy(dtype=float)"
    return f"{found}.astype(int)" if model.family.whole else found


def _trials(model: Model) -> str:
    formula = model.design.formula
    if formula.fixed_trials is not None:
        return f"np.full(len(data), {formula.fixed_trials:.0f})"
    return f"{_numbers(str(formula.trials))}.astype(int)"


def _numbers(text: str) -> str:
    """An expression of columns, or a number, for every row."""
    value = number_of(text)
    if value is not None:
        return f"np.full(len(data), {value!r})".replace("inf", "np.inf")
    column = text.strip("`")
    if column.isidentifier():
        return f"data[{column!r}].to_numpy(dtype=float)"
    return f"np.asarray(model_matrix({f'0 + I({text})'!r}, data), dtype=float)[:, 0]"


def _coded(text: str, words: Mapping[str, int]) -> str:
    """A status or a choice as numbers; a column may hold words."""
    column = text.strip("`")
    if column.isidentifier():
        return f"data[{column!r}].map(lambda value: {words!r}.get(value, value)).to_numpy(dtype=float)"
    return _numbers(text)
