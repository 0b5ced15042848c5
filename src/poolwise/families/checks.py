"""Checks on outcomes that several families share; each refusal is one sentence with an example."""

from __future__ import annotations

import re

import numpy as np

from poolwise.support.errors import DataError


def _first(bad: np.ndarray, y: np.ndarray) -> str:
    at = int(np.flatnonzero(bad)[0])
    return f"row {at + 1} of the complete rows holds {y[at]:g}"


def without_place(said: str) -> str:
    """What a check says, of rows that stand for others: their places are not those of the data."""
    return re.sub(r"row \d+ of the complete rows holds", "a row holds", said)


def any_number(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Every finite number is fine."""


def positive(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes that are not above zero."""
    bad = y <= 0
    if bad.any():
        raise DataError(f"'{name}' must be above zero for this family, but {_first(bad, y)}.")


def not_negative(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes below zero, and outcomes that are all zero."""
    if (y < 0).any():
        raise DataError(f"'{name}' must not be below zero for this family, but {_first(y < 0, y)}.")
    if not y.any():
        raise DataError(f"Every value of '{name}' is zero: the data say nothing of what lies above.")


def signed_times(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse times that are zero or not finite; the sign of a time says which response it is."""
    bad = (y == 0) | ~np.isfinite(y)
    if bad.any():
        raise DataError(
            f"'{name}' must hold response times, negative for the lower boundary, but {_first(bad, y)}: remove trials "
            "without a time."
        )


def counts(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes that are not counts, and counts that are all zero."""
    negative, broken = y < 0, y != np.floor(y)
    if negative.any():
        raise DataError(f"'{name}' must hold counts, but {_first(negative, y)}: counts are not negative.")
    if broken.any():
        raise DataError(
            f"'{name}' must hold counts, but {_first(broken, y)}, which is not whole. For rates, put the counts on the "
            "left and offset(log(exposure)) on the right; for positive numbers take family='gamma'."
        )
    if not y.any():
        raise DataError(f"Every count in '{name}' is zero: the data cannot tell any rate from a smaller one.")


def shares(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes that do not lie strictly between 0 and 1."""
    bad = (y <= 0) | (y >= 1)
    if bad.any():
        raise DataError(
            f"'{name}' must lie strictly between 0 and 1 for the beta family, but {_first(bad, y)}. Successes among "
            "trials are family='binomial', with 'y | trials(n)'."
        )


def shares_with_ends(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes that do not lie between 0 and 1, and those of which none lies strictly between."""
    bad = (y < 0) | (y > 1)
    if bad.any():
        raise DataError(f"'{name}' must lie between 0 and 1 for this family, but {_first(bad, y)}.")
    if ((y == 0) | (y == 1)).all():
        raise DataError(f"Every value of '{name}' is zero or one, which is family='bernoulli'.")


def angles(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes that are not angles in radians from -pi to pi."""
    bad = np.abs(y) > np.pi * (1 + 1e-6)  # pi in single precision lies above pi
    if bad.any():
        raise DataError(
            f"'{name}' must hold angles in radians from -pi to pi, but {_first(bad, y)}. From degrees: "
            "(degrees - 180) * pi / 180; from hours of a day: (hours - 12) * pi / 12; either turns all angles by pi."
        )


def successes(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes that are not successes among trials."""
    if (y < 0).any():
        raise DataError(f"'{name}' must hold numbers of successes, but {_first(y < 0, y)}.")
    for what, values in ((f"'{name}'", y), (f"The trials of '{name}'", trials)):
        if (values != np.floor(values)).any():
            raise DataError(f"{what} must be whole numbers, but {_first(values != np.floor(values), values)}.")
    above = y > trials
    if above.any():
        at = int(np.flatnonzero(above)[0])
        raise DataError(
            f"'{name}' has more successes than trials in row {at + 1} of the complete rows: {y[at]:g} of "
            f"{trials[at]:g}. Say how many trials there are: '{name} | trials(n) ~ ...'."
        )
    if not trials.any():
        raise DataError(f"No row of '{name}' has any trials.")


def several_trials(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes that are not successes among trials, and single trials, which tell one parameter only."""
    successes(name, y, trials)
    if trials.max() <= 1:
        raise DataError(
            f"No row of '{name}' has more than one trial: the data cannot tell the mean from the other parameter of "
            "this family. Zeros and ones are family='bernoulli'."
        )


def zeros_and_ones(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Refuse outcomes other than 0 and 1."""
    bad = (y != 0) & (y != 1)
    if bad.any():
        raise DataError(
            f"'{name}' must hold 0 and 1 for the bernoulli family, but {_first(bad, y)}. Successes among trials are "
            f"family='binomial', with '{name} | trials(n) ~ ...'."
        )
