"""Categories of predictors in scripts: a file says neither which there are nor in which order.

It does not tell 1, 1.0, True and their text apart either, so that scripts compare labels as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from poolwise.design.declared import Declared
from poolwise.design.levels import plain_label
from poolwise.design.model_matrices import column_of_category
from poolwise.inference.posterior import Model
from poolwise.output.translate.common import quoted_in_r
from poolwise.support.errors import DataError

# Text that pandas and R take for a missing value in a file.
_MISSING_IN_PANDAS = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
    | {"NULL", "NaN", "None", "n/a", "nan", "null"}
)
_MISSING_IN_R = frozenset({"NA"})
# Text that may become a number or a truth when a file is read.
_NO_TEXT = re.compile(r"\s*[-+.\d].*|T|F|TRUE|FALSE|INF|INFINITY|NAN", re.IGNORECASE | re.DOTALL)

HELPER = '''
def as_category(column, labels, ordered=False):
    """Categories in their order; a file does not tell 1, 1.0 and "1" apart, so that labels are compared as text."""

    def text(label):
        return f"{label:.0f}" if isinstance(label, float) and label.is_integer() else str(label)

    codes = pd.Index([text(label) for label in labels]).get_indexer([text(label) for label in column])
    if (codes < 0).any():
        raise ValueError(f"'{column.name}' holds other categories than {labels}")
    return pd.Categorical.from_codes(codes, labels, ordered=ordered)
'''


def categories_of(model: Model) -> tuple[Declared, ...]:
    """The columns of predictors that are categories, with their labels.

    Numbers in `C(k)` are left out where they declare no categories: read from a file they are numbers again, in the
    same order.
    """
    found = {each.name: each for each in model.encoding.declared}
    parts = model.encoding.specs._flatten()
    states = [item for part in parts for item in getattr(part, "encoder_state", {}).items()]
    for factor, (_, state) in sorted(states, key=lambda item: str(item[0]).startswith("C(")):
        name = column_of_category(factor)
        if "categories" not in state or name is None or name not in model.encoding.variables or name in found:
            continue
        labels = tuple(state["categories"])
        if str(factor).startswith("C(") and all(_is_number(plain_label(label)) for label in labels):
            continue
        found[name] = Declared(name, labels, False)
    return tuple(Declared(name, tuple(map(_plain, each.labels)), each.ordered) for name, each in found.items())


def in_python(model: Model, *, ordered: bool = False) -> list[str]:
    """Statements that make columns categories.

    Parameters
    ----------
    ordered : whether all of them say that they are ordered, without which Bambi sorts their labels.
    """
    said = []
    for each in categories_of(model):
        order = ", ordered=True" if ordered or each.ordered else ""
        made = f"as_category(data[{each.name!r}], {list(each.labels)!r}{order})"
        said.append(f"    data = data.assign(**{{{each.name!r}: {made}}})")
    return said


def read_in_python(model: Model) -> str:
    """The call that reads the rows: text that looks like numbers stays text.

    Raises
    ------
    DataError : for categories that are missing values when they are read.
    """
    names = _kept_text(model, "pandas", _MISSING_IN_PANDAS)
    return f'pd.read_csv("data.csv", dtype={dict.fromkeys(names, "str")!r})' if names else 'pd.read_csv("data.csv")'


def read_in_r(model: Model) -> str:
    """Statements that read the rows, and make columns factors.

    Raises
    ------
    DataError : for categories that are missing values when they are read.
    """
    names = _kept_text(model, "R", _MISSING_IN_R)
    kept = ", ".join(f'{quoted_in_r(name)} = "character"' for name in names)
    classes = f", colClasses = c({kept})" if names else ""
    said = [f'data <- read.csv("data.csv", stringsAsFactors = TRUE, check.names = FALSE{classes})\n']
    for each in categories_of(model):
        mine = f"data${quoted_in_r(each.name)}"
        said.append(f"{mine} <- {_factor(mine, each.labels)}\n")
    return "".join(said)


def text_in_r(text: str) -> str:
    """Text as R has it between quotes."""
    return json.dumps(text, ensure_ascii=False)


def _factor(column: str, labels: Sequence[Any]) -> str:
    levels = ", ".join(text_in_r(label) if isinstance(label, str) else str(label) for label in labels)
    if not any(isinstance(label, bool) for label in labels):
        return f"factor({column}, levels = c({levels}))"
    levels = ", ".join(text_in_r(str(label)) for label in labels)
    # R has truths in capitals where it reads them, and leaves those of Python as they are where it does not.
    return f"factor(toupper({column}), levels = c({levels.upper()}), labels = c({levels}))"


def _kept_text(model: Model, system: str, missing: frozenset[str]) -> list[str]:
    """Columns whose labels are text that a file may be read as something else for."""
    names = []
    for each in categories_of(model):
        texts = [label for label in each.labels if isinstance(label, str)]
        if lost := sorted(missing.intersection(texts)):
            raise DataError(
                f"'{each.name}' has the category {lost[0]!r}, which {system} reads from a file as a missing value: "
                "give it another label to translate the model."
            )
        if any(_NO_TEXT.fullmatch(text) for text in texts):
            names.append(each.name)
    return names


def _plain(label: Any) -> Any:
    """A label that a script can spell: a number, a truth, or text."""
    plain = plain_label(label)
    return plain if isinstance(plain, (str, bool, int, float)) else str(plain)


def _is_number(label: Any) -> bool:
    return isinstance(label, (int, float)) and not isinstance(label, bool)
