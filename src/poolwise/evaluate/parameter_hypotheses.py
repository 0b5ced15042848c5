"""Hypotheses about the parameters of a fit: `floor < 0`, `sd_county[Intercept] > sd_county[floor]`, `x = 0`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolwise.evaluate.hypotheses import Hypothesis, read_hypothesis
from poolwise.evaluate.savage_dickey import DensityRatio, density_ratio
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    Scalars = Callable[[bool], dict[str, np.ndarray]]

_TRIED = 8  # random points at which a function is compared with a sum


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Hypotheses:
    """What the posterior says of statements about parameters.

    Attributes
    ----------
    table : a line for each: `mean`, `sd` and interval of left less right; `probability` that an inequality holds and
        its `odds`; of an equation the `bayes_factor` in its favour and the Monte Carlo `error` of that, with the
        `probability` that it has where it was as probable as not beforehand.
    """

    table: pd.DataFrame

    def __repr__(self) -> str:
        return self.table.dropna(axis=1, how="all").to_string(index=False, float_format=lambda value: f"{value:.4g}")

    def _repr_html_(self) -> str:
        shown = self.table.dropna(axis=1, how="all")
        return shown.to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}")


def judge(posterior: Posterior, asked: Sequence[str], scalars: Scalars, interval: float) -> Hypotheses:
    """The table of some hypotheses.

    Parameters
    ----------
    scalars : gives draws (chains, draws) of every scalar by name, with those of groups where its argument is true.

    Raises
    ------
    DataError : for what cannot be read, and for an equation that is not of sums of common coefficients.
    """
    import pandas as pd

    tail = (1 - interval) / 2
    low, high = f"{100 * tail:g}%", f"{100 * (1 - tail):g}%"
    lines = []
    for text in asked:
        draws = _named(posterior, scalars(bool(re.search(r"\bcoef_", str(text)))))
        if not draws:
            raise DataError("Without pooling there are only coefficients of groups: 'coef_g[label, x] > 0'.")
        read = read_hypothesis(text, draws)
        _refuse_shared(posterior, read)
        apart = read.difference(lambda name, known=draws: known[name].ravel())  # type: ignore[misc]
        ends = np.quantile(apart, [tail, 1 - tail])
        line = {"hypothesis": read.text, "mean": apart.mean(), "sd": apart.std(ddof=1), low: ends[0], high: ends[1]}
        lines.append(line | _judged(posterior, read, apart))
    return Hypotheses(pd.DataFrame(lines))


def _refuse_shared(posterior: Posterior, read: Hypothesis) -> None:
    """Refuse a name that a coefficient shares with another parameter: the residual sd, or a predictor called sigma."""
    others = set(posterior.dispersions) | {name for name, _ in posterior.model.design.formula.further}
    shared = [name for name in read.names if name in posterior.model.design.coefficients and name in others]
    if shared:
        raise DataError(
            f"'{shared[0]}' is a coefficient and another parameter too: write 'beta[{shared[0]}]' for the coefficient; "
            "rename the column to speak of the other."
        )


def _judged(posterior: Posterior, read: Hypothesis, apart: np.ndarray) -> dict[str, float | str]:
    if read.sign == "=":
        found = _bayes_factor(posterior, read)
        return {
            "probability": found.factor / (1 + found.factor) if np.isfinite(found.factor) else 1.0,
            "odds": np.nan,
            "bayes_factor": found.factor,
            "error": found.error,
            "method": found.method,
        }
    share = float(np.mean(apart < 0 if read.sign == "<" else apart > 0))
    odds = share / (1 - share) if share < 1 else np.inf
    return {
        "probability": share,
        "odds": odds,
        "bayes_factor": np.nan,
        "error": np.nan,
        "method": "share of draws",
    }


def _named(posterior: Posterior, scalars: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scalars by the names of the summary; coefficients also by their own."""
    if posterior.model.pooling is Pooling.SEPARATE:
        return scalars
    own = {
        name: posterior.beta[..., k]
        for k, name in enumerate(posterior.model.design.coefficients)
        if not posterior.model.design.penalised[k]
    }
    return own | scalars


def _bayes_factor(posterior: Posterior, read: Hypothesis) -> DensityRatio:
    """Of an equation between sums of common coefficients."""
    names = list(posterior.model.design.coefficients)
    places = {name: k for k, name in enumerate(names)} | {f"beta[{name}]": k for k, name in enumerate(names)}
    other = [name for name in read.names if name not in places]
    if other:
        raise DataError(
            f"'{read.text}' is about {other[0]}: only sums of common coefficients have a Bayes factor here. Fit with "
            "and without the term, and compare the evidences by pw.bayes_factor(); or ask for an inequality."
        )

    def at(beta: np.ndarray) -> float:
        return float(read.difference(lambda name: np.array(beta[places[name]])))

    zero = at(np.zeros(len(names)))
    form = np.array([at(row) - zero for row in np.eye(len(names))])
    tried = np.random.default_rng(0).normal(size=(_TRIED, len(names))) * 10.0
    try:
        straight = all(np.isclose(at(beta), zero + form @ beta, rtol=1e-9, atol=1e-9) for beta in tried)
    except DataError:  # a function that is not defined everywhere
        straight = False
    if not straight or not form.any():
        raise DataError(f"'{read.text}' must be a sum of coefficients with constant weights to have a Bayes factor.")
    return density_ratio(posterior, form, -zero)
