"""Which raw columns a formula needs, and in which role; the rule for rows with missing values."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from poolwise.design.additions import addition_texts, ends_of
from poolwise.design.expression_evaluation import check_expression
from poolwise.design.expression_names import parse_expression, required_columns
from poolwise.formula import Bar, Formula
from poolwise.formula.parse import unquote
from poolwise.support.errors import DataError, FormulaError

_MISSING = ("drop", "error")
_OF_LABELS = frozenset({"icar", "gr", "mm", "rw1", "rw2", "cyclic", "ar1"})  # terms whose columns hold labels of levels


@dataclass(frozen=True, slots=True, eq=False)
class Needed:
    """The raw columns of a formula by their role.

    Attributes
    ----------
    formula : as parsed.
    parts : formulaic's own formulas, by the names that `part_texts` gives them.
    outcome, predictors : names of the columns that the outcome and the other terms, offsets included, evaluate.
    weights : the column of the rows' weights, or None.
    trials : names of the columns that the number of trials evaluates.
    linear : whether the mean is the linear predictor, so that offsets can be taken away from the outcome.
    labelled : whether the outcome may be two labels, of which the second is the success.
    labels : of the categories of which the outcome is one; it is read as the position of its label.
    added : names of the columns that the additions to the outcome evaluate: a status, bounds, a choice.
    """

    formula: Formula
    parts: Any
    outcome: tuple[str, ...]
    predictors: tuple[str, ...]
    weights: str | None
    trials: tuple[str, ...] = ()
    linear: bool = True
    labelled: bool = False
    labels: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The raw grouping columns."""
        return self.formula.keys

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that must hold numbers: those of the left side and the weights. True counts as one in them."""
        return (*self.outcome, *self.trials, *self.added, *(() if self.weights is None else (self.weights,)))

    @property
    def values(self) -> tuple[str, ...]:
        """Columns that are evaluated: the outcome's, the predictors' and the weights."""
        weights = () if self.weights is None else (self.weights,)
        return tuple(dict.fromkeys((*self.outcome, *self.trials, *self.added, *self.predictors, *weights)))

    @property
    def labelling(self) -> frozenset[str]:
        """Columns that are labels wherever they stand: areas, relatives, members, times of walks, groups of curves."""
        label, other = set[str](), set[str]()
        for part in self.parts._flatten():
            for term in part:
                names = required_columns([term])
                calls = [factor for factor in term.factors if factor.eval_method is factor.EvalMethod.PYTHON]
                mine = labels_in(str(calls[0].expr)) if calls and len(term.factors) == 1 else set()
                label |= names & mine
                other |= names - mine
        return frozenset(label - other)

    @property
    def ends(self) -> tuple[str, ...]:
        """Columns with the ends of intervals: they may be missing where an outcome is none."""
        return tuple(sorted(ends_of(self.formula) - set(self.predictors)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column; a row counts when none of them is missing in it."""
        return tuple(dict.fromkeys((*self.values, *self.keys)))


def needed_columns(
    formula: Formula,
    weights: str | None = None,
    *,
    linear: bool = True,
    labelled: bool = False,
    labels: tuple[str, ...] = (),
) -> Needed:
    """Find the raw columns of a formula.

    Raises
    ------
    FormulaError, DataError : for a formula that formulaic cannot read, or names that mean something else.
    """
    if weights is not None and not isinstance(weights, str):
        raise DataError(f"weights must be the name of a column, not {type(weights).__name__}.")
    parts = _formulaic(formula)
    for expression in python_factors(parts):
        check_expression(expression, formula.functions)
    outcome = sorted(required_columns(parts.response))
    tried = formula.trials is not None and formula.fixed_trials is None
    trials = sorted(required_columns(parts.trials)) if tried else []
    additions = [getattr(parts, name) for name in addition_texts(formula)]
    added = sorted({name for part in additions for name in required_columns(part)})
    left = [parts.response, *([parts.trials] if tried else []), *additions]
    predictors = sorted(
        {name for part in parts._flatten() if not any(part is one for one in left) for name in required_columns(part)}
    )
    if formula.weights is not None and weights not in (None, formula.weights):
        raise DataError(
            f"The formula has weights '{formula.weights}', and weights= says '{weights}': give one of them."
        )
    weights = unquote(formula.weights) if formula.weights is not None else weights
    needed = Needed(
        formula,
        parts,
        tuple(outcome),
        tuple(predictors),
        weights,
        tuple(trials),
        linear,
        labelled,
        labels,
        tuple(added),
    )
    _check_names(needed)
    return needed


def part_texts(formula: Formula) -> dict[str, str]:
    """The parts of a formula that formulaic evaluates: bars with the same left side share one."""
    texts = {"response": f"0 + {formula.response}"}
    if formula.trials is not None and formula.fixed_trials is None:
        texts["trials"] = f"0 + I({formula.trials})"
    texts |= {name: f"0 + I({text})" for name, text in addition_texts(formula).items()}
    for of, each in formula.predictors:
        texts[common_part(of)] = each.common
        texts |= {name: effects for effects, name in _effect_parts(of, each).items()}
    if formula.offsets:
        texts["offset"] = "0 + " + " + ".join(f"I({offset})" for offset in formula.offsets)
    return texts


def common_part(of: str) -> str:
    """Name of the part that has the common terms of a linear predictor."""
    return f"{of}_common" if of else "common"


def effects_part(of: str, formula: Formula, bar: Bar) -> str:
    """Name of the part that has the effects of a bar, of the linear predictor of a parameter."""
    return _effect_parts(of, formula)[bar.effects]


def design_parts(formula: Formula, *, mean: bool = False) -> list[str]:
    """Names of the parts whose columns make the design: the common terms and the left sides of bars; of the mean alone
    if asked."""
    predictors = formula.predictors[:1] if mean else formula.predictors
    return [part for of, each in predictors for part in (common_part(of), *_effect_parts(of, each).values())]


def _effect_parts(of: str, formula: Formula) -> dict[str, str]:
    distinct = dict.fromkeys(bar.effects for bar in formula.bars)
    return {effects: f"{of}_effects_{i}" if of else f"effects_{i}" for i, effects in enumerate(distinct)}


def labels_in(text: str) -> set[str]:
    """Columns of a structured term that hold labels of levels."""
    tree, names = parse_expression(text)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        return set()
    arguments = tree.args
    if tree.func.id == "s" and any(word.arg == "bs" and ast.unparse(word.value) == "'fs'" for word in tree.keywords):
        arguments = tree.args[1:]
    elif tree.func.id not in _OF_LABELS:
        return set()
    return {names[node.id] for node in arguments if isinstance(node, ast.Name)}


def check_missing(missing: str) -> None:
    """Refuse an unknown rule for missing values."""
    if missing not in _MISSING:
        raise DataError(f"missing must be 'drop' or 'error', not {missing!r}.")


def complete(raw: dict[str, Any], missing: str) -> tuple[np.ndarray, int]:
    """Which rows have no missing value (None, NULL or NaN) in any of the columns, and how many have one."""
    import pandas as pd

    length = len(next(iter(raw.values()))) if raw else 0
    keep = np.ones(length, dtype=bool)
    holes = {}
    for name, values in raw.items():
        absent = np.asarray(pd.isna(values))
        if absent.any():
            holes[name] = int(absent.sum())
            keep &= ~absent
    dropped = length - int(keep.sum())
    check_dropped(dropped, length, holes, missing)
    return keep, dropped


def check_dropped(dropped: int, rows: int, holes: dict[str, int], missing: str) -> None:
    """Refuse missing values under `missing="error"`, and data without any complete row."""
    where = ", ".join(f"{name} ({count})" for name, count in holes.items())
    if dropped and missing == "error":
        raise DataError(f"{dropped} of {rows} rows have missing values, in: {where}. missing='drop' leaves them out.")
    if rows and dropped == rows:
        raise DataError(f"No row is complete: missing values in {where}.")


def _formulaic(formula: Formula) -> Any:
    """The parts of a formula as formulaic's own structured formula."""
    from formulaic import Formula as Formulaic
    from formulaic import SimpleFormula
    from formulaic.errors import FormulaicError

    texts = part_texts(formula)
    parts = {}
    for name, text in texts.items():
        try:
            parts[name] = _parse_part(text)
        except (FormulaicError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = (str(error).strip().splitlines() or ["it is nested too deeply"])[0]
            raise FormulaError(
                f"Cannot read '{text.removeprefix('0 + ')[:200]}' in '{formula.text[:200]}': {reason}"
            ) from error
        if not isinstance(parts[name], SimpleFormula):
            raise FormulaError(f"Cannot read '{text}' in '{formula.text}': it holds a '~' or '|' of its own.")
    return Formulaic(**parts)


def python_factors(parts: Any) -> list[str]:
    """Expressions of some parts that are computed, not looked up."""
    from formulaic.parser.types import Factor

    found = {
        str(factor.expr): None
        for part in parts._flatten()
        for term in part
        for factor in term.factors
        if factor.eval_method is Factor.EvalMethod.PYTHON
    }
    return list(found)


def plain_factors(parts: Any) -> set[str]:
    """Columns that stand in the terms of a formula by themselves, and not within expressions alone."""
    from formulaic.parser.types import Factor

    factors = (factor for part in parts._flatten() for term in part for factor in term.factors)
    return {str(factor.expr) for factor in factors if factor.eval_method is Factor.EvalMethod.LOOKUP}


@lru_cache(maxsize=256)
def _parse_part(text: str) -> Any:
    """Parsing costs as much as evaluating a small model, and refits repeat it."""
    from poolwise.design.part_parser import parsed_part

    return parsed_part(text)


def _check_names(needed: Needed) -> None:
    """Refuse names that mean something else in formulas."""
    taken = ({"", "1", "0", "Intercept"} & set(needed.values)) | ({""} & set(needed.keys))
    if taken:
        raise DataError(f"A column cannot be called '{sorted(taken)[0]}' here: the name is taken. Rename it.")
