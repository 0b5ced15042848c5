"""What spreads outcomes: common terms, each grouping factor, the rest; and shares of it, R-squared and intraclass
correlations.

Components are those of Nakagawa and Schielzeth (2013), with random slopes as in Johnson (2014), and of families with
another link than the identity on the scale of the linear predictor, as in Nakagawa, Johnson and Schielzeth (2017).
The R-squared of fitted values is that of Gelman, Goodrich, Gabry and Vehtari (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.evaluate.level_terms import coefficients_of_groups, terms_of_groups, variance_between
from poolwise.evaluate.predict import predictor_of_rows
from poolwise.evaluate.prediction_request import Kind, NewGroups, Quantity, Question
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_MOST = 5000  # rows that averages are over; a random part of more


class RowsNeeded(DataError):
    """Averages over rows are asked of a fit that has none."""

    def __init__(self) -> None:
        super().__init__("This fit holds no rows, over which its variances are averaged: fit them again.")


@dataclass(frozen=True, slots=True, eq=False)
class VarianceComponents:
    """Draws (m,) of variances on the scale of the linear predictor.

    Attributes
    ----------
    common : between rows, by the common terms.
    of_factors : between groups, on average over the rows, by grouping factor or structured term of groups.
    residual : of an outcome given its linear predictor.
    """

    common: np.ndarray
    of_factors: Mapping[str, np.ndarray]
    residual: np.ndarray

    @property
    def between(self) -> np.ndarray:
        """Of all grouping factors."""
        return np.sum([*self.of_factors.values(), np.zeros_like(self.common)], axis=0)


def variance_components(posterior: Posterior, rows: Rows | None) -> VarianceComponents:
    """Components of a fit; `rows` are needed for families that are sampled.

    Raises
    ------
    DataError : without pooling, and for a family and link whose residual variance has no simple form.
    """
    model = posterior.model
    if model.pooling is Pooling.SEPARATE:
        raise DataError(
            "Without pooling each group has variances of its own; this is for complete and partial pooling."
        )
    mean, spread = _moments(posterior, rows)
    of_mean = np.array([not name for name in model.design.predictors], dtype=bool) & ~coefficients_of_groups(model)
    columns = model.design.common_map[1:, of_mean]
    beta = posterior.beta.reshape(-1, posterior.beta.shape[-1])[:, of_mean]
    common = np.einsum("mi,ij,mj->m", beta, columns.T @ spread @ columns, beta)
    found = {}
    layout = model.priors.layout
    for factor in model.design.factors:
        if posterior.theta is None or not factor.part_of("").any():
            continue
        place = layout.places(factor.name)
        # Effects at the centre of their predictors: far from it, large numbers would cancel.
        weights = (factor.group_map * factor.part_of("")) @ layout.map_to_zero[place, place]
        at_mean = weights[0] + mean @ weights[1:]
        squares = np.outer(at_mean, at_mean) + weights[1:].T @ spread @ weights[1:]
        root = layout.root_at_centre(posterior.theta.reshape(len(beta), -1), factor.name)
        found[factor.name] = np.einsum("mik,ij,mjk->m", root, squares, root) * _relative(
            factor, model.statistics.counts
        )
    for term in terms_of_groups(model):
        if not term.predictor:
            found[term.name] = variance_between(posterior, term, mean, spread)
    return VarianceComponents(np.maximum(common, 0.0), found, _residual(posterior, rows))


def _moments(posterior: Posterior, rows: Rows | None) -> tuple[np.ndarray, np.ndarray]:
    """Means (K,) and covariance (K, K) of the design's columns over the rows; weights that are precisions play no
    part in these."""
    model = posterior.model
    if model.encoding.weights is None or not model.family.precise:
        total = model.statistics.merged()
        return total.means[0, :-1] + total.origin[:-1], total.scatter[0, :-1, :-1] / total.weights[0]
    if rows is None:
        raise RowsNeeded
    values, many = rows.values[:, :-1], rows.multiplicities
    mean = np.average(values, axis=0, weights=many)
    away = values - mean
    return mean, (away * many[:, None]).T @ away / many.sum()


def _relative(factor: Factor, counts: np.ndarray) -> float:
    """Mean variance of the levels of rows relative to independent ones, from counts of rows by cell."""
    if factor.coupling is None:
        return 1.0
    return float(np.average(factor.coupling.variances[factor.codes], weights=counts))


def _residual(posterior: Posterior, rows: Rows | None) -> np.ndarray:
    """(m,) variance of an outcome given its linear predictor, on the scale of that."""
    model, count = posterior.model, posterior.chains * posterior.draws
    family, link = model.family, model.link
    if not model.sampled:
        return np.asarray(np.square(posterior.sigma.ravel()) * _mean_inverse_weight(posterior, rows))
    if link.latent is not None and family.latent:
        formula, usual = model.design.formula, {each.name: each.fixed for each in family.parameters}
        further = [name for name, _ in formula.further]
        further += [name for name, value in formula.fixed if value != usual[name]]
        if further:
            raise DataError(f"The variance of the latent variable follows '{further[0]}' here: it is not one number.")
        return np.full(count, link.latent)
    if link.latent is not None and family.variance is not None and not family.parameters:
        return np.full(count, link.latent)
    if rows is None and family.variance is not None and link.name in ("identity", "log"):
        raise DataError("This fit holds no rows, over which its residual variance is averaged: fit them again.")
    if family.variance is None or rows is None or link.name not in ("identity", "log"):
        raise DataError(
            f"The residual variance of the family '{family.name}' with the link '{link.name}' has no simple form on "
            "the scale of the linear predictor."
            if family.variance is not None
            else f"No variance is declared of the family '{family.name}'."
        )
    averages = _Averages.of(posterior, rows)
    if link.name == "identity":
        return averages.mean_of("variance", lambda mean, *parameters: _variance(posterior, mean, parameters))
    # Of the log of an outcome with this mean and variance were it lognormal.
    mean = averages.mean_of("mean", lambda mean, *_: mean)
    each = [
        averages.mean_of(one.name, lambda _, *parameters, k=k: parameters[k]) for k, one in enumerate(family.parameters)
    ]
    return np.asarray(np.log1p(family.variance(mean, *each) / mean**2))


def _mean_inverse_weight(posterior: Posterior, rows: Rows | None) -> float:
    """The mean over rows of one over their weights: of a row of weight w, the residual variance is sigma^2 / w."""
    if posterior.model.encoding.weights is None:
        return 1.0
    if rows is None:
        raise RowsNeeded
    return float(np.average(1.0 / rows.precisions, weights=rows.multiplicities))


def _variance(posterior: Posterior, mean: np.ndarray, parameters: tuple[np.ndarray, ...]) -> np.ndarray:
    variance = posterior.model.family.variance
    assert variance is not None
    return np.asarray(variance(mean, *parameters)) + np.zeros_like(mean)


@dataclass(frozen=True, slots=True, eq=False)
class _Averages:
    """Averages over rows, for each draw."""

    posterior: Posterior
    rows: Rows
    shares: np.ndarray

    @classmethod
    def of(cls, posterior: Posterior, rows: Rows) -> _Averages:
        count = len(rows.codes)
        if count > _MOST:
            rng = np.random.default_rng(count)
            if rows.counts is None:
                rows = rows.take(np.sort(rng.choice(count, _MOST, replace=False)))
            else:  # of the rows that they stand for
                often = rng.multinomial(_MOST, rows.counts / rows.counts.sum())
                kept = np.flatnonzero(often)
                rows = replace(rows.take(kept), counts=often[kept].astype(float))
        many = rows.multiplicities
        counted = many if posterior.model.family.precise else many * rows.precisions
        weights = counted if rows.trials is None else counted * rows.trials
        return cls(posterior, rows, weights / weights.sum())

    def mean_of(self, name: str, value: Callable[..., np.ndarray]) -> np.ndarray:
        """(m,) of a function of the mean and the parameters of each row."""
        family = self.posterior.model.family

        def quantity(location: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
            mean = family.expectation(family.scale.mean(location), parameters)
            return np.asarray(value(mean, *family.values(parameters)) + np.zeros_like(mean))

        asked = Question(Kind.MEAN, NewGroups.ERROR, self.posterior.seed)
        question = replace(asked, quantity=Quantity(name, quantity))
        predictor = predictor_of_rows(self.posterior, self.rows, question)
        return predictor.sums(self.shares, np.zeros(len(self.rows.codes), dtype=np.int64), 1)[:, 0]


def r2(posterior: Posterior, rows: Rows | None, interval: float) -> pd.DataFrame:
    """Table of the shares of variance that are explained."""
    model, found = posterior.model, {}
    if rows is not None and model.family.variance is not None and not model.family.labels:
        averages = _Averages.of(posterior, rows)
        mean, square = (averages.mean_of("mean", lambda mean, *_, power=power: mean**power) for power in (1, 2))
        between = np.maximum(square - mean**2, 0.0)
        rest = averages.mean_of("variance", lambda mean, *parameters: _variance(posterior, mean, parameters))
        found["fitted values"] = between / (between + rest)
    try:
        parts = variance_components(posterior, rows)
    except DataError:
        if not found:
            raise
        return _table(found, interval)
    total = parts.common + parts.between + parts.residual
    found["marginal"] = parts.common / total
    if parts.of_factors:
        found["conditional"] = (parts.common + parts.between) / total
    return _table(found, interval)


def explained(posterior: Posterior, rows: Rows | None) -> dict[str, float]:
    """Posterior means of the shares of `r2` by components, by the names of a table; nothing where there are none, NaN
    where only rows would tell."""
    try:
        found = r2(posterior, rows, 0.9)["mean"]
    except RowsNeeded:
        return {"R2 marginal": math.nan}
    except DataError:
        return {}
    return {f"R2 {name}": float(found[name]) for name in ("marginal", "conditional") if name in found}


def icc(posterior: Posterior, rows: Rows | None, interval: float) -> pd.DataFrame:
    """Table of the shares of the variance that common terms leave which lie between groups."""
    parts = variance_components(posterior, rows)
    if not parts.of_factors:
        raise DataError("This fit pools all rows completely: nothing lies between groups.")
    total = parts.between + parts.residual
    found = {name: own / total for name, own in parts.of_factors.items()}
    if len(found) > 1:
        found["all"] = parts.between / total
    return _table(found, interval)


def _table(found: Mapping[str, np.ndarray], interval: float) -> pd.DataFrame:
    import pandas as pd

    tail = (1 - interval) / 2
    low, high = f"{100 * tail:g}%", f"{100 * (1 - tail):g}%"
    lines = []
    for drawn in found.values():
        ends = np.quantile(drawn, [tail, 1 - tail])
        lines.append({"mean": drawn.mean(), "sd": drawn.std(ddof=1), low: ends[0], high: ends[1]})
    return pd.DataFrame(lines, index=list(found))
