"""formulaic's matrices of raw columns, and what goes wrong there in our words."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from poolwise.design.declared import matched
from poolwise.design.expression_names import parse_expression
from poolwise.design.transform_state import own_states
from poolwise.formula import Formula
from poolwise.formula.parse import unquote
from poolwise.support.errors import DataError, FormulaError

_WARNINGS = Lock()


def materialise(parts: Any, raw: dict[str, Any], formula: Formula, rows: int) -> Any:
    """formulaic's matrices for raw columns without missing values."""
    import pandas as pd
    from formulaic.errors import DataMismatchWarning, FactorEvaluationError, FormulaicError

    from poolwise.design.materializer import Materializer

    raw = _known_categories(parts, raw)
    frame = pd.DataFrame(raw, index=range(rows), copy=False)
    # What a transform makes of zero or of a negative number is found among the values, not warned of.
    with np.errstate(all="ignore"), _warned_of_categories(parts):
        try:
            made = Materializer(frame, context=formula.functions)
            made.tables = formula.tables
            return made.get_model_matrix(own_states(parts), na_action="ignore", output="numpy")
        except DataMismatchWarning as error:
            if not any(getattr(part, "encoder_state", None) for part in parts._flatten()):
                raise DataError(f"levels= in '{formula.text}' leaves out categories that rows hold: {error}") from error
            raise DataError(f"New data hold categories that the fit has not seen: {error}") from error
        except FactorEvaluationError as error:
            if "extrapolation" in str(error):
                raise DataError(
                    f"A spline of '{formula.text}' is evaluated beyond the values that it was fitted to."
                ) from error
            if isinstance(error.__cause__, (FormulaError, DataError)):
                raise error.__cause__ from None
            raise FormulaError(f"Cannot evaluate a term of '{formula.text}': {_cause(error)}") from error
        except (FormulaError, DataError):  # in our words already
            raise
        except FormulaicError as error:
            if "inconsistent with specification" in str(error) or "compared to specification" in str(error):
                said = f"A column of '{formula.text}' has another kind than at the fit, such as text for numbers"
                raise DataError(f"{said}: {_cause(error)}") from error
            raise FormulaError(f"Cannot build '{formula.text}': {_cause(error)}") from error
        except Exception as error:  # whatever a transform may raise on the user's data
            raise FormulaError(f"Cannot evaluate '{formula.text}' on these data: {_cause(error)}") from error


@contextmanager
def _warned_of_categories(parts: Any) -> Iterator[None]:
    """formulaic warns of unknown categories of computed factors such as `C(x + 1)`, and of those that `levels=` leaves
    out; here that is an error.

    Warning filters belong to the process, so this is done only where such a factor is, and by one thread at a time.
    """
    from formulaic.errors import DataMismatchWarning

    states = [state for part in parts._flatten() for state in getattr(part, "encoder_state", {}).items()]
    named = any("levels" in str(term) for part in parts._flatten() for term in getattr(part, "formula", part))
    computed = any("categories" in state and column_of_category(factor) is None for factor, (_, state) in states)
    if not (named or computed):
        yield
        return
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        yield


def _known_categories(parts: Any, raw: dict[str, Any]) -> dict[str, Any]:
    """Columns whose categories are those of specifications, matched by value or else by text, `2019` with `"2019"`.

    Raises
    ------
    DataError : for categories that specifications do not know: formulaic would take them for the first one, and warn.
    """
    import pandas as pd

    raw = dict(raw)
    for part in parts._flatten():
        for factor, (_, state) in getattr(part, "encoder_state", {}).items():
            name = column_of_category(factor)
            if "categories" not in state or name not in raw:
                continue  # of `C(x + 1)` formulaic itself says so
            before, known = raw[name], list(state["categories"])
            labels = matched(name, before, known)
            declared = isinstance(before, pd.Categorical)
            if factor in (name, f"`{name}`") and not (declared and list(before.categories) == known):
                raw[name] = pd.Categorical(labels, categories=pd.Index(known, dtype=object))
            elif not declared:
                raw[name] = labels
    return raw


def column_of_category(factor: str) -> str | None:
    """The raw column behind a categorical factor: `z` for `z`, `C(z)` and `C(z, contr.sum)`, None for `C(z + 1)`."""
    if not factor.startswith("C("):
        return unquote(factor)
    tree, names = parse_expression(factor)
    inside = tree.args[0] if isinstance(tree, ast.Call) and tree.args else None
    return names[inside.id] if isinstance(inside, ast.Name) else None


def _cause(error: BaseException) -> str:
    inner = error.__cause__ or error
    return f"{inner} ({type(inner).__name__})" if inner is not error else str(error)
