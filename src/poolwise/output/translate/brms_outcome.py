"""The left side of a formula for brms, and the columns that it needs."""

from __future__ import annotations

from poolwise.design.additions import ends_of, number
from poolwise.inference.posterior import Model
from poolwise.output.translate.common import column_of_response, in_r_spelling, own_column, quoted_in_r


def left(model: Model) -> str:
    """The outcome, and what else is known of it."""
    formula = model.design.formula
    known = dict(formula.additions)
    added = [f"trials({own_column(model, 'trials')})"] if model.family.trials else []
    if model.encoding.weights:
        weights = quoted_in_r(model.encoding.weights)
        beside = ", sigma = TRUE" if formula.residual else ""
        added.append(f"se({weights}{beside})" if formula.known_errors else f"weights({weights})")
    if "choice" in known:
        added.append(f"dec({own_column(model, 'choice')})")
    if "status" in known:
        added.append(f"cens({', '.join(in_r_spelling(known[name]) for name in ('status', 'upper') if name in known)})")
    bounds = [f"{name} = {in_r_spelling(known[name])}" for name in ("lb", "ub") if name in known]
    if bounds:
        added.append(f"trunc({', '.join(bounds)})")
    response = in_r_spelling(formula.response)
    return f"{response} | {' + '.join(added)}" if added else response


def columns(model: Model) -> str:
    """Statements for the number of trials, for zeros and ones of two labels, for categories in their order, choices,
    and ends of intervals where there is none."""
    said, column, formula = "", column_of_response(model), model.design.formula
    if model.family.trials:
        said += f"data${own_column(model, 'trials')} <- with(data, {in_r_spelling(str(formula.trials))})\n"
    if column:
        mine = f"data${quoted_in_r(column)}"
        if model.family.labels:
            labels = model.family.labels
            numbers = None not in [number(label) for label in labels]
            levels = ", ".join(label if numbers else f'"{label}"' for label in labels)
            order = ", ordered = TRUE" if model.family.ordered else ""
            said += f"{mine} <- factor({mine}, levels = c({levels}){order})\n"
        elif model.encoding.labels:
            said += f'{mine} <- as.integer({mine} == "{model.encoding.labels[1]}")\n'
    known = dict(formula.additions)
    if "choice" in known:
        chosen = in_r_spelling(known["choice"])
        said += f'data${own_column(model, "choice")} <- as.integer(with(data, {chosen}) %in% c(1, "upper"))\n'
    for name in sorted(ends_of(formula)):
        end, mine = f"data${quoted_in_r(name)}", f"data${quoted_in_r(str(column))}"
        said += f"# Rows that are no intervals must have an end too.\n{end}[is.na({end})] <- max({mine}) + 1\n"
    return said
