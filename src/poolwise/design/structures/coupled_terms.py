"""Terms with many levels, as grouping factors whose levels are coupled: `icar(area, 'borders')`, `gr(animal, cov='A')`.

A normal model takes them so; they have the same posterior as columns of their own would give, see `coupling.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from poolwise.design.expression_names import parse_expression
from poolwise.design.structures import levels
from poolwise.design.structures.coupling import Coupling
from poolwise.formula.scan import scan
from poolwise.formula.terms import Bar, Formula
from poolwise.support.errors import DataError, FormulaError, PoolwiseError


@dataclass(frozen=True, slots=True)
class CoupledTerm:
    """What a table says of levels: whether they are better coupled than given columns, and what couples them."""

    word: str  # before the table's name
    many: Callable[[Any, str], bool]
    coupling: Callable[[Any, str], Coupling]


@cache
def coupled_terms() -> Mapping[str, CoupledTerm]:
    """Every such term by the name that formulas call it by."""
    from poolwise.design.structures.areas import many_areas, neighbours_coupling
    from poolwise.design.structures.relatives import many_relatives, relatives_coupling

    return {
        "icar": CoupledTerm("", many_areas, neighbours_coupling),
        "gr": CoupledTerm("cov=", many_relatives, relatives_coupling),
    }


def as_factors(formula: Formula) -> Formula:
    """A formula whose terms with many levels are bars, spelled in one way."""
    kept, bars, away = [], list[Bar](), set[str]()
    summands = _summands(formula.common)
    for sign, text in summands:
        found = _read(text)
        if found is None or not _many(formula, *found):
            kept.append((sign, text))
        elif sign == "+":
            bars.append(Bar("1", (found[1],), True, structure=_spelled(*found)))
        else:
            away.add(_spelled(*found))
    written = tuple(_respelled(bar) for bar in formula.bars)
    if len(kept) == len(summands):
        return formula if written == formula.bars else replace(formula, bars=written)
    common = " ".join(f"{sign} {text}" for sign, text in kept).removeprefix("+ ") or "1"
    return replace(formula, common=common, bars=(*written, *(bar for bar in bars if bar.structure not in away)))


def _respelled(bar: Bar) -> Bar:
    found = _read(bar.structure) if bar.structure else None
    return bar if found is None else replace(bar, structure=_spelled(*found))


def _spelled(name: str, column: str, table: str) -> str:
    """The term as tables and messages have it, whatever its quotes were."""
    written = column if column.isidentifier() else f"`{column}`"
    return f"{name}({written}, {coupled_terms()[name].word}{table!r})"


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
    given = levels.table_named(tables, table, bar.structure)
    with _readable(bar.structure, table):
        return coupled_terms()[name].coupling(given, table)


@contextmanager
def _readable(text: str, table: str) -> Iterator[None]:
    """What anything but a table makes pandas say, in our words."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        if isinstance(error, PoolwiseError):
            raise
        raise DataError(f"'{table}', which {text} refers to, cannot be read as a table: {error}") from error


def _many(formula: Formula, name: str, column: str, table: str) -> bool:
    if table not in formula.tables:
        return False
    with _readable(_spelled(name, column, table), table):
        return coupled_terms()[name].many(formula.tables[table], table)


def map_of(text: str) -> tuple[str, str] | None:
    """Column and table of a term `icar(area, 'borders')`; None for anything else."""
    found = _read(text)
    return found[1:] if found is not None and found[0] == "icar" else None


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
    """Sign and text of each summand; sums in brackets are taken out of them."""
    cuts = [at for at, symbol, depth in scan(text) if symbol in "+-" and depth == 0 and text[:at].strip()]
    starts, ends = [0, *cuts], [*cuts, len(text)]
    parts = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    found = [(part[0], part[1:].strip()) if part[:1] in ("+", "-") else ("+", part) for part in parts]
    return [each for sign, part in found for each in _opened(sign, part)]


def _opened(sign: str, part: str) -> list[tuple[str, str]]:
    """The summands of a sum in brackets; another part as it is."""
    closing = [at for at, symbol, depth in scan(part) if symbol == ")" and depth == 0]
    if sign != "+" or not part.startswith("(") or closing[:1] != [len(part) - 1]:
        return [(sign, part)]
    return _summands(part[1:-1].strip())
