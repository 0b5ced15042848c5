"""Numbers of a posterior as labelled tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design.factors import Factor
from poolwise.evaluate.shrinkage import prior_only, shrinkage
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.errors import DataError
from poolwise.support.naming import with_columns
from poolwise.support.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd


def interval_names(interval: float) -> tuple[str, str]:
    """Column names such as ("5%", "95%") for the ends of a central interval."""
    if not 0 < interval < 1:
        raise DataError(f"interval must lie between 0 and 1, not {interval!r}.")
    low = 100 * (1 - interval) / 2
    return f"{low:g}%", f"{100 - low:g}%"


def flatten(posterior: Posterior, *, groups: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Name and draws (chains, draws) of every scalar; `groups` adds the coefficients of each group and of the curves of
    smooth terms."""
    coordinates = posterior.coordinates()
    factors = {factor.name: posterior.dimension(factor) for factor in posterior.model.design.factors}
    for name, variable in posterior.variables(groups=groups or posterior.model.pooling is Pooling.SEPARATE).items():
        kind, _, of = name.partition("_")
        by_group = of in factors and variable.dims[:1] == (factors[of],)
        if (by_group and not groups) or (kind == "u" and by_group):
            continue
        labels = [list(coordinates[dim]) for dim in variable.dims]
        hidden = _hidden(posterior, name, groups=groups)
        for place in product(*(range(len(each)) for each in labels)):
            if hidden.any() and hidden[place[-1 if by_group else 0]]:
                continue
            if kind == "cor" and of in factors and not _modelled(posterior, of, place):
                continue
            picked = [str(each[i]) for each, i in zip(labels, place, strict=True)]
            where: Any = (slice(None), slice(None), *place)
            yield (f"{name}[{', '.join(picked)}]" if picked else name), variable.values[where]


def _hidden(posterior: Posterior, name: str, *, groups: bool) -> np.ndarray:
    """Which entries of a variable are coefficients of structured terms, or sds that follow other numbers."""
    design = posterior.model.design
    if name == "beta":
        return np.zeros(0, dtype=bool) if groups else design.penalised
    kind, _, of = name.partition("_")
    found = [factor.tied for factor in design.factors if factor.name == of and kind in ("sd", "coef")]
    return found[0] if found and not (groups and kind == "coef") else np.zeros(0, dtype=bool)


def _modelled(posterior: Posterior, factor: str, pair: tuple[int, ...]) -> bool:
    """Whether a correlation stands below the diagonal and is a parameter."""
    starts = posterior.model.design.factor(factor).starts
    return pair[0] > pair[1] and starts[pair[0]] == starts[pair[1]]


def summary(
    posterior: Posterior, *, groups: bool = False, interval: float = 0.9, diagnostics: bool = True
) -> pd.DataFrame:
    """Mean, sd, central interval, effective sample sizes and R-hat of each parameter.

    Parameters
    ----------
    groups : also list the coefficients of each group. Without pooling there is nothing else, so they always are.
    diagnostics : whether to add effective sample sizes and R-hat; importing arviz-stats for them costs many fits.
    """
    import pandas as pd

    groups = groups or posterior.model.pooling is Pooling.SEPARATE
    names, columns = zip(*flatten(posterior, groups=groups), strict=True)
    draws = np.stack(columns)
    low, high = interval_names(interval)
    ends = np.quantile(draws, [(1 - interval) / 2, (1 + interval) / 2], axis=(1, 2))
    columns_of_table = {
        "mean": draws.mean(axis=(1, 2)),
        "sd": draws.std(axis=(1, 2), ddof=1),
        low: ends[0],
        high: ends[1],
    }
    if diagnostics:
        from arviz_stats.base import array_stats

        columns_of_table |= {
            "ess_bulk": array_stats.ess(draws, chain_axis=1, draw_axis=2, method="bulk"),
            "ess_tail": array_stats.ess(draws, chain_axis=1, draw_axis=2, method="tail", prob=0.9),
            "r_hat": array_stats.rhat(draws, chain_axis=1, draw_axis=2),
        }
    return pd.DataFrame(columns_of_table, index=pd.Index(names, name="parameter"))


def group_table(
    posterior: Posterior,
    factor: Factor,
    groups: np.ndarray | None = None,
    *,
    interval: float = 0.9,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Coefficients of a factor's groups at some positions, all by default: one row for each group and effect.

    Columns: `group`, `effect`, `n` rows, `mean` (posterior), `sd`, interval, `shrinkage` (0: the group
    speaks for itself, 1: all from the pool) and `prior_only`, true where the group's own rows cannot tell this
    coefficient. Effects of a structured term, `(s(x) | g)`, are left out beside others. Draws are summarised block by
    block, so a million groups need no room for their draws.
    """
    import pandas as pd

    model = posterior.model
    chosen = np.arange(len(factor.levels)) if groups is None else np.asarray(groups)
    rows = np.bincount(factor.codes, model.statistics.counts, len(factor.levels))
    low, high = interval_names(interval)
    ends = ((1 - interval) / 2, (1 + interval) / 2)
    if groups is None and posterior.u:
        common = posterior.common_part(factor).reshape(-1, len(factor.effects))
        parts = posterior.offsets(factor).map_blocks(
            lambda _, draws: _summarised(draws + common[:, :, None], ends), progress, "summarising groups"
        )
        figures, names = np.concatenate(parts, axis=1), factor.effects
    else:
        names, draws = posterior.coefficients(factor, groups)
        figures = _summarised(draws.reshape(-1, *draws.shape[2:]).transpose(0, 2, 1), ends)
    shown = np.ones(len(names), dtype=bool)
    if factor.structures and not factor.tied.all():  # columns of a curve say little
        shown = ~factor.tied
    names, figures = tuple(np.array(names, dtype=object)[shown]), figures[:, :, shown]
    q = len(names)
    ours = {
        "effect": np.tile(names, len(chosen)),
        "n": np.repeat(rows[chosen].astype(int), q),
        **{name: column.ravel() for name, column in zip(("mean", "sd", low, high), figures, strict=True)},
        "shrinkage": shrinkage(posterior, factor)[chosen][:, shown].ravel(),
        "prior_only": prior_only(model, factor)[chosen][:, shown].ravel(),
    }
    return pd.DataFrame({"group": np.repeat(factor.levels[chosen], q), **ours})


def group_coefficients(
    posterior: Posterior,
    factor: Factor,
    groups: np.ndarray | None = None,
    *,
    interval: float = 0.9,
    progress: Progress = silent,
) -> pd.DataFrame:
    """The table of `group_table` with the groups under the name of their factor, before which other names give way."""
    table = group_table(posterior, factor, groups, interval=interval, progress=progress)
    ours = {str(name): column for name, column in table.items() if name != "group"}
    return with_columns(table[["group"]].set_axis([factor.name], axis=1), ours)


def _summarised(draws: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Mean, sd and two quantiles of draws (m, q, groups), (4, groups, q)."""
    ordered = np.sort(draws.transpose(2, 1, 0), axis=-1)  # sorted once; then any quantile is a look-up
    last = ordered.shape[-1] - 1
    found = [ordered.mean(axis=-1), ordered.std(axis=-1, ddof=1)]
    for share in ends:
        at = int(share * last)
        rest = share * last - at
        found.append((1 - rest) * ordered[..., at] + rest * ordered[..., min(at + 1, last)])
    return np.array(found)
