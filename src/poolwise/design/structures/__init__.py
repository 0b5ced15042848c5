"""Structured terms: columns whose coefficients have a prior together. One file for each, `structure.py` is the seam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from poolwise.design.structures.coupling import Coupling
from poolwise.design.structures.hyperparameters import follows_of
from poolwise.design.structures.structure import PENALTIES, Hyperparameter, Penalty, Structure, structures_of


@cache
def terms() -> Mapping[str, Callable[..., Any]]:
    """Every structured term by the name that formulas call it by; importing formulaic for them takes a while."""
    from poolwise.design.structures.areas import neighbourhood
    from poolwise.design.structures.autoregression import autoregression
    from poolwise.design.structures.gaussian_process import gaussian_process
    from poolwise.design.structures.members import members
    from poolwise.design.structures.monotonic import monotonic
    from poolwise.design.structures.relatives import relatives
    from poolwise.design.structures.smooth import smooth
    from poolwise.design.structures.tensor import tensor
    from poolwise.design.structures.walks import cyclic_walk, first_order, second_order

    return {
        "s": smooth,
        "t2": tensor,
        "gp": gaussian_process,
        "rw1": first_order,
        "rw2": second_order,
        "cyclic": cyclic_walk,
        "ar1": autoregression,
        "icar": neighbourhood,
        "gr": relatives,
        "mm": members,
        "mo": monotonic,
    }


__all__ = ["PENALTIES", "Coupling", "Hyperparameter", "Penalty", "Structure", "follows_of", "structures_of", "terms"]
