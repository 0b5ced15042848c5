"""Terms with many levels, as grouping factors whose levels are coupled: `icar(area, 'borders')`, `gr(animal, cov='A')`.

A normal model takes them so; they have the same posterior as columns of their own would give, see `coupling.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from poolwise.design.expression_names import parse_expression
from poolwise.design.structures import levels
from poolwise.design.structures.coupling import Coupling
from poolwise.formula.scan import scan
from poolwise.formula.terms import Bar, Formula
from poolwise.support.errors import FormulaError


@dataclass(frozen=True, slots=True)
class CoupledTerm:
    """What a table says of levels: whether they are better coupled than given columns, and what couples them."""

    many: Callable[[Any, str], bool]
    coupling: Callable[[Any, str], Coupling]


@cache
def coupled_terms() -> Mapping[str, CoupledTerm]:
    """Every such term by the name that formulas call it by."""
    from poolwise.design.structures.areas import many_areas, neighbours_coupling
    from poolwise.design.structures.relatives import many_relatives, relatives_coupling

    return {
        "icar": CoupledTerm(many_areas, neighbours_coupling),
        "gr": CoupledTerm(many_relatives, relatives_coupling),
    }


def as_factors(formula: Formula) -> Formula:
    """A formula whose terms with many levels are bars."""
    kept, bars = [], list[Bar]()
    for sign, text in _summands(formula.common):
        found = _read(text) if sign == "+" else None
        if found is not None and _many(formula, *found):
            bars.append(Bar("1", (found[1],), True, structure=text))
        else:
            kept.append((sign, text))
    if not bars:
        return formula
    common = " ".join(f"{sign} {text}" for sign, text in kept).removeprefix("+ ") or "1"
    return replace(formula, common=common, bars=(*formula.bars, *bars))


def coupling_of(bar: Bar, tables: Mapping[str, Any]) -> Coupling:
    """What couples the levels of a bar.

    Raises
    ------
    FormulaError, DataError : where the table is not given, or says something else.
    """
    found = _read(bar.structure)
    if found is None:
        raise FormulaError(f"'{bar.structure}' is no term whose levels are coupled.")
    name, _, table = found
    return coupled_terms()[name].coupling(levels.table_named(tables, table, bar.structure), table)


def _many(formula: Formula, name: str, _: str, table: str) -> bool:
    return table in formula.tables and coupled_terms()[name].many(formula.tables[table], table)


def _read(text: str) -> tuple[str, str, str] | None:
    """Name of the term, its column and its table, of `icar(area, 'borders')`; None for anything else."""
    if not text.startswith(tuple(coupled_terms())):
        return None
    tree, names = parse_expression(text)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.func.id not in coupled_terms():
        return None
    given = [*tree.args, *(word.value for word in tree.keywords)]
    match given:
        case [ast.Name(id=column), ast.Constant(value=str(table))]:
            return tree.func.id, names[column], table
    return None


def _summands(text: str) -> list[tuple[str, str]]:
    """Sign and text of each summand."""
    cuts = [at for at, symbol, depth in scan(text) if symbol in "+-" and depth == 0 and text[:at].strip()]
    starts, ends = [0, *cuts], [*cuts, len(text)]
    parts = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return [(part[0], part[1:].strip()) if part[:1] in ("+", "-") else ("+", part) for part in parts]
