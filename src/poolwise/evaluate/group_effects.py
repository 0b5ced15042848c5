"""Effects of groups that are known, unknown or new, as a question says."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from poolwise.design.factors import Factor
from poolwise.evaluate.prediction_request import NewGroups, Question
from poolwise.inference.posterior import Posterior
from poolwise.support.errors import DataError, suggest


@dataclass(frozen=True, slots=True, eq=False)
class GroupEffects:
    """Draws of the effects of groups by their labels.

    Attributes
    ----------
    posterior : the fit.
    question : what a group that the fit has not seen stands for.
    """

    posterior: Posterior
    question: Question

    @property
    def shape(self) -> tuple[int, int]:
        """Chains and draws."""
        return self.posterior.chains, self.posterior.draws

    def of(self, factor: Factor, labels: np.ndarray) -> np.ndarray:
        """Draws (m, labels, q) of the effects of groups, known or not."""
        count, width = self.shape[0] * self.shape[1], len(factor.effects)
        if self.question.unlabelled:
            return np.zeros((count, len(labels), width))
        known = _positions(factor, labels)
        out = np.zeros((count, len(labels), width))
        if np.any(known >= 0):
            drawn = self.posterior.offsets(factor).draws(known[known >= 0])
            out[:, known >= 0] = drawn.reshape(count, -1, width)
        unknown = np.flatnonzero(known < 0)
        self._refuse(factor, labels[unknown])
        if self.question.new_groups is NewGroups.AVERAGE or not len(unknown):
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

    def regressions(self, factor: Factor, used: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Coefficients (m, cells, p) and dispersions (m, cells) of groups' regressions; unknown ones have the prior."""
        posterior, count = self.posterior, self.shape[0] * self.shape[1]
        fitted, labels = posterior.model.design.factors[0], factor.levels[factor.codes[used]]
        known = _positions(fitted, labels)
        unknown = np.flatnonzero(known < 0)
        self._refuse(fitted, labels[unknown])
        nobody = self.question.new_groups is NewGroups.AVERAGE and len(unknown) > 0
        if nobody or self.question.unlabelled:
            raise DataError("Without pooling there is no population: new_groups='sample' predicts from the priors.")
        beta = posterior.beta.reshape(count, *posterior.beta.shape[2:])[:, known]
        own = {name: each.reshape(count, -1)[:, known] for name, each in posterior.dispersions.items()}
        for i in unknown:
            stream = self._stream_of(fitted, labels[i])
            if self.question.new_groups is NewGroups.ONE_OF_THESE:
                at = np.arange(count), stream.integers(0, len(fitted.levels), count)
                beta[:, i] = posterior.beta.reshape(count, -1, beta.shape[2])[at]
                for name, each in posterior.dispersions.items():
                    own[name][:, i] = each.reshape(count, -1)[at]
            else:
                beta[:, i] = posterior.model.priors.sample_coefficients(stream, count)
                for name, prior in posterior.model.priors.dispersions.items():
                    own[name][:, i] = prior.sample(stream, (count,))
        return beta, own

    def _refuse(self, factor: Factor, labels: np.ndarray) -> None:
        if len(labels) and self.question.new_groups is NewGroups.ERROR:
            shown = ", ".join(f"'{label}'" for label in labels[:5])
            more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
            raise DataError(
                f"The fit has not seen {factor.name} {shown}{more}. {suggest(str(labels[0]), map(str, factor.levels))} "
                "Say what they are: new_groups='sample' for new groups, 'one_of_these' for one of the known groups but "
                "unknown which, 'average' for the average group."
            )

    def _stream_of(self, factor: Factor, label: object) -> np.random.Generator:
        """Random numbers of a new group: they depend on its label, so that all its rows share them, in any table."""
        return self.question.stream(1, zlib.crc32(factor.name.encode()), zlib.crc32(str(label).encode()))


def _positions(factor: Factor, labels: np.ndarray) -> np.ndarray:
    """(labels,) positions among the levels of a factor, -1 where there is none.

    Raises
    ------
    DataError : where numbers or truth values of the fit come as text: they would all be new groups.
    """
    import pandas as pd

    text = {str(label): label for label in labels if isinstance(label, str)}
    known = {str(level) for level in factor.levels if not isinstance(level, str)}
    if twins := text.keys() & known - {level for level in factor.levels if isinstance(level, str)}:
        truths = all(isinstance(level, (bool, np.bool_)) for level in factor.levels)
        raise DataError(
            f"Labels of {factor.name} are {'true or false' if truths else 'numbers'} in the fit and text in the new "
            f"data, such as '{min(twins)}'."
        )
    return pd.Index(factor.levels).get_indexer(pd.Index(labels))
