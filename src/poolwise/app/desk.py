"""What one session works on: its table, the problem it has posed, and the fits it keeps. No session sees another's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwise.api.fitted_model import Fit
from poolwise.api.pooling import PoolingComparison
from poolwise.app import judgement, numbers
from poolwise.app.asked import Asked
from poolwise.app.clicks import clicks
from poolwise.app.columns import corrected, described, formula_for
from poolwise.app.examples import EXAMPLES
from poolwise.app.problem import KEPT, LIVE, Problem, fitted, plain_poolings, pose, widths_without_groups
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.output.report.words import reproduction
from poolwise.support.deadline import Deadline
from poolwise.support.errors import DataError, suggest
from poolwise.support.threads import limited

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
    seconds : of one answer.
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
    problem, posed : the last formula on the last table, and which that was.
    kept : the fits that downloads, explanations and pins are of.
    pinned : fits to compare, by name.
    plain : by number of draws, the last fits of complete and of no pooling, and what they are of.
    """

    limits: Limits
    uploaded: pd.DataFrame | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    tables: int = 0
    problem: Problem | None = None
    posed: tuple[object, ...] = ()
    kept: dict[Pooling, Fit] = field(default_factory=dict)
    comparison: PoolingComparison | Comparison | None = None
    pinned: dict[str, Fit] = field(default_factory=dict)
    plain: dict[int, tuple[object, dict[Pooling, Posterior]]] = field(default_factory=dict)

    def take(self, path: Path, name: str) -> None:
        """Read an uploaded file in the place of the table that was there.

        Raises
        ------
        DataError, FileError : for what is not a table, or too large; the table that was there stays.
        """
        frame = read_table(path, name, self.limits)
        described(frame)
        self.uploaded, self.kinds, self.tables = frame, {}, self.tables + 1

    def correct(self, kinds: Mapping[str, str]) -> None:
        """Say what columns of the uploaded table are."""
        if self.uploaded is None:
            raise DataError("Only the columns of a table of your own can be corrected.")
        both = self.kinds | dict(kinds)
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

    def described(self, source: str) -> dict[str, Any]:
        """Columns, first rows, and a formula to begin with."""
        frame = self.table(source)
        columns = described(frame)
        example = EXAMPLES.get(source)
        formula, family = (example.formula, example.family) if example else formula_for(columns, len(frame))
        return {
            "source": source,
            "rows": len(frame),
            "about": example.about if example else f"{len(frame):,} rows, {len(columns)} columns.",
            "formula": formula,
            "family": family,
            "columns": [
                {"name": c.name, "kind": c.kind, "values": c.values, "missing": c.missing, "groups": c.groups,
                 "example": c.example, "family": c.family}
                for c in columns
            ],
            "preview": [[_shown(value) for value in line] for line in frame.head(_PREVIEW).itertuples(index=False)],
        }  # fmt: skip

    def answered(self, asked: Asked) -> dict[str, Any]:
        """What follows a slider: numbers of the fits, by few draws."""
        threads = self.limits.threads
        with limited(Deadline(self.limits.seconds)):
            problem = self._problem(asked)
            fits = self._plain(problem, asked, LIVE) if problem.cheap else {}
            model = problem.widened(asked.widths)
            fits |= {model.pooling: fitted(model, LIVE, threads=threads)}
        return {
            "number": asked.number,
            **numbers.live(problem, fits, asked.widths),
            "clicks": clicks(problem.model.design.formula),
            "link": asked.link,
            "dropped": problem.model.data.dropped,
            "rows": problem.model.statistics.rows,
            "separate": Pooling.SEPARATE in fits or problem.plain is None,
        }

    def judgement(self, asked: Asked, withdrawn: threading.Event) -> list[Callable[[], dict[str, Any]]]:
        """What is done once a slider rests, step by step: all draws and words, checks, and the verdict.

        Each step gives what is then known; all end when `withdrawn` is set.
        """

        def drawn() -> dict[str, Any]:
            problem = self._problem(asked)
            model = problem.widened(asked.widths)
            partial = fitted(model, KEPT, threads=self.limits.threads)
            posteriors = self._plain(problem, asked, KEPT) | {model.pooling: partial}
            self.kept, self.comparison = judgement.fits_of(problem, posteriors), None
            found = numbers.live(problem, posteriors, asked.widths) | judgement.words(self.fit)
            return found | {"lines": judgement.lines(problem, self.kept, asked.groups)}

        def checked() -> dict[str, Any]:
            return judgement.checked(self.fit)

        def compared() -> dict[str, Any]:
            self.comparison = judgement.compared(self.kept, threads=self.limits.threads)
            return judgement.verdict(self.comparison)

        def step(task: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
            def within() -> dict[str, Any]:
                with limited(WithdrawnOr(self.limits.seconds, withdrawn=withdrawn)):
                    return {"number": asked.number, **task()}

            return within

        return [step(task) for task in (drawn, compared, checked)]

    def explained(self, group: str, asked: Asked) -> dict[str, Any]:
        """Where a group's estimate comes from, and its line."""
        fit, problem = self.fit, self._problem(asked)
        factor = problem.factor
        if factor is None:
            raise DataError("This model has no groups.")
        return {
            "group": group,
            "text": fit.explain(group, factor.name).text,
            "lines": judgement.lines(problem, self.kept, asked.groups),
        }

    def pin(self) -> dict[str, Any]:
        """Keep the fit beside those that were kept, and compare all by what they predict."""
        fit = self.fit
        if len(self.pinned) >= _MOST_PINNED:
            self.pinned.pop(next(iter(self.pinned)))
        name = fit.formula if not fit.result.model.given else f"{fit.formula}, priors moved"
        name = name if name not in self.pinned else f"{name} ({len(self.pinned) + 1})"
        self.pinned[name] = fit
        if len(self.pinned) < 2:
            return {
                "columns": ["model"],
                "lines": [[name]],
                "said": "Change the model and pin it too: then both are compared.",
            }
        try:
            found = compare_records(
                {name: one.loo() for name, one in self.pinned.items()},
                {name: one.outcome.log_evidence for name, one in self.pinned.items()},
            )
        except DataError:
            self.pinned = {name: fit}
            return {
                "columns": ["model"],
                "lines": [[name]],
                "said": "Fits of other rows were let go: fits of the same rows can be compared.",
            }
        table = found.table.reset_index()
        lines = [[str(line[0]), *numbers.rounded(line[1:])] for line in table.values.tolist()]
        return {"columns": [str(column) for column in table.columns], "lines": lines, "said": found.verdict}

    def flips(self, term: str) -> list[str]:
        """Which conclusions depend on the width of a prior, and where they change."""
        return self.fit.sensitivity(term).conclusions

    @property
    def fit(self) -> Fit:
        """The fit that pools partially.

        Raises
        ------
        DataError : before there is one.
        """
        if not self.kept:
            raise DataError("The fit is still being made: try again in a moment.")
        return list(self.kept.values())[-1]

    def code(self, system: str) -> str:
        """The fit as a script."""
        return reproduction(self.fit.result) if system == "poolwise" else self.fit.as_code(system)

    def report(self, path: Path) -> Path:
        """The report as a page."""
        return self.comparison.report(path) if isinstance(self.comparison, PoolingComparison) else self.fit.report(path)

    def _plain(self, problem: Problem, asked: Asked, draws: int) -> dict[Pooling, Posterior]:
        """The regressions without pooling and with complete pooling, which most sliders leave as they were."""
        widths = widths_without_groups(problem, asked.widths)
        key = (problem, tuple(sorted(widths.items())))
        known = self.plain.get(draws)
        if known is None or known[0] != key:
            known = key, plain_poolings(problem, widths, draws, threads=self.limits.threads)
            self.plain[draws] = known
        return dict(known[1])

    def _problem(self, asked: Asked) -> Problem:
        posed = (asked.source, self.tables if asked.source == UPLOAD else 0, asked.formula, asked.family)
        if self.problem is None or posed != self.posed:
            frame = self.table(asked.source)
            problem = pose(asked.formulas, asked.family, frame, threads=self.limits.threads)
            self.problem, self.posed = problem, posed
        return self.problem


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


def _shown(value: object) -> str:
    """A value in the preview."""
    return "" if value is None or value != value else f"{value:.5g}" if isinstance(value, float) else str(value)[:40]
