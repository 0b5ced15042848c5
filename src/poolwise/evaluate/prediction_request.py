"""What is asked of a prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from poolwise.support.errors import DataError


class Kind(Enum):
    """What is predicted of a row."""

    MEAN = "mean"
    RESPONSE = "response"
    LINEAR = "linear"


class NewGroups(Enum):
    """What a group that the fit has not seen stands for; POPULATION and MARGINAL also say so of those that it has seen.

    POPULATION is the average group, MARGINAL the mean over all groups that there could be.
    """

    ERROR = "error"
    SAMPLE = "sample"
    ONE_OF_THESE = "one_of_these"
    AVERAGE = "average"
    POPULATION = "population"
    MARGINAL = "marginal"


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """A number that the distribution of a row's outcome has, such as the probability of a category.

    Attributes
    ----------
    name : in tables.
    value : (location, *parameters on their scales) to it.
    """

    name: str
    value: Callable[..., np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is predicted.

    Attributes
    ----------
    kind : the mean of the outcome, a new outcome with its residual noise, or the linear predictor of the mean.
    new_groups : what a group that the fit has not seen stands for; see `Fit.predict`.
    seed : root of the random numbers.
    quantity : what is predicted in the place of the mean, if anything.
    apart : which of several outcomes of the same rows a new one is, that they have noise of their own.
    """

    kind: Kind
    new_groups: NewGroups
    seed: int
    quantity: Quantity | None = None
    apart: tuple[int, ...] = ()

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
        asked = cls(Kind(kind), NewGroups(new_groups), seed)
        if asked.new_groups is NewGroups.MARGINAL and asked.kind is not Kind.MEAN:
            raise DataError(
                f"new_groups='marginal' is a mean over groups: with kind='{kind}' take 'sample', which draws new ones, "
                "or 'population'."
            )
        return asked

    @property
    def unlabelled(self) -> bool:
        """Whether labels of groups play no part."""
        return self.new_groups in (NewGroups.POPULATION, NewGroups.MARGINAL)

    def stream(self, *key: int) -> np.random.Generator:
        """Random numbers of a part of the work."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(41, *key)))
