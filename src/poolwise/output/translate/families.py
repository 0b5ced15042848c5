"""What each family is called in other systems, and how its parameters are written there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from poolwise.families import Family, is_listed
from poolwise.output.translate import pymc_helpers as helpers
from poolwise.support.errors import DataError


@dataclass(frozen=True, slots=True)
class Pymc:
    """A likelihood of PyMC.

    Attributes
    ----------
    distribution : its class.
    arguments : in terms of `mu`, the mean on the family's scale, of the other parameters by their names, and of
        `trials`; `{parameters}` stands for all names of these.
    helper : functions that the arguments call.
    survival : log probability to lie above `end`, where PyMC's own is not accurate.
    """

    distribution: str
    arguments: str
    helper: str = ""
    survival: str = ""


@dataclass(frozen=True, slots=True)
class Brms:
    """A family of brms.

    Attributes
    ----------
    function : which makes it.
    unlike : what it has in another sense, as a sentence; the family cannot be translated then.
    without_formula : parameters that brms has on another link, so that they cannot have formulas.
    note : what to know of the script.
    parameters : its names of other parameters than the mean, where they differ.
    unknown : parameters that it lacks, with the only value that it can be said to have; None for any.
    helper : statements that make the function.
    """

    function: str
    unlike: str = ""
    without_formula: tuple[str, ...] = ()
    note: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, float | None] = field(default_factory=dict)
    helper: str = ""


@dataclass(frozen=True, slots=True)
class Bambi:
    """A family of Bambi.

    Attributes
    ----------
    name : of the family.
    parent : its name of the mean.
    parameters : its names of the other parameters.
    turned : those of them that are one less ours, so that their logits have the other sign.
    unlike : as in `Brms`.
    """

    name: str
    parent: str = "mu"
    parameters: Mapping[str, str] = field(default_factory=dict)
    turned: tuple[str, ...] = ()
    unlike: str = ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A family in other systems."""

    pymc: Pymc
    brms: Brms
    bambi: Bambi


_OF_BETA = "alpha=mu * phi, beta=(1 - mu) * phi"
_NO_GEOMETRIC = "Bambi has no family of counts of failures before a success"
_OTHER_WEIBULL = "the location of this fit is the log of the Weibull scale, that of Bambi is the log of the mean"
_OTHER_THRESHOLDS = "Bambi has no priors of the distances between thresholds"
_PROBABILITIES = "p=probabilities(mu, {parameters})"
_NU = "brms keeps nu above 1; here it may be any positive number."

# brms has the Weibull distribution by its mean; here its location is the log of its scale.
WEIBULL_SCALE = """weibull_scale <- custom_family("weibull_scale", dpars = c("mu", "shape"), links = c("log", "log"),
  lb = c(0, 0), type = "real")
weibull_functions <- stanvar(block = "functions", scode = "
  real weibull_scale_lpdf(real y, real mu, real shape) { return weibull_lpdf(y | shape, mu); }
  real weibull_scale_lcdf(real y, real mu, real shape) { return weibull_lcdf(y | shape, mu); }
  real weibull_scale_lccdf(real y, real mu, real shape) { return weibull_lccdf(y | shape, mu); }")
"""

ELSEWHERE: Mapping[str, Elsewhere] = MappingProxyType(
    {
        "gaussian": Elsewhere(
            Pymc("Normal", "mu, sigma"), Brms("gaussian"), Bambi("gaussian", parameters={"sigma": "sigma"})
        ),
        "student": Elsewhere(
            Pymc("StudentT", "nu=nu, mu=mu, sigma=sigma"),
            Brms("student", without_formula=("nu",), note=_NU),
            Bambi("t", parameters={"sigma": "sigma", "nu": "nu"}),
        ),
        "bernoulli": Elsewhere(Pymc("Bernoulli", "p=mu"), Brms("bernoulli"), Bambi("bernoulli", "p")),
        "binomial": Elsewhere(Pymc("Binomial", "n=trials, p=mu"), Brms("binomial"), Bambi("binomial", "p")),
        "beta_binomial": Elsewhere(
            Pymc("BetaBinomial", f"n=trials, {_OF_BETA}"),
            Brms("beta_binomial"),
            Bambi("beta_binomial", parameters={"phi": "kappa"}),
        ),
        "poisson": Elsewhere(Pymc("Poisson", "mu=mu"), Brms("poisson"), Bambi("poisson")),
        # PyMC's own geometric distribution counts trials, the success among them.
        "geometric": Elsewhere(
            Pymc("NegativeBinomial", "mu=mu, alpha=1"), Brms("geometric"), Bambi("", unlike=_NO_GEOMETRIC)
        ),
        "negative_binomial": Elsewhere(
            Pymc("NegativeBinomial", "mu=mu, alpha=shape"),
            Brms("negbinomial"),
            Bambi("negativebinomial", parameters={"shape": "alpha"}),
        ),
        "gamma": Elsewhere(
            Pymc("Gamma", "alpha=shape, beta=shape / mu"), Brms("Gamma"), Bambi("gamma", parameters={"shape": "alpha"})
        ),
        "lognormal": Elsewhere(
            Pymc("LogNormal", "mu=mu, sigma=sigma"),
            Brms("lognormal"),
            Bambi("", unlike="Bambi has no log-normal family"),
        ),
        "beta": Elsewhere(Pymc("Beta", _OF_BETA), Brms("Beta"), Bambi("beta", parameters={"phi": "kappa"})),
        "exponential": Elsewhere(Pymc("Exponential", "lam=1 / mu"), Brms("exponential"), Bambi("exponential")),
        "weibull": Elsewhere(
            Pymc("Weibull", "alpha=shape, beta=mu", survival="-((end / mu) ** shape)"),
            Brms("weibull_scale", helper=WEIBULL_SCALE),
            Bambi("weibull", unlike=_OTHER_WEIBULL),
        ),
        "zero_inflated_poisson": Elsewhere(
            Pymc("ZeroInflatedPoisson", "psi=1 - zi, mu=mu"),
            Brms("zero_inflated_poisson"),
            Bambi("zero_inflated_poisson", parameters={"zi": "psi"}, turned=("zi",)),
        ),
        "zero_inflated_negative_binomial": Elsewhere(
            Pymc("ZeroInflatedNegativeBinomial", "psi=1 - zi, mu=mu, alpha=shape"),
            Brms("zero_inflated_negbinomial"),
            Bambi("zero_inflated_negativebinomial", parameters={"shape": "alpha", "zi": "psi"}, turned=("zi",)),
        ),
        "zero_inflated_binomial": Elsewhere(
            Pymc("ZeroInflatedBinomial", "psi=1 - zi, n=trials, p=mu"),
            Brms("zero_inflated_binomial"),
            Bambi("zero_inflated_binomial", "p", parameters={"zi": "psi"}, turned=("zi",)),
        ),
        "hurdle_poisson": Elsewhere(
            Pymc("HurdlePoisson", "psi=1 - hu, mu=mu"),
            Brms("hurdle_poisson"),
            Bambi("hurdle_poisson", parameters={"hu": "psi"}, turned=("hu",)),
        ),
        "hurdle_negative_binomial": Elsewhere(
            Pymc("HurdleNegativeBinomial", "psi=1 - hu, mu=mu, alpha=shape"),
            Brms("hurdle_negbinomial"),
            Bambi("hurdle_negativebinomial", parameters={"shape": "alpha", "hu": "psi"}, turned=("hu",)),
        ),
        "hurdle_gamma": Elsewhere(
            Pymc("HurdleGamma", "psi=1 - hu, alpha=shape, beta=shape / mu"),
            Brms("hurdle_gamma"),
            Bambi("hurdle_gamma", parameters={"shape": "alpha", "hu": "psi"}, turned=("hu",)),
        ),
        "hurdle_lognormal": Elsewhere(
            Pymc("HurdleLogNormal", "psi=1 - hu, mu=mu, sigma=sigma"),
            Brms("hurdle_lognormal"),
            Bambi("hurdle_lognormal", parameters={"sigma": "sigma", "hu": "psi"}, turned=("hu",)),
        ),
        "cumulative": Elsewhere(
            Pymc("Categorical", _PROBABILITIES, helpers.CUMULATIVE),
            Brms("cumulative"),
            Bambi("cumulative", unlike=_OTHER_THRESHOLDS),
        ),
        "cumulative_equidistant": Elsewhere(
            Pymc("Categorical", _PROBABILITIES, helpers.EQUIDISTANT),
            Brms("cumulative", parameters={"gap": "delta"}, unknown={"categories": None}),
            Bambi("cumulative", unlike=_OTHER_THRESHOLDS),
        ),
        "sratio": Elsewhere(
            Pymc("Categorical", _PROBABILITIES, helpers.SRATIO),
            Brms("sratio"),
            Bambi("sratio", unlike=_OTHER_THRESHOLDS),
        ),
        "acat": Elsewhere(
            Pymc("Categorical", _PROBABILITIES, helpers.ACAT),
            Brms("acat"),
            Bambi("", unlike="Bambi has no family of adjacent categories"),
        ),
        "categorical": Elsewhere(
            Pymc("Categorical", _PROBABILITIES, helpers.CATEGORICAL),
            Brms("categorical"),
            Bambi("categorical", unlike="effects of a group on several categories are independent in Bambi"),
        ),
        "wiener": Elsewhere(
            Pymc("CustomDist", "mu, {parameters}, logp=log_density", helpers.WIENER),
            Brms("wiener", unknown={"p_outlier": 0.0, "longest": None}),
            Bambi("", unlike="Bambi has no drift diffusion model, but HSSM has, which is built on it"),
        ),
        "shifted_lognormal": Elsewhere(
            Pymc("CustomDist", "mu, {parameters}, logp=log_density", helpers.SHIFTED_LOGNORMAL),
            Brms("shifted_lognormal"),
            Bambi("", unlike="Bambi has no log-normal family"),
        ),
        "exgaussian": Elsewhere(
            Pymc("ExGaussian", "mu=mu - tau, sigma=sigma, nu=tau"),
            Brms("exgaussian", parameters={"tau": "beta"}),
            Bambi("", unlike="Bambi has no family of sums of normal and exponential parts"),
        ),
        "inverse_gaussian": Elsewhere(
            Pymc("Wald", "mu=mu, lam=shape"), Brms("inverse.gaussian"), Bambi("wald", parameters={"shape": "lam"})
        ),
        "skew_normal": Elsewhere(
            Pymc("SkewNormal", "**slanted(mu, {parameters})", helpers.SKEW_NORMAL),
            Brms("skew_normal"),
            Bambi("", unlike="Bambi has no skew normal family"),
        ),
        "asymmetric_laplace": Elsewhere(
            Pymc("AsymmetricLaplace", "q=quantile, mu=mu, b=np.sqrt(quantile * (1 - quantile)) / sigma"),
            Brms("asym_laplace"),
            Bambi("asymmetriclaplace", unlike="Bambi has no asymmetric Laplace family at a given quantile"),
        ),
        "von_mises": Elsewhere(
            Pymc("VonMises", "mu=mu, kappa=kappa"), Brms("von_mises"), Bambi("vonmises", parameters={"kappa": "kappa"})
        ),
        "zero_one_inflated_beta": Elsewhere(
            Pymc("CustomDist", "mu, {parameters}, logp=log_density", helpers.ZERO_ONE_INFLATED_BETA),
            Brms("zero_one_inflated_beta"),
            Bambi("", unlike="Bambi has no beta family with zeros and ones"),
        ),
    }
)


def elsewhere(family: Family) -> Elsewhere:
    """A family in other systems.

    Raises
    ------
    DataError : for a family of the user's own.
    """
    if not is_listed(family):
        raise DataError(f"as_code knows the families of poolwise; '{family.name}' is one of your own.")
    return ELSEWHERE[family.name]
