"""Rows in batches, for terms that no query can express: formulaic encodes each batch, and its sums are added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from poolwise.design import Design, Encoding, Rows
from poolwise.design.checks import check_written_numbers
from poolwise.design.combinations import cells_of
from poolwise.design.declared import Declared, as_declared
from poolwise.design.encode import encode_batch
from poolwise.design.encoding import describe_columns
from poolwise.design.expression_names import expression_names
from poolwise.design.expressions import reach
from poolwise.design.factors import Cells
from poolwise.design.levels import group_levels, ordered_levels
from poolwise.design.model_matrices import column_of_category, materialise
from poolwise.design.raw_columns import raw_columns
from poolwise.design.required_columns import Needed, part_texts, plain_factors, python_factors
from poolwise.design.transform_state import encoded_state, restore_specs
from poolwise.sources.frames import Table, as_table
from poolwise.sources.relation import Relation
from poolwise.statistics.products import CrossProducts
from poolwise.statistics.queries import (
    category_key,
    check_outcome,
    check_rows,
    group_key,
    holds_numbers,
    is_complete,
    is_missing,
    number_columns,
)
from poolwise.statistics.reduce import HEAD, Reducer, add_pairwise, rough_origin
from poolwise.support.progress import Progress, Scan
from poolwise.support.threads import map_slices

BATCH = 1 << 16  # rows: columns that stay in the cache, and enough of them to outweigh formulaic's own work
LANES = 2  # that batches go to in turn; fixed, so that sums do not depend on the number of threads


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Complete rows of a relation that can be read and encoded in batches, as often as one likes.

    Attributes
    ----------
    relation, query : where they are, and the query for the needed columns of complete rows.
    design, encoding : of the batches.
    rows, dropped : complete rows and those with missing values.
    """

    relation: Relation
    query: Any
    design: Design
    encoding: Encoding
    needed: Needed
    rows: int
    dropped: int

    def batches(self, progress: Progress) -> Iterator[Rows]:
        """Encoded rows, batch by batch."""
        yield from map(self.encode, self.raw_batches(progress))

    def raw_batches(self, progress: Progress) -> Iterator[Table]:
        """The needed columns, batch by batch."""
        scan = Scan(progress, f"reading rows from {self.relation.engine.name} in batches", self.rows)
        yield from map(as_table, self.relation.batches(self.query, BATCH, scan))

    def encode(self, table: Table) -> Rows:
        """The rows of one batch as design columns and group codes."""
        keys = [table.keys(name) for name in self.needed.keys]
        return encode_batch(self.design, self.encoding, raw_columns(self.needed, table), keys)


def column_terms(needed: Needed) -> list[str]:
    """Terms that look at more than their own row, and whose state cannot be learnt first."""
    return [text for text in python_factors(needed.parts) if reach(text) == "column"]


def open_stream(needed: Needed, relation: Relation, like: Encoding | None, missing: str, progress: Progress) -> Stream:
    """Learn levels and the states of transforms from a relation, so that its batches can be encoded.

    Raises
    ------
    DataError, FormulaError : as for rows in memory.
    """
    numeric = holds_numbers(needed, relation)
    check_outcome(needed, numeric)
    complete = relation.frame.filter(is_complete(relation, needed.columns))
    labels, rows, dropped = _cells(needed, relation, missing, progress)
    specs = _learn(needed, relation, complete, numeric) if like is None else like.specs
    columns = number_columns(relation, needed.values, truths=False)
    chosen = [columns.get(name, category_key(relation, name)).alias(name) for name in needed.values]
    chosen += [group_key(relation, name).alias(name) for name in needed.keys if name not in needed.values]
    query = complete.select(*chosen)
    head = as_table(next(relation.batches(query.head(HEAD), HEAD, Scan())))
    levels = [(name, relation.declared_levels(name)) for name in needed.predictors]
    own = tuple(Declared(name, tuple(each), ordered=True) for name, each in levels if each is not None)
    declared = own if like is None else like.declared
    raw = as_declared(raw_columns(needed, head), declared)
    learnt = materialise(specs, raw, needed.formula, head.rows).model_spec
    design, encoding = describe_columns(needed, learnt, labels, declared)
    return Stream(relation, query, design, encoding, needed, rows - dropped, dropped)


def _cells(needed: Needed, relation: Relation, missing: str, progress: Progress) -> tuple[Cells, int, int]:
    """Labels of the cells, and how many rows there are and lack a value, in one query."""
    import narwhals as nw

    keys = [group_key(relation, name) for name in needed.keys] or [nw.lit(1)]
    complete = is_complete(relation, needed.columns)
    labelled = relation.frame.select(*(nw.when(complete).then(key).alias(f"k{i}") for i, key in enumerate(keys)))
    counted = labelled.group_by(*(f"k{i}" for i in range(len(keys)))).agg(nw.len().alias("n"))
    found = relation.fetch(counted, Scan(progress, "finding groups"))
    incomplete = is_missing(found["k0"])
    rows, dropped = int(found["n"].sum()), int(found["n"][incomplete].sum())
    check_rows(relation, needed, rows, dropped, missing)
    if not needed.keys:
        return (), rows, dropped
    coded = [group_levels(name, found[f"k{i}"][~incomplete]) for i, name in enumerate(needed.keys)]
    combinations, _ = cells_of([codes for _, codes in coded])
    return tuple(levels[combinations[:, k]] for k, (levels, _) in enumerate(coded)), rows, dropped


Lane = Callable[[Rows], None]


def scan(stream: Stream, begin: Callable[[Rows], Sequence[Lane]], threads: int, progress: Progress) -> None:
    """Read all rows once; each of some lanes takes a batch in turn, beside the others.

    Parameters
    ----------
    begin : the first rows to `LANES` lanes; so many, so that sums do not depend on the number of threads.
    """
    lanes: Sequence[Lane] = ()
    waiting: list[Table] = []

    def empty_waiting() -> None:
        map_slices(lambda i, _: lanes[i](stream.encode(waiting[i])), len(waiting), 1, threads)
        waiting.clear()

    for table in stream.raw_batches(progress):
        lanes = lanes or begin(stream.encode(Table.of(table.frame.head(HEAD))))
        waiting.append(table)
        if len(waiting) == len(lanes):
            empty_waiting()
    empty_waiting()


def reduce_stream(stream: Stream, threads: int, progress: Progress) -> CrossProducts:
    """Statistics of all rows of a stream."""
    names = (*stream.design.columns, stream.design.response)
    reducers: list[Reducer] = []

    def begin(head: Rows) -> list[Lane]:
        origin = rough_origin(head.values)
        reducers.extend(Reducer(names, stream.encoding.cells, origin) for _ in range(LANES))
        return [partial(_reduce, reducer) for reducer in reducers]

    scan(stream, begin, threads, progress)
    return add_pairwise([reducer.statistics() for reducer in reducers])


def _reduce(reducer: Reducer, rows: Rows) -> None:
    reducer.add(rows.values, rows.codes, rows.weights)


def _distinct(relation: Relation, rows: Any, key: Any) -> np.ndarray:
    return relation.fetch(rows.select(key.alias("k")).unique(), Scan())["k"]


def _learn(needed: Needed, relation: Relation, complete: Any, numeric: Mapping[str, bool]) -> Any:
    """Specifications with the levels of categories and the states of transforms over all complete rows."""
    factors = python_factors(needed.parts)
    categories: dict[str, list[Any]] = {}
    states: dict[str, Any] = {}
    plain = plain_factors(needed.parts)
    columns = {name: name for name in needed.values if not numeric[name] and name in plain}
    columns |= {
        f: str(column_of_category(f)) for f in factors if f.startswith("C(") and column_of_category(f) in numeric
    }
    for factor, column in columns.items():
        found = _distinct(relation, complete, category_key(relation, column))
        categories[factor] = ordered_levels(found, relation.declared_levels(column))
        check_written_numbers(column, np.array(categories[factor], dtype=object))
    computed = set(_categories_of_head(needed, relation, complete)) - set(categories)
    for factor in factors:
        if reach(factor) == "learnt" or factor in computed:
            spec = _spec_of(factor, needed, relation, complete)
            states |= spec.transform_state
            if factor in computed:
                categories[factor] = list(spec.encoder_state[factor][1]["categories"])
    texts = part_texts(needed.formula)
    return restore_specs(texts, dict.fromkeys(texts, encoded_state(states, categories)))


def _categories_of_head(needed: Needed, relation: Relation, complete: Any) -> list[str]:
    """Factors that turn out to be categories, `C(x + 1)` or `np.where(x > 1, "a", "b")` among them."""
    head = relation.table(complete.select(*needed.values).head(HEAD), Scan())
    specs = materialise(needed.parts, raw_columns(needed, head), needed.formula, head.rows).model_spec
    return [factor for spec in specs for factor, (_, state) in spec.encoder_state.items() if "categories" in state]


def _spec_of(factor: str, needed: Needed, relation: Relation, complete: Any) -> Any:
    """What a factor by itself learns from whole columns: only those that it needs are read."""
    from poolwise.design.part_parser import parsed_part

    columns = number_columns(relation, needed.values, truths=False)
    names = sorted(expression_names(factor) & set(needed.values))
    chosen = [columns.get(name, category_key(relation, name)).alias(name) for name in names]
    raw = relation.table(complete.select(*chosen), Scan()).columns(names)
    return materialise(parsed_part(f"0 + {factor}"), raw, needed.formula, len(raw[names[0]])).model_spec
