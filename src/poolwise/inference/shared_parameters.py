"""Parameters with an intercept alone, such as a share of zeros, as ones that all rows share, beside a dispersion."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.latent.observations import Observations
from poolwise.families.scalars import HALF_LOG_TWO_PI
from poolwise.inference.near_normal import Parts
from poolwise.inference.posterior import Model, Posterior
from poolwise.priors import Normal, ScalePrior


@dataclass(frozen=True, slots=True)
class ExponentialOf(ScalePrior):
    """That of a positive number whose log is normal: of an intercept, on the scale of its parameter."""

    mean: float
    sd: float

    @property
    def coefficients(self) -> tuple[float, float, float, float, float, float]:
        """There is no common form, and working models ask for none."""
        raise NotImplementedError

    def sample(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        """Independent draws of shape `size`."""
        with np.errstate(over="ignore"):
            return np.exp(self.mean + self.sd * rng.standard_normal(size))

    def widened(self, factor: float) -> ExponentialOf:
        """The same prior, so many times as wide on the scale of logs."""
        return ExponentialOf(self.mean, factor * self.sd)

    def log_density_of_log(self, log_x: np.ndarray) -> np.ndarray:
        """Log density of the log of x, normalised."""
        away = (log_x - self.mean) / self.sd
        return np.asarray(-0.5 * np.square(away) - math.log(self.sd) - HALF_LOG_TWO_PI)


@dataclass(frozen=True, slots=True, eq=False)
class SharedParameters:
    """A model whose regressions are all of the mean, and what it takes to go back.

    Attributes
    ----------
    model : the same one, where intercepts of other parameters are logs of dispersions.
    places : of these intercepts among the coefficients of the model as it was.
    """

    model: Model
    places: tuple[int, ...]

    @classmethod
    def of(cls, model: Model) -> SharedParameters:
        """Of a model, with its rows where they are in memory."""
        design, priors, observations = model.design, model.priors, model.observations
        names = tuple(name for name in dict.fromkeys(design.predictors) if name)
        places = tuple(design.predictors.index(name) for name in names)
        if not places or not all(_alone(model, place) for place in places):
            return cls(model, ())
        kept = ~np.isin(np.arange(len(design.coefficients)), places)
        chosen = np.flatnonzero(kept)
        simplexes = priors.simplexes.copy()
        simplexes[:, 0] = (np.cumsum(kept) - 1)[simplexes[:, 0]]
        layout = replace(priors.layout, dispersions=(*priors.layout.dispersions, *names))
        own = {
            name: ExponentialOf(priors.coefficients[place].location, priors.coefficients[place].width)
            for name, place in zip(names, places, strict=True)
        }
        of_mean = replace(
            priors,
            layout=layout,
            names=tuple(priors.names[k] for k in chosen),
            coefficients=tuple(priors.coefficients[k] for k in chosen),
            centred=tuple(priors.centred[k] for k in chosen),
            rows=priors.rows[np.ix_(kept, kept)],
            dispersions={**priors.dispersions, **own},
            follows=priors.follows[kept],
            simplexes=simplexes,
            ties=replace(priors.ties, dimension=layout.dimension),
        )
        rest = None if observations is None else _of_mean(observations)
        data = replace(model.data, design=design.with_coefficients(kept))
        return cls(replace(model, data=data, priors=of_mean, observations=rest), places)

    def back(self, parts: Parts) -> Parts:
        """Draws of the model as it was, from those of the other one."""
        if not self.places:
            return parts
        theta, beta, u, dispersions, certificate = parts
        layout, count = self.model.priors.layout, len(self.places)
        stop = len(layout.effects) + layout.pairs + len(layout.dispersions)
        intercepts = slice(stop - count, stop)
        whole = np.empty((*beta.shape[:-1], beta.shape[-1] + count))
        kept = np.setdiff1d(np.arange(whole.shape[-1]), self.places)
        whole[..., kept], whole[..., list(self.places)] = beta, theta[..., intercepts]
        own = dict(list(dispersions.items())[:-count])
        return np.delete(theta, intercepts, axis=-1), whole, u, own, certificate

    def means(self, posterior: Posterior) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means, of the model as it was, of what are logs of dispersions (k,) and coefficients (p,) here."""
        beta = posterior.beta.mean(axis=(0, 1))
        logs = [float(np.log(values).mean()) for values in posterior.dispersions.values()]
        return np.array([*logs, *beta[list(self.places)]]), np.delete(beta, self.places)


def _of_mean(observations: Observations) -> Observations:
    mine = observations.of_column == 0
    return replace(
        observations,
        columns=np.ascontiguousarray(observations.columns[mine]),
        to_written=observations.to_written[np.ix_(mine, mine)],
        of_column=observations.of_column[mine],
    )


def _alone(model: Model, place: int) -> bool:
    """Whether the parameter of a coefficient has this intercept alone, with a prior of its own."""
    design, priors = model.design, model.priors
    name, one = design.predictors[place], np.eye(len(design.coefficients))[place]
    effects = any(factor.part_of(name).any() for factor in design.factors)
    constant = np.eye(len(design.common_map))[0]
    return (
        design.predictors.count(name) == 1
        and not effects
        and np.array_equal(design.common_map[:, place], constant)
        and isinstance(priors.coefficients[place], Normal)
        and np.array_equal(priors.rows[place], one)
        and np.array_equal(priors.rows[:, place], one)
    )
