"""Numbers that users give, checked: the only place where they become `SamplerSettings`."""

from __future__ import annotations

import numpy as np

from poolwise.samplers.interface import SamplerSettings
from poolwise.support.deadline import Deadline
from poolwise.support.errors import DataError
from poolwise.support.progress import Progress

_MOST_CHAINS, _MOST_DRAWS = 1_000, 20_000_000
_SEED_BITS = 4096
_SAMPLERS = ("auto", "independence", "nuts")


def sampler_settings(
    draws: int | None, chains: int, seed: int | None, sampler: str, progress: Progress
) -> SamplerSettings:
    """Checked settings; without a number of draws 1,000 for each chain, or fewer where they are expensive."""
    if not callable(progress):
        raise DataError(f"progress must be a function of a step and the share done, not {progress!r}.")
    fewer, draws = draws is None, 1000 if draws is None else draws
    check_count("draws", draws, 4, " or None")
    check_count("chains", chains, 1)
    if chains > _MOST_CHAINS or draws * chains > _MOST_DRAWS:
        raise DataError(
            f"draws={draws} in chains={chains} are too many: at most {_MOST_CHAINS:,} chains and {_MOST_DRAWS:,} draws "
            "in all are kept. Some thousand tell means and intervals to the second digit."
        )
    if sampler not in _SAMPLERS:
        raise DataError(f"There is no sampler {sampler!r}. Valid names: {', '.join(_SAMPLERS)}.")
    if seed is not None:
        check_seed(seed)
    root = np.random.SeedSequence(None if seed is None else int(seed))
    return SamplerSettings(int(draws), int(chains), root, sampler, progress, fewer)


def deadline_of(time_limit: object) -> Deadline:
    """A deadline so many seconds from now, or none, or a clear refusal."""
    if time_limit is None:
        return Deadline()
    if isinstance(time_limit, bool) or not isinstance(time_limit, (int, float, np.number)) or not time_limit > 0:
        raise DataError(f"time_limit must be a positive number of seconds or None, not {time_limit!r}.")
    return Deadline(float(time_limit))


def check_seed(seed: object) -> int:
    """A seed, or a clear refusal."""
    found = check_count("seed", seed, 0, " or None")
    if found.bit_length() > _SEED_BITS:
        raise DataError(f"seed must have at most {_SEED_BITS} bits, not {found.bit_length():,}.")
    return found


def check_count(name: str, value: object, least: int, otherwise: str = "") -> int:
    """A whole number that is large enough, or a clear refusal."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise DataError(f"{name} must be a whole number of at least {least}{otherwise}, not {value!r}.")
    return int(value)


def check_interval(interval: object) -> float:
    """The probability of an interval, or a clear refusal."""
    if isinstance(interval, bool) or not isinstance(interval, (int, float, np.number)) or not 0 < interval < 1:
        raise DataError(f"interval must be a number between 0 and 1, not {interval!r}.")
    return float(interval)


def check_folds(folds: int, rows: int) -> None:
    """Refuse a number of folds that makes no sense for so many rows."""
    check_count("folds", folds, 2)
    if folds > rows:
        raise DataError(f"There are only {rows} rows; {folds} folds need at least as many.")
