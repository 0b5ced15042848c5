"""`fit`, and fits from files and from other fits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwise import design as designs
from poolwise.api.fitted_model import Fit
from poolwise.density.cost import check_expense
from poolwise.families import Family, family_of
from poolwise.formula import Functions
from poolwise.inference import storage
from poolwise.inference import update as updating
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Posterior
from poolwise.inference.prepare import prepare
from poolwise.inference.streamed import posterior_by_scans
from poolwise.inference.tallies import untallied
from poolwise.samplers.settings import deadline_of, sampler_settings
from poolwise.sources import Source, as_source
from poolwise.sources.group_tables import with_group_tables
from poolwise.statistics import Statistics
from poolwise.support.errors import DataError, FileError, PriorError, SamplingError
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import check_threads, default_threads, limited

if TYPE_CHECKING:
    from poolwise.priors import Prior


def fit(
    formula: str | Sequence[str],
    data: Any,
    *,
    family: str | Family = "gaussian",
    link: str | None = None,
    priors: Mapping[str, Prior] | None = None,
    weights: str | None = None,
    groups: Mapping[str, Any] | None = None,
    functions: Functions | None = None,
    tables: Mapping[str, Any] | None = None,
    draws: int | None = None,
    chains: int = 4,
    seed: int | None = None,
    sampler: str = "auto",
    missing: str = "drop",
    strict: bool = False,
    threads: int | None = None,
    time_limit: float | None = None,
    progress: Progress = silent,
) -> Fit:
    """Fit a hierarchical regression.

    Parameters
    ----------
    formula : such as `"log_radon ~ floor + (floor | county)"`; `||` makes the effects of a group independent. Several
        bars, nested `(1 | a/b)` and crossed `(1 | a) + (1 | b)`, as in lme4; `offset(z)` for a known part of the mean.
        Without a bar it is one regression for all rows (complete pooling). Successes among trials are
        `y | trials(n) ~ ...` or `(successes, failures) ~ ...`. A list of formulas gives other parameters predictors of
        their own: `["y ~ x + (x | g)", "sigma ~ 1 + (1 | g)"]`.
    data : pandas, Polars (eager or lazy) or PyArrow frame, a dict of columns; path, pattern, folder or list of CSV or
        Parquet files; DuckDB table or query; Spark frame; `SufficientStatistics`; a published table by `from_cells`.
        Rows in files and engines stay there: one query reduces them, or for other families than the normal counts equal
        rows or sums up their outcomes, where there are more than a million and few that differ.
    family : "gaussian", "bernoulli", "binomial", "poisson", "negative_binomial", "student" (robust), "gamma",
        "lognormal", "beta", "exponential", or a `pw.Family` of your own.
    link : of the mean; by default the usual one: logit, log or identity. Also "probit", "cloglog", ...
    priors : by term: a coefficient's name, `slopes`, `sd`, `sd_county`, `sd_county[floor]`, `cor`, `sigma`.
        What is not set has a default scaled to the data; `fit.priors` says which.
    weights : column of positive weights: a row of weight w has the residual sd sigma / sqrt(w); in families without a
        residual sd it counts as w rows.
    groups : tables of group-level predictors by grouping column, `{"county": counties}`: one line for each group.
    functions : of your own that the formula calls, by name: `{"myscale": f}`. Each takes whole columns (pandas Series)
        and returns one, in which a row's value should follow that row alone: of new rows it would else be something
        else, and a warning says so. A formula calls these and those of the page on formulas, and runs no other code.
    tables : what structured terms refer to by name: neighbours of `icar(area, neighbours)`, the covariance or pedigree
        of `(1 | gr(animal, cov="A"))`; `{"neighbours": pairs, "A": matrix}`.
    draws, chains : size of the posterior sample. Without a number it is 1,000 for each chain; where an evaluation of
        the density takes a quarter of a millisecond or more, as many as make 2,000 draws that are nearly independent,
        and up to twice that where they are less so.
    seed : same seed, same draws, whatever the number of threads; None takes fresh randomness.
    sampler : "auto" picks and says why; "independence" or "nuts" insist.
    missing : "drop" leaves out rows with missing values, counts them and says so; "error" refuses them.
    strict : raise `SamplingError` where the sampler's certificate fails, instead of returning the fit with advice.
    threads : the number of cores by default.
    time_limit : seconds after which the fit ends with a `SamplingError`; without one a model that would take more than
        some minutes is refused before it begins.
    progress : called with a step in words and the share done, from 0 to 1; also while rows are read.

    Raises
    ------
    FormulaError, DataError, PriorError, FileError : what is wrong, where, and what would be valid.
    SamplingError : where the time limit is over, or under `strict`.
    """
    settings = sampler_settings(draws, chains, seed, sampler, progress)
    workers = check_threads(threads)
    family = family_of(family)
    source = None if isinstance(data, Statistics) else with_group_tables(as_source(data), groups)
    if source is None and (weights is not None or groups is not None):
        raise DataError("Statistics hold their weights and group columns already; leave out weights= and groups=.")
    if source is not None:
        formula, source = untallied(formula, source, family, weights, missing)
    with limited(deadline_of(time_limit)):
        scanned = posterior_by_scans(
            formula,
            source,
            family=family,
            link=link,
            priors=priors or {},
            weights=weights,
            functions=functions,
            tables=tables,
            missing=missing,
            settings=settings,
            threads=workers,
        )
        if isinstance(scanned, Posterior):
            return finish(scanned, None, source, strict=strict)
        model, rows = prepare(
            formula,
            source or data,
            family=family,
            link=link,
            priors=priors,
            weights=weights,
            functions=functions,
            tables=tables,
            missing=missing,
            threads=workers,
            progress=progress,
        )
        if scanned is not None and rows is not None:
            model = replace(
                model, data=replace(model.data, reading=f"{model.data.reading}; not scanned: {scanned.why}")
            )
        check_expense(model.design, workers, limited=time_limit is not None)
        posterior = infer(model, settings, threads=workers)
    return finish(posterior, rows, source, strict=strict)


def merge(first: Fit, second: Fit, *, progress: Progress = silent) -> Fit:
    """The fit of the rows of two fits of one formula with the same priors, from their statistics alone.

    Raises
    ------
    FormulaError, DataError, PriorError : when formulas, encodings or priors differ; the message says where.
    """
    for one in (first, second):
        if not isinstance(one, Fit):
            raise DataError(f"merge takes two fits, not {type(one).__name__}.")
    kinds = [(model.family.name, model.link.name, model.sampled) for model in (first.result.model, second.result.model)]
    if kinds[0] != kinds[1]:
        raise DataError("Fits of different families, links or parameters cannot be merged; fit all rows together.")
    mine, theirs = first.result.model.given, second.result.model.given
    differing = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    if differing:
        raise PriorError(f"The fits have different priors on: {', '.join(differing)}.")
    rows, more = first.statistics, second.statistics
    together = rows + more
    updating.warn_of_moved(rows, more)
    return Fit(updating.refit(first.result, together, progress), None)


def load(path: str | os.PathLike[str], *, family: Family | None = None, functions: Functions | None = None) -> Fit:
    """Read a fit that `Fit.save` wrote; its draws are the same.

    Parameters
    ----------
    family : the one of the fit, where it is your own; those of poolwise are known by name.
    functions : of your own that the formula calls; they are not in the file.

    Raises
    ------
    FileError : when the file is missing, not a fit, damaged, or of a newer version.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise FileError(f"The path must be text, not {path!r}.")
    return Fit(storage.load(Path(path), threads=default_threads(), family=family, functions=functions), None)


def finish(posterior: Posterior, rows: designs.Rows | None, source: Source | None, *, strict: bool) -> Fit:
    """Dress a posterior as a `Fit`; under `strict` only where its certificate holds."""
    if strict and not posterior.certificate.passed:
        raise SamplingError(posterior.certificate.advice)
    return Fit(posterior, rows, source)
