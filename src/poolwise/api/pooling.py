"""Complete, no and partial pooling of one regression, fitted and judged together."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.api.fitted_model import Fit
from poolwise.api.fitting import finish
from poolwise.design.structures import terms
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.evaluate.loo.kfold import Folds
from poolwise.evaluate.rmsd import cross_validated, in_sample
from poolwise.evaluate.scores import Scores, is_binary, mean_log_score, sampled_in_sample
from poolwise.families import Family, family_of
from poolwise.formula import Formula, Functions, parse
from poolwise.formula.scan import blanked
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Pooling
from poolwise.inference.prepare import prepare
from poolwise.inference.tallies import counted_rows, untallied
from poolwise.inference.unpooled import completely_pooled, not_pooled
from poolwise.samplers import SamplerSettings
from poolwise.samplers.settings import sampler_settings
from poolwise.sources import as_source
from poolwise.statistics import CrossProducts, Statistics
from poolwise.statistics.routes import stream_again
from poolwise.support.atomic_write import check_writable
from poolwise.support.digits import apart, significant
from poolwise.support.errors import DataError, FormulaError
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import check_threads

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.output.plots.accessor import PoolingPlots
    from poolwise.priors import Prior

_REFIT_DRAWS = 250  # a posterior mean needs few draws: its Monte Carlo error is a thirtieth of the posterior sd
_SMALL = 0.1  # numbers below which three decimals tell too little
_MOST_ROWS = 100_000  # of a normal fit that are scored one by one


def compare_pooling(
    formula: str | Sequence[str],
    *,
    by: str,
    data: Any,
    family: str | Family = "gaussian",
    link: str | None = None,
    priors: Mapping[str, Prior] | None = None,
    correlated: bool = False,
    folds: int = 10,
    draws: int = 1000,
    chains: int = 4,
    seed: int | None = None,
    functions: Functions | None = None,
    missing: str = "drop",
    threads: int | None = None,
    progress: Progress = silent,
) -> PoolingComparison:
    """Fit one regression three times: all rows together, each group alone, and partially pooled; and judge the three.

    Without pooling each group is a regression of its own rows, with the priors of the regression of all rows together;
    dispersions and other parameters are its own too. Partially pooled groups share these.

    Parameters
    ----------
    formula : the regression without group terms, such as `"log_radon ~ floor"` or `"successes | trials(n) ~ x"`. All
        terms of the mean vary by group. Formulas of other parameters, `["y ~ x", "zi ~ x"]`, have no group terms
        either.
    by : the grouping column.
    data, family, link, priors, draws, chains, seed, functions, missing, threads : as in `fit`.
    correlated : whether a group's effects are correlated in the partially pooled fit.
    folds : of the cross-validation; 0 leaves all scores of rows that were left out away.

    Raises
    ------
    FormulaError, DataError, PriorError : as `fit` does.
    """
    if not isinstance(by, str):
        raise DataError(f"by must be the name of the grouping column, not {by!r}.")
    source, family = None if isinstance(data, Statistics) else as_source(data), family_of(family)
    if source is not None:
        formula, source = untallied(formula, source, family, None, missing)
    parsed = parse(formula, functions, None if source is None else source.names, [by])
    _check_formula(parsed, by, counted=counted_rows(parsed, source) is not None)
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 0 or folds == 1:
        raise DataError(f"folds must be 0 or a whole number of at least 2, not {folds!r}.")
    settings = sampler_settings(draws, chains, seed, "auto", progress)
    workers = check_threads(threads)
    if source is None and folds:
        raise DataError("Statistics have no rows to leave out in turn; say folds=0.")
    partial, rows = prepare(
        _with_groups(parsed, by, correlated),
        source or data,
        priors=priors,
        family=family,
        link=link,
        functions=functions,
        missing=missing,
        threads=workers,
        progress=progress,
    )
    if folds > partial.statistics.rows:
        raise DataError(f"There are only {partial.statistics.rows} rows; {folds} folds need at least as many.")
    together = None if rows is None else replace(rows, codes=np.zeros_like(rows.codes))
    models = {
        Pooling.COMPLETE: (completely_pooled(partial, parsed, together), together),
        Pooling.SEPARATE: (not_pooled(partial, parsed, rows), rows),
        Pooling.PARTIAL: (partial, rows),
    }
    fits = {}
    for kind, (model, mine) in models.items():
        progress(f"fitting: {kind.value}", 0.0)
        fits[kind] = finish(infer(model, settings, threads=workers), mine, source, strict=False)
    return judged(fits, int(folds), settings, missing=missing, threads=workers)


def judged(
    fits: Mapping[Pooling, Fit], folds: int, settings: SamplerSettings, *, missing: str = "drop", threads: int
) -> PoolingComparison:
    """Three fits of one regression with their scores in sample and of rows left out."""
    refit, progress = replace(settings, draws=_REFIT_DRAWS), settings.progress
    if fits[Pooling.PARTIAL].result.model.sampled:
        scores = _judged_by_rows(fits, folds, refit, progress)
    else:
        scores = _judged_by_statistics(fits, folds, refit, missing, threads, progress)
    return PoolingComparison(fits[Pooling.COMPLETE], fits[Pooling.SEPARATE], fits[Pooling.PARTIAL], scores)


def _check_formula(parsed: Formula, by: str, *, counted: bool) -> None:
    """Refuse group terms, which are added here, and weights that are not counts of categories."""
    if parsed.bars:
        raise FormulaError(
            f"compare_pooling adds the group term by itself: leave '{parsed.bars[0]}' out and say by='{by}'."
        )
    for name, further in parsed.further:
        if further.bars:
            raise FormulaError(f"compare_pooling has no group terms of '{name}': write '{name} ~ {further.common}'.")
    if called := [name for name in terms() if re.search(rf"(?<![\w.]){name}\s*\(", blanked(parsed.common))]:
        raise FormulaError(f"compare_pooling lets every term vary by group, which {called[0]}(...) cannot here.")
    if parsed.weights is not None and not counted:
        raise FormulaError("compare_pooling takes no weights: leave weights(...) out of the formula.")


def _with_groups(parsed: Formula, by: str, correlated: bool) -> str | list[str]:
    """The formula with all terms of the mean varying by group."""
    quoted = by if by.isidentifier() else f"`{by}`"
    known = "".join([f" + cs({term})" for term in parsed.specific] + [f" + offset({text})" for text in parsed.offsets])
    bar = f"({parsed.common} {'|' if correlated else '||'} {quoted})"
    left = f"{parsed.left} | weights({parsed.weights})" if parsed.weights else parsed.left  # counts of categories
    mean = f"{left} ~ {parsed.common} + {bar}{known}"
    more = [further.text for _, further in parsed.further] + [f"{name} = {value!r}" for name, value in parsed.fixed]
    return [mean, *more] if more else mean


def _judged_by_statistics(
    fits: Mapping[Pooling, Fit], folds: int, refit: SamplerSettings, missing: str, threads: int, progress: Progress
) -> dict[Pooling, Scores]:
    """Scores of normal fits: of rows in memory one by one, of others from statistics, without log scores."""
    partial = fits[Pooling.PARTIAL]
    inside = {kind: in_sample(one.result) for kind, one in fits.items()}
    if not folds or partial.source is None:
        return {kind: Scores(value, math.nan, 0) for kind, value in inside.items()}
    parts: list[CrossProducts] = []
    scores = {}
    for kind, one in fits.items():
        if _scored_by_row(one):
            scores[kind] = _left_out(one, inside[kind], folds, refit, progress)
            continue
        if not parts:
            data, rows = partial.result.model.data, partial.rows
            batches = stream_again(data, partial.source, missing, progress) if rows is None else iter([rows])
            parts = Folds(folds, refit.entropy).statistics(partial.result.model, batches)
        outside = cross_validated(one.result.model, parts, refit, threads=threads, progress=progress)
        scores[kind] = Scores(inside[kind], outside, folds)
    return scores


def _scored_by_row(fit: Fit) -> bool:
    """Whether rows of a normal fit are at hand, few, and of a model that closed forms leave them out of."""
    model = fit.result.model
    closed = model.pooling is not Pooling.SEPARATE or not model.priors.layout.hyperparameters
    return closed and fit.rows is not None and len(fit.rows.codes) <= _MOST_ROWS


def _judged_by_rows(
    fits: Mapping[Pooling, Fit], folds: int, refit: SamplerSettings, progress: Progress
) -> dict[Pooling, Scores]:
    """Scores of fits of a family that is sampled, from its rows, which are in memory."""
    scores = {}
    for kind, one in fits.items():
        rows = one.behind.encoded()
        inside = sampled_in_sample(one.result, rows)
        found = _left_out(one, inside, folds, refit, progress) if folds else Scores(inside, math.nan, 0)
        scores[kind] = replace(found, binary=is_binary(rows))
    return scores


def _left_out(fit: Fit, inside: float, folds: int, refit: SamplerSettings, progress: Progress) -> Scores:
    """Scores of rows left out by folds and one by one."""

    def said(step: str, share: float) -> None:
        progress(f"{step}, {fit.result.model.pooling.value}", share)

    by_folds = fit.kfold(folds, draws=refit.draws, seed=refit.entropy, progress=said)
    loo = fit.loo(progress=said)
    if by_folds.rmsd is None:  # as of categories without an order
        return Scores(math.nan, math.nan, folds, mean_log_score(by_folds), mean_log_score(loo))
    return Scores(inside, by_folds.rmsd, folds, mean_log_score(by_folds), mean_log_score(loo))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PoolingComparison:
    """Three fits of one regression.

    Attributes
    ----------
    complete, separate, partial : the fits.
    scores : of each, how well it predicts.
    """

    complete: Fit
    separate: Fit
    partial: Fit
    scores: Mapping[Pooling, Scores]

    @property
    def table(self) -> pd.DataFrame:
        """One row for each model.

        Columns: `parameters`; RMSD of outcomes from posterior mean predictions in sample, `rmsd_in_sample`, and of rows
        left out by folds, `rmsd_10_fold` (where outcomes are zeros and ones these are Brier scores, `brier_...`);
        `log_score_10_fold` and `log_score_leave_one_out`, mean log predictive densities of a row that was left out, the
        higher the better; `seconds` of the fit.
        """
        import pandas as pd

        fits = (self.complete, self.separate, self.partial)
        kinds = [one.result.model.pooling for one in fits]
        parameters = [
            sum(v.values[0, 0].size for n, v in one.result.variables().items() if not n.startswith("u_"))
            for one in fits
        ]
        lines = [self.scores[kind].columns for kind in kinds]
        table = pd.DataFrame(lines, index=pd.Index([kind.value for kind in kinds], name="model"))
        table = table.dropna(axis="columns", how="all")
        table.insert(0, "parameters", parameters)
        return table.assign(seconds=[one.result.seconds for one in fits])

    @property
    def verdict(self) -> str:
        """The comparison in a sentence: by RMSD, where outcomes are zeros and ones by Brier scores."""
        inside = min(self.scores, key=lambda kind: self.scores[kind].in_sample)
        if not self.scores[inside].folds:
            return f"In sample, {inside.value} fits best; without cross-validation that says little."
        if math.isnan(self.scores[inside].cross_validated):
            return self._by_log_score()
        ranked = sorted(self.scores, key=lambda kind: self.scores[kind].cross_validated)
        best, others = ranked[0], ranked[1:]
        what, power = ("Brier score", 2) if self.scores[best].binary else ("RMSD", 1)
        exact = {kind: self.scores[kind].cross_validated ** power for kind in ranked}
        values = {kind: _three(value) for kind, value in exact.items()}
        if len(set(values.values())) < len(set(exact.values())):
            values = dict(zip(exact, apart(list(exact.values())), strict=True))
        shown = " and ".join(f"{values[kind]} ({kind.value})" for kind in others)
        trap = "" if inside is best else f" In sample, {inside.value} looked best: that is the trap."
        by_log = max(self.scores, key=lambda kind: self.scores[kind].log_score)
        other = (
            ""
            if by_log is best or math.isnan(self.scores[best].log_score)
            else (f" By the log score, which judges whole distributions, {by_log.value} does.")
        )
        return f"On rows left out, {best.value} predicts best: {what} {values[best]} against {shown}.{trap}{other}"

    def _by_log_score(self) -> str:
        """The comparison where outcomes have no distances."""
        best, *others = sorted(self.scores, key=lambda kind: -self.scores[kind].log_score)
        shown = " and ".join(f"{self.scores[kind].log_score:.3f} ({kind.value})" for kind in others)
        score = f"log score {self.scores[best].log_score:.3f} against {shown}"
        return f"On rows left out, {best.value} predicts best: {score}."

    def compare(self, *, by: str | None = None, progress: Progress = silent) -> Comparison:
        """The three fits by expected log predictive density of rows left out, or with `by` of groups left out."""
        fits = {"complete": self.complete, "separate": self.separate, "partial": self.partial}
        records = {name: one.loo(by=by, progress=progress) for name, one in fits.items()}
        return compare_records(records, {name: one.outcome.log_evidence for name, one in fits.items()})

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        question: str | None = None,
        title: str | None = None,
        progress: Progress = silent,
    ) -> Path:
        """Write one self-contained HTML page about the partially pooled fit and what pooling bought.

        Parameters
        ----------
        question, title : in your own words; by default made from the formula.

        Raises
        ------
        FileError : when the path cannot be written; nothing half-written remains.
        """
        from poolwise.output.report.page import Compared, write_report

        target = check_writable(path)
        by = ":".join(self.partial.result.model.design.main_factor.keys)
        by_row, by_group = self.compare(progress=progress), self.compare(by=by, progress=progress)
        left_out = [found.records["partial"] for found in (by_row, by_group)]
        table = self.table.drop(columns="seconds").set_axis(["complete", "separate", "partial"])
        for unit, found in (("rows", by_row), (by, by_group)):
            table[f"elpd_{unit}"], table[f"weight_{unit}"] = found.table["elpd"], found.table["weight"]
        checks = self.partial.check(progress=progress)
        chart = self.plot.shrinkage().properties(width=560) if self.in_a_plane else None  # as wide as the page
        compared = Compared(table.rename_axis("pooling"), self.verdict, chart, self.separate.result)
        fit, shown = self.partial, self.partial.behind.of_all_groups()
        return write_report(target, fit.result, shown, fit.notes, checks, left_out, compared, question, title)

    @property
    def in_a_plane(self) -> bool:
        """Whether groups have two coefficients of the mean or more, so that arrows in a plane show them."""
        factor = self.partial.result.model.design.main_factor
        return bool(factor.part_of("").any()) and len(factor.effects) > 1

    @property
    def plot(self) -> PoolingPlots:
        """Charts: `pooling.plot.lines([...])`, `pooling.plot.shrinkage()`."""
        from poolwise.output.plots.accessor import PoolingPlots

        return PoolingPlots(self.separate.result, self.partial.result, self.partial.behind.of_groups)

    def __repr__(self) -> str:
        return f"{self.table.to_string(float_format=_three)}\n\n{self.verdict}"

    def _repr_html_(self) -> str:
        from html import escape

        table = self.table.to_html(float_format=_three, border=0)
        return f"<div>{table}<p>{escape(self.verdict)}</p></div>"


def _three(value: float) -> str:
    """Three decimals, or as many digits where numbers are small."""
    return f"{value:.3f}" if value == 0 or not abs(value) < _SMALL else significant(value, 3)
