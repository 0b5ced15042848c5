"""What a first scan of rows that stay where they are learns: statistics, outcomes, and some of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from poolwise.design.design import Rows
from poolwise.design.equal_rows import in_order
from poolwise.samplers import SamplerSettings
from poolwise.statistics.products import CrossProducts
from poolwise.statistics.reduce import Reducer, add_pairwise, rough_origin
from poolwise.statistics.stream import LANES, Lane, Stream, scan
from poolwise.support.errors import DataError

_SOME = 200_000  # rows, of which a model is found in memory
_GRID = 2.0**20  # steps of a standard deviation, so that rounding plays no part


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """A lane that learns what a model is made of.

    Attributes
    ----------
    reducer : statistics of the rows.
    whole : whether outcomes are whole numbers, of which few differ.
    outcomes : how often each of these occurs, by outcome and trials.
    ends : the least and the largest of others, of each batch.
    offsets : sum of all offsets, of each batch.
    """

    reducer: Reducer
    whole: bool
    outcomes: dict[tuple[float, float], int] = field(default_factory=dict)
    ends: list[float] = field(default_factory=list)
    offsets: list[float] = field(default_factory=list)

    def __call__(self, rows: Rows) -> None:
        """Add a batch."""
        self.reducer.add(rows.values, rows.codes, rows.weights)
        if self.whole:
            self._count(rows)
        elif len(rows.codes):
            self.ends.extend((float(rows.response.min()), float(rows.response.max())))
        if rows.offset is not None:
            self.offsets.append(float(rows.offset.sum()))

    def _count(self, rows: Rows) -> None:
        for tried in [1.0] if rows.trials is None else np.unique(rows.trials):
            mine = rows.response if rows.trials is None else rows.response[rows.trials == tried]
            for outcome, count in zip(*np.unique(mine, return_counts=True), strict=True):
                name = float(outcome), float(tried)
                self.outcomes[name] = self.outcomes.get(name, 0) + int(count)


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """A lane that keeps some of the rows, by what they hold: not by their order, nor by units of columns.

    Attributes
    ----------
    share : of the rows that are kept.
    centre, spread : (K,) of the columns.
    rows : those that are kept.
    """

    share: float
    centre: np.ndarray
    spread: np.ndarray
    rows: list[Rows] = field(default_factory=list)

    def __call__(self, rows: Rows) -> None:
        """Look at a batch."""
        found = rows.codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        more = [each for each in (rows.offset, rows.trials) if each is not None]
        for column in [*((rows.values[:, :-1] - self.centre) / self.spread).T, rows.response, *more]:
            found ^= np.round(column * _GRID).astype(np.int64).view(np.uint64)
            found *= np.uint64(0xBF58476D1CE4E5B9)
            found ^= found >> np.uint64(29)
        self.rows.append(rows.take(np.flatnonzero((found >> np.uint64(11)) / 2.0**53 < self.share)))


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What a first scan learns.

    Attributes
    ----------
    products : statistics of all rows.
    outcomes : the outcomes that there are, as rows with how many there are of each; of those on a scale a few that have
        the number, the mean, the spread and the ends of all.
    some : some of the rows, in an order of their own.
    """

    products: CrossProducts
    outcomes: Rows
    some: Rows


def learn(stream: Stream, settings: SamplerSettings, threads: int, *, whole: bool) -> Learnt:
    """Scan all rows twice: which of them are taken depends on where all of them lie.

    `whole` says whether outcomes are whole numbers.
    """
    names, lanes = (*stream.design.columns, stream.design.response), list[Tally]()

    def begin(head: Rows) -> Sequence[Lane]:
        origin = rough_origin(head.values)
        lanes.extend(Tally(Reducer(names, stream.encoding.cells, origin), whole) for _ in range(LANES))
        return lanes

    scan(stream, begin, threads, settings.progress)
    products = add_pairwise([lane.reducer.statistics() for lane in lanes])
    check_count(stream, products.rows)
    found = _tallied(lanes) if whole else _few_like(products, [end for lane in lanes for end in lane.ends])
    values = np.zeros((len(found), len(names)))
    values[:, -1] = found[:, 0]
    some = _some(stream, products, settings, threads)
    offset = None
    if some.offset is not None:
        offset = np.full(len(found), sum(sum(lane.offsets) for lane in lanes) / products.rows)
    trials = None if some.trials is None else found[:, 1]
    codes = np.zeros(len(found), dtype=np.int64)
    outcomes = Rows(values, codes, 0, offset=offset, trials=trials, linear=False, counts=found[:, 2])
    return Learnt(products, outcomes, some)


def _tallied(lanes: list[Tally]) -> np.ndarray:
    """(m, 3) outcomes, trials, and how many there are of each."""
    together: dict[tuple[float, float], int] = {}
    for lane in lanes:
        for name, count in lane.outcomes.items():
            together[name] = together.get(name, 0) + count
    return np.array([(*name, float(together[name])) for name in sorted(together)])


def _few_like(products: CrossProducts, ends: list[float]) -> np.ndarray:
    """(4, 3) outcomes, trials of one, and how many: the ends of all outcomes, and two more, by which number, mean and
    variance are those of all."""
    total, low, high = products.merged(), min(ends), max(ends)
    rows, mean = float(total.rows), float(total.means[0, -1] + total.origin[-1])
    rest = max(rows - 2.0, 1.0)
    centre = mean + (2 * mean - low - high) / rest
    square = (float(total.scatter[0, -1, -1]) - (low - mean) ** 2 - (high - mean) ** 2) / rest - (centre - mean) ** 2
    sd = max(np.sqrt(max(square, 0.0)), 1e-300)
    # Two points that are sd * away below and sd / away above their mean have it and the variance by these shares.
    away = float(np.clip(1.0, sd / max(high - centre, 1e-300), max(centre - low, 1e-300) / sd))
    below, above = max(centre - sd * away, low), min(centre + sd / away, high)
    share = 1 / (1 + away**2)
    return np.array([(low, 1, 1), (below, 1, rest * share), (above, 1, rest * (1 - share)), (high, 1, 1)])


def _some(stream: Stream, products: CrossProducts, settings: SamplerSettings, threads: int) -> Rows:
    """Some of the rows, in an order of their own."""
    total = products.merged()
    centre, spread = total.means[0, :-1] + total.origin[:-1], np.sqrt(np.diag(total.scatter[0])[:-1] / total.weights[0])
    spread = np.where(spread > 0, spread, 1.0)
    lanes = [Sampled(min(1.0, _SOME / stream.rows), centre, spread) for _ in range(LANES)]
    scan(stream, lambda _: lanes, threads, settings.progress)
    return in_order(Rows.joined([rows for lane in lanes for rows in lane.rows]))


def check_count(stream: Stream, rows: int) -> None:
    """Refuse rows that came or went.

    Raises
    ------
    DataError : where their number is another one.
    """
    if rows != stream.rows:
        raise DataError(
            f"The table changed while it was read: {stream.rows:,} complete rows were there, and now {rows:,} are. Fit "
            "a copy that holds still."
        )
