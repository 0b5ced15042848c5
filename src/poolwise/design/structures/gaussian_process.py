"""`gp(x)`: a Gaussian process with squared exponential covariance, in a few sines (Solin and Sarkka 2020).

On [-L, L] around the middle of x the process is sum_j b_j sin(w_j (x + L)) / sqrt(L), w_j = j pi / (2 L), and b_j has
the variance S(w_j) of the spectral density: with sd a and length scale l,

    S(w) = a^2 sqrt(2 pi) l exp(-l^2 w^2 / 2).

How many functions are needed is in Riutort-Mayol, Burkner, Andersen, Solin and Vehtari 2023.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.structures.hyperparameters import follows_of
from poolwise.design.structures.smooth import number_column
from poolwise.design.structures.structure import PENALTIES, Hyperparameter, Penalty
from poolwise.support.errors import DataError, FormulaError

_USUAL, _BEYOND = 20, 1.5  # functions; L in units of half the range of x


@stateful_transform
def gaussian_process(x: Any, k: int = _USUAL, c: float = _BEYOND, _state: Any = None) -> FactorValues[Any]:
    """Columns of a Gaussian process over x.

    Parameters
    ----------
    k : number of functions.
    c : how far the functions reach, in units of half the range of x; above one.
    """
    values = number_column("gp(...)", x)
    if "middle" not in _state:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise FormulaError(f"k of gp() is a whole number of at least 1, not {k!r}.")
        if not float(c) > 1:
            raise FormulaError(
                f"c of gp() must be above 1, not {c!r}: the functions are zero at c times half the range."
            )
        low, high = float(values.min()), float(values.max())
        if not high > low:
            raise FormulaError("gp(...) needs a predictor that varies.")
        half = 0.5 * (high - low)
        frequencies = np.arange(1, k + 1) * math.pi / (2 * c * half)
        squares = np.column_stack([np.zeros(k), 0.5 * np.square(frequencies)])
        follows = follows_of(power=np.array([-2.0, -1.0]), square=squares)
        parameters = (Hyperparameter("sd"), Hyperparameter("lengthscale", 0.5 * half))
        widths = np.full(k, (2 * math.pi) ** 0.25)
        _state |= {"middle": 0.5 * (low + high), "reach": c * half, "frequencies": frequencies}
        _state[PENALTIES] = [Penalty("", parameters, follows, widths).state()]
    beyond = values[np.abs(values - _state["middle"]) > _state["reach"]]
    if len(beyond):
        low, high = _state["middle"] - _state["reach"], _state["middle"] + _state["reach"]
        raise DataError(
            f"gp(...) reaches from {low:g} to {high:g}, and not to {beyond[0]:g}, where it would repeat itself. A "
            "larger c at the fit reaches farther."
        )
    at = (values - _state["middle"] + _state["reach"])[:, None] * np.asarray(_state["frequencies"])
    found = np.sin(at) / math.sqrt(_state["reach"])
    return FactorValues(
        {str(j + 1): found[:, j] for j in range(found.shape[1])},
        kind="numerical",
        spans_intercept=False,
        format="{name}[{field}]",
        encoded=False,
    )
