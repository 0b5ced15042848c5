"""What translations share: numbers, names of columns, formulas in R's spelling."""

from __future__ import annotations

import re

from poolwise.errors import DataError
from poolwise.posterior import Model

# Functions that mean the same in formulaic and in R.
_SHARED = {"log", "exp", "sqrt", "abs", "poly", "scale", "I", "C", "factor"}


def number(value: float) -> str:
    """A number with the digits that matter."""
    return f"{value:.10g}"


def needed(model: Model) -> list[str]:
    """Names of all columns that a row needs."""
    encoding = model.encoding
    weights = [] if encoding.weights is None else [encoding.weights]
    return list(dict.fromkeys([*encoding.outcome, *encoding.variables, *weights, *encoding.keys]))


def header(model: Model, comment: str = "#") -> str:
    """What the script is of."""
    return (
        f"{comment} {model.design.formula.text}\n"
        f"{comment} Written by poolwise: the same model and priors. The rows are in data.csv, with the columns\n"
        f"{comment} {', '.join(needed(model))}.\n"
    )


def in_r(model: Model, system: str) -> str:
    """The formula in R's spelling.

    Raises
    ------
    DataError : for functions that R does not have, or has in another sense.
    """
    formula = model.design.formula
    for name in set(re.findall(r"([A-Za-z_][\w.]*)\s*\(", formula.text)):
        if name not in _SHARED and name != "offset":
            raise DataError(
                f"'{name}(...)' of '{formula.text}' may mean something else in {system}: make it a column of the data "
                "and use that."
            )
    text = re.sub(r"\bC\(", "factor(", formula.text)
    return text.replace("**", "^")


def r_coefficient(name: str) -> str:
    """Name of a coefficient as R's model matrices have it: `z[T.b]` is `zb`."""
    return re.sub(r"\[T\.([^\]]*)\]", r"\1", name)


def refuse_weights(model: Model, system: str) -> None:
    """Weights there multiply log likelihoods; here they are precisions."""
    if model.encoding.weights is not None:
        raise DataError(
            f"Weights mean something else in {system}: there a row counts so many times, here its variance is "
            "sigma^2 / weight."
        )
