"""The rule of Gauss and Legendre with sixteen points (Abramowitz and Stegun 1964, table 25.4), on (0, 1)."""

from __future__ import annotations

import numpy as np

_FROM_MIDDLE = np.array(
    [
        0.09501250983763744,
        0.2816035507792589,
        0.45801677765722737,
        0.6178762444026438,
        0.755404408355003,
        0.8656312023878318,
        0.9445750230732326,
        0.9894009349916499,
    ]
)
_WEIGHTS = np.array(
    [
        0.1894506104550685,
        0.18260341504492358,
        0.16915651939500254,
        0.14959598881657674,
        0.12462897125553388,
        0.09515851168249279,
        0.062253523938647894,
        0.027152459411754096,
    ]
)
NODES = 0.5 + 0.5 * np.concatenate([-_FROM_MIDDLE[::-1], _FROM_MIDDLE])
WEIGHTS = 0.5 * np.concatenate([_WEIGHTS[::-1], _WEIGHTS])
