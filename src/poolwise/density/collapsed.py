"""The collapsed log density: a Gaussian model with one grouping factor, all coefficients integrated out.

Cost of an evaluation: groups x q^2 (q + p), whatever the number of rows. Derivation: `docs/explanation/algebra.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poolwise.density import kernels
from poolwise.density import leave_out as left_out
from poolwise.density.centring import column_sizes, settled
from poolwise.density.layout import ParameterLayout
from poolwise.density.offsets import GroupOffsets, Offsets
from poolwise.density.priors import ModelPriors
from poolwise.density.projection import Projection, project
from poolwise.density.starts import own_regressions, search_box, starting_points
from poolwise.density.theta import Prior
from poolwise.density.working_coordinates import WorkingBasis, gram_root, working_basis
from poolwise.design.design import Design
from poolwise.samplers.interface import NativeDensity
from poolwise.statistics.products import CrossProducts
from poolwise.support.threads import map_slices, steps

# Groups x thetas that shrinkage factors are averaged over, and thetas at the least: they hardly change along theta.
_WORK, _LEAST = 1 << 21, 256
_ROOM = 1 << 22  # numbers that a task may hold
_TASK = 2e7  # flops between two looks at whether to stop, about
_FEW = 64  # points per task of more expensive work
_DIGITS = 26
_SLICE = 512  # points per task; fixed, so that results do not depend on the number of threads


@dataclass(frozen=True, slots=True, eq=False)
class CollapsedDensity:
    """log p(theta | y) up to the constant p(y), for samplers; and exact draws of the coefficients given theta.

    Attributes
    ----------
    layout : what each number of theta is.
    basis : working coordinates of the common coefficients.
    projection : of rows and groups into the coordinates of the kernels.
    problem : arrays for the kernels; its groups are filled up to whole blocks.
    groups : J.
    sizes : (q,) of the columns of the effects that theta speaks of.
    within_variance : of the outcome around its group means, to begin from.
    own : (k, d) points that the groups' own regressions suggest, to begin from.
    threads : how many threads batches are spread over.
    """

    layout: ParameterLayout
    basis: WorkingBasis
    projection: Projection
    problem: kernels.Problem
    groups: int
    sizes: np.ndarray
    within_variance: float
    own: np.ndarray
    threads: int

    @property
    def dimension(self) -> int:
        """Length of theta."""
        return self.layout.dimension

    @property
    def log_scales(self) -> np.ndarray:
        """Positions in theta of the log standard deviations of effects, which may be close to zero."""
        return self.layout.log_scales

    @property
    def prior(self) -> Prior:
        """The priors as arrays."""
        return self.problem.prior

    @property
    def cost(self) -> float:
        """Flops of an evaluation, about."""
        q, p = self.width, self.problem.xy.shape[0]
        return float(self.groups * (2 * q**3 + 2 * q * q * p + q * p * (p + 1)) + p**3 / 3 + 1)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log density at each row of `points`, (m, d) to (m,); -inf where it is not finite."""
        out = np.empty(len(points))
        points = np.ascontiguousarray(points, dtype=float)

        def evaluate(_: int, part: slice) -> None:
            kernels.log_densities(points[part], self.problem, out[part])

        map_slices(evaluate, len(points), self._task, self.threads)
        return out

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and its gradient (d,) at one point (d,)."""
        gradient = np.empty(self.dimension)
        return kernels.value_and_gradient(np.ascontiguousarray(point), self.problem, gradient), gradient

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log densities (m,) and their gradients (m, d) at points (m, d)."""
        points, values, gradients = np.ascontiguousarray(points), np.empty(len(points)), np.empty(points.shape)

        def evaluate(_: int, part: slice) -> None:
            kernels.values_and_gradients(points[part], self.problem, values[part], gradients[part])

        map_slices(evaluate, len(points), min(_FEW, self._task), self.threads)
        return values, gradients

    def slices(self, points: int) -> list[slice]:
        """Points in tasks of a fixed size, each with random numbers of its own."""
        return [slice(start, min(start + _SLICE, points)) for start in range(0, points, _SLICE)]

    def draw_common(self, points: np.ndarray, seed: np.random.SeedSequence | None) -> np.ndarray:
        """One exact draw of the common coefficients for each theta; without a seed, their means.

        (m, d) to (m, p), in working coordinates.
        """
        points = np.ascontiguousarray(points)
        beta = np.zeros((len(points), self.problem.xy.shape[0] - 1))

        def solve(i: int, part: slice) -> None:
            if seed is not None:
                generator(seed, i).standard_normal(out=beta[part])
            for some in steps(part, self._task):
                kernels.common_given(points[some], self.problem, 0, beta[some], np.empty(len(beta[some])))

        map_slices(solve, len(points), _SLICE, self.threads)
        return beta

    def draw_effects(
        self, points: np.ndarray, working: np.ndarray, block: int, i: int, seed: np.random.SeedSequence | None
    ) -> np.ndarray:
        """One exact draw of the effects of a block of groups for each theta and beta; without a seed, their means.

        points (m, d) and working (m, p), of task `i` of `slices`, to (m, q, width). Every block has a stream of random
        numbers in every task, the first block the rest of the one that drew beta: so the draws of a group are the same
        whether or not other groups are drawn.
        """
        effects = np.zeros((len(points), self.width, self.block_width))
        if seed is not None:
            stream = generator(seed, i, *([block] if block else []))
            if not block:
                stream.standard_normal(working.shape)
            stream.standard_normal(out=effects)
        means, away = self.effects_from(points, working, block, effects)
        return means + away

    def common_from(self, points: np.ndarray, noise: np.ndarray, known: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Log densities (m,), and as `draw_common`, from standard normals (m, p). The last of these may be
        coefficients that are known, of which log densities then are too."""
        values, found = np.empty(len(points)), np.array(noise, order="C")
        kernels.common_given(np.ascontiguousarray(points), self.problem, known, found, values)
        return values, found

    def effects_from(
        self, points: np.ndarray, working: np.ndarray, block: int, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means of the effects of a block of groups (m, q, width), and how far from these the draws of standard normals
        (m, q, width) are."""
        away, means = np.array(noise, order="C"), np.empty(noise.shape)
        kernels.offsets_given(np.ascontiguousarray(points), self.problem, block, working, away, means)
        return means, away

    @property
    def kept_size(self) -> int:
        """Numbers in a row of what `draw_common` makes."""
        return int(self.problem.xy.shape[0]) - 1

    @property
    def leaf(self) -> int:
        """Position of the factor whose effects are drawn last, given all else; -1 without factors."""
        return 0 if self.groups else -1

    def conditional_means(self, points: np.ndarray, working: np.ndarray) -> np.ndarray:
        """Common coefficients (m, p) to average effects over: their means for each theta, without noise."""
        return self.draw_common(points, None)

    def unexplained(self, points: np.ndarray) -> np.ndarray:
        """Var(u_jk | y, beta, theta) / tau_k^2 averaged over some of the points (m, d), (J, q)."""
        some = np.ascontiguousarray(points[:: -(-len(points) // max(_LEAST, _WORK // self.groups))])

        def average(block: int, _: slice) -> np.ndarray:
            total = np.zeros((self.width, self.block_width))
            kernels.add_unexplained(some, self.problem, block, total)
            return total.T / len(some)

        return np.concatenate(map_slices(average, self.blocks, 1, self.threads))[: self.groups]

    def unexplained_of(self, factor: int, points: np.ndarray) -> np.ndarray:
        """As `unexplained`, of the only factor."""
        return self.unexplained(points)

    def unexplained_by(self, factors: Sequence[int], points: np.ndarray) -> list[np.ndarray]:
        """The same of several factors, of which there is one."""
        return [self.unexplained(points) for _ in factors]

    def common_of(self, working: np.ndarray) -> np.ndarray:
        """The common coefficients among those that `draw_common` makes: all of them."""
        return working

    def remembering(self, seed: np.random.SeedSequence) -> CollapsedDensity:
        """The density for a sampler whose draws of theta will want coefficients: these are cheap to draw later."""
        return self

    def offsets(self, theta: np.ndarray, working: np.ndarray, seed: np.random.SeedSequence) -> tuple[Offsets, ...]:
        """Offsets of the groups of the factor; nothing without one."""
        return (GroupOffsets(self, theta, working, seed),) if self.groups else ()

    def row_moments(self, points: np.ndarray, values: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outcome minus E[eta | y, theta], and Var(eta | y, theta), of rows for each theta: both (m, n).

        Parameters
        ----------
        points : (m, d).
        values : (n, K + 1) rows [W, y]; they need not be rows of the data.
        codes : (n,) position of each row's group, -1 for a group that is not among the data's.
        """
        return self._moments(points, *self.projection.rows(values), codes)

    def common_moments(self, points: np.ndarray, forms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances (m, n) of sums of coefficients, with weights (n, p), given y and theta."""
        x = np.column_stack([forms @ self.basis.to_written, np.zeros(len(forms))])
        outside = np.full(len(forms), -1)
        less, variance = self._moments(points, x, np.zeros((len(forms), self.width)), outside)
        return forms @ self.basis.reference - less, variance

    def _moments(
        self, points: np.ndarray, x: np.ndarray, z: np.ndarray, codes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same of rows [X, y] (n, p + 1) and Z (n, q) in working coordinates."""
        width = self.block_width
        block = np.where(codes < 0, self.blocks, codes // width) if self.groups else np.zeros(len(codes), dtype=int)
        order = np.argsort(block, kind="stable")
        x, z = (np.ascontiguousarray(part[order]) for part in (x, z))
        lanes = np.where(codes < 0, 0, codes % width)[order] if self.groups else np.zeros(len(codes), dtype=int)
        bounds = np.searchsorted(block[order], np.arange(self.blocks + 2))
        residual, variance = np.empty((len(points), len(codes))), np.empty((len(points), len(codes)))
        points = np.ascontiguousarray(points)

        def fill(_: int, part: slice) -> None:
            left_out.row_moments(points[part], self.problem, x, z, lanes, bounds, residual[part], variance[part])

        map_slices(fill, len(points), _FEW, self.threads)
        back = np.argsort(order)
        return residual[:, back], variance[:, back]

    def groups_left_out(
        self, points: np.ndarray, statistics: CrossProducts, groups: np.ndarray | None = None
    ) -> np.ndarray:
        """log p(rows of a group | rows of all others, theta), points (m, d) to (m, J), or to (m, groups chosen)."""
        own, counts = self.projection.own(statistics), statistics.counts.astype(float)
        out = np.empty((len(points), self.groups if groups is None else len(groups)))
        points = np.ascontiguousarray(points)

        def fill(_: int, part: slice) -> None:
            room = np.empty((part.stop - part.start, self.groups))
            left_out.groups_left_out(points[part], self.problem, own, counts, statistics.log_weights, room)
            out[part] = room if groups is None else room[:, groups]

        map_slices(fill, len(points), max(1, min(_FEW, _ROOM // max(self.groups, 1))), self.threads)
        return out

    @property
    def _task(self) -> int:
        """Points between two looks at whether to stop; what depends on points alone is cut into such slices."""
        return int(min(_SLICE, max(1, _TASK // self.cost)))

    @property
    def width(self) -> int:
        """Number of effects of a group, q."""
        return self.problem.zz.shape[1]

    @property
    def blocks(self) -> int:
        """Number of blocks of groups."""
        return len(self.problem.zz)

    @property
    def block_width(self) -> int:
        """Groups in a block; the last block is filled up with empty ones."""
        return self.problem.zz.shape[3]

    def starts(self) -> np.ndarray:
        """Points to begin from: the outcome's spread between groups, within them, or in both; the groups' own fits."""
        return np.vstack([starting_points(self.layout, *self._scales(), self.within_variance), self.own])

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """From a thousandth of the outcome's spread and less, to fifty times it."""
        return search_box(self.layout, *self._scales(), self.own)

    def _scales(self) -> tuple[float, np.ndarray]:
        """The residual spread of the pooled regression, and the size (q,) of each effect's column."""
        rows = max(self.problem.rows, 1.0)
        return max(math.sqrt(max(self.problem.xy[-1, -1] / rows, 0.0)), 1e-3 * self.basis.noise), self.sizes

    def native(self) -> NativeDensity:
        """The density as a C function, of statistics whose last digits are rounded away.

        Trajectories take a difference in the last digit for another path, so that other sums of the same rows would
        give other draws.
        """
        from poolwise.density.native import describe_problem, log_density_callback

        words, arrays = describe_problem(_without_last_digits(self.problem))
        return NativeDensity(log_density_callback.address, words, arrays)


def generator(seed: np.random.SeedSequence, *key: int) -> np.random.Generator:
    """The stream of random numbers of a task, by its place in the work."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))))


def collapse(statistics: CrossProducts, design: Design, priors: ModelPriors, *, threads: int) -> CollapsedDensity:
    """Build the collapsed density of a design with one grouping factor, or with none (q = 0)."""
    rows, mean, width = priors.rows, priors.mean, priors.width
    basis = working_basis(statistics, design.common_map, rows, mean, width, priors.scaled)
    written = design.factors[0].group_map if design.factors else np.zeros((len(statistics.columns), 0))
    projection, group_map = project(statistics, basis, written)
    projected = gram_root(statistics) @ projection.columns
    q, groups = written.shape[1], len(statistics.counts) if written.shape[1] else 0
    zz, zxy = np.zeros((groups, q, q)), np.zeros((groups, q, len(mean) + 1))
    if q:
        zz, zxy = projection.groups(statistics)
    prior = priors.arrays(basis, statistics)
    gram, to_written = projected.T @ projected, priors.layout.map_to_zero
    maps = group_map @ to_written, to_written
    problem = kernels.Problem(_in_blocks(zz), _in_blocks(zxy), gram, float(statistics.rows), *maps, prior)
    spare = max(statistics.rows - int(np.count_nonzero(statistics.counts)), 1)
    within = float(statistics.scatter[:, -1, -1].sum()) / spare
    sizes = column_sizes(written @ to_written, statistics.merged())
    suggested = None
    if q:
        mine = maps[0].T @ zz @ maps[0], (zxy[:, :, -1] @ maps[0])
        suggested = own_regressions(priors.layout, slice(0, q), *mine, float(gram[-1, -1]), float(statistics.rows))
    own = np.zeros((0, priors.layout.dimension)) if suggested is None else suggested[None]
    return CollapsedDensity(priors.layout, basis, projection, problem, groups, sizes, within, own, threads)


def _without_last_digits(problem: kernels.Problem) -> kernels.Problem:
    """Cross-products to `_DIGITS` binary digits relative to the lengths of their columns."""
    length = np.sqrt(np.einsum("kk->k", problem.xy))
    of_effects = np.sqrt(np.maximum(np.einsum("nkkj->nkj", problem.zz), 0.0))
    zz = settled(problem.zz, of_effects[:, :, None] * of_effects[:, None], _DIGITS)
    zxy = settled(problem.zxy, of_effects[:, :, None] * length[:, None], _DIGITS)
    rows = settled(problem.prior.rows, np.abs(problem.prior.rows).max(initial=0.0), _DIGITS)
    prior = problem.prior._replace(
        rows=rows,
        mean=settled(problem.prior.mean, 1 / np.sqrt(problem.prior.precision), _DIGITS),
        log_constant=float(settled(problem.prior.log_constant, 1.0, _DIGITS)),
    )
    xy = settled(problem.xy, np.outer(length, length), _DIGITS)
    return problem._replace(zz=zz, zxy=zxy, xy=xy, prior=prior)


def _in_blocks(groups: np.ndarray) -> np.ndarray:
    """(J, a, b) to (blocks, a, b, width), groups contiguous; the last block is filled with empty groups."""
    count, a, b = groups.shape
    width = min(-(-count // 8) * 8, kernels.BLOCK)  # whole vector registers
    blocks = -(-count // width) if count else 0
    filled = np.zeros((blocks * width, a, b))
    filled[:count] = groups
    return np.ascontiguousarray(filled.reshape(blocks, width, a, b).transpose(0, 2, 3, 1))
