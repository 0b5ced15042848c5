"""The study's model in PyMC, shared by the adapters of PyMC and nutpie."""

from typing import Any

import pymc as pm
from common import COMMON, stack


def radon_model(radon: dict[str, Any], *, centred: bool) -> pm.Model:
    county = radon["county"]
    with pm.Model(coords={"county": range(county.max() + 1)}) as model:
        mu = [pm.Normal(f"mu_{name}", 0, 1) for name in ("alpha", "beta")]
        sigma = [pm.HalfCauchy(f"sigma_{name}", 1) for name in ("alpha", "beta")]
        if centred:
            alpha = pm.Normal("alpha", mu[0], sigma[0], dims="county")
            beta = pm.Normal("beta", mu[1], sigma[1], dims="county")
        else:
            z = [pm.Normal(f"z_{name}", 0, 1, dims="county") for name in ("alpha", "beta")]
            alpha = pm.Deterministic("alpha", mu[0] + sigma[0] * z[0], dims="county")
            beta = pm.Deterministic("beta", mu[1] + sigma[1] * z[1], dims="county")
        eps = pm.HalfCauchy("eps", 1)
        mean = alpha[county] + beta[county] * radon["floor"]
        pm.Normal("log_radon", mean, eps, observed=radon["log_radon"])
    return model


def stacked(posterior: Any) -> Any:
    scalars = [posterior[name].to_numpy() for name in COMMON]
    return stack(scalars, posterior["alpha"].to_numpy(), posterior["beta"].to_numpy())
