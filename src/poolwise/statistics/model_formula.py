"""A formula as a family reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolwise.design.categories import outcome_labels
from poolwise.design.completion import completed
from poolwise.design.required_columns import Needed, needed_columns
from poolwise.design.structures.coupled_terms import as_factors
from poolwise.families import GAUSSIAN, Family, Link, of_categories, with_errors
from poolwise.formula import Formula, Functions, parse
from poolwise.formula.parse import unquote
from poolwise.sources.frames import Table, has_order
from poolwise.sources.relation import Relation
from poolwise.sources.source import Source
from poolwise.support.errors import FormulaError
from poolwise.support.progress import Scan


@dataclass(frozen=True, slots=True, eq=False)
class ModelFormula:
    """A formula completed for a family.

    Attributes
    ----------
    formula : with a linear predictor or a value for every parameter that needs one.
    family : of the outcome, with its categories.
    closed : whether coefficients are integrated out in closed form: of a normal mean, with one sigma for all rows.
    """

    formula: Formula
    family: Family
    closed: bool

    def needed(self, weights: str | None) -> Needed:
        """The raw columns."""
        family = self.family
        return needed_columns(self.formula, weights, linear=self.closed, labelled=family.labelled, labels=family.labels)


def model_formula(
    text: str | Sequence[str],
    source: Source | None,
    family: Family,
    link: str | None,
    *,
    functions: Functions | None = None,
    used: Iterable[str] = (),
    tables: Mapping[str, Any] | None = None,
    labels: Iterable[Any] | None = None,
) -> ModelFormula:
    """Parse a formula and complete it.

    Parameters
    ----------
    source : the rows, whose columns `.` stands for, and whose outcomes are categories; None where there are none.
    used : columns that the formula does not name, such as weights.
    labels : of the categories that the outcome is one of, where they are known; else they are read.

    Raises
    ------
    FormulaError : what is wrong, where, and what would be valid.
    """
    parsed = parse(text, functions, None if source is None else source.names, list(used), tables)
    if family.of_labels is not None:
        found = _labels(parsed, source, family) if labels is None else tuple(map(str, labels))
        family = of_categories(family, found, link)
    if parsed.residual:
        family = with_errors(family)
    parsed = completed(parsed, family)
    integrated = closed(parsed, family, family.link(link))
    if integrated:
        parsed = as_factors(parsed)
    elif coupled := [bar for _, each in parsed.predictors for bar in each.bars if bar.structure]:
        raise FormulaError(
            f"{coupled[0]} needs a normal model with one sigma; other models have (1 | {coupled[0].structure})."
        )
    return ModelFormula(parsed, family, integrated)


def closed(formula: Formula, family: Family, link: Link) -> bool:
    """Whether coefficients are integrated out in closed form: of a normal mean, with one sigma for all rows."""
    more = formula.further or formula.additions or formula.fixed
    return family is GAUSSIAN and link.name == "identity" and not more


def _labels(formula: Formula, source: Source | None, family: Family) -> tuple[str, ...]:
    """Labels of the categories that the outcome is one of."""
    name = unquote(formula.response)
    if isinstance(source, Relation) and name in source.names:
        source = source.table(source.frame.select(name).unique(), Scan())
    if not isinstance(source, Table) or name not in source.names:
        raise FormulaError(f"The outcome of '{family.name}' must be a column of the data as it is, not '{name}'.")
    values, stated = source.columns([name])[name], has_order(source, name)
    return outcome_labels(name, values, stated=stated, ordered=family.ordered)
