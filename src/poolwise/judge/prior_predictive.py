"""What the priors say before any data are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import Rows
from poolwise.design.design import column_weights, linear_predictor
from poolwise.posterior import Model

if TYPE_CHECKING:
    import xarray as xr


def prior_predictive(model: Model, rows: Rows, draws: int, seed: int | None) -> xr.Dataset:
    """Draws of parameters from their priors, and of outcomes at the rows of the data.

    Returns a Dataset with `beta`, `sigma`, for groups `sd_*`, `u_*`, and the outcome by its name, (draw, observation).
    """
    import xarray as xr

    rng = np.random.default_rng(seed)
    design, priors = model.design, model.priors
    drawn = np.array([prior.sample(rng, (draws,)) for prior in priors.coefficients]).reshape(-1, draws).T
    beta = np.linalg.solve(priors.rows, drawn.T).T
    sigma = priors.sigma.sample(rng, (draws,))
    found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "beta": (("draw", "coefficient"), beta),
        "sigma": (("draw",), sigma),
    }
    u = None
    if design.group is not None:
        q, groups = len(design.effects), len(design.levels)
        sd = np.column_stack([prior.sample(rng, (draws,)) for prior in priors.sd])
        factors = np.broadcast_to(np.eye(q), (draws, q, q))
        if priors.layout.pairs:
            factors = priors.correlation.sample_factors(rng, draws, q)
            correlations = factors @ factors.transpose(0, 2, 1)
            found[f"cor_{design.group}"] = (("draw", "effect", "effect_"), correlations)
        u = np.einsum("dab,djb->dja", sd[:, :, None] * factors, rng.standard_normal((draws, groups, q)))
        found[f"sd_{design.group}"] = (("draw", "effect"), sd)
        found[f"u_{design.group}"] = (("draw", design.group, "effect"), u)
    predictor = linear_predictor(rows.values[:, :-1], rows.codes, column_weights(design, beta, u))
    outcome = predictor + sigma[:, None] * rng.standard_normal(predictor.shape)
    found[design.response] = (("draw", "observation"), outcome)
    coordinates: dict[str, Any] = {"coefficient": list(design.coefficients)}
    if design.group is not None:
        coordinates |= {design.group: design.levels, "effect": list(design.effects), "effect_": list(design.effects)}
    used = {dim for dims, _ in found.values() for dim in dims}
    return xr.Dataset(found, coords={name: labels for name, labels in coordinates.items() if name in used})
