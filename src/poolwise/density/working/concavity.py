"""Whether log likelihoods of rows are concave in their location, looked up where the family does not say."""

from __future__ import annotations

import numpy as np

from poolwise.density.working.expected import ExpectedLikelihood

_ROWS, _POINTS = 1_000, 61  # rows that are looked at; locations, from below all outcomes to above them
_RISE = 1e-6  # of the largest slope, that rounding may make of none


def looks_concave(likelihood: ExpectedLikelihood, logs: np.ndarray) -> bool:
    """Whether no slope rises with the location, the outcomes being on its scale.

    `logs` (k,) are those of dispersions. A likelihood may be concave there and not elsewhere, but groups lie within.
    """
    y = likelihood.rows.y
    rows = np.unique(np.linspace(0, len(y) - 1, min(len(y), _ROWS)).astype(np.int64))
    low, high = np.quantile(y, [0.0, 1.0])
    points = np.linspace(low - 0.5 * (high - low), high + 0.5 * (high - low), _POINTS)
    slopes = np.array([likelihood.slopes(np.full(len(rows), point), logs, rows)[0] for point in points])
    known = np.isfinite(slopes).all(axis=0)  # not where outcomes cannot be at a location
    rises = np.diff(slopes[:, known], axis=0)
    return bool(rises.max(initial=0.0) <= _RISE * np.abs(slopes[:, known]).max(initial=0.0))
