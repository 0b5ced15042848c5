"""Statistics with their design and encoding as plain data, for files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.archive import kind_of_labels, labels_of_kind, plain_labels
from poolwise.design import Design, Encoding
from poolwise.design.factors import Factor, levels_of
from poolwise.design.needed import needed_columns, part_texts
from poolwise.design.replay import restore_specs, specs_state
from poolwise.formula import Functions, parse
from poolwise.statistics.products import CrossProducts

if TYPE_CHECKING:
    from poolwise.statistics.sufficient import SufficientStatistics


def to_state(statistics: SufficientStatistics) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A header fit for JSON, and arrays."""
    design, encoding, products = statistics.design, statistics.encoding, statistics.products
    header = {
        "formula": design.formula.text,
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
                "predictor": factor.predictor,
            }
            for factor in design.factors
        ],
        "statistics_columns": products.columns,
        "cells": [kind_of_labels(labels) for labels in products.cells],
        "dropped": statistics.dropped,
        "reading": statistics.reading,
        "encoding": {
            "outcome": encoding.outcome,
            "variables": encoding.variables,
            "weights": encoding.weights,
            "keys": encoding.keys,
            "trials": encoding.trials,
            "linear": encoding.linear,
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
        **{f"cells_{i}": plain_labels(labels) for i, labels in enumerate(products.cells)},
        "margins": design.margins,
        **{f"group_map_{i}": factor.group_map for i, factor in enumerate(design.factors)},
        **{f"margins_{i}": factor.margins for i, factor in enumerate(design.factors)},
    }
    return header, arrays


def from_state(
    header: dict[str, Any], arrays: dict[str, np.ndarray], functions: Functions | None = None
) -> SufficientStatistics:
    """What `to_state` described; `functions` are the caller's own that its formula calls."""
    from poolwise.statistics.sufficient import SufficientStatistics

    encoding, formula = header["encoding"], parse(header["formula"], functions)
    needed_columns(formula)  # its terms are those that a formula may have
    cells = tuple(labels_of_kind(arrays[f"cells_{i}"], kind) for i, kind in enumerate(header["cells"]))
    keys = tuple(encoding["keys"])
    design = Design(
        formula,
        header["response"],
        tuple(header["columns"]),
        tuple(header["coefficients"]),
        arrays["common_map"],
        tuple(
            Factor(
                said["name"],
                tuple(said["keys"]),
                *levels_of(tuple(said["keys"]), keys, cells),
                tuple(said["effects"]),
                arrays[f"group_map_{i}"],
                np.array(said["starts"], dtype=np.int64),
                arrays[f"margins_{i}"],
                said.get("predictor", ""),
            )
            for i, said in enumerate(header["factors"])
        ),
        tuple(header.get("predictors", [""] * len(header["coefficients"]))),
        arrays["margins"],
    )
    products = CrossProducts(
        tuple(header["statistics_columns"]),
        cells,
        arrays["counts"],
        arrays["weights"],
        arrays["origin"],
        arrays["means"],
        arrays["scatter"],
        arrays["log_weights"],
    )
    how = Encoding(
        restore_specs(part_texts(formula), encoding["specs"]),
        tuple(encoding["outcome"]),
        tuple(encoding["variables"]),
        encoding["weights"],
        keys,
        cells,
        tuple(encoding.get("trials", ())),
        encoding.get("linear", True),
    )
    return SufficientStatistics(design, how, products, header["dropped"], header["reading"])
