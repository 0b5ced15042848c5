"""Families that are sampled, of more rows than fit in memory: polynomials of cells by some scans of where rows live.

A normal model of working outcomes is found for some of the rows, in memory; a few scans bring it to all of them, as
iteratively reweighted least squares does. One more sums the polynomials of cells; rows of cells that these do not suit
are kept. The posterior is then drawn without rows, and a last scan compares some draws with all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from poolwise.density.latent.density import first_guess
from poolwise.density.latent.observations import Observations, observe
from poolwise.density.polynomial.coordinates import CellMoments, Coordinates, WeightMaps
from poolwise.density.polynomial.expansion import Sums
from poolwise.density.polynomial.of_rows import RowExpansion, by_rows, orders_for, thetas_of
from poolwise.density.polynomial.remainders import PolynomialRemainders, Together
from poolwise.density.polynomial.scans import Expansion, Kept, LogLikelihoods, RowModel, Turn, working_outcomes
from poolwise.density.working.density import WorkingDensity
from poolwise.density.working.dispersion_steps import DispersionSteps, probes_at
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.outcomes import WorkingModel, WorkingOutcomes, density_of, with_guess
from poolwise.density.working.remainders import Remainders, RowRemainders, leaf_levels
from poolwise.density.working.turns import modes_from, working_model
from poolwise.design.design import Rows
from poolwise.design.equal_rows import in_order
from poolwise.inference.first_scan import check_count
from poolwise.inference.near_normal import near_normal
from poolwise.inference.posterior import Model, Posterior
from poolwise.inference.second_places import looked_elsewhere
from poolwise.inference.shared_parameters import SharedParameters
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.samplers.mode import Mode
from poolwise.statistics.reduce import Reducer, add_pairwise
from poolwise.statistics.stream import LANES, Lane, Stream, scan
from poolwise.support.errors import SamplingError

_TURNS = 8
_SETTLED = 0.05  # change, in sds, from which another turn is not worth its cost
_MOST_KEPT = 3_000_000  # rows
_ROW_COST = 30.0  # flops
_CLOSER = 1.0, 0.2  # shares of what may be left out: where the first does not do, more rows are kept, and drawn anew
_NONE = np.zeros(0)


def infer_scanned(
    model: Model, stream: Stream, some: Rows, settings: SamplerSettings, *, threads: int
) -> Posterior | None:
    """Draw from the posterior of a model of the rows of a stream; None where polynomials are no way for it.

    Parameters
    ----------
    some : rows of the stream, that a first model is found by.
    """
    started = time.perf_counter()
    coordinates, shared = Coordinates.of(model.statistics.counted().merged()), SharedParameters.of(model)
    inner = shared.model
    if set(inner.design.predictors) != {""} or not orders_for(coordinates.size, len(inner.priors.layout.dispersions)):
        return None
    scans = _Scans(inner, stream, coordinates, settings, threads)
    try:
        expanded = scans.expanded(some)
    except (np.linalg.LinAlgError, ArithmeticError, SamplingError):
        return None
    seeds = child_seeds(np.random.SeedSequence(settings.entropy), len(_CLOSER))
    for seed, close in zip(seeds, _CLOSER, strict=True):
        if expanded is None or (chosen := scans.remainders(*expanded, close)) is None:
            return None
        own = replace(settings, seed=seed)
        parts = near_normal(inner, expanded[0], chosen[0], np.inf, own, threads, chosen[1], every=False)
        if parts is not None:
            theta, beta, u, dispersions, certificate = shared.back(parts)
            took = time.perf_counter() - started
            drawn = Posterior(model, theta, beta, u, dispersions, certificate, settings.entropy, took)
            return looked_elsewhere(drawn, replace(scans, model=model).observations(some), whole=False)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Scans:
    """Scans of the rows of a model."""

    model: Model
    stream: Stream
    coordinates: Coordinates
    settings: SamplerSettings
    threads: int

    @property
    def cells(self) -> int:
        return len(self.model.statistics.counts)

    def rows(self, dispersions: Dispersions) -> RowModel:
        model = self.model
        return RowModel(model.design, model.family, model.link, dispersions, self.coordinates)

    def expanded(self, some: Rows) -> tuple[WorkingModel, Sums, CellMoments, np.ndarray, float] | None:
        """A working model, sums of polynomials, moments and inverse roots that they are about, and flops of a cell."""
        pilot = self.pilot(some)
        found = None if pilot is None or not pilot.settled else self.settled(pilot.straight.density, pilot.modes)
        if found is None:
            return None
        density, modes = found
        rows, cells = self.rows(density.dispersions), self.cells
        moments = CellMoments.of(density, thetas_of(density, modes[0]), self.coordinates, cells)
        root, inverse = moments.roots()
        expansion = RowExpansion(moments, root, self.coordinates, self.model.link, density.dispersions)
        counts = self.model.statistics.counts
        order = expansion.best_order(rows.outcomes(some), some.values[:, :-1], some.codes, counts, _ROW_COST)
        d, k = self.coordinates.size, len(density.dispersions.centre)
        turns = self.turns(rows, moments)
        lanes = [Expansion(turn, expansion, Sums.empty(d, order, k, cells)) for turn in turns]
        self.scan(lanes)
        last = self.density(turns, density.dispersions)
        if last is None:
            return None
        working = WorkingModel(WorkingOutcomes(_NONE, _NONE), last, modes_from(last, modes), True)
        return working, lanes[0].sums + lanes[1].sums, moments, inverse, expansion.cost(order)

    def observations(self, rows: Rows) -> Observations:
        """Of some of the rows, or of all."""
        model = self.model
        return observe(model.design, rows, model.family, model.priors, model.statistics.counted().merged())

    def pilot(self, some: Rows) -> WorkingModel | None:
        """A working model of some of the rows, in memory."""
        model = self.model
        observations = self.observations(some)
        regression = replace(model.regression(observations), statistics=model.statistics.counted())
        guess = with_guess(observations, first_guess(observations, model.priors, model.family))
        return working_model(regression, guess, self.threads)

    def settled(self, density: WorkingDensity, modes: list[Mode]) -> tuple[WorkingDensity, list[Mode]] | None:
        """The working model of all rows, from that of some; None where it does not settle."""
        moments, common = self.moments(density, modes), self.common(density, modes)
        # Some rows know less than all do: what they do not know is no part of the first turn.
        moments = replace(moments, covariances=np.zeros_like(moments.covariances))
        for _ in range(_TURNS):
            turns = self.turns(self.rows(density.dispersions), moments)
            self.scan(turns)
            dispersions, turned = _moved(density.dispersions, turns)
            found = self.density(turns, dispersions)
            if found is None or not np.isfinite(turned):
                return None
            density, modes = found, modes_from(found, modes)
            new, now = self.moments(density, modes), self.common(density, modes)
            _, inverse = new.roots()
            moved = np.abs(np.einsum("cde,ce->cd", inverse, new.means - moments.means)).max(initial=turned)
            together = np.abs((now[0] - common[0]) / now[1]).max(initial=0.0)
            moments, common = new, now
            if max(moved, together) < _SETTLED:
                return density, modes
        return None

    def moments(self, density: WorkingDensity, modes: list[Mode]) -> CellMoments:
        """At the mode."""
        return CellMoments.of(density, modes[0].point[None], self.coordinates, self.cells)

    def common(self, density: WorkingDensity, modes: list[Mode]) -> tuple[np.ndarray, np.ndarray]:
        """Means and sds (p,) of the common coefficients at the mode."""
        forms = np.eye(len(self.model.design.coefficients))
        mean, variance = density.normal.common_moments(density.full(modes[0].point[None]), forms)
        return mean[0], np.sqrt(np.maximum(variance[0], 1e-300))

    def turns(self, rows: RowModel, moments: CellMoments) -> list[Turn]:
        """Lanes of one scan; working outcomes are summed around zero."""
        design, total = self.stream.design, self.model.statistics
        names, origin = (*design.columns, design.response), total.origin.copy()
        origin[-1] = 0.0
        slopes = np.zeros((len(probes_at(rows.dispersions.centre)), len(rows.dispersions.centre)))
        return [Turn(rows, moments, Reducer(names, total.cells, origin), slopes.copy()) for _ in range(LANES)]

    def density(self, turns: list[Turn], dispersions: Dispersions) -> WorkingDensity | None:
        """Of the sums of working outcomes."""
        products = add_pairwise([turn.reducer.statistics() for turn in turns])
        check_count(self.stream, products.rows)
        if not (np.isfinite(products.scatter).all() and np.isfinite(products.means).all()):
            return None
        return density_of(products, self.model.design, self.model.priors, dispersions, self.threads)

    def scan(self, lanes: Sequence[Lane]) -> None:
        """All rows, by some lanes."""
        scan(self.stream, lambda _: lanes, self.threads, self.settings.progress)

    def remainders(
        self, found: WorkingModel, sums: Sums, moments: CellMoments, inverse: np.ndarray, cost: float, close: float
    ) -> tuple[Remainders, Callable[..., np.ndarray]] | None:
        """Of cells by polynomials, and by the rows of those that are kept; and what they are exactly."""
        kept = by_rows(sums.errors, sums.rows, cost, _ROW_COST, close)
        if sums.rows[kept].sum() > _MOST_KEPT or kept.all():
            return None
        model, some = self.model, np.flatnonzero(~kept)
        maps, leaf = WeightMaps.of(self.coordinates, model.design, model.priors), leaf_levels(found, model.design)
        of_cells = PolynomialRemainders.of(sums, some, maps, moments, inverse, found.density.dispersions, leaf)
        size, whole = sums.normal.shape[1], sums.whole.size
        normal = np.zeros((len(some), whole))
        normal[:, :size] = (sums.normal * sums.whole.multinomial[:size])[some]
        of_normal = replace(of_cells, exponents=of_cells.exponents[:1], sizes=of_cells.sizes[:1], polynomials=normal)
        of_kept = self.kept(found, moments, kept) if kept.any() else None
        together = of_cells if of_kept is None else Together((of_cells, of_kept))
        exactly = partial(self.exactly, maps, kept, of_normal, of_kept)
        return together, exactly

    def kept(self, found: WorkingModel, moments: CellMoments, kept: np.ndarray) -> RowRemainders:
        """Remainders of the rows of some cells, which are read once more.

        Rows that are put together have one working outcome, where the sums of the scan have one of each.
        """
        model, lanes = self.model, [Kept(kept) for _ in range(LANES)]
        self.scan(lanes)
        rows = in_order(Rows.joined([each for lane in lanes for each in lane.rows]))
        observations = self.observations(rows)
        mean, sd = moments.of_rows(self.coordinates.columns(observations.wide), observations.codes)
        likelihood = self.rows(found.density.dispersions).likelihood(observations.outcome_rows)
        outcomes = working_outcomes(likelihood, mean + observations.known[0], sd**2)
        own = replace(found, outcomes=outcomes)
        together = RowRemainders.of(own, model.regression(observations))
        of_rows = self.rows(found.density.dispersions)
        mean, sd = moments.of_rows(self.coordinates.columns(rows.values[:, :-1]), rows.codes)
        data = of_rows.outcomes(rows)
        each = working_outcomes(of_rows.likelihood(data), mean + data.known[0], sd**2)
        levels, of_cell = leaf_levels(found, model.design)
        apart = np.bincount(of_cell[rows.codes], _at_nothing(each, data.known[0]), levels)
        apart -= np.bincount(of_cell[observations.codes], _at_nothing(outcomes, observations.known[0]), levels)
        return replace(together, constants=together.constants + apart)

    def exactly(
        self,
        maps: WeightMaps,
        kept: np.ndarray,
        normal: PolynomialRemainders,
        of_kept: RowRemainders | None,
        logs: np.ndarray,
        beta: np.ndarray,
        effects: np.ndarray,
    ) -> np.ndarray:
        """Remainders (m,) by one more scan: log likelihoods of rows less what the working model has of their cells."""
        base, none = np.ascontiguousarray(maps.of_coefficients @ beta.T), np.zeros(len(beta))
        rows = self.rows(Dispersions.at_medians(self.model.family, self.model.priors))
        lanes = [LogLikelihoods(rows, kept, maps, base, effects, logs, none.copy()) for _ in range(LANES)]
        self.scan(lanes)
        check_count(self.stream, sum(sum(lane.counts) for lane in lanes))
        total = sum((lane.totals + lane.constant for lane in lanes), none)
        total -= normal.ratios(logs, beta, effects).sum(axis=1)
        if of_kept is not None:
            total += of_kept.ratios(logs, beta, effects).sum(axis=1)
        return np.asarray(total)


def _moved(dispersions: Dispersions, turns: list[Turn]) -> tuple[Dispersions, float]:
    """A step of Newton's, by what one scan summed at the probes; and its length."""
    slopes = sum((turn.slopes for turn in turns), np.zeros_like(turns[0].slopes))
    at = {tuple(logs): own for logs, own in zip(probes_at(dispersions.centre).tolist(), slopes, strict=True)}
    steps, length = DispersionSteps.from_start(dispersions).taken(
        lambda logs: at[tuple(logs.tolist())], np.empty((0, 0))
    )
    return steps.dispersions, length


def _at_nothing(outcomes: WorkingOutcomes, known: np.ndarray) -> np.ndarray:
    """(n,) normal log densities of working outcomes where linear predictors are their known parts (n,) alone."""
    squares = outcomes.precisions * np.square(outcomes.values - known)
    return np.asarray(0.5 * (np.log(outcomes.precisions / (2 * np.pi)) - squares))
