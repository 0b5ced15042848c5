"""A fit as one small file: statistics, encoding, priors and draws of the variances.

Draws of coefficients are not stored: they are exact given the stored draws and the seed, so they are drawn again. What
a reader of the file can learn of the data is what `SufficientStatistics.save` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from poolwise import archive
from poolwise import priors as prior_classes
from poolwise.density.layout import ParameterLayout
from poolwise.density.priors import ModelPriors
from poolwise.infer import infer
from poolwise.posterior import Model, Pooling, Posterior
from poolwise.samplers import Certificate, SamplerSettings
from poolwise.statistics.state import from_state, to_state

_PRIORS = {
    name: getattr(prior_classes, name)
    for name in ("Normal", "StudentT", "HalfNormal", "HalfStudentT", "HalfCauchy", "Exponential", "Gamma", "LKJ")
}


def save(posterior: Posterior, path: Path) -> None:
    """Write to a temporary name beside `path`, then move it there."""
    statistics, arrays = to_state(posterior.model.data)
    arrays["prior_rows"] = posterior.model.priors.rows
    if posterior.theta is not None:
        arrays["theta"] = posterior.theta
    archive.write(path, "fit", {"statistics": statistics, **_header(posterior)}, arrays)


def load(path: Path, *, threads: int) -> Posterior:
    """Read what `save` wrote, and draw the coefficients again."""
    return archive.restored(path, "fit", partial(_posterior, threads=threads))


def _header(posterior: Posterior) -> dict[str, Any]:
    model, priors = posterior.model, posterior.model.priors
    return {
        "pooling": model.pooling.value,
        "given": {str(name): _prior_state(prior) for name, prior in model.given.items()},
        "priors": {
            "coefficients": [_prior_state(prior) for prior in priors.coefficients],
            "centred": priors.centred,
            "sd": [_prior_state(prior) for prior in priors.sd],
            "dispersions": {name: _prior_state(prior) for name, prior in priors.dispersions.items()},
            "correlation": {factor: _prior_state(prior) for factor, prior in priors.correlation.items()},
            "layout": asdict(priors.layout),
        },
        "seed": posterior.seed,
        "chains": posterior.chains,
        "draws": posterior.draws,
        "seconds": posterior.seconds,
        "certificate": asdict(posterior.certificate),
    }


def _prior_state(prior: Any) -> dict[str, Any]:
    return {"class": type(prior).__name__, **{name: float(value) for name, value in asdict(prior).items()}}


def _prior(state: Mapping[str, Any]) -> Any:
    return _PRIORS[state["class"]](**{name: value for name, value in state.items() if name != "class"})


def _posterior(header: dict[str, Any], arrays: dict[str, np.ndarray], *, threads: int) -> Posterior:
    data = from_state(header["statistics"], arrays)
    said, layout = header["priors"], header["priors"]["layout"]
    priors = ModelPriors(
        ParameterLayout(
            tuple((factor, effect) for factor, effect in layout["effects"]),
            tuple(layout["starts"]),
            tuple(layout["mixed"]),
            tuple(layout.get("dispersions", ["sigma"])),
        ),
        data.design.coefficients,
        tuple(map(_prior, said["coefficients"])),
        tuple(said["centred"]),
        arrays["prior_rows"],
        tuple(map(_prior, said["sd"])),
        {name: _prior(state) for name, state in said.get("dispersions", {"sigma": said.get("sigma")}).items()},
        {factor: _prior(state) for factor, state in said["correlation"].items()},
    )
    given = {name: _prior(state) for name, state in header["given"].items()}
    model = Model(data, priors, given, Pooling(header["pooling"]))
    settings = SamplerSettings(header["draws"], header["chains"], np.random.SeedSequence(header["seed"]))
    posterior = infer(model, settings, threads=threads, theta=arrays.get("theta"))
    return replace(posterior, certificate=Certificate(**header["certificate"]), seconds=header["seconds"])
