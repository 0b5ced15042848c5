"""The structure of a model, without its rows; and the one linear predictor of the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.formula import Formula


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """What the columns, coefficients and groups of a model are.

    Attributes
    ----------
    formula : as parsed.
    response : name of the outcome.
    columns : (K,) names of the distinct design columns W, without the constant one. A column that is both a common
        term and a group effect stands here once.
    coefficients : (p,) names of the common coefficients.
    common_map : (1 + K, p) common columns X as combinations of [1, W].
    effects : (q,) names of the effects that vary by group.
    group_map : (1 + K, q) effect columns Z as combinations of [1, W].
    group : name of the grouping column, None without groups.
    levels : (J,) labels of the groups, sorted.
    correlated : whether the effects of a group are correlated.
    """

    formula: Formula
    response: str
    columns: tuple[str, ...]
    coefficients: tuple[str, ...]
    common_map: np.ndarray
    effects: tuple[str, ...]
    group_map: np.ndarray
    group: str | None
    levels: np.ndarray
    correlated: bool

    def effect_positions(self) -> np.ndarray:
        """(q,) position of each effect among the coefficients, -1 where it has no common part."""
        return np.array([self.coefficients.index(e) if e in self.coefficients else -1 for e in self.effects], dtype=int)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows encoded for a design.

    Attributes
    ----------
    values : (n, K + 1) float64, columns [W, y].
    codes : (n,) position of each row's group among the levels; -1 for a group not seen before.
    dropped : how many rows were left out because of missing values.
    """

    values: np.ndarray
    codes: np.ndarray
    dropped: int

    @property
    def response(self) -> np.ndarray:
        """(n,) the outcome."""
        return self.values[:, -1]


def column_weights(design: Design, beta: np.ndarray, u: np.ndarray | None) -> np.ndarray:
    """Weights of the columns [1, W] for each group: X beta + Z u_j = [1, W] @ weights_j.

    beta (..., p) and u (..., J, q) give (..., J, 1 + K); without u, (..., 1, 1 + K).
    """
    common = (beta @ design.common_map.T)[..., None, :]
    return common if u is None else common + u @ design.group_map.T


def linear_predictor(values: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The linear predictor of rows: values (n, K), codes (n,) and weights (..., J or 1, 1 + K) to (..., n)."""
    if weights.shape[-2] == 1:
        return weights[..., 0, :1] + weights[..., 0, 1:] @ values.T
    of_row = weights[..., codes, :]
    return of_row[..., 0] + np.einsum("nk,...nk->...n", values, of_row[..., 1:])
