"""Complete, no and partial pooling of one regression, fitted and judged together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.api.fitted_model import Fit
from poolwise.api.fitting import finish
from poolwise.design.factors import Factor
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.evaluate.loo.kfold import Folds
from poolwise.evaluate.rmsd import Rmsd, cross_validated, in_sample
from poolwise.formula import Formula, Functions, parse
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling
from poolwise.inference.prepare import prepare
from poolwise.samplers.settings import sampler_settings
from poolwise.sources import as_source
from poolwise.statistics import CrossProducts, Statistics
from poolwise.statistics.routes import stream_again
from poolwise.support.atomic_write import check_writable
from poolwise.support.errors import DataError, FormulaError
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import check_threads

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.output.plots.accessor import PoolingPlots
    from poolwise.priors import Prior

_REFIT_DRAWS = 250  # a posterior mean needs few draws: its Monte Carlo error is a thirtieth of the posterior sd


def compare_pooling(
    formula: str,
    *,
    by: str,
    data: Any,
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

    Parameters
    ----------
    formula : the regression without group terms, such as `"log_radon ~ floor"`. All its terms vary by group.
    by : the grouping column.
    data, priors, draws, chains, seed, functions, missing, threads : as in `fit`.
    correlated : whether a group's effects are correlated in the partially pooled fit.
    folds : of the cross-validation; 0 leaves it out.

    Raises
    ------
    FormulaError, DataError, PriorError : as `fit` does.
    """
    if not isinstance(by, str):
        raise DataError(f"by must be the name of the grouping column, not {by!r}.")
    source = None if isinstance(data, Statistics) else as_source(data)
    parsed = parse(formula, functions, None if source is None else source.names, [by])
    if parsed.bars:
        raise FormulaError(
            f"compare_pooling adds the group term by itself: write '{parsed.response} ~ {parsed.common}' and by='{by}'."
        )
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 0 or folds == 1:
        raise DataError(f"folds must be 0 or a whole number of at least 2, not {folds!r}.")
    settings = sampler_settings(draws, chains, seed, "auto", progress)
    workers = check_threads(threads)
    quoted = by if by.isidentifier() else f"`{by}`"
    text = f"{parsed.response} ~ {parsed.common} + ({parsed.common} {'|' if correlated else '||'} {quoted})"
    if source is None and folds:
        raise DataError("Statistics have no rows to leave out in turn; say folds=0.")
    partial, rows = prepare(
        text,
        source or data,
        priors=priors,
        functions=functions,
        missing=missing,
        threads=workers,
        progress=progress,
    )
    if folds > partial.statistics.rows:
        raise DataError(f"There are only {partial.statistics.rows} rows; {folds} folds need at least as many.")
    models = {
        Pooling.COMPLETE: _ungrouped(partial, parsed),
        Pooling.SEPARATE: replace(_ungrouped(partial, parsed, keep_groups=True), pooling=Pooling.SEPARATE),
        Pooling.PARTIAL: partial,
    }
    fits = {}
    for kind, model in models.items():
        progress(f"fitting: {kind.value}", 0.0)
        mine = replace(rows, codes=np.zeros_like(rows.codes)) if rows and kind is Pooling.COMPLETE else rows
        fits[kind] = finish(infer(model, settings, threads=workers), mine, source, strict=False)
    parts: list[CrossProducts] = []
    if folds and source is not None:
        batches = iter([rows]) if rows is not None else stream_again(partial.data, source, missing, progress)
        parts = Folds(int(folds), settings.entropy).statistics(partial, batches)
    refit = replace(settings, draws=_REFIT_DRAWS)
    scores = {}
    for kind, one in fits.items():
        outside = (
            cross_validated(one.result.model, parts, refit, threads=workers, progress=progress)
            if parts
            else float("nan")
        )
        scores[kind] = Rmsd(in_sample(one.result), outside, len(parts))
    return PoolingComparison(fits[Pooling.COMPLETE], fits[Pooling.SEPARATE], fits[Pooling.PARTIAL], scores)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PoolingComparison:
    """Three fits of one regression.

    Attributes
    ----------
    complete, separate, partial : the fits.
    scores : root mean squared deviations of each.
    """

    complete: Fit
    separate: Fit
    partial: Fit
    scores: Mapping[Pooling, Rmsd]

    @property
    def table(self) -> pd.DataFrame:
        """One row for each model: parameters, RMSD in sample and cross-validated, seconds of the fit."""
        import pandas as pd

        fits = (self.complete, self.separate, self.partial)
        kinds = [one.result.model.pooling for one in fits]
        folds = self.scores[Pooling.PARTIAL].folds
        columns: dict[str, Any] = {
            "parameters": [
                sum(v.values[0, 0].size for n, v in one.result.variables().items() if not n.startswith("u_"))
                for one in fits
            ],
            "rmsd_in_sample": [self.scores[kind].in_sample for kind in kinds],
        }
        if folds:
            columns[f"rmsd_{folds}_fold"] = [self.scores[kind].cross_validated for kind in kinds]
        columns["seconds"] = [one.result.seconds for one in fits]
        return pd.DataFrame(columns, index=pd.Index([kind.value for kind in kinds], name="model"))

    @property
    def verdict(self) -> str:
        """The comparison in a sentence."""
        inside = min(self.scores, key=lambda kind: self.scores[kind].in_sample)
        if not self.scores[inside].folds:
            return f"In sample, {inside.value} fits best; without cross-validation that says little."
        ranked = sorted(self.scores, key=lambda kind: self.scores[kind].cross_validated)
        best, others = ranked[0], ranked[1:]
        shown = " and ".join(f"{self.scores[kind].cross_validated:.3f} ({kind.value})" for kind in others)
        trap = "" if inside is best else f" In sample, {inside.value} looked best: that is the trap."
        return (
            f"On rows left out, {best.value} predicts best: RMSD {self.scores[best].cross_validated:.3f} "
            f"against {shown}.{trap}"
        )

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
        factor = self.partial.result.model.design.factor()
        several = len(factor.effects) > 1
        by_row, by_group = self.compare(progress=progress), self.compare(by=factor.name, progress=progress)
        left_out = [found.records["partial"] for found in (by_row, by_group)]
        table = self.table.drop(columns="seconds").set_axis(["complete", "separate", "partial"])
        for unit, found in (("rows", by_row), (factor.name, by_group)):
            table[f"elpd_{unit}"], table[f"weight_{unit}"] = found.table["elpd"], found.table["weight"]
        checks = self.partial.check(progress=progress)
        chart = self.plot.shrinkage().properties(width=560) if several else None  # as wide as the page
        compared = Compared(table.rename_axis("pooling"), self.verdict, chart, self.separate.result)
        fit, rows = self.partial, self.partial.rows or self.partial.behind.of_all_groups()
        return write_report(target, fit.result, rows, fit.notes, checks, left_out, compared, question, title)

    @property
    def plot(self) -> PoolingPlots:
        """Charts: `pooling.plot.lines([...])`, `pooling.plot.shrinkage()`."""
        from poolwise.output.plots.accessor import PoolingPlots

        return PoolingPlots(self.separate.result, self.partial.result, self.partial.behind.of_groups)

    def __repr__(self) -> str:
        return f"{self.table.to_string(float_format=lambda value: f'{value:.3f}')}\n\n{self.verdict}"

    def _repr_html_(self) -> str:
        from html import escape

        table = self.table.to_html(float_format=lambda value: f"{value:.3f}", border=0)
        return f"<div>{table}<p>{escape(self.verdict)}</p></div>"


def _ungrouped(model: Model, formula: Formula, *, keep_groups: bool = False) -> Model:
    """The same regression without group effects; `keep_groups` still labels the groups, for separate fits."""
    design = replace(
        model.design,
        formula=formula,
        factors=tuple(_bare(factor) for factor in model.design.factors) if keep_groups else (),
    )
    data = replace(model.data, design=design)
    if not keep_groups:
        encoding = replace(data.encoding, keys=(), cells=())
        data = replace(data, encoding=encoding, products=data.products.merged())
    layout = replace(model.priors.layout, effects=(), starts=(), to_zero=())
    priors = replace(model.priors, layout=layout, sd=(), at_zero=(), correlation={})
    given = {name: prior for name, prior in model.given.items() if name in (*design.coefficients, "slopes", "sigma")}
    return replace(model, data=data, priors=priors, given=given, pooling=Pooling.COMPLETE)


def _bare(factor: Factor) -> Factor:
    """A factor by whose levels nothing varies: it only labels the groups of separate regressions."""
    nothing, none = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=bool)
    group_map = np.zeros((factor.group_map.shape[0], 0))
    return replace(factor, effects=(), group_map=group_map, starts=nothing, margins=none, predictors=())
