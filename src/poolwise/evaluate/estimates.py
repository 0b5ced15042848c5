"""Averages of contrasts over rows, as tables and draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.evaluate.draw_summaries import summaries
from poolwise.evaluate.hypotheses import Contrasted, contrasts_of
from poolwise.evaluate.marginal_effects import Contrast
from poolwise.inference.posterior import Posterior
from poolwise.samplers.settings import check_interval
from poolwise.support.digits import in_text
from poolwise.support.errors import DataError, suggest
from poolwise.support.naming import beside

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_SHOWN = 20  # lines of a table that are printed
_KEPT = 1 << 28  # numbers: 2 GB

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Estimates:
    """Quantities computed from predictions.

    Attributes
    ----------
    table : one line for each quantity: what it is of, `mean` (posterior), `sd`, interval; of comparisons, slopes and
        hypotheses `above_zero`, the probability to be (of ratios `above_one`); with `equivalence`, the probabilities to
        lie `below`, `inside` and `above` it.
    draws : (chain, draw, quantity), in the order of the table.
    told : how many columns, the first ones, say what a line is of.
    interval : probability of the interval.
    equivalence : the range whose values are as good as equal, None for none.
    words : what groups the estimates are of.
    """

    table: pd.DataFrame
    draws: xr.DataArray
    told: int
    interval: float = 0.9
    equivalence: Range | None = None
    words: str = ""

    def __repr__(self) -> str:
        shown = in_text(self.table.head(_SHOWN)).to_string(index=False)
        return shown + self._rest()

    def _repr_html_(self) -> str:
        shown = self.table.head(_SHOWN)
        return in_text(shown).to_html(index=False, border=0) + self._rest()

    def _rest(self) -> str:
        more = len(self.table) - _SHOWN
        rest = f"\n... {more:,} more; see .table" if more > 0 else ""
        return f"{rest}\n{self.words}" if self.words else rest

    def hypothesis(self, asked: str | Sequence[str]) -> Estimates:
        """Differences of these quantities, and other functions of them.

        Parameters
        ----------
        asked : "pairwise" for each less each one before it, "reference" for each less the first, "sequential" for each
            less the one before, "meandev" for each less their mean; `"pairwise | floor"` within the lines that share a
            column's value. Or an equation such as `"b2 = b1"`, `"b3 / b1 = 2"`, of which left less right is shown, with
            `b1` for the first line of the table; or a list of these.

        Raises
        ------
        DataError : for what cannot be read, or names no line.
        """
        import pandas as pd

        chains, draws, count = self.draws.shape
        drawn = self.draws.to_numpy().reshape(chains * draws, count)
        found = contrasts_of(self.table.iloc[:, : self.told], drawn, asked)
        _check_room(len(drawn), len(found))
        within = _shared(found)
        name = beside(within, ["hypothesis"])["hypothesis"]
        lines = pd.DataFrame({name: [one.text for one in found]} | within)
        values = np.column_stack([one.draws for one in found])
        table = pd.concat([lines, _measured(values, lines, self.interval, "above_zero", self.equivalence)], axis=1)
        return replace(self, table=table, draws=_labelled(values, chains, draws), told=lines.shape[1])


def _shared(found: Sequence[Contrasted]) -> dict[str, list[object]]:
    """The columns within whose values lines were compared."""
    names = dict.fromkeys(name for one in found for name in one.within)
    return {name: [one.within.get(name, "") for one in found] for name in names}


def estimate(
    posterior: Posterior,
    contrasts: list[Contrast],
    frame: pd.DataFrame,
    by: list[str] | None,
    *,
    weights: np.ndarray | None = None,
    interval: float = 0.9,
    equivalence: Range | None = None,
) -> Estimates:
    """Tables and draws of contrasts: of each row, or averaged over the rows that share the values of `by`.

    An empty `by` averages over all rows. `weights` (n,) are how many each row stands for.
    """
    import pandas as pd

    check_interval(interval)
    if not contrasts:
        raise DataError("There is no predictor to vary.")
    codes: np.ndarray
    if by is None:
        codes, lines = np.arange(len(frame), dtype=np.int64), frame.reset_index(drop=True)
    elif not by:
        codes, lines = np.zeros(len(frame), dtype=np.int64), pd.DataFrame(index=[0])
    else:
        codes, lines = _grouped(frame, by)
    shares = _shares(codes, len(lines), weights if by is not None else None)
    tables, draws = [], []
    _check_room(posterior.chains * posterior.draws, len(lines))
    for contrast in contrasts:
        averaged = contrast.averages(shares, codes, len(lines))
        tables.append(_described(averaged, lines, contrast, interval, equivalence))
        draws.append(averaged)
    labelled = _labelled(np.hstack(draws), posterior.chains, posterior.draws)
    told = lines.shape[1] + len(contrasts[0].labels)
    return Estimates(pd.concat(tables, ignore_index=True), labelled, told, interval, equivalence)


def _grouped(frame: pd.DataFrame, by: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    if len(set(by)) < len(by):
        raise DataError(f"by names a column twice: {', '.join(by)}.")
    for name in by:
        if name not in frame:
            raise DataError(f"There is no column '{name}' to average by. {suggest(name, map(str, frame.columns))}")
        if frame[name].isna().any():
            raise DataError(f"'{name}' is missing in some rows, which would be of no average.")
    grouped = frame.groupby(by, sort=True, observed=True)
    codes = grouped.ngroup().to_numpy(dtype=np.int64)
    _, first = np.unique(codes, return_index=True)
    return codes, frame[by].iloc[first].reset_index(drop=True)


def _shares(codes: np.ndarray, groups: int, weights: np.ndarray | None) -> np.ndarray:
    """(n,) share of each row in the average of its group."""
    weights = np.ones(len(codes)) if weights is None else weights
    totals = np.bincount(codes, weights, groups)
    if not (totals > 0).all():
        raise DataError("The weights of some average are all zero.")
    return np.asarray(weights / totals[codes])


def _check_room(draws: int, quantities: int) -> None:
    if draws * quantities > _KEPT:
        raise DataError(
            f"Draws of {quantities:,} quantities would not fit in memory; average them: by=[...] or avg_...()."
        )


def _described(
    drawn: np.ndarray, lines: pd.DataFrame, contrast: Contrast, interval: float, equivalence: Range | None
) -> pd.DataFrame:
    import pandas as pd

    measured = _measured(drawn, lines, interval, contrast.above if "term" in contrast.labels else "", equivalence)
    ours = beside(map(str, lines.columns), [*contrast.labels, *measured.columns])
    front = {ours[name]: [value] * len(lines) for name, value in contrast.labels.items()}
    return pd.concat([pd.DataFrame(front, index=lines.index), lines, measured.rename(columns=ours)], axis=1)


def _measured(
    drawn: np.ndarray, lines: pd.DataFrame, interval: float, above: str, equivalence: Range | None
) -> pd.DataFrame:
    """Columns of figures of draws (m, lines)."""
    import pandas as pd

    tail = (1 - interval) / 2
    names = ("mean", "sd", f"{100 * tail:g}%", f"{100 * (1 - tail):g}%")
    measured = dict(zip(names, summaries(drawn.T, tail).T, strict=True))
    if above:
        measured[above] = (drawn > (1.0 if above == "above_one" else 0.0)).mean(axis=0)
    if equivalence is not None:
        low, high = equivalence
        measured |= {"below": (drawn < low).mean(axis=0), "above": (drawn > high).mean(axis=0)}
        measured["inside"] = 1.0 - measured["below"] - measured["above"]
    return pd.DataFrame(measured, index=lines.index)


def _labelled(drawn: np.ndarray, chains: int, draws: int) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(drawn.reshape(chains, draws, -1), dims=("chain", "draw", "quantity"), name="estimate")
