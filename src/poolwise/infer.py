"""The one orchestrator: statistics and priors to density to sampler to posterior. Refits go through it too."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from poolwise.density.collapsed import CollapsedDensity, collapse
from poolwise.density.separate import separate
from poolwise.posterior import Model, Pooling, Posterior
from poolwise.samplers import Certificate, SamplerSettings, sample

_EXACT = "No Markov chain: the one remaining parameter of each regression is integrated on a grid."


def infer(model: Model, settings: SamplerSettings, *, threads: int, theta: np.ndarray | None = None) -> Posterior:
    """Draw from the posterior of a model.

    Parameters
    ----------
    theta : (chains, draws, d) draws made earlier, as of a saved fit; then only the coefficients are drawn again.
    """
    started = time.perf_counter()
    root = np.random.SeedSequence(settings.entropy)
    sampler_seed, coefficient_seed = root.spawn(2)
    settings = replace(settings, seed=sampler_seed)
    mixed = bool(model.priors.layout.mixed)
    if model.pooling is Pooling.SEPARATE and mixed:
        parts = _separate_mixed(model, settings, coefficient_seed, threads)
    elif model.pooling is Pooling.PARTIAL or mixed:
        parts = _collapsed(model, settings, coefficient_seed, threads, theta)
    else:
        parts = _direct(model, settings, coefficient_seed, threads)
    theta, beta, u, sigma, certificate = parts
    elapsed = time.perf_counter() - started
    return Posterior(model, theta, beta, u, sigma, certificate, settings.entropy, elapsed)


_Parts = tuple[np.ndarray | None, np.ndarray, np.ndarray | None, np.ndarray, Certificate]


def _collapsed(
    model: Model, settings: SamplerSettings, seed: np.random.SeedSequence, threads: int, theta: np.ndarray | None
) -> _Parts:
    density = collapse(model.statistics, model.design, model.priors, threads=threads)
    if theta is None:
        drawn = sample(density, settings)
        theta, certificate = drawn.points, drawn.certificate
    else:
        certificate = Certificate("stored", "draws of a saved fit", True, "", {})
    beta, u = _coefficients(density, theta, seed)
    return theta, beta, u if model.pooling is Pooling.PARTIAL else None, density.layout.sigma(theta), certificate


def _coefficients(
    density: CollapsedDensity, theta: np.ndarray, seed: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    beta, u = density.draw_coefficients(theta.reshape(-1, density.dimension), seed)
    shape = theta.shape[:2]
    return beta.reshape(*shape, -1), u.reshape(*shape, *u.shape[1:])


def _direct(model: Model, settings: SamplerSettings, seed: np.random.SeedSequence, threads: int) -> _Parts:
    """Complete pooling or none: independent draws, shaped as chains so that everything after reads them alike."""
    alone = model.pooling is Pooling.COMPLETE
    statistics = model.statistics.merged() if alone else model.statistics
    regressions = separate(statistics, model.design, model.priors, threads=threads)
    shape = (settings.chains, settings.draws)
    beta, sigma = regressions.draw(settings.chains * settings.draws, seed)
    certificate = Certificate(
        "quadrature", "no group effects", True, _EXACT, {}, float(regressions.log_evidence().sum())
    )
    if alone:
        return None, beta[:, 0].reshape(*shape, -1), None, sigma[:, 0].reshape(shape), certificate
    return None, beta.reshape(*shape, *beta.shape[1:]), None, sigma.reshape(*shape, -1), certificate


def _separate_mixed(model: Model, settings: SamplerSettings, seed: np.random.SeedSequence, threads: int) -> _Parts:
    """One regression per group whose coefficients have Student-t priors: each is sampled by itself."""
    betas, sigmas, worst = [], [], None
    groups = len(model.statistics.counts)
    for j, child in enumerate(settings.seed.spawn(groups)):
        settings.progress("separate regressions", j / groups)
        alone = replace(model, statistics=model.statistics.group(j), pooling=Pooling.COMPLETE)
        _, beta, _, sigma, certificate = _collapsed(alone, replace(settings, seed=child), child, threads, None)
        betas.append(beta)
        sigmas.append(sigma)
        if worst is None or not certificate.passed:
            worst = certificate
    assert worst is not None
    return None, np.stack(betas, axis=2), None, np.stack(sigmas, axis=2), worst
