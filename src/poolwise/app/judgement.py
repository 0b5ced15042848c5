"""What is said of a fit once a slider rests: the verdict, checks, and data that the model makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poolwise.api.fitted_model import Fit
from poolwise.api.fitting import finish
from poolwise.api.pooling import PoolingComparison, judged
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.inference.problem import SEED, Problem
from poolwise.output.live.numbers import rounded
from poolwise.output.report.words import answers, model_in_words
from poolwise.samplers.settings import sampler_settings
from poolwise.support.errors import PoolwiseError
from poolwise.support.progress import silent

_FOLDS = 10
_MOST_ROWS = 20_000  # of which scores and checks are made while a page waits
_BINS = 30
_REPLICATED = 200  # data sets by the priors


def fits_of(problem: Problem, posteriors: Mapping[Pooling, Posterior]) -> dict[Pooling, Fit]:
    """The posteriors as users hold them."""
    rows = {Pooling.COMPLETE: problem.rows_in_one_cell if problem.plain is not None else problem.rows}
    return {
        kind: finish(one, rows.get(kind, problem.rows), problem.source, strict=False)
        for kind, one in posteriors.items()
    }


def compared(fits: Mapping[Pooling, Fit], *, threads: int) -> PoolingComparison | Comparison | None:
    """The three fits by what they predict of rows left out, of sampled families without refits; None where there are no
    three."""
    if Pooling.SEPARATE not in fits:
        return None
    rows = fits[Pooling.PARTIAL].result.model.statistics.rows
    if fits[Pooling.PARTIAL].result.model.sampled:
        records = {kind.value: one.loo() for kind, one in fits.items()}
        return compare_records(records, {kind.value: one.outcome.log_evidence for kind, one in fits.items()})
    folds = _FOLDS if _FOLDS <= rows <= _MOST_ROWS else 0
    return judged(fits, folds, sampler_settings(1000, 4, SEED, "auto", silent), threads=threads)


def verdict(comparison: PoolingComparison | Comparison | None) -> dict[str, Any]:
    """The comparison as a sentence and a table."""
    return {
        "verdict": None if comparison is None else comparison.verdict,
        "scores": None if comparison is None else _scores(comparison),
    }


def words(fit: Fit) -> dict[str, Any]:
    """Answers, the model, and what the data leave open, in sentences."""
    return {"answers": answers(fit.result), "model": model_in_words(fit.result), "notes": fit.notes}


def checked(fit: Fit) -> dict[str, Any]:
    """Whether the model makes such data."""
    if fit.result.model.statistics.rows > _MOST_ROWS:
        return {"checks": None, "outcomes": None}
    checks = fit.check()
    table = checks.table.reset_index()
    return {
        "checks": {
            "verdict": checks.verdict,
            "columns": [str(name) for name in table.columns],
            "lines": [[str(line[0]), *rounded(np.array(line[1:], dtype=float))] for line in table.values.tolist()],
        },
        "outcomes": _outcomes(fit, checks.observed, checks.replicated),
    }


def _scores(comparison: PoolingComparison | Comparison) -> dict[str, Any]:
    table = comparison.table.drop(columns="seconds", errors="ignore").dropna(axis="columns", how="all").reset_index()
    return {
        "columns": [str(name).replace("_", " ") for name in table.columns],
        "lines": [[str(line[0]), *rounded(np.array(line[1:], dtype=float))] for line in table.values.tolist()],
    }


def _outcomes(fit: Fit, observed: np.ndarray, replicated: np.ndarray) -> dict[str, Any] | None:
    """Histograms of the outcomes, of those that the fitted model makes, and of those that its priors make."""
    model = fit.result.model
    low, high = np.quantile(observed, [0.0, 1.0])
    if model.family.labels or not high > low:
        return None
    margin = 0.25 * (high - low)
    edges = np.linspace(low - margin, high + margin, _BINS + 1)
    if model.family.whole and high - low < 60:
        edges = np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.6)
    found: dict[str, Any] = {"name": model.design.response, "edges": rounded(edges)}
    try:
        by_priors = fit.prior_predictive(_REPLICATED, seed=SEED)[model.design.response].values
    except (PoolwiseError, KeyError):  # a family whose priors make no outcomes
        by_priors = None
    for name, values in (("observed", observed), ("posterior", replicated), ("prior", by_priors)):
        if values is not None:
            heights, _ = np.histogram(values, edges)
            found[name] = rounded(heights / max(1, np.size(values)))
    return found
