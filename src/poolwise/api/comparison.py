"""`compare(a, b)` ranks fits by how they predict what they have not seen."""

from __future__ import annotations

import math

from poolwise.api.fitted_model import Fit
from poolwise.evaluate.loo.comparison import Comparison, compare_records
from poolwise.support.errors import DataError
from poolwise.support.progress import Progress, silent


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
    records = {name: fit.loo(by=by, progress=progress) for name, fit in everyone.items()}
    return compare_records(records, {name: fit.outcome.log_evidence for name, fit in everyone.items()})


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
    one, other = (fit.result.model.statistics.merged() for fit in (first, second))
    if one.rows != other.rows:
        raise DataError(f"The fits are of {one.rows:,} and {other.rows:,} rows: their evidences are of different data.")
    models = first.result.model, second.result.model
    outcomes = [each.design.response for each in models]
    if outcomes[0] != outcomes[1] and models[0].encoding.weights != models[1].encoding.weights:
        raise DataError(f"The fits are of different outcomes, '{outcomes[0]}' and '{outcomes[1]}'.")
    if any(each.design.formula.offsets for each in models) or models[0].encoding.weights != models[1].encoding.weights:
        return _ratio(first, second)  # statistics have weights, and outcomes less offsets: they do not tell these apart
    (mine, mine_spread), (theirs, _) = (
        (total.means[0, -1] + total.origin[-1], total.scatter[0, -1, -1]) for total in (one, other)
    )
    if abs(mine - theirs) > 1e-9 * max(abs(mine), abs(theirs), math.sqrt(mine_spread / max(one.rows, 1))):
        raise DataError(f"The fits are of different outcomes, whose means are {mine:.6g} and {theirs:.6g}.")
    return _ratio(first, second)


def _ratio(first: Fit, second: Fit) -> float:
    return math.exp(min(first.log_evidence - second.log_evidence, 700.0))
