"""Draws of the effects of groups that a sampler made and that are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from poolwise.support.progress import Progress, silent

T = TypeVar("T")
_TOGETHER = 256  # groups summarised at a time


@dataclass(frozen=True, slots=True, eq=False)
class DrawnOffsets:
    """How far the effects of each group of a factor lie from the common part.

    Attributes
    ----------
    values : (chains, draws, J, q).
    open : (J, q) share of the variance between groups that stays unexplained by the data.
    """

    values: np.ndarray
    open: np.ndarray

    @property
    def groups(self) -> int:
        """J."""
        return self.values.shape[2]

    @property
    def fits_in_memory(self) -> bool:
        """They are in memory already."""
        return True

    def draws(self, groups: np.ndarray | None = None) -> np.ndarray:
        """Draws for the groups at these positions, all by default: (chains, draws, len(groups), q)."""
        return self.values if groups is None else self.values[:, :, np.asarray(groups, dtype=np.int64)]

    def mean(self) -> np.ndarray:
        """Means (J, q) of the draws."""
        return np.asarray(self.values.mean(axis=(0, 1)))

    def unexplained(self) -> np.ndarray:
        """Var(u_jk | y, beta, theta) / tau_k^2 averaged over theta, (J, q): by the normal approximation at the mode, or
        by draws where effects were drawn by turns."""
        return self.open

    def map_blocks(
        self, work: Callable[[slice, np.ndarray], T], progress: Progress = silent, step: str = ""
    ) -> list[T]:
        """`work(groups, draws)` for consecutive groups and their draws (chains * draws, q, groups)."""
        found = []
        flat = self.values.reshape(-1, *self.values.shape[2:])
        for start in range(0, self.groups, _TOGETHER):
            part = slice(start, min(start + _TOGETHER, self.groups))
            found.append(work(part, flat[:, part].transpose(0, 2, 1)))
            progress(step, part.stop / self.groups)
        return found
