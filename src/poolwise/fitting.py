"""The face: `fit` and the `Fit` it returns. Methods only call the rooms below."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise import design as designs
from poolwise import storage
from poolwise.density.gaussian import gaussian
from poolwise.density.priors import resolve_priors
from poolwise.design.factors import Factor
from poolwise.design.relations import relations
from poolwise.errors import DataError, FormulaError, PoolwiseWarning, PriorError, SamplingError
from poolwise.formula import parse
from poolwise.infer import infer
from poolwise.posterior import Model, Pooling, Posterior
from poolwise.progress import Progress, silent
from poolwise.samplers import Certificate, SamplerSettings
from poolwise.show import describe, tables, text
from poolwise.sources import CellTable, Source, as_source
from poolwise.sources.groups import with_group_tables
from poolwise.statistics import SufficientStatistics
from poolwise.statistics.routes import reduce_source, rows_of_cells
from poolwise.threads import default_threads

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from poolwise.plots.accessor import FitPlots
    from poolwise.priors import Prior

_SAMPLERS = ("auto", "independence", "nuts")


def fit(
    formula: str,
    data: Any,
    *,
    priors: Mapping[str, Prior] | None = None,
    weights: str | None = None,
    groups: Mapping[str, Any] | None = None,
    draws: int = 1000,
    chains: int = 4,
    seed: int | None = None,
    sampler: str = "auto",
    missing: str = "drop",
    strict: bool = False,
    threads: int | None = None,
    progress: Progress = silent,
) -> Fit:
    """Fit a hierarchical regression with Gaussian noise.

    Parameters
    ----------
    formula : such as `"log_radon ~ floor + (floor | county)"`; `||` makes the effects of a group independent. Several
        bars, nested `(1 | a/b)` and crossed `(1 | a) + (1 | b)`, as in lme4; `offset(z)` for a known part of the mean.
        Without a bar it is one regression for all rows (complete pooling).
    data : pandas, Polars (eager or lazy) or PyArrow frame, a dict of columns; path, pattern, folder or list of CSV or
        Parquet files; DuckDB table or query; Spark frame; `SufficientStatistics`; a published table by `from_cells`.
        Rows in files and engines stay there: one query reduces them.
    priors : by term: a coefficient's name, `slopes`, `sd`, `sd_county`, `sd_county[floor]`, `cor`, `sigma`.
        What is not set has a default scaled to the data; `fit.priors` says which.
    weights : column of positive weights: a row of weight w has the residual sd sigma / sqrt(w).
    groups : tables of group-level predictors by grouping column, `{"county": counties}`: one line for each group.
    draws, chains : size of the posterior sample.
    seed : same seed, same draws, whatever the number of threads; None takes fresh randomness.
    sampler : "auto" picks and says why; "independence" or "nuts" insist.
    missing : "drop" leaves out rows with missing values, counts them and says so; "error" refuses them.
    strict : raise `SamplingError` where the sampler's certificate fails, instead of returning the fit with advice.
    threads : the number of cores by default.
    progress : called with a step in words and the share done, from 0 to 1; also while rows are read.

    Raises
    ------
    FormulaError, DataError, PriorError, FileError : what is wrong, where, and what would be valid.
    """
    settings = sampler_settings(draws, chains, seed, sampler, progress)
    workers = check_threads(threads)
    source = None if isinstance(data, SufficientStatistics) else with_group_tables(as_source(data), groups)
    if source is None and (weights is not None or groups is not None):
        raise DataError("Statistics hold their weights and group columns already; leave out weights= and groups=.")
    model, rows = prepare(
        formula, source or data, priors=priors, weights=weights, missing=missing, threads=workers, progress=progress
    )
    return finish(infer(model, settings, threads=workers), rows, source, strict=strict)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fit:
    """A fitted regression.

    Attributes
    ----------
    result : the posterior as a plain record, for code that works on arrays.
    rows : the encoded rows where they are in memory, else None.
    source : where the rows are, if they stayed there; None for a fit that was loaded from a file.
    """

    result: Posterior
    rows: designs.Rows | None
    source: Source | None = None

    def __repr__(self) -> str:
        return text.as_text(self.result, self.notes)

    def _repr_html_(self) -> str:
        return text.as_html(self.result, self.notes)

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.result.model.design.formula.text

    @property
    def outcome(self) -> Certificate:
        """Whether the draws can be trusted, what was measured, and advice."""
        return self.result.certificate

    @property
    def notes(self) -> list[str]:
        """What the data leave open and what may not have been meant, in sentences: spreads that might be zero,
        correlations that might be anything, factors nested by accident.
        """
        from poolwise.judge.undecided import undecided

        model = self.result.model
        said = relations(model.design.factors)
        if self.result.u:
            density = gaussian(model.statistics, model.design, model.priors, threads=default_threads())
            said += undecided(self.result, density)
        return said

    @property
    def priors(self) -> PriorWords:
        """Every prior in words, by the name under which it can be set."""
        return PriorWords(self.result.model.priors.words())

    @property
    def posterior(self) -> xr.Dataset:
        """All draws as an xarray Dataset: `beta[coefficient]`, `sd_county[effect]`, `coef_county[county, effect]`."""
        return self.result.dataset()

    @property
    def plot(self) -> FitPlots:
        """Charts: `fit.plot.trace()`, `fit.plot.forest()`, `fit.plot.groups([...])`."""
        from poolwise.plots.accessor import FitPlots

        return FitPlots(self.result, self.rows_of)

    def summary(self, *, groups: bool = False, interval: float = 0.9) -> pd.DataFrame:
        """Mean, sd, central interval, effective sample sizes, R-hat; `groups=True` adds each group's coefficients."""
        return tables.summary(self.result, groups=groups, interval=interval)

    def group_coefficients(
        self,
        by: str | None = None,
        *,
        groups: Iterable[object] | None = None,
        interval: float = 0.9,
        progress: Progress = silent,
    ) -> pd.DataFrame:
        """Coefficients of groups with interval, rows, shrinkage factor and `prior_only` mark.

        Parameters
        ----------
        by : the grouping factor, `county` or `school:class`; it may be left out where there is only one.
        groups : labels of the groups to show, all by default; their draws are summarised and not kept.

        Raises
        ------
        DataError : when `by` is not a grouping factor of this fit, or there is no such group.
        """
        factor = self.result.model.design.factor(by)
        chosen = None if groups is None else self.result.positions(factor, groups)
        return tables.group_coefficients(self.result, factor, chosen, interval=interval, progress=progress)

    def group_draws(self, groups: Iterable[object], by: str | None = None) -> xr.DataArray:
        """Draws of the coefficients of chosen groups, (chain, draw, group, effect): what they are among all draws.

        Raises
        ------
        DataError : when there is no such group, or several grouping factors and no `by`.
        """
        import xarray as xr

        factor = self.result.model.design.factor(by)
        positions = self.result.positions(factor, groups)
        names, draws = self.result.coefficients(factor, positions)
        labels = {factor.name: factor.levels[positions], "effect": list(names)}
        return xr.DataArray(draws, labels, ("chain", "draw", *labels), name=f"coef_{factor.name}")

    def describe(self) -> str:
        """Blocks and sizes, cost of an evaluation, priors, and the sampler with the reason for it."""
        return describe.describe(self.result)

    def prior_predictive(self, draws: int = 500, *, seed: int | None = None) -> xr.Dataset:
        """Parameters drawn from the priors, and outcomes at the rows of the data."""
        from poolwise.judge.prior_predictive import prior_predictive

        return prior_predictive(self.result.model, self._needed_rows(), draws, seed)

    def rmsd(self) -> float:
        """Root mean squared deviation of the outcomes from the posterior mean predictions, in sample."""
        from poolwise.judge.rmsd import in_sample

        return in_sample(self.result)

    def to_datatree(self) -> xr.DataTree:
        """Posterior and observed data as a DataTree, for ArviZ."""
        import xarray as xr

        groups = {"posterior": self.posterior}
        if self.rows is not None:
            name = self.result.model.design.response
            groups["observed_data"] = xr.Dataset({name: (("observation",), self.rows.response)})
        return xr.DataTree.from_dict(groups)

    @property
    def statistics(self) -> SufficientStatistics:
        """All that the fit knows of its rows; they add, subtract, and can be saved and fitted."""
        return self.result.model.data

    def update(
        self,
        rows: Any,
        *,
        groups: Mapping[str, Any] | None = None,
        missing: str = "drop",
        progress: Progress = silent,
    ) -> Fit:
        """The fit of the rows so far and of these: the same posterior, draw for draw, as a refit of all of them.

        Only the new rows are read. Transforms with a state, such as `scale(x)`, keep the one of the first rows.

        Raises
        ------
        DataError : as `pw.fit` does, and for a category that the first rows did not have.
        """
        return self._refit(self.statistics + self._like_mine(rows, groups, missing, progress), progress)

    def forget(
        self,
        rows: Any,
        *,
        groups: Mapping[str, Any] | None = None,
        missing: str = "drop",
        progress: Progress = silent,
    ) -> Fit:
        """The fit without these rows, which must have been part of it: as if they had never been there.

        Raises
        ------
        DataError : where it shows that they were not part of it.
        """
        return self._refit(self.statistics - self._like_mine(rows, groups, missing, progress), progress)

    def _like_mine(
        self, rows: Any, groups: Mapping[str, Any] | None, missing: str, progress: Progress
    ) -> SufficientStatistics:
        if self.result.model.pooling is Pooling.SEPARATE:
            raise DataError(
                "Separate regressions take no more rows: call compare_pooling again, or update the partial fit."
            )
        frozen = sorted({key for spec in self.statistics.encoding.specs for key in spec.transform_state})
        if frozen:
            warnings.warn(
                f"{', '.join(frozen)} keeps the scale or knots of the first rows; a refit would learn new ones.",
                PoolwiseWarning,
                stacklevel=3,
            )
        data = SufficientStatistics.from_data(
            self.formula,
            rows,
            like=self.statistics,
            weights=self.statistics.encoding.weights,
            groups=groups,
            missing=missing,
            progress=progress,
        )
        warn_of_dropped(data)
        return data

    def _refit(self, data: SufficientStatistics, progress: Progress) -> Fit:
        result, model = self.result, self.result.model
        settings = sampler_settings(result.draws, result.chains, result.seed, "auto", progress)
        again = replace(model_of(data, model.given), pooling=model.pooling)
        return Fit(infer(again, settings, threads=default_threads()), None)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to one small file: statistics, encoding, priors and the draws of the variances, no rows."""
        storage.save(self.result, Path(path))

    def rows_of(self, factor: Factor, positions: np.ndarray) -> designs.Rows | None:
        """Encoded rows with those of some groups of a factor among them; None for a fit that has no rows."""
        if self.rows is not None or self.source is None or isinstance(self.source, CellTable):
            return self.rows
        return rows_of_cells(self.statistics, self.source, np.flatnonzero(np.isin(factor.codes, positions)))

    def _needed_rows(self) -> designs.Rows:
        if self.rows is None:
            where = (
                "was loaded from a file, which holds no rows" if self.source is None else "left its rows where they are"
            )
            raise DataError(f"This fit {where}; fit a part of them in memory to do this.")
        return self.rows


class PriorWords(dict[str, str]):
    """Priors in words; prints one to a line."""

    def __repr__(self) -> str:
        return "\n".join(f"{name} ~ {words}" for name, words in self.items())


def merge(first: Fit, second: Fit, *, progress: Progress = silent) -> Fit:
    """The fit of the rows of two fits of one formula with the same priors, from their statistics alone.

    Raises
    ------
    FormulaError, DataError, PriorError : when formulas, encodings or priors differ; the message says where.
    """
    mine, theirs = first.result.model.given, second.result.model.given
    differing = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    if differing:
        raise PriorError(f"The fits have different priors on: {', '.join(differing)}.")
    return first._refit(first.statistics + second.statistics, progress)


def load(path: str | os.PathLike[str]) -> Fit:
    """Read a fit that `Fit.save` wrote; its draws are the same.

    Raises
    ------
    FileError : when the file is missing, not a fit, damaged, or of a newer version.
    """
    return Fit(storage.load(Path(path), threads=default_threads()), None)


def prepare(
    formula: str,
    source: Any,
    *,
    priors: Mapping[str, Prior] | None,
    weights: str | None = None,
    missing: str,
    threads: int,
    progress: Progress = silent,
) -> tuple[Model, designs.Rows | None]:
    """Formula, data and priors to a model, ready for `infer`; and the encoded rows."""
    if isinstance(source, SufficientStatistics):
        if str(parse(formula)) != str(source.design.formula):
            raise FormulaError(f"The formula is '{formula}', but the statistics are of '{source.formula}'.")
        return model_of(source, priors or {}), None
    needed = designs.needed_columns(parse(formula), weights)
    data, rows = reduce_source(needed, as_source(source), None, missing, threads, progress)
    warn_of_dropped(data)
    return model_of(data, priors or {}), rows


def model_of(data: SufficientStatistics, priors: Mapping[str, Prior]) -> Model:
    """A model of statistics, ready for `infer`; complete pooling where there are no groups."""
    data.check()
    warn_of_many_effects(data)
    pooling = Pooling.PARTIAL if data.design.factors else Pooling.COMPLETE
    return Model(data, resolve_priors(priors, data.design, data.products), dict(priors), pooling)


def warn_of_many_effects(data: SufficientStatistics) -> None:
    """Say where a factor has as many effects as there are rows: priors then tell their spread from the residual's."""
    for factor in data.design.factors:
        effects = len(factor.levels) * len(factor.effects)
        if effects >= data.rows:
            warnings.warn(
                f"'{factor.name}' has {effects:,} effects for {data.rows:,} rows: how much of the spread is theirs and "
                "how much is residual rests on the priors. Let fewer effects vary.",
                PoolwiseWarning,
                stacklevel=4,
            )


def warn_of_dropped(data: SufficientStatistics) -> None:
    """Say how many rows were left out."""
    if data.dropped:
        warnings.warn(
            f"{data.dropped:,} of {data.rows + data.dropped:,} rows have missing values and were left out.",
            PoolwiseWarning,
            stacklevel=4,
        )


def finish(posterior: Posterior, rows: designs.Rows | None, source: Source | None, *, strict: bool) -> Fit:
    """Dress a posterior as a `Fit`; under `strict` only where its certificate holds."""
    if strict and not posterior.certificate.passed:
        raise SamplingError(posterior.certificate.advice)
    return Fit(posterior, rows, source if rows is None else None)


def sampler_settings(draws: int, chains: int, seed: int | None, sampler: str, progress: Progress) -> SamplerSettings:
    """Checked settings; the only place where user numbers become a `SamplerSettings`."""
    for name, value, least in (("draws", draws, 4), ("chains", chains, 1)):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise DataError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    if sampler not in _SAMPLERS:
        raise DataError(f"There is no sampler {sampler!r}. Valid names: {', '.join(_SAMPLERS)}.")
    if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
        raise DataError(f"seed must be a whole number of at least 0, or None, not {seed!r}.")
    return SamplerSettings(
        int(draws), int(chains), np.random.SeedSequence(None if seed is None else int(seed)), sampler, progress
    )


def check_threads(threads: int | None) -> int:
    """The number of threads to use."""
    if threads is None:
        return default_threads()
    if not isinstance(threads, (int, np.integer)) or threads < 1:
        raise DataError(f"threads must be a whole number of at least 1, not {threads!r}.")
    return int(threads)
