"""What translations share: numbers, names of columns, formulas in R's spelling."""

from __future__ import annotations

import re
from itertools import chain, count

import numpy as np

from poolwise.density.priors import is_intercept
from poolwise.design.additions import ends_of
from poolwise.design.expression_names import expression_names
from poolwise.design.factors import Factor
from poolwise.formula.parse import unquote
from poolwise.formula.terms import Bar
from poolwise.inference.posterior import Model
from poolwise.output.translate.expressions import check_expressions
from poolwise.support.errors import DataError

# Words of ours on either side of a formula, which translations spell by themselves.
_SPELLED = frozenset(
    {"offset", "trials", "weights", "cbind", "prop", "proportion", "p", "weighted", "cens", "trunc", "dec", "se"}
)
# Functions that mean the same in formulaic and in R.
IN_R = frozenset({"log", "exp", "sqrt", "abs", "poly", "scale", "I", "C", "factor"})
# The category in a coefficient's name, which may hold brackets itself: `k[T.(0, 1]]`.
CATEGORY = re.compile(r"\[(?:T\.)?(.*?)\](?=:|$)")
_WORDS_OF_R = frozenset(
    {"if", "else", "repeat", "while", "function", "for", "next", "break", "in", "TRUE", "FALSE", "NULL", "Inf", "NaN"}
    | {"NA", "NA_integer_", "NA_real_", "NA_character_", "NA_complex_"}
)
# What brms writes for signs in the names of coefficients; all others stay as they are.
_SIGNS_IN_BRMS = str.maketrans(
    {**dict.fromkeys(" ()[],\"'?`", ""), "+": "P", "-": "M", "*": "MU", "/": "D", "^": "E", "=": "EQ", "$": "USD"}
)


def number(value: float) -> str:
    """A number with the digits that matter."""
    return f"{value:.10g}"


def matrix(values: np.ndarray) -> str:
    """A matrix as a list of lists, with all its digits: what is taken away at a far-off centre comes back."""
    return "[" + ", ".join("[" + ", ".join(f"{value:.17g}" for value in row) + "]" for row in values) + "]"


def refuse_centred_slopes(model: Model, system: str) -> None:
    """Refuse default priors of main effects at the mean of what they interact with, which the system cannot state."""
    for name, centred in zip(model.design.coefficients, model.priors.centred, strict=True):
        if centred and not is_intercept(name):
            raise DataError(
                f"The default prior of '{name}' is on its value at the mean of what it interacts with, which {system} "
                "has no way to say. Give priors={'slopes': ...} at the fit, or centre the predictors."
            )


def needed(model: Model) -> list[str]:
    """Names of all columns that a row needs."""
    encoding, formula = model.encoding, model.design.formula
    weights = [] if encoding.weights is None else [encoding.weights]
    added = [name for _, text in formula.additions for name in sorted(expression_names(text) - ends_of(formula))]
    columns = [*encoding.outcome, *added, *encoding.trials, *encoding.variables, *weights, *encoding.keys]
    return list(dict.fromkeys(columns))


def own_column(model: Model, name: str) -> str:
    """A name for a column of the script's own: that given, with a number behind it where the data have such a column.

    Names with underscores at the end, as `support/naming.py` makes them, are refused by brms.
    """
    taken = {*needed(model), *ends_of(model.design.formula)}
    numbered = (f"{name}{k}" for k in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


def of_predictor(model: Model, name: str) -> list[int]:
    """Positions of the coefficients of a linear predictor."""
    return [k for k, of in enumerate(model.design.predictors) if of == name]


def own_name(coefficient: str, predictor: str) -> str:
    """A coefficient without the name of its linear predictor: `zi_x` is `x`."""
    return coefficient.removeprefix(f"{predictor}_") if predictor else coefficient


def bars_of(model: Model, factor: Factor) -> list[Bar]:
    """The group terms that a factor's effects are written in, in the order of these."""
    formulas = dict(model.design.formula.predictors)
    bars = [bar for name in dict.fromkeys(factor.predictors) for bar in formulas[name].bars]
    return sorted((bar for bar in bars if set(bar.keys) == set(factor.keys)), key=lambda bar: bool(bar.shared))


def column_of_response(model: Model) -> str | None:
    """The column that the outcome is, None where it is an expression."""
    name = unquote(model.design.response)
    return name if name in model.encoding.outcome else None


def header(model: Model, what: str = "the same model and priors") -> str:
    """What the script is of."""
    return (
        f"# {model.design.formula.text}\n"
        f"# Written by poolwise: {what}. The rows are in data.csv, with the columns\n"
        f"# {', '.join([*needed(model), *sorted(ends_of(model.design.formula))])}.\n"
    )


def check_functions(model: Model, system: str, shared: frozenset[str]) -> None:
    """Refuse a formula with functions or operators that the other system lacks, or has in another sense."""
    for name in set(re.findall(r"([A-Za-z_][\w.]*)\s*\(", model.design.formula.text)):
        if name not in shared and name not in _SPELLED:
            raise DataError(
                f"'{name}(...)' of '{model.design.formula.text}' may mean something else in {system}: make it a column "
                "of the data and use that."
            )
    check_expressions(model, system)


def in_r_spelling(text: str) -> str:
    """`C(z)` as `factor(z)`, powers by `^`, truths in capitals."""
    text = re.sub(r"(?<![\w.`\[])(True|False)(?![\w.`])", lambda found: found[1].upper(), text)
    return re.sub(r"\bC\(", "factor(", text).replace("**", "^")


def brms_coefficient(name: str) -> str:
    """Name of a coefficient in brms: R's own, with letters for signs: `z[T.b]:x` is `zb:x`, `I(x - 1)` is `IxM1`."""
    name = in_r_spelling(name)
    name = CATEGORY.sub(lambda found: re.sub(r"^(-?\d+)\.0$", r"\1", found[1]), name)
    return name.translate(_SIGNS_IN_BRMS)


def refuse_weights(model: Model, system: str) -> None:
    """Weights there multiply log likelihoods; here they are precisions."""
    if model.encoding.weights is not None:
        raise DataError(
            f"Weights mean something else in {system}: there a row counts so many times, here its variance is "
            "sigma^2 / weight."
        )


def quoted_in_r(name: str) -> str:
    """A name as R takes it after a `$`, and among arguments."""
    return name if re.fullmatch(r"[A-Za-z][\w.]*", name) and name not in _WORDS_OF_R else f"`{name}`"
