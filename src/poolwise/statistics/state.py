"""Statistics with their design and encoding as plain data, for files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.archive import kind_of_labels, labels_of_kind, plain_labels
from poolwise.design import Design, Encoding
from poolwise.design.needed import part_texts
from poolwise.design.replay import restore_specs, specs_state
from poolwise.formula import parse
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
        "effects": design.effects,
        "group": design.group,
        "correlated": design.correlated,
        "statistics_columns": products.columns,
        "levels": kind_of_labels(products.levels),
        "dropped": statistics.dropped,
        "reading": statistics.reading,
        "encoding": {
            "outcome": encoding.outcome,
            "variables": encoding.variables,
            "group": encoding.group,
            "specs": specs_state(encoding.specs, part_texts(design.formula)),
        },
    }
    arrays = {
        "common_map": design.common_map,
        "group_map": design.group_map,
        "counts": products.counts,
        "origin": products.origin,
        "means": products.means,
        "scatter": products.scatter,
        "levels": plain_labels(products.levels),
    }
    return header, arrays


def from_state(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> SufficientStatistics:
    """What `to_state` described."""
    from poolwise.statistics.sufficient import SufficientStatistics

    levels = labels_of_kind(arrays["levels"], header["levels"])
    design = Design(
        parse(header["formula"]),
        header["response"],
        tuple(header["columns"]),
        tuple(header["coefficients"]),
        arrays["common_map"],
        tuple(header["effects"]),
        arrays["group_map"],
        header["group"],
        levels,
        header["correlated"],
    )
    encoding = header["encoding"]
    specs = restore_specs(encoding["specs"])
    products = CrossProducts(
        tuple(header["statistics_columns"]),
        levels,
        arrays["counts"],
        arrays["origin"],
        arrays["means"],
        arrays["scatter"],
    )
    names = tuple(encoding["outcome"]), tuple(encoding["variables"])
    return SufficientStatistics(
        design, Encoding(specs, *names, encoding["group"], levels), products, header["dropped"], header["reading"]
    )
