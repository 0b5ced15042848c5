"""What a family of outcomes declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from poolwise.compiled.kernels import Callback
from poolwise.families.links import CIRCLE, LOG, LOGIT, REAL, Link, Scale
from poolwise.families.summed import Summed
from poolwise.priors import ScalePrior
from poolwise.support.errors import FormulaError

Numbers = np.ndarray
OfOutcomes = Callable[[np.ndarray], float]
Check = Callable[[str, Numbers, Numbers], None]  # name, outcomes (n,), trials (n,)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter besides the mean: a dispersion, a probability of zero, ...; kernels take it on its scale.

    A positive one may be shared by all rows. Where no formula is given, any other has an intercept as its linear
    predictor, or is not estimated.

    Attributes
    ----------
    name : `sigma`, `shape`, `zi`, ...
    prior : the default prior where all rows share it, None where they cannot. Where `scaled`, of outcomes with a
        standard deviation of one.
    scaled : whether it has the units of the outcome.
    typical : a usual value, around which its linear predictor lies.
    scale : on which kernels take it.
    fixed : its value where no formula and no value is given, or a function of the outcomes (n,) that gives it; then it
        is not estimated. None for one that is.
    usual : a function of the outcomes (n,) that gives a usual value, where `typical` cannot say it, as it has their
        units.
    start : (outcomes) to the value at which the search for the mode begins, where the centre of its prior will not do:
        where the density may be zero there, or flat.
    bound : (outcomes) to what its value lies below where all rows share it: beyond, the density is zero.
    vanishes : whether it may be fixed at zero.
    most : (outcomes) to what a fixed value must lie below.
    relative : whether only its ratio between rows can be learnt: its linear predictor has no constant.
    known : whether each row has a value of its own, one over the root of its weight.
    """

    name: str
    prior: ScalePrior | None = None
    scaled: bool = False
    typical: float = 1.0
    scale: Scale = LOG
    fixed: float | OfOutcomes | None = None
    usual: OfOutcomes | None = None
    start: OfOutcomes | None = None
    bound: OfOutcomes | None = None
    vanishes: bool = False
    relative: bool = False
    most: OfOutcomes | None = None
    known: bool = False

    def to_scale(self, value: float) -> float:
        """A value on the scale on which kernels take it."""
        return float(next(iter(self.scale.links.values())).forward(np.array(value, dtype=float)))


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A family of distributions of the outcome.

    The location of a row is its mean on `scale` (for instance the log of a positive mean); parameters enter on theirs.
    All functions but `callback` work on arrays that broadcast.

    Attributes
    ----------
    name : as users write it.
    scale : on which the kernel takes the location; it has the valid links.
    parameters : the others, in the order in which functions take them.
    callback : compiled by `rows_callback`: log likelihood of rows up to a constant, its derivatives in the location and
        in each parameter on its scale, and the expected information on each, of dispersions about.
    log_density : (y, trials, location, *parameters on their scales) to log probabilities or densities, constants
        included.
    draw : (rng, trials, mean, *parameters) to new outcomes.
    check : refuses outcomes that the family cannot have.
    expected : (mean, *parameters) to the expected outcome, where that is not the mean on `scale`.
    variance : (mean, *parameters) to the variance of an outcome, of one trial; None where none is declared.
    whole : whether outcomes are whole numbers.
    additive : whether only the sum of the outcomes of rows with equal predictors matters, and that of their trials.
    summed : how outcomes on a scale of rows with equal predictors are summed up, where they can be.
    precise : the parameter whose square a row's weight divides; where there is none, weights multiply log likelihoods.
    trials : whether outcomes are successes among trials.
    labelled : whether outcomes may be two labels, of which the second is the success.
    zeros_apart : whether the location is of the outcomes that are not zero.
    centre : (mean, sd) of outcomes to about where the linear predictor lies and its unit, where the link does not say.
    summary : (outcomes, weights) to their mean and sd, where the location is not of all outcomes as they are: on a
        circle, or beside a shift.
    interval : compiled by `rows_callback`: log probability that the outcome lies in (lower, upper], for censored and
        truncated outcomes. Like `callback`, but y holds the lower ends and trials the upper ends, either of which may
        be infinite; weights may be negative; the information is the observed one, zero where it would be negative.
    log_interval : (lower, upper, location, *parameters on their scales) to the same log probabilities.
    of_labels : makes the family of outcomes that are one of some categories, from their labels and the name of a link;
        the outcome is then the position of its label.
    labels : of the categories, in their order; two at least.
    ordered : whether their order has a meaning.
    thresholds : parameters to which terms in `cs(...)` are added: they have effects of their own on each.
    location : what the location of an outcome called `{}` is, in words; "" for its mean, and for something without a
        name where `expected` says that it is not the mean.
    odds : whose odds a step of one on the logit scale multiplies by e, the outcome being called `{}`; "" where it
        multiplies none.
    repeated : whether the formula of the mean is that of each parameter instead, one for each category but the first.
    concave : whether the log likelihood of a row is concave in the location; else rows may pull a group to several
        places. Where it is not said, it is looked up at the data.
    signed : whether outcomes are times with the sign of a choice.
    likelihood : compiled by `values_callback`: what `callback` returns, of many draws and without derivatives.
    cuts : (location, *parameters on their scales that have no `fixed` value) to the (K - 1, ...) thresholds between
        categories.
    latent : whether an outcome says between which thresholds a latent variable lies, whose distribution function is the
        inverse link.
    quantities : what predictions show in the place of the mean, by name, from (location, *parameters on their scales).
    """

    name: str
    scale: Scale
    parameters: tuple[Parameter, ...]
    callback: Callback
    log_density: Callable[..., Numbers]
    draw: Callable[..., Numbers]
    check: Check
    expected: Callable[..., Numbers] | None = None
    variance: Callable[..., Numbers] | None = None
    whole: bool = False
    additive: bool = False
    summed: Summed | None = None
    precise: str = ""
    trials: bool = False
    labelled: bool = False
    zeros_apart: bool = False
    centre: Callable[[float, float], tuple[float, float]] | None = None
    summary: Callable[[Numbers, Numbers], tuple[float, float]] | None = None
    interval: Callback | None = None
    log_interval: Callable[..., Numbers] | None = None
    of_labels: Callable[[tuple[str, ...], str], Family] | None = None
    labels: tuple[str, ...] = ()
    ordered: bool = False
    thresholds: tuple[str, ...] = ()
    location: str = ""
    odds: str = ""
    repeated: bool = False
    concave: bool | None = None
    signed: bool = False
    likelihood: Callback | None = None
    cuts: Callable[..., Numbers] | None = None
    latent: bool = False
    quantities: Mapping[str, Callable[..., Numbers]] = field(default_factory=dict)

    @property
    def predictors(self) -> tuple[str, ...]:
        """Names of what may have a linear predictor, in the order of kernels; the mean is ""."""
        return ("", *(parameter.name for parameter in self.parameters))

    @property
    def located(self) -> str:
        """What the location of an outcome called `{}` is, in words."""
        return self.location or ("mean of {}" if self.expected is None else "location of {}")

    @property
    def countable(self) -> bool:
        """Whether equal rows can be put together before anything else is known of them."""
        return not any(each.usual or callable(each.fixed) for each in self.parameters)

    @property
    def unshared(self) -> tuple[str, ...]:
        """Names of the parameters that always have a linear predictor."""
        return tuple(
            each.name for each in self.parameters if each.prior is None and each.fixed is None and not each.known
        )

    def fixed(self, values: Iterable[tuple[str, float]]) -> dict[str, float]:
        """Parameters that have a value, on their scales; of those that each row knows what is the same in all.

        Raises
        ------
        FormulaError : for a value that the parameter cannot have.
        """
        known = {each.name: each for each in self.parameters}
        found = {name: 0.0 for name, each in known.items() if each.known}
        for name, value in values:
            with np.errstate(all="ignore"):
                at = known[name].to_scale(value)
            if value == 0 and known[name].vanishes:
                at = -1e300
            if not np.isfinite(at):
                what = "between 0 and 1" if known[name].scale is LOGIT else "above 0"
                raise FormulaError(f"'{name} = {value:g}' is no value that the parameter can have: it lies {what}.")
            found[name] = at
        return found

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
        free = self.scale in (REAL, CIRCLE) and not link.unit
        inside = mean if free else max(mean, least)
        inside = min(inside, 1 - least) if self.scale is LOGIT else inside
        inside = min(max(inside, link.ends[0]), link.ends[1])
        at = float(link.forward(np.array(inside)))
        if link.unit:
            return at, 1.0
        step = {LOG: 1e-4 * abs(inside), CIRCLE: 1e-4}.get(self.scale, 1.0)
        slope = (float(link.forward(np.array(inside + step))) - at) / step
        return at, abs(slope) * sd

    def values(self, predictors: tuple[Numbers, ...]) -> list[Numbers]:
        """The parameters, from their values on their scales."""
        return [each.scale.mean(at) for each, at in zip(self.parameters, predictors, strict=True)]

    def expectation(self, mean: Numbers, predictors: tuple[Numbers, ...]) -> Numbers:
        """Expected outcomes of a trial, from the mean on `scale` and the parameters on theirs."""
        return mean if self.expected is None else self.expected(mean, *self.values(predictors))
