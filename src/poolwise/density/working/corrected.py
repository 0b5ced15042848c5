"""The density of theta of a family that is sampled, by estimates from its working model.

At any theta, coefficients and effects z are drawn from their normal given the working outcomes. The collapsed density
of these times L(y | z) / L(working outcomes | z) is then an unbiased estimate of the family's own, and a chain on such
estimates is exact (Andrieu and Roberts 2009). Given all else the levels of one factor, the leaf, are independent, and
so are their shares of the ratio: of pairs of mirrored draws of each level's effects the mean of the ratios is taken, in
which odd terms cancel, and one of the draws is kept in proportion to its ratio. Some of these draws are three times as
wide, under the density of both kinds together (a defensive mixture, Hesterberg 1995): where a level has few rows or one
kind of outcomes, its effects reach further out than any normal, the more so the larger their sd. z depends on theta
alone, through a hash of the small cell that it lies in: asked twice, the same answer, and the last digits of data play
no part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from poolwise.density.priors import ModelPriors
from poolwise.density.working.density import WorkingDensity
from poolwise.density.working.kernels import add_draw
from poolwise.density.working.noise import Defence, Noise, Sizes
from poolwise.density.working.outcomes import WorkingModel
from poolwise.density.working.remainders import Remainders
from poolwise.design.design import Design
from poolwise.samplers.interface import NativeDensity
from poolwise.support.threads import map_slices, steps

_SLICE = 64  # thetas, which fill vector registers
_ROOM = 1 << 24  # numbers of a slice
_PER_LEVEL = 200.0  # flops of a level's draw, about
_REMEMBERED = 1 << 28  # bytes
_IMPOSSIBLE = -1e299  # log of a sum of ratios that are all zero
_CELLS = 16  # in a standard deviation of theta, as a power of two
_LEAST_COST = 1e5  # flops: to draw effects of a theta costs as much


@dataclass(frozen=True, slots=True, eq=False)
class Completed:
    """Thetas (m, d), with coefficients (m, p) and effects of each factor (m, J, q), both as written."""

    theta: np.ndarray
    beta: np.ndarray
    u: tuple[np.ndarray, ...]

    def take(self, positions: np.ndarray) -> Completed:
        """Those at some positions."""
        effects = tuple(one[positions] for one in self.u)
        return Completed(self.theta[positions], self.beta[positions], effects)


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedDensity:
    """A density over what is sampled of theta whose values are estimates.

    Attributes
    ----------
    working : the normal model.
    design, priors : of the family's model.
    remainders : of all rows, by the leaf's levels.
    cells : (d,) how many of them are in a unit of each coordinate: so many in a standard deviation, and powers of two,
        so that what standard deviations differ in by rounding plays no part.
    pairs : of mirrored draws of a level's effects.
    threads : how many threads values are spread over.
    defended : whether some draws are wide.
    mirrored : whether both draws of a pair are taken, or the first alone.
    chosen : (G,) which of a level's draws was kept, by the cell of theta: what completing a point would take as long
        to find as its value.
    """

    working: WorkingDensity
    design: Design
    priors: ModelPriors
    remainders: Remainders
    cells: np.ndarray
    pairs: int
    threads: int
    defended: bool = True
    mirrored: bool = True
    chosen: dict[bytes, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: WorkingModel, remainders: Remainders, design: Design, priors: ModelPriors, pairs: int, threads: int
    ) -> CorrectedDensity:
        """Of a working model."""
        cells = np.exp2(_CELLS - np.round(0.5 * np.log2(np.diag(model.modes[0].covariance))))
        return cls(model.density, design, priors, remainders, cells, pairs, threads)

    @property
    def dimension(self) -> int:
        """Length of what is sampled."""
        return self.working.dimension

    @property
    def log_scales(self) -> np.ndarray:
        """Positions of the logs of standard deviations."""
        return self.working.log_scales

    @property
    def cost(self) -> float:
        """Flops of an evaluation, about."""
        each = self.remainders.cost + _PER_LEVEL * self.remainders.levels
        return max(_LEAST_COST, self.working.cost + self.remainders.shared_cost + 2.0 * self.pairs * each)

    @property
    def cost_of_pairs(self) -> float:
        """Flops by which pairs are counted: of remainders, or of the draws themselves where these take more."""
        return max(self.remainders.time, _PER_LEVEL * self.remainders.levels, 1.0)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Logs of the estimates at points (m, .), (m,)."""
        out = np.full(len(points), -np.inf)

        def some(_: int, part: slice) -> None:
            for few in steps(part, self._together):
                out[few] = self._estimated(self._drawn(points[few]))[0]

        map_slices(some, len(points), _SLICE, self.threads)
        return out

    def completed(self, points: np.ndarray, *, chosen: bool = True) -> Completed:
        """With the coefficients and effects that the estimates were made of; unless `chosen`, with those of the
        working model."""
        parts: dict[int, Completed] = {}

        def some(_: int, part: slice) -> None:
            for few in steps(part, self._together):
                parts[few.start] = self._completed(points[few], chosen)

        map_slices(some, len(points), _SLICE, self.threads)
        found = [parts[start] for start in sorted(parts)]
        of_factors = zip(*(one.u for one in found), strict=True)
        theta, beta = (np.concatenate([getattr(one, name) for one in found]) for name in ("theta", "beta"))
        return Completed(theta, beta, tuple(np.concatenate(one) for one in of_factors))

    def drawn_at(self, points: np.ndarray, *, chosen: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`completed`, as remainders take it."""
        return self.given_to_remainders(points, self.completed(points, chosen=chosen))

    def given_to_remainders(self, points: np.ndarray, whole: Completed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points with what completes them as logs of dispersions, coefficients, and effects that theta speaks of."""
        return self.working.logs(points), whole.beta, self._stacked(whole.beta, whole.u)

    def distinct(self, points: np.ndarray) -> int:
        """Cells that points (m, .) lie in: as many draws of coefficients and effects there are."""
        return len(np.unique(np.round(points * self.cells), axis=0))

    @property
    def _together(self) -> int:
        """Thetas whose effects are in memory at a time."""
        effects = sum(len(factor.levels) * len(factor.effects) for factor in self.design.factors)
        return int(np.clip(_ROOM // (4 * effects + 2 * self.remainders.levels + 3), 1, _SLICE))

    def _drawn(self, points: np.ndarray, *, narrow: bool = False) -> _Drawn:
        full, noise = self.working.full(points), self._noise(points)
        noise = noise.narrow if narrow else noise  # draws of the working model itself
        values, kept, beta = self.working.drawn(points, noise.kept)
        return _Drawn(
            points, full, self.working.logs(points), values, noise, kept, beta, self._kept_effects(full, kept)
        )

    def _estimated(self, drawn: _Drawn) -> tuple[np.ndarray, np.ndarray]:
        """Logs of estimates (m,), and which of the draws of each level of the leaf was chosen (m, G)."""
        values = drawn.values + self.remainders.constant
        values += self.working.log_prior_of_dispersions(drawn.logs)
        if self.working.idle:
            values = values - 0.5 * np.square(drawn.points[:, 0]) - 0.5 * np.log(2 * np.pi)
        values -= drawn.noise.log_mixture_of_common()
        shape = len(values), self.remainders.levels
        chosen, total = np.zeros(shape, dtype=np.int64), np.full(shape, -np.inf)
        effects = self._stacked(drawn.beta, drawn.effects)
        if self.working.normal.leaf < 0:
            values = values + self.remainders.ratios(drawn.logs, drawn.beta, effects)[:, 0]
            return np.where(np.isfinite(values), values, -np.inf), chosen
        given = self.remainders.given(drawn.logs, drawn.beta, effects)
        for pair in range(self.pairs):
            means, away = self._leaf_effects(drawn, pair)
            likelier, narrow, wide = drawn.noise.mixture_of_leaf(pair)
            both = (means + away, means - away) if self.mirrored else (means + away,)
            for k, leaf in enumerate(both, start=2 * pair):
                effects[self._leaf_places] = self._at_centre(self.working.normal.leaf, leaf).reshape(-1, len(values))
                ratios = given(effects)
                uniform = np.ascontiguousarray(drawn.noise.uniform[:, :, k])
                add_draw(k, ratios, likelier, uniform, narrow, wide, total, chosen)
        values = values + (total - np.log(self.pairs * (1 + self.mirrored))).sum(axis=1)
        picked = chosen.astype(np.uint8)
        if len(self.chosen) * chosen.shape[1] < _REMEMBERED:
            self.chosen.update(zip(drawn.noise.cells, picked, strict=True))
        return np.where(np.isfinite(values) & (total > _IMPOSSIBLE).all(axis=1), values, -np.inf), picked

    def _completed(self, points: np.ndarray, chosen: bool) -> Completed:
        drawn = self._drawn(points, narrow=not chosen)
        effects = drawn.effects
        if self.working.normal.leaf >= 0 and not chosen:
            means, away = self._leaf_effects(drawn, 0)
            effects = self._with_leaf(effects, (means + away).transpose(2, 0, 1))
        elif self.working.normal.leaf >= 0:
            known = [self.chosen[cell] for cell in drawn.noise.cells if cell in self.chosen]
            which = np.array(known) if len(known) == len(points) else self._estimated(drawn)[1]
            effects = self._with_leaf(effects, self._picked(drawn, which))
        return Completed(self.working.theta(points), drawn.beta, effects)

    def _picked(self, drawn: _Drawn, chosen: np.ndarray) -> np.ndarray:
        """(m, J, q) the draws of the leaf's effects that were chosen (m, G)."""
        found = np.empty(0)
        for pair in range(self.pairs):
            means, away = self._leaf_effects(drawn, pair)
            own = means + np.where((chosen == 2 * pair).T[:, None], away, -away)
            found = np.where((chosen // 2 == pair).T[:, None], own, found) if pair else own
        return found.transpose(2, 0, 1)

    def _noise(self, points: np.ndarray) -> Noise:
        """Random numbers of each theta."""
        normal, levels = self.working.normal, self.remainders.levels
        leaf = (normal.width, normal.blocks * normal.block_width) if normal.leaf >= 0 else (0, 0)
        sizes = Sizes(self.working.kept_size, self.working.common_size, self.pairs, *leaf, levels)
        defence = Defence.for_levels(levels, self.pairs) if self.defended else Defence()
        return Noise.at(np.round(points * self.cells), sizes, defence)

    def _kept_effects(self, full: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, ...]:
        """Effects (m, J, q) of each factor, of the leaf zero."""
        normal, seed = self.working.normal, np.random.SeedSequence(0)
        found = []
        for f, (factor, offsets) in enumerate(
            zip(self.design.factors, normal.offsets(full[None], kept[None], seed), strict=True)
        ):
            shape = (len(full), len(factor.levels), len(factor.effects))
            found.append(np.zeros(shape) if f == normal.leaf else offsets.draws().reshape(shape))
        return tuple(found)

    def _leaf_effects(self, drawn: _Drawn, pair: int) -> tuple[np.ndarray, np.ndarray]:
        """Means (J, q, m) of the leaf's effects, and how far away on both sides the draws of a pair are."""
        normal, noise, width = self.working.normal, drawn.noise.leaf(pair), self.working.normal.block_width
        shape = normal.groups, normal.width, len(drawn.points)
        found = np.empty(shape), np.empty(shape)
        for block, start in enumerate(range(0, normal.groups, width)):
            made = normal.effects_from(drawn.full, drawn.kept, block, noise[:, :, start : start + width])
            for whole, part in zip(found, made, strict=True):
                whole[start : start + width] = part.transpose(2, 1, 0)[: normal.groups - start]
        return found

    def _with_leaf(self, effects: tuple[np.ndarray, ...], leaf: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(leaf if f == self.working.normal.leaf else one for f, one in enumerate(effects))

    def _stacked(self, beta: np.ndarray, effects: tuple[np.ndarray, ...]) -> np.ndarray:
        """(U, m) effects that theta speaks of, factor by factor, and scaled coefficients, from those as written."""
        every = [self._at_centre(f, one.transpose(1, 2, 0)) for f, one in enumerate(effects)]
        every.append(beta[:, self.priors.scaled].T)
        return np.concatenate([one.reshape(-1, len(beta)) for one in every])

    @property
    def _leaf_places(self) -> slice:
        """Rows of the leaf in `_stacked`."""
        sizes = [len(factor.levels) * len(factor.effects) for factor in self.design.factors]
        start, leaf = sum(sizes[: self.working.normal.leaf]), self.working.normal.leaf
        return slice(start, start + sizes[leaf])

    def _at_centre(self, f: int, effects: np.ndarray) -> np.ndarray:
        """Effects as written (J, q, m) as those that theta speaks of."""
        layout = self.priors.layout
        place = layout.places(self.design.factors[f].name)
        to_zero = layout.map_to_zero[place, place]
        if np.array_equal(to_zero, np.eye(len(to_zero))):
            return effects
        return np.asarray(np.linalg.inv(to_zero) @ effects)

    def native(self) -> NativeDensity | None:
        """Estimates are not differentiable."""
        return None

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Estimates have no gradient."""
        raise NotImplementedError

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Estimates have no gradient."""
        raise NotImplementedError

    def starts(self) -> np.ndarray:
        """The working model's."""
        return self.working.starts()

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """The working model's."""
        return self.working.box()


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Points (m, .), the normal model's thetas (m, d), logs of dispersions (m, k), values (m,) of the normal model, and
    what is drawn at them: kept coefficients (m, n), those of the common terms (m, p) as written, and effects of each
    factor (m, J, q), which are zero for the leaf."""

    points: np.ndarray
    full: np.ndarray
    logs: np.ndarray
    values: np.ndarray
    noise: Noise
    kept: np.ndarray
    beta: np.ndarray
    effects: tuple[np.ndarray, ...]
