"""`t2(x, z)`: a smooth surface over two variables of different units (Wood, Scheipl and Faraway 2013).

Each margin has straight functions 1, x and bent ones b_j(x). The products of two straight functions have coefficients
like any other; bent by straight, straight by bent, and bent by bent have an sd each. So no scale of one variable beside
the other is assumed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.structures.cubic import Cubics
from poolwise.design.structures.smooth import learnt_curve, number_column
from poolwise.design.structures.structure import PENALTIES, Penalty
from poolwise.support.errors import FormulaError

_USUAL = 5  # functions of a margin, as in mgcv
_BLOCKS = ("[1]", "[2]", "[1, 2]")  # bent along the first, the second, or both


@stateful_transform
def tensor(x: Any, z: Any, k: Any = None, bs: Any = "cr", _state: Any = None) -> FactorValues[Any]:
    """Columns of a smooth surface over x and z.

    Parameters
    ----------
    k, bs : size and basis of the margins, as in `s`; or a list with one for each.
    """
    both = number_column("t2(...)", x), number_column("t2(...)", z)
    learning = "margins" not in _state
    if learning:
        sizes, bases = _pair(k), _pair(bs)
        _state["margins"] = [
            learnt_curve(values, size, _USUAL, str(basis), None, None, "t2(...)")[0]
            for values, size, basis in zip(both, sizes, bases, strict=True)
        ]
    straight, bent = [], []
    for values, margin in zip(both, _state["margins"], strict=True):
        at = (values - margin["centre"]) / margin["scale"]
        straight.append(np.column_stack([np.ones_like(at), at]))
        bent.append(Cubics.from_state(margin["cubics"])(at))
    blocks = [_products(bent[0], straight[1]), _products(straight[0], bent[1]), _products(bent[0], bent[1])]
    if learning:
        _state["means"] = [block.mean(axis=0) for block in blocks]
        _state["sizes"] = [float(np.sqrt(np.square(block).sum(axis=1).mean())) for block in blocks]
        _state[PENALTIES] = [
            Penalty.of_sd(block.shape[1], suffix).state() for block, suffix in zip(blocks, _BLOCKS, strict=True)
        ]
    lines = {"linear 1": straight[0][:, 1], "linear 2": straight[1][:, 1]}
    columns = {**lines, "bilinear": straight[0][:, 1] * straight[1][:, 1]}
    at = 0
    for block, mean, size in zip(blocks, _state["means"], _state["sizes"], strict=True):
        scaled = (block - np.asarray(mean)) / size
        columns |= {str(at + j + 1): scaled[:, j] for j in range(block.shape[1])}
        at += block.shape[1]
    return FactorValues(columns, kind="numerical", spans_intercept=False, format="{name}[{field}]", encoded=False)


def _products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, a) and (n, b) to all products (n, a b)."""
    return (one[:, :, None] * other[:, None, :]).reshape(len(one), -1)


def _pair(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        return [value, value]
    if len(value) != 2:
        raise FormulaError(f"t2() has two margins: give one value or a list of two, not {value!r}.")
    return list(value)
