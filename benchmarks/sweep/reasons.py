"""Why a fit may differ from its peer without being wrong: rules, each of which explains some kinds of faults.

The peer is at a boundary or did not converge, outcomes are separated, or the default prior matters: few groups, more
effects than rows, a coefficient or a spread that it pulls.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from benchmarks.sweep.fits import Measured
from benchmarks.sweep.models import Model
from benchmarks.sweep.peers import Peer

FEW_GROUPS, TINY = 8, 0.01
PULL, PULL_SD = 0.15, 0.5  # standard errors of a coefficient; posterior sds of a spread
UNSURE = re.compile(r"failed to converge|not converged|non-positive|Hessian|unidentifiable|false convergence", re.I)


@dataclass(frozen=True, slots=True)
class Fault:
    """What passes its limit, in words.

    `kind` is "beta", "far beta", "width" (of its posterior), "sigma", "missing", "zero" (the peer's sd is zero and ours
    may be) or "sd:" with the factor's name.
    """

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


def name_in_r(name: str) -> str:
    """`Intercept`, `x`, `z[T.b]:x` as R has them."""
    return re.sub(r"\[T\.([^\]]*)\]", r"\1", name).replace("Intercept", "(Intercept)")


def key_in_r(key: str, peer: Peer) -> str:
    """`g:h|Intercept` as the peer has it, which may be `h:g|(Intercept)`."""
    factor, _, effect = key.partition("|")
    effect = name_in_r(effect)
    turned = ":".join(reversed(factor.split(":")))
    return next((found for each in (factor, turned) if (found := f"{each}|{effect}") in peer.sd), "")


def reasons(model: Model, fit: Measured, peer: Peer) -> list[Reason]:
    """All reasons that hold for a fit and its peer."""
    found = of_peer(model, peer)
    if any("rests on" in note or "rest on" in note for note in fit.notes):
        found.append(Reason("outcomes are separated, so that only the prior bounds a coefficient"))
    for keys, levels in zip(model.factors, model.levels, strict=True):
        if levels < FEW_GROUPS:
            name = ":".join(keys)
            kinds = {"zero", "beta", "far beta", "width", f"sd:{name}"}
            found.append(Reason(f"the prior matters: {levels} groups in {name}", frozenset(kinds)))
    if model.effects > len(model.frame):
        found.append(Reason(f"the prior matters: {model.effects} effects and {len(model.frame)} rows"))
    return found + pulled(model, peer) + spreads_pulled(model, fit, peer)


def of_peer(model: Model, peer: Peer) -> list[Reason]:
    """Why this peer's estimates may be no guide."""
    found = []
    at_boundary = "the peer is at a boundary: a spread of zero or a correlation of one"
    tiny = model.slope is None and min(peer.sd.values(), default=1.0) <= TINY * (peer.sigma or 1.0)
    if peer.singular or tiny:
        kinds = {"zero", "width"}
        if model.slope is not None:  # a correlation of one, or a spread that others make up for
            kinds |= {"sd:", "sigma", "beta"}
        if model.family != "gaussian":  # on a link's scale coefficients grow with spreads
            kinds |= {"beta"}
        found.append(Reason(at_boundary, frozenset(kinds)))
    unsure = [text for text in peer.messages if UNSURE.search(text)]
    if unsure:
        found.append(Reason(f"the peer did not converge ({unsure[0][:100]})"))
    if any("dropping" in text for text in peer.messages):
        found.append(Reason("the peer dropped a column"))
    return found


def pulled(model: Model, peer: Peer) -> list[Reason]:
    """Coefficients that their default prior, Normal(0, 2.5 sd_y / sd_x), moves by more than `PULL` standard errors.

    Only those of terms that are in no other term: what lower terms mean depends on where the others have their zero,
    and a prior that matters for such a reason is no excuse.
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
            kinds = frozenset({"beta", "far beta", "width"})
            found.append(Reason(words, kinds if model.family == "gaussian" else None))
    return found


def predictors_in_r(model: Model) -> dict[str, np.ndarray]:
    """Centred columns of single predictors, by R's names."""
    found = {name: model.frame[name] for name in model.numbers}
    for name in model.categories:
        values = model.frame[name]
        found |= {f"{name}{label}": (values == label).astype(float) for label in sorted(set(values))[1:]}
    return {name: np.asarray(column, float) - float(column.mean()) for name, column in found.items()}


def spreads_pulled(model: Model, fit: Measured, peer: Peer) -> list[Reason]:
    """Spreads of intercepts on a link's scale that their prior, half-Student-t(3, 1), moves by more than `PULL_SD` sds.

    That prior is 1 / (1 + s^2 / 3)^2; coefficients shrink with such a spread.
    """
    if model.family == "gaussian" or model.slope is not None:
        return []
    found = []
    for key, ours in fit.sd.items():
        value = max(each.sd.get(key_in_r(key, each), 0.0) for each in (peer, peer.second or peer))
        pull = ours.sd * 4.0 * value / (3.0 + value**2)
        if value > 1.0 and pull > PULL_SD:
            words = f"the prior of the sd of {key} matters: {value:.2f} is pulled by {pull:.2f} posterior sds"
            found.append(Reason(words, frozenset({"beta", "width", "sd:"})))
    return found
