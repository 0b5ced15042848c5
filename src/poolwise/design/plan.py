"""What an engine has to compute for a formula: categories to group by, and numbers to sum products of.

A design column is a product of numeric factors times a coding of categories. Within a cell (a group and one level of
each category) the codings are constants, so cross-products of the numeric factors alone, cell by cell, hold those of
all columns. The engine groups by cells and never sees an indicator column; levels come out of the same query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.design.design import Design
from poolwise.design.encoding import Encoding, describe_columns
from poolwise.design.expressions import NotExpressible, as_expression, stateful_call
from poolwise.design.factors import Cells
from poolwise.design.model_matrices import column_of_category, materialise
from poolwise.design.required_columns import Needed, design_parts, part_texts
from poolwise.design.transform_state import coding_specs, encoded_state, restore_specs

Monomial = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A formula, split for an engine.

    Attributes
    ----------
    needed : the raw columns by role.
    scaled : numeric factors `scale(x)`, `center(x)` to what stands inside: mean and sd must be learnt first.
    categories : categorical factors to the raw column of their levels.
    monomials : (m,) distinct products of numeric factors, the outcome last.
    """

    needed: Needed
    scaled: Mapping[str, tuple[str, str]]
    categories: Mapping[str, str]
    monomials: tuple[Monomial, ...]

    @property
    def category_columns(self) -> tuple[str, ...]:
        """Raw columns to group by, besides the grouping column."""
        return tuple(dict.fromkeys(self.categories.values()))

    def expression(self, monomial: Monomial, columns: Mapping[str, Any], states: Mapping[str, Any]) -> Any:
        """A monomial on narwhals expressions of the raw columns; `states` has the learnt scales."""
        product: Any = None
        for factor in monomial:
            value = self._factor(factor, columns, states)
            product = value if product is None else product * value
        return product

    def outcome(self, columns: Mapping[str, Any], states: Mapping[str, Any]) -> Any:
        """The outcome without the known parts of its linear predictor."""
        value = self.expression(self.monomials[-1], columns, states)
        for offset in self.needed.formula.offsets:
            value = value - as_expression(offset, columns)
        return value

    def _factor(self, factor: str, columns: Mapping[str, Any], states: Mapping[str, Any]) -> Any:
        if factor not in self.scaled:
            return as_expression(factor, columns) if factor not in columns else columns[factor]
        value, state = as_expression(self.scaled[factor][1], columns), states[factor]
        value = value - float(state["center"])
        return value if state["scale"] is None else value / float(state["scale"])


def plan(needed: Needed, numeric: Mapping[str, bool]) -> Plan:
    """Split a formula for an engine.

    Parameters
    ----------
    numeric : for each raw column whether it holds numbers; the others are categories.

    Raises
    ------
    NotExpressible : when a term is not arithmetic; the message says which.
    """
    from formulaic.parser.types import Factor

    scaled: dict[str, tuple[str, str]] = {}
    categories: dict[str, str] = {}
    monomials: dict[Monomial, None] = {}
    stand_ins = {name: _Anything() for name in needed.values if numeric[name]}

    def is_numeric(factor: Any) -> bool:
        text = str(factor.expr)
        if factor.eval_method is Factor.EvalMethod.LOOKUP:
            if not numeric[text]:
                categories[text] = text
            return numeric[text]
        if text.lstrip().startswith("C("):
            column = column_of_category(text)
            if column is None or column not in numeric:
                raise NotExpressible(f"'{text}'")
            categories[text] = column
            return False
        call = stateful_call(text)
        if call:
            scaled[text] = call
        as_expression(call[1] if call else text, stand_ins)
        return True

    for part in design_parts(needed.formula):
        for term in getattr(needed.parts, part):
            factors = [f for f in term.factors if f.eval_method is not Factor.EvalMethod.LITERAL]
            monomial = tuple(sorted(str(f.expr) for f in factors if is_numeric(f)))
            if monomial:
                monomials[monomial] = None
    for offset in needed.formula.offsets:
        as_expression(offset, stand_ins)
    outcome = [factor for term in needed.parts.response for factor in term.factors]
    if len(outcome) != 1 or not is_numeric(outcome[0]) or str(outcome[0].expr) in scaled:
        raise NotExpressible(f"'{needed.formula.response}'")
    return Plan(needed, scaled, categories, (*monomials, (str(outcome[0].expr),)))


class _Anything:
    """Stands for a column where only the shape of an expression is checked."""

    def _same(self, *_: Any) -> _Anything:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _same
    __pow__ = log = exp = sqrt = abs = _same


@dataclass(frozen=True, slots=True, eq=False)
class ColumnMap:
    """Design columns [W, y] from monomials, for each pattern of categories.

    Attributes
    ----------
    place : (K + 1,) which monomial a column has, -1 for none.
    coefficients : (P, K + 1) what the categories of a pattern multiply it by.
    """

    place: np.ndarray
    coefficients: np.ndarray


def learn(
    plan: Plan,
    states: Mapping[str, Any],
    levels_of: Mapping[str, list[Any]],
    patterns: Mapping[str, np.ndarray],
    cells: Cells,
) -> tuple[Design, Encoding, ColumnMap]:
    """Design and encoding as rows in memory would give them, and how columns arise from monomials.

    Parameters
    ----------
    states : of the scaled factors.
    levels_of : for each raw category column, its levels in order.
    patterns : for each raw category column, its level in each of P patterns.
    cells : for each grouping column, the label in each cell.
    """
    texts = part_texts(plan.needed.formula)
    categories = {factor: levels_of[column] for factor, column in plan.categories.items()}
    specs = restore_specs(texts, dict.fromkeys(texts, encoded_state(states, categories)))
    return learn_from(plan, specs, levels_of, patterns, cells)


def learn_from(
    plan: Plan, specs: Any, levels_of: Mapping[str, list[Any]], patterns: Mapping[str, np.ndarray], cells: Cells
) -> tuple[Design, Encoding, ColumnMap]:
    """As `learn`, with specifications that are there already."""
    size = max([2, *map(len, levels_of.values())])
    exemplar = {
        name: np.resize(np.array(levels_of[name], dtype=object), size) if name in levels_of else np.linspace(1, 2, size)
        for name in plan.needed.values
    }
    for name in exemplar:
        numbers = [isinstance(level, (int, float)) and not isinstance(level, bool) for level in levels_of.get(name, [])]
        if numbers and all(numbers):
            exemplar[name] = exemplar[name].astype(float)
    learnt = materialise(specs, exemplar, plan.needed.formula, size).model_spec
    design, encoding = describe_columns(plan.needed, learnt, cells)
    return design, encoding, _column_map(plan, design, learnt, patterns)


def _column_map(plan: Plan, design: Design, specs: Any, patterns: Mapping[str, np.ndarray]) -> ColumnMap:
    count = len(next(iter(patterns.values()))) if patterns else 1
    place = np.full(len(design.columns) + 1, -1, dtype=np.int64)
    coefficients = np.ones((count, len(design.columns) + 1))
    place[-1] = len(plan.monomials) - 1
    found: set[str] = set()
    for spec in (getattr(specs, part) for part in design_parts(design.formula)):
        for entry in spec.structure:
            monomial, columns = _columns_of_term(plan, spec, entry, patterns, count)
            for name, values in columns.items():
                if name == "Intercept":
                    continue
                k = design.columns.index(name)
                place[k] = plan.monomials.index(monomial) if monomial else -1
                coefficients[:, k] = values
                found.add(name)
    if found != set(design.columns):
        raise NotExpressible(f"columns {', '.join(sorted(set(design.columns) - found))}")
    return ColumnMap(place, coefficients)


def _columns_of_term(
    plan: Plan, spec: Any, entry: Any, patterns: Mapping[str, np.ndarray], count: int
) -> tuple[Monomial, dict[str, np.ndarray]]:
    """The monomial of a term, and for each of its columns what categories multiply it by, (P,)."""
    columns: dict[str, np.ndarray] = {}
    monomial: Monomial = ()
    for scoped in entry.scoped_terms:
        factors = [(str(factor.factor.expr), bool(factor.reduced)) for factor in scoped.factors]
        monomial = tuple(sorted(text for text, _ in factors if text not in plan.categories))
        products: dict[str, np.ndarray] = {"": np.full(count, float(scoped.scale))}
        for text, reduced in factors:
            if text in plan.categories:
                coding = _coding(spec, text, reduced, patterns[plan.categories[text]])
            else:
                coding = {text: np.ones(count)}
            products = {
                f"{left}:{right}" if left else right: first * second
                for left, first in products.items()
                for right, second in coding.items()
            }
        columns |= {name or "Intercept": values for name, values in products.items()}
    if set(columns) != set(map(str, entry.columns)):
        raise NotExpressible(f"'{entry.term}'")
    return monomial, columns


def _coding(spec: Any, factor: str, reduced: bool, values: np.ndarray) -> dict[str, np.ndarray]:
    """Names of a category's columns and their values for each pattern."""
    import pandas as pd

    from poolwise.design.materializer import Materializer

    column = str(column_of_category(factor))
    alone = coding_specs(spec, factor, reduced)
    matrix = Materializer(pd.DataFrame({column: values})).get_model_matrix(alone, na_action="ignore", output="numpy")
    names = list(map(str, matrix.model_spec.column_names))
    array = np.asarray(matrix, dtype=float)
    return {name: array[:, k] for k, name in enumerate(names) if name != "Intercept"}
