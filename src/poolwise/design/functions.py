"""The functions that a formula may call: this list, and those that the caller passes as `functions=`.

Each can be evaluated on columns in memory; those with an expression also by any engine that narwhals knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from poolwise.formula import Functions
from poolwise.support.errors import DataError, FormulaError

NUMPY = "np"  # functions of this list can be written `np.log` too
CONTRASTS = "contr"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of formulas.

    Attributes
    ----------
    on_columns : takes pandas Series and numbers.
    on_expressions : takes one narwhals expression; None where not every engine has the function.
    reach : how far it looks: "row", "learnt" (a transform whose state is learnt first) or "column".
    most_arguments : by position; NumPy takes one more for a place to write to.
    """

    on_columns: Callable[..., Any]
    on_expressions: Callable[[Any], Any] | None = None
    reach: str = "row"
    most_arguments: int = 100


_EXPRESSIONS: dict[str, Callable[[Any], Any]] = {
    "I": lambda x: x,
    "log": lambda x: x.log(),
    "log2": lambda x: x.log(2),
    "log10": lambda x: x.log(10),
    "exp": lambda x: x.exp(),
    "sqrt": lambda x: x.sqrt(),
    "abs": lambda x: x.abs(),
    "absolute": lambda x: x.abs(),
    "square": lambda x: x * x,
}
# NumPy's functions of each value alone.
_OF_NUMPY = [
    "abs",
    "absolute",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "around",
    "cbrt",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "deg2rad",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "fmax",
    "fmin",
    "hypot",
    "isfinite",
    "log",
    "log10",
    "log1p",
    "log2",
    "logical_and",
    "logical_not",
    "logical_or",
    "maximum",
    "minimum",
    "mod",
    "negative",
    "power",
    "rad2deg",
    "reciprocal",
    "rint",
    "round",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "where",
]
CONSTANTS = {"pi": 3.141592653589793, "e": 2.718281828459045}
LEARNT = ("bs", "cc", "cr", "cs", "center", "poly", "scale", "standardize")


@cache
def functions() -> Mapping[str, Function]:
    """The list by name."""
    import numpy as np
    from formulaic.transforms import TRANSFORMS

    from poolwise.design.contrasts import category, patsy_treatment
    from poolwise.design.structures import terms

    found = {
        name: Function(getattr(np, name), _EXPRESSIONS.get(name), most_arguments=_inputs(getattr(np, name)))
        for name in _OF_NUMPY
    }
    found |= {
        "ceiling": Function(np.ceil),
        "exp10": Function(lambda x: 10.0**x),
        "logit": Function(lambda p: np.log(p / (1.0 - p))),
        "I": Function(TRANSFORMS["I"], _EXPRESSIONS["I"]),
        "C": Function(category),
        "hashed": Function(TRANSFORMS["hashed"]),
        "numeric": Function(_numeric, lambda x: x),
        "lag": Function(TRANSFORMS["lag"], reach="column"),
    }
    found |= {name: Function(TRANSFORMS[name], reach="learnt") for name in LEARNT}
    found |= {name: Function(transform, reach="learnt") for name, transform in terms().items()}
    found["Treatment"] = Function(patsy_treatment)
    return found | {name: Function(TRANSFORMS[name]) for name in ("Sum", "Helmert", "Diff", "Poly")}  # patsy's names


def _numeric(x: Any) -> Any:
    """R's `as.numeric(as.character(x))`: numbers as they are, and those that text and labels are.

    Raises
    ------
    DataError : for text that is no number.
    """
    import pandas as pd

    if getattr(getattr(x, "dtype", None), "kind", "") in "iufb" and not isinstance(x.dtype, pd.CategoricalDtype):
        return x
    text = pd.Series(x, dtype=object)
    found = pd.to_numeric(text, errors="coerce")
    if (odd := found.isna() & text.notna()).any():
        raise DataError(f"as.numeric() takes numbers, and {text[odd].iloc[0]!r} is none; for categories write C(x).")
    return found.astype(float)


def _inputs(function: Any) -> int:
    """How many arguments one of NumPy's functions reads."""
    return int(getattr(function, "nin", {"clip": 3, "round": 2, "around": 2}.get(function.__name__, 3)))


@cache
def contrasts() -> Mapping[str, Any]:
    """Codings of categories, `contr.sum` and so on, by what stands after the dot."""
    from formulaic.transforms.contrasts import ContrastsRegistry

    from poolwise.design.contrasts import SAS, Treatment

    known = ("sum", "helmert", "diff", "poly", "custom")
    return {name: getattr(ContrastsRegistry, name) for name in known} | {"treatment": Treatment, "SAS": SAS}


def with_own(own: Functions) -> dict[str, Function]:
    """The list with functions of the caller, which are taken to look at whole columns.

    Raises
    ------
    FormulaError : for one that is not callable, has no plain name, or the name of a function of the list.
    """
    for name, function in own.items():
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise FormulaError(f"functions= takes plain names such as 'myscale', not {name!r}.")
        if name in functions() or name in (NUMPY, CONTRASTS):
            raise FormulaError(f"'{name}' is a function of poolwise's own; give yours another name.")
        if not callable(function):
            raise FormulaError(f"functions['{name}'] must be a function, not {type(function).__name__}.")
    return {**functions(), **{name: Function(function, reach="column") for name, function in own.items()}}
