"""In what log likelihoods of a dispersion are quadratic, where that is not its log or logit.

The logit of a share of next to nothing, as one of a thousandth and one of a millionth explain the same zeros, has a
likelihood that goes flat to the left, where the prior alone holds it; so has the log of a shape to the right, where
counts are nearly those of Poisson. But log likelihoods are nearly quadratic in the share itself, in which those of
mixtures are concave, and in one over the shape, which is the variance of what multiplies the mean. Near a centre c any
such u(z) is worth (u(z) - u(c)) / u'(c), which is z - c there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from poolwise.families.links import LOG, LOGIT, Scale

Numbers = np.ndarray
_MOST = 300.0  # of an exponent


@dataclass(frozen=True, slots=True)
class Bend:
    """A function u of a log or logit z.

    Attributes
    ----------
    scale : of parameters whose likelihoods may be quadratic in u.
    u, slope, bend : of z: u, its derivative u', and u'' / u'.
    """

    scale: Scale
    u: Callable[[Numbers], Numbers]
    slope: Callable[[Numbers], Numbers]
    bend: Callable[[Numbers], Numbers]

    def away(self, z: Numbers, centre: float) -> Numbers:
        """How far numbers are from the centre, in units in which u' is one there."""
        at = np.array(centre)
        return np.asarray((self.u(z) - self.u(at)) / self.slope(at))


def _inverse(z: Numbers) -> Numbers:
    return np.exp(np.minimum(-z, _MOST))


SHARE = Bend(LOGIT, expit, lambda z: expit(z) * expit(-z), lambda z: 1.0 - 2.0 * expit(z))
INVERSE = Bend(LOG, lambda z: -_inverse(z), _inverse, lambda z: np.full_like(z, -1.0))
BENDS = SHARE, INVERSE
