"""Hypotheses in words: functions of named draws, and contrasts between the lines of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design.expression_evaluation import check_expression, evaluate
from poolwise.design.expression_names import expression_names
from poolwise.design.functions import functions
from poolwise.support.errors import DataError, FormulaError, suggest

if TYPE_CHECKING:
    import pandas as pd

_SIGNS = re.compile(r"(?<![<>=!])(==|=|<=|>=|<|>)(?![=])")
_QUOTED = re.compile(r"`[^`]*`")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A statement about quantities: left less right is zero, below it or above it.

    Attributes
    ----------
    text : as written.
    left, right : expressions in which names of quantities stand in backticks.
    sign : "=", "<" or ">".
    """

    text: str
    left: str
    right: str
    sign: str

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities that it is about."""
        return tuple(sorted(expression_names(self.left) | expression_names(self.right)))

    def difference(self, values: Callable[[str], Any]) -> np.ndarray:
        """Left less right, from the values of quantities by name: numbers, or draws (m,)."""
        with np.errstate(all="ignore"):
            sides = [evaluate(side, values, {}, {}) for side in (self.left, self.right)]
            found = np.asarray(sides[0], dtype=float) - np.asarray(sides[1], dtype=float)
        if not np.isfinite(found).all():
            raise DataError(f"'{self.text}' has no finite value at some draws.")
        return found


def read_hypothesis(text: str, names: Iterable[str], *, sign: str = "") -> Hypothesis:
    """Read `floor < 0`, `sd_county[Intercept] > 2 * sd_county[floor]`, `b2 = b1`; `a` alone is `a = 0`.

    Parameters
    ----------
    names : of quantities, which may hold brackets and colons; backticks around them are not needed.
    sign : the only one that makes sense here, any by default.

    Raises
    ------
    DataError : for what cannot be read, and for a name that is none, with those near it.
    """
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"A hypothesis is a text such as 'x < 0', not {text!r}.")
    known = sorted(set(names), key=len, reverse=True)
    quoted = _with_names_quoted(text, known)
    blank = _QUOTED.sub(lambda match: "_" * len(match.group()), quoted)
    signs = list(_SIGNS.finditer(blank))
    if len(signs) > 1 or (not signs and re.search(r"[<>!=]", blank)):
        raise DataError(f"'{text}' must have one sign, <, > or =.")
    found = signs[0].group()[0] if signs else "="
    left, right = (quoted[: signs[0].start()], quoted[signs[0].end() :]) if signs else (quoted, "0")
    if sign and found != sign:
        raise DataError(f"'{text}' must be an equation here, such as 'b2 = b1'; the table says how far above zero.")
    read = Hypothesis(text.strip(), left.strip(), right.strip(), found)
    for side in (read.left, read.right):
        _check_side(side, text, known)
    if not read.names:
        raise DataError(f"'{text}' names no quantity. {suggest(text, known)}")
    return read


def _with_names_quoted(text: str, known: Sequence[str]) -> str:
    """Names of quantities in backticks: the longest one that fits, so that `a:b` is not `a`."""
    if not known:
        return text
    parts, pattern = [], re.compile("|".join(map(re.escape, known)))
    place = 0
    while place < len(text):
        if text[place] == "`":
            end = text.find("`", place + 1)
            end = len(text) - 1 if end < 0 else end
            parts.append(text[place : end + 1])
            place = end + 1
            continue
        begins = place == 0 or not re.match(r"[\w.]", text[place - 1])
        match = pattern.match(text, place) if begins else None
        whole = match and not (
            re.match(r"[\w.]", text[match.end() : match.end() + 1]) and re.match(r"\w", match.group()[-1])
        )
        if match and whole:
            parts.append(f"`{match.group()}`")
            place = match.end()
        else:
            parts.append(text[place])
            place += 1
    return "".join(parts)


def _check_side(side: str, text: str, known: Sequence[str]) -> None:
    try:
        check_expression(side, {})
        used = expression_names(side)
    except FormulaError as error:
        raise DataError(
            f"Cannot read '{text}': it may hold names, numbers, + - * / ** and functions such as exp(). "
            f"{suggest(text, known)}"
        ) from error
    for name in sorted(used):
        if name not in known:
            raise DataError(f"There is no quantity '{name}' in '{text}'. {suggest(name, known)}")
    learning = [name for name in re.findall(r"([A-Za-z_]\w*)\s*\(", _QUOTED.sub("", side)) if _learns(name)]
    if learning:
        raise DataError(f"'{learning[0]}' learns from data, which a hypothesis has none of: '{text}'.")


def _learns(name: str) -> bool:
    return name in functions() and functions()[name].reach != "row"


@dataclass(frozen=True, slots=True, eq=False)
class Contrasted:
    """A function of the quantities of a table: its words, its draws (m,), and the values of columns it lies within."""

    text: str
    draws: np.ndarray
    within: Mapping[str, object] = field(default_factory=dict)


def _labels_of(lines: pd.DataFrame) -> list[str]:
    """What each line is of, in words; b1, b2, ... where columns do not tell lines apart."""
    told = lines.loc[:, [name for name in lines.columns if lines[name].nunique(dropna=False) > 1]]
    words = [", ".join(_said(value) for value in line) for line in told.itertuples(index=False)]
    return words if len(set(words)) == len(words) and all(words) else [f"b{k}" for k in range(1, len(lines) + 1)]


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def contrasts_of(lines: pd.DataFrame, drawn: np.ndarray, asked: str | Sequence[str]) -> list[Contrasted]:
    """What is asked of lines, from draws (m, lines); see `Estimates.hypothesis`.

    `lines` has the columns that say what each line is of.
    """
    if not isinstance(asked, str):
        if not isinstance(asked, Sequence) or not asked:
            raise DataError(f"hypothesis must be a text or a list of texts, not {asked!r}.")
        return [one for each in asked for one in contrasts_of(lines, drawn, each)]
    word, _, within = (part.strip() for part in asked.partition("|"))
    if word in _WORDS:
        return _by_word(lines, drawn, word, [name.strip() for name in within.split(",")] if within else [])
    names = {f"b{k}": drawn[:, k - 1] for k in range(1, len(lines) + 1)}
    labels = _labels_of(lines)
    spoken = {label: drawn[:, k] for k, label in enumerate(labels) if re.match(r"[^\W\d]", label)}
    read = read_hypothesis(asked, spoken | names, sign="=")
    for name in read.names:
        if name in names and name in spoken and spoken[name] is not names[name] and labels != list(names):
            raise DataError(f"'{name}' is the label of a line, and the number of one: rename the label, or use words.")
    return [Contrasted(read.text, read.difference((spoken | names).__getitem__))]


def _by_word(lines: pd.DataFrame, drawn: np.ndarray, word: str, columns: Sequence[str]) -> list[Contrasted]:
    """Contrasts among all lines, or among those that share the values of some columns."""
    for name in columns:
        if name not in lines:
            raise DataError(f"There is no column '{name}' to compare within. {suggest(name, map(str, lines.columns))}")
    parts = [np.arange(len(lines))]
    if columns:
        codes = lines.groupby(list(columns), sort=False, observed=True).ngroup().to_numpy()
        parts = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    found = []
    for mine in parts:
        labels = _labels_of(lines.iloc[mine].drop(columns=list(columns)))
        within: dict[str, object] = {name: lines[name].iloc[mine[0]] for name in columns}
        found += [Contrasted(text, drawn[:, mine] @ weights, within) for text, weights in _WORDS[word](labels)]
    if not found:
        raise DataError(f"'{word}' needs two lines or more to compare.")
    return found


Weighted = tuple[str, np.ndarray]


def _pairs(labels: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[Weighted]:
    unit = np.eye(len(labels))
    return [(f"{labels[one]} - {labels[other]}", unit[one] - unit[other]) for one, other in pairs]


def _pairwise(labels: Sequence[str]) -> list[Weighted]:
    return _pairs(labels, [(j, i) for i in range(len(labels)) for j in range(i + 1, len(labels))])


def _reference(labels: Sequence[str]) -> list[Weighted]:
    return _pairs(labels, [(j, 0) for j in range(1, len(labels))])


def _sequential(labels: Sequence[str]) -> list[Weighted]:
    return _pairs(labels, [(j, j - 1) for j in range(1, len(labels))])


def _meandev(labels: Sequence[str]) -> list[Weighted]:
    if len(labels) < 2:
        return []
    share = np.eye(len(labels)) - 1.0 / len(labels)
    return [(f"{label} - mean", share[k]) for k, label in enumerate(labels)]


_WORDS: dict[str, Callable[[Sequence[str]], list[Weighted]]] = {
    "pairwise": _pairwise,
    "reference": _reference,
    "sequential": _sequential,
    "meandev": _meandev,
}
