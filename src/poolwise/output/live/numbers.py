"""Posteriors as the plain numbers that the page draws: small, and ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from poolwise.density.priors import ModelPriors
from poolwise.design.factors import Factor
from poolwise.evaluate.draw_summaries import summarise_lines
from poolwise.evaluate.shrinkage import prior_only
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.inference.problem import Problem, priors_by_name
from poolwise.output.tables.summary import flatten
from poolwise.output.tables.text import outcome_line
from poolwise.priors import CoefficientPrior, HalfStudentT, ScalePrior

NAMES = MappingProxyType(
    {Pooling.COMPLETE: "complete", Pooling.SEPARATE: "separate", Pooling.PARTIAL: "partial"}
)  # as charts have them
TAIL = 0.05  # of intervals
MOST_GROUPS = 300  # that charts and tables show, those with most rows
_BINS, _GRID = 20, 81
_RARE = 0.001  # share of the draws beyond each end of a histogram
_FAR = 0.995  # share of the draws that the axis of a prior shows


def live(problem: Problem, fits: Mapping[Pooling, Posterior], widths: Mapping[str, float]) -> dict[str, Any]:
    """What changes with a slider: the certificate, coefficients, groups, and priors beside their posteriors."""
    main = list(fits.values())[-1]
    return {
        "certificate": {
            "passed": all(one.certificate.passed for one in fits.values()),
            "line": next(
                (outcome_line(one) for one in fits.values() if not one.certificate.passed), outcome_line(main)
            ),
        },
        "coefficients": _coefficients(fits),
        "groups": _groups(problem, fits),
        "priors": _priors(problem.widened(widths), main, widths),
    }


def shown_groups(model: Model, factor: Factor) -> np.ndarray:
    """Positions of the groups with most rows, in the order of their labels."""
    rows = np.bincount(factor.codes, model.statistics.counts, len(factor.levels))
    return np.sort(np.argsort(-rows, kind="stable")[:MOST_GROUPS])


def interval(draws: np.ndarray) -> np.ndarray:
    """(3, ...) mean and ends of the central interval over draws (m, ...)."""
    lines = np.ascontiguousarray(draws.reshape(len(draws), -1).T, dtype=float)
    found = np.empty((len(lines), 4))
    summarise_lines(lines, TAIL, found)
    return found[:, [0, 2, 3]].T.reshape(3, *draws.shape[1:])


def rounded(values: Any) -> Any:
    """Five digits of the numbers or of their range, whichever is finer; a number that is none becomes null.

    Numbers that lie close together far from zero stay apart.
    """
    array = np.asarray(values, dtype=float)
    finite = array[np.isfinite(array)]
    span = float(np.ptp(finite)) if finite.size else 0.0
    with np.errstate(all="ignore"):
        least = np.minimum(np.abs(array), span) if span > 0 else np.abs(array)
        size = np.where(least == 0, 1.0, 10.0 ** (4 - np.floor(np.log10(least))))
        near = np.where(array == 0, 0.0, np.round(array * size) / size)
    return np.where(np.isfinite(near), near, np.nan).astype(object).tolist() if near.ndim == 0 else _without_nan(near)


def _without_nan(array: np.ndarray) -> list[Any]:
    found = array.astype(object)
    found[~np.isfinite(array)] = None
    return list(found.tolist())


def _coefficients(fits: Mapping[Pooling, Posterior]) -> list[dict[str, Any]]:
    """A line for each parameter of the population, with an interval for each pooling that has it."""
    lines: dict[str, dict[str, Any]] = {}
    for kind, posterior in fits.items():
        if kind is Pooling.SEPARATE:
            continue
        for name, draws in flatten(posterior, groups=False):
            line = lines.setdefault(name, {"name": name})
            line[NAMES[kind]] = rounded(interval(draws.ravel()))
    return list(lines.values())


def _groups(problem: Problem, fits: Mapping[Pooling, Posterior]) -> dict[str, Any] | None:
    """Estimates of each group's coefficients, without pooling and with."""
    factor, partial = problem.factor, list(fits.values())[-1]
    if factor is None or partial.model.pooling is not Pooling.PARTIAL:
        return None
    places = shown_groups(partial.model, factor)
    names, drawn = partial.coefficients(factor, places)
    pooled = interval(drawn.reshape(-1, *drawn.shape[2:]))
    counts, unit = _sizes(problem, factor)
    found: dict[str, Any] = {
        "by": factor.name,
        "of": len(factor.levels),
        "labels": [str(factor.levels[k]) for k in places],
        "unit": unit,
        "rows": counts[places].astype(int).tolist(),
        "effects": [],
    }
    separate = fits.get(Pooling.SEPARATE)
    common = partial.common_part(factor).reshape(-1, len(names))
    for k, name in enumerate(names):
        one: dict[str, Any] = {
            "name": name,
            "partial": rounded(pooled[..., k].T),
            "population": rounded(interval(common[:, k])),
        }
        if separate is not None and name in separate.model.design.coefficients:
            at = separate.model.design.coefficients.index(name)
            own = separate.beta[:, :, places, at]
            one["separate"] = rounded(interval(own.reshape(-1, len(places))).T)
            one["untold"] = prior_only(separate.model, factor)[places, at].tolist()
        found["effects"].append(one)
    return found


def _sizes(problem: Problem, factor: Factor) -> tuple[np.ndarray, str]:
    """(J,) how much is known of each group: its rows, or its trials; and the word for it."""
    rows, levels = problem.rows, len(factor.levels)
    if rows is not None and problem.model.family.trials and rows.trials is not None:
        return np.bincount(factor.codes[rows.codes], rows.trials, levels), "trials"
    return np.bincount(factor.codes, problem.model.statistics.counts, levels), "rows"


def _priors(model: Model, posterior: Posterior, widths: Mapping[str, float]) -> list[dict[str, Any]]:
    """The density of each prior that has a width, and the histogram of its posterior, on one axis."""
    priors, words = model.priors, model.priors.words()
    drawn = _draws_by_prior(priors, posterior)
    found = []
    for name, prior in priors_by_name(priors).items():
        if name not in drawn or name not in words:
            continue
        values = drawn[name]
        grid = _grid(prior, values)
        ends = np.clip(np.quantile(values, [_RARE, 1 - _RARE]), grid[0], grid[-1])
        heights, edges = np.histogram(values, _BINS, range=(ends[0], ends[1]))
        density = heights / (len(values) * (edges[1] - edges[0]))
        found.append(
            {
                "name": name,
                "words": words[name],
                "width": widths.get(name, 1.0),
                "x": rounded(grid),
                "prior": rounded(np.exp(_log_density(prior, grid))),
                "edges": rounded(edges),
                "posterior": rounded(density),
            }
        )
    return found


def _draws_by_prior(priors: ModelPriors, posterior: Posterior) -> dict[str, np.ndarray]:
    """Posterior draws of what each prior speaks of: at the centre of the predictors where it is put there."""
    beta = posterior.beta.reshape(-1, posterior.beta.shape[-1]) @ priors.rows.T
    found = {name: draws.ravel() for name, draws in flatten(posterior, groups=False)}
    found |= {name: beta[:, k] for k, name in enumerate(priors.names_to_set) if name == priors.names[k]}
    if posterior.theta is not None:
        units = np.diag(priors.layout.map_to_zero)
        for k, name in enumerate(priors.layout.sd_names):
            if not priors.at_zero[k]:
                found[name] = units[k] * np.exp(posterior.theta[..., k].ravel())
    return found


def _grid(prior: CoefficientPrior | ScalePrior, values: np.ndarray) -> np.ndarray:
    """(81,) an axis on which the prior's middle and all of the posterior are seen."""
    sample = prior.sample(np.random.default_rng(0), (2001,))
    if isinstance(prior, ScalePrior):
        high = max(float(np.quantile(values, _FAR)) * 1.3, float(np.quantile(sample, 0.8)))
        return np.linspace(high * 1e-3, high, _GRID)
    low, high = np.quantile(values, [1 - _FAR, _FAR])
    inner = np.quantile(sample, [0.1, 0.9])
    low, high = min(float(low), float(inner[0])), max(float(high), float(inner[1]))
    return np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), _GRID)


def _log_density(prior: CoefficientPrior | ScalePrior, x: np.ndarray) -> np.ndarray:
    """Log density of a prior on an axis."""
    if isinstance(prior, ScalePrior):
        return prior.log_density(x)
    z = (x - prior.location) / prior.width
    if math.isinf(prior.degrees):
        return np.asarray(-0.5 * z**2 - math.log(prior.width) - 0.5 * math.log(2 * math.pi))
    half = HalfStudentT(prior.degrees, prior.width)  # whose density is twice that of both halves
    return np.asarray(half.log_density(np.abs(x - prior.location)) - math.log(2))
