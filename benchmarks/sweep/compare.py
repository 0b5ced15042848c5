"""Verdicts: a fit beside the peer's, beside itself with other seeds, and beside itself with predictors shifted.

A difference that passes a limit below is a fault. Rules alone explain faults (`reasons.py`); a fit disagrees where any
is left. Of other families than the normal a second opinion of the peer counts too: its REML rests on Laplace's
approximation, which moves intercepts by a posterior sd and more where groups differ much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from benchmarks.sweep.fits import Measured, Quantity
from benchmarks.sweep.models import Model
from benchmarks.sweep.peers import Peer
from benchmarks.sweep.reasons import Fault, key_in_r, name_in_r, reasons

BETA, BETA_SLOPES = 0.5, 0.75  # posterior sds; with varying slopes a coefficient hangs more on spreads
SD, SIGMA, WIDTH = 0.2, 0.1, math.log(2)  # logs of ratios; of spreads, outside of the 99% interval
SEEDS, SHIFT = 5.0, 0.1  # Monte Carlo errors; posterior sds
FAR = 2.0  # posterior sds: a coefficient that a boundary does not explain
TINY, REACHES_ZERO = 0.01, 0.3  # to the median: an sd of zero, and the lower end of an interval that goes there
AGREES, DISAGREES, EXPLAINED, UNCERTIFIED, NO_PEER = "agrees", "DISAGREES", "explained", "not certified", "no peer"


@dataclass(slots=True)
class Comparison:
    """How far a fit is from its peer's estimates.

    Attributes
    ----------
    beta_apart, beta_worst : largest distance of a coefficient in posterior sds, and of which one.
    sd_log_ratio, sd_worst : largest log ratio of posterior median to the peer's sd of effects, and of which one.
    sds_inside : whether all of the peer's sds lie in the 95% intervals.
    sigma_log_ratio : the same of the residual sd.
    se_log_ratio : largest log ratio of a coefficient's posterior sd to the peer's standard error.
    faults : what passes its limit.
    """

    beta_apart: float = math.nan
    beta_worst: str = ""
    sd_log_ratio: float = math.nan
    sd_worst: str = ""
    sds_inside: bool = True
    sigma_log_ratio: float = math.nan
    se_log_ratio: float = math.nan
    faults: list[Fault] = field(default_factory=list)

    def fault(self, kind: str, words: str) -> None:
        self.faults.append(Fault(kind, words))


def inside(quantity: Quantity, value: float, limit: float) -> bool:
    """Whether a spread lies in the 99% interval, or is nearly the median."""
    return quantity.lowest <= value <= quantity.highest or abs(log_ratio(quantity.median, value)) <= limit


def log_ratio(ours: float, theirs: float) -> float:
    """Log of a ratio; infinite where the peer says zero."""
    return math.log(ours / theirs) if ours > 0 and theirs > 0 else math.inf


def with_peer(model: Model, fit: Measured, peer: Peer) -> Comparison:
    """Compare all that both have; what only we have is a fault."""
    found = Comparison()
    limit = BETA if model.slope is None else BETA_SLOPES
    for name, ours in fit.beta.items():
        theirs = peer.beta.get(name_in_r(name), math.nan)
        if math.isnan(theirs):
            found.fault("missing", f"the peer has no coefficient {name}")
            continue
        apart = abs(ours.mean - theirs) / max(ours.sd, 1e-300)
        if not apart <= found.beta_apart:
            found.beta_apart, found.beta_worst = apart, name
        error = peer.se.get(name_in_r(name), math.nan)
        width = 0.0 if math.isnan(error) else log_ratio(ours.sd, error)
        if not abs(width) <= abs(found.se_log_ratio):
            found.se_log_ratio = width
        if apart > limit:
            found.fault("beta" if apart <= FAR else "far beta", f"{name} is {apart:.2f} posterior sds off")
        if abs(width) > WIDTH:
            found.fault("width", f"{name}: posterior sd {math.exp(min(width, 700)):.3g} of the standard error")
    for key, ours in fit.sd.items():
        value = peer.sd.get(key_in_r(key, peer), math.nan)
        if math.isnan(value):
            found.fault("missing", f"the peer has no sd of {key}")
            continue
        ratio = log_ratio(ours.median, value)
        if not abs(ratio) <= abs(found.sd_log_ratio):
            found.sd_log_ratio, found.sd_worst = ratio, key
        found.sds_inside &= ours.low <= value <= ours.high
        if not inside(ours, value, SD):
            zero = value <= TINY * ours.median and ours.low <= REACHES_ZERO * ours.median
            kind = "zero" if zero else f"sd:{key.partition('|')[0]}"
            found.fault(kind, f"sd of {key}: {ours.lowest:.4g} to {ours.highest:.4g}, the peer {value:.4g}")
    if fit.sigma is not None and peer.sigma is not None:
        found.sigma_log_ratio = log_ratio(fit.sigma.median, peer.sigma)
        if not inside(fit.sigma, peer.sigma, SIGMA):
            found.fault("sigma", f"sigma: {fit.sigma.lowest:.4g} to {fit.sigma.highest:.4g}, the peer {peer.sigma:.4g}")
    return found


def verdict(model: Model, fit: Measured, peer: Peer | None, found: Comparison) -> str:
    """One of the words above, with reasons."""
    if not fit.certified:
        return UNCERTIFIED
    if peer is None:
        return NO_PEER
    if peer.error:
        return f"{EXPLAINED}: the peer gave no estimate ({peer.error[:100]})"
    if not found.faults:
        return AGREES
    known = reasons(model, fit, peer)

    def unexplained(faults: Sequence[Fault]) -> list[str]:
        return [fault.words for fault in faults if not any(each.explains(fault) for each in known)]

    left = unexplained(found.faults)
    if left and peer.second is not None and not unexplained(with_peer(model, fit, peer.second).faults):
        return f"{EXPLAINED}: REML by Laplace's approximation is off; maximum likelihood of a peer agrees ({left[0]})"
    if left:
        return f"{DISAGREES}: {'; '.join(left[:4])}"
    why = [each.words for each in known if any(each.explains(fault) for fault in found.faults)]
    return f"{EXPLAINED}: {'; '.join(why)}"


def seeds_apart(fits: Sequence[Measured]) -> tuple[float, str]:
    """Largest difference of means between seeds in Monte Carlo errors, and of which parameter; spreads by their log."""
    largest, worst = 0.0, ""
    for i, one in enumerate(fits):
        for other in fits[i + 1 :]:
            theirs = other.beta | other.sd
            for name, a in (one.beta | one.sd).items():
                b = theirs[name]
                apart = abs(a.centre - b.centre) / max(math.hypot(a.error, b.error), 1e-300)
                if apart > largest:
                    largest, worst = apart, name
    return largest, worst


def slopes_to_keep(model: Model, names: Sequence[str]) -> list[str]:
    """Coefficients that a shift of all numbers leaves as they are: those in no product with one more number."""
    terms = {name: {part.partition("[")[0] for part in name.split(":")} for name in names if name != "Intercept"}
    shifted = set(model.numbers)
    return [
        name
        for name, parts in terms.items()
        if not any(parts < other and (other - parts) & shifted for other in terms.values())
    ]


def after_shift(model: Model, base: Measured, shifted: Measured) -> tuple[float, float, str]:
    """Largest differences of predictions and slopes in posterior sds, and the fault in words if there is one."""
    predicted = np.abs(base.predicted - shifted.predicted) / np.maximum(base.predicted_sd, 1e-300)
    slopes = {
        name: abs(base.beta[name].mean - shifted.beta[name].mean) / max(base.beta[name].sd, 1e-300)
        for name in slopes_to_keep(model, list(base.beta))
    }
    worst = max(slopes, key=lambda name: slopes[name], default="")
    furthest = (float(predicted.max(initial=0.0)), slopes.get(worst, 0.0))
    # The largest of some hundred differences of two Monte Carlo means.
    limit = SHIFT + 4.0 * math.sqrt(2.0 / max(min(base.least_ess, shifted.least_ess), 1.0))
    faults = [f"predictions move by {furthest[0]:.2f} posterior sds"] if furthest[0] > limit else []
    faults += [f"{worst} moves by {furthest[1]:.2f}"] if furthest[1] > limit else []
    return *furthest, "; ".join(faults)
