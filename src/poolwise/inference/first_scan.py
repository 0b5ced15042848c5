"""What a first scan of rows that stay where they are learns: statistics, outcomes, and some of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from poolwise.design.design import Rows
from poolwise.samplers import SamplerSettings
from poolwise.statistics.counted import in_order
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
    outcomes : how often each outcome occurs, by outcome and trials.
    offsets : sum of all offsets, of each batch.
    """

    reducer: Reducer
    outcomes: dict[tuple[float, float], int] = field(default_factory=dict)
    offsets: list[float] = field(default_factory=list)

    def __call__(self, rows: Rows) -> None:
        """Add a batch."""
        self.reducer.add(rows.values, rows.codes, rows.weights)
        for tried in [1.0] if rows.trials is None else np.unique(rows.trials):
            mine = rows.response if rows.trials is None else rows.response[rows.trials == tried]
            for outcome, count in zip(*np.unique(mine, return_counts=True), strict=True):
                name = float(outcome), float(tried)
                self.outcomes[name] = self.outcomes.get(name, 0) + int(count)
        if rows.offset is not None:
            self.offsets.append(float(rows.offset.sum()))


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
    outcomes : the outcomes that there are, as rows with how many there are of each.
    some : some of the rows, in an order of their own.
    """

    products: CrossProducts
    outcomes: Rows
    some: Rows


def learn(stream: Stream, settings: SamplerSettings, threads: int) -> Learnt:
    """Scan all rows twice: which of them are taken depends on where all of them lie."""
    names, lanes = (*stream.design.columns, stream.design.response), list[Tally]()

    def begin(head: Rows) -> Sequence[Lane]:
        origin = rough_origin(head.values)
        lanes.extend(Tally(Reducer(names, stream.encoding.cells, origin)) for _ in range(LANES))
        return lanes

    scan(stream, begin, threads, settings.progress)
    products = add_pairwise([lane.reducer.statistics() for lane in lanes])
    check_count(stream, products.rows)
    together: dict[tuple[float, float], int] = {}
    for lane in lanes:
        for name, count in lane.outcomes.items():
            together[name] = together.get(name, 0) + count
    pairs = np.array(sorted(together))
    values = np.zeros((len(pairs), len(names)))
    values[:, -1] = pairs[:, 0]
    some = _some(stream, products, settings, threads)
    offset = None
    if some.offset is not None:
        offset = np.full(len(pairs), sum(sum(lane.offsets) for lane in lanes) / products.rows)
    trials = None if some.trials is None else pairs[:, 1]
    counts = np.array([together[tuple(pair)] for pair in pairs.tolist()], dtype=float)
    codes = np.zeros(len(pairs), dtype=np.int64)
    outcomes = Rows(values, codes, 0, offset=offset, trials=trials, linear=False, counts=counts)
    return Learnt(products, outcomes, some)


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
