"""From the bars of a formula to grouping factors with their effects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from poolwise.design.factors import Cells, Factor, levels_with
from poolwise.design.margins import Powers, margins_of, powers_of_columns
from poolwise.design.required_columns import effects_part
from poolwise.design.structures import Structure, structures_of, terms
from poolwise.design.structures.coupled_terms import coupling_of
from poolwise.formula import Bar, Formula
from poolwise.support.errors import FormulaError

_OwnedBar = tuple[str, Formula, Bar]  # with the linear predictor that it is part of, and the formula of that


def factors_of(formula: Formula, specs: Any, columns: tuple[str, ...], cells: Cells) -> tuple[Factor, ...]:
    """The grouping factors of a formula, from formulaic's specifications of its bars."""
    by_factor = _bars_by_factor(formula, specs)
    of_mean = [frozenset(bars[0][2].keys) for bars in by_factor if not bars[0][0]]
    return tuple(_factor(formula, bars, specs, columns, cells, of_mean) for bars in by_factor)


def _bars_by_factor(formula: Formula, specs: Any) -> list[list[_OwnedBar]]:
    """The bars of each factor: those of one linear predictor and one grouping, and all others that share a name."""
    found: dict[tuple[str, frozenset[str]], list[_OwnedBar]] = {}
    joined: dict[tuple[str, frozenset[str]], tuple[str, frozenset[str]]] = {}
    for of, each in formula.predictors:
        for bar in each.bars:
            if not getattr(specs, effects_part(of, each, bar)).column_names:
                raise FormulaError(f"{bar} has no effects: the left side of the bar is empty.")
            keys = frozenset(bar.keys)
            place = (f"{of} {bar.structure}" if bar.structure else of, keys)
            if bar.shared:
                place = joined.setdefault((bar.shared, keys), joined.get(("", keys), place))
                joined[("", keys)] = place
            found.setdefault(place, []).append((of, each, bar))
    return [sorted(bars, key=lambda owned: owned[2].shared) for bars in found.values()]


def _factor(
    formula: Formula,
    bars: list[_OwnedBar],
    specs: Any,
    columns: tuple[str, ...],
    cells: Cells,
    of_mean: list[frozenset[str]],
) -> Factor:
    """The factor of some bars, whose effects are correlated within each bar that says so, and in bars of one name.

    `of_mean` are the groupings by which the mean varies: their factors have the plain names.
    """
    effects: list[str] = []
    starts: list[int] = []
    predictors: list[str] = []
    written: list[str] = []
    of_effects: list[Powers] = []
    tied: list[Structure] = []
    first: dict[str, int] = {}
    several = len({of for of, _, _ in bars}) > 1
    for of, each, bar in bars:
        part = effects_part(of, each, bar)
        spec = getattr(specs, part)
        names = tuple(map(str, spec.column_names))
        mine = [f"{of}_{name}" if several and of else name for name in names]
        twice = [name for name in mine if name in effects]
        if twice:
            what = "Intercepts vary" if twice[0] == "Intercept" else f"'{twice[0]}' varies"
            raise FormulaError(
                f"{what} by {bar.factor} in two group terms of '{each.text}', and nothing could tell the two apart. "
                f"Put all effects into one bar, or start the second with 0: (0 + ... | {bar.factor})."
            )
        found = structures_of({part: spec}, [(of, part)], [(of, name) for name in names], terms())
        _check_by_group(bar, found)
        first_of_bar = len(effects)
        tied += [
            replace(
                one,
                name=f"{of}_{one.text}" if several and of else one.text,
                places=tuple(first_of_bar + k for k in one.places),
                null=tuple(first_of_bar + k for k in one.null),
            )
            for one in found
        ]
        start = first.setdefault(bar.shared, len(effects)) if bar.shared else len(effects)
        together = bar.correlated and not found  # beside a structured term all effects are independent
        starts += [start if together else len(effects) + k for k in range(len(mine))]
        effects += mine
        written += names
        predictors += [of] * len(mine)
        of_effects += powers_of_columns(spec)
    keys, structure = bars[0][2].keys, bars[0][2].structure
    coupling = coupling_of(bars[0][2], formula.tables) if structure else None
    levels, codes = levels_with(structure, keys, coupling, formula.keys, cells)
    group_map = selection(columns, tuple(written))
    owners = tuple(dict.fromkeys(predictors))
    plain = "" in owners or (several and frozenset(keys) not in of_mean)
    name = bars[0][2].factor if plain else "_".join((*owners, bars[0][2].factor))
    parts = np.array(predictors, dtype=object)
    margins = margins_of(of_effects) & (parts[:, None] == parts)
    return Factor(
        name,
        keys,
        levels,
        codes,
        tuple(effects),
        group_map,
        np.array(starts, dtype=np.int64),
        margins,
        tuple(predictors),
        coupling,
        tuple(tied),
    )


def _check_by_group(bar: Bar, found: tuple[Structure, ...]) -> None:
    """Refuse structured terms that cannot vary by group."""
    for one in found:
        if one.simplex:
            raise FormulaError(f"'{one.text}' in {bar}: a monotonic effect cannot vary by group; write it outside.")
        if bar.shared or bar.structure:
            raise FormulaError(
                f"'{one.text}' in {bar}: a structured term varies by plain groups only, as in ({one.text} | g)."
            )


def selection(columns: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    """(1 + K, number of names) with a one where a name is a column of [1, W]."""
    position = {"Intercept": 0, **{name: k for k, name in enumerate(columns, start=1)}}
    selected = np.zeros((1 + len(columns), len(names)))
    selected[[position[name] for name in names], np.arange(len(names))] = 1.0
    return selected
