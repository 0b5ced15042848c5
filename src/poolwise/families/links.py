"""Links: from the linear predictor to the scale on which a family's kernel takes its location.

That scale is the one on which no digits are lost: the whole line for a mean, the log for a positive mean, the logit for
a probability. The canonical link of a scale is the identity here; other links are a step before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Vector
from poolwise.compiled.vector import exp
from poolwise.families.scalars import HALF_LOG_TWO_PI, log_normal_tail
from poolwise.support.errors import FormulaError, suggest

_STRAIGHT, _PROBIT, _CLOGLOG, _LOG_OF_LOGIT, _IDENTITY_OF_LOG, _INVERSE_OF_LOG, _SQRT_OF_LOG, _LOG_OF_REAL = range(8)
_TAN_HALF_OF_REAL = 8
_SAME, _EXP, _LOGISTIC = range(3)  # from locations to means
_OPPOSITE = 2.9  # radians: beyond, tan(angle / 2) is as good as infinite


# Of the logistic, normal and extreme value distributions.
LATENT_VARIANCES = {"logit": math.pi**2 / 3, "probit": 1.0, "cloglog": math.pi**2 / 6}


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A link on a scale.

    Attributes
    ----------
    name : in the field's words.
    code : which step of `to_location` it is.
    forward : a mean to its linear predictor, elementwise; for starting values and default priors.
    unit : what a step of one is on the linear predictor: True where it says much whatever the data, as in logit and
        log; False where the linear predictor has the outcome's own units.
    ends : means between which starting values and default priors are kept.
    latent : variance of the distribution whose distribution function the inverse link is, where it is one.
    """

    name: str
    code: int
    forward: Callable[[np.ndarray], np.ndarray]
    unit: bool
    ends: tuple[float, float] = (-math.inf, math.inf)
    latent: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """The scale on which a family's kernel takes its location.

    Attributes
    ----------
    links : by name; the first is the canonical one.
    mean : location to mean, elementwise.
    code : which step of `to_mean` that is.
    """

    links: Mapping[str, Link]
    mean: Callable[[np.ndarray], np.ndarray]
    code: int

    def link(self, name: str | None, family: str) -> Link:
        """The link of a name, the canonical one without.

        Raises
        ------
        FormulaError : with the valid names.
        """
        if name is None:
            return next(iter(self.links.values()))
        if not isinstance(name, str) or name not in self.links:
            raise FormulaError(f"The family '{family}' has no link {name!r}. {suggest(str(name), self.links)}")
        return self.links[name]


def _logistic(x: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return np.asarray(expit(x))


def _logit(mean: np.ndarray) -> np.ndarray:
    return np.log(mean) - np.log1p(-mean)


def _probit(mean: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    return np.asarray(ndtri(mean))


def _links(*links: Link) -> Mapping[str, Link]:
    return {link.name: link for link in links}


def _same(mean: np.ndarray) -> np.ndarray:
    return mean


REAL = Scale(_links(Link("identity", _STRAIGHT, _same, False), Link("log", _LOG_OF_REAL, np.log, True)), _same, _SAME)
LOG = Scale(
    _links(
        Link("log", _STRAIGHT, np.log, True),
        Link("identity", _IDENTITY_OF_LOG, _same, False),
        Link("sqrt", _SQRT_OF_LOG, np.sqrt, False),
        Link("inverse", _INVERSE_OF_LOG, np.reciprocal, False),
    ),
    np.exp,
    _EXP,
)
LOGIT = Scale(
    _links(
        Link("logit", _STRAIGHT, _logit, True, latent=LATENT_VARIANCES["logit"]),
        Link("probit", _PROBIT, _probit, True, latent=LATENT_VARIANCES["probit"]),
        Link("cloglog", _CLOGLOG, lambda mean: np.log(-np.log1p(-mean)), True, latent=LATENT_VARIANCES["cloglog"]),
        Link("log", _LOG_OF_LOGIT, np.log, True),
    ),
    _logistic,
    _LOGISTIC,
)


def _tan_half(mean: np.ndarray) -> np.ndarray:
    return np.asarray(np.tan(0.5 * mean))


CIRCLE = Scale(  # angles in radians
    _links(
        Link("tan_half", _TAN_HALF_OF_REAL, _tan_half, False, (-_OPPOSITE, _OPPOSITE)),
        Link("identity", _STRAIGHT, _same, False),
    ),
    _same,
    _SAME,
)


@kernel
def _step(code, x):
    """Location and its derivative at a linear predictor; NaN where the link has no mean."""
    if code == _PROBIT:
        below, above = log_normal_tail(x), log_normal_tail(-x)
        return below - above, math.exp(-0.5 * x * x - HALF_LOG_TWO_PI - below - above)
    if code == _CLOGLOG:
        rate = math.exp(x)
        if rate > 40.0:
            return rate, rate
        if rate < 1e-8:
            return x + 0.5 * rate, 1.0
        return math.log(math.expm1(rate)), rate / -math.expm1(-rate)
    if code == _LOG_OF_LOGIT:
        if x >= 0.0:
            return math.nan, math.nan
        rest = -math.expm1(x)
        return x - math.log(rest), 1.0 / rest
    if code == _LOG_OF_REAL:
        return math.exp(x), math.exp(x)
    if code == _TAN_HALF_OF_REAL:
        return 2.0 * math.atan(x), 2.0 / (1.0 + x * x)
    if x <= 0.0:
        return math.nan, math.nan
    if code == _IDENTITY_OF_LOG:
        return math.log(x), 1.0 / x
    if code == _INVERSE_OF_LOG:
        return -math.log(x), -1.0 / x
    return 2.0 * math.log(x), 2.0 / x


@kernel
def to_location(code: int, predictors: Vector, slopes: Vector) -> None:
    """Replace linear predictors (n,) by locations, and write the derivatives (n,) of these; nothing for code 0."""
    if code == _STRAIGHT:
        return
    for i in range(predictors.size):
        predictors[i], slopes[i] = _step(code, predictors[i])


@kernel
def to_mean(code, locations):
    """Replace locations (n,) by means; nothing for code 0."""
    if code == _EXP:
        for i in range(locations.size):
            root = exp(0.5 * locations[i])  # which has no end below 1418, nor beyond
            locations[i] = root * root
    elif code == _LOGISTIC:
        for i in range(locations.size):
            locations[i] = 1.0 / (1.0 + exp(-locations[i]))


def locations(link: Link, predictors: np.ndarray) -> np.ndarray:
    """Locations at linear predictors of any shape."""
    if link.code == _STRAIGHT:
        return predictors
    found = np.array(predictors, dtype=float, order="K")
    if not (found.flags.c_contiguous or found.flags.f_contiguous):
        found = np.ascontiguousarray(found)
    flat = found.ravel(order="K")  # the same memory
    to_location(link.code, flat, np.empty_like(flat))
    return found
