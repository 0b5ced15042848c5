"""Which conclusions depend on a prior: the fit again with that prior narrower and wider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design.factors import Factor
from poolwise.evaluate.parallel_refits import refit_all
from poolwise.families import FAMILIES
from poolwise.inference.posterior import Posterior
from poolwise.samplers import SamplerSettings
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_DISPERSIONS = {each.name for family in FAMILIES.values() for each in family.parameters if each.prior is not None}
SCALES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sensitivity:
    """A fit under a prior of several widths.

    Attributes
    ----------
    term : whose prior was widened.
    table : one line for each width (`times` the fitted one) and quantity: `mean`, `sd`, interval, `above_zero`.
    ranks : one line for each width and group, by their first effect, the highest first; empty without groups.
    """

    term: str
    table: pd.DataFrame
    ranks: pd.DataFrame

    @property
    def conclusions(self) -> list[str]:
        """In sentences: which signs and ranks hold at every width, and where they begin to change."""
        names = [name for name in dict.fromkeys(self.table["quantity"]) if not name.startswith("sd_")]
        said = [_sign(name, self.table[self.table["quantity"] == name]) for name in names]
        if len(self.ranks):
            said.append(self._ranks())
        return said

    def _ranks(self) -> str:
        group = self.ranks.columns[1]
        wide = self.ranks.pivot(index=group, columns="times", values="rank")
        moved = (wide.max(axis=1) - wide.min(axis=1)).sort_values(ascending=False)
        first = moved.index[0]
        low, high = wide.loc[first].min(), wide.loc[first].max()
        if not moved.iloc[0]:
            return f"The order of the {len(wide)} groups of {group} is the same at every width."
        settled = int((moved == 0).sum())
        return (
            f"Of {len(wide)} groups of {group}, {settled} keep their rank at every width; {first} moves most, "
            f"from {low} to {high}."
        )

    def __repr__(self) -> str:
        wide = self.table.pivot(index="quantity", columns="times", values="mean")
        wide = wide.loc[list(dict.fromkeys(self.table["quantity"]))].rename(columns=lambda scale: f"x {scale:.3g}")
        shown = wide.to_string(float_format=lambda value: f"{value:.3g}")
        lines = "\n".join(self.conclusions)
        return f"Posterior means with the prior of '{self.term}' so many times as wide\n{shown}\n\n{lines}"


def sensitivity(
    posterior: Posterior,
    term: str,
    scales: Sequence[float],
    factor: Factor | None,
    groups: np.ndarray,
    settings: SamplerSettings,
    *,
    interval: float,
    threads: int,
) -> Sensitivity:
    """Refit with the prior of `term` at every scale.

    Parameters
    ----------
    term : as in `priors=`: a coefficient, `slopes`, `sd`, `sd_county`, `sd_county[floor]`, `sigma`.
    scales : factors of the prior's width.
    factor, groups : whose groups are ranked, and positions of those that are shown.
    """
    import pandas as pd

    listed = isinstance(scales, Sequence) and not isinstance(scales, str)
    if not listed or not all(isinstance(scale, (int, float, np.number)) and 0 < scale < np.inf for scale in scales):
        raise DataError(f"scales must be a list of positive numbers, not {scales!r}.")
    times = sorted({float(scale) for scale in scales} | {1.0})
    model = posterior.model
    models = [replace(model, priors=model.priors.widened(term, scale)) for scale in times]
    refits = refit_all(models, settings, threads, f"widening the prior of {term}", settings.progress)
    lines, ranks = [], []
    for scale, refit in zip(times, refits, strict=True):
        lines += [[scale, *line] for line in _quantities(refit, interval)]
        if factor is not None:
            ranks.append(_ranked(refit, factor, groups).assign(times=scale))
    tail = (1 - interval) / 2
    names = ["times", "quantity", "mean", "sd", f"{100 * tail:g}%", f"{100 * (1 - tail):g}%", "above_zero"]
    ranking = pd.concat(ranks, ignore_index=True) if ranks else pd.DataFrame()
    if ranks:
        ranking = ranking[["times", *(name for name in ranking if name != "times")]]
    return Sensitivity(term, pd.DataFrame(lines, columns=names), ranking)


def _quantities(posterior: Posterior, interval: float) -> list[list[object]]:
    """Name, mean, sd, ends of the interval and share above zero of the population's parameters."""
    coordinates = posterior.coordinates()
    found: list[list[object]] = []
    for name, variable in posterior.variables(groups=False).items():
        flat = variable.values.reshape(posterior.chains * posterior.draws, -1)
        labels = [name]
        if variable.dims:
            grids = np.meshgrid(*(np.asarray(coordinates[dim], dtype=object) for dim in variable.dims), indexing="ij")
            labels = [f"{name}[{', '.join(map(str, each))}]" for each in zip(*(g.ravel() for g in grids), strict=True)]
        if name.startswith("cor_"):
            continue
        if name == "beta":  # but coefficients of curves, of which none has a meaning alone
            plain = ~np.resize(posterior.model.design.penalised, len(labels))
            labels, flat = [one for one, kept in zip(labels, plain, strict=True) if kept], flat[:, plain]
        for factor in posterior.model.design.factors:
            if name == f"sd_{factor.name}" and factor.structures:  # sds that follow other numbers
                own = ~factor.tied
                labels, flat = [one for one, kept in zip(labels, own, strict=True) if kept], flat[:, own]
        for label, values in zip(labels, flat.T, strict=True):
            low, high = np.quantile(values, [(1 - interval) / 2, (1 + interval) / 2])
            found.append([label, values.mean(), values.std(ddof=1), low, high, float(np.mean(values > 0))])
    return found


def _ranked(posterior: Posterior, factor: Factor, groups: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    estimate = posterior.offsets(factor).mean()[:, 0]
    rank = np.empty(len(estimate), dtype=int)
    rank[np.argsort(-estimate, kind="stable")] = np.arange(1, len(estimate) + 1)
    return pd.DataFrame({factor.name: factor.levels[groups], "rank": rank[groups]})


def _sign(name: str, lines: pd.DataFrame) -> str:
    """At which widths an interval excludes zero, in a sentence."""
    low, high = lines.columns[4], lines.columns[5]
    sure = (lines[low] > 0) | (lines[high] < 0)
    positive = lines["mean"] > 0
    widths = f"from {lines['times'].min():.3g} to {lines['times'].max():.3g} times the prior's width"
    if name in _DISPERSIONS or name.startswith(("simplex_", "share_")):
        return f"{name} goes from {lines['mean'].min():.3g} to {lines['mean'].max():.3g}."
    if sure.all() and positive.nunique() == 1:
        return f"{name} is {'positive' if positive.iloc[0] else 'negative'} {widths}."
    if not sure.any():
        return f"The sign of {name} is open {widths}."
    if positive[sure].nunique() > 1:
        at = {
            sign: ", ".join(f"{scale:.3g}" for scale in lines.loc[sure & (positive == sign), "times"])
            for sign in (0, 1)
        }
        return f"The sign of {name} turns: it is negative at {at[0]}, and positive at {at[1]} times the prior's width."
    where = ", ".join(f"{scale:.3g}" for scale in lines.loc[~sure, "times"])
    return f"{name} is {'positive' if positive[sure].iloc[0] else 'negative'}, except that its sign is open at {where}."
