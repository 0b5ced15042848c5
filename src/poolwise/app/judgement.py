"""What is said of a fit once a slider rests: the verdict, checks, and data that the model makes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from poolwise.api.fitted_model import Fit
from poolwise.api.fitting import finish
from poolwise.api.pooling import PoolingComparison, judged
from poolwise.app.numbers import interval, rounded, shown_groups
from poolwise.app.problem import NAMES, SEED, Problem
from poolwise.design.factors import Factor
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.formula.scan import pieces
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.output.report.words import answers, model_in_words
from poolwise.samplers.settings import sampler_settings
from poolwise.support.errors import PoolwiseError
from poolwise.support.progress import silent

_FOLDS = 10
_MOST_ROWS = 20_000  # of which scores and checks are made while a page waits
_BINS = 30
_REPLICATED = 200  # data sets by the priors
_LINES = 3  # groups whose lines are drawn where none were chosen
_ALONG = 13  # points of a line
_DOTS = 400  # rows of a group that are drawn


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


def lines(problem: Problem, fits: Mapping[Pooling, Fit], asked: Iterable[str]) -> dict[str, Any] | None:
    """For some groups their rows, and the expected outcome along the first predictor by each of the fits."""
    factor, fit, formula = problem.factor, list(fits.values())[-1], problem.model.design.formula
    if factor is None or problem.rows is None or problem.model.family.labels or formula.offsets:
        return None  # with an offset each row has a line of its own
    along, frame = _predictor(problem), _complete(problem)
    if along is None or frame is None:
        return None
    levels = [str(level) for level in factor.levels]
    if len(set(levels)) < len(levels):  # a number and the same as text
        return None
    chosen = [levels.index(label) for label in asked if label in levels]
    chosen = (chosen + [group for group in _typical(fit, factor) if group not in chosen])[: max(_LINES, len(chosen))]
    values = frame[along].dropna().to_numpy(dtype=float)
    grid = np.linspace(values.min(), values.max(), _ALONG)
    table, drawn = _grid(problem, frame, along, grid, chosen), {}
    for kind, one in fits.items():
        try:
            mean = one.predict(table, draws=True).values.reshape(-1, len(chosen), len(grid))
        except PoolwiseError:  # labels or values that only the fit tells apart
            return None
        drawn[NAMES[kind]] = interval(mean)
    return {
        "x": along,
        "y": fit.result.model.design.response,
        "grid": rounded(grid),
        "panels": [
            {
                "label": levels[group],
                "dots": _dots(problem, frame, along, group),
                **{name: rounded(found[:, k]) for name, found in drawn.items()},
            }
            for k, group in enumerate(chosen)
        ],
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


def _predictor(problem: Problem) -> str | None:
    """The first predictor of the mean, in the order of the formula, that is an amount."""
    for term in pieces(problem.model.design.formula.common, "+"):
        if re.search(r"\b(C|factor|mo|poly|contr)\b", term):
            continue
        for name in map(str, problem.frame.columns):
            word = rf"(?<![\w.]){re.escape(name)}(?![\w.])"
            if re.search(word, term) and problem.frame[name].dtype.kind in "iuf":
                return name
    return None


def _typical(fit: Fit, factor: Factor) -> list[int]:
    """The group with most rows, one in the middle, and one with few."""
    places = shown_groups(fit.result.model, factor)
    counts = np.bincount(factor.codes, fit.result.model.statistics.counts, len(factor.levels))
    order = places[np.argsort(-counts[places], kind="stable")]
    at = np.linspace(0, len(order) - 1, min(_LINES, len(order))).astype(int)
    return [int(order[k]) for k in at]


def _complete(problem: Problem) -> Any:
    """The rows of the table that the fit is of, in its order; None where they cannot be told."""
    encoding = problem.model.encoding
    names = {*encoding.outcome, *encoding.trials, *encoding.variables, *encoding.keys, encoding.weights}
    frame = problem.frame.dropna(subset=[name for name in problem.frame if name in names])
    return frame if problem.rows is not None and len(frame) == len(problem.rows.codes) else None


def _grid(problem: Problem, frame: Any, along: str, grid: np.ndarray, groups: list[int]) -> Any:
    """Rows along the predictor for each group; what else the model needs is as in the group's first row."""
    import pandas as pd

    parts = []
    for group in groups:
        mine = frame[_in_group(problem, group)]
        parts.append(pd.concat([mine.head(1)] * len(grid), ignore_index=True).assign(**{along: grid}))
    return pd.concat(parts, ignore_index=True)


def _in_group(problem: Problem, group: int) -> np.ndarray:
    """(n,) which rows are of a group."""
    assert problem.rows is not None
    assert problem.factor is not None
    return problem.factor.codes[problem.rows.codes] == group


def _dots(problem: Problem, frame: Any, along: str, group: int) -> dict[str, Any]:
    """The group's rows: the predictor, and the outcome as the fit has it."""
    rows, mine = problem.rows, _in_group(problem, group)
    assert rows is not None
    y = rows.response if rows.trials is None else rows.response / np.maximum(rows.trials, 1.0)
    return {"x": rounded(frame[along].to_numpy(dtype=float)[mine][:_DOTS]), "y": rounded(y[mine][:_DOTS])}
