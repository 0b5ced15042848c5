"""Priors as Stan writes them."""

from __future__ import annotations

from poolwise.output.translate.common import number
from poolwise.priors import Exponential, Gamma, HalfCauchy, HalfNormal, HalfStudentT, Normal, Prior, StudentT
from poolwise.support.errors import DataError


def distribution(prior: Prior) -> str:
    """A prior as Stan writes it; those of scales are cut at zero by brms."""
    match prior:
        case Normal():
            return f"normal({number(prior.mean)}, {number(prior.sd)})"
        case StudentT():
            return f"student_t({number(prior.df)}, {number(prior.mean)}, {number(prior.scale)})"
        case HalfNormal():
            return f"normal(0, {number(prior.sd)})"
        case HalfCauchy():
            return f"cauchy(0, {number(prior.scale)})"
        case HalfStudentT():
            return f"student_t({number(prior.df)}, 0, {number(prior.scale)})"
        case Exponential():
            return f"exponential({number(prior.rate)})"
        case Gamma():
            return f"gamma({number(prior.shape)}, {number(prior.rate)})"
    raise DataError(f"brms has no {type(prior).__name__}.")
