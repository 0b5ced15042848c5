"""NumPyro's NUTS on the CPU, non-centred, in double precision, one JAX device per chain.

JAX compiles inside the first run, so `fit_s` holds both and `compile_s` stays empty.
"""

from typing import Any

from common import CHAINS, COMMON, SEED, load_radon, read_task, report, stack, timed


def import_numpyro() -> tuple[Any, Any, Any]:
    import jax
    import numpyro
    from numpyro import distributions, infer

    numpyro.enable_x64()
    numpyro.set_host_device_count(CHAINS)
    return jax, numpyro, (distributions, infer)


def radon_model(radon: dict[str, Any]) -> None:
    county = radon["county"]
    mu = [numpyro.sample(f"mu_{name}", dist.Normal(0, 1)) for name in ("alpha", "beta")]
    sigma = [numpyro.sample(f"sigma_{name}", dist.HalfCauchy(1)) for name in ("alpha", "beta")]
    with numpyro.plate("county", int(county.max()) + 1):
        z = [numpyro.sample(f"z_{name}", dist.Normal(0, 1)) for name in ("alpha", "beta")]
    alpha = numpyro.deterministic("alpha", mu[0] + sigma[0] * z[0])
    beta = numpyro.deterministic("beta", mu[1] + sigma[1] * z[1])
    eps = numpyro.sample("eps", dist.HalfCauchy(1))
    mean = alpha[county] + beta[county] * radon["floor"]
    numpyro.sample("log_radon", dist.Normal(mean, eps), obs=radon["log_radon"])


def fit(radon: dict[str, Any], draws: int) -> Any:
    settings = {"num_warmup": 1000, "num_chains": CHAINS, "progress_bar": False}
    mcmc = infer.MCMC(infer.NUTS(radon_model), num_samples=draws, **settings)
    mcmc.run(jax.random.PRNGKey(SEED), radon)
    jax.block_until_ready(mcmc.get_samples())
    return mcmc


if __name__ == "__main__":
    task = read_task()
    (jax, numpyro, (dist, infer)), import_s = timed(import_numpyro)
    radon = load_radon(task.data)
    mcmc, fit_s = timed(lambda: fit(radon, task.draws))
    draws = jax.device_get(mcmc.get_samples(group_by_chain=True))
    report(
        task,
        ["numpyro", "jax", "numpy"],
        stack([draws[name] for name in COMMON], draws["alpha"], draws["beta"]),
        import_s=import_s,
        fit_s=fit_s,
        divergences=int(mcmc.get_extra_fields()["diverging"].sum()),
        warm_up=1000,
    )
