"""Families of outcomes: one file each, a declaration with its kernel, random draws and checks."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from poolwise.families.acat import ACAT
from poolwise.families.asymmetric_laplace import ASYMMETRIC_LAPLACE
from poolwise.families.bernoulli import BERNOULLI
from poolwise.families.beta import BETA
from poolwise.families.beta_binomial import BETA_BINOMIAL
from poolwise.families.binomial import BINOMIAL
from poolwise.families.callback import rows_callback, views
from poolwise.families.categorical import CATEGORICAL
from poolwise.families.cumulative import CUMULATIVE, CUMULATIVE_EQUIDISTANT
from poolwise.families.exgaussian import EXGAUSSIAN
from poolwise.families.exponential import EXPONENTIAL
from poolwise.families.family import Family, Parameter
from poolwise.families.gamma import GAMMA
from poolwise.families.gaussian import GAUSSIAN
from poolwise.families.gaussian_with_errors import GAUSSIAN_WITH_ERRORS
from poolwise.families.geometric import GEOMETRIC
from poolwise.families.hurdle_gamma import HURDLE_GAMMA
from poolwise.families.hurdle_lognormal import HURDLE_LOGNORMAL
from poolwise.families.hurdle_negative_binomial import HURDLE_NEGATIVE_BINOMIAL
from poolwise.families.hurdle_poisson import HURDLE_POISSON
from poolwise.families.inverse_gaussian import INVERSE_GAUSSIAN
from poolwise.families.links import CIRCLE, LOG, LOGIT, REAL, Link, Scale, locations
from poolwise.families.lognormal import LOGNORMAL
from poolwise.families.negative_binomial import NEGATIVE_BINOMIAL
from poolwise.families.poisson import POISSON
from poolwise.families.shifted_lognormal import SHIFTED_LOGNORMAL
from poolwise.families.skew_normal import SKEW_NORMAL
from poolwise.families.sratio import SRATIO
from poolwise.families.student import STUDENT
from poolwise.families.von_mises import VON_MISES
from poolwise.families.weibull import WEIBULL
from poolwise.families.wiener import WIENER
from poolwise.families.zero_inflated_binomial import ZERO_INFLATED_BINOMIAL
from poolwise.families.zero_inflated_negative_binomial import ZERO_INFLATED_NEGATIVE_BINOMIAL
from poolwise.families.zero_inflated_poisson import ZERO_INFLATED_POISSON
from poolwise.families.zero_one_inflated_beta import ZERO_ONE_INFLATED_BETA
from poolwise.support.errors import FormulaError, suggest

IDENTITY = GAUSSIAN.link("identity")
FAMILIES = MappingProxyType(
    {
        family.name: family
        for family in (
            GAUSSIAN,
            BERNOULLI,
            BINOMIAL,
            POISSON,
            NEGATIVE_BINOMIAL,
            STUDENT,
            GAMMA,
            LOGNORMAL,
            BETA,
            EXPONENTIAL,
            WEIBULL,
            GEOMETRIC,
            BETA_BINOMIAL,
            ZERO_INFLATED_POISSON,
            ZERO_INFLATED_NEGATIVE_BINOMIAL,
            ZERO_INFLATED_BINOMIAL,
            HURDLE_POISSON,
            HURDLE_NEGATIVE_BINOMIAL,
            HURDLE_GAMMA,
            HURDLE_LOGNORMAL,
            CUMULATIVE,
            CUMULATIVE_EQUIDISTANT,
            SRATIO,
            ACAT,
            CATEGORICAL,
            WIENER,
            SHIFTED_LOGNORMAL,
            EXGAUSSIAN,
            INVERSE_GAUSSIAN,
            SKEW_NORMAL,
            ASYMMETRIC_LAPLACE,
            VON_MISES,
            ZERO_ONE_INFLATED_BETA,
        )
    }
)
# The same outcomes with known standard errors beside their spread.
_WITH_ERRORS = MappingProxyType({GAUSSIAN: GAUSSIAN_WITH_ERRORS})
# Other names under which R, brms and Bambi know them.
_ALIASES = {
    "normal": "gaussian",
    "logistic": "bernoulli",
    "negbinomial": "negative_binomial",
    "zero_inflated_negbinomial": "zero_inflated_negative_binomial",
    "hurdle_negbinomial": "hurdle_negative_binomial",
    "betabinomial": "beta_binomial",
    "multinomial": "categorical",
    "negativebinomial": "negative_binomial",
    "nbinom": "negative_binomial",
    "student_t": "student",
    "t": "student",
    "Gamma": "gamma",
    "log_normal": "lognormal",
    "exgauss": "exgaussian",
    "inverse.gaussian": "inverse_gaussian",
    "wald": "inverse_gaussian",
    "asym_laplace": "asymmetric_laplace",
    "vonmises": "von_mises",
}


def family_of(asked: object, labels: Sequence[str] = (), link: str | None = None) -> Family:
    """The family of a name, or one that was made; of categories with these labels and by this link where it has some.

    Raises
    ------
    FormulaError : with the valid names.
    """
    if isinstance(asked, Family):
        return asked
    name = _ALIASES.get(str(asked), str(asked))
    if name not in FAMILIES:
        raise FormulaError(f"There is no family {asked!r}. {suggest(str(asked), FAMILIES)}")
    family = FAMILIES[name]
    return of_categories(family, labels, link) if labels else family


def with_errors(family: Family) -> Family:
    """The family whose outcomes have known standard errors beside their spread.

    Raises
    ------
    FormulaError : for a family that has none.
    """
    if family in _WITH_ERRORS.values():
        return family
    if family not in _WITH_ERRORS:
        names = ", ".join(each.name for each in _WITH_ERRORS)
        raise FormulaError(f"se(s, sigma=True) is for family='{names}'; '{family.name}' has no variance to add s^2 to.")
    return _WITH_ERRORS[family]


def is_listed(family: Family) -> bool:
    """Whether `FAMILIES` has it under its name, or that family has this one for outcomes with labels or with errors."""
    known = FAMILIES.get(family.name)
    if known is None:
        return False
    return family in (known, _WITH_ERRORS.get(known)) or known.of_labels is family.of_labels is not None


def of_categories(family: Family, labels: Sequence[str], link: str | None) -> Family:
    """The family of outcomes with these labels, by a link; a family without categories as it is."""
    if family.of_labels is None:
        return family
    return family.of_labels(tuple(map(str, labels)), family.link(link).name)


__all__ = [
    "CIRCLE",
    "FAMILIES",
    "GAUSSIAN",
    "IDENTITY",
    "LOG",
    "LOGIT",
    "REAL",
    "Parameter",
    "Family",
    "Link",
    "Scale",
    "family_of",
    "is_listed",
    "of_categories",
    "locations",
    "rows_callback",
    "views",
    "with_errors",
]
