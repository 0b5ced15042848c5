"""Draws under the names of a model: of its free variables, and of those that are made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from poolwise.pymc.density import CollapsedModel
from poolwise.pymc.graph import Block
from poolwise.pymc.numpy_calls import is_random
from poolwise.pymc.vectorised import over_many, split

_BATCH = 2_000_000  # numbers of a deterministic variable at a time


def values_of(block: Block, collapsed: CollapsedModel, theta: np.ndarray, drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Values (m, *shape) of all free variables by the names of their values."""
    rest, model = collapsed.rest, block.model
    found = dict(zip(rest.names, rest.split(theta), strict=True))
    parts = split(drawn, block.own_shapes)
    names = [model.rvs_to_values[one].name for one in block.variables]
    found |= dict(zip(names, parts, strict=True))
    if block.deviations:
        written = block.in_inputs([model.rvs_to_values[one] for one in block.deviations])
        compute = over_many(written, [*block.values_of_rest, *block.inputs], [*rest.shapes, *block.own_shapes])
        values = compute(*rest.split(theta), *parts)
        found |= {model.rvs_to_values[one].name: value for one, value in zip(block.deviations, values, strict=True)}
    return found


def variables_of(
    block: Block, collapsed: CollapsedModel, theta: np.ndarray, drawn: np.ndarray, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Draws (chains, draws, ...) of free and deterministic variables under the model's names."""
    model = block.model
    asked = [*model.free_RVs, *(one for one in model.deterministics if not _drawn_anew(model, one))]
    graphs = model.replace_rvs_by_values(asked)
    values = [model.rvs_to_values[one] for one in model.free_RVs]
    given = values_of(block, collapsed, theta, drawn)
    # A graph that no value reaches is the same in every draw.
    graphs = [pt.as_tensor(graph) for graph in graphs]
    compute = over_many(graphs, values, [given[value.name].shape[1:] for value in values])
    widest = max(1, *(int(np.prod(given[value.name].shape[1:], dtype=int)) for value in values))
    step = max(1, _BATCH // widest)
    parts = [
        compute(*(given[value.name][start : start + step] for value in values)) for start in range(0, len(theta), step)
    ]
    found = {}
    for k, one in enumerate(asked):
        whole = [np.asarray(part[k]) for part in parts]
        if whole[0].ndim == graphs[k].ndim:
            joined = np.broadcast_to(whole[0], (len(theta), *whole[0].shape))
        else:
            joined = np.concatenate(whole)
        found[one.name] = joined.reshape(*shape, *joined.shape[1:])
    return found


def _drawn_anew(model: pm.Model, variable: Any) -> bool:
    """Whether a deterministic variable has random numbers of its own, which no posterior draw decides."""
    return is_random(model.replace_rvs_by_values([variable]))
