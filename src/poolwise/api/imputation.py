"""Multiple imputation: a fit of each completed table, and their draws together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.api.fitted_model import Fit
from poolwise.api.fitting import fit
from poolwise.families import Family
from poolwise.families.links import LOG, LOGIT
from poolwise.formula import Functions
from poolwise.inference.posterior import Model
from poolwise.output.tables.summary import flatten, interval_names
from poolwise.samplers.settings import check_interval, check_seed
from poolwise.support.digits import in_text
from poolwise.support.errors import DataError, FormulaError
from poolwise.support.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from poolwise.priors import Prior


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImputedFit:
    """Fits of the same model to several completed tables; together their draws are the posterior given what was seen.

    Attributes
    ----------
    fits : of each table.
    """

    fits: tuple[Fit, ...]

    def summary(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Mean, sd and interval of each parameter over all draws, and `between`: which share of its variance is that of
        the means between tables, and so due to what is missing.

        Of m tables the variance between them counts (1 + 1 / m) times, as in Rubin 1987.
        """
        import pandas as pd

        flat = [dict(flatten(one.result, groups=False)) for one in self.fits]
        tail = (1 - check_interval(interval)) / 2
        lines = []
        for name in flat[0]:
            drawn = np.array([each[name].ravel() for each in flat])
            pooled = _pooled(drawn[..., None], tail, _scale_of_parameter(name, self.fits[0].result.dispersions))
            lines.append([*(float(each[0]) for each in pooled)])
        names = ["mean", "sd", *interval_names(interval), "between"]
        return pd.DataFrame(lines, pd.Index(list(flat[0]), name="parameter"), names)

    @property
    def posterior(self) -> xr.Dataset:
        """All draws, the chains of the tables one after the other; of groups that all tables have."""
        import xarray as xr

        parts = [one.posterior for one in self.fits]
        moved = [part.assign_coords(chain=part["chain"] + k * part.sizes["chain"]) for k, part in enumerate(parts)]
        return xr.concat(moved, dim="chain", join="inner")

    def predict(
        self, new_data: Any, *, kind: str = "mean", new_groups: str = "error", interval: float = 0.9
    ) -> pd.DataFrame:
        """Predictions for new rows, over the draws of all fits: mean, sd and interval of each row.

        Raises
        ------
        DataError : as `Fit.predict` does.
        """
        import pandas as pd

        each = [one.predict(new_data, kind=kind, new_groups=new_groups, draws=True).values for one in self.fits]
        if each[0].ndim != 3:
            raise DataError("Predictions of several quantities are not pooled yet; ask each of the fits.")
        drawn = np.array([one.reshape(-1, one.shape[-1]) for one in each])
        # New outcomes are taken as they are drawn.
        scales = {"mean": _scale_of(self.fits[0].result.model.family), "response": None}
        on = scales.get(kind, _AS_THEY_ARE)
        figures = _pooled(drawn, (1 - check_interval(interval)) / 2, on)[:-1]
        table = self.fits[0].predict(new_data, kind=kind, new_groups=new_groups, interval=interval)
        names = table.columns[-len(figures) :]  # a predictor called mean keeps its name, and ours gets another
        return pd.DataFrame(table).assign(**dict(zip(names, figures, strict=True)))

    def __repr__(self) -> str:
        passed = sum(one.outcome.passed for one in self.fits)
        how = "all certified" if passed == len(self.fits) else f"{len(self.fits) - passed} of them not certified"
        return (
            f"{len(self.fits)} completed tables: {self.fits[0].formula}\n\n"
            f"{in_text(self.summary()).to_string()}\n\n"
            f"{len(self.fits)} fits, {how}. between: share of the variance that is due to what is missing."
        )


OnScale = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]  # to a scale, and back
_AS_THEY_ARE: OnScale = (np.asarray, np.asarray)
_LOGS: OnScale = (np.log, np.exp)
_OF_CORRELATIONS: OnScale = (np.arctanh, np.tanh)
_LOG_ODDS: OnScale = (lambda p: np.log(p) - np.log1p(-p), lambda x: np.exp(-np.logaddexp(0.0, -x)))


def _scale_of_parameter(name: str, dispersions: Iterable[str]) -> OnScale:
    """On which a parameter has no ends, by what its name says it is."""
    if name.startswith("cor_"):
        return _OF_CORRELATIONS
    if name.startswith(("simplex_", "share_")):
        return _LOG_ODDS
    return _LOGS if name.startswith("sd_") or name in dispersions else _AS_THEY_ARE


def _scale_of(family: Family) -> OnScale:
    """On which the mean of a family has no ends."""
    if family.scale is LOGIT:
        return _LOG_ODDS
    return _LOGS if family.scale is LOG else _AS_THEY_ARE


def _pooled(drawn: np.ndarray, tail: float, on: OnScale | None) -> tuple[np.ndarray, ...]:
    """Mean, sd, both ends of an interval and the share of the variance between tables, (n,) each, of draws (m, s, n) of
    m tables, by Rubin's (1987) rules.

    Of so few tables the variance between them counts (1 + 1 / m) times and is itself uncertain: on a scale without ends
    quantiles of all draws are moved away from the mean, as a Student-t distribution with Rubin's degrees of freedom
    lies wider than a normal one; without a scale they are taken as they are.
    """
    from scipy.stats import norm, t

    count = len(drawn)
    mean, within = drawn.mean(axis=(0, 1)), drawn.var(axis=1, ddof=1).mean(axis=0)
    between = (1 + 1 / count) * drawn.mean(axis=1).var(axis=0, ddof=1)
    total = within + between
    with np.errstate(divide="ignore", invalid="ignore"):  # of what is certain, and so without a spread, or at an end
        share = np.where(total > 0, between / total, 0.0)
        if on is None:
            return mean, np.sqrt(total), *np.quantile(drawn, [tail, 1 - tail], axis=(0, 1)), share
        freedom = (count - 1) / np.square(np.maximum(share, 1e-8))
        wider = t.isf(tail, np.minimum(freedom, 1e12)) / norm.isf(tail)
        wider *= np.sqrt(np.where(total > 0, total / drawn.var(axis=(0, 1)), 1.0))
        scaled = on[0](drawn)
        ends, middle = np.quantile(scaled, [tail, 1 - tail], axis=(0, 1)), scaled.mean(axis=(0, 1))
        low, high = on[1](np.where(np.isfinite(middle), middle + wider * (ends - middle), ends))
    return mean, np.sqrt(total), low, high, share


def _check_categories(models: Sequence[Model]) -> None:
    """Refuse tables whose categories differ: coefficients of one name would be differences from other references."""
    first, *others = (_categories(model) for model in models)
    for k, other in enumerate(others, start=2):
        for factor in first.keys() | other.keys():
            if first.get(factor) != other.get(factor):
                one, two = (", ".join(map(str, each.get(factor, ()))) or "none" for each in (first, other))
                raise DataError(
                    f"'{factor}' has the categories {one} in table 1 and {two} in table {k}: their coefficients are "
                    "other differences. Every completed table must have rows of all categories, in one order."
                )


def _categories(model: Model) -> dict[str, Any]:
    """Categories by factor of the formula."""
    states = [item for part in model.encoding.specs._flatten() for item in part.encoder_state.items()]
    return {str(factor): list(state["categories"]) for factor, (_, state) in states if "categories" in state}


def fit_imputed(
    formula: str | Sequence[str],
    frames: Sequence[Any],
    *,
    family: str | Family = "gaussian",
    link: str | None = None,
    priors: Mapping[str, Prior] | None = None,
    weights: str | None = None,
    functions: Functions | None = None,
    tables: Mapping[str, Any] | None = None,
    draws: int = 1000,
    chains: int = 4,
    seed: int | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> ImputedFit:
    """Fit each of several completed tables and put their draws together (Rubin 1987; Zhou and Reiter 2010).

    Parameters
    ----------
    frames : completed tables, two or more, with the same columns: the imputations of one table with missing values.
    seed : the tables have seeds of their own that follow from it.
    formula, family, link, priors, weights, functions, tables, draws, chains, threads, progress : as in `fit`. Default
        priors are scaled to each table, and curves have the knots of each.

    Raises
    ------
    DataError, FormulaError : for fewer than two tables, and as `fit` does, with the table that it was.
    """
    if isinstance(frames, (str, bytes)) or not isinstance(frames, Sequence) or len(frames) < 2:
        raise DataError("fit_imputed takes a list of two completed tables or more; `fit` takes one.")
    base = None if seed is None else check_seed(seed)
    found = []
    for k, frame in enumerate(frames):
        progress(f"table {k + 1} of {len(frames)}", k / len(frames))
        try:
            found.append(
                fit(
                    formula,
                    frame,
                    family=family,
                    link=link,
                    priors=priors,
                    weights=weights,
                    functions=functions,
                    tables=tables,
                    draws=draws,
                    chains=chains,
                    seed=None if base is None else base + k,
                    threads=threads,
                    missing="error",
                )
            )
        except (DataError, FormulaError) as error:
            raise type(error)(f"In table {k + 1} of {len(frames)}: {error}") from error
    _check_categories([one.result.model for one in found])
    rows = {one.result.model.statistics.rows for one in found}
    if len(rows) > 1:
        raise DataError(f"The tables have {min(rows):,} to {max(rows):,} rows: imputations of one table have the same.")
    return ImputedFit(tuple(found))
