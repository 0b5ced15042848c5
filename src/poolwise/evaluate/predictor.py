"""Rows to predict, of groups that are known, unknown or new: their draws, means, sums and summaries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from poolwise.design import Rows
from poolwise.design.combinations import first_of, places_by
from poolwise.design.design import Design, column_weights, regression_weights
from poolwise.evaluate.draw_summaries import summaries
from poolwise.evaluate.group_effects import GroupEffects
from poolwise.evaluate.level_terms import coefficients_of_groups
from poolwise.evaluate.marginal_means import mean_over_groups, spread_of_groups
from poolwise.evaluate.mean_kernels import mean_expectations
from poolwise.evaluate.outcome_distribution import outcomes
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.errors import DataError
from poolwise.support.threads import look, map_slices

_TOGETHER = 1 << 17  # rows x draws that are predicted at a time: they stay in the cache
_KEPT = 1 << 28  # numbers: 2 GB
_WEIGHTS = 1 << 26  # numbers: weights of all cells are kept up to this many
_BATCH = 1 << 24  # numbers: weights of the cells of some rows
_LANES = 4

CellWeights = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The rows to compute, each once.

    Attributes
    ----------
    rows : in the order of their cells.
    codes : (r,) cell of each row among `cells`.
    cells : (c,) cells that occur.
    back : (n,) which of the rows each row that was asked for equals.
    weights : of the columns in each of the cells, and dispersions; None where they are made for each batch.
    """

    rows: Rows
    codes: np.ndarray
    cells: np.ndarray
    back: np.ndarray
    weights: CellWeights | None


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Predictions of some rows, a batch of rows at a time.

    Attributes
    ----------
    posterior : the fit.
    design : with the rows' own groups.
    rows : encoded.
    question : what is predicted.
    kept : positions of the draws that are wanted, of all chains one after the other; None for all.
    """

    posterior: Posterior
    design: Design
    rows: Rows
    question: Question
    kept: np.ndarray | None = None

    @property
    def count(self) -> int:
        """Number of draws, m."""
        return self.posterior.chains * self.posterior.draws if self.kept is None else len(self.kept)

    def summaries(self, tail: float) -> np.ndarray:
        """Mean, sd and the quantiles at `tail` and 1 - `tail` of each row's prediction, (n, 4); draws are not kept."""
        parts = self._parts()
        found = np.empty((len(parts.rows.codes), 4))

        def work(part: slice, drawn: np.ndarray) -> None:
            found[part] = summaries(drawn.T, tail)

        self._each(parts, work)
        return found[parts.back]

    def means(self) -> np.ndarray:
        """Posterior mean of each row's prediction, (n,); where predictions are linear, no row is drawn."""
        if not self.linear:
            parts = self._parts()
            found = np.empty(len(parts.rows.codes))
            if self._of_location:
                self._mean_expectations(parts, found)
                return found[parts.back]

            def work(part: slice, drawn: np.ndarray) -> None:
                found[part] = drawn.mean(axis=0)

            self._each(parts, work)
            return found[parts.back]
        used, codes = np.unique(self.rows.codes, return_inverse=True)
        weights = [self._of_cells(used[part])[0][""].mean(axis=0) for part in self._steps(len(used))]
        mine = np.concatenate(weights)[codes if sum(map(len, weights)) > 1 else np.zeros_like(codes)]
        found = mine[:, 0] + np.einsum("ij,ij->i", self.rows.values[:, :-1], mine[:, 1:])
        return found if self.rows.offset is None else found + self.rows.offset

    def draws(self) -> np.ndarray:
        """All draws, (m, n)."""
        if self.count * len(self.rows.codes) > _KEPT:
            raise DataError(
                f"Draws of {len(self.rows.codes):,} rows would take {8e-9 * self.count * len(self.rows.codes):.0f} GB. "
                "Ask for fewer rows, or for the table, which is made batch by batch."
            )
        parts = self._parts()
        found = np.empty((self.count, len(parts.rows.codes)))

        def work(part: slice, drawn: np.ndarray) -> None:
            found[:, part] = drawn

        self._each(parts, work)
        return found[:, parts.back]

    def sums(self, weights: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
        """Weighted sums of the predictions of the rows of each group, (m, count).

        Where predictions are linear in the coefficients, rows are summed first.

        Parameters
        ----------
        weights, groups : (n,) of each row.
        """
        parts = self._parts()
        pairs, place = np.unique(parts.back * np.int64(count) + groups, return_inverse=True)
        of_row, of_group, sizes = pairs // count, pairs % count, np.bincount(place, weights, len(pairs))
        starts = np.searchsorted(of_row, np.arange(len(parts.rows.codes) + 1))
        steps = self._steps(len(parts.rows.codes))
        # Each lane has sums of its own, so that rounding does not depend on the number of threads.
        lanes = _LANES if count * self.count <= _KEPT // 16 else 1
        totals = [np.zeros((count, self.count)) for _ in range(lanes)]

        def work(lane: int, _: slice) -> None:
            for k in range(lane, len(steps), lanes):
                look()
                part = steps[k]
                mine = slice(starts[part.start], starts[part.stop])
                used, column = np.unique(of_group[mine], return_inverse=True)
                shares = np.zeros((len(used), part.stop - part.start))
                shares[column, of_row[mine] - part.start] = sizes[mine]
                totals[lane][used] += shares @ self._drawn(parts, part, k).T

        map_slices(work, lanes, 1)
        return np.sum(totals, axis=0).T

    def linear_sums(
        self, weights: np.ndarray, groups: np.ndarray, count: int, less: Predictor | None = None
    ) -> np.ndarray:
        """As `sums`, for predictions that are linear in the coefficients: rows are summed, then predicted.

        With `less`, predictions of the same rows of the same groups that differ in some columns, sums are of the
        differences: these are taken row by row, before anything that they have in common could cost digits.
        """
        used, cells = np.unique(self.rows.codes, return_inverse=True)
        pairs, place = np.unique(cells * np.int64(count) + groups, return_inverse=True)
        values = np.column_stack([np.ones(len(cells)), self.rows.values[:, :-1]])
        offset = self.rows.offset
        if less is not None:
            values -= np.column_stack([np.ones(len(cells)), less.rows.values[:, :-1]])
            offset = None if offset is None or less.rows.offset is None else offset - less.rows.offset
        summed = np.column_stack([np.bincount(place, weights * column, len(pairs)) for column in values.T])
        total = np.zeros((count, self.count))
        for part in self._steps(len(used)):
            of_cells = np.moveaxis(self._of_cells(used[part])[0][""], 1, 0)
            for k, of_cell in zip(range(part.start, part.stop), of_cells, strict=True):
                mine = slice(*np.searchsorted(pairs, [k * count, (k + 1) * count]))
                total[pairs[mine] % count] += summed[mine] @ of_cell.T
        if offset is not None:
            total += np.bincount(groups, weights * offset, count)[:, None]
        return total.T

    @property
    def linear(self) -> bool:
        """Whether predictions are linear in the coefficients."""
        kind, encoding = self.question.kind, self.posterior.model.encoding
        return kind is Kind.LINEAR or (kind is Kind.MEAN and encoding.linear)

    @property
    def _of_location(self) -> bool:
        """Whether predictions are means on the family's scale, which have a kernel."""
        asked, family = self.question, self.posterior.model.family
        return (
            asked.kind is Kind.MEAN
            and asked.quantity is None
            and asked.new_groups is not NewGroups.MARGINAL
            and family.expected is None
        )

    def _mean_expectations(self, parts: Parts, out: np.ndarray) -> None:
        model, values = self.posterior.model, np.ascontiguousarray(parts.rows.values[:, :-1])
        size = max(1, _BATCH // (self.count * (1 + values.shape[1])))
        offset = np.zeros(len(out)) if parts.rows.offset is None else np.ascontiguousarray(parts.rows.offset, float)

        def work(_: int, part: slice) -> None:
            codes, every = self._weights(parts, part)[:2]
            weights = np.ascontiguousarray(np.moveaxis(every[""], 0, 2))
            codes = codes if len(weights) > 1 else np.zeros_like(codes)
            mean_expectations(
                model.link.code, model.family.scale.code, codes, values[part], offset[part], weights, out[part]
            )

        map_slices(work, len(out), size)

    def _parts(self) -> Parts:
        """Distinct rows in the order of their cells; all rows in their own order where each has noise of its own."""
        if self.question.kind is Kind.RESPONSE:
            codes, back = self.rows.codes, np.arange(len(self.rows.codes))
            rows = self.rows
        else:
            first, back = _distinct(self.rows)
            rows = self.rows.take(first)
            codes = rows.codes
        cells, codes = np.unique(codes, return_inverse=True)
        few = self.count * len(cells) * (1 + rows.values.shape[1]) <= _WEIGHTS
        return Parts(rows, codes, cells, back, self._of_cells(cells) if few else None)

    def _steps(self, length: int) -> list[slice]:
        size = max(1, _TOGETHER // self.count)
        return [slice(start, min(start + size, length)) for start in range(0, length, size)]

    def _each(self, parts: Parts, work: Callable[[slice, np.ndarray], None]) -> None:
        """Call `work(rows, draws)` for consecutive rows and their draws (m, rows), on several threads."""
        steps = self._steps(len(parts.rows.codes))
        map_slices(lambda k, _: work(steps[k], self._drawn(parts, steps[k], k)), len(steps), 1)

    def _drawn(self, parts: Parts, part: slice, batch: int) -> np.ndarray:
        mine = parts.rows.take(np.arange(part.start, part.stop))
        codes, weights, dispersions = self._weights(parts, part)
        model, kind = self.posterior.model, self.question.kind
        shaped = model.family.expected is not None or self.question.quantity is not None
        spread = kind is Kind.RESPONSE or (kind is Kind.MEAN and shaped)
        found = outcomes(model, mine, codes, weights, dispersions, spread=spread)
        if self.question.kind is Kind.LINEAR:
            return found.linear
        if self.question.new_groups is NewGroups.MARGINAL:
            sds = spread_of_groups(self.posterior, mine.values[:, :-1], self.kept)
            return mean_over_groups(found, model.link, sds, lambda at: at.quantity(self.question.quantity))
        if self.question.kind is Kind.MEAN:
            return found.quantity(self.question.quantity)
        return found.draw(self.question.stream(0, batch, *self.question.apart))

    def _weights(self, parts: Parts, part: slice) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Cell of some of the rows among those that they are in, and what `_of_cells` has for these."""
        used, codes = np.unique(parts.codes[part], return_inverse=True)
        if parts.weights is None:
            return codes, *self._of_cells(parts.cells[used])
        weights, dispersions = (
            {name: values[:, used] if values.shape[1] > 1 else values for name, values in each.items()}
            for each in parts.weights
        )
        return codes, weights, dispersions

    def _of_cells(self, used: np.ndarray) -> CellWeights:
        """Weights of the columns [1, W] by linear predictor (m, cells, 1 + K), and dispersions (m, cells), of cells."""
        posterior, count = self.posterior, self.posterior.chains * self.posterior.draws
        groups = GroupEffects(posterior, self.question)
        if posterior.model.pooling is Pooling.SEPARATE:
            beta, own = groups.regressions(self.design.factors[0], used)
            return self._wanted(regression_weights(self.design, beta)), self._wanted(own)
        beta = posterior.beta.reshape(count, -1)
        if self.question.unlabelled and (of_groups := coefficients_of_groups(posterior.model)).any():
            beta = np.where(of_groups, 0.0, beta)
        effects = []
        for fitted, asked in zip(posterior.model.design.factors, self.design.factors, strict=True):
            levels, back = np.unique(asked.codes[used], return_inverse=True)
            effects.append(groups.of(fitted, asked.levels[levels])[:, back])
        dispersions = {name: values.reshape(count, 1) for name, values in posterior.dispersions.items()}
        design = _restricted(self.design, used)
        names = [name for name, _ in design.formula.predictors]
        weights = {name: _by_cell(column_weights(design, beta, effects, name)) for name in names}
        return self._wanted(weights), self._wanted(dispersions)

    def _wanted(self, drawn: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return drawn if self.kept is None else {name: values[self.kept] for name, values in drawn.items()}


def _by_cell(weights: np.ndarray) -> np.ndarray:
    """Weights (m, cells, 1 + K) in memory by cell and column, so that the draws of one lie side by side."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(weights, 0, 2)), 2, 0)


def _distinct(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the distinct rows, in the order of their cells, and which of these each row equals."""
    more = [
        each
        for each in (rows.offset, rows.trials, rows.weights, *([] if rows.limits is None else rows.limits[2:]))
        if each is not None
    ]
    place = places_by(rows.codes, (*rows.values[:, :-1].T, *more))
    return first_of(place), place


def _restricted(design: Design, used: np.ndarray) -> Design:
    """The design of some cells, in which every cell has a level of its own."""
    own = np.arange(len(used))
    return replace(design, factors=tuple(replace(factor, codes=own) for factor in design.factors))
