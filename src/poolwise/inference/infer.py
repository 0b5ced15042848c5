"""The one orchestrator: statistics and priors to density to sampler to posterior. Refits go through it too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from poolwise.density.blocks.ordering import root_size
from poolwise.density.crossed.equations import is_crossed
from poolwise.density.gaussian import gaussian
from poolwise.density.latent.density import LatentDensity, latent
from poolwise.density.latent.extended import ExtendedDensity
from poolwise.density.offsets import Offsets
from poolwise.density.precision import check_outcome, check_priors, check_residual
from poolwise.density.prior_conflict import judged
from poolwise.density.separate import SeparateRegressions, separate
from poolwise.density.ties import sampled_part
from poolwise.inference.crossed import LARGE_ROOT, by_turns
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.inference.second_places import looked_elsewhere
from poolwise.inference.working import by_working_outcomes
from poolwise.samplers import Certificate, Sample, SamplerSettings, child_seeds, sample
from poolwise.samplers.convergence import diverging
from poolwise.samplers.hamiltonian import sample_carefully
from poolwise.samplers.independence import sample_if_certified
from poolwise.samplers.interface import MORE_IS_BETTER
from poolwise.statistics import CrossProducts
from poolwise.support.errors import DataError, SamplingError
from poolwise.support.progress import silent
from poolwise.support.threads import map_slices

_NO_ROWS = (
    "This fit holds no rows to be sampled from, as one that was loaded from a file or left them where they are; fit "
    "them, or a part of them, in memory."
)
_LATENT = "coefficients and effects are sampled with the variances: this family has no closed form"
_NORMAL = "given the variances coefficients and effects are nearly normal; importance weights make up for the rest"
_NO_DIGITS = (
    "Floating-point numbers do not have the digits for this posterior: look for columns of very different sizes, for "
    "terms that are nearly the same, and for priors far from the data."
)
_EXPENSIVE = 5e5  # flops of a gradient, from which fewer draws are taken where they do: some 10,000 rows
_APART = "each group's coefficients are sampled by themselves: this family has no closed form"
_MIXED = "Student-t priors: each group's regression is sampled by itself"
_EXACT = "No Markov chain: the one remaining parameter of each regression is integrated on a grid."


def infer(model: Model, settings: SamplerSettings, *, threads: int, theta: np.ndarray | None = None) -> Posterior:
    """Draw from the posterior of a model.

    Parameters
    ----------
    theta : (chains, draws, d) draws made earlier, as of a saved fit; then only the coefficients are drawn again.

    Raises
    ------
    DataError, SamplingError : where there is no posterior, or none that could be computed.
    """
    started = time.perf_counter()
    sampler_seed, coefficient_seed = child_seeds(np.random.SeedSequence(settings.entropy), 2)
    settings = replace(settings, seed=sampler_seed)
    mixed = model.priors.layout.hyperparameters > 0
    try:
        if model.sampled and model.pooling is Pooling.SEPARATE:
            parts = _separate_sampled(model, settings, threads)
        elif model.sampled:
            parts = _latent(model, settings, threads)
        elif model.pooling is Pooling.SEPARATE and mixed:
            parts = _separate_mixed(model, settings, threads)
        elif model.pooling is Pooling.PARTIAL or mixed:
            parts = _collapsed(model, settings, coefficient_seed, threads, theta)
        else:
            parts = _direct(model, settings, coefficient_seed, threads)
    except (np.linalg.LinAlgError, ArithmeticError) as error:
        raise SamplingError(_NO_DIGITS) from error
    theta, beta, u, dispersions, certificate = parts
    elapsed = time.perf_counter() - started
    asked = settings.sampler
    found = Posterior(model, theta, beta, u, dispersions, certificate, settings.entropy, elapsed, asked)
    return looked_elsewhere(found, model.observations)


_Parts = tuple[np.ndarray | None, np.ndarray, tuple[Offsets, ...], dict[str, np.ndarray], Certificate]


def _latent(model: Model, settings: SamplerSettings, threads: int) -> _Parts:
    """Coefficients and effects are sampled with theta."""
    if model.observations is None:
        raise DataError(_NO_ROWS)
    if not model.observations.rows and not model.design.factors:
        return _prior(model, settings)
    if settings.sampler != "nuts" and (found := by_working_outcomes(model, settings, threads)) is not None:
        return found
    settings.progress("looking for the mode", 0.0)
    density = latent(model.observations, model.design, model.priors, model.family, model.link)
    drawn = _sample(density, settings, threads, model.observations.cost)
    certificate = drawn.certificate
    failed = not certificate.passed and diverging(certificate, settings.chains * settings.draws)
    if settings.sampler == "auto" and failed:
        found = by_working_outcomes(model, settings, threads, however_few=True)
        if found is not None:
            return found
    shape = drawn.points.shape[:2]
    theta, beta, u = density.expanded(drawn.points.reshape(-1, density.dimension), threads)
    theta, beta, u = (each.reshape(*shape, each.shape[1]) for each in (theta, beta, u))
    layout = model.priors.layout
    dispersions = {name: layout.dispersion(theta, name) for name in layout.dispersions}
    return theta, beta, density.offsets(theta, u), dispersions, drawn.certificate


def _prior(model: Model, settings: SamplerSettings) -> _Parts:
    """Without rows the posterior is the prior, which independent draws are taken of."""
    rng, shape = np.random.default_rng(settings.seed), (settings.chains, settings.draws)
    beta = model.priors.sample_coefficients(rng, shape[0] * shape[1]).reshape(*shape, -1)
    dispersions = {name: prior.sample(rng, shape) for name, prior in model.priors.dispersions.items()}
    return None, beta, (), dispersions, Certificate("prior", "no rows", True, "There are no rows.", {})


def _sample(density: LatentDensity, settings: SamplerSettings, threads: int, cost: float) -> Sample:
    """By NUTS; where it is asked for and certified, by independence with a normal approximation of all but theta."""
    if settings.sampler == "independence" and len(density.priors.ties.free):
        extended = ExtendedDensity(density, threads)
        found = sample_if_certified(extended, [extended.mode()], settings)
        if found is None:
            raise SamplingError("Coefficients and effects are not normal enough here: take sampler='nuts' or 'auto'.")
        points = extended.completed(found.points.reshape(-1, extended.dimension))
        shape = (*found.points.shape[:2], density.dimension)  # fewer draws are taken where one costs much
        return Sample(points.reshape(shape), replace(found.certificate, reason=_NORMAL))
    asked = replace(settings, fewer=settings.fewer and cost > _EXPENSIVE)
    drawn = sample_carefully(density.native(), density.start, density.spread, asked, threads, cost)
    return replace(drawn, certificate=replace(drawn.certificate, reason=_LATENT))


def _separate_sampled(model: Model, settings: SamplerSettings, threads: int) -> _Parts:
    """One regression for each group, each sampled by itself; a group without rows has its prior."""
    if not model.by_group:
        raise DataError(_NO_ROWS)
    groups = len(model.by_group)
    seeds, done = child_seeds(settings.seed, groups), [0]

    def one(j: int, _: slice) -> tuple[np.ndarray, dict[str, np.ndarray], Certificate]:
        own = replace(settings, seed=seeds[j], progress=silent, fewer=False)
        _theta, beta, _u, dispersions, certificate = _latent(model.alone(model.by_group[j]), own, 1)
        done[0] += 1
        return beta, dispersions, certificate

    def say() -> None:
        settings.progress("sampling each group by itself", done[0] / groups)

    found = map_slices(one, groups, 1, threads, meanwhile=say)
    betas, dispersions, certificates = zip(*found, strict=True)
    together = {name: np.stack([each[name] for each in dispersions], axis=2) for name in model.priors.dispersions}
    labels = [str(level) for level in model.design.factors[0].levels]
    return None, np.stack(betas, axis=2), (), together, _certify_groups(labels, certificates, _APART)


def _certify_groups(labels: Sequence[str], certificates: Sequence[Certificate], reason: str) -> Certificate:
    """The certificate of regressions of groups, each drawn by itself: figures are the worst of all groups."""
    failed = [label for label, one in zip(labels, certificates, strict=True) if not one.passed]
    names = dict.fromkeys(name for one in certificates for name in one.figures)
    worst = {}
    for name in names:
        found = [one.figures[name] for one in certificates if name in one.figures]
        worst[name] = float(np.min(found) if name in MORE_IS_BETTER else np.max(found))
    advice = "The draws of all groups hold."
    if failed:
        shown = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
        advice = f"Draws do not hold in: {shown}. Take more draws, or tighter priors."
    evidences = [one.log_evidence for one in certificates]
    total = None if None in evidences else sum(one for one in evidences if one is not None)
    samplers = " and ".join(sorted({one.sampler for one in certificates}))
    return Certificate(samplers, reason, not failed, advice, worst, total)


def _collapsed(
    model: Model, settings: SamplerSettings, seed: np.random.SeedSequence, threads: int, theta: np.ndarray | None
) -> _Parts:
    by_factor = theta is None and settings.sampler == "auto" and is_crossed(model.design, model.priors)
    if by_factor and (root := root_size(model.design.factors)) > LARGE_ROOT:
        check_outcome(model.statistics, model.design)
        check_priors(model.statistics, model.design, model.priors)
        return by_turns(model, settings, root, threads)
    density = gaussian(model.statistics, model.design, model.priors, threads=threads)
    asked = density.remembering(seed)
    if theta is None:
        check_outcome(model.statistics, model.design)
        check_priors(model.statistics, model.design, model.priors)
        if density.layout.effects:
            check_residual(density, model.design, model.statistics.rows)
        ties = model.priors.ties
        drawn = sample(sampled_part(asked, ties), settings, threads)
        shape = drawn.points.shape[:2]
        theta = ties.theta(drawn.points.reshape(-1, drawn.points.shape[-1])).reshape(*shape, -1)
        certificate = judged(drawn.certificate, model.statistics, model.design, model.priors, model.given, threads)
    else:
        certificate = Certificate("stored", "draws of a saved fit", True, "", {})
    working = asked.draw_common(theta.reshape(-1, density.dimension), seed).reshape(*theta.shape[:2], -1)
    beta = density.basis.written(density.common_of(working))
    return theta, beta, density.offsets(theta, working, seed), {"sigma": density.layout.sigma(theta)}, certificate


def _direct(model: Model, settings: SamplerSettings, seed: np.random.SeedSequence, threads: int) -> _Parts:
    """Complete pooling or none: independent draws, shaped as chains so that everything after reads them alike."""
    alone = model.pooling is Pooling.COMPLETE
    statistics = model.statistics.merged() if alone else model.statistics
    check_priors(model.statistics, model.design, model.priors)
    regressions = separate(statistics, model.design, model.priors, threads=threads)
    shape = (settings.chains, settings.draws)
    beta, sigma = regressions.draw(settings.chains * settings.draws, seed)
    certificate = _certify_direct(statistics, regressions)
    if alone:
        return None, beta[:, 0].reshape(*shape, -1), (), {"sigma": sigma[:, 0].reshape(shape)}, certificate
    return None, beta.reshape(*shape, *beta.shape[1:]), (), {"sigma": sigma.reshape(*shape, -1)}, certificate


def _certify_direct(statistics: CrossProducts, regressions: SeparateRegressions) -> Certificate:
    """Exact, unless outcomes lie exactly on their regression: then the residual sd has no posterior."""
    exact = [statistics.label(int(j)) for j in np.flatnonzero(regressions.without_residual)]
    evidence = float(regressions.log_evidence().sum() + 0.5 * statistics.log_weights.sum())
    if not len(exact):
        return Certificate("quadrature", "no group effects", True, _EXACT, {}, evidence)
    shown = ", ".join(exact[:5]) + (f" and {len(exact) - 5} more" if len(exact) > 5 else "")
    advice = (
        f"The outcomes lie exactly on a regression in: {shown}. There the residual sd has no posterior; it is shown as "
        "if outcomes were measured to a millionth of their overall spread. Partial pooling does not have this problem."
    )
    return Certificate(
        "quadrature", "no group effects", False, advice, {}, None if not np.isfinite(evidence) else evidence
    )


def _separate_mixed(model: Model, settings: SamplerSettings, threads: int) -> _Parts:
    """One regression per group whose coefficients have Student-t priors: each is sampled by itself."""
    betas, sigmas, certificates = [], [], []
    groups = len(model.statistics.counts)
    for j, child in enumerate(child_seeds(settings.seed, groups)):
        settings.progress("separate regressions", j / groups)
        alone = replace(model.on(model.statistics.take(np.array([j]))), pooling=Pooling.COMPLETE)
        mine, coefficients = child_seeds(child, 2)
        _, beta, _, found, certificate = _collapsed(alone, replace(settings, seed=mine), coefficients, threads, None)
        betas.append(beta)
        sigmas.append(found["sigma"])
        certificates.append(certificate)
    labels = [model.statistics.label(j) for j in range(groups)]
    certificate = _certify_groups(labels, certificates, _MIXED)
    return None, np.stack(betas, axis=2), (), {"sigma": np.stack(sigmas, axis=2)}, certificate
