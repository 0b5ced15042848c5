"""Accept-reject Metropolis: the bound that proposals are thinned by, and chains of those that passed it.

Tierney (1994), section 2.3.4; Chib and Greenberg (1995).
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntMatrix, Matrix


def choose_bound(log_weights: np.ndarray, stay: float, most: float) -> tuple[float, float]:
    """Log of the bound on the weights, and the share of proposals that pass under it.

    The bound is the least one under which a stationary chain stays in place in at most a share `stay` of its steps,
    that is E[(w - bound)+] <= stay E[w], unless a draw would cost more than `most` proposals.
    """
    top = float(log_weights.max())
    weights = np.sort(np.exp(log_weights - top))[::-1]
    total = weights.sum()
    above = np.cumsum(weights) - weights * np.arange(1, len(weights) + 1)  # sum of (w - w_k)+ over the k largest
    bound = weights[np.searchsorted(above, stay * total, side="right") - 1]
    bound = min(bound, most * total / len(weights))
    return top + math.log(bound), float(np.minimum(weights / bound, 1.0).mean())


@kernel
def run_chains(log_excess: Matrix, log_uniforms: Matrix, chosen: IntMatrix) -> int:
    """Metropolis on candidates that have passed the bound, log_excess = max(log w - log bound, 0), (chains, steps).

    A state within the bound always gives way; one beyond it gives way in proportion. Returns the number of moves.
    """
    moves = 0
    for chain in range(log_excess.shape[0]):
        current = 0
        chosen[chain, 0] = chain * log_excess.shape[1]
        for step in range(1, log_excess.shape[1]):
            if log_uniforms[chain, step] < log_excess[chain, step] - log_excess[chain, current]:
                current = step
                moves += 1
            chosen[chain, step] = chain * log_excess.shape[1] + current
    return moves
