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


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """A lane that learns what a model is made of.

    Attributes
    ----------
    reducer : statistics of the rows.
    share : of the rows that are kept.
    outcomes : how often each outcome occurs, by outcome and trials.
    offsets : sum of all offsets, of each batch.
    some : the rows that are kept.
    """

    reducer: Reducer
    share: float
    outcomes: dict[tuple[float, float], int] = field(default_factory=dict)
    offsets: list[float] = field(default_factory=list)
    some: list[Rows] = field(default_factory=list)

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
        self.some.append(rows.take(np.flatnonzero(_hashed(rows) < self.share)))


def _hashed(rows: Rows) -> np.ndarray:
    """(n,) numbers between zero and one that depend on what a row holds, and on nothing else."""
    found = rows.codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for column in rows.values.T:
        found ^= np.ascontiguousarray(column + 0.0).view(np.uint64)  # minus zero is zero
        found *= np.uint64(0xBF58476D1CE4E5B9)
        found ^= found >> np.uint64(29)
    return np.asarray(found >> np.uint64(11)) / 2.0**53


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
    """Scan all rows once."""
    names, lanes = (*stream.design.columns, stream.design.response), list[Tally]()

    def begin(head: Rows) -> Sequence[Lane]:
        origin = rough_origin(head.values)
        share = min(1.0, _SOME / stream.rows)
        lanes.extend(Tally(Reducer(names, stream.encoding.cells, origin), share) for _ in range(LANES))
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
    some = in_order(Rows.joined([rows for lane in lanes for rows in lane.some]))
    offset = None
    if some.offset is not None:
        offset = np.full(len(pairs), sum(sum(lane.offsets) for lane in lanes) / products.rows)
    trials = None if some.trials is None else pairs[:, 1]
    counts = np.array([together[tuple(pair)] for pair in pairs.tolist()], dtype=float)
    codes = np.zeros(len(pairs), dtype=np.int64)
    outcomes = Rows(values, codes, 0, offset=offset, trials=trials, linear=False, counts=counts)
    return Learnt(products, outcomes, some)


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
