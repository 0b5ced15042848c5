"""A fit as groups of labelled arrays, by the names of ArviZ's schema.

https://python.arviz.org/en/stable/schema/schema.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.density.gaussian import gaussian
from poolwise.density.ties import sampled_part
from poolwise.design import Rows
from poolwise.evaluate.loo.conditional_outcomes import conditional
from poolwise.evaluate.predict import predictor_of_rows
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.evaluate.prior_predictive import prior_predictive
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.errors import DataError, suggest
from poolwise.support.naming import free_name
from poolwise.support.threads import default_threads, map_slices

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

GROUPS = (
    "posterior", "sample_stats", "log_likelihood", "posterior_predictive", "prior", "prior_predictive",
    "observed_data", "constant_data",
)  # fmt: skip
_UNASKED = ("posterior", "observed_data", "constant_data")  # what costs nothing
_MOST = 1 << 28  # numbers of an array: 2 GB
_BATCH = 64  # draws


@dataclass(frozen=True, slots=True, eq=False)
class Behind:
    """What the groups are made of.

    Attributes
    ----------
    posterior : the fit.
    rows, frame : give the encoded rows and their table, or raise DataError where they are not at hand.
    in_memory : whether rows are there without being read.
    draws, seed : of what is drawn from priors and of new outcomes.
    """

    posterior: Posterior
    rows: Callable[[], Rows]
    frame: Callable[[], pd.DataFrame]
    in_memory: bool
    draws: int
    seed: int


def datatree(behind: Behind, groups: Iterable[str] | None) -> xr.DataTree:
    """The groups that are asked for; by default those that cost nothing.

    Raises
    ------
    DataError : for another name, and for what the fit cannot give, such as rows that are not at hand.
    """
    import xarray as xr

    if groups is None:
        return xr.DataTree.from_dict(_without_asking(behind))
    if isinstance(groups, str) or not isinstance(groups, Iterable):
        raise DataError(f"groups is a list of names, not {groups!r}: {', '.join(GROUPS)}.")
    asked = list(groups)
    for name in asked:
        if name not in GROUPS:
            raise DataError(f"There is no group '{name}'. {suggest(str(name), GROUPS)}")
    return xr.DataTree.from_dict({name: _group(behind, name) for name in GROUPS if name in asked})


def _without_asking(behind: Behind) -> dict[str, xr.Dataset]:
    found = {}
    for name in _UNASKED if behind.in_memory else ("posterior",):
        try:
            found[name] = _group(behind, name)
        except DataError:  # a frame that has changed since
            continue
    return found


def _group(behind: Behind, name: str) -> xr.Dataset:
    makers: dict[str, Callable[[Behind], xr.Dataset]] = {
        "posterior": lambda one: one.posterior.dataset(),
        "sample_stats": _sample_stats,
        "log_likelihood": _log_likelihood,
        "posterior_predictive": _posterior_predictive,
        "prior": lambda one: _of_priors(one)[0],
        "prior_predictive": lambda one: _of_priors(one)[1],
        "observed_data": _observed,
        "constant_data": _constant,
    }
    return makers[name](behind)


def _sample_stats(behind: Behind) -> xr.Dataset:
    """What NUTS says of each draw; `lp`, the log density of the variances with all coefficients integrated out, in
    normal models; and as attributes the sampler, whether its certificate holds, and what it measured."""
    import xarray as xr

    posterior, certificate = behind.posterior, behind.posterior.certificate
    model = posterior.model
    found: dict[str, Any] = {name: (("chain", "draw"), values) for name, values in certificate.of_draws.items()}
    collapsed = not model.sampled and not posterior.by_turns and model.pooling is not Pooling.SEPARATE
    if posterior.theta is not None and collapsed:
        density = gaussian(model.statistics, model.design, model.priors, threads=default_threads())
        ties = model.priors.ties
        points = posterior.theta[..., ties.free]
        part = sampled_part(density, ties)
        values = part.log_density(points.reshape(-1, points.shape[-1])).reshape(points.shape[:2])
        found["lp"] = (("chain", "draw"), values)
    attributes = {name: float(value) for name, value in certificate.figures.items()}
    if certificate.log_evidence is not None:
        attributes["log_evidence"] = float(certificate.log_evidence)
    said = {"sampler": certificate.sampler, "passed": int(certificate.passed), "sampling_time": posterior.seconds}
    return xr.Dataset(found, _draw_coordinates(posterior) if found else None, {**said, **attributes})


def _log_likelihood(behind: Behind) -> xr.Dataset:
    """log p(y_i | all parameters of the draw), weights that count rows included."""
    posterior, rows = behind.posterior, behind.rows()
    count = posterior.chains * posterior.draws
    _check_size(count, len(rows.codes), "log likelihoods")
    found = np.empty((count, len(rows.codes)))

    def work(_: int, part: slice) -> None:
        found[part] = conditional(posterior, rows, np.arange(count)[part]).log_density(rows.response)

    map_slices(work, count, _BATCH)
    return _by_observation(posterior, found)


def _posterior_predictive(behind: Behind) -> xr.Dataset:
    """New outcomes at the rows of the fit; of categories their positions."""
    posterior, rows = behind.posterior, behind.rows()
    _check_size(posterior.chains * posterior.draws, len(rows.codes), "new outcomes")
    question = Question(Kind.RESPONSE, NewGroups.ERROR, behind.seed)
    return _by_observation(posterior, predictor_of_rows(posterior, rows, question).draws())


def _of_priors(behind: Behind) -> tuple[xr.Dataset, xr.Dataset]:
    """Parameters from their priors, and outcomes that follow, as one chain."""
    drawn = prior_predictive(behind.posterior.model, behind.rows(), behind.draws, behind.seed)
    drawn = drawn.assign_coords(draw=np.arange(behind.draws)).expand_dims(chain=[0])
    name = next(str(name) for name, values in drawn.data_vars.items() if "observation" in values.dims)
    outcome = drawn[[name]].assign_coords(observation=np.arange(drawn.sizes["observation"]))
    own = _own(behind.posterior.model.design.response)
    return drawn.drop_vars(name).drop_dims("observation", errors="ignore"), outcome.rename({name: own})


def _observed(behind: Behind) -> xr.Dataset:
    import xarray as xr

    response, model = behind.rows().response, behind.posterior.model
    attributes = {"categories": list(model.family.labels)} if model.family.labels else {}
    outcome = (("observation",), response, attributes)
    return xr.Dataset({_own(model.design.response): outcome}, {"observation": np.arange(len(response))})


def _constant(behind: Behind) -> xr.Dataset:
    """The columns that the formula reads beside the outcome: numbers as they are, all else as text."""
    import xarray as xr

    frame, outcome = behind.frame(), set(behind.posterior.model.encoding.outcome)
    columns = {
        _own(str(name)): (
            ("observation",),
            values.to_numpy() if values.dtype.kind in "iufb" else values.astype(str).to_numpy(),
        )
        for name, values in frame.items()
        if name not in outcome
    }
    return xr.Dataset(columns, {"observation": np.arange(len(frame))})


def _by_observation(posterior: Posterior, drawn: np.ndarray) -> xr.Dataset:
    import xarray as xr

    values = drawn.reshape(posterior.chains, posterior.draws, -1)
    coordinates = _draw_coordinates(posterior) | {"observation": np.arange(values.shape[2])}
    return xr.Dataset({_own(posterior.model.design.response): (("chain", "draw", "observation"), values)}, coordinates)


def _own(name: str) -> str:
    """The name of a variable, unless it is that of a dimension."""
    return free_name(name, ("chain", "draw", "observation"))


def _draw_coordinates(posterior: Posterior) -> dict[str, np.ndarray]:
    return {"chain": np.arange(posterior.chains), "draw": np.arange(posterior.draws)}


def _check_size(draws: int, rows: int, what: str) -> None:
    if draws * rows > _MOST:
        raise DataError(
            f"{draws:,} {what} of {rows:,} rows would take {8e-9 * draws * rows:.0f} GB. Fit with fewer draws, or use "
            "fit.loo() and fit.check(), which need no such array."
        )
