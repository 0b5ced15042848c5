"""Dispersions whose log likelihoods are quadratic in something else than their logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from poolwise.density.working.bends import BENDS, Bend
from poolwise.density.working.dispersion_steps import curvatures
from poolwise.density.working.dispersions import WIDEST_BENT, Dispersions, held
from poolwise.families import Family

_FAR = np.array([-2.0, 2.0])  # standard deviations from the centre, at which slopes tell
_NARROW = 0.05  # standard deviations of logs, within which all are alike


def with_bends(dispersions: Dispersions, family: Family, scores_at: Callable[[np.ndarray], np.ndarray]) -> Dispersions:
    """With the bends by which slopes on both sides of the centre are nearest to those of the rows, and the curvature
    at the centre; as they are where all are well known, or where none is nearer.

    Parameters
    ----------
    scores_at : logs (k,) to the slopes (k,) of the rows' expected log likelihood in them.
    """
    scales = [family.parameters[r - 1].scale for r in dispersions.parameters.tolist()]
    plain = replace(dispersions, bends={})
    if not len(scales) or plain.sd.max() < _NARROW:
        return plain

    def slopes(at: np.ndarray) -> np.ndarray:
        return scores_at(at) + plain.prior_slopes(at)

    curved = curvatures(slopes, plain.centre)
    if not np.isfinite(curved).all():
        return plain
    found, chosen = replace(plain, precision=held(curved, WIDEST_BENT)), dict[int, Bend]()
    for k, scale in enumerate(scales):
        probes = found.centre + np.outer(_FAR * found.sd[k], np.eye(len(scales))[k])
        known = np.array([slopes(probe)[k] for probe in probes])
        kinds: list[dict[int, Bend]] = [{}, *({k: bend} for bend in BENDS if bend.scale is scale)]
        errors = [_apart(replace(found, bends=kind).slopes(probes)[:, k], known) for kind in kinds]
        if np.isfinite(errors).all():  # a shift has slopes on one side alone
            chosen |= kinds[int(np.argmin(errors))]
    bent = replace(found, bends=chosen)
    return replace(bent, precision=bent.falling(bent.precision)) if chosen else plain


def _apart(slopes: np.ndarray, known: np.ndarray) -> float:
    """How far slopes are from known ones, in their own size: far out on one side those of either may be huge."""
    return float(np.sum(np.abs(slopes - known) / (np.abs(slopes) + np.abs(known))))
