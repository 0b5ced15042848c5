"""Statistics with their design and encoding as plain data, for files."""

from __future__ import annotations

from typing import Any

import numpy as np

from poolwise.design import Design, Encoding, Rows
from poolwise.design.declared import Declared
from poolwise.design.factors import Cells, Factor, levels_with
from poolwise.design.required_columns import needed_columns, part_texts
from poolwise.design.structures import Coupling, Penalty, Structure
from poolwise.design.transform_state import restore_specs, specs_state
from poolwise.families import family_of
from poolwise.formula import Functions, formula_from, formula_state
from poolwise.statistics.products import CrossProducts
from poolwise.statistics.statistics import Statistics
from poolwise.support.archive import labels_of, labels_state, numbers

_OF_ROWS, _MORE_OF_ROWS = ("values", "codes", "counts"), ("weights", "offset", "trials", "limits")
_OF_COUPLING = ("rows", "columns", "values", "variances")


def to_state(statistics: Statistics) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A header fit for JSON, and arrays."""
    design, encoding, products = statistics.design, statistics.encoding, statistics.products
    header = {
        "formula": formula_state(design.formula),
        "response": design.response,
        "columns": design.columns,
        "coefficients": design.coefficients,
        "predictors": design.predictors,
        "factors": [
            {
                "name": factor.name,
                "keys": factor.keys,
                "effects": factor.effects,
                "starts": factor.starts.tolist(),
                "predictors": factor.predictors,
                "coupled": None if factor.coupling is None else _coupled_state(factor.coupling),
                "structures": [_structure_state(one) for one in factor.structures],
            }
            for factor in design.factors
        ],
        "structures": [_structure_state(one) for one in design.structures],
        "statistics_columns": products.columns,
        "cells": [labels_state(labels) for labels in products.cells],
        "dropped": statistics.dropped,
        "reading": statistics.reading,
        "summed": None if statistics.summed is None else statistics.summed.family,
        "encoding": {
            "outcome": encoding.outcome,
            "variables": encoding.variables,
            "weights": encoding.weights,
            "keys": encoding.keys,
            "trials": encoding.trials,
            "linear": encoding.linear,
            "labels": list(encoding.labels),
            "declared": [[each.name, list(each.labels), each.ordered] for each in encoding.declared],
            "specs": specs_state(encoding.specs, part_texts(design.formula)),
        },
    }
    arrays = {
        "common_map": design.common_map,
        "counts": products.counts,
        "weights": products.weights,
        "log_weights": products.log_weights,
        "origin": products.origin,
        "means": products.means,
        "scatter": products.scatter,
        **{f"cells_{i}": labels for i, labels in enumerate(products.cells) if labels.dtype.kind != "O"},
        "margins": design.margins,
        **{f"group_map_{i}": factor.group_map for i, factor in enumerate(design.factors)},
        **{f"margins_{i}": factor.margins for i, factor in enumerate(design.factors)},
    }
    if statistics.counted is not None:
        arrays |= _counted_state(statistics.counted)
    for i, factor in enumerate(design.factors):
        if factor.coupling is not None:
            arrays |= {f"coupling_{name}_{i}": getattr(factor.coupling, name) for name in _OF_COUPLING}
    return header, arrays


def _structure_state(structure: Structure) -> dict[str, Any]:
    return {
        "name": structure.name,
        "predictor": structure.predictor,
        "places": structure.places,
        "null": structure.null,
        "penalties": [penalty.state() for penalty in structure.penalties],
    }


def _coupled_state(coupling: Coupling) -> dict[str, Any]:
    return {"levels": coupling.levels.tolist(), "intrinsic": coupling.intrinsic}


def from_state(header: dict[str, Any], arrays: dict[str, np.ndarray], functions: Functions | None = None) -> Statistics:
    """What `to_state` described; `functions` are the caller's own that its formula calls."""
    encoding = header["encoding"]
    formula = formula_from(header["formula"], functions)
    needed_columns(formula)  # its terms are those that a formula may have
    texts = part_texts(formula)
    if encoding["specs"].keys() != texts.keys():
        raise ValueError("the encoding is not that of the formula")
    cells = tuple(
        arrays[f"cells_{i}"] if state is None else labels_of(state) for i, state in enumerate(header["cells"])
    )
    keys = tuple(encoding["keys"])
    if formula.keys and keys != formula.keys:
        raise ValueError("the grouping columns are not those of the formula")
    counts = numbers(arrays, "counts", len(arrays["counts"]))
    if not (len(counts) and np.all(counts >= 0) and all(column.shape == counts.shape for column in cells)):
        raise ValueError("cells and counts do not belong together")
    columns, coefficients = tuple(header["columns"]), tuple(header["coefficients"])
    size, width, p = len(counts), len(header["statistics_columns"]), len(coefficients)
    if width != len(columns) + 1 or len(header["predictors"]) != p:
        raise ValueError("columns and coefficients do not belong together")
    scatter = numbers(arrays, "scatter", size, width, width)
    if np.any(np.einsum("ckk->ck", scatter) < 0):
        raise ValueError("a sum of squares is negative")
    design = Design(
        formula,
        header["response"],
        columns,
        coefficients,
        numbers(arrays, "common_map", width, p),
        tuple(_factor(said, i, keys, cells, arrays, width) for i, said in enumerate(header["factors"])),
        tuple(header["predictors"]),
        numbers(arrays, "margins", p, p).astype(bool),
        tuple(map(_structure, header["structures"])),
    )
    if any(not {*one.places, *one.null} <= set(range(p)) for one in design.structures):
        raise ValueError("the structured terms do not fit the coefficients")
    products = CrossProducts(
        tuple(header["statistics_columns"]),
        cells,
        counts,
        numbers(arrays, "weights", size),
        numbers(arrays, "origin", width),
        numbers(arrays, "means", size, width),
        scatter,
        numbers(arrays, "log_weights", size),
    )
    how = Encoding(
        restore_specs(texts, encoding["specs"]),
        tuple(encoding["outcome"]),
        tuple(encoding["variables"]),
        encoding["weights"],
        keys,
        cells,
        tuple(encoding["trials"]),
        bool(encoding["linear"]),
        tuple(encoding["labels"]),
        formula.known_errors,
        tuple(Declared(name, tuple(labels), bool(ordered)) for name, labels, ordered in encoding["declared"]),
    )
    counted = _counted(arrays, width, size, how.linear) if "counted_values" in arrays else None
    summed = None if header.get("summed") is None else family_of(header["summed"]).summed
    if header.get("summed") is not None and (summed is None or counted is None):
        raise ValueError("the outcomes are summed up for a family that has no sums")
    return Statistics(design, how, products, header["dropped"], header["reading"], counted, summed)


def _counted_state(rows: Rows) -> dict[str, np.ndarray]:
    found = {f"counted_{name}": getattr(rows, name) for name in (*_OF_ROWS, *_MORE_OF_ROWS)}
    return {name: array for name, array in found.items() if array is not None}


def _counted(arrays: dict[str, np.ndarray], width: int, cells: int, linear: bool) -> Rows:
    size = len(arrays["counted_values"])
    values, counts = numbers(arrays, "counted_values", size, width), numbers(arrays, "counted_counts", size)
    codes = numbers(arrays, "counted_codes", size).astype(np.int64)
    if np.any(counts <= 0) or np.any(codes < 0) or np.any(codes >= cells):
        raise ValueError("counts and cells of rows do not belong together")
    weights, offset, trials = (
        numbers(arrays, f"counted_{name}", size) if f"counted_{name}" in arrays else None
        for name in ("weights", "offset", "trials")
    )
    limits = arrays.get("counted_limits")
    if limits is not None and (limits.shape != (4, size) or limits.dtype.kind != "f"):
        raise ValueError("the limits of rows do not fit them")
    return Rows(values, codes, 0, weights, offset, trials, linear, limits, counts)


def _structure(said: dict[str, Any]) -> Structure:
    penalties = tuple(map(Penalty.from_state, said["penalties"]))
    found = Structure(said["name"], said["predictor"], tuple(said["places"]), tuple(said["null"]), penalties)
    if sum(len(penalty.widths) for penalty in penalties) != len(found.places):
        raise ValueError("a structured term does not have the coefficients that it has penalties of")
    return found


def _factor(
    said: dict[str, Any], i: int, keys: tuple[str, ...], cells: Cells, arrays: dict[str, np.ndarray], width: int
) -> Factor:
    effects, starts = tuple(said["effects"]), np.array(said["starts"], dtype=np.int64)
    q = len(effects)
    predictors = tuple(said["predictors"])
    if starts.shape != (q,) or len(predictors) != q or np.any(starts < 0) or np.any(starts > np.arange(q)):
        raise ValueError("the blocks of correlated effects do not fit the effects")
    coupling = _coupling(said["coupled"], i, arrays) if said["coupled"] else None
    levels, codes = levels_with(said["name"], tuple(said["keys"]), coupling, keys, cells)
    group_map = numbers(arrays, f"group_map_{i}", width, q)
    margins = numbers(arrays, f"margins_{i}", q, q).astype(bool)
    tied = tuple(map(_structure, said["structures"]))
    if any(not {*one.places, *one.null} <= set(range(q)) for one in tied):
        raise ValueError("the structured terms do not fit the effects")
    name, own = said["name"], tuple(said["keys"])
    return Factor(name, own, levels, codes, effects, group_map, starts, margins, predictors, coupling, tied)


def _coupling(said: dict[str, Any], i: int, arrays: dict[str, np.ndarray]) -> Coupling:
    levels = np.array(said["levels"], dtype=object)
    size, count = len(levels), len(arrays[f"coupling_values_{i}"])
    rows, columns, values = (numbers(arrays, f"coupling_{name}_{i}", count) for name in _OF_COUPLING[:3])
    variances = numbers(arrays, f"coupling_variances_{i}", size)
    rows, columns = rows.astype(np.int64), columns.astype(np.int64)
    if np.any(rows < 0) or np.any(columns >= size) or np.any(rows > columns) or not np.all(variances > 0):
        raise ValueError("what couples the levels does not fit them")
    return Coupling(levels, rows, columns, values, variances, bool(said["intrinsic"]))
