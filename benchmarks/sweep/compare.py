"""Verdicts: a fit beside the peer's, beside itself with other seeds, and beside itself with predictors shifted.

A difference that passes a limit below is a fault. Rules alone explain faults, each rule some kinds of them: the peer
is at a boundary (then its zeros and what goes with them) or did not converge (all), or the prior matters (few groups:
the spread between them; more effects than rows; a coefficient that the default prior pulls). A fit disagrees where any
fault is left without a reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from benchmarks.sweep.fits import Measured, Quantity
from benchmarks.sweep.models import Model
from benchmarks.sweep.peers import Peer

BETA, SD, SIGMA, WIDTH = 0.5, 0.2, 0.1, math.log(2)  # posterior sds; logs of ratios outside of the 95% interval
SEEDS, SHIFT = 5.0, 0.1  # Monte Carlo errors; posterior sds
FEW_GROUPS, PULL, TINY, REACHES_ZERO = 8, 0.15, 0.01, 0.3
AGREES, DISAGREES, EXPLAINED, UNCERTIFIED, NO_PEER = "agrees", "DISAGREES", "explained", "not certified", "no peer"
UNSURE = re.compile(r"failed to converge|not converged|non-positive|Hessian|unidentifiable|false convergence", re.I)


@dataclass(frozen=True, slots=True)
class Fault:
    """What passes its limit, in words; `kind` is "beta", "width" (of its posterior), "sigma", "missing", "zero" (the
    peer's sd is zero and ours may be) or "sd:" with the factor's name."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a fit may differ from its peer without being wrong; `kinds` of faults are explained, None for all."""

    words: str
    kinds: frozenset[str] | None = None

    def explains(self, fault: Fault) -> bool:
        """Whether a fault may come from this; `sd:` without a factor stands for those of all factors."""
        return self.kinds is None or fault.kind in self.kinds or ("sd:" in self.kinds and fault.kind.startswith("sd:"))


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


def name_in_r(name: str) -> str:
    """`Intercept`, `x`, `z[T.b]:x` as R has them."""
    return re.sub(r"\[T\.([^\]]*)\]", r"\1", name).replace("Intercept", "(Intercept)")


def key_in_r(key: str, peer: Peer) -> str:
    """`g:h|Intercept` as the peer has it, which may be `h:g|(Intercept)`."""
    factor, _, effect = key.partition("|")
    effect = name_in_r(effect)
    turned = ":".join(reversed(factor.split(":")))
    return next((found for each in (factor, turned) if (found := f"{each}|{effect}") in peer.sd), "")


def inside(quantity: Quantity, value: float, limit: float) -> bool:
    """Whether a spread lies in the 95% interval, or is nearly the median."""
    return quantity.low <= value <= quantity.high or abs(log_ratio(quantity.median, value)) <= limit


def log_ratio(ours: float, theirs: float) -> float:
    """Log of a ratio; infinite where the peer says zero."""
    return math.log(ours / theirs) if ours > 0 and theirs > 0 else math.inf


def with_peer(fit: Measured, peer: Peer) -> Comparison:
    """Compare all that both have; what only we have is a fault."""
    found = Comparison()
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
        if apart > BETA:
            found.fault("beta", f"{name} is {apart:.2f} posterior sds off")
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
            found.fault(kind, f"sd of {key}: {ours.low:.4g} to {ours.high:.4g}, the peer {value:.4g}")
    if fit.sigma is not None and peer.sigma is not None:
        found.sigma_log_ratio = log_ratio(fit.sigma.median, peer.sigma)
        if not inside(fit.sigma, peer.sigma, SIGMA):
            found.fault("sigma", f"sigma: {fit.sigma.low:.4g} to {fit.sigma.high:.4g}, the peer {peer.sigma:.4g}")
    return found


def reasons(model: Model, peer: Peer) -> list[Reason]:
    """Why a fit of this model may differ from this peer."""
    found = []
    at_boundary = "the peer is at a boundary: a spread of zero or a correlation of one"
    if peer.singular:
        kinds = {"zero", "width", "sd:", "sigma"} if model.slope else {"zero", "width"}
        found.append(Reason(at_boundary, frozenset(kinds)))
    elif any(value <= TINY * (peer.sigma or 1.0) for value in peer.sd.values()):
        found.append(Reason(at_boundary, frozenset({"zero", "width"})))
    unsure = [text for text in peer.messages if UNSURE.search(text)]
    if unsure:
        found.append(Reason(f"the peer did not converge ({unsure[0][:100]})"))
    if any("dropping" in text for text in peer.messages):
        found.append(Reason("the peer dropped a column"))
    for keys, levels in zip(model.factors, model.levels, strict=True):
        if levels < FEW_GROUPS:
            name = ":".join(keys)
            kinds = {"zero", "beta", "width", f"sd:{name}"}
            found.append(Reason(f"the prior matters: {levels} groups in {name}", frozenset(kinds)))
    if model.effects > len(model.frame):
        found.append(Reason(f"the prior matters: {model.effects} effects and {len(model.frame)} rows"))
    return found + pulled(model, peer)


def pulled(model: Model, peer: Peer) -> list[Reason]:
    """Coefficients that their default prior, Normal(0, 2.5 sd_y / sd_x), moves by more than `PULL` standard errors.

    Only those of terms that are in no other term: what lower terms mean hangs on where the others have their zero, and
    a prior that matters for such a reason is no excuse.
    """
    unit = float(model.frame[model.outcome].std()) if model.family == "gaussian" else 1.0
    columns = predictors_in_r(model)
    terms = {name: set(name.split(":")) for name in peer.beta if name != "(Intercept)"}
    found = []
    for name, parts in terms.items():
        if any(parts < other for other in terms.values()) or not parts <= set(columns):
            continue
        spread = float(np.prod([columns[part] for part in parts], axis=0).std())
        width, se = 2.5 * unit / max(spread, 1e-300), peer.se.get(name, math.nan)
        pull = abs(peer.beta[name]) * se / (se**2 + width**2)
        if pull > PULL:
            words = f"the prior of {name} matters: it pulls by {pull:.2f} standard errors"
            # On a link's scale all grow together where outcomes are nearly told.
            found.append(Reason(words, frozenset({"beta", "width"}) if model.family == "gaussian" else None))
    return found


def predictors_in_r(model: Model) -> dict[str, np.ndarray]:
    """Centred columns of single predictors, by R's names."""
    found = {name: model.frame[name] for name in model.numbers}
    for name in model.categories:
        values = model.frame[name]
        found |= {f"{name}{label}": (values == label).astype(float) for label in sorted(set(values))[1:]}
    return {name: np.asarray(column, float) - float(column.mean()) for name, column in found.items()}


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
    known = reasons(model, peer)
    if any("rests on" in note or "rest on" in note for note in fit.notes):
        known.append(Reason("outcomes are separated, so that only the prior bounds a coefficient"))
    left = [fault.words for fault in found.faults if not any(each.explains(fault) for each in known)]
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
