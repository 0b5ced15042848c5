"""Three routes from rows to statistics: arrays in memory, one query, or batches; which one was taken is said."""

from __future__ import annotations

from collections.abc import Iterator

from poolwise.design import Rows, build, needed_columns
from poolwise.design.encoding import encode_like
from poolwise.design.expressions import NotExpressible
from poolwise.design.needed import Needed, check_missing
from poolwise.design.plan import Plan, plan
from poolwise.errors import DataError, FormulaError
from poolwise.formula import parse
from poolwise.progress import Progress
from poolwise.sources.files import read_all
from poolwise.sources.frames import Table
from poolwise.sources.relation import Relation, relation_of
from poolwise.statistics.cells import from_cells
from poolwise.statistics.queries import check_outcome, holds_numbers
from poolwise.statistics.reduce import reduce_rows
from poolwise.statistics.scan import learn_scales, scan
from poolwise.statistics.stream import column_terms, open_stream, reduce_stream
from poolwise.statistics.sufficient import SufficientStatistics

LARGE = 1 << 20  # rows; a frame in memory of more than these goes through an engine, which is faster
_FITS = 1 << 28  # values; terms that need whole columns are evaluated in memory up to this size


def reduce_source(
    formula: str,
    source: Table | Relation,
    like: SufficientStatistics | None,
    missing: str,
    threads: int,
    progress: Progress,
) -> tuple[SufficientStatistics, Rows | None]:
    """Statistics of a source; and its encoded rows where they are in memory anyway."""
    check_missing(missing)
    needed = needed_columns(parse(formula))
    if like is not None and str(needed.formula) != str(like.design.formula):
        raise FormulaError(f"The formula is '{formula}', but like= was made for '{like.formula}'.")
    if isinstance(source, Table):
        if source.rows <= LARGE:
            return _in_memory(needed, source, like, missing, threads, "rows in memory")
        source = relation_of(source)
    numeric = holds_numbers(needed.values, source)
    check_outcome(needed, numeric)
    try:
        return _by_query(plan(needed, numeric), source, like, missing, progress), None
    except NotExpressible as obstacle:
        if terms := column_terms(needed):
            return _collected(needed, source, like, missing, threads, terms)
        return _by_batches(needed, source, like, missing, threads, progress, str(obstacle)), None


def stream_again(
    data: SufficientStatistics, relation: Table | Relation, missing: str, progress: Progress
) -> Iterator[Rows]:
    """The rows behind statistics once more, encoded in the same way, in batches."""
    assert isinstance(relation, Relation)
    needed = needed_columns(data.design.formula)
    yield from open_stream(needed, relation, data.encoding, missing, progress).batches(progress)


def _in_memory(
    needed: Needed, table: Table, like: SufficientStatistics | None, missing: str, threads: int, reading: str
) -> tuple[SufficientStatistics, Rows]:
    if like is None:
        design, encoding, rows = build(needed, table, missing=missing)
    else:
        design, encoding, rows = encode_like(like.design, like.encoding, needed, table, missing=missing)
    names = (*design.columns, design.response)
    products = reduce_rows(rows.values, rows.codes, names, design.levels, threads=threads)
    return SufficientStatistics(design, encoding, products, rows.dropped, reading), rows


def _by_query(
    planned: Plan, relation: Relation, like: SufficientStatistics | None, missing: str, progress: Progress
) -> SufficientStatistics:
    if like is None:
        states = learn_scales(planned, relation, progress)
    else:
        states = {key: state for spec in like.encoding.specs for key, state in spec.transform_state.items()}
    cells = scan(planned, relation, states, missing, progress)
    declared = {name: relation.declared_levels(name) for name in planned.category_columns}
    parts = from_cells(planned, cells, states, declared, like.encoding if like else None)
    passes = "" if cells.passes == 1 else ", and a second one about group means"
    reading = f"{relation.words}: one aggregate query by {relation.engine.name}{passes}; rows stayed there"
    return SufficientStatistics(*parts, cells.dropped, reading)


def _by_batches(
    needed: Needed,
    relation: Relation,
    like: SufficientStatistics | None,
    missing: str,
    threads: int,
    progress: Progress,
    obstacle: str,
) -> SufficientStatistics:
    stream = open_stream(needed, relation, like.encoding if like else None, missing, progress)
    products = reduce_stream(stream, threads, progress)
    reading = f"{relation.words}: in batches from {relation.engine.name}, since no query can express {obstacle}"
    return SufficientStatistics(stream.design, stream.encoding, products, stream.dropped, reading)


def _collected(
    needed: Needed,
    relation: Relation,
    like: SufficientStatistics | None,
    missing: str,
    threads: int,
    terms: list[str],
) -> tuple[SufficientStatistics, Rows]:
    rows = relation.count()
    if rows * len(needed.columns) > _FITS:
        raise DataError(
            f"'{terms[0]}' looks at whole columns, and {rows:,} rows are too many to hold in memory. Compute it where "
            "the data are, as a column of its own."
        )
    table = read_all(relation, needed.columns)
    reading = f"{relation.words}: needed columns collected, since '{terms[0]}' looks at whole columns"
    return _in_memory(needed, table, like, missing, threads, reading)
