"""Draws of the groups' effects, made when they are asked for.

Given theta and the common coefficients the groups are independent, and each block of groups has its own stream of
random numbers. So draws of a million groups need not be kept: those of any group can be made at any time, and are what
they would have been among all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from poolwise.support.errors import DataError
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import map_slices

T = TypeVar("T")

_KEPT = 1 << 28  # numbers: 2 GB


class Offsets(Protocol):
    """How far the effects of each group of a factor lie from the common part: draws and what follows from them."""

    @property
    def groups(self) -> int:
        """Number of groups, J."""

    @property
    def fits_in_memory(self) -> bool:
        """Whether the draws of all groups together are few enough to be kept."""

    def draws(self, groups: np.ndarray | None = None) -> np.ndarray:
        """Draws for the groups at these positions, all by default: (chains, draws, len(groups), q)."""

    def mean(self) -> np.ndarray:
        """Posterior means (J, q)."""

    def unexplained(self) -> np.ndarray:
        """Share of the variance between groups that stays unexplained by the data, (J, q)."""

    def map_blocks(
        self, work: Callable[[slice, np.ndarray], T], progress: Progress = silent, step: str = ""
    ) -> list[T]:
        """`work(groups, draws)` for consecutive groups and their draws (chains * draws, q, groups), not kept."""


class Eliminated(Protocol):
    """A density whose groups are independent given theta and the other coefficients, which `working` holds."""

    @property
    def threads(self) -> int:
        """How many threads work is spread over."""

    @property
    def groups(self) -> int:
        """Number of groups, J."""

    @property
    def width(self) -> int:
        """Number of effects of a group, q."""

    @property
    def blocks(self) -> int:
        """Number of blocks of groups."""

    @property
    def block_width(self) -> int:
        """Groups in a block; the last block is filled up with empty ones."""

    def slices(self, points: int) -> list[slice]:
        """Points in tasks of a fixed size, each with random numbers of its own."""

    def draw_effects(
        self, points: np.ndarray, working: np.ndarray, block: int, i: int, seed: np.random.SeedSequence | None
    ) -> np.ndarray:
        """Exact draws of a block of groups for the points of task `i`, (m, q, block_width); without a seed, means."""

    def conditional_means(self, points: np.ndarray, working: np.ndarray) -> np.ndarray:
        """Other coefficients over which conditional means of effects average to posterior means."""

    def unexplained(self, points: np.ndarray) -> np.ndarray:
        """Share of the variance between groups that stays unexplained, averaged over some of the points: (J, q)."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupOffsets:
    """How far the effects of each group lie from the common part.

    Attributes
    ----------
    density : the density that theta was drawn from.
    theta : (chains, draws, d).
    working : (chains, draws, w) the other coefficients, in coordinates of the density's own.
    seed : the one that those were drawn with.
    """

    density: Eliminated
    theta: np.ndarray
    working: np.ndarray
    seed: np.random.SeedSequence

    @property
    def groups(self) -> int:
        """J."""
        return self.density.groups

    @property
    def fits_in_memory(self) -> bool:
        """Whether the draws of all groups together are few enough to be kept."""
        return self._size() <= _KEPT

    def _size(self) -> int:
        return int(np.prod(self.theta.shape[:2])) * self.groups * self.density.width

    def draws(self, groups: np.ndarray | None = None) -> np.ndarray:
        """Draws for the groups at these positions, all by default: (chains, draws, len(groups), q)."""
        if groups is None and not self.fits_in_memory:
            raise DataError(
                f"Draws of {self.groups:,} groups would take {8e-9 * self._size():.0f} GB. Choose groups: "
                "fit.group_draws([...]); or let all be summarised: fit.group_coefficients()."
            )
        chosen = np.arange(self.groups) if groups is None else np.asarray(groups, dtype=np.int64)
        width = self.density.block_width
        out = np.empty((*self.theta.shape[:2], len(chosen), self.density.width))
        points, working = self._flat()
        flat = out.reshape(len(points), *out.shape[2:])
        parts = self.density.slices(len(points))
        tasks = [(int(block), i) for block in np.unique(chosen // width) for i in range(len(parts))]

        def fill(task: int, _: slice) -> None:
            block, i = tasks[task]
            effects = self.density.draw_effects(points[parts[i]], working[parts[i]], block, i, self.seed)
            mine = np.flatnonzero(chosen // width == block)
            flat[parts[i]][:, mine] = effects.transpose(0, 2, 1)[:, chosen[mine] % width]

        map_slices(fill, len(tasks), 1, self.density.threads)
        return out

    def mean(self) -> np.ndarray:
        """Posterior means (J, q): conditional means averaged over theta, without the noise of the draws."""
        points, _ = self._flat()
        working = self.density.conditional_means(points, self._flat()[1])

        def average(block: int, _: slice) -> np.ndarray:
            total = np.zeros((self.density.width, self.density.block_width))
            for i, part in enumerate(self.density.slices(len(points))):
                total += self.density.draw_effects(points[part], working[part], block, i, None).sum(axis=0)
            return total.T / len(points)

        return np.concatenate(map_slices(average, self.density.blocks, 1, self.density.threads))[: self.groups]

    def unexplained(self) -> np.ndarray:
        """Var(u_jk | y, beta, theta) / tau_k^2 averaged over thetas spread over the chains, (J, q)."""
        return self.density.unexplained(self._flat()[0])

    def map_blocks(
        self, work: Callable[[slice, np.ndarray], T], progress: Progress = silent, step: str = ""
    ) -> list[T]:
        """`work(groups, draws)` for consecutive groups and their draws (chains * draws, q, groups), not kept."""
        width, blocks = self.density.block_width, self.density.blocks
        points, working = self._flat()
        parts = list(enumerate(self.density.slices(len(points))))
        done: list[int] = []

        def one(block: int, _: slice) -> T:
            groups = slice(block * width, min((block + 1) * width, self.groups))
            drawn = [self.density.draw_effects(points[p], working[p], block, i, self.seed) for i, p in parts]
            result = work(groups, np.concatenate(drawn)[:, :, : groups.stop - groups.start])
            done.append(block)
            progress(step, len(done) / blocks)
            return result

        return map_slices(one, blocks, 1, self.density.threads)

    def _flat(self) -> tuple[np.ndarray, np.ndarray]:
        """theta (m, d) and the common coefficients (m, p) of all chains, one after the other."""
        points = np.ascontiguousarray(self.theta.reshape(-1, self.theta.shape[-1]))
        return points, np.ascontiguousarray(self.working.reshape(len(points), -1))
