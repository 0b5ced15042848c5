"""`model_table`: fits side by side, as modelsummary prints them."""

from __future__ import annotations

from poolwise.api.fitted_model import Fit
from poolwise.evaluate.variance_components import explained
from poolwise.output.tables import model_table as tables
from poolwise.output.tables.model_table import ModelTable
from poolwise.samplers.settings import check_count, check_interval
from poolwise.support.errors import DataError


def model_table(*fits: Fit, interval: float = 0.9, digits: int = 2, **named: Fit) -> ModelTable:
    """Parameters of the population of some fits side by side, with rows, groups and shares of variance at the foot.

    Parameters
    ----------
    fits, named : one or more; `model_table(pooled=a, partial=b)` names the columns.
    interval : probability of the intervals below the estimates.
    digits : after the point; more where an interval is narrower than that tells.

    Returns
    -------
    A table with `to_markdown`, `to_latex`, `to_html`, `to_gt` (Great Tables) and `to_word`; its `frame` has the texts.

    Raises
    ------
    DataError : for what is not a fit.
    """
    everyone = {f"({k})": fit for k, fit in enumerate(fits, start=1)} | named
    for fit in everyone.values():
        if not isinstance(fit, Fit):
            raise DataError(f"model_table takes fits, not {type(fit).__name__}: model_table(a, b) or (name=fit).")
    if not everyone:
        raise DataError("model_table takes one fit or more.")
    check_count("digits", digits, 0)
    shares = {name: explained(fit.result, fit.rows_or_counts) for name, fit in everyone.items()}
    posteriors = {name: fit.result for name, fit in everyone.items()}
    return tables.model_table(posteriors, shares, check_interval(interval), digits)
