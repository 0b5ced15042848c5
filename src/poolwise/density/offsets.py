"""Draws of the groups' effects, made when they are asked for.

Given theta and the common coefficients the groups are independent, and each block of groups has its own stream of
random numbers. So draws of a million groups need not be kept: those of any group can be made at any time, and are what
they would have been among all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from poolwise.density import kernels
from poolwise.density.collapsed import CollapsedDensity
from poolwise.progress import Progress, silent
from poolwise.threads import map_slices

T = TypeVar("T")

# Groups x thetas that shrinkage factors are averaged over, and thetas at the least: they hardly change along theta.
_WORK, _LEAST = 1 << 21, 256


@dataclass(frozen=True, slots=True, eq=False)
class GroupOffsets:
    """How far the effects of each group lie from the common part.

    Attributes
    ----------
    density : the collapsed density that theta was drawn from.
    theta : (chains, draws, d).
    working : (chains, draws, p) common coefficients in working coordinates.
    seed : of the groups' own random numbers.
    """

    density: CollapsedDensity
    theta: np.ndarray
    working: np.ndarray
    seed: np.random.SeedSequence

    @property
    def groups(self) -> int:
        """J."""
        return self.density.groups

    def draws(self, groups: np.ndarray | None = None) -> np.ndarray:
        """Draws for the groups at these positions, all by default: (chains, draws, len(groups), q)."""
        chosen = np.arange(self.groups) if groups is None else np.asarray(groups, dtype=np.int64)
        q, width = self.density.problem.zz.shape[1], self.density.block_width
        out = np.empty((*self.theta.shape[:2], len(chosen), q))
        flat = out.reshape(-1, len(chosen), q)
        blocks = np.unique(chosen // width)

        def fill(i: int, _: slice) -> None:
            mine = np.flatnonzero(chosen // width == blocks[i])
            flat[:, mine] = self._block(int(blocks[i]), self.seed).transpose(0, 2, 1)[:, chosen[mine] % width]

        map_slices(fill, len(blocks), 1, self.density.threads)
        return out

    def mean(self) -> np.ndarray:
        """Posterior means (J, q): conditional means averaged over theta, without the noise of the draws."""
        points = self.theta.reshape(-1, self.theta.shape[-1])
        working = self.density.draw_common(points, None)

        def average(block: int, _: slice) -> np.ndarray:
            return self.density.effects_of_block(points, working, block, None).mean(axis=0).T

        blocks = len(self.density.problem.zz)
        return np.concatenate(map_slices(average, blocks, 1, self.density.threads))[: self.groups]

    def unexplained(self) -> np.ndarray:
        """Var(u_jk | y, beta, theta) / tau_k^2 averaged over thetas spread over the chains, (J, q)."""
        points = self.theta.reshape(-1, self.theta.shape[-1])
        kept = max(_LEAST, _WORK // self.groups)
        points = np.ascontiguousarray(points[:: -(-len(points) // kept)])
        problem = self.density.problem

        def average(block: int, _: slice) -> np.ndarray:
            total = np.zeros((problem.zz.shape[1], self.density.block_width))
            kernels.add_unexplained(points, problem, block, total)
            return total.T / len(points)

        return np.concatenate(map_slices(average, len(problem.zz), 1, self.density.threads))[: self.groups]

    def map_blocks(
        self, work: Callable[[slice, np.ndarray], T], progress: Progress = silent, step: str = ""
    ) -> list[T]:
        """`work(groups, draws)` for consecutive groups and their draws (chains * draws, q, groups), then forgotten."""
        width, blocks = self.density.block_width, len(self.density.problem.zz)
        done = []

        def one(block: int, _: slice) -> T:
            groups = slice(block * width, min((block + 1) * width, self.groups))
            result = work(groups, self._block(block, self.seed)[:, :, : groups.stop - groups.start])
            done.append(block)
            progress(step, len(done) / blocks)
            return result

        return map_slices(one, blocks, 1, self.density.threads)

    def _block(self, block: int, seed: np.random.SeedSequence | None) -> np.ndarray:
        points = self.theta.reshape(-1, self.theta.shape[-1])
        return self.density.effects_of_block(points, self.working.reshape(len(points), -1), block, seed)
