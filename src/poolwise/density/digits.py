"""Whether floating-point numbers have the digits that a normal model needs, asked before it is sampled."""

from __future__ import annotations

import numpy as np

from poolwise.density.gaussian import GaussianDensity
from poolwise.density.priors import ModelPriors
from poolwise.density.working import gram_root, shifted, working_basis
from poolwise.design.design import Design
from poolwise.errors import DataError, PriorError
from poolwise.statistics.products import CrossProducts

_EXACT = 1e-13  # residual sum of squares beside the total one, below which it is rounding
_AGAINST = 1e10  # the same at the priors' choice of coefficients beside that of least squares


def check_digits(statistics: CrossProducts, design: Design, priors: ModelPriors) -> None:
    """Refuse an outcome that the common terms reproduce exactly, and priors that contradict the data beyond all digits.

    Raises
    ------
    DataError, PriorError : that name the term.
    """
    root, origin = gram_root(statistics), statistics.origin
    image, target = root[:, :-1] @ shifted(design.common_map, origin[:-1]), root[:, -1].copy()
    target[0] += origin[-1] * root[0, 0]
    length = np.linalg.norm(image, axis=0)
    scale = np.where(length > 0, length, 1.0)
    scaled, _, rank, _ = np.linalg.lstsq(image / scale, target, rcond=1e-13)
    left, total = float(np.linalg.norm(image / scale @ scaled - target)), float(np.linalg.norm(root[1:, -1]))
    if statistics.rows <= rank:
        return
    if left**2 <= _EXACT * total**2:
        spread = np.linalg.norm(root[1:, 1:-1] @ design.common_map[1:], axis=0)
        worst = design.coefficients[int(np.argmax(np.abs(scaled / scale) * spread))]
        raise DataError(
            f"'{design.response}' is a combination of the predictors to the last digits, of '{worst}' above all: "
            "nothing is left that a residual sd could be learnt from. Leave that term out."
        )
    basis = working_basis(statistics, design.common_map, priors.rows, priors.mean, priors.width)
    forced = float(np.linalg.norm(root @ basis.residual))
    if forced**2 > _AGAINST * left**2:
        missed = np.abs(priors.rows @ (scaled / scale) - priors.mean) / priors.width
        k = int(np.argmax(missed))
        raise PriorError(
            f"The prior of '{priors.names[k]}', {priors.coefficients[k]}, contradicts the data: it moves the "
            f"regression away from the outcomes by {forced / left:.0e} times their residual spread, further than "
            "floating-point numbers can follow. Give a wider prior, or one in the units of the data."
        )


def check_residual(density: GaussianDensity, design: Design) -> None:
    """Refuse outcomes that lie exactly on a regression within each group: then the residual sd has no posterior.

    Raises
    ------
    DataError : what to do.
    """
    start = density.starts()[1]
    place = len(density.layout.effects) + density.layout.pairs
    steps = np.tile(start, (2, 1))
    steps[:, place] = density.starts()[0, place] + np.log([1e-3, 1e-6])
    larger, smaller = density.log_density(steps)
    if np.isfinite(smaller) and smaller > larger:
        names = " and ".join(f"'{factor.name}'" for factor in design.factors)
        raise DataError(
            f"Within groups of {names} the values of '{design.response}' lie exactly on a regression: the likelihood "
            "rises forever as the residual sd falls to zero. Take one row for each group, or leave the group term out."
        )
