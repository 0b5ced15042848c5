"""Split a formula into its response, its common terms and its bars.

Only the bars are ours. What stands on either side of them is left as text for formulaic, which knows
interactions, transforms and contrasts; it has no word for `( ... | ... )`, so that is read here first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from poolwise.formula.dot import columns_with_roles, without_dot
from poolwise.formula.grouping import NotGrouping, read_factors
from poolwise.formula.names import quoted_name, without_needless_quotes
from poolwise.formula.outcome import read_outcome
from poolwise.formula.scan import place_error, scan
from poolwise.formula.spellings import as_indicators, is_comparison, spelled
from poolwise.formula.structured import as_terms
from poolwise.formula.terms import Bar, Formula, Functions
from poolwise.support.errors import FormulaError

_NEGATIVE = re.compile(r"\s*-(?!\s*[01]\b)")
_OFFSET = re.compile(r"offset\s*\((.*)\)", re.DOTALL)
_SPECIFIC = re.compile(r"cs\s*\((.*)\)", re.DOTALL)
_RELATIVES = re.compile(r"gr\s*\(\s*([^\W\d][\w.]*|`[^`]+`)\s*,.*\)", re.DOTALL)
_OF_NUMBER = re.compile(r"[<>=]\s*$|(?<![\w.])(?:\d+\.?\d*|\.\d+)[eE]$")  # a sign that follows: `x > -1`, `1e-3`
_VALUE = re.compile(r"\s*([^\W\d]\w*)\s*=\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


def parse(
    text: str | Sequence[str],
    functions: Functions | None = None,
    columns: Sequence[str] | None = None,
    used: Sequence[str] = (),
    tables: Mapping[str, Any] | None = None,
) -> Formula:
    """Read `y ~ x + (1 + x | g)`; `offset(z)` and bars such as `(1 | a/b)` among its terms.

    `outcome.py` has what can stand on the left, `spellings.py` what is rewritten first. Of several formulas the first
    is that of the mean, and the others are of parameters: `sigma ~ 1 + (1 | g)`, or `quantile = 0.9` for one that is
    not estimated.

    Parameters
    ----------
    functions : of the user, by the names that the formula calls them by.
    columns, used : of the data, for R's dot, which stands for none of those used; see `without_dot`.
    tables : of the user, that structured terms refer to by name.

    Raises
    ------
    FormulaError : with the place marked by a caret.
    """
    if tables is not None and not (isinstance(tables, Mapping) and all(isinstance(name, str) for name in tables)):
        raise FormulaError("tables= is a dict from names to tables, such as {'neighbours': pairs}.")
    if isinstance(text, str) and (ends := [at for at, symbol, depth in scan(text) if symbol == ";" and depth == 0]):
        text = [text[start:end] for start, end in zip([0, *(at + 1 for at in ends)], [*ends, len(text)], strict=True)]
    if isinstance(text, str) or not isinstance(text, Sequence):
        used = [*used, *(columns_with_roles([text]) if isinstance(text, str) else ())]
        one = _parse_one(text, columns, used, functions)
        return replace(one, functions=dict(functions or {}), tables=dict(tables or {}))
    if not text:
        raise FormulaError("The list of formulas is empty.")
    values = [found for each in text[1:] if isinstance(each, str) and (found := _VALUE.fullmatch(each))]
    formulas = [each for each in text if not (isinstance(each, str) and each in [found.string for found in values])]
    used = [*used, *columns_with_roles([each for each in formulas if isinstance(each, str)])]
    first, *others = (_parse_one(each, columns, used, functions) for each in formulas)
    names = [other.response for other in others]
    fixed = tuple((found[1], float(found[2])) for found in values)
    for name, _ in fixed:
        if [*names, *(one for one, _ in fixed)].count(name) > 1:
            raise FormulaError(f"'{name}' is given twice: write one formula or one value for it.")
    for name, other in zip(names, others, strict=True):
        if other.trials is not None:
            raise FormulaError(f"'{other.text}' has trials, which only the first formula can have.")
        if not name.isidentifier() or names.count(name) > 1:
            raise FormulaError(
                f"'{other.text}' must have the name of one parameter on its left, such as 'sigma ~ ...'."
            )
        if other.weights is not None or other.additions:
            what = "weights" if other.weights is not None else f"{other.additions[0][0]}(...)"
            raise FormulaError(f"'{other.text}' has {what}, which only the first formula can have.")
        if other.specific:
            raise FormulaError(f"'{other.text}' has cs(...), which only the first formula can have.")
        if other.offsets:
            raise FormulaError(f"'{other.text}' has an offset, which only the first formula can have.")
    return replace(
        first,
        text="; ".join([*(each.text for each in (first, *others)), *(found.string.strip() for found in values)]),
        further=tuple(zip(names, others, strict=True)),
        functions=dict(functions or {}),
        tables=dict(tables or {}),
        fixed=fixed,
    )


def _parse_one(
    text: str, columns: Sequence[str] | None, used: Sequence[str], functions: Functions | None = None
) -> Formula:
    if not isinstance(text, str):
        raise FormulaError(f"A formula is text such as 'y ~ x + (x | g)', not {type(text).__name__}.")
    written = without_dot(text.strip(), columns, used)
    text = without_needless_quotes(as_terms(spelled(written, functions or ())))
    symbols = list(scan(text))
    tildes = [at for at, symbol, depth in symbols if symbol == "~" and depth == 0]
    if not tildes:
        raise place_error(text, len(text), "there is no '~' between the outcome and the predictors")
    if len(tildes) > 1:
        raise place_error(text, tildes[1], "there is a second '~'")
    start = tildes[0] + 1
    outcome = read_outcome(text[: tildes[0]].strip())
    if not outcome.response:
        raise place_error(text, tildes[0], "there is no outcome on the left of '~'")
    operators = [at for at, symbol, depth in scan(outcome.response) if depth == 0 and symbol in "+-*/:"]
    if operators:
        at = text.index(outcome.response) + operators[0]
        raise place_error(text, at, f"arithmetic on the outcome needs I(...): 'I({outcome.response}) ~ ...'")
    common: list[str] = []
    bars: list[Bar] = []
    offsets: list[str] = []
    specific: list[str] = []
    compared: list[tuple[int, str]] = []
    for unsigned, end, subtracted in _summands(text, symbols, start):
        found = _read_bars(text, symbols, unsigned, end)
        _refuse_negatives(text, symbols, unsigned, end)
        offset = _OFFSET.fullmatch(text[unsigned:end].strip())
        differing = _SPECIFIC.fullmatch(text[unsigned:end].strip())
        if differing and not subtracted:
            if not differing[1].strip():
                raise place_error(text, unsigned, "there is no term in cs()")
            specific.append(as_indicators(differing[1].strip()))
        elif not found and not offset:
            _refuse_subtracted(text, unsigned, text[unsigned:end].strip(), first=subtracted and not common)
            summand = f"{'-' if subtracted else ''}{text[unsigned:end].strip()}"
            common.append(as_indicators(summand))
            compared += [(unsigned, summand)] if is_comparison(summand) else []
        elif subtracted:
            raise place_error(text, unsigned, f"{'a group term' if found else 'an offset'} cannot be subtracted")
        elif offset:
            offsets.append(_inside(text, unsigned, offset.group(1)))
        bars += found
    if len(common) > 1:
        for at, written_so in compared:
            what = f"a comparison beside '+' or '-' needs brackets around what it compares, such as '({written_so})'"
            raise place_error(text, at, what)
    return Formula(
        written,
        outcome.response,
        _join(common),
        tuple(bars),
        tuple(offsets),
        outcome.trials,
        weights=outcome.weights,
        additions=tuple((name, _as_column(addition, columns)) for name, addition in outcome.additions),
        specific=tuple(specific),
        known_errors=outcome.known_errors,
        residual=outcome.residual,
    )


def _refuse_subtracted(text: str, at: int, term: str, *, first: bool) -> None:
    """Refuse `y ~ -x`, which asks for the negative of a column and would take a term away.

    Parameters
    ----------
    first : whether a minus stands before the term, and no term before that.
    """
    if first and not term.strip("( ")[:1].isdigit():
        raise _no_negative(text, at, term)


def _refuse_negatives(text: str, symbols: list[tuple[int, str, int]], begin: int, end: int) -> None:
    """Refuse `(-x)` wherever it stands in a summand, `z:(-x)` and `(-x | g)` too, but in calls."""
    calls: list[bool] = []  # of the brackets that are open, whether Python reads what is inside
    for at, symbol, _ in symbols:
        if symbol in ")]}" and calls and begin <= at < end:
            calls.pop()
        if symbol not in "([{" or not begin <= at < end:
            continue
        called = any(calls) or symbol != "(" or bool(re.search(r"[\w.`]\s*$", text[begin:at]))
        calls.append(called)
        if not called and _NEGATIVE.match(text, at + 1):
            raise _no_negative(text, at, re.split(r"[)|]", text[at + 1 : end])[0])


def _no_negative(text: str, at: int, term: str) -> FormulaError:
    inner = term.strip("-( )")
    name = inner if inner.isidentifier() else "x"
    return place_error(text, at, f"a minus takes a term away; for the negative of a column write I(-{name})")


def _as_column(addition: str, columns: Sequence[str] | None) -> str:
    """An addition; where it is the name of a column, `inf`, in backticks that tell it from a number."""
    named = columns is not None and addition.isidentifier() and addition in columns
    return quoted_name(addition) if named else addition


def unquote(name: str) -> str:
    """The column that a name in a formula stands for: backticks quote names with spaces."""
    return name[1:-1] if name.startswith("`") else name


def _summands(text: str, symbols: list[tuple[int, str, int]], start: int) -> Iterator[tuple[int, int, bool]]:
    """Begin and end of what stands between the top-level `+` and `-` on the right of `~`, and whether it is subtracted:
    of two minus signs in a row each takes the other away."""
    begin, subtracted = start, False
    signs = [(at, symbol) for at, symbol, depth in symbols if depth == 0 and symbol in "+-" and at >= start]
    signs = [(at, symbol) for at, symbol in signs if not _OF_NUMBER.search(text[max(0, at - 40) : at])]
    for at, symbol in [*signs, (len(text), "")]:
        if text[begin:at].strip():
            yield begin + (len(text[begin:at]) - len(text[begin:at].lstrip())), at, subtracted
            subtracted = symbol == "-"
        elif symbol == "-":  # a leading sign, `~ -1 + x`, or a second one
            subtracted = not subtracted
        else:
            raise place_error(text, min(at, len(text)), "a term is missing here")
        begin = at + 1


def _read_bars(text: str, symbols: list[tuple[int, str, int]], begin: int, end: int) -> list[Bar]:
    """The group terms that the summand `text[begin:end]` stands for; none when it holds no bar."""
    inside = [(at, symbol, depth) for at, symbol, depth in symbols if begin <= at < end]
    # A `|` within a call such as `f(x | y)` is Python's own: only a bracket that no name precedes can hold a bar.
    bars = [(at, symbol) for at, symbol, depth in inside if symbol in ("|", "||") and depth <= 1]
    bars = [(at, symbol) for at, symbol in bars if not _in_call(text, inside, at)]
    if not bars:
        return []
    shared = ""
    if len(bars) == 2 and bars[0][1] == bars[1][1] == "|":  # (effects | name | factor)
        shared = text[bars[0][0] + 1 : bars[1][0]].strip()
        if not shared.isidentifier():
            raise place_error(text, bars[0][0], "between two '|' stands one name, as in (1 | p | g)")
    elif len(bars) > 1:
        raise place_error(text, bars[1][0], "a group term has one '|' or '||', or a name between two '|'")
    (at, symbol), (end_at, end_symbol) = bars[0], bars[-1]
    summand = text[begin:end].strip()
    first, last = inside[0], text[begin:end].rstrip()[-1]
    depth_at_bar = next(depth for place, _, depth in inside if place == at)
    closes = [place for place, sign, depth in inside if sign == ")" and depth == 0]
    if depth_at_bar == 0:
        raise place_error(text, at, f"a group term needs brackets: write '({summand})'")
    if first[1] != "(" or last != ")" or len(closes) != 1:
        raise place_error(
            text, begin, "a group term can only be added with '+', not multiplied or nested in another term"
        )
    effects, right = text[begin + 1 : at].strip(), end_at + len(end_symbol)
    if re.match(r"cs\s*\(", effects):
        raise place_error(text, begin, "cs() cannot vary by group: write it outside of the bar")
    if not effects:
        raise place_error(text, at, "no effects stand on the left of the bar; write '(1 | group)' for intercepts")
    if not text[right : closes[0]].strip():
        raise place_error(text, right, "no grouping column stands on the right of the bar")
    if relatives := _RELATIVES.fullmatch(text[right : closes[0]].strip()):
        keys = (unquote(relatives[1]),)
        return [Bar(as_indicators(effects), keys, symbol == "|", shared, structure=relatives[0])]
    try:
        factors = read_factors(text[right : closes[0]])
    except NotGrouping as error:
        raise place_error(text, right + error.at, str(error)) from error
    return [Bar(as_indicators(effects), keys, symbol == "|", shared) for keys in factors]


def _inside(text: str, at: int, offset: str) -> str:
    """What stands inside `offset(...)`, which must be a whole term."""
    if not offset.strip():
        raise place_error(text, at, "the offset is empty; write offset(column)")
    try:
        list(scan(offset))
    except FormulaError:  # `offset(a) * (b)`: the last bracket is not the one that `offset(` opened
        raise place_error(text, at, "an offset can only be added with '+'") from None
    return offset.strip()


def _in_call(text: str, symbols: list[tuple[int, str, int]], at: int) -> bool:
    """Whether the bracket around position `at` belongs to a call such as `log(...)`."""
    opened = [place for place, symbol, depth in symbols if symbol == "(" and place < at and depth == 0]
    if not opened:
        return False
    before = text[: opened[-1]].rstrip()
    return bool(before) and (before[-1].isalnum() or before[-1] in "_`.")


def _join(common: list[str]) -> str:
    """Put the summands together again; a summand that was subtracted still carries its sign."""
    if not common:
        return "1"
    joined = common[0]
    for summand in common[1:]:
        joined += f" - {summand[1:].strip()}" if summand.startswith("-") else f" + {summand}"
    return joined
