"""Zeros and ones: the binomial family with one trial for each row."""

from __future__ import annotations

from poolwise.families.binomial import BINOMIAL
from poolwise.families.checks import zeros_and_ones
from poolwise.families.family import Family
from poolwise.families.links import LOGIT

BERNOULLI = Family(
    "bernoulli",
    LOGIT,
    (),
    BINOMIAL.callback,
    BINOMIAL.log_density,
    BINOMIAL.draw,
    zeros_and_ones,
    whole=True,
    additive=True,
    labelled=True,
    location="probability of {}",
    odds="{}",
    variance=lambda mean: mean * (1.0 - mean),
    likelihood=BINOMIAL.likelihood,
)
