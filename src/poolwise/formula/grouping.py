"""The right side of a bar: which grouping factors it names.

lme4's operators, with R's precedence: `a:b` is the factor of all combinations of a and b, `a/b` stands for a and a:b,
`a*b` for a, b and a:b, `a + b` for a and b. Each factor gets a group term of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Factors = list[tuple[str, ...]]

_TOKEN = re.compile(r"\s*(?:(?P<name>`[^`]+`|[^\W\d][\w.]*)|(?P<sign>[:/*+()]))")


class NotGrouping(ValueError):
    """The text names no grouping factors; `at` is where reading stopped."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.at = at


def read_factors(text: str) -> Factors:
    """Keys of each factor that `text` names, each factor once: `a/b` gives [("a",), ("a", "b")].

    Raises
    ------
    NotGrouping : for anything but column names, the operators `: / * +` and brackets.
    """
    tokens = _tokens(text)
    factors, rest = _sum(tokens)
    if rest[0][0]:
        raise NotGrouping(f"'{rest[0][0]}' is not expected here", rest[0][1])
    distinct: dict[frozenset[str], tuple[str, ...]] = {}
    for keys in factors:
        distinct.setdefault(frozenset(keys), keys)
    return list(distinct.values())


_Tokens = list[tuple[str, int]]


def _tokens(text: str) -> _Tokens:
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise NotGrouping(
                "only column names, ':', '/', '*', '+' and brackets can stand on the right of a bar", start
            )
        kind = str(found.lastgroup)
        tokens.append((found.group(kind), found.start(kind)))
        at = found.end()
    return [*tokens, ("", len(text))]


def _sum(tokens: _Tokens) -> tuple[Factors, _Tokens]:
    return _chain(tokens, _product, {"+": lambda left, right: left + right})


def _product(tokens: _Tokens) -> tuple[Factors, _Tokens]:
    return _chain(
        tokens,
        _interaction,
        {
            "*": lambda left, right: [*left, *right, *_crossed(left, right)],
            "/": lambda left, right: [*left, *_crossed([tuple(key for keys in left for key in keys)], right)],
        },
    )


def _interaction(tokens: _Tokens) -> tuple[Factors, _Tokens]:
    return _chain(tokens, _atom, {":": _crossed})


def _chain(
    tokens: _Tokens,
    operand: Callable[[_Tokens], tuple[Factors, _Tokens]],
    operators: dict[str, Callable[[Factors, Factors], Factors]],
) -> tuple[Factors, _Tokens]:
    """Operands joined by some operators, from left to right."""
    factors, tokens = operand(tokens)
    while tokens[0][0] in operators:
        right, rest = operand(tokens[1:])
        factors, tokens = operators[tokens[0][0]](factors, right), rest
    return factors, tokens


def _atom(tokens: _Tokens) -> tuple[Factors, _Tokens]:
    (token, at), rest = tokens[0], tokens[1:]
    if token == "(":
        factors, rest = _sum(rest)
        if rest[0][0] != ")":
            raise NotGrouping("a bracket is not closed", rest[0][1])
        return factors, rest[1:]
    if not token or token in ":/*+)":
        raise NotGrouping("a grouping column is missing here", at)
    return [(token[1:-1] if token.startswith("`") else token,)], rest


def _crossed(left: Factors, right: Factors) -> Factors:
    """All combinations; a key that both sides have counts once."""
    return [tuple(dict.fromkeys((*one, *other))) for one in left for other in right]
