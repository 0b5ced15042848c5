"""Expected log predictive density of what was left out, as a record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolwise.evaluate.loo.observed import Observed

if TYPE_CHECKING:
    import pandas as pd

GOOD_K = 0.7  # above it, weights cannot be trusted (Vehtari et al. 2024)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LeaveOut:
    """log p(what was left out | the rest), unit by unit.

    Attributes
    ----------
    formula : of the fit.
    unit : `row`, or the grouping factor whose groups were left out.
    method : how it was computed, in words.
    labels : (n,) number of each row, or label of each group.
    observed : numbers (n,) of each row, or sums over each group, by what they are: what tells data apart.
    elpd_i : (n,) log predictive densities, in natural logs.
    pareto_k : (n,) shape of the importance weights' tail; NaN where no weights were needed.
    refitted : (n,) whether the unit was left out by fitting the rest, whose draws tell its density: those of a
        unit that the rest finds all but impossible do not.
    residual : (n,) outcome minus its predictive mean when left out; None for groups.
    lpd_i : (n,) log predictive densities by the fit that has seen them; None for groups.
    total : units that these stand for; more than n where a random part of the rows was taken.
    correction : mean difference, over all units less over these, of an approximation that was computed for all.
    correction_sd : sd over these units of the exact value less the approximation; 0 where all were taken.
    error : Monte Carlo standard error of `elpd`, of importance weights and of refits; NaN where it is not known.
    seconds : wall time.
    """

    formula: str
    unit: str
    method: str
    labels: np.ndarray
    observed: Observed
    elpd_i: np.ndarray
    pareto_k: np.ndarray
    refitted: np.ndarray
    residual: np.ndarray | None
    lpd_i: np.ndarray | None
    total: int
    correction: float
    correction_sd: float
    error: float
    seconds: float

    @property
    def elpd(self) -> float:
        """Sum of the log predictive densities over all units."""
        return self.total * (float(self.elpd_i.mean()) + self.correction)

    @property
    def se(self) -> float:
        """Standard error of `elpd` as an estimate for other units of the same kind."""
        return math.sqrt(self.total) * float(self.elpd_i.std(ddof=1)) if len(self.elpd_i) > 1 else math.nan

    @property
    def subsampling_se(self) -> float:
        """Standard error from having taken only a part of the units."""
        missing = 1.0 - len(self.elpd_i) / self.total
        return self.total * self.correction_sd * math.sqrt(missing / len(self.elpd_i))

    @property
    def p_loo(self) -> float | None:
        """Effective number of parameters: how much worse than in sample; None for groups."""
        return None if self.lpd_i is None else self.total * float((self.lpd_i - self.elpd_i).mean())

    @property
    def rmsd(self) -> float | None:
        """Root mean squared deviation of outcomes from their predictive means when left out, in which every row counts
        once, where `Fit.rmsd` counts rows by their weights; None for groups."""
        return None if self.residual is None else math.sqrt(float(np.square(self.residual).mean()))

    @property
    def bad(self) -> int:
        """Units whose weights cannot be trusted and that refitting did not tell either, or was not tried for."""
        return int(np.sum((self.pareto_k > GOOD_K) & ~self.refitted))

    @property
    def table(self) -> pd.DataFrame:
        """One line for each unit."""
        import pandas as pd

        columns = {self.unit: self.labels, "elpd": self.elpd_i, "pareto_k": self.pareto_k, "refitted": self.refitted}
        if np.isnan(self.pareto_k).all():
            del columns["pareto_k"]  # no weights were needed
        if self.residual is not None:
            columns["residual"] = self.residual
        return pd.DataFrame(columns)

    @property
    def _what(self) -> str:
        refits = self.refitted.all() and np.isnan(self.pareto_k).all()
        return "Cross-validation" if refits and self.unit == "row" else f"Leave-one-{self.unit}-out"

    def __repr__(self) -> str:
        units = "rows" if self.unit == "row" else f"groups of {self.unit}"
        weighed = self.pareto_k[~np.isnan(self.pareto_k)]
        said = [
            f"{self._what} of {self.formula}",
            f"elpd {self.elpd:.1f} ± {self.se:.1f} over {self.total:,} {units}; {self.method}",
        ]
        if len(self.elpd_i) < self.total:
            said.append(
                f"Only {len(self.elpd_i):,} of them, taken at random, were left out exactly: that adds ± "
                f"{self.subsampling_se:.2g}"
            )
        if self.rmsd is not None and self.p_loo is not None:
            said.append(f"RMSD out of sample {self.rmsd:.4g}; effective number of parameters {self.p_loo:.1f}")
        if len(weighed):
            refits = f"; {int(self.refitted.sum())} left out by refitting" if self.refitted.any() else ""
            above = int(np.sum(weighed > GOOD_K))
            said.append(f"Pareto k-hat: largest {weighed.max():.2f}, {above} above {GOOD_K}{refits}")
        if np.isfinite(self.error):
            said.append(f"Monte Carlo error of elpd {self.error:.2g}")
        return "\n".join(said)
