"""What sampling a model would cost, said before it begins."""

from __future__ import annotations

import warnings

from poolwise.design.design import Design
from poolwise.support.errors import FormulaError, PoolwiseWarning

# Seconds of a flop of a gradient, gradients of a chain's step, steps of all chains: as measured with 13 effects.
_FLOP, _LEAVES, _STEPS = 1.5e-9, 16, 5000
_LONG, _TOO_LONG = 20.0, 300.0
_MOST = 1000  # correlations, beyond which even the search for a mode does not end


def check_expense(design: Design, threads: int, *, limited: bool) -> None:
    """Warn of a model that takes long because many correlations are sampled, and refuse one that would not end.

    Parameters
    ----------
    limited : whether there is a time limit anyway; then nothing is refused.

    Raises
    ------
    FormulaError : what it would cost, and what to write instead.
    """
    pairs = {factor.name: sum(k - int(start) for k, start in enumerate(factor.starts)) for factor in design.factors}
    if not any(pairs.values()):
        return
    worst = max(design.factors, key=lambda factor: pairs[factor.name])
    seconds = _seconds(design, sum(pairs.values())) / threads
    if seconds < _LONG:
        return
    effects = len(worst.effects)
    said = (
        f"{effects} effects that vary by '{worst.name}' have {pairs[worst.name]:,} correlations; sampling these takes "
        f"about {_in_words(seconds)}. (... || {worst.name}) leaves the correlations out; or let fewer effects vary, as "
        "of a category with fewer levels."
    )
    if sum(pairs.values()) > _MOST:
        raise FormulaError(said)
    if seconds > _TOO_LONG and not limited:
        raise FormulaError(f"{said} time_limit= tries it all the same.")
    warnings.warn(said, PoolwiseWarning, stacklevel=3)


def _seconds(design: Design, pairs: int) -> float:
    """Seconds of one thread, about."""
    p, flops = len(design.coefficients), 0.0
    for factor in design.factors:
        q = len(factor.effects)
        flops += len(factor.levels) * (2 * q**3 + 2 * q * q * p + q * p * (p + 1))
    dimension = pairs + sum(len(factor.effects) for factor in design.factors)
    curvature = 2 * dimension * 10  # gradients of some steps of Newton
    return _FLOP * flops * (_STEPS * _LEAVES * max(1.0, dimension / 92) ** 0.25 + curvature)


def _in_words(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.0f} hours"
