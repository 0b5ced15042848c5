"""Expected information of a first passage on the predictors of its parameters, about; for scaling, not for inference.

On the drift it is the mean time, exactly: the score is the motion's martingale part where it ends. On the others it is
the mean over both boundaries of the information that an inverse Gaussian time has, the law of the time to one boundary
alone, plus a term for what the other boundary adds, fitted to quadrature. With D the distance to the boundary and
phi = |v| D an inverse Gaussian time has the information

    2 + phi on log D,      (phi^3 + 4.5 phi^2 + 10.5 phi + 10.5) / D^4 on a shift of time

(from the moments of 1 / t). The approximations are between 0.6 and 1.5 times the truth for |v| a up to 20 and w from
0.02 to 0.98.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel, vector

_FREE = 1e-3  # |v| a below which the drift makes no difference here
_MOST = 1e300


@kernel
def _of_shift(phi, distance):
    square = max(distance * distance, 1e-100)
    return (((phi + 4.5) * phi + 10.5) * phi + 10.5) / square / square


@kernel
def information(v: float, a: float, w: float, rest: float) -> tuple[float, float, float, float]:
    """On v, log a, a shift of time, and the logit of w; `rest` is 1 - w."""
    strength = min(abs(v) * a, 1e30)
    start, ahead = (w, rest) if v >= 0.0 else (rest, w)
    kept = max(strength, 1e-100)
    late = -vector.expm1(-2.0 * kept * start)
    whole = -vector.expm1(-2.0 * kept)
    along = late / whole
    against = -(1.0 - late) * vector.expm1(-2.0 * kept * ahead) / whole
    way = along - start if start < ahead else ahead - against
    time = start * ahead if strength < _FREE else max(way, 0.0) / strength
    both = along * against
    phi, back = strength * ahead, strength * start
    of_a = along * (2.0 + phi) + against * (2.0 + back) + 20.0 * math.sqrt(both * time)
    of_w = along * start * start * (2.0 + phi) + against * ahead * ahead * (2.0 + back) + 1.3 * both
    middle = start * ahead
    of_shift = along * _of_shift(phi, ahead) + against * _of_shift(back, start) + 10240.0 * both * middle * middle
    square = min(max(a * a, 1e-300), _MOST)
    return min(time * square, _MOST), of_a, min(of_shift / square / square, _MOST), of_w
