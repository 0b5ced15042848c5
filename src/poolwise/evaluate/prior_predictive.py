"""What the priors say before any data are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import Rows
from poolwise.design.design import column_weights
from poolwise.design.factors import Factor
from poolwise.evaluate.outcome_distribution import outcomes
from poolwise.inference.posterior import Model
from poolwise.support.naming import free_name

if TYPE_CHECKING:
    import xarray as xr


def prior_predictive(model: Model, rows: Rows, draws: int, seed: int | None) -> xr.Dataset:
    """Draws of parameters from their priors, and of outcomes at the rows of the data.

    Returns a Dataset with `beta`, `sigma` or other dispersions, for groups `sd_*`, `u_*`, and the outcome, the one
    variable (draw, observation), by its name; with an underscore where a parameter or dimension has that.
    """
    import xarray as xr

    rng = np.random.default_rng(seed)
    design, priors = model.design, model.priors
    beta = priors.sample_coefficients(rng, draws)
    dispersions = {name: prior.sample(rng, (draws,)) for name, prior in priors.dispersions.items()}
    found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "beta": (("draw", "coefficient"), beta),
        **{name: (("draw",), values) for name, values in dispersions.items()},
    }
    u: list[np.ndarray] = []
    coordinates: dict[str, Any] = {"coefficient": list(design.coefficients)}
    for factor in design.factors:
        roots, offsets = _effects(model, factor, rng, draws)
        effect, name = design.effect_dimension(factor), factor.name
        sd = np.linalg.norm(roots, axis=-1)
        if factor.correlated:
            standard = roots / sd[:, :, None]
            found[f"cor_{name}"] = (("draw", effect, f"{effect}_"), standard @ standard.transpose(0, 2, 1))
        found[f"sd_{name}"] = (("draw",), sd[:, 0]) if factor.is_term else (("draw", effect), sd)
        found[f"u_{name}"] = (("draw", name, effect), offsets)
        coordinates |= {name: factor.levels, effect: list(factor.effects), f"{effect}_": list(factor.effects)}
        u.append(offsets)
    weights = {name: column_weights(design, beta, u, name) for name, _ in design.formula.predictors}
    shared = {name: values[:, None] for name, values in dispersions.items()}
    drawn = outcomes(model, rows, rows.codes, weights, shared).draw(rng)
    taken = {*found, *coordinates, "chain", "draw", "observation"}
    found[free_name(design.response, taken)] = (("draw", "observation"), drawn)
    used = {dim for dims, _ in found.values() for dim in dims}
    return xr.Dataset(found, coords={name: labels for name, labels in coordinates.items() if name in used})


def _effects(model: Model, factor: Factor, rng: np.random.Generator, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Roots (draws, q, q) of the covariances of effects as written, and offsets (draws, J, q), of one factor."""
    priors, place = model.priors, model.priors.layout.places(factor.name)
    sd = np.column_stack([prior.sample(rng, (draws,)) for prior in priors.sd[place]])
    if factor.structures:
        of_factor = np.isin(priors.ties.places, np.arange(place.start, place.stop))
        sd[:, factor.tied] = priors.sample_tied(rng, draws)[:, of_factor]
    q = len(factor.effects)
    roots = np.broadcast_to(np.eye(q), (draws, q, q)).copy()
    for start in sorted(set(factor.starts.tolist())):
        size = int(np.sum(factor.starts == start))
        if size > 1:
            block = slice(start, start + size)
            roots[:, block, block] = priors.correlation[factor.name].sample_factors(rng, draws, size)
    # Where priors speak of effects at the centre, what they say is carried to zero.
    roots = priors.from_stated[place, place] @ (sd[:, :, None] * roots)
    noise = rng.standard_normal((draws, len(factor.levels), q))
    if factor.coupling is not None:
        noise = factor.coupling.correlated(noise)
    return roots, np.einsum("dab,djb->dja", roots, noise)
