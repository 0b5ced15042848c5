"""Predictions for rows, of groups that are known, unknown or new: draws, or a table of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.design import Design, column_weights
from poolwise.design.encoding import encode
from poolwise.design.factors import Factor
from poolwise.errors import DataError, suggest
from poolwise.judge.outcomes import outcomes
from poolwise.posterior import Pooling, Posterior
from poolwise.samplers.settings import check_interval
from poolwise.sources.frames import Table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class Kind(Enum):
    """What is predicted of a row."""

    MEAN = "mean"
    RESPONSE = "response"
    LINEAR = "linear"


class NewGroups(Enum):
    """What a group that the fit has not seen stands for."""

    ERROR = "error"
    SAMPLE = "sample"
    ONE_OF_THESE = "one_of_these"
    POPULATION = "population"


_TOGETHER = 1 << 22  # rows x draws that are predicted at a time
_KEPT = 1 << 28  # numbers: 2 GB


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is predicted.

    Attributes
    ----------
    kind : the mean of the outcome, a new outcome with its residual noise, or the linear predictor of the mean.
    new_groups : what a group that the fit has not seen stands for; see `Fit.predict`.
    seed : root of the random numbers.
    """

    kind: Kind
    new_groups: NewGroups
    seed: int

    @classmethod
    def asked(cls, kind: str, new_groups: str, seed: int) -> Question:
        """A question in the words of users.

        Raises
        ------
        DataError : for words that mean nothing here.
        """
        for name, word, valid in (("kind", kind, Kind), ("new_groups", new_groups, NewGroups)):
            if word not in [one.value for one in valid]:
                raise DataError(f"{name} must be one of {', '.join(repr(one.value) for one in valid)}, not {word!r}.")
        return cls(Kind(kind), NewGroups(new_groups), seed)

    def stream(self, *key: int) -> np.random.Generator:
        """Random numbers of a part of the work."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(41, *key)))


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Predictions of some rows, a batch of rows at a time.

    Attributes
    ----------
    posterior : the fit.
    design : with the rows' own groups.
    rows : encoded.
    question : what is predicted.
    kept : positions of the draws that are wanted, of all chains one after the other; None for all.
    """

    posterior: Posterior
    design: Design
    rows: Rows
    question: Question
    kept: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Chains and draws."""
        return self.posterior.chains, self.posterior.draws

    def batches(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Consecutive rows and their draws, (chains * draws, rows)."""
        count = len(self.rows.codes)
        step = max(1, _TOGETHER // (self.shape[0] * self.shape[1]))
        for i, start in enumerate(range(0, count, step)):
            part = slice(start, min(start + step, count))
            yield part, self._draws(part, i)

    def draws(self) -> np.ndarray:
        """All draws, (chains * draws, n)."""
        size = self.shape[0] * self.shape[1] * len(self.rows.codes)
        if size > _KEPT:
            raise DataError(
                f"Draws of {len(self.rows.codes):,} rows would take {8e-9 * size:.0f} GB. Ask for fewer rows, or for "
                "the table, which is made batch by batch."
            )
        return np.hstack([drawn for _, drawn in self.batches()])

    def _draws(self, part: slice, batch: int) -> np.ndarray:
        mine = self.rows.take(np.arange(part.start, part.stop))
        used, codes = np.unique(mine.codes, return_inverse=True)
        weights, dispersions = self._of_cells(used)
        if self.kept is not None:
            weights, dispersions = (
                {name: values[self.kept] for name, values in each.items()} for each in (weights, dispersions)
            )
        found = outcomes(self.posterior.model, mine, codes, weights, dispersions)
        if self.question.kind is Kind.LINEAR:
            return found.linear
        return found.mean() if self.question.kind is Kind.MEAN else found.draw(self.question.stream(0, batch))

    def _of_cells(self, used: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Weights of the columns [1, W] by linear predictor (m, cells, 1 + K), and dispersions (m, cells), of cells."""
        posterior, count = self.posterior, self.shape[0] * self.shape[1]
        if posterior.model.pooling is Pooling.SEPARATE:
            beta, sigma = self._separate(self.design.factors[0], used)
            return {"": beta @ self.design.common_map.T}, {"sigma": sigma}
        beta = posterior.beta.reshape(count, -1)
        effects = []
        for fitted, asked in zip(posterior.model.design.factors, self.design.factors, strict=True):
            levels, back = np.unique(asked.codes[used], return_inverse=True)
            effects.append(self._effects(fitted, asked.levels[levels])[:, back])
        dispersions = {name: values.reshape(count, 1) for name, values in posterior.dispersions.items()}
        design = _restricted(self.design, used)
        names = [name for name, _ in design.formula.predictors]
        return {name: column_weights(design, beta, effects, name) for name in names}, dispersions

    def _effects(self, factor: Factor, labels: np.ndarray) -> np.ndarray:
        """Draws (m, labels, q) of the effects of groups, known or not."""
        count, width = self.shape[0] * self.shape[1], len(factor.effects)
        known = _positions(factor, labels)
        out = np.zeros((count, len(labels), width))
        if np.any(known >= 0):
            drawn = self.posterior.offsets(factor).draws(known[known >= 0])
            out[:, known >= 0] = drawn.reshape(count, -1, width)
        unknown = np.flatnonzero(known < 0)
        self._refuse(factor, labels[unknown])
        if self.question.new_groups is NewGroups.POPULATION or not len(unknown):
            return out
        if self.posterior.theta is None:
            raise DataError("This fit has no spread between groups to draw a new group from.")
        layout, theta = self.posterior.model.priors.layout, self.posterior.theta.reshape(count, -1)
        factors = layout.root(theta, factor.name)
        for i in unknown:
            stream = self._stream_of(factor, labels[i])
            if self.question.new_groups is NewGroups.SAMPLE:
                out[:, i] = np.einsum("mik,mk->mi", factors, stream.standard_normal((count, width)))
            else:
                out[:, i] = self._one_of_these(factor, stream)
        return out

    def _one_of_these(self, factor: Factor, stream: np.random.Generator) -> np.ndarray:
        """For each draw the effects (m, q) of one of the known groups, picked at random."""
        count = self.shape[0] * self.shape[1]
        picked = stream.integers(0, len(factor.levels), count)
        levels, place = np.unique(picked, return_inverse=True)
        drawn = self.posterior.offsets(factor).draws(levels).reshape(count, len(levels), -1)
        return drawn[np.arange(count), place]

    def _separate(self, factor: Factor, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (m, cells, p) and sigma (m, cells) of regressions of known groups; of others, from the prior."""
        posterior, count = self.posterior, self.shape[0] * self.shape[1]
        fitted, labels = posterior.model.design.factors[0], factor.levels[factor.codes[used]]
        known = _positions(fitted, labels)
        unknown = np.flatnonzero(known < 0)
        self._refuse(fitted, labels[unknown])
        if len(unknown) and self.question.new_groups is NewGroups.POPULATION:
            raise DataError("Without pooling there is no population: new_groups='sample' predicts from the priors.")
        beta, sigma = (each.reshape(count, *each.shape[2:])[:, known] for each in (posterior.beta, posterior.sigma))
        for i in unknown:
            stream = self._stream_of(fitted, labels[i])
            if self.question.new_groups is NewGroups.ONE_OF_THESE:
                at = np.arange(count), stream.integers(0, len(fitted.levels), count)
                beta[:, i] = posterior.beta.reshape(count, -1, beta.shape[2])[at]
                sigma[:, i] = posterior.sigma.reshape(count, -1)[at]
            else:
                beta[:, i] = posterior.model.priors.sample_coefficients(stream, count)
                sigma[:, i] = posterior.model.priors.sigma.sample(stream, (count,))
        return beta, sigma

    def _refuse(self, factor: Factor, labels: np.ndarray) -> None:
        if len(labels) and self.question.new_groups is NewGroups.ERROR:
            shown = ", ".join(f"'{label}'" for label in labels[:5])
            more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
            raise DataError(
                f"The fit has not seen {factor.name} {shown}{more}. {suggest(str(labels[0]), map(str, factor.levels))} "
                "Say what they are: new_groups='sample' for new groups, 'one_of_these' for one of the known groups but "
                "unknown which, 'population' for the average group."
            )

    def _stream_of(self, factor: Factor, label: object) -> np.random.Generator:
        """Random numbers of a new group: they hang on its label, so that all its rows share them, in any table."""
        return self.question.stream(1, zlib.crc32(factor.name.encode()), zlib.crc32(str(label).encode()))


def _positions(factor: Factor, labels: np.ndarray) -> np.ndarray:
    """(labels,) positions among the levels of a factor, -1 where there is none.

    Raises
    ------
    DataError : where numbers of the fit come as text: they would all be new groups.
    """
    import pandas as pd

    text = {str(label): label for label in labels if isinstance(label, str)}
    if factor.levels.dtype.kind in "iuf" and (twins := text.keys() & set(factor.levels.astype(str))):
        raise DataError(
            f"Labels of {factor.name} are numbers in the fit and text in the new data, such as '{min(twins)}'."
        )
    return pd.Index(factor.levels).get_indexer(pd.Index(labels))


def _restricted(design: Design, used: np.ndarray) -> Design:
    """The design of some cells, in which every cell has a level of its own."""
    own = np.arange(len(used))
    return replace(design, factors=tuple(replace(factor, codes=own) for factor in design.factors))


def predictor_of(posterior: Posterior, table: Table, question: Question) -> Predictor:
    """A predictor for new rows.

    Raises
    ------
    DataError : for a missing column or value, a category that the fit has not seen, or groups as `question` has it.
    """
    model = posterior.model
    if not table.rows:
        raise DataError("The new data hold no rows.")
    # The average group needs no label; every other choice does.
    absent = [name for name in model.encoding.keys if name not in table.names]
    average = absent if question.new_groups is NewGroups.POPULATION and model.pooling is Pooling.PARTIAL else []
    weighted = question.kind is Kind.RESPONSE
    design, rows = encode(model.design, model.encoding, table, absent=tuple(average), weighted=weighted)
    return Predictor(posterior, design, rows, question)


def predictor_of_rows(
    posterior: Posterior, rows: Rows, question: Question, kept: np.ndarray | None = None
) -> Predictor:
    """A predictor for rows of the data themselves."""
    return Predictor(posterior, posterior.model.design, rows, question, kept)


def predictions(predictor: Predictor, index: pd.Index, interval: float) -> pd.DataFrame:
    """Mean, sd and central interval of each row's prediction; draws are not kept."""
    import pandas as pd

    tail = (1 - check_interval(interval)) / 2
    parts = []
    for _, drawn in predictor.batches():
        low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
        parts.append(np.column_stack([drawn.mean(axis=0), drawn.std(axis=0, ddof=1), low, high]))
    names = ["mean", "sd", f"{100 * tail:g}%", f"{100 * (1 - tail):g}%"]
    return pd.DataFrame(np.vstack(parts), index=index, columns=names)


def prediction_draws(predictor: Predictor, labels: np.ndarray) -> xr.DataArray:
    """Draws (chain, draw, observation) of each row's prediction."""
    import xarray as xr

    drawn = predictor.draws().reshape(*predictor.shape, -1)
    name = predictor.posterior.model.design.response
    return xr.DataArray(drawn, {"observation": labels}, ("chain", "draw", "observation"), name=name)
