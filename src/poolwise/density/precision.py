"""Whether floating-point numbers have the digits that a normal model needs, asked before it is sampled."""

from __future__ import annotations

import math

import numpy as np

from poolwise.density.gaussian import GaussianDensity
from poolwise.density.priors import ModelPriors
from poolwise.density.working_coordinates import gram_root, shifted, working_basis
from poolwise.design.design import Design
from poolwise.statistics.products import CrossProducts
from poolwise.support.errors import DataError, PriorError

_EXACT = 1e-13  # residual sum of squares beside the total one, below which it is rounding
_AGAINST = 1e10  # the same at the priors' choice of coefficients beside that of least squares
_MISSED = 100.0  # prior standard deviations between both
_OF_PRODUCTS, _OF_COLUMNS = 1e-7, 1e-13  # singular values beside the largest one, below which there is none


def check_outcome(statistics: CrossProducts, design: Design) -> None:
    """Refuse an outcome that the common terms reproduce exactly.

    Raises
    ------
    DataError : that names the term.
    """
    beta, left, rank = _least_squares(statistics, design)
    root = gram_root(statistics)
    if statistics.rows > rank and left**2 <= _EXACT * float(np.square(root[1:, -1]).sum()):
        spread = np.linalg.norm(root[1:, 1:-1] @ design.common_map[1:], axis=0)
        worst = design.coefficients[int(np.argmax(np.abs(beta) * spread))]
        raise DataError(
            f"'{design.response}' is a combination of the predictors to the last digits, of '{worst}' above all: "
            "nothing is left that a residual sd could be learnt from. Leave that term out."
        )


def check_priors(statistics: CrossProducts, design: Design, priors: ModelPriors) -> None:
    """Refuse priors of coefficients that contradict the data beyond all digits.

    Raises
    ------
    PriorError : that names the term.
    """
    beta, left, rank = _least_squares(statistics, design)
    basis = working_basis(statistics, design.common_map, priors.rows, priors.mean, priors.width, priors.scaled)
    forced = float(np.linalg.norm(gram_root(statistics) @ basis.residual))
    missed = np.where(priors.scaled, 0.0, np.abs(priors.rows @ beta - priors.mean) / priors.width)
    if statistics.rows > rank and forced**2 > _AGAINST * left**2 and missed.max() > _MISSED:
        k, times = int(np.argmax(missed)), forced / max(left, 1e-300)
        raise PriorError(
            f"The prior of '{priors.names[k]}', {priors.coefficients[k]}, contradicts the data: it moves the "
            f"regression away from the outcomes by {times:.0e} times their residual spread, further than "
            "floating-point numbers can follow. Give a wider prior, or one in the units of the data."
        )


def _least_squares(statistics: CrossProducts, design: Design) -> tuple[np.ndarray, float, int]:
    """Common coefficients (p,), length of the residuals, and rank, of the regression without groups and priors."""
    root, origin = gram_root(statistics), statistics.origin
    image, target = root[:, :-1] @ shifted(design.common_map, origin[:-1]), root[:, -1].copy()
    target[0] += origin[-1] * root[0, 0]
    length = np.linalg.norm(image, axis=0)
    scale = np.where(length > 0, length, 1.0)
    # Columns of a curve may be combinations of one another to all digits that their products have; their prior tells
    # them apart, and least squares would fit outcomes by what is rounding.
    smallest = _OF_PRODUCTS if design.penalised.any() else _OF_COLUMNS
    scaled, _, rank, _ = np.linalg.lstsq(image / scale, target, rcond=smallest)
    return scaled / scale, float(np.linalg.norm(image / scale @ scaled - target)), int(rank)


def _rounding(design: Design, rows: float) -> float:
    """How much a log density may rise by rounding alone as the residual sd falls to a thousandth.

    Among thousands of coupled levels that is much. Exact regressions rise by the log of a thousand for each row that is
    more than levels have, of which half is enough to tell.
    """
    if all(factor.coupling is None for factor in design.factors):
        return 0.0
    more = rows - sum(len(np.unique(factor.codes)) * len(factor.effects) for factor in design.factors)
    return 0.5 * more * math.log(1e3) if more > 0 else math.inf


def check_residual(density: GaussianDensity, design: Design, rows: float) -> None:
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
    if np.isfinite(smaller) and smaller > larger + _rounding(design, rows):
        raise without_residual(design)


def without_residual(design: Design) -> DataError:
    """What is said of outcomes that lie exactly on a regression within each group."""
    names = " and ".join(f"'{factor.name}'" for factor in design.factors)
    return DataError(
        f"Within groups of {names} the values of '{design.response}' lie exactly on a regression: the likelihood "
        "rises forever as the residual sd falls to zero. Take one row for each group, or leave the group term out."
    )
