"""Families that are sampled, of rows in memory: by a normal model of working outcomes and its exact correction."""

from __future__ import annotations

from functools import partial

import numpy as np

from poolwise.density.latent.density import first_guess
from poolwise.density.polynomial.of_levels import level_polynomials_of
from poolwise.density.polynomial.of_rows import polynomials_of
from poolwise.density.working.moving import with_moves
from poolwise.density.working.outcomes import WorkingModel, with_guess
from poolwise.density.working.remainders import RowRemainders
from poolwise.density.working.turns import working_model
from poolwise.inference.near_normal import Parts, near_normal
from poolwise.inference.posterior import Model
from poolwise.inference.shared_parameters import SharedParameters
from poolwise.samplers import SamplerSettings
from poolwise.support.errors import SamplingError
from poolwise.support.threads import map_slices

# Rows that differ, with ten for each effect of the largest factor, below which NUTS takes no longer; and as many that
# outcomes which were summed up count for, at the most.
LEAST, _EFFECT, _AS_MANY = 1_000, 10, 2_000
_NO_MODEL = (np.linalg.LinAlgError, ArithmeticError, SamplingError)  # of working outcomes without digits, or modes
WORTH = 5e5  # flops of a draw's rows, below which these are read in no time by a kernel of values alone
_DRAWS = 32  # that are compared with all rows at a time


def by_working_outcomes(
    model: Model, settings: SamplerSettings, threads: int, *, however_few: bool = False
) -> Parts | None:
    """theta, coefficients, effects, dispersions and certificate; None where the model is not made for this, or the
    certificate does not hold.

    It is one for many rows that differ (or `however_few` of these), observed exactly or in intervals alone, with a
    regression of the mean, whose other parameters they all share.
    """
    shared = SharedParameters.of(model)
    parts = _by_working_outcomes(shared.model, settings, threads, however_few=however_few)
    return None if parts is None else shared.back(parts)


def _by_working_outcomes(model: Model, settings: SamplerSettings, threads: int, *, however_few: bool) -> Parts | None:
    observations = model.observations
    if observations is None or not model.design.coefficients:
        return None
    effects = max((len(factor.levels) * len(factor.effects) for factor in model.design.factors), default=0)
    # Outcomes that were summed up say as much as their rows, and are as near to normal.
    alike = however_few or model.family.summed is not None
    rows = observations.rows if alike else len(observations.y)
    if rows + _EFFECT * effects < LEAST:
        return None
    if len(observations.terms) != 1 or len(observations.stepped):
        return None
    if observations.of_column.any() or observations.of_slot.any():  # regressions of other parameters
        return None
    settings.progress("looking for working outcomes", 0.0)
    regression = model.regression(observations)
    guess = with_guess(observations, first_guess(observations, model.priors, model.family))
    try:
        found = working_model(regression, guess, threads)
    except _NO_MODEL:
        return None
    if found is None:
        return None

    def moved(one: WorkingModel) -> tuple[WorkingModel, RowRemainders]:
        """With outcomes that move with dispersions, where that is worth it; and what rows are beside these."""
        try:
            moving = with_moves(one, regression, threads)
        except _NO_MODEL:
            moving = None
        return moving or one, RowRemainders.of(moving or one, regression)

    bent, by_rows = moved(found)
    gradient = observations.cost * max(1.0, min(rows, _AS_MANY) / len(observations.y))
    gradient = np.inf if however_few else gradient
    # Where a parameter has a bound, there is a density on one side of it only, which no polynomial has.
    bounded = any(each.bound is not None for each in model.family.parameters)
    if not bounded and (by_rows.cost >= WORTH or not by_rows.likelihood):
        # Polynomials are those of logs of dispersions, and so are what is taken away from them.
        straight, by_each = moved(found.straight) if bent.density.dispersions.bends else (bent, by_rows)
        polynomials = polynomials_of(straight, regression, by_each, threads)
        polynomials = polynomials or level_polynomials_of(straight, regression, by_each, threads)
        exactly = partial(_summed, by_each, threads)
        if polynomials is not None and (
            parts := near_normal(model, straight, polynomials, gradient, settings, threads, exactly)
        ):
            return parts
    return near_normal(model, bent, by_rows, gradient, settings, threads)


def _summed(
    by_rows: RowRemainders, threads: int, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray
) -> np.ndarray:
    """Remainders (m,) of all rows, as `RowRemainders.ratios` takes its arguments."""

    def some(_: int, part: slice) -> np.ndarray:
        return by_rows.ratios(logs[part], beta[part], np.ascontiguousarray(effects[:, part])).sum(axis=1)

    return np.concatenate(map_slices(some, len(beta), _DRAWS, threads))
