"""The structure of a model, without its rows; and the one linear predictor of the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from poolwise.design.factors import Factor
from poolwise.design.structures import Coupling, Hyperparameter, Structure
from poolwise.formula import Formula
from poolwise.support.errors import DataError, suggest


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """What the columns, coefficients and grouping factors of a model are.

    Attributes
    ----------
    formula : as parsed.
    response : name of the outcome.
    columns : (K,) names of the distinct design columns W, without the constant one. A column that is both a common
        term and a group effect stands here once.
    coefficients : (p,) names of the common coefficients.
    common_map : (1 + K, p) common columns X as combinations of [1, W].
    factors : the grouping factors, in the order of the formula; none without group terms.
    predictors : (p,) of which linear predictor each coefficient is part: "" for the mean, or a parameter's name, which
        then begins the coefficient's.
    margins : (p, p) whether coefficient j belongs to a margin of the column of coefficient k, at [k, j].
    structures : terms whose coefficients have a prior together, such as `s(x)`.
    """

    formula: Formula
    response: str
    columns: tuple[str, ...]
    coefficients: tuple[str, ...]
    common_map: np.ndarray
    factors: tuple[Factor, ...]
    predictors: tuple[str, ...]
    margins: np.ndarray
    structures: tuple[Structure, ...] = ()

    def with_coefficients(self, kept: np.ndarray) -> Design:
        """The same with some of the coefficients, (p,) truth values."""
        new = np.cumsum(kept) - 1
        return replace(
            self,
            coefficients=tuple(np.array(self.coefficients, dtype=object)[kept]),
            common_map=self.common_map[:, kept],
            predictors=tuple(np.array(self.predictors, dtype=object)[kept]),
            margins=self.margins[np.ix_(kept, kept)],
            structures=tuple(structure.moved(new) for structure in self.structures),
        )

    @property
    def penalised(self) -> np.ndarray:
        """(p,) which coefficients have the prior of a structured term."""
        found = np.zeros(len(self.coefficients), dtype=bool)
        for structure in self.structures:
            found[list(structure.places)] = True
        return found

    @property
    def hyperparameters(self) -> tuple[tuple[str, Hyperparameter, str], ...]:
        """Name, kind and linear predictor of each number that structured terms depend on.

        First those of common terms, `sd_s(x)`, then those of terms by group, `sd_g[s(x)]`.
        """
        found = [
            (name, one, structure.predictor) for structure in self.structures for name, one in structure.parameters
        ]
        for factor in self.factors:
            for structure in factor.structures:
                found += [(name, one, structure.predictor) for name, one in structure.parameters_by(factor.name)]
        return tuple(found)

    @property
    def main_factor(self) -> Factor:
        """The first grouping factor of the mean; where the mean has none, the first of all."""
        return next((one for one in self.factors if one.part_of("").any()), self.factors[0])

    def factor(self, name: str | None = None) -> Factor:
        """The factor of a name; without one the only factor, or the only one of the mean.

        Raises
        ------
        DataError : when there is none, or several and no name.
        """
        known = [one.name for one in self.factors]
        if not known:
            raise DataError(
                f"This fit has no grouping factor; fit.area_effects(column) has effects such as those of "
                f"{self.structures[0].name}."
                if self.structures
                else "This fit pools all rows completely: it has no groups."
            )
        if name is None:
            usual = [one for one in self.factors if one.part_of("").any()] or list(self.factors)
            if len(usual) > 1:
                raise DataError(f"This fit has groups by {', '.join(known)}: say which, as in by='{known[0]}'.")
            return usual[0]
        if name not in known:
            raise DataError(f"This fit has no groups by '{name}'. {suggest(str(name), known)}")
        return self.factors[known.index(name)]

    def coupled_alike(self, name: str, coupling: Coupling) -> bool:
        """Whether the levels of the factor of a name are coupled as here."""
        return any(factor.name == name and factor.coupling == coupling for factor in self.factors)

    def effect_dimension(self, factor: Factor) -> str:
        """Name of the dimension of a factor's effects: `effect`, or `effect_county` where those of factors differ."""
        alike = all(other.effects == factor.effects for other in self.factors)
        return "effect" if alike else f"effect_{factor.name}"

    def common_positions(self, factor: Factor) -> np.ndarray:
        """(q,) position of each effect of a factor among the coefficients, -1 where it has no common part."""
        names = factor.coefficients
        return np.array([self.coefficients.index(e) if e in self.coefficients else -1 for e in names], int)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows encoded for a design.

    Attributes
    ----------
    values : (n, K + 1) float64, columns [W, y]; where the mean is linear, known offsets have been taken away from y.
    codes : (n,) cell of each row; -1 for a combination of labels not seen before.
    dropped : how many rows were left out because of missing values.
    weights : (n,) how many rows each row counts for in precision, None for one each.
    offset : (n,) known part of the linear predictor, None for zero.
    trials : (n,) number of trials, None for one each.
    linear : whether the offset has been taken away from y.
    limits : (4, n) ends of the interval in which a censored outcome lies, NaN where it was observed exactly; and the
        bounds of a truncated one. None where nothing is censored or truncated.
    counts : (n,) how many equal rows each stands for, None for one each.
    """

    values: np.ndarray
    codes: np.ndarray
    dropped: int
    weights: np.ndarray | None = None
    offset: np.ndarray | None = None
    trials: np.ndarray | None = None
    linear: bool = True
    limits: np.ndarray | None = None
    counts: np.ndarray | None = None

    def take(self, positions: np.ndarray) -> Rows:
        """The rows at some positions."""
        weights, offset, trials, counts = (
            None if each is None else each[positions] for each in (self.weights, self.offset, self.trials, self.counts)
        )
        limits = None if self.limits is None else self.limits[:, positions]
        values, codes = self.values[positions], self.codes[positions]
        return Rows(values, codes, 0, weights, offset, trials, self.linear, limits, counts)

    def each(self) -> Rows:
        """Every row by itself, equal ones one after the other."""
        if self.counts is None:
            return self
        return replace(self.take(np.repeat(np.arange(len(self.codes)), self.counts.astype(np.int64))), counts=None)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Rows of one design one after the other."""
        if len(parts) == 1:
            return parts[0]
        values, codes = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "codes"))
        weights, offset, trials, counts = (
            None if getattr(parts[0], name) is None else np.concatenate([getattr(part, name) for part in parts])
            for name in ("weights", "offset", "trials", "counts")
        )
        dropped = sum(part.dropped for part in parts)
        limits = None if parts[0].limits is None else np.hstack([np.asarray(part.limits) for part in parts])
        return cls(values, codes, dropped, weights, offset, trials, parts[0].linear, limits, counts)

    @property
    def multiplicities(self) -> np.ndarray:
        """(n,) how many equal rows each stands for."""
        return np.ones(len(self.codes)) if self.counts is None else self.counts

    @property
    def precisions(self) -> np.ndarray:
        """(n,) weights, ones where there are none."""
        return np.ones(len(self.codes)) if self.weights is None else self.weights

    @property
    def observed(self) -> np.ndarray:
        """(n,) whether the outcome was observed exactly."""
        return np.ones(len(self.codes), dtype=bool) if self.limits is None else np.isnan(self.limits[0])

    @property
    def response(self) -> np.ndarray:
        """(n,) the outcome as observed."""
        moved = self.offset is not None and self.linear
        return self.values[:, -1] + self.offset if moved else self.values[:, -1]


def column_weights(design: Design, beta: np.ndarray, u: Sequence[np.ndarray], predictor: str = "") -> np.ndarray:
    """Weights of the columns [1, W] for each cell: X beta + sum_f Z_f u_f = [1, W] @ weights_c.

    beta (..., p) and for each factor u (..., J, q) give (..., C, 1 + K); without factors, (..., 1, 1 + K). Only what is
    part of one linear predictor is summed, that of the mean by default.
    """
    mine = np.array([name == predictor for name in design.predictors], dtype=bool)
    total = (beta[..., mine] @ design.common_map[:, mine].T)[..., None, :]
    for factor, effects in zip(design.factors, u, strict=False):
        mine = factor.part_of(predictor)
        if mine.any():
            total = total + (effects[..., mine] @ factor.group_map[:, mine].T)[..., factor.codes, :]
    return total


def regression_weights(design: Design, beta: np.ndarray) -> dict[str, np.ndarray]:
    """Weights of the columns [1, W] in each linear predictor by its name, of regressions without group effects.

    beta (..., p) gives (..., 1 + K).
    """
    of = np.array(design.predictors, dtype=object)
    names = [name for name, _ in design.formula.predictors]
    return {name: beta[..., of == name] @ design.common_map[:, of == name].T for name in names}


def linear_predictor(values: np.ndarray, codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The linear predictor of rows: values (n, K), codes (n,) and weights (..., C or 1, 1 + K) to (..., n)."""
    if weights.ndim != 3:
        of_row = weights[..., codes if weights.shape[-2] > 1 else np.zeros_like(codes), :]
        return np.asarray(of_row[..., 0] + np.einsum("nk,...nk->...n", values, of_row[..., 1:]))
    if np.any(np.diff(codes) < 0) and weights.shape[1] > 1:
        order = np.argsort(codes, kind="stable")
        return linear_predictor(values[order], codes[order], weights)[:, np.argsort(order)]
    # One product of matrices for each cell: no copy of the weights for each row. Draws of a row lie side by side.
    present, starts = (np.zeros(1, int),) * 2 if weights.shape[1] == 1 else np.unique(codes, return_index=True)
    by_row = np.empty((len(codes), weights.shape[0]))
    ones = np.column_stack([np.ones(len(codes)), values])
    for cell, start, end in zip(present, starts, [*starts[1:], len(codes)], strict=True):
        np.matmul(ones[start:end], weights[:, cell, :].T, out=by_row[start:end])
    return by_row.T
