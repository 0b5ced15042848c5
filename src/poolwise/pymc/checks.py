"""Whether draws of a model have its own density, and spread as it says, at some of the draws."""

from __future__ import annotations

import numpy as np
from pymc.logprob.utils import ParameterValueError
from pytensor.compile.function import function

from poolwise.pymc.density import CollapsedModel
from poolwise.pymc.graph import Block
from poolwise.pymc.normal_variables import is_flat_somewhere
from poolwise.pymc.numpy_calls import PLAIN, numpy_function
from poolwise.pymc.variables import values_of
from poolwise.support.errors import SamplingError

_CHECKED = 32  # draws
_BY_PYTENSOR = 16  # of which PyTensor computes the density, slowly
_AGREES = 1e-5  # of differences between draws
_SPREAD = 0.02  # which an error of a hundredth of a standard deviation makes
_NEARLY_ALL = 0.9  # of these draws
_CLOSE = 20.0  # to the largest log density


def keeps_digits(collapsed: CollapsedModel, theta: np.ndarray, lp: np.ndarray) -> bool:
    """Whether sums of products tell differences between draws as rows do.

    At nearly all of them: where a standard deviation is close to zero it is rows that have no digits.
    """
    some = _some_of(theta)
    with np.errstate(invalid="ignore"):
        off = collapsed.by_rows().log_density(theta[some]) - lp[some]
        return bool((np.abs(off - np.median(off)) <= _AGREES).mean() >= _NEARLY_ALL)


def check_density(block: Block, collapsed: CollapsedModel, theta: np.ndarray, drawn: np.ndarray) -> None:
    """Compare log p(rest) + log p(block | rest) with the model's log density of both.

    Raises
    ------
    SamplingError : where they differ, or the model's cannot be computed.
    """
    some = _some_of(theta, _BY_PYTENSOR)
    values = values_of(block, collapsed, theta[some], drawn[some])
    inputs = [block.model.rvs_to_values[one] for one in block.model.free_RVs]
    compute = function(inputs, block.log_density(list(block.log_factors)) + block.log_volume, mode=PLAIN)
    try:
        expected = np.array([float(compute(*(values[one.name][k] for one in inputs))) for k in range(len(some))])
    except ParameterValueError:
        raise
    except (ValueError, TypeError, IndexError) as error:  # PyTensor refuses shapes that NumPy fits together
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise SamplingError(
            f"PyTensor cannot compute the density of this model ({said}), and no draws are returned: look at the "
            "shapes of its variables and outcomes, by pm.Model.debug() for instance."
        ) from error
    off = collapsed.joint(theta[some], drawn[some]) - collapsed.rest.log_jacobian(theta[some]) - expected
    # A constant plays no part: PyMC takes logs of constants that are whole numbers in 32 bits.
    if not np.ptp(off) <= _AGREES * (1.0 + 1e-6 * np.abs(expected).max()):
        raise SamplingError(
            f"The density of this model differs from what was integrated out of it, by up to {np.ptp(off):.3g} between "
            "draws, and no draws are returned. Where predictors are far from zero, or nearly collinear, there are no "
            "digits left: centre and scale predictors. So it is where a standard deviation of outcomes may go to zero, "
            "as with as many coefficients as outcomes: give it a prior that is not zero there. Else use pm.sample(), "
            "and please report the model."
        )


def check_block(collapsed: CollapsedModel, theta: np.ndarray) -> None:
    """Compare two draws of the block at some thetas: their densities differ as the squares of what they are made of.

    The density at a draw does not tell whether draws spread as it says.

    Raises
    ------
    SamplingError : where they do not, as for columns that are collinear to all digits.
    """
    some = theta[_some_of(theta)]
    pair = [collapsed.block(some, np.random.default_rng(seed)) for seed in (1, 2)]
    (one, _, of_one), (other, _, of_other) = pair
    with np.errstate(invalid="ignore"):
        apart = 2.0 * (collapsed.joint(some, one) - collapsed.joint(some, other)) + of_one - of_other
        same = np.abs(apart) <= _SPREAD
    if not same.mean() >= _NEARLY_ALL:
        raise SamplingError(
            "The normal part of this model is too nearly singular to be drawn from exactly, as where predictors are "
            "collinear but for their last digits, or the standard deviation of a prior goes to zero, and no draws are "
            "returned. Centre and scale predictors, keep the prior of that standard deviation away from zero, or take "
            "otherwise='nutpie'."
        )


def check_ends(block: Block, collapsed: CollapsedModel, theta: np.ndarray, lp: np.ndarray) -> None:
    """Look at the density just beyond the draws, and further where a variable that is sampled has a flat prior.

    Where it is cut off there by rounding, not by its prior, or does not fall, there is no posterior, whatever the draws
    look like.

    Raises
    ------
    SamplingError : with the variable.
    """
    sizes = [int(np.prod(shape, dtype=int)) for shape in collapsed.rest.shapes]
    owners = [variable for variable, size in zip(block.rest, sizes, strict=True) for _ in range(size)]
    for place, variable in enumerate(owners):
        own = theta[:, place]
        for side, last in ((-1.0, int(np.argmin(own))), (1.0, int(np.argmax(own)))):
            points = np.repeat(theta[[last]], 4, axis=0)
            points[:, place] += side * np.array([0.0, 0.05, 0.5, 1.0]) * np.ptp(own)
            at_end, beyond, near, far = collapsed.log_density(points)
            cut = np.isneginf(beyond) and at_end > lp.max() - _CLOSE and _is_possible(collapsed, points[[1]])
            level = (np.isfinite(near) and far > near - 1.0) or (np.isfinite(beyond) and 20.0 * (at_end - beyond) < 1.0)
            if cut or (is_flat_somewhere(variable) and level):
                raise SamplingError(
                    f"The posterior is improper along '{variable.name}', or has no digits there: its density does not "
                    "fall beyond the draws. Give it a proper prior, which is not flat at zero where it is a spread."
                )


def _is_possible(collapsed: CollapsedModel, point: np.ndarray) -> bool:
    """Whether priors and potentials have a density at a theta (1, d): there a posterior has one too."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(collapsed.rows.log_prior(point))[0])


def refuse_without_density(block: Block) -> None:
    """Say which variable or potential has no finite log density at PyMC's initial point.

    Raises
    ------
    SamplingError : with its name, if there is one.
    """
    inputs = [block.model.rvs_to_values[one] for one in block.model.free_RVs]
    values = [block.initial[one.name] for one in inputs]
    for one, factor in block.log_factors.items():
        if not np.isfinite(numpy_function(inputs, factor)(*values)).all():
            raise SamplingError(
                f"'{one.name}' has no finite log density at PyMC's initial point: give it another by initval=, or look "
                "at its parameters. Whole numbers may overflow in PyMC: write bounds as -100.0, not as -100."
            )


def _some_of(theta: np.ndarray, count: int = _CHECKED) -> np.ndarray:
    return np.linspace(0, len(theta) - 1, min(count, len(theta))).astype(int)
