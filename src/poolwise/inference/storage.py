"""A fit as one small file: statistics, encoding, priors and draws of the variances.

Draws of coefficients of a normal fit are not stored: they are exact given the stored draws and the seed, so they are
drawn again. Those of other families are, and those of crossed factors that were drawn by turns. What a reader of the
file can learn of the data is what `SufficientStatistics.save` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from poolwise import priors as prior_classes
from poolwise.density.latent.stored_effects import DrawnOffsets
from poolwise.density.layout import ParameterLayout
from poolwise.density.priors import ModelPriors
from poolwise.density.resolve import follows_in, simplexes_in, ties_in
from poolwise.design import Design
from poolwise.families import FAMILIES, Family, family_of, with_errors
from poolwise.formula import Functions
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.samplers import Certificate
from poolwise.samplers.settings import sampler_settings
from poolwise.statistics.state import from_state, to_state
from poolwise.support import archive
from poolwise.support.archive import numbers
from poolwise.support.errors import FileError
from poolwise.support.progress import silent

_OF_DRAWS = "of_draws_"  # before names of arrays
_PRIORS = {
    name: getattr(prior_classes, name)
    for name in (
        "Normal",
        "StudentT",
        "HalfNormal",
        "HalfStudentT",
        "HalfCauchy",
        "Exponential",
        "Gamma",
        "LKJ",
        "Autocorrelation",
        "Default",
        "Dirichlet",
        "Followed",
        "StickShare",
    )
}
_SAVED = ", when it was fitted; then saved without its rows"


def save(posterior: Posterior, path: Path) -> None:
    """Write to a temporary name beside `path`, then move it there."""
    statistics, arrays = to_state(replace(posterior.model.data, counted=None, summed=None))
    arrays["prior_rows"] = posterior.model.priors.rows
    if posterior.theta is not None:
        arrays["theta"] = posterior.theta
    if posterior.model.sampled or posterior.by_turns:
        arrays["beta"] = posterior.beta
        for i, drawn in enumerate(posterior.u):
            arrays[f"u_{i}"], arrays[f"open_{i}"] = drawn.draws(), drawn.unexplained()
        if posterior.model.pooling is Pooling.SEPARATE:
            arrays |= {f"dispersion_{name}": values for name, values in posterior.dispersions.items()}
    arrays |= {f"{_OF_DRAWS}{name}": values for name, values in posterior.certificate.of_draws.items()}
    archive.write(path, "fit", {"statistics": statistics, **_header(posterior)}, arrays)


def load(path: Path, *, threads: int, family: Family | None = None, functions: Functions | None = None) -> Posterior:
    """Read what `save` wrote, and draw the coefficients again; `family` and `functions` where they are the user's."""
    return archive.restored(path, "fit", partial(_posterior, threads=threads, family=family, functions=functions))


def _header(posterior: Posterior) -> dict[str, Any]:
    model, priors = posterior.model, posterior.model.priors
    return {
        "pooling": model.pooling.value,
        "family": model.family.name,
        "labels": model.family.labels,
        "link": model.link.name,
        "given": {str(name): _prior_state(prior) for name, prior in model.given.items()},
        "priors": {
            "coefficients": [_prior_state(prior) for prior in priors.coefficients],
            "centred": priors.centred,
            "sd": [_prior_state(prior) for prior in priors.sd],
            "at_zero": priors.at_zero,
            "dispersions": {name: _prior_state(prior) for name, prior in priors.dispersions.items()},
            "correlation": {factor: _prior_state(prior) for factor, prior in priors.correlation.items()},
            "smoothing": {name: _prior_state(prior) for name, prior in priors.smoothing.items()},
            "layout": asdict(priors.layout),
        },
        "seed": posterior.seed,
        "sampler": posterior.sampler,
        "chains": posterior.chains,
        "draws": posterior.draws,
        "seconds": posterior.seconds,
        "certificate": asdict(replace(posterior.certificate, of_draws={})),
    }


def _certificate(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Certificate:
    draws = header["chains"], header["draws"]
    of_draws = {
        name.removeprefix(_OF_DRAWS): numbers(arrays, name, *draws).astype(values.dtype)
        for name, values in arrays.items()
        if name.startswith(_OF_DRAWS)
    }
    return Certificate(**header["certificate"] | {"of_draws": of_draws})


def _prior_state(prior: Any) -> dict[str, Any]:
    return {"class": type(prior).__name__, **{name: _plain(value) for name, value in asdict(prior).items()}}


def _plain(value: float | tuple[float, ...]) -> float | list[float]:
    return [float(one) for one in value] if isinstance(value, tuple) else float(value)


def _prior(state: Mapping[str, Any]) -> Any:
    return _PRIORS[state["class"]](**{name: value for name, value in state.items() if name != "class"})


def _check_priors(priors: ModelPriors, design: Design) -> None:
    """Refuse priors that are not those of the coefficients and effects of a design."""
    layout = priors.layout
    effects = sum(len(factor.effects) for factor in design.factors)
    lengths = (len(priors.sd), len(priors.at_zero), len(layout.effects), len(layout.starts), len(layout.to_zero))
    if any(not 0 <= start <= k for k, start in enumerate(layout.starts)):
        raise ValueError("the blocks of correlated effects do not fit the effects")
    named = [name for name, _, _ in design.hyperparameters]
    if list(layout.smoothing) != named or list(priors.smoothing) != named or len(layout.usual) != len(named):
        raise ValueError("the priors of structured terms do not fit the terms")
    if tuple(layout.tied) != tuple(priors.ties.places.tolist()):
        raise ValueError("the sds that follow others do not fit the effects")
    if list(layout.simplexes) != [(one.name, one.simplex) for one in design.structures if one.simplex]:
        raise ValueError("the shares of monotonic terms do not fit the terms")
    if set(lengths) != {effects} or len(priors.coefficients) != len(design.coefficients):
        raise ValueError("the priors do not fit the coefficients and effects")
    if len(priors.centred) != len(design.coefficients):
        raise ValueError("the priors do not fit the coefficients")


def _sampled(model: Model, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Posterior:
    """A posterior whose coefficients were sampled, and so stored."""
    layout, draws = model.priors.layout, (header["chains"], header["draws"])
    certificate = _certificate(header, arrays)
    if model.pooling is Pooling.SEPARATE:
        groups = len(model.design.factors[0].levels)
        beta = numbers(arrays, "beta", *draws, groups, len(model.design.coefficients))
        own = {name: numbers(arrays, f"dispersion_{name}", *draws, groups) for name in layout.dispersions}
        return Posterior(model, None, beta, (), own, certificate, header["seed"], header["seconds"], header["sampler"])
    theta = numbers(arrays, "theta", *draws, layout.dimension)
    u = tuple(
        DrawnOffsets(
            numbers(arrays, f"u_{i}", *draws, len(factor.levels), len(factor.effects)),
            numbers(arrays, f"open_{i}", len(factor.levels), len(factor.effects)),
        )
        for i, factor in enumerate(model.design.factors)
    )
    beta = numbers(arrays, "beta", *draws, len(model.design.coefficients))
    dispersions = {name: layout.dispersion(theta, name) for name in layout.dispersions}
    return Posterior(
        model, theta, beta, u, dispersions, certificate, header["seed"], header["seconds"], header["sampler"]
    )


def _posterior(
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    *,
    threads: int,
    family: Family | None,
    functions: Functions | None,
) -> Posterior:
    settings = sampler_settings(header["draws"], header["chains"], header["seed"], header["sampler"], silent)
    if header["seed"] is None:
        raise ValueError("there is no seed")
    name = header["family"]
    if family is None and name not in FAMILIES:
        raise FileError(f"The fit is of a family of its own, '{name}': say which, as in pw.load(path, family=...).")
    family = family_of(name if family is None else family, header["labels"], header["link"])
    data = from_state(header["statistics"], arrays, functions)
    data = replace(data, reading=data.reading.removesuffix(_SAVED) + _SAVED)
    if data.design.formula.residual:
        family = with_errors(family)
    size = len(data.design.coefficients)
    said, layout = header["priors"], header["priors"]["layout"]
    of_theta = ParameterLayout(
        tuple((factor, effect) for factor, effect in layout["effects"]),
        tuple(layout["starts"]),
        tuple(layout["mixed"]),
        tuple(layout["dispersions"]),
        tuple(map(tuple, layout["to_zero"])),
        tuple(layout["smoothing"]),
        tuple(layout["usual"]),
        tuple(layout["correlations"]),
        tuple((term, tuple(labels)) for term, labels in layout["simplexes"]),
        tuple(layout["tied"]),
        tuple(factor.name for factor in data.design.factors if factor.is_term),
    )
    priors = ModelPriors(
        of_theta,
        data.design.coefficients,
        tuple(map(_prior, said["coefficients"])),
        tuple(said["centred"]),
        numbers(arrays, "prior_rows", size, size),
        tuple(map(_prior, said["sd"])),
        tuple(said["at_zero"]),
        {name: _prior(state) for name, state in said["dispersions"].items()},
        {factor: _prior(state) for factor, state in said["correlation"].items()},
        {name: _prior(state) for name, state in said["smoothing"].items()},
        follows_in(data.design),
        simplexes_in(data.design),
        ties_in(data.design, of_theta),
    )
    _check_priors(priors, data.design)
    given = {name: _prior(state) for name, state in header["given"].items()}
    model = Model(data, priors, given, Pooling(header["pooling"]), family, family.link(header["link"]))
    if model.sampled or "beta" in arrays:
        return _sampled(model, header, arrays)
    if (model.pooling is Pooling.PARTIAL) != ("theta" in arrays and bool(model.design.factors)):
        raise ValueError("the pooling does not fit the groups")
    stored = None
    if "theta" in arrays:
        stored = numbers(arrays, "theta", settings.chains, settings.draws, priors.layout.dimension)
    posterior = infer(model, settings, threads=threads, theta=stored)
    return replace(posterior, certificate=_certificate(header, arrays), seconds=header["seconds"])
