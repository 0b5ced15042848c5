"""The log density of a Gaussian model with several grouping factors, all coefficients integrated out.

Cost of an evaluation: for each eliminated level the square of what it meets, and a third of the cube of the root.
Derivation: `docs/explanation/algebra.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.density.blocks import back_substitution as back
from poolwise.density.blocks import evaluate, kernels, root
from poolwise.density.blocks import leave_out as left_out
from poolwise.density.blocks.assemble import Places, kept_of
from poolwise.density.blocks.eliminated import Eliminated, kept_size
from poolwise.density.blocks.interpolation import NONE
from poolwise.density.blocks.joint_draws import Remembering
from poolwise.density.blocks.leaf_tables import LeafTables
from poolwise.density.blocks.ordering import Ordering
from poolwise.density.blocks.stored_effects import KeptOffsets
from poolwise.density.blocks.structure import Ranks
from poolwise.density.collapsed import generator
from poolwise.density.dense import common_solution
from poolwise.density.layout import ParameterLayout
from poolwise.density.offsets import GroupOffsets, Offsets
from poolwise.density.projection import Projection
from poolwise.density.starts import search_box, starting_points
from poolwise.density.theta import (
    SCALED,
    Prior,
    factor_pullback,
    log_prior,
    prior_penalty,
    unscale_common,
    usable,
)
from poolwise.density.working_coordinates import WorkingBasis
from poolwise.design.factors import Factor
from poolwise.design.structures.hyperparameters import NUMBERS, log_precisions
from poolwise.samplers.interface import NativeDensity
from poolwise.support.errors import SamplingError
from poolwise.support.threads import look, map_slices

_TASK = 2e7  # flops of a task, about; fixed, so that results do not depend on the number of threads
_EXPENSIVE = 1e6  # flops of an evaluation
_TOGETHER = 4  # points of a task at the least: they share their room
_BLOCK = 256  # levels of the leaf whose draws are made together
_ROWS = 1 << 16  # whose moments are found together
_STRANGE = "A draw of the variances has no density: the fit was made for other data."
_CELLS = 2.0**14  # of theta in a unit, each of which has its random numbers
# Thetas that shrinkage factors are averaged over, which hardly change along theta: as many as take some flops.
_FEWER_SHRUNK, _SHRUNK, _SHRINKING = 8, 64, 5e7


@dataclass(frozen=True, slots=True, eq=False)
class BlockedDensity:
    """log p(theta | y) up to the constant p(y), for samplers; and exact draws of the coefficients given theta.

    Attributes
    ----------
    layout : what each number of theta is.
    basis : working coordinates of the common coefficients.
    projection : of rows into the coordinates of the kernels, effects of all factors side by side.
    factors : of the design.
    order, ranks : of elimination.
    system, smaller : arrays for the kernels; in the latter levels that are alike are one.
    sizes : (Q,) of the columns of the effects that theta speaks of.
    regressions : of the groups of each factor, see `own`; a pass over all cells, which densities do without that are
        not begun from there.
    tables : of what the leaf leaves of the root, where it has one effect and these cost less.
    threads : how many threads batches are spread over.
    """

    layout: ParameterLayout
    basis: WorkingBasis
    projection: Projection
    factors: tuple[Factor, ...]
    order: Ordering
    ranks: Ranks
    system: kernels.System
    smaller: kernels.System
    sizes: np.ndarray
    regressions: Callable[[], np.ndarray]
    tables: LeafTables | None
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
        return self.system.prior

    @property
    def cost(self) -> float:
        """Flops of one of many evaluations, about."""
        return self._elimination if self.tables is None else self.tables.cost + self._root

    @property
    def _elimination(self) -> float:
        """Flops of one evaluation that eliminates all levels."""
        structure = self.smaller.structure
        rows = np.diff(structure.first_effect)[structure.factor]
        return float((rows * structure.width.astype(float) ** 2).sum() + self._root)

    @property
    def _root(self) -> float:
        return float(self.smaller.structure.root_size**3 / 3 + self.system.xy.shape[0] ** 2)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log density at each row of `points`, (m, d) to (m,); -inf where it is not finite."""
        return self.log_density_with_draws(points, None)[0]

    def log_density_with_draws(
        self, points: np.ndarray, seed: np.random.SeedSequence | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log densities (m,), and with a seed, where these are expensive, a draw (m, n) of the kept coefficients."""
        points, out = np.ascontiguousarray(points, dtype=float), np.empty(len(points))
        kept = np.empty((0 if seed is None else len(points), self.coefficients_kept))

        def values(_: int, part: slice) -> None:
            if not self._large_root:
                if seed is not None:
                    kept[part] = 0.0
                    for i in range(part.start, part.stop):
                        if usable(points[i]):
                            self._noise_of(points[i], seed, kept[i])
                out[part] = self._values(points[part], kept[part])
                return
            room = evaluate.room(self.smaller)
            for i in range(part.start, part.stop):
                look()
                out[i] = self._log_density_at(points[i], room)
                if seed is not None and np.isfinite(out[i]):
                    kept[i] = self._kept_from(room[2], points[i], seed)

        with self._alone():
            map_slices(values, len(points), self._task, self.threads)
        return out, kept

    def remembering(self, seed: np.random.SeedSequence) -> BlockedDensity | Remembering:
        """The density for a sampler whose draws of theta will want coefficients."""
        return Remembering(self, seed) if self._expensive else self

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and its gradient (d,) at one point (d,), by Fisher's identity."""
        point, gradient = np.ascontiguousarray(point), np.zeros(self.dimension)
        if not usable(point):
            return -math.inf, gradient
        with self._alone():
            return self._value_and_gradient(point, gradient)

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log densities (m,) and their gradients (m, d) at points (m, d)."""
        values, gradients = np.full(len(points), -math.inf), np.zeros(points.shape)

        def evaluate(i: int, _: slice) -> None:
            point = np.ascontiguousarray(points[i])
            if usable(point):
                values[i] = self._value_and_gradient(point, gradients[i])[0]

        with self._alone():
            map_slices(evaluate, len(points), 1, self.threads)
        return values, gradients

    def _value_and_gradient(self, point: np.ndarray, gradient: np.ndarray) -> tuple[float, np.ndarray]:
        at = Eliminated.at(self.system, point)
        given = None if at is None else self._given(point)
        if at is None or given is None:
            return -math.inf, gradient
        covariance, value = at.covariance, at.value + float(log_prior(point, self.system.prior, gradient))
        kept, leaf = at.means()
        structure, p = self.system.structure, len(self.basis.reference)
        inverse = at.root_covariance()
        own = at.own_covariances(inverse, p)
        moments = np.zeros_like(covariance)
        back.add_moments(self.system, inverse, own, kept, leaf, moments)
        q, levels = len(self.layout.effects), self._levels_of_effects()
        slope = np.linalg.solve(covariance.T, moments - np.diag(levels))
        factor_pullback(point, covariance, slope, self.system.prior.starts, gradient)
        size = structure.root_size
        schur = at.store[structure.root :].reshape(size, size)[-p - 1 :, -p - 1 :].T.copy()
        mean, spread = np.empty(p), np.empty((p, p))
        common_solution(schur, mean, spread)
        unscale_common(point, self.system.prior, mean, spread)
        penalty = prior_penalty(point, self.system.prior, given, mean, spread, gradient)
        # As with one factor: the expected quadratic form is its minimum plus its rank.
        rank = p + float(levels.sum())
        gradient[q + self.layout.pairs] += schur[p, p] + rank - penalty - np.trace(moments) - self.system.rows
        return value, gradient

    def slices(self, points: int) -> list[slice]:
        """Points in tasks of a fixed size, each with random numbers of its own."""
        return [slice(start, min(start + self._task, points)) for start in range(0, points, self._task)]

    def draw_common(self, points: np.ndarray, seed: np.random.SeedSequence | None) -> np.ndarray:
        """One exact draw of all coefficients but the leaf's for each theta; without a seed, their means.

        (m, d) to (m, n): scaled effects of the other factors, then common coefficients in working coordinates.
        """
        points = np.ascontiguousarray(points)
        kept = np.zeros((len(points), self.coefficients_kept))

        def solve(i: int, part: slice) -> None:
            if self._large_root:
                room = evaluate.room(self.smaller)
                for draw in range(part.start, part.stop):
                    look()
                    self._log_density_at(points[draw], room)
                    kept[draw] = self._kept_from(room[2], points[draw], seed)
                return
            if self._expensive and seed is not None:
                for draw in range(part.start, part.stop):
                    self._noise_of(points[draw], seed, kept[draw])
            elif seed is not None:
                generator(seed, i).standard_normal(out=kept[part])
            self._values(points[part], kept[part])

        with self._alone():
            map_slices(solve, len(points), self._task, self.threads)
        return kept

    def common_of(self, working: np.ndarray) -> np.ndarray:
        """The common coefficients among the kept ones, (..., n) to (..., p)."""
        return working[..., self.coefficients_kept - len(self.basis.reference) :]

    def offsets(self, theta: np.ndarray, working: np.ndarray, seed: np.random.SeedSequence) -> tuple[Offsets, ...]:
        """Offsets of the groups of every factor: the leaf's are drawn when asked for, the others' are kept."""
        leaf = GroupOffsets(self, theta, working, seed)
        kept = {f: KeptOffsets(self, f, self._places(f), theta, working) for f in self.order.others}
        return tuple(leaf if f == self.order.leaf else kept[f] for f in range(len(self.factors)))

    def _values(self, points: np.ndarray, kept: np.ndarray, known: int = 0) -> np.ndarray:
        """Log densities (m,) in kernels, and draws of the kept coefficients in the place of their noise (m, n), or of
        none (0, n); the last of which may be known."""
        values = np.empty(len(points))
        if self.tables is None:
            evaluate.log_densities(points, self.smaller, NONE, known, values, kept)
            return values
        for some, table in self.tables.parts(self._log_ratios(points)):
            own, drawn = np.empty(len(some)), kept[some] if len(kept) else kept
            evaluate.log_densities(np.ascontiguousarray(points[some]), self.smaller, table, known, own, drawn)
            values[some] = own
            if len(kept):
                kept[some] = drawn
        return values

    def _log_ratios(self, points: np.ndarray) -> np.ndarray:
        """(m,) logs of the variance of the leaf's only effect, shifted, over that of the noise."""
        place = self._effects_of(self.order.leaf).start
        with np.errstate(divide="ignore"):  # of a column that is zero, of which no table is made
            own = float(np.log(abs(self.system.maps[place, place])))
        return np.asarray(2.0 * (points[:, place] + own - points[:, len(self.layout.effects) + self.layout.pairs]))

    # What `GroupOffsets` asks of the leaf.

    @property
    def groups(self) -> int:
        """Levels of the leaf."""
        return int(self.system.structure.leaves)

    @property
    def width(self) -> int:
        """Effects of a level of the leaf."""
        return len(self.factors[self.order.leaf].effects) if self.order.leaf >= 0 else 0

    @property
    def blocks(self) -> int:
        """Blocks of levels of the leaf."""
        return -(-self.groups // _BLOCK)

    @property
    def block_width(self) -> int:
        """Levels in a block."""
        return _BLOCK

    def draw_effects(
        self, points: np.ndarray, working: np.ndarray, block: int, i: int, seed: np.random.SeedSequence | None
    ) -> np.ndarray:
        """One exact draw of the effects of a block of the leaf's levels, (m, q, width); without a seed, their means."""
        effects = np.zeros((len(points), self.width, _BLOCK))
        if seed is not None:
            generator(seed, i, block + 1).standard_normal(out=effects)
        means, away = self.effects_from(points, working, block, effects)
        return means + away

    def common_from(self, points: np.ndarray, noise: np.ndarray, known: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Log densities (m,), and as `draw_common`, from standard normals (m, n). The last of these may be
        coefficients that are known, of which log densities then are too."""
        found = np.array(noise, order="C")
        return self._values(np.ascontiguousarray(points), found, known), found

    def effects_from(
        self, points: np.ndarray, working: np.ndarray, block: int, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means of the effects of a block of the leaf's levels (m, q, width), and how far from these the draws of
        standard normals (m, q, width) are."""
        away = np.array(noise.T, order="C")
        means = np.zeros(away.shape)
        points, working = np.ascontiguousarray(points), np.ascontiguousarray(working)
        evaluate.leaf_draws(points, self.system, block * _BLOCK, working, away, means)
        return means.T, away.T

    @property
    def kept_size(self) -> int:
        """Numbers in a row of what `draw_common` makes."""
        return self.coefficients_kept

    @property
    def leaf(self) -> int:
        """Position of the factor whose effects are drawn last, given all else; -1 where there is none."""
        return int(self.order.leaf)

    @property
    def by_lapack(self) -> bool:
        """Whether the root is so large that LAPACK factorises it."""
        return self._large_root

    def conditional_means(self, points: np.ndarray, working: np.ndarray) -> np.ndarray:
        """Draws of the kept coefficients: conditional means of the leaf, averaged over them, are its means."""
        return working

    def unexplained(self, points: np.ndarray) -> np.ndarray:
        """Var(u_jk | y, beta, theta) / tau_k^2 of the leaf, averaged over some thetas, (J, q)."""
        return self.unexplained_of(self.order.leaf, points)

    def unexplained_of(self, f: int, points: np.ndarray) -> np.ndarray:
        """Var(u_jk | y, beta, theta) / tau_k^2 of a factor, averaged over some of the points (m, d), (J, q)."""
        return self.unexplained_by((f,), points)[0]

    def unexplained_by(self, factors: Sequence[int], points: np.ndarray) -> list[np.ndarray]:
        """The same of several factors."""
        count = _FEWER_SHRUNK if self._expensive else np.clip(_SHRINKING / self._elimination, _FEWER_SHRUNK, _SHRUNK)
        some = points[:: max(1, len(points) // int(count))]

        def one(i: int, _: slice) -> list[np.ndarray]:
            return self._unexplained_at(factors, np.ascontiguousarray(some[i]))

        with self._alone():
            found = map_slices(one, len(some), 1, self.threads)
        return [np.sum(each, axis=0) / len(some) for each in zip(*found, strict=True)]

    def _unexplained_at(self, factors: Sequence[int], point: np.ndarray) -> list[np.ndarray]:
        at = self._at(point)
        inverse = at.root_covariance_of_effects()
        own = at.own_covariances(inverse, 0)
        found = []
        for f in factors:
            place = self._effects_of(f)
            blocks = own if f == self.order.leaf else inverse[self._squares(f)]
            blocks = np.triu(blocks) + np.triu(blocks, 1).transpose(0, 2, 1)
            factor = self.system.to_written[place, place] @ at.covariance[place, place]
            variance = np.einsum("ik,jkl,il->ji", factor, blocks, factor) / np.square(factor).sum(axis=1)
            coupling = self.factors[f].coupling
            found.append(variance if coupling is None else variance / coupling.variances[:, None])
        return found

    def row_moments(self, points: np.ndarray, values: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outcome minus E[eta | y, theta], and Var(eta | y, theta), of rows for each theta: both (m, n).

        Parameters
        ----------
        points : (m, d).
        values : (n, K + 1) rows [W, y]; they need not be rows of the data.
        codes : (n,) cell of each row, which must be among those of the data.
        """
        return self._moments(points, *self.projection.rows(values), *self._nodes(codes))

    def common_moments(self, points: np.ndarray, forms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances (m, n) of sums of coefficients, with weights (n, p), given y and theta."""
        x = np.column_stack([forms @ self.basis.to_written, np.zeros(len(forms))])
        nowhere = np.full(len(forms), -1, dtype=np.int64)
        places = np.full((len(forms), len(self.factors)), -1, dtype=np.int64)
        z = np.zeros((len(forms), int(self.system.structure.first_effect[-1])))
        less, variance = self._moments(points, x, z, nowhere, places)
        return forms @ self.basis.reference - less, variance

    def _moments(
        self, points: np.ndarray, x: np.ndarray, z: np.ndarray, nodes: np.ndarray, places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same of rows [X, y] (n, p + 1) and Z (n, Q) in working coordinates, at their nodes and places."""
        order = np.argsort(nodes, kind="stable")
        residual, variance = np.empty((len(points), len(nodes))), np.empty((len(points), len(nodes)))

        def fill(i: int, part: slice) -> None:
            at = self._at(np.ascontiguousarray(points[i]))
            kept, inverse = at.means()[0], at.root_covariance()
            at.own_covariances(inverse, len(self.basis.reference))
            structure, scale = self.system.structure, self.system.maps @ at.covariance
            most = max(int(structure.width.max(initial=1)), int(structure.root_size))

            def of_rows(_: int, some: slice) -> None:
                left_out.row_moments(
                    self.system, at.panels, at.store, inverse, kept, scale, x, z, nodes, places, order[some],
                    np.empty((most, most)), residual[i], variance[i],
                )  # fmt: skip

            map_slices(of_rows, len(nodes), _ROWS, self.threads)

        with self._alone():
            map_slices(fill, len(points), 1, self.threads)
        return residual, variance

    def _nodes(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For rows of some cells, the node that is eliminated first, -1 where all are in the root; and the first place
        (n, F) of each factor's level among the kept coefficients, -1 for that node's."""
        others, leaves = self.order.others, int(self.system.structure.leaves)
        places = np.full((len(codes), len(self.factors)), -1, dtype=np.int64)
        for f in others:
            places[:, f] = self._places(f)[self.factors[f].codes[codes], 0]
        if self.order.leaf >= 0:
            return self.factors[self.order.leaf].codes[codes], places
        ranks = np.column_stack([self._ranks_of(f)[self.factors[f].codes[codes]] for f in others])
        earliest = ranks.argmin(axis=1)
        rank, early = ranks[np.arange(len(codes)), earliest], ranks.min(axis=1) < self.ranks.eliminated
        places[early, np.array(others)[earliest[early]]] = -1
        return np.where(early, leaves + rank, -1), places

    @property
    def own(self) -> np.ndarray:
        """(k, d) points that regressions of the groups of each factor suggest, to begin from."""
        return self.regressions()

    def starts(self) -> np.ndarray:
        """Points to begin from: the outcome's spread between groups, within them, or in both; the groups' own fits."""
        points = starting_points(self.layout, self._noise(), self.sizes, 0.5 * self._noise() ** 2)
        return np.vstack([points, self.own])

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """From a thousandth of the outcome's spread and less, to fifty times it."""
        return search_box(self.layout, self._noise(), self.sizes, self.own)

    def native(self) -> NativeDensity | None:
        """There is none."""
        return None

    def _noise(self) -> float:
        rows = max(self.system.rows, 1.0)
        return max(math.sqrt(max(self.system.xy[-1, -1] / rows, 0.0)), 1e-3 * self.basis.noise)

    @property
    def _task(self) -> int:
        return int(min(512, max(_TOGETHER, _TASK // self.cost)))

    @property
    def _large_root(self) -> bool:
        return bool(self.system.structure.root_size >= root.LARGE)

    @property
    def _expensive(self) -> bool:
        """Whether a factorisation costs so much more than a draw from it that draws are made along."""
        return self._large_root or self.cost > _EXPENSIVE

    @property
    def coefficients_kept(self) -> int:
        """Number of coefficients but the leaf's."""
        return kept_size(self.system.structure)

    def _effects_of(self, f: int) -> slice:
        first = self.system.structure.first_effect
        return slice(int(first[f]), int(first[f + 1]))

    def _levels_of_effects(self) -> np.ndarray:
        """(Q,) number of independent levels behind each effect."""
        return np.repeat([float(factor.rank) for factor in self.factors], np.diff(self.system.structure.first_effect))

    def _ranks_of(self, f: int) -> np.ndarray:
        first = self.order.first[self.order.others.index(f)]
        return self.ranks.rank[first : first + len(self.factors[f].levels)]

    def _places(self, f: int) -> np.ndarray:
        """(J, q) of a factor's effects among the kept coefficients."""
        q = len(self.factors[f].effects)
        return kept_of(self.system.structure)[self._ranks_of(f)][:, None] + np.arange(q)

    def _squares(self, f: int) -> np.ndarray:
        """(J, q, q) of a factor's own blocks in the store; their lower triangles mean nothing."""
        rank = self._ranks_of(f)
        start, stride = Places(self.system.structure, self.ranks).of(rank, rank)
        k = np.arange(len(self.factors[f].effects))
        return start[:, None, None] + k[:, None] * stride[:, None, None] + k

    def _alone(self) -> AbstractContextManager[Any]:
        """Where points go to LAPACK side by side, each takes one core."""
        return root.one_core_each() if self._large_root else nullcontext()

    def _log_density_at(self, point: np.ndarray, room: tuple[np.ndarray, ...]) -> float:
        """One value, with the root by LAPACK; the factorised store stays in `room`."""
        if not usable(point):
            return -math.inf
        covariance, scale, store, panels = room
        kernels.scales(point, self.smaller, covariance, scale)
        log_determinant, log_precisions = kernels.reduce_to_root(point, self.smaller, scale, store, panels)
        log_determinant += root.factorise(self.smaller.structure, store, self.smaller.multiplier)
        sigma = point[len(self.layout.effects) + self.layout.pairs]
        value = evaluate.assembled(log_determinant, log_precisions, store[-1], sigma, self.smaller)
        return float(value) + float(log_prior(point, self.system.prior, np.empty(len(point))))

    def _at(self, point: np.ndarray) -> Eliminated:
        """At a point that was drawn."""
        found = Eliminated.at(self.system, point)
        if found is None:
            raise SamplingError(_STRANGE)
        return found

    def _given(self, point: np.ndarray) -> np.ndarray | None:
        """What data and priors say of the common coefficients, effects integrated out; see `prior_penalty`. None where
        that is not finite.

        Only where terms are monotonic, from a factorisation in which their coefficients are independent.
        """
        prior, p = self.system.prior, len(self.basis.reference)
        if not len(prior.simplexes):
            return np.empty((0, 0))
        apart = prior._replace(simplexes=prior.simplexes[:0], scaled=np.minimum(prior.scaled, SCALED))
        at = Eliminated.at(self.system._replace(prior=apart), point)
        if at is None:
            return None
        structure, size = self.system.structure, int(self.system.structure.root_size)
        factor = np.triu(at.store[structure.root :].reshape(size, size)[-p - 1 :, -p - 1 :])
        factor[-1, -1] = math.sqrt(max(factor[-1, -1], 0.0))
        numbers = prior.follows.reshape(p, -1, NUMBERS)
        widths = 0.5 * np.clip(log_precisions(numbers, point[len(point) - numbers.shape[1] :]), -600.0, 600.0)
        scale = np.append(np.where(prior.scaled, np.sqrt(prior.precision) * np.exp(widths), 1.0), 1.0)
        return np.ascontiguousarray(scale[:, None] * (factor.T @ factor - np.diag([*apart.scaled, 0])) * scale)

    def _kept_from(self, store: np.ndarray, point: np.ndarray, seed: np.random.SeedSequence | None) -> np.ndarray:
        """One draw (n,) of the kept coefficients from a factorised store; without a seed, their means."""
        noise, kept = np.zeros(self.coefficients_kept), np.empty(self.coefficients_kept)
        if seed is not None:
            self._noise_of(point, seed, noise)
        back.constrain(self.system, store, noise)
        solved = root.solve(self.system.structure, store, noise[len(noise) - self.system.structure.root_size + 1 :])
        kernels.unscale_coefficients(point, self.system.prior, solved)
        back.solve_kept(self.system, store, solved, noise, kept)
        return kept

    def _noise_of(self, point: np.ndarray, seed: np.random.SeedSequence, noise: np.ndarray) -> None:
        """Random numbers of theta itself into `noise`, so that a draw is the same whenever it is made; of theta to some
        digits, since the others follow the order of sums."""
        place = np.round(point * _CELLS).astype(np.int64)
        generator(seed, *place.view(np.uint32).tolist()).standard_normal(out=noise)
