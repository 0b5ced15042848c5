"""Three routes from rows to statistics: arrays in memory, one query, or batches; which one was taken is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from poolwise.design import Design, Encoding, Rows, build, needed_columns
from poolwise.design.encode import encode_batch, encode_like
from poolwise.design.equal_rows import distinct
from poolwise.design.expressions import NotExpressible, reach
from poolwise.design.plan import Plan, plan
from poolwise.design.raw_columns import raw_columns
from poolwise.design.required_columns import Needed, check_missing, python_factors
from poolwise.families import Family
from poolwise.families.summed import Summed
from poolwise.formula.parse import unquote
from poolwise.sources.files import read_all
from poolwise.sources.frames import Table, as_table, engines_keep_labels
from poolwise.sources.relation import Relation, relation_of
from poolwise.sources.source import Source
from poolwise.sources.summary_tables import CellTable
from poolwise.statistics.counted import CountedTable, continuous, count_rows, reduce_counted
from poolwise.statistics.merge_cells import add_cells, from_cells
from poolwise.statistics.queries import check_columns, check_outcome, group_key, holds_numbers, is_complete
from poolwise.statistics.reduce import reduce_rows
from poolwise.statistics.scan import learn_scales, scan
from poolwise.statistics.statistics import Statistics
from poolwise.statistics.stream import column_terms, open_stream, reduce_stream
from poolwise.statistics.summed import SummedTable, keys_of, standing, sum_rows, summable
from poolwise.support.errors import DataError, FormulaError
from poolwise.support.progress import Progress, Scan

LARGE = 1 << 20  # rows; a frame in memory of more than these goes through an engine, which is faster
_SHOWN = 20_000  # rows; more cannot be told apart in a picture
_FITS = 1 << 28  # values; terms that need whole columns are evaluated in memory up to this size


def reduce_source(
    needed: Needed,
    source: Source,
    like: Statistics | None,
    missing: str,
    threads: int,
    progress: Progress,
    *,
    family: Family | None = None,
) -> tuple[Statistics, Rows | None]:
    """Statistics of a source; and its encoded rows where they are in memory anyway.

    Of a family that is sampled, equal rows of more than a million are counted or summed up where they live, if it is
    given; then the statistics have these, and there are no rows.
    """
    counting = family if family is not None and family.countable else None
    check_missing(missing)
    if like is not None and not isinstance(like, Statistics):
        raise DataError(f"like must be SufficientStatistics (fit.statistics has them), not {type(like).__name__}.")
    if like is not None and str(needed.formula) != str(like.design.formula):
        raise FormulaError(f"The formula is '{needed.formula.text}', but like= was made for '{like.formula}'.")
    if like is not None and needed.weights != like.encoding.weights:
        raise DataError(f"The weights are {needed.weights!r}, but like= was made with {like.encoding.weights!r}.")
    if isinstance(source, CellTable):
        return _published(needed, source, like, missing), None
    if isinstance(source, Table):
        if source.rows <= LARGE:
            return _in_memory(needed, source, like, missing, threads, "rows in memory")
        kept = source
        if not (needed.linear or counting) or not engines_keep_labels(source, needed.columns):
            return _in_memory(needed, source, like, missing, threads, "rows in memory")
        source = relation_of(source, needed.columns)
    else:
        kept = None
    try:
        if not needed.linear:
            check_columns(needed, source)
            why = ""
            if counting is not None and source.count() > LARGE:
                there = _aggregated(needed, source, counting, like, missing, threads, progress)
                if isinstance(there, Statistics):
                    return there, None
                why = there
            if kept is not None:
                return _in_memory(needed, kept, like, missing, threads, "rows in memory")
            return _collected(needed, source, like, missing, threads, "", why)
        return _in_engine(needed, source, like, missing, threads, progress)
    except Exception as error:
        said = source.engine.explain(error)
        if said is None:
            raise
        raise said from error


def looks_continuous(needed: Needed, relation: Relation, family: Family) -> bool:
    """Whether so many of the first rows differ that counting equal ones, or summing up outcomes, is not worth while."""
    check_columns(needed, relation)
    columns = list(needed.columns) if summable(needed, family) is None else keys_of(needed)
    complete = relation.frame.select(*needed.columns).filter(is_complete(relation, needed.columns))
    return bool(continuous(relation, complete, columns))


def _aggregated(
    needed: Needed,
    relation: Relation,
    family: Family,
    like: Statistics | None,
    missing: str,
    threads: int,
    progress: Progress,
) -> Statistics | str:
    """Statistics of rows that are summed up or counted where they live; or in words why they are not."""
    if (summed := summable(needed, family)) is not None:
        sums = sum_rows(needed, relation, family, summed, missing, progress)
        if isinstance(sums, SummedTable):
            words = (
                f"{relation.words}: outcomes of equal predictors summed up by {relation.engine.name}; rows stayed there"
            )
            return summed_statistics(needed, sums, summed, like, words)
    counts = count_rows(needed, relation, missing, progress)
    if isinstance(counts, str):
        return counts
    return counted_statistics(needed, counts, like, threads)


def _in_engine(
    needed: Needed,
    relation: Relation,
    like: Statistics | None,
    missing: str,
    threads: int,
    progress: Progress,
) -> tuple[Statistics, Rows | None]:
    numeric = holds_numbers(needed, relation)
    check_outcome(needed, numeric)
    try:
        return _by_query(plan(needed, numeric), relation, like, missing, progress), None
    except NotExpressible as obstacle:
        if terms := column_terms(needed):
            return _collected(needed, relation, like, missing, threads, terms[0])
        return _by_batches(needed, relation, like, missing, threads, progress, str(obstacle)), None


def stream_again(data: Statistics, source: Source, missing: str, progress: Progress) -> Iterator[Rows]:
    """The rows behind statistics once more, encoded in the same way, in batches."""
    if isinstance(source, CellTable):
        raise DataError("A table of cells has no rows to read again.")
    needed = needed_columns(data.design.formula, data.encoding.weights, linear=data.encoding.linear)
    relation = source if isinstance(source, Relation) else relation_of(source)
    yield from open_stream(needed, relation, data.encoding, missing, progress).batches(progress)


def rows_of_cells(data: Statistics, source: Source, cells: np.ndarray) -> tuple[Rows, Table]:
    """Rows of the cells at some positions, encoded and raw, at most `_SHOWN` of them, from where the rows live."""
    import narwhals as nw

    relation = source if isinstance(source, Relation) else relation_of(source)  # type: ignore[arg-type]
    needed = needed_columns(data.design.formula, data.encoding.weights)
    keys = [group_key(relation, name) for name in needed.keys]
    labels = [column[cells].tolist() for column in data.encoding.cells]
    # Every label by itself narrows the rows down; combinations that nobody asked for are left out below.
    wanted = nw.all_horizontal(*(key.is_in(each) for key, each in zip(keys, labels, strict=True)), ignore_nulls=False)
    chosen = relation.frame.filter(is_complete(relation, needed.columns)).filter(wanted)
    table = relation.table(chosen.select(*needed.columns).head(_SHOWN), Scan())
    rows = encode_batch(
        data.design, data.encoding, raw_columns(needed, table), [table.keys(name) for name in needed.keys]
    )
    mine = np.flatnonzero(np.isin(rows.codes, cells))
    return rows.take(mine), Table.of(table.frame[mine.tolist()])


def _in_memory(
    needed: Needed, table: Table, like: Statistics | None, missing: str, threads: int, reading: str
) -> tuple[Statistics, Rows]:
    if like is None:
        design, encoding, rows = build(needed, table, missing=missing)
    else:
        design, encoding, rows = encode_like(like.design, like.encoding, needed, table, missing=missing)
    names = (*design.columns, design.response)
    products = reduce_rows(rows.values, rows.codes, names, encoding.cells, weights=rows.weights, threads=threads)
    return Statistics(design, encoding, products, rows.dropped, reading), rows


def counted_statistics(needed: Needed, found: CountedTable, like: Statistics | None, threads: int | None) -> Statistics:
    """Statistics with counted rows, from a table of those that differ."""
    if like is None:
        design, encoding, rows = build(needed, found.table, missing="error", counts=found.counts)
    else:
        design, encoding, rows = encode_like(
            like.design, like.encoding, needed, found.table, missing="error", counts=found.counts
        )
    rows = replace(rows, dropped=found.dropped)
    return with_counted(design, encoding, rows, threads, found.reading)


def summed_statistics(
    needed: Needed, found: SummedTable, summed: Summed, like: Statistics | None, reading: str
) -> Statistics:
    """Statistics with summed rows, from a table of these; outcomes have their own mean and spread in the products."""
    if like is None:
        design, encoding, rows = build(needed, found.table, missing="error", row_by_row=True)
    else:
        design, encoding, rows = encode_like(
            like.design, like.encoding, needed, found.table, missing="error", row_by_row=True
        )
    products = add_cells((*design.columns, design.response), encoding.cells, rows, found.counts, found.squares)
    few = replace(distinct(standing(rows, found.outcomes, found.counts)), dropped=found.dropped)
    return Statistics(design, encoding, products, found.dropped, reading, few, summed=summed)


def with_counted(design: Design, encoding: Encoding, rows: Rows, threads: int | None, reading: str) -> Statistics:
    """Statistics of counted rows."""
    names = (*design.columns, design.response)
    products = reduce_counted(rows, names, encoding.cells, threads)
    return Statistics(design, encoding, products, rows.dropped, reading, rows)


def _published(needed: Needed, cells: CellTable, like: Statistics | None, missing: str) -> Statistics:
    outcome = needed.formula.response
    if needed.weights is not None:
        raise DataError("A table of cells has the number of rows of each cell; it takes no weights.")
    if needed.outcome != (unquote(outcome),):
        raise FormulaError(f"The table has means of the outcome, from which '{outcome}' cannot be computed.")
    weighing = [text for text in python_factors(needed.parts) if reach(text) != "row"]
    if weighing and like is None:
        raise FormulaError(
            f"'{weighing[0]}' would be learnt from the lines of the table, not from the rows behind them; compute it "
            "as a column of the table."
        )
    n, mean, squares = cells.numbers()
    kept = n > 0
    covariates = cells.table.columns([name for name in needed.columns if name not in needed.outcome])
    table = as_table({**{name: values[kept] for name, values in covariates.items()}, needed.outcome[0]: mean[kept]})
    if like is None:
        design, encoding, rows = build(needed, table, missing="error")
    else:
        design, encoding, rows = encode_like(like.design, like.encoding, needed, table, missing="error")
    products = add_cells((*design.columns, design.response), encoding.cells, rows, n[kept], squares[kept])
    reading = f"{int(kept.sum()):,} published cells with their number, mean and sd of the outcome"
    return Statistics(design, encoding, products, 0, reading)


def _by_query(
    planned: Plan, relation: Relation, like: Statistics | None, missing: str, progress: Progress
) -> Statistics:
    if like is None:
        states = learn_scales(planned, relation, progress)
    else:
        states = {key: state for spec in like.encoding.specs for key, state in spec.transform_state.items()}
    cells = scan(planned, relation, states, missing, progress)
    declared = {name: relation.declared_levels(name) for name in planned.category_columns}
    parts = from_cells(planned, cells, states, declared, like.encoding if like else None)
    passes = "" if cells.passes == 1 else ", and a second one about group means"
    reading = f"{relation.words}: one aggregate query by {relation.engine.name}{passes}; rows stayed there"
    return Statistics(*parts, cells.dropped, reading)


def _by_batches(
    needed: Needed,
    relation: Relation,
    like: Statistics | None,
    missing: str,
    threads: int,
    progress: Progress,
    obstacle: str,
) -> Statistics:
    stream = open_stream(needed, relation, like.encoding if like else None, missing, progress)
    products = reduce_stream(stream, threads, progress)
    reading = f"{relation.words}: in batches from {relation.engine.name}, since no query can express {obstacle}"
    return Statistics(stream.design, stream.encoding, products, stream.dropped, reading)


def _collected(
    needed: Needed,
    relation: Relation,
    like: Statistics | None,
    missing: str,
    threads: int,
    term: str,
    uncounted: str = "",
) -> tuple[Statistics, Rows]:
    """Needed columns in memory: for a term that looks at whole columns, or without one for a family that is sampled,
    and then why rows were not counted instead."""
    rows = relation.count()
    if rows * len(needed.columns) > _FITS:
        raise DataError(
            f"'{term}' looks at whole columns, and {rows:,} rows are too many to hold in memory. Compute it where the "
            "data are, as a column of its own."
            if term
            else f"This family is sampled from rows in memory, and {rows:,} rows are too many; they cannot be counted "
            f"instead, since {uncounted or 'a parameter is taken from all outcomes'}. Take a part of them, or round "
            "predictors to few values."
        )
    table = read_all(relation, needed.columns)
    why = f"'{term}' looks at whole columns" if term else "this family is sampled from rows in memory"
    if uncounted:
        why += f" ({uncounted})"
    reading = f"{relation.words}: needed columns collected, since {why}"
    return _in_memory(needed, table, like, missing, threads, reading)
