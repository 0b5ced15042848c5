"""What one session works on: its table, the problem it has posed, and the fits it keeps. No session sees another's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from poolwise.api.fitted_model import Fit
from poolwise.api.pooling import PoolingComparison
from poolwise.app import judgement
from poolwise.app.asked import FILE, UPLOAD, Asked
from poolwise.app.clicks import clicks
from poolwise.app.columns import corrected, described, formula_for
from poolwise.app.examples import EXAMPLES
from poolwise.app.folder import all_rows, first_rows
from poolwise.app.limits import Limits
from poolwise.app.maps import is_map
from poolwise.app.shapes import TABLE, AreaMap, area_map, read_shapes
from poolwise.app.uploads import read_table
from poolwise.app.workers import Workers
from poolwise.design.levels import label_text
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.inference.posterior import Pooling
from poolwise.inference.problem import KEPT, PlainPoolings, Problem, fitted, pose
from poolwise.output.live import numbers
from poolwise.output.live.answer import quick_answer
from poolwise.output.live.areas import areas
from poolwise.output.live.lines import lines
from poolwise.output.report.words import reproduction
from poolwise.support.deadline import Deadline
from poolwise.support.errors import DataError, suggest
from poolwise.support.threads import limited, look

if TYPE_CHECKING:
    import pandas as pd

_PREVIEW = 6  # rows
_MOST_PINNED = 6


@dataclass(frozen=True, slots=True)
class WithdrawnOr(Deadline):
    """A deadline that is over at once when nobody waits for the answer any more."""

    withdrawn: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return 0.0 if self.withdrawn.is_set() else super(WithdrawnOr, self).left


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """A formula on a table.

    Attributes
    ----------
    key : what it was made of.
    word : says as much to the processes that answer; no other table has it.
    beside : the problem, and its regressions without pooling and with complete pooling.
    """

    key: tuple[object, ...]
    word: str
    beside: PlainPoolings

    @property
    def problem(self) -> Problem:
        """The problem."""
        return self.beside.problem


@dataclass(slots=True, eq=False)
class Desk:
    """The state of one session; its methods run in threads, one at a time but for steps of a judgement.

    Attributes
    ----------
    limits : of the session.
    uploaded : the table that was dropped, None before; `kinds` are corrections of its columns.
    tables : how many tables and maps there have been, which tells one from the next.
    shapes : the map that was dropped beside it.
    posed : the last formula on the last table.
    asked : of the last answer, the problem and the widths of its priors.
    kept : the fits that downloads, explanations and pins are of, and what they answer.
    comparison : of these.
    pinned : fits to compare, by name.
    workers : processes that answer, None where this one does.
    folder : files of the server that every session may fit, by name.
    """

    limits: Limits
    uploaded: pd.DataFrame | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    tables: int = 0
    shapes: AreaMap | None = None
    posed: Posed | None = None
    asked: tuple[object, ...] = ()
    kept: tuple[tuple[object, ...], dict[Pooling, Fit]] | None = None
    comparison: PoolingComparison | Comparison | None = None
    pinned: dict[str, Fit] = field(default_factory=dict)
    workers: Workers | None = None
    folder: Mapping[str, Path] = field(default_factory=dict)

    def take(self, path: Path, name: str) -> None:
        """Read an uploaded file in the place of the table that was there, or a map beside it.

        Raises
        ------
        DataError, FileError : for what is not a table, or too large; the table that was there stays.
        """
        if is_map(name):
            if self.uploaded is None:
                raise DataError("Drop the table first, and then its map: the shapes are matched with its labels.")
            self.shapes, self.tables = read_shapes(path, self.uploaded), self.tables + 1
            return
        frame = read_table(path, name, self.limits)
        described(frame)
        self.uploaded, self.kinds, self.shapes, self.tables = frame, {}, None, self.tables + 1

    def correct(self, kinds: object) -> None:
        """Say what columns of the uploaded table are, `{name: "number" or "category"}`."""
        if self.uploaded is None:
            raise DataError("Only the columns of a table of your own can be corrected.")
        if not isinstance(kinds, Mapping):
            raise DataError("The page sent something else than kinds of columns.")
        both = self.kinds | {str(name): str(kind) for name, kind in kinds.items()}
        corrected(self.uploaded, both)
        self.kinds, self.tables = both, self.tables + 1

    def table(self, source: str) -> pd.DataFrame:
        """The table of a source.

        Raises
        ------
        DataError : for a source that is not there.
        """
        if source == UPLOAD:
            if self.uploaded is None:
                raise DataError("No file has been dropped in this session yet: drop it again, or choose an example.")
            return corrected(self.uploaded, self.kinds)
        if (path := self._file(source)) is not None:
            return first_rows(path).frame
        if source not in EXAMPLES:
            raise DataError(f"There is no example '{source}'. {suggest(source, EXAMPLES)}")
        return EXAMPLES[source].load()

    def _file(self, source: str) -> Path | None:
        """The file of the server's folder that a source names."""
        return self.folder.get(source.removeprefix(FILE)) if source.startswith(FILE) else None

    def area_map(self, source: str) -> AreaMap | None:
        """The map of a source, where it has one."""
        if source == UPLOAD:
            return self.shapes
        return example_map(source) if source in EXAMPLES else None

    def described(self, source: str) -> dict[str, Any]:
        """Columns, first rows, and a formula to begin with."""
        frame = self.table(source)
        columns = described(frame)
        example, shapes = EXAMPLES.get(source), self.area_map(source)
        formula, family = (example.formula, example.family) if example else formula_for(columns, len(frame))
        return {
            "source": source,
            "rows": len(frame),
            "about": example.about if example else self._about(source, frame),
            "formula": formula,
            "family": family,
            "map": None if shapes is None else shapes.said(),
            "columns": [asdict(column) for column in columns],
            "preview": [[_shown(value) for value in line] for line in frame.head(_PREVIEW).itertuples(index=False)],
        }

    def _about(self, source: str, frame: pd.DataFrame) -> str:
        path, size = self._file(source), f"{len(frame):,} rows, {len(frame.columns)} columns."
        if path is None or first_rows(path).whole:
            return size
        return f"A large file: its first {size} All rows are fitted, where they lie."

    def answered(self, asked: Asked) -> dict[str, Any]:
        """What follows a slider: numbers of the fits, by few draws."""
        posed = self._posed(asked)
        problem = posed.problem
        self.asked = _key(problem, asked)
        if self.workers is not None and problem.cheap:
            found = self.workers.answer(posed.word, problem, asked.widths, self.limits.seconds)
        else:
            found = quick_answer(posed.beside, asked.widths, threads=self.limits.threads)
        return {
            "number": asked.number,
            **found,
            "clicks": clicks(problem.model.design.formula),
            "link": asked.link,
            "dropped": problem.model.data.dropped,
            "rows": problem.model.statistics.rows,
        }

    def judgement(self, asked: Asked, withdrawn: threading.Event) -> list[Callable[[], dict[str, Any]]]:
        """What is done once a slider rests, step by step: all draws and words, the verdict, and checks.

        Each step gives what is then known; all end when `withdrawn` is set.
        """
        mine: dict[Pooling, Fit] = {}

        def drawn() -> dict[str, Any]:
            posed = self._posed(asked)
            problem, model = posed.problem, posed.problem.widened(asked.widths)
            posteriors = posed.beside.of(asked.widths, KEPT, threads=self.limits.threads)
            posteriors[model.pooling] = fitted(model, KEPT, threads=self.limits.threads)
            mine.update(judgement.fits_of(problem, posteriors))
            found = numbers.live(problem, posteriors, asked.widths) | judgement.words(mine[model.pooling])
            found |= {"lines": lines(problem, posteriors, asked.groups)}
            if (shapes := self.area_map(asked.source)) is not None:
                found |= {"areas": areas(problem, posteriors[model.pooling], shapes.by)}
            look()  # what was withdrawn meanwhile is not kept
            self.asked = _key(problem, asked)
            self.kept, self.comparison = (self.asked, mine), None
            return found

        def compared() -> dict[str, Any]:
            found = judgement.compared(mine, threads=self.limits.threads)
            look()
            if self.kept is not None and self.kept[1] is mine:
                self.comparison = found
            return judgement.verdict(found)

        def checked() -> dict[str, Any]:
            return judgement.checked(list(mine.values())[-1])

        def step(task: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
            def within() -> dict[str, Any]:
                with limited(WithdrawnOr(self.limits.seconds, withdrawn=withdrawn)):
                    look()
                    return {"number": asked.number, **task()}

            return within

        return [step(task) for task in (drawn, compared, checked)]

    def explained(self, group: str, asked: Asked) -> dict[str, Any]:
        """Where a group's estimate comes from, and its line."""
        problem = self._posed(asked).problem
        fits = self._fits(_key(problem, asked))
        factor = problem.factor
        if factor is None:
            raise DataError("This model has no groups.")
        return {
            "number": asked.number,
            "group": group,
            "text": list(fits.values())[-1].explain(group, factor.name).text,
            "lines": lines(problem, {kind: fit.result for kind, fit in fits.items()}, asked.groups),
        }

    def pin(self) -> dict[str, Any]:
        """Keep the fit beside those that were kept, and compare all by what they predict."""
        fit = self.fit
        if len(self.pinned) >= _MOST_PINNED:
            self.pinned.pop(next(iter(self.pinned)))
        plain = fit.formula if not fit.result.model.given else f"{fit.formula}, priors moved"
        name = unused(plain, self.pinned)
        self.pinned[name] = fit
        alone = {"columns": ["model"], "lines": [[name]]}
        if len(self.pinned) < 2:
            return alone | {"said": "Change the model and pin it too: then both are compared."}
        try:
            found = compare_records(
                {name: one.loo() for name, one in self.pinned.items()},
                {name: one.outcome.log_evidence for name, one in self.pinned.items()},
            )
        except DataError:
            self.pinned = {name: fit}
            return alone | {"said": "Fits of other rows were let go: fits of the same rows can be compared."}
        table = found.table.reset_index()
        lines = [[str(line[0]), *numbers.rounded(line[1:])] for line in table.values.tolist()]
        return {"columns": [str(column) for column in table.columns], "lines": lines, "said": found.verdict}

    def flips(self, term: str) -> list[str]:
        """Which conclusions depend on the width of a prior, and where they change."""
        return self.fit.sensitivity(term).conclusions

    @property
    def fit(self) -> Fit:
        """The fit that pools partially, of the question that was asked last.

        Raises
        ------
        DataError : before there is one.
        """
        return list(self._fits(self.asked).values())[-1]

    def code(self, system: str) -> str:
        """The fit as a script."""
        return reproduction(self.fit.result) if system == "poolwise" else self.fit.as_code(system)

    def report(self, path: Path) -> Path:
        """The report as a page."""
        fit, comparison = self.fit, self.comparison
        return comparison.report(path) if isinstance(comparison, PoolingComparison) else fit.report(path)

    def _fits(self, key: tuple[object, ...]) -> dict[Pooling, Fit]:
        if self.kept is None or self.kept[0] != key:
            raise DataError("The fit is still being made: try again in a moment.")
        return self.kept[1]

    def _posed(self, asked: Asked) -> Posed:
        """The problem that a question poses, read anew where it is another than the last one."""
        own, path = asked.source == UPLOAD, self._file(asked.source)
        version = self.tables if own else 0 if path is None else first_rows(path).version
        key = (asked.source, version, asked.formula, asked.family)
        posed = self.posed
        if posed is None or posed.key != key:
            shapes = self.area_map(asked.source)
            tables = {} if shapes is None or shapes.borders is None else {TABLE: shapes.borders}
            frame = self.table(asked.source)
            rows = None if path is None else all_rows(path)
            problem = pose(asked.formulas, asked.family, frame, rows, tables=tables, threads=self.limits.threads)
            posed = self.posed = Posed(key, token_urlsafe() if own else repr(key), PlainPoolings(problem))
        return posed


@cache
def example_map(name: str) -> AreaMap | None:
    """The map of an example."""
    example = EXAMPLES[name]
    return None if example.shapes is None else area_map(example.shapes(), example.load())


def unused(name: str, known: Container[str]) -> str:
    """A name that is not known yet: the name itself, or with a number."""
    return name if name not in known else next(f"{name} ({k})" for k in count(2) if f"{name} ({k})" not in known)


def _key(problem: Problem, asked: Asked) -> tuple[object, ...]:
    """What fits are of: a problem, and the widths of its priors."""
    return problem, tuple(sorted((name, times) for name, times in asked.widths.items() if times != 1.0))


def _shown(value: Any) -> str:
    """A value in the preview."""
    import pandas as pd

    if pd.isna(value):
        return ""
    return f"{value:.5g}" if isinstance(value, float) and not value.is_integer() else label_text(value)[:40]
