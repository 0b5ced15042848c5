"""Whether the chains of a sampler agree."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from poolwise.samplers.interface import Certificate

RHAT, ESS_PER_CHAIN, DIVERGENT = 1.01, 100, 0.001  # the largest, the least, the largest share of draws
# Of the ends of 90% intervals, half of that of means: the least of many numbers, which is an estimate itself, is to
# fail where chains stay in a tail, and not by chance.
TAIL_ESS_PER_CHAIN = 50
TAILS = (0.05, 0.95)
_NOTHING: Mapping[str, float] = MappingProxyType({})
_TOGETHER = 1 << 22  # numbers transformed at a time
_MOST_TAILS = 2_000  # coordinates whose tails are looked at: of more, those with the least effective sizes


def diverging(certificate: Certificate, draws: int) -> bool:
    """Whether more trajectories diverged than may, of so many."""
    return certificate.figures.get("divergences", 0.0) > DIVERGENT * draws


def certify_chains(
    points: np.ndarray, divergences: int, figures: Mapping[str, float] = _NOTHING, *, times: int = 1
) -> Certificate:
    """A certificate from R-hat, effective sample sizes and divergences of points (chains, draws, d).

    `times` is how many steps each point stands for: divergences are of all of them.
    """
    rhat, ess = agreement(points)
    worst, least = float(rhat.max()), float(ess.min())
    tails = _least_of_tails(points[..., np.argsort(ess)[:_MOST_TAILS]])
    share = divergences / (points.shape[0] * points.shape[1] * times)
    enough = least >= ESS_PER_CHAIN * len(points) and tails >= TAIL_ESS_PER_CHAIN * len(points)
    passed = share <= DIVERGENT and worst <= RHAT and enough
    advice = "All chains agree."
    if not passed:
        advice = (
            f"NUTS did not settle: R-hat {worst:.3f}, worst effective sample size {least:.0f} ({tails:.0f} in tails), "
            f"{divergences} divergences. Take more draws, tighter priors of the standard deviations, or fewer "
            "correlated effects."
        )
    return Certificate(
        "nuts",
        "",
        passed,
        advice,
        {"rhat": worst, "ess": least, "tail_ess": tails, "divergences": float(divergences), **figures},
    )


def agreement(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`rhat_and_ess` for many coordinates, some at a time."""
    step = max(1, _TOGETHER // (points.shape[0] * points.shape[1]))
    if not points.shape[2]:
        return np.zeros(0), np.zeros(0)
    found = [rhat_and_ess(points[..., i : i + step]) for i in range(0, points.shape[2], step)]
    rhat, ess = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rhat, ess


def bulk_and_tail_ess(points: np.ndarray) -> float:
    """The least effective sample size of means and of the ends of 90% intervals, of points (chains, draws, d).

    Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021). A chain that stays long at one point of a tail has a mean
    that is known well and an end that is not.
    """
    return min(float(agreement(points)[1].min()), _least_of_tails(points))


def _least_of_tails(points: np.ndarray) -> float:
    ends = np.quantile(points, TAILS, axis=(0, 1))
    return min(float(agreement((points <= end).astype(float))[1].min()) for end in ends)


def largest_rhat(numbers: int, chains: int, ess: float) -> float:
    """The R-hat that the largest of so many numbers may have by chance, where chains agree; 1.01 at the least.

    Half chains are as many independent groups of draws, and the ratio of the variance between them to that within is
    about chi-squared by its degrees of freedom; it is the quantile that one of a hundred such samples passes.
    """
    from scipy.special import chdtri

    halves = 2 * chains
    ratio = float(chdtri(halves - 1, 0.01 / max(numbers, 1))) / (halves - 1)
    return max(RHAT, float(np.sqrt(1.0 + (ratio - 1.0) * halves / ess)))


def rhat_and_ess(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split R-hat (d,) and effective sample size (d,) of the means of points (chains, draws, d).

    Gelman et al. 2013, sections 11.4 and 11.5, with Geyer's initial monotone sequence; for all coordinates at once.
    Summaries have the rank-normalised ones of `arviz-stats`, which take a millisecond for each coordinate.
    """
    half = points.shape[1] // 2
    parts = points[:, : 2 * half].reshape(2 * len(points), half, -1).transpose(2, 0, 1)
    size = 1 << (2 * half - 1).bit_length()
    centred = parts - parts.mean(axis=2, keepdims=True)
    power = np.square(np.abs(np.fft.rfft(centred, size, axis=2)))
    autocovariance = np.fft.irfft(power, size, axis=2)[..., :half] / half
    within = autocovariance[..., 0].mean(axis=1) * half / (half - 1)
    between = parts.mean(axis=2).var(axis=1, ddof=1)
    total = within * (half - 1) / half + between
    still = total <= 0
    total = np.where(still, 1.0, total)
    rho = 1.0 - (within[:, None] - autocovariance.mean(axis=1)) / total[:, None]
    rho[:, 0] = 1.0
    pairs = rho[:, : half - half % 2].reshape(len(rho), -1, 2).sum(axis=2)
    pairs = np.minimum.accumulate(np.where(np.cumsum(pairs < 0, axis=1) > 0, 0.0, pairs), axis=1)
    time = np.maximum(2.0 * pairs.sum(axis=1) - 1.0, 1.0 / np.log10(parts.shape[1] * half))
    rhat = np.sqrt(np.divide(total, within, out=np.full_like(total, np.inf), where=within > 0))
    return np.where(still, np.inf, rhat), np.where(still, 0.0, parts.shape[1] * half / time)
