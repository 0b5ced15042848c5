"""`compare(a, b)` ranks fits by how they predict what they have not seen."""

from __future__ import annotations

import math

import numpy as np

from poolwise.api.fitted_model import Fit
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.evaluate.loo.elpd import LeaveOut
from poolwise.evaluate.loo.observed import Observed, difference, of_cells, of_groups
from poolwise.inference.posterior import Pooling
from poolwise.inference.rows_in_common import rows_in_common
from poolwise.support.errors import DataError
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import default_threads


def compare(*fits: Fit, by: str | None = None, progress: Progress = silent, **named: Fit) -> Comparison:
    """Rank fits of the same data by leave-one-out, with stacking weights.

    Parameters
    ----------
    fits, named : two fits or more; `compare(pooled=a, partial=b)` names them, otherwise their formulas do.
    by : leave out whole groups by this column instead of single rows: how well are new groups predicted?

    Raises
    ------
    DataError : for fits of different data, naming the difference; for fewer than two.
    """
    unnamed = [fit.formula if isinstance(fit, Fit) else "" for fit in fits]
    if len(set(unnamed)) < len(unnamed):
        unnamed = [_with_pooling(fit) if isinstance(fit, Fit) else "" for fit in fits]
    labels = [text if unnamed.count(text) == 1 else f"{text} [{i}]" for i, text in enumerate(unnamed, start=1)]
    everyone = dict(zip(labels, fits, strict=True)) | named
    for fit in everyone.values():
        if not isinstance(fit, Fit):
            raise DataError(
                f"compare takes fits, not {type(fit).__name__}: compare(fit_a, fit_b) or compare(name=fit)."
            )
    if len(everyone) < 2:
        raise DataError("compare takes two fits or more.")
    records = _left_out(everyone, by, progress)
    return compare_records(records, {name: fit.outcome.log_evidence for name, fit in everyone.items()})


def _left_out(fits: dict[str, Fit], by: str | None, progress: Progress) -> dict[str, LeaveOut]:
    """What each fit predicts of what it has not seen: of counted rows those that the columns of all fits tell apart."""
    from poolwise.evaluate.loo.sampled_families import leave_rows_out

    common = None
    models = [fit.result.model for fit in fits.values()]
    if by is None and all(model.sampled and model.pooling is not Pooling.SEPARATE for model in models):
        common = rows_in_common([fit.behind for fit in fits.values()], progress)
    if common is None:
        records = {name: fit.loo(by=by, progress=progress) for name, fit in fits.items()}
        counted = [name for name, fit in fits.items() if by is None and fit.behind.counted]
        for name in counted[:1]:
            _check_order(name, records)
        return records
    threads = default_threads()
    return {
        name: leave_rows_out(fit.result, rows, threads=threads, progress=progress)
        for (name, fit), rows in zip(fits.items(), common, strict=True)
    }


def _check_order(counted: str, records: dict[str, LeaveOut]) -> None:
    """Refuse fits of as many rows as were counted, whose rows come in another order."""
    one = records[counted]
    for name, other in records.items():
        if one.total == other.total and difference(one.observed, other.observed) is not None:
            raise DataError(
                f"'{counted}' and '{name}' cannot be compared row by row: the rows of '{counted}' were counted where "
                f"they live, and do not come in the order of those of '{name}'. Compare fits of sampled families of "
                "one table or file, or leave out groups with by=."
            )


def _with_pooling(fit: Fit) -> str:
    return f"{fit.formula} ({fit.result.model.pooling.value})"


def bayes_factor(first: Fit, second: Fit) -> float:
    """How much more probable the data are under the first fit than under the second, priors and all.

    exp of the difference of `Fit.log_evidence`. It depends on the widths of the priors: ask `Fit.sensitivity`, set the
    priors that matter. Kass and Raftery (1995) call 3 to 20 positive, 20 to 150 strong evidence.

    Raises
    ------
    DataError : for fits of different data.
    SamplingError : where a sampler does not estimate the evidence.
    """
    for fit in (first, second):
        if not isinstance(fit, Fit):
            raise DataError(f"bayes_factor takes two fits, not {type(fit).__name__}.")
    rows = [fit.result.model.statistics.rows for fit in (first, second)]
    if rows[0] != rows[1]:
        raise DataError(f"The fits are of {rows[0]:,} and {rows[1]:,} rows: their evidences are of different data.")
    mine, theirs = _observed_in(first), _observed_in(second)
    apart = difference(mine, theirs)
    if apart is not None:
        what, _ = apart
        means = [float(each[what][0] / rows[0]) for each in (mine, theirs)]
        raise DataError(f"The fits are of different outcomes: {what} is {means[0]:.6g} and {means[1]:.6g} on average.")
    return math.exp(min(first.log_evidence - second.log_evidence, 700.0))


def _observed_in(fit: Fit) -> Observed:
    """What was observed, summed over all rows; as far as statistics say where rows are not in memory."""
    model = fit.result.model
    if fit.rows is not None:
        return of_groups(fit.rows, model.family, np.zeros(len(fit.rows.codes), dtype=np.int64), 1)
    total = model.statistics.merged()
    return of_cells(model, total, np.zeros(len(total.counts), dtype=np.int64), 1)
