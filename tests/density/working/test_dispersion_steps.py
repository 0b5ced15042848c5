"""Steps of dispersions, on log likelihoods whose slopes are written down here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import poolwise as pw
from poolwise.density.working.dispersion_steps import DispersionSteps
from poolwise.density.working.dispersions import Dispersions

NONE = np.empty((0, 0))
START = Dispersions(np.array([1]), (pw.HalfCauchy(5),), np.array([2.0]), np.array([[1.0]]))


def slopes(at, curvature=30.0, maximum=0.4):
    return -curvature * (at - maximum)


def test_steps_that_go_back_say_so_and_end_where_the_curvature_is_found_anew():
    """By a curvature that is too small they go back and forth for ever."""
    steps = DispersionSteps.from_start(START)
    for _ in range(6):
        steps, length = steps.taken(slopes, NONE, anew=False)
    assert steps.back and length > 0.5
    for _ in range(6):
        steps, length = steps.taken(slopes, NONE, anew=steps.back)
    assert length < 0.05
    total = slopes(steps.dispersions.centre) + START.prior_slopes(steps.dispersions.centre)
    assert abs(total[0]) < 0.3


def test_steps_that_go_on_are_longer_than_newtons():
    """As others follow: the slope that each step leaves is half of what there was."""
    steps, centres = DispersionSteps.from_start(replace(START, precision=np.array([[60.0]]))), []
    for _ in range(4):
        steps, _ = steps.taken(slopes, NONE, anew=False)
        centres.append(steps.dispersions.centre[0])
    to_go = np.abs(np.array(centres) - centres[-1])
    assert to_go[2] < 0.3 * to_go[1]


@pytest.mark.parametrize("worth", [np.nan, np.inf])
def test_without_slopes_there_is_no_step(worth):
    steps, length = DispersionSteps.from_start(START).taken(lambda _: np.full(1, worth), NONE)
    assert length == np.inf and steps.dispersions is START
