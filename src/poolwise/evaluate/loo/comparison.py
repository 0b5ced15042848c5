"""Which of several fits predicts best what it has not seen, and by how much more than chance would have it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolwise.evaluate.loo.elpd import GOOD_K, LeaveOut
from poolwise.evaluate.loo.observed import difference
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_UNSURE = 0.1  # share of units of bad weight from which a difference is not believed
_SMALL = 4.0  # elpd, below which standard errors of differences are not to be relied on


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison:
    """Fits ranked by expected log predictive density.

    Attributes
    ----------
    records : what each fit predicts, by the fit's name.
    table : one line for each fit, the best first: `elpd`, its standard error, the difference from the best with the
        standard error of that, the stacking weight (Yao, Vehtari, Simpson and Gelman 2018), log evidence. Between fits
        that predict alike, stacking weights are arbitrary.
    """

    records: Mapping[str, LeaveOut]
    table: pd.DataFrame

    @property
    def verdict(self) -> str:
        """The comparison in a sentence.

        A fit is clearly worse where the difference is larger than twice its standard error and than 4: the error of
        smaller differences is itself not known well (Sivula, Magnusson, Matamoros and Vehtari 2020).
        """
        best, *others = self.table.index
        if not others:
            return f"{best} is alone."
        unit = next(iter(self.records.values())).unit
        said = []
        for name in others:
            line = self.table.loc[name]
            apart = abs(line["elpd_diff"]) > max(2 * line["diff_se"], _SMALL)
            close = "clearly worse" if apart else "not told apart"
            if apart and max(_unsure(self.records[each]) for each in (name, best)) > _UNSURE:
                close = f"unsure, as many Pareto k-hats are above {GOOD_K}: leave out by refitting, fit.kfold()"
            said.append(f"{name} ({line['elpd_diff']:.1f} ± {line['diff_se']:.1f}: {close})")
        return f"On each {unit} left out, {best} predicts best; against it: {', '.join(said)}."

    def __repr__(self) -> str:
        return f"{self.table.to_string(float_format=lambda value: f'{value:.2f}')}\n\n{self.verdict}"

    def _repr_html_(self) -> str:
        from html import escape

        table = self.table.to_html(float_format=lambda value: f"{value:.2f}", border=0)
        return f"<div>{table}<p>{escape(self.verdict)}</p></div>"


def _unsure(record: LeaveOut) -> float:
    """Share of the units whose weights cannot be trusted and that were not refitted."""
    return float(np.mean((record.pareto_k > GOOD_K) & ~record.refitted))


def compare_records(records: Mapping[str, LeaveOut], evidences: Mapping[str, float | None]) -> Comparison:
    """Rank fits of the same rows.

    Raises
    ------
    DataError : when they are of different data, naming the difference.
    """
    import pandas as pd
    from arviz_stats import compare

    names = list(records)
    for name in names[1:]:
        check_same_data(names[0], records[names[0]], name, records[name])
    weights = compare({name: to_arviz(record) for name, record in records.items()})["weight"]
    best = max(records.values(), key=lambda record: record.elpd)
    columns = {
        "elpd": pd.Series({name: record.elpd for name, record in records.items()}),
        "se": pd.Series({name: record.se for name, record in records.items()}),
        "elpd_diff": pd.Series({name: record.elpd - best.elpd for name, record in records.items()}),
        "diff_se": pd.Series({name: difference_se(record, best) for name, record in records.items()}),
        "weight": weights.astype(float),
        "log_evidence": pd.Series(evidences, dtype=float),
        f"k_above_{GOOD_K}": pd.Series({name: int(np.sum(one.pareto_k > GOOD_K)) for name, one in records.items()}),
    }
    table = pd.DataFrame(columns).sort_values("elpd", ascending=False).rename_axis("model")
    return Comparison(dict(records), table)


def difference_se(one: LeaveOut, other: LeaveOut) -> float:
    """Standard error of the difference of two elpds: units are shared, so their differences are what varies; Monte
    Carlo errors add to it, and where only a part of the units was left out, that does too."""
    if len(one.elpd_i) < 2:
        return math.nan
    between = math.sqrt(one.total) * float((one.elpd_i - other.elpd_i).std(ddof=1))
    if one is other:
        return between
    errors = [each.error for each in (one, other) if not math.isnan(each.error)]
    return math.hypot(between, one.subsampling_se, other.subsampling_se, *errors)


def check_same_data(first: str, one: LeaveOut, second: str, other: LeaveOut) -> None:
    """Refuse to compare fits of different outcomes or rows, or of outcomes that count or are known differently."""
    if one.unit != other.unit:
        raise DataError(f"'{first}' leaves out each {one.unit}, but '{second}' each {other.unit}.")
    if one.total != other.total:
        what = "rows" if one.unit == "row" else "groups"
        raise DataError(
            f"'{first}' is a fit of {one.total:,} {what}, but '{second}' of {other.total:,}: fits can be compared on "
            "the same data only. Rows with missing values in a column that only one formula uses do this."
        )
    if not np.array_equal(one.labels, other.labels):
        raise DataError(f"'{first}' and '{second}' are fits of different {one.unit}s.")
    apart = difference(one.observed, other.observed)
    if apart is not None:
        what, i = apart
        raise DataError(
            f"'{first}' and '{second}' are fits of different outcomes: in {one.unit} {one.labels[i]} {what} "
            f"{'is' if one.unit == 'row' else 'adds up to'} {one.observed[what][i]:.6g} and "
            f"{other.observed[what][i]:.6g}."
        )


def to_arviz(record: LeaveOut) -> object:
    """The record as arviz-stats keeps it: `ELPDData`, or its class for leave-one-out where there is one (from 1.3)."""
    import xarray as xr
    from arviz_stats import utils

    coordinates = {record.unit: record.labels}
    elpd, shapes = (xr.DataArray(each, coordinates, (record.unit,)) for each in (record.elpd_i, record.pareto_k))
    fields = {
        "elpd": record.elpd,
        "se": record.se,
        "p": record.p_loo or 0.0,
        "n_samples": 1_000,
        "n_data_points": len(record.labels),
        "scale": "log",
        "warning": bool(record.bad),
        "good_k": GOOD_K,
        "elpd_i": elpd,
        "pareto_k": shapes,
    }
    of_loo = getattr(utils, "ELPDDataLOO", None)
    return of_loo(**fields) if of_loo is not None else utils.ELPDData(kind="loo", **fields)
