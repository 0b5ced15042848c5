"""What a family of outcomes declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poolwise.compiled.kernels import Callback
from poolwise.families.links import LOG, LOGIT, REAL, Link, Scale
from poolwise.priors import ScalePrior

Numbers = np.ndarray
Check = Callable[[str, Numbers, Numbers], None]  # name, outcomes (n,), trials (n,)


@dataclass(frozen=True, slots=True)
class Dispersion:
    """A positive parameter besides the mean; kernels take its log.

    Attributes
    ----------
    name : `sigma`, `shape`, ...
    prior : the default prior. Where `scaled`, of outcomes with a standard deviation of one.
    scaled : whether it has the units of the outcome.
    typical : a usual value, around which its log lies where it has a formula.
    """

    name: str
    prior: ScalePrior
    scaled: bool = False
    typical: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A family of distributions of the outcome.

    The location of a row is its mean on `scale` (for instance the log of a positive mean); dispersions enter as logs.
    All functions but `callback` work on arrays that broadcast.

    Attributes
    ----------
    name : as users write it.
    scale : on which the kernel takes the location; it has the valid links.
    dispersions : the other parameters, in the order in which functions take them.
    callback : compiled by `rows_callback`: log likelihood of rows up to a constant, its derivatives in each parameter's
        location or log, and the expected information on each.
    log_density : (y, trials, location, *log dispersions) to log probabilities or densities, constants included.
    draw : (rng, trials, mean, *dispersions) to new outcomes.
    check : refuses outcomes that the family cannot have.
    expected : (mean, *dispersions) to the expected outcome, where that is not the mean on `scale`.
    whole : whether outcomes are whole numbers.
    additive : whether only the sum of the outcomes of rows with equal predictors matters.
    precise : whether a row's weight divides its variance; else it multiplies its log likelihood.
    trials : whether outcomes are successes among trials.
    labelled : whether outcomes may be two labels, of which the second is the success.
    centre : (mean, sd) of outcomes to about where the linear predictor lies and its unit, where the link does not say.
    """

    name: str
    scale: Scale
    dispersions: tuple[Dispersion, ...]
    callback: Callback
    log_density: Callable[..., Numbers]
    draw: Callable[..., Numbers]
    check: Check
    expected: Callable[..., Numbers] | None = None
    whole: bool = False
    additive: bool = False
    precise: bool = False
    trials: bool = False
    labelled: bool = False
    centre: Callable[[float, float], tuple[float, float]] | None = None

    def link(self, name: str | None) -> Link:
        """The link of a name, the usual one without.

        Raises
        ------
        FormulaError : with the valid names.
        """
        return self.scale.link(name, self.name)

    def moments(self, link: Link, mean: float, sd: float) -> tuple[float, float]:
        """About where the linear predictor lies for outcomes of a mean and sd, and what one unit of it is."""
        if self.centre is not None:
            return self.centre(mean, sd)
        least = 1e-3 if self.scale is LOGIT else 1e-300
        inside = mean if self.scale is REAL and not link.unit else max(mean, least)
        inside = min(inside, 1 - least) if self.scale is LOGIT else inside
        at = float(link.forward(np.array(inside)))
        if link.unit:
            return at, 1.0
        step = 1e-4 * abs(inside) if self.scale is LOG else 1.0
        slope = (float(link.forward(np.array(inside + step))) - at) / step
        return at, abs(slope) * sd

    def expectation(self, mean: Numbers, dispersions: tuple[Numbers, ...]) -> Numbers:
        """Expected outcomes of a trial."""
        return mean if self.expected is None else self.expected(mean, *dispersions)
