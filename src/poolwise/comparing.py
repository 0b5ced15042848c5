"""The face of comparing: `compare(a, b)` ranks fits by how they predict what they have not seen."""

from __future__ import annotations

from poolwise.errors import DataError
from poolwise.fitted import Fit
from poolwise.judge.leave_out.comparison import Comparison, compare_records
from poolwise.progress import Progress, silent


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
    labels = [text if unnamed.count(text) == 1 else f"{text} [{i}]" for i, text in enumerate(unnamed, start=1)]
    everyone = dict(zip(labels, fits, strict=True)) | named
    for fit in everyone.values():
        if not isinstance(fit, Fit):
            raise DataError(
                f"compare takes fits, not {type(fit).__name__}: compare(fit_a, fit_b) or compare(name=fit)."
            )
    if len(everyone) < 2:
        raise DataError("compare takes two fits or more.")
    records = {name: fit.loo(by=by, progress=progress) for name, fit in everyone.items()}
    return compare_records(records, {name: fit.outcome.log_evidence for name, fit in everyone.items()})
