"""Numbers that users give, checked: the only place where they become `SamplerSettings`."""

from __future__ import annotations

import numpy as np

from poolwise.errors import DataError
from poolwise.progress import Progress
from poolwise.samplers.base import SamplerSettings

_SAMPLERS = ("auto", "independence", "nuts")


def sampler_settings(draws: int, chains: int, seed: int | None, sampler: str, progress: Progress) -> SamplerSettings:
    """Checked settings."""
    for name, value, least in (("draws", draws, 4), ("chains", chains, 1)):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise DataError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    if sampler not in _SAMPLERS:
        raise DataError(f"There is no sampler {sampler!r}. Valid names: {', '.join(_SAMPLERS)}.")
    if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
        raise DataError(f"seed must be a whole number of at least 0, or None, not {seed!r}.")
    return SamplerSettings(
        int(draws), int(chains), np.random.SeedSequence(None if seed is None else int(seed)), sampler, progress
    )


def check_folds(folds: int, rows: int, least: int = 2) -> None:
    """Refuse a number of folds that makes no sense for so many rows."""
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < least:
        raise DataError(f"folds must be a whole number of at least {least}, not {folds!r}.")
    if folds > rows:
        raise DataError(f"There are only {rows} rows; {folds} folds need at least as many.")
