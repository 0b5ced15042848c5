"""Densities of sums of coefficients at a value, a priori and a posteriori: their ratio is a Bayes factor.

p(sum = value | y) / p(sum = value) is how much more probable the data are with the sum at that value than without this
restriction (Dickey and Lientz 1970; Verdinelli and Wasserman 1995). In a normal model both densities are averages of
normal ones, exact given the variances; for other families the posterior one is a kernel estimate from draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.density.gaussian import gaussian
from poolwise.density.priors import ModelPriors
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.errors import DataError
from poolwise.support.threads import default_threads

_THETAS = 4000
_MIXED = 100_000  # draws of the mixing precisions of Student-t priors
_ROUGH = 0.2  # error of a factor, from which only its size is known
_LEAST = 50  # draws within a bandwidth, below which a kernel estimate says nothing


@dataclass(frozen=True, slots=True)
class DensityRatio:
    """A Bayes factor in favour of a value, its Monte Carlo standard error, and how it was made."""

    factor: float
    error: float
    method: str


def density_ratio(posterior: Posterior, form: np.ndarray, value: float) -> DensityRatio:
    """Posterior over prior density of a sum of coefficients with weights `form` (p,), at a value.

    Raises
    ------
    DataError : for coefficients of structured terms and without pooling, and where too few draws lie near.
    """
    model = posterior.model
    if model.pooling is Pooling.SEPARATE:
        raise DataError("Without pooling each group has a regression of its own: compare evidences by bayes_factor().")
    if np.any(model.priors.scaled & (form != 0)):
        raise DataError("Coefficients of structured terms have a prior together: compare evidences by bayes_factor().")
    value += 0.0  # minus zero is zero
    prior = prior_density(model.priors, form, value)
    if not prior > 0:
        raise DataError(f"{value:g} is beyond anything that the priors of these coefficients allow.")
    if model.sampled:
        found, error = _kernel_estimate(posterior, form, value)
        return DensityRatio(found / prior, error / prior, "kernel estimate from draws")
    densities = _conditional_densities(posterior, form, value)
    found, error = float(densities.mean()), _standard_error(densities)
    method = "normal densities given the variances, averaged"
    if error > _ROUGH * found:
        method += "; far from all draws, an order of magnitude"
    return DensityRatio(found / prior, error / prior, method)


def prior_density(priors: ModelPriors, form: np.ndarray, value: float) -> float:
    """Density of the sum at a value under the priors of the coefficients."""
    weights = np.linalg.solve(priors.rows.T, form)
    spreads = np.square(weights * priors.width)[None]
    degrees = np.array([prior.degrees for prior in priors.coefficients])
    mixed = np.flatnonzero(np.isfinite(degrees) & (weights != 0))
    if len(mixed):
        rng = np.random.default_rng(0)
        spreads = np.repeat(spreads, _MIXED, axis=0)
        for k in mixed:
            spreads[:, k] /= rng.chisquare(degrees[k], _MIXED) / degrees[k]
    variance = spreads.sum(axis=1)
    away = value - float(weights @ priors.mean)
    return float(np.mean(np.exp(-0.5 * away**2 / variance) / np.sqrt(2 * math.pi * variance)))


def _conditional_densities(posterior: Posterior, form: np.ndarray, value: float) -> np.ndarray:
    """(chains, thetas) normal densities of the sum at the value, given each theta."""
    model = posterior.model
    density = gaussian(model.statistics, model.design, model.priors, threads=default_threads())
    # Without groups and mixing precisions theta is the log of sigma.
    theta = np.log(posterior.sigma)[..., None] if posterior.theta is None else posterior.theta
    each = max(1, theta.shape[1] // max(1, _THETAS // theta.shape[0]))
    some = theta[:, ::each]
    points = np.ascontiguousarray(some.reshape(-1, some.shape[-1]))
    mean, variance = (found[:, 0] for found in density.common_moments(points, form[None]))
    found = np.exp(-0.5 * (value - mean) ** 2 / variance) / np.sqrt(2 * math.pi * variance)
    return np.asarray(found.reshape(some.shape[:2]))


def _standard_error(values: np.ndarray) -> float:
    """Monte Carlo standard error of the mean of values (chains, draws)."""
    from arviz_stats.base import array_stats

    if values.size < 8 or values.std() == 0:
        return 0.0
    effective = float(array_stats.ess(values, chain_axis=0, draw_axis=1, method="mean"))
    return float(values.std() / math.sqrt(max(effective, 1.0)))


def _kernel_estimate(posterior: Posterior, form: np.ndarray, value: float) -> tuple[float, float]:
    """Density of the sum at a value from draws, by a kernel whose bias is of fourth order (Wand and Jones 1995, 2.8).

    Raises
    ------
    DataError : where too few draws lie near the value.
    """
    drawn = posterior.beta @ form
    spread = float(drawn.std())
    if spread == 0:
        raise DataError("The sum of these coefficients is the same in all draws.")
    bandwidth = 1.08 * spread * drawn.size ** (-1 / 9)  # the best one for normal draws
    apart = (drawn - value) / bandwidth
    near = int(np.count_nonzero(np.abs(apart) < 1))
    if near < _LEAST:
        raise DataError(
            f"Only {near} of {drawn.size:,} draws lie near {value:g}: their density there is not known. Take more "
            "draws, or ask for an inequality."
        )
    kernel = (1.5 - 0.5 * apart**2) * np.exp(-0.5 * apart**2) / math.sqrt(2 * math.pi) / bandwidth
    return float(kernel.mean()), _standard_error(kernel)
