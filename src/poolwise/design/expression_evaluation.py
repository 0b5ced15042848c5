"""Expressions of formulas: checked against a short grammar, and evaluated by it. No text of a user is run as code.

The grammar: columns, numbers, texts, `+ - * / // % **`, comparisons, `& | ~`, lists of constants, and calls of the
functions in `functions.py`. There is no other attribute, no index, no lambda, no comprehension.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from poolwise.design.expression_names import parse_expression, restored_names
from poolwise.design.functions import CONSTANTS, CONTRASTS, NUMPY, Function, contrasts, functions, with_own
from poolwise.formula import Functions
from poolwise.support.errors import FormulaError, suggest

_LEARNT_INSTEAD = {
    "mean": "center(x) takes the mean of the fit away.",
    "std": "scale(x) takes the mean of the fit away and divides by its sd.",
    "sd": "scale(x) takes the mean of the fit away and divides by its sd.",
    "min": "Make it a column of the data.",
    "max": "Make it a column of the data.",
    "median": "Make it a column of the data.",
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_LOGICAL: dict[type[ast.operator], Callable[[Any, Any], Any]] = {ast.BitAnd: operator.and_, ast.BitOr: operator.or_}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def check_expression(text: str, own: Functions) -> None:
    """Refuse an expression with anything outside the grammar.

    Parameters
    ----------
    own : functions of the caller.

    Raises
    ------
    FormulaError : with what is not allowed, and the nearest function.
    """
    tree, _ = parse_expression(text)
    _Grammar(text, with_own(own)).check(tree)


@dataclass(frozen=True, slots=True)
class _Grammar:
    text: str
    known: Mapping[str, Function]

    def check(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            if node.id.startswith("__"):
                raise self._refused(node)
        elif isinstance(node, ast.Constant):
            self._check_constant(node)
        elif isinstance(node, ast.Attribute):
            self._check_attribute(node)
        elif isinstance(node, ast.Call):
            self._check_call(node)
        elif isinstance(node, (ast.List, ast.Tuple)):
            for element in node.elts:
                self.check(element)
        elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            self.check(node.operand)
        elif isinstance(node, ast.BinOp) and (type(node.op) in _BINARY or type(node.op) in _LOGICAL):
            for side in (node.left, node.right):
                if isinstance(side, (ast.List, ast.Tuple)) or _is_text(side):
                    raise self._refused(node)
                self.check(side)
        elif isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
            self._check_precedence(node)
            for side in (node.left, *node.comparators):
                self.check(side)
        else:
            raise self._refused(node)

    def _check_precedence(self, node: ast.Compare) -> None:
        """Refuse `x > 3 | z > 1`, which Python reads as `x > (3 | z) > 1`."""
        last = node.comparators[-1]
        open_ends = {id(each) for each in node.comparators[:-1]}
        open_ends |= {id(node.left)} if node.left.col_offset == node.col_offset else set()
        open_ends |= {id(last)} if last.end_col_offset == node.end_col_offset else set()
        for side in (node.left, *node.comparators):
            if isinstance(side, ast.BinOp) and type(side.op) in _LOGICAL and id(side) in open_ends:
                raise FormulaError(
                    f"'&' and '|' bind more closely than comparisons in '{self.text[:80]}': put each comparison in "
                    "parentheses, as in (x > 3) | (z > 1)."
                )

    def _check_constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, (int, float, str, bool, type(None))):
            raise self._refused(node)
        if isinstance(node.value, str) and set(node.value) & set("\"'\\`\n"):
            raise FormulaError(f"A text in a formula cannot hold quotes or backslashes, as in '{self.text}'.")

    def _check_attribute(self, node: ast.Attribute) -> None:
        """`np.pi`, `contr.sum`."""
        of = node.value.id if isinstance(node.value, ast.Name) else ""
        if not ((of == NUMPY and node.attr in CONSTANTS) or (of == CONTRASTS and node.attr in contrasts())):
            raise self._refused(node)

    def _check_call(self, node: ast.Call) -> None:
        called = called_name(node)
        if called is None:
            raise self._refused(node.func)
        of, name = called
        if of == CONTRASTS:
            self._check_attribute(node.func)  # type: ignore[arg-type]
        elif name not in self.known or (of == NUMPY and not is_numpy(name)):
            shown = f"{NUMPY}.{name}" if of else name
            if name in _LEARNT_INSTEAD:
                raise FormulaError(
                    f"A formula cannot call '{shown}' in '{self.text}': new rows would have another {name} than those "
                    f"of the fit. {_LEARNT_INSTEAD[name]}"
                )
            raise FormulaError(
                f"A formula cannot call '{shown}' in '{self.text}'. {suggest(name, self.known)} A function of your own "
                f"is passed: functions={{'{name}': ...}}."
            )
        elif len(node.args) > self.known[name].most_arguments:
            raise self._refused(node)  # NumPy would write into the next one
        for argument in node.args:
            self.check(argument)
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg.startswith("_") or keyword.arg == "out":
                raise self._refused(node)
            self.check(keyword.value)

    def _refused(self, node: ast.AST) -> FormulaError:
        shown = ast.unparse(node)
        return FormulaError(
            f"A formula cannot use '{shown[:80]}' in '{self.text[:80]}': it may use columns, numbers, operators and "
            "the functions that the page on formulas lists. Make it a column of the data, or pass a function: "
            "functions={'f': ...}."
        )


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_numpy(name: str) -> bool:
    """Whether `np.name` is a function of formulas."""
    return functions()[name].reach == "row" and name not in ("I", "C", "hashed", "ceiling", "logit")


def called_name(node: ast.Call) -> tuple[str, str] | None:
    """("", "log") for `log(...)`, ("np", "log") for `np.log(...)`, ("contr", "sum"); None for other calls."""
    if isinstance(node.func, ast.Name):
        return "", node.func.id
    if (
        isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in (NUMPY, CONTRASTS)
    ):
        return node.func.value.id, node.func.attr
    return None


def evaluate(
    text: str,
    column: Callable[[str], Any],
    own: Functions,
    states: MutableMapping[str, Any],
    **context: Any,
) -> Any:
    """The value of an expression that `check_expression` lets through.

    Parameters
    ----------
    column : gives the pandas Series of a name.
    states : of transforms that learn, by their text; filled where they are not there yet.
    context : what formulaic's transforms take besides, such as `_spec`.
    """
    check_expression(text, own)
    tree, names = parse_expression(text)
    value = _Evaluation(column, with_own(own), names, states, context).of(tree)
    return value.astype(float) if getattr(getattr(value, "dtype", None), "kind", "") == "b" else value


@dataclass(frozen=True, slots=True)
class _Evaluation:
    column: Callable[[str], Any]
    known: Mapping[str, Function]
    names: Mapping[str, str]
    states: MutableMapping[str, Any]
    context: Mapping[str, Any]

    def of(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Name):
            return self.column(self.names[node.id])
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Attribute):
            return CONSTANTS[node.attr] if node.attr in CONSTANTS else contrasts()[node.attr]
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.of(element) for element in node.elts]
        if isinstance(node, ast.UnaryOp):
            if isinstance(node.op, ast.Invert):
                return ~self._truth(node.operand)
            return _UNARY[type(node.op)](_number(self.of(node.operand)))
        if isinstance(node, ast.BinOp):
            if type(node.op) in _LOGICAL:
                return _LOGICAL[type(node.op)](self._truth(node.left), self._truth(node.right))
            left, right = _number(self.of(node.left)), _number(self.of(node.right))
            if isinstance(node.op, ast.Pow) and isinstance(right, int) and not isinstance(right, bool):
                right = float(right)  # whole numbers would grow without bound
            return _BINARY[type(node.op)](left, right)
        if isinstance(node, ast.Compare):
            return self._compared(node)
        if isinstance(node, ast.Call):
            return self._called(node)
        raise AssertionError(ast.dump(node))  # check_expression refuses it

    def _truth(self, node: ast.AST) -> Any:
        """What `&`, `|` and `~` take: truth values, and columns of zeros and ones.

        Raises
        ------
        FormulaError : for other numbers, and for text.
        """
        value = _number(self.of(node))
        if isinstance(value, bool) or getattr(getattr(value, "dtype", None), "kind", "") == "b":
            return value
        if hasattr(value, "isin") and bool(value.isin([0, 1]).all()):
            return value.astype(bool)
        shown = restored_names(ast.unparse(node), self.names)
        raise FormulaError(f"'&', '|' and '~' take comparisons and truth values, and '{shown}' is neither.")

    def _compared(self, node: ast.Compare) -> Any:
        values = [self.of(side) for side in (node.left, *node.comparators)]
        found: Any = True
        for op, left, right in zip(node.ops, values, values[1:], strict=False):
            if not isinstance(op, (ast.Eq, ast.NotEq)):
                left, right = _number(left), _number(right)
            left, right = _single_as(left, right), _single_as(right, left)
            found = found & _COMPARE[type(op)](left, right)
        return found

    def _called(self, node: ast.Call) -> Any:
        of, name = called_name(node) or ("", "")
        function = contrasts()[name] if of == CONTRASTS else self.known[name].on_columns
        arguments = [self.of(argument) for argument in node.args]
        keywords = {str(keyword.arg): self.of(keyword.value) for keyword in node.keywords}
        if (of, name) == ("", "C") and arguments:
            arguments[0] = _labels(arguments[0])
        if of == NUMPY or (of == "" and self.known[name].reach == "row" and name not in ("C", "hashed", "I")):
            arguments = [_number(argument) for argument in arguments]
        if getattr(function, "__is_stateful_transform__", False):
            key = restored_names(ast.unparse(node), self.names)
            keywords |= {"_state": self.states.setdefault(key, {}), **self.context}
        try:
            return function(*arguments, **keywords)
        except TypeError:
            self._check_arguments(node, function, arguments, keywords)
            raise

    def _check_arguments(self, node: ast.Call, function: Any, arguments: list[Any], keywords: dict[str, Any]) -> None:
        """Refuse a call that lacks an argument, or has one that the function does not take."""
        shown = restored_names(ast.unparse(node), self.names)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # of a function that is not written in Python
            return
        if hasattr(function, "nin"):  # of NumPy, whose arguments are checked by their number
            return
        stated = {name: value for name, value in keywords.items() if not name.startswith("_")}
        takes = [name for name in signature.parameters if not name.startswith("_")]
        try:
            bound = signature.bind_partial(*arguments, **stated)
        except TypeError as error:
            known = f"The arguments are {', '.join(takes)}." if takes else "There are no arguments."
            raise FormulaError(f"'{shown}': {error}. {known}") from error
        lacking = [name for name in takes if name not in bound.arguments and _is_required(signature.parameters[name])]
        if lacking:
            more = (", " if node.args or node.keywords else "") + ", ".join(f"{name}=..." for name in lacking)
            raise FormulaError(f"'{shown}' needs {' and '.join(lacking)}: write {shown[:-1]}{more}).")


def _number(value: Any) -> Any:
    """Categories that are true and false as one and zero; all else as it is."""
    import pandas as pd

    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, pd.CategoricalDtype) and all(isinstance(one, bool) for one in dtype.categories):
        return value.astype(float)
    return value


def _single_as(values: Any, constant: Any) -> Any:
    """Values that are a constant in single precision as the constant: 0.1 of such a column is 0.1 to its user.

    All numbers are double when they are compared, and the single 0.1 is another double than 0.1.
    """
    import numpy as np
    import pandas as pd

    if not isinstance(constant, float) or not isinstance(values, pd.Series) or values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):
        single = float(np.float32(constant))
    return values if single == constant or not np.isfinite(single) else values.where(values != single, constant)


def _labels(value: Any) -> Any:
    """Whole numbers as integers, however they are stored: their categories are called 2, not 2.0."""
    import numpy as np

    if getattr(getattr(value, "dtype", None), "kind", "") != "f":
        return value
    values = np.asarray(value)
    whole = (
        np.isfinite(values).all() and bool(np.all(values == np.round(values))) and np.abs(values).max(initial=0) < 2**53
    )
    return value.astype("int64") if whole else value


def _is_required(parameter: inspect.Parameter) -> bool:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in variable
