"""What one session works on: its table, the problem it has posed, and the fits it keeps. No session sees another's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwise.api.fitted_model import Fit
from poolwise.api.pooling import PoolingComparison
from poolwise.app import judgement
from poolwise.app.asked import Asked
from poolwise.app.clicks import clicks
from poolwise.app.columns import corrected, described, formula_for
from poolwise.app.examples import EXAMPLES
from poolwise.app.shapes import TABLE, AreaMap, area_map, read_shapes
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.inference.problem import KEPT, LIVE, Problem, fitted, plain_poolings, pose, widths_without_groups
from poolwise.output.live import numbers
from poolwise.output.live.areas import areas
from poolwise.output.live.lines import lines
from poolwise.output.report.words import reproduction
from poolwise.support.deadline import Deadline
from poolwise.support.errors import DataError, suggest
from poolwise.support.threads import limited, look

if TYPE_CHECKING:
    import pandas as pd

UPLOAD = "upload"
_PREVIEW = 6  # rows
_MOST_PINNED = 6


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may take.

    Attributes
    ----------
    megabytes, rows : of an upload.
    seconds : of one answer, and of all else that is asked.
    threads : of one answer.
    """

    megabytes: float = 50.0
    rows: int = 2_000_000
    seconds: float = 120.0
    threads: int = 2


@dataclass(frozen=True, slots=True)
class WithdrawnOr(Deadline):
    """A deadline that is over at once when nobody waits for the answer any more."""

    withdrawn: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return 0.0 if self.withdrawn.is_set() else super(WithdrawnOr, self).left


@dataclass(slots=True, eq=False)
class Desk:
    """The state of one session; its methods run in threads, one at a time but for steps of a judgement.

    Attributes
    ----------
    limits : of the session.
    uploaded : the table that was dropped, None before; `kinds` are corrections of its columns.
    tables : how many tables and maps there have been, which tells one from the next.
    shapes : the map that was dropped beside it.
    posed : the last formula on the last table, and which that was.
    asked : of the last answer, the problem and the widths of its priors.
    kept : the fits that downloads, explanations and pins are of, and what they answer.
    comparison : of these.
    pinned : fits to compare, by name.
    plain : by number of draws, the last fits of complete and of no pooling, and what they are of.
    """

    limits: Limits
    uploaded: pd.DataFrame | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    tables: int = 0
    shapes: AreaMap | None = None
    posed: tuple[tuple[object, ...], Problem] | None = None
    asked: tuple[object, ...] = ()
    kept: tuple[tuple[object, ...], dict[Pooling, Fit]] | None = None
    comparison: PoolingComparison | Comparison | None = None
    pinned: dict[str, Fit] = field(default_factory=dict)
    plain: dict[int, tuple[object, dict[Pooling, Posterior]]] = field(default_factory=dict)

    def take(self, path: Path, name: str) -> None:
        """Read an uploaded file in the place of the table that was there, or a map beside it.

        Raises
        ------
        DataError, FileError : for what is not a table, or too large; the table that was there stays.
        """
        if Path(name).suffix.lower() in (".geojson", ".json"):
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
        if source not in EXAMPLES:
            raise DataError(f"There is no example '{source}'. {suggest(source, EXAMPLES)}")
        return EXAMPLES[source].load()

    def area_map(self, source: str) -> AreaMap | None:
        """The map of a source, where it has one."""
        return self.shapes if source == UPLOAD else example_map(source)

    def described(self, source: str) -> dict[str, Any]:
        """Columns, first rows, and a formula to begin with."""
        frame = self.table(source)
        columns = described(frame)
        example, shapes = EXAMPLES.get(source), self.area_map(source)
        formula, family = (example.formula, example.family) if example else formula_for(columns, len(frame))
        return {
            "source": source,
            "rows": len(frame),
            "about": example.about if example else f"{len(frame):,} rows, {len(columns)} columns.",
            "formula": formula,
            "family": family,
            "map": None if shapes is None else shapes.said(),
            "columns": [asdict(column) for column in columns],
            "preview": [[_shown(value) for value in line] for line in frame.head(_PREVIEW).itertuples(index=False)],
        }

    def answered(self, asked: Asked) -> dict[str, Any]:
        """What follows a slider: numbers of the fits, by few draws.

        Regressions of sampled families without pooling are those of the last judgement, where they are of the same
        question.
        """
        problem, threads = self._problem(asked), self.limits.threads
        self.asked = _key(problem, asked)
        fits = self._plain(problem, asked, LIVE) if problem.cheap else self._known_plain(problem, asked, KEPT) or {}
        model = problem.widened(asked.widths)
        fits |= {model.pooling: fitted(model, LIVE, threads=threads)}
        return {
            "number": asked.number,
            **numbers.live(problem, fits, asked.widths),
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
            problem = self._problem(asked)
            model = problem.widened(asked.widths)
            posteriors = dict(self._plain(problem, asked, KEPT))
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
        problem = self._problem(asked)
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

    def _plain(self, problem: Problem, asked: Asked, draws: int) -> dict[Pooling, Posterior]:
        """The regressions without pooling and with complete pooling, which most sliders leave as they were."""
        known = self._known_plain(problem, asked, draws)
        if known is None:
            widths = widths_without_groups(problem, asked.widths)
            known = plain_poolings(problem, widths, draws, threads=self.limits.threads)
            self.plain[draws] = _key(problem, replace(asked, widths=widths)), known
        return dict(known)

    def _known_plain(self, problem: Problem, asked: Asked, draws: int) -> dict[Pooling, Posterior] | None:
        """The same where they are known."""
        key = _key(problem, replace(asked, widths=widths_without_groups(problem, asked.widths)))
        known = self.plain.get(draws)
        return dict(known[1]) if known is not None and known[0] == key else None

    def _problem(self, asked: Asked) -> Problem:
        """The problem that a question poses, read anew where it is another than the last one."""
        key = (asked.source, self.tables if asked.source == UPLOAD else 0, asked.formula, asked.family)
        posed = self.posed
        if posed is None or posed[0] != key:
            frame = self.table(asked.source)
            shapes = self.area_map(asked.source)
            tables = {} if shapes is None or shapes.borders is None else {TABLE: shapes.borders}
            posed = key, pose(asked.formulas, asked.family, frame, tables=tables, threads=self.limits.threads)
            self.posed = posed
        return posed[1]


@cache
def example_map(name: str) -> AreaMap | None:
    """The map of an example."""
    example = EXAMPLES.get(name)
    return None if example is None or example.shapes is None else area_map(example.shapes(), example.load())


def unused(name: str, known: Container[str]) -> str:
    """A name that is not known yet: the name itself, or with a number."""
    return name if name not in known else next(f"{name} ({k})" for k in count(2) if f"{name} ({k})" not in known)


def _key(problem: Problem, asked: Asked) -> tuple[object, ...]:
    """What fits are of: a problem, and the widths of its priors."""
    return problem, tuple(sorted((name, times) for name, times in asked.widths.items() if times != 1.0))


def read_table(path: Path, name: str, limits: Limits) -> pd.DataFrame:
    """A CSV or Parquet file as a table.

    Raises
    ------
    DataError : for another kind of file, for one that cannot be read, and for one with too many rows.
    """
    import pandas as pd

    ending = Path(name).suffix.lower()
    if path.stat().st_size > limits.megabytes * 1e6:
        raise DataError(f"The file has {path.stat().st_size / 1e6:.0f} MB; {limits.megabytes:g} MB are the most here.")
    if ending not in (".csv", ".tsv", ".txt", ".parquet"):
        raise DataError(f"'{name}' is no CSV and no Parquet file by its ending.")
    try:
        if ending == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(
                path, sep=None if ending != ".csv" else ",", engine="python" if ending != ".csv" else "c"
            )
    except Exception as error:  # readers raise errors of many libraries
        raise DataError(f"'{name}' could not be read as a table: {str(error).splitlines()[0][:200]}") from error
    if len(frame) > limits.rows:
        raise DataError(f"The table has {len(frame):,} rows; {limits.rows:,} are the most here.")
    frame.columns = [str(column) for column in frame.columns]
    return frame


def _shown(value: Any) -> str:
    """A value in the preview."""
    import pandas as pd

    return "" if pd.isna(value) else f"{value:.5g}" if isinstance(value, float) else str(value)[:40]
