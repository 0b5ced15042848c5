"""Statements about effects at a zero that lies far from the data, and whether the data contradict them.

`(x || g)` says that intercepts and slopes are independent at x = 0, and so do priors that were set on the sd of an
intercept or on correlations. Far from the data that is hardly ever meant: lines that cross within the data have
intercepts and slopes there that are nearly a function of one another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from poolwise.density.centring import moments
from poolwise.density.gaussian import gaussian
from poolwise.density.priors import ModelPriors
from poolwise.density.resolve import resolve_priors
from poolwise.density.ties import sampled_part
from poolwise.design.design import Design
from poolwise.design.factors import Factor
from poolwise.priors import Prior
from poolwise.samplers import Certificate
from poolwise.samplers.mode import find_modes
from poolwise.statistics.products import CrossProducts

_FAR = 3.0  # standard deviations of a predictor between its mean and zero
_AGAINST = math.log(1000.0)  # ratio of evidences


def far_from_zero(design: Design, priors: ModelPriors, statistics: CrossProducts) -> list[str]:
    """A sentence for each bar whose statements are about a zero far from the data."""
    total, at, said = statistics.merged(), 0, []
    for factor in design.factors:
        q = len(factor.effects)
        written = np.array(priors.at_zero[at : at + q], dtype=bool)
        at += q
        alone = np.bincount(factor.starts, minlength=q)[factor.starts] == 1
        if "Intercept" not in factor.effects or not (written | alone)[factor.effects.index("Intercept")]:
            continue
        name, distance = _farthest(factor, total)
        if distance > _FAR:
            what = "The priors of the group effects speak" if written.any() else f"(... || {factor.name}) speaks"
            said.append(
                f"{what} of intercepts at {name} = 0, which is {distance:,.0f} standard deviations from the mean "
                f"of {name}. Centre it: take {name} minus its mean as the predictor."
            )
    return said


def _farthest(factor: Factor, total: CrossProducts) -> tuple[str, float]:
    """The effect whose column's mean is the most standard deviations from zero, and how many."""
    mean, covariance = moments(factor.group_map, total)
    spread = np.sqrt(np.diag(covariance))
    distance = np.divide(np.abs(mean), spread, out=np.zeros_like(mean), where=spread > 0)
    return factor.effects[int(np.argmax(distance))], float(distance.max())


def judged(
    certificate: Certificate,
    statistics: CrossProducts,
    design: Design,
    priors: ModelPriors,
    given: Mapping[str, Prior],
    threads: int,
) -> Certificate:
    """A certificate that says so where the data contradict statements about a far-away zero.

    The check is by the same model with its statements made at the centre of the predictors: its evidence by Laplace's
    method is a thousand times as large.
    """
    said = far_from_zero(design, priors, statistics)
    if not said or certificate.log_evidence is None:
        return certificate
    kept = {
        name: prior for name, prior in given.items() if name not in ("sd", "cor") and name[:3] not in ("sd_", "cor")
    }
    other = resolve_priors(kept, design, statistics, whole=True)
    density = gaussian(statistics, design, other, threads=threads)
    gain = (
        find_modes(sampled_part(density, other.ties), np.random.default_rng(0))[0].log_mass - certificate.log_evidence
    )
    if gain < _AGAINST:
        return certificate
    advice = (
        "The data contradict the model: stated at the mean of the predictors, its evidence is "
        f"exp({gain:.0f}) times as large. {said[0]}"
    )
    return replace(certificate, passed=False, advice=advice)
