"""How well a fit predicts: root mean squared deviations, Brier scores and log scores, in and out of sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.design import Rows
from poolwise.evaluate.deviations import deviations, measured
from poolwise.evaluate.loo.conditional_outcomes import conditional
from poolwise.evaluate.loo.elpd import LeaveOut
from poolwise.inference.posterior import Posterior
from poolwise.support.threads import steps

_DRAWS = 1_000  # over which expected outcomes are averaged
_TOGETHER = 4_000_000  # rows x draws at a time


@dataclass(frozen=True, slots=True)
class Scores:
    """How well a model predicts single rows.

    Attributes
    ----------
    in_sample : RMSD of the rows that were fitted from their posterior mean predictions.
    cross_validated : RMSD of rows that were left out, by K-fold cross-validation with refits; NaN without.
    folds : K; 0 without cross-validation.
    log_score : mean log predictive density of a row that was left out with its fold; NaN without.
    log_score_loo : the same of each row predicted by all others; NaN without.
    binary : whether outcomes are zeros and ones. Squared deviations from a probability are then Brier scores.
    """

    in_sample: float
    cross_validated: float
    folds: int
    log_score: float = math.nan
    log_score_loo: float = math.nan
    binary: bool = False

    @property
    def columns(self) -> dict[str, float]:
        """The scores by the names of their columns."""
        squared = "brier" if self.binary else "rmsd"
        power = 2 if self.binary else 1
        found = {f"{squared}_in_sample": self.in_sample**power}
        if self.folds:
            found |= {
                f"{squared}_{self.folds}_fold": self.cross_validated**power,
                f"log_score_{self.folds}_fold": self.log_score,
                "log_score_leave_one_out": self.log_score_loo,
            }
        return found


def sampled_in_sample(posterior: Posterior, rows: Rows) -> float:
    """RMSD of rows that were fitted from their expected outcomes, for a family that is sampled.

    NaN where outcomes have no distances.
    """
    family = posterior.model.family
    if not measured(family, rows):
        return math.nan
    count = posterior.chains * posterior.draws
    chosen = np.linspace(0, count - 1, min(count, _DRAWS)).astype(int)
    expected = np.empty(len(rows.codes))
    for part in steps(slice(0, len(expected)), max(1, _TOGETHER // len(chosen))):
        some = rows.take(np.arange(part.start, part.stop))
        expected[part] = conditional(posterior, some, chosen).mean().mean(axis=0)
    away = deviations(family, rows, expected)
    return math.nan if away is None else float(np.sqrt(np.average(np.square(away), weights=rows.precisions)))


def is_binary(rows: Rows) -> bool:
    """Whether outcomes are zeros and ones, and each is of one trial."""
    return bool(np.isin(rows.response, (0.0, 1.0)).all() and (rows.trials is None or (rows.trials == 1.0).all()))


def mean_log_score(left_out: LeaveOut) -> float:
    """Mean log predictive density of a row."""
    return left_out.elpd / left_out.total
