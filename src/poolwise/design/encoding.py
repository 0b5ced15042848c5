"""How raw columns become the columns of a design: what was learnt, so that it can be replayed on other rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poolwise.design import structures
from poolwise.design.declared import Declared
from poolwise.design.design import Design
from poolwise.design.factors import Cells, levels_with
from poolwise.design.group_terms import factors_of, selection
from poolwise.design.levels import label_codes
from poolwise.design.margins import margins_of, powers_of_columns
from poolwise.design.required_columns import Needed, common_part, design_parts
from poolwise.formula.parse import unquote


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How raw columns become design columns.

    Attributes
    ----------
    specs : formulaic's model specifications of the parts of the formula; they hold the state of transforms (`scale`,
        splines) and the levels of categories.
    outcome, variables : raw columns that the outcome and the predictors need.
    weights : the raw column of the rows' weights, or None.
    keys : raw grouping columns.
    cells : for each of them, the label (C,) in each cell.
    trials : raw columns that the number of trials needs.
    linear : whether the mean is the linear predictor, so that offsets can be taken away from the outcome.
    labels : of failure and success, where the outcome is two labels; of its categories, where it is one of several.
    known_errors : whether the column of weights has standard errors instead, s of weight 1 / s^2.
    declared : categories of raw columns.
    """

    specs: Any
    outcome: tuple[str, ...]
    variables: tuple[str, ...]
    weights: str | None
    keys: tuple[str, ...]
    cells: Cells
    trials: tuple[str, ...] = ()
    linear: bool = True
    labels: tuple[Any, ...] = ()
    known_errors: bool = False
    declared: tuple[Declared, ...] = ()


def with_cells(design: Design, encoding: Encoding, cells: Cells) -> tuple[Design, Encoding]:
    """The same design for other groups."""
    factors = []
    for factor in design.factors:
        levels, codes = levels_with(factor.name, factor.keys, factor.coupling, encoding.keys, cells)
        factors.append(replace(factor, levels=levels, codes=codes))
    return replace(design, factors=tuple(factors)), replace(encoding, cells=cells)


def codes_of(cells: Cells, keys: list[Any]) -> np.ndarray:
    """(n,) position of the cell of each row, -1 for a combination of labels that is not there."""
    import pandas as pd

    keys = [np.asarray(each, dtype=object) if isinstance(each, pd.Categorical) else each for each in keys]
    if len(keys) == 1:
        return pd.Index(cells[0]).get_indexer(keys[0]).astype(np.int64)
    place, known = np.zeros(len(keys[0]), dtype=np.int64), np.zeros(len(cells[0]), dtype=np.int64)
    for mine, theirs in zip(keys, cells, strict=True):
        codes, levels = label_codes(theirs)
        found = pd.Index(levels).get_indexer(mine).astype(np.int64)
        place = np.where((place < 0) | (found < 0), -1, place * len(levels) + found)
        known = known * len(levels) + codes
        distinct = np.unique(known)  # renumbered, so that products of many columns stay whole numbers
        known = np.searchsorted(distinct, known)
        at = np.searchsorted(distinct, place).clip(max=len(distinct) - 1)
        place = np.where(distinct[at] == place, at, -1)
    return pd.Index(known).get_indexer(pd.Index(place)).astype(np.int64)


def describe_columns(
    needed: Needed, specs: Any, cells: Cells, declared: tuple[Declared, ...] = ()
) -> tuple[Design, Encoding]:
    """Design and encoding from formulaic's specifications after they have met data, and categories of raw columns."""
    formula = needed.formula
    names = {part: tuple(map(str, getattr(specs, part).column_names)) for part in design_parts(formula)}
    columns = tuple(dict.fromkeys(name for each in names.values() for name in each if name != "Intercept"))
    common: list[str] = []
    predictors: list[str] = []
    margins: list[np.ndarray] = []
    for of, each in formula.predictors:
        part = common_part(of)
        kept = [k for k, name in enumerate(names[part]) if each.constant or name != "Intercept"]
        common += [names[part][k] for k in kept]
        predictors += [of] * len(kept)
        powers = powers_of_columns(getattr(specs, part))
        margins.append(margins_of([powers[k] for k in kept]))
    coefficients = tuple(f"{of}_{name}" if of else name for of, name in zip(predictors, common, strict=True))
    design = Design(
        formula,
        unquote(formula.response),
        columns,
        coefficients,
        selection(columns, tuple(common)),
        factors_of(formula, specs, columns, cells),
        tuple(predictors),
        _block_diagonal(margins),
        structures.structures_of(
            {part: getattr(specs, part) for part in names},
            [(of, common_part(of)) for of, _ in formula.predictors],
            list(zip(predictors, common, strict=True)),
            structures.terms(),
        ),
    )
    return design, Encoding(
        specs,
        needed.outcome,
        needed.predictors,
        needed.weights,
        needed.keys,
        cells,
        needed.trials,
        needed.linear,
        known_errors=formula.known_errors,
        declared=declared,
    )


def _block_diagonal(blocks: list[np.ndarray]) -> np.ndarray:
    size, at = sum(map(len, blocks)), 0
    found = np.zeros((size, size), dtype=bool)
    for block in blocks:
        found[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return found
