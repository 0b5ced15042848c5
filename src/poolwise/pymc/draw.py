"""`sample` and `explain`: a PyMC model to draws under its own names."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
from pymc.logprob.utils import ParameterValueError

from poolwise.pymc.bounds import BoundsMet, check_bounds, find_unbounded_block
from poolwise.pymc.by_sums import BySums
from poolwise.pymc.checks import check_block, check_density, check_ends, keeps_digits, refuse_without_density
from poolwise.pymc.density import CollapsedModel
from poolwise.pymc.graph import Block, find_block, outcomes, plainly
from poolwise.pymc.linear_rows import Changed, linear_rows
from poolwise.pymc.normal_variables import is_uniform
from poolwise.pymc.rest import Rest, rest_of
from poolwise.pymc.variables import variables_of
from poolwise.samplers.automatic import sample as sample_density
from poolwise.samplers.interface import Certificate, SamplerSettings, child_seeds
from poolwise.samplers.settings import check_count, sampler_settings
from poolwise.support.errors import DataError, PoolwiseError, PoolwiseWarning, SamplingError
from poolwise.support.progress import Progress, silent

if TYPE_CHECKING:
    import xarray as xr

_TRIES = 8  # times that rows are found anew
_MOST = 20  # numbers that are left to sample
_HANDOVERS = ("pymc", "nutpie")


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """What is integrated out of a model, and what is left.

    Attributes
    ----------
    block : size of each variable that is integrated out, by name.
    left : size of each variable that is sampled.
    kept_out : why a normal variable is sampled, by name.
    bounded : names of those that are integrated out as long as no draw meets their bounds.
    rows : rows of the linear model after equal outcomes are put together, priors included.
    border, blocks, largest : how many numbers of the block hang together with all others; and of the small blocks, how
        many there are and the size of the largest.
    flops : of an evaluation, about.
    """

    block: Mapping[str, int]
    left: Mapping[str, int]
    kept_out: Mapping[str, str]
    bounded: tuple[str, ...]
    rows: int
    border: int
    blocks: int
    largest: int
    flops: float

    @property
    def text(self) -> str:
        """The explanation in lines."""
        named = {
            one: ", ".join(f"{name} ({size:,})" if size != 1 else name for name, size in sizes.items()) or "nothing"
            for one, sizes in (("block", self.block), ("left", self.left))
        }
        lines = [f"integrated out: {named['block']}", f"sampled: {named['left']}"]
        if self.bounded:
            lines.append(f"sampled too, where draws meet their bounds: {', '.join(self.bounded)}")
        lines += [f"kept out: {name}, as {why}" for name, why in self.kept_out.items()]
        if self.block:
            lines.append(
                f"algebra: {self.rows:,} rows; {self.blocks:,} blocks of at most {self.largest} numbers and a border "
                f"of {self.border:,}; about {self.flops:.2g} flops an evaluation"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text


def explain(model: pm.Model) -> Explanation:
    """Which variables are integrated out of a PyMC model, what is left, and what kept a variable out.

    A variable with a uniform prior is integrated out as long as no draw meets its bounds, and sampled else.

    Raises
    ------
    DataError : for a model that cannot be sampled here at all.
    """
    with plainly(), _in_our_words(), _as_unread():
        return _explained(find_unbounded_block(model) or find_block(model))


def _explained(block: Block) -> Explanation:
    shapes = block.model.eval_rv_shapes()
    left = {one.name: int(np.prod(shapes[one.name], dtype=int)) for one in block.rest}
    names = {one.name: size for one, size in zip(block.variables, block.sizes, strict=True)}
    if not block.variables:
        return Explanation({}, left, block.kept_out, (), 0, 0, 0, 0, 0.0)
    rest = rest_of(block)
    collapsed = CollapsedModel.of(linear_rows(block, rest, _first_points(rest)), rest)
    bounded = tuple(one.name for one in block.variables if is_uniform(one))
    blocks, largest, border = collapsed.normal.arrow.sizes
    rows = len(collapsed.rows.columns)
    return Explanation(names, left, block.kept_out, bounded, rows, border, blocks, largest, collapsed.cost)


def sample(
    model: pm.Model | None = None,
    draws: int = 1000,
    *,
    chains: int = 4,
    seed: int | None = None,
    sampler: str = "auto",
    otherwise: str | None = None,
    progress: Progress = silent,
) -> xr.DataTree:
    """Draw from the posterior of a PyMC model, its linear and normal part integrated out, as `pm.sample()` would.

    The variables in which the model is linear and normal given the others (`explain` names them) are integrated out;
    the others are sampled, and the first are drawn back exactly. At some of the draws the density is compared with the
    sum of PyMC's log densities of all variables.

    Parameters
    ----------
    model : the one of the surrounding `with` block by default.
    draws, chains : kept draws of each chain, and the number of chains.
    seed : same seed, same draws.
    sampler : "auto" and "independence" draw what is left by importance; "nuts" calls Python at every step, and takes
        minutes.
    otherwise : "pymc" or "nutpie" to sample a model of which nothing can be integrated out, of which more than 20
        numbers are left, or whose sampler was not certified; by default the first two are errors, the last a warning.

    Returns
    -------
    A DataTree with `posterior` (all free and deterministic variables by the model's names, dims and coords),
    `sample_stats` (`lp`, and what the sampler measured), `observed_data` and `constant_data`.

    Raises
    ------
    DataError : for a model that nothing can be integrated out of, or too much is left of, and no `otherwise`; discrete
        variables; no outcomes.
    SamplingError : where the density does not agree with the model's own.
    """
    model = pm.modelcontext(model)
    check_count("draws", draws, 1)
    if otherwise is not None and otherwise not in _HANDOVERS:
        raise DataError(f"otherwise must be one of {', '.join(_HANDOVERS)}, or None; not {otherwise!r}.")
    settings = sampler_settings(draws, chains, seed, sampler, progress)
    began = time.perf_counter()
    try:
        with plainly(), _in_our_words():
            drawn = _drawn(model, settings, sampler)
    except (DataError, SamplingError):
        if otherwise is None or not isinstance(model, pm.Model):
            raise
        return _handed_over(model, otherwise, draws, chains, settings.entropy)
    certificate, shape = drawn.certificate, (chains, len(drawn.theta) // chains)
    if not certificate.passed:
        if otherwise is not None:
            return _handed_over(model, otherwise, draws, chains, settings.entropy)
        warnings.warn(
            f"{certificate.advice} otherwise='nutpie' hands such a model over.", PoolwiseWarning, stacklevel=2
        )
    with plainly():
        named = variables_of(drawn.block, drawn.collapsed, drawn.theta, drawn.values, shape)
        return _tree(model, named, drawn.lp.reshape(shape), certificate, time.perf_counter() - began)


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Say in a sentence what PyMC and NumPy find while they compute."""
    try:
        yield
    except ParameterValueError as error:
        said = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"A parameter has values that its distribution does not take: {said}.") from error
    except np.linalg.LinAlgError as error:
        raise SamplingError(
            f"The posterior of what is left is nearly singular ({str(error).rstrip('.')}): use pm.sample(), or "
            "otherwise='nutpie'."
        ) from error


@contextmanager
def _as_unread() -> Iterator[None]:
    """Say of a model that it cannot be read, whatever the reason: graphs hold what nobody has foreseen."""
    try:
        yield
    except (PoolwiseError, Changed, ParameterValueError, np.linalg.LinAlgError):
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise DataError(
            f"This model cannot be read here ({type(error).__name__}: {said[:200]}). Where pm.sample() takes it, "
            "otherwise='pymc' calls that, and please report the model."
        ) from error


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Draws (m, d) of the rest and (m, p) of the block, and log densities (m,) of the rest."""

    block: Block
    collapsed: CollapsedModel
    theta: np.ndarray
    values: np.ndarray
    lp: np.ndarray
    certificate: Certificate


def _drawn(model: pm.Model, settings: SamplerSettings, sampler: str) -> _Drawn:
    """Draw, of uniform variables as flat ones where the draws stay away from their bounds."""
    with _as_unread():
        unbounded = find_unbounded_block(model)
    if unbounded is not None:
        try:
            drawn = _drawn_of(unbounded, settings, sampler)
            if drawn.certificate.passed:
                return drawn
        except BoundsMet as met:
            return _drawn_again(model, settings, sampler, met.said)
        except SamplingError:  # the density beyond a bound may not be the model's
            refuse_without_density(unbounded)
    return _drawn_of(_block_or_refuse(model), settings, sampler)


def _drawn_again(model: pm.Model, settings: SamplerSettings, sampler: str, why: str) -> _Drawn:
    """Draw with bounds, and say why."""
    settings.progress(why, 0.0)
    try:
        drawn = _drawn_of(_block_or_refuse(model), settings, sampler)
    except DataError as error:
        raise DataError(f"{why} {error}") from error
    return replace(drawn, certificate=replace(drawn.certificate, advice=f"{drawn.certificate.advice} {why}"))


def _drawn_of(block: Block, settings: SamplerSettings, sampler: str) -> _Drawn:
    """Draw, with rows that hold at all values of the rest that were met on the way."""
    with _as_unread():
        rest = rest_of(block)
    if sampler == "auto" and len(rest.start) > _MOST:
        raise DataError(
            f"{len(rest.start)} numbers are left to sample, and {_MOST} are the most here: otherwise='nutpie' hands "
            "the model over, sampler='nuts' takes long."
        )
    points = _first_points(rest)
    for _ in range(_TRIES):
        try:
            with _as_unread():
                collapsed = CollapsedModel.of(linear_rows(block, rest, points), rest)
            return _drawn_with(block, collapsed, settings, sampler)
        except Changed as changed:
            points = np.vstack([points, changed.points])
    raise DataError(
        "Which numbers of the block a mean depends on differs from value to value of what is left, as with a change "
        "point: use pm.sample(), or otherwise='nutpie'."
    )


def _first_points(rest: Rest) -> np.ndarray:
    """Values of the rest at which rows are told apart first."""
    around = rest.start + 0.5 * np.random.default_rng(1).standard_normal((4, len(rest.start)))
    return np.vstack([around, rest.drawn[:4]])


def _drawn_with(block: Block, collapsed: CollapsedModel, settings: SamplerSettings, sampler: str) -> _Drawn:
    theta_seed, block_seed = child_seeds(settings.seed, 2)
    if collapsed.dimension:
        # A path of NUTS would call Python at every step: where the other sampler is not certified, that is said.
        chosen = "independence" if sampler == "auto" else sampler
        with np.errstate(all="ignore"):  # climbs and proposals go to where there is no density, which they look at
            try:
                found = sample_density(collapsed, replace(settings, seed=theta_seed, sampler=chosen), 1)
            except SamplingError:
                refuse_without_density(block)
                raise
        theta, certificate = found.points.reshape(-1, collapsed.dimension), found.certificate
    else:
        theta = np.empty((settings.chains * settings.draws, 0))
        certificate = Certificate("exact", "nothing is left to sample", True, "Independent draws.", {})
    values, lp, _ = collapsed.block(theta, np.random.default_rng(block_seed))
    if isinstance(collapsed.normal, BySums) and not keeps_digits(collapsed, theta, lp):
        return _drawn_with(block, collapsed.by_rows(), settings, sampler)
    check_bounds(block, values)
    check_density(block, collapsed, theta, values)
    check_block(collapsed, theta)
    check_ends(block, collapsed, theta, lp)
    return _Drawn(block, collapsed, theta, values, lp, certificate)


def _block_or_refuse(model: pm.Model) -> Block:
    with _as_unread():
        block = find_block(model)
    if not block.variables:
        reasons = "; ".join(f"'{name}': {why}" for name, why in block.kept_out.items()) or "it has no normal variables"
        raise DataError(
            f"Nothing can be integrated out of this model ({reasons}). pm.sample() takes it; otherwise='pymc' calls it."
        )
    return block


def _tree(
    model: pm.Model, named: Mapping[str, np.ndarray], lp: np.ndarray, certificate: Certificate, seconds: float
) -> xr.DataTree:
    import xarray as xr

    chain_and_draw = {"chain": np.arange(lp.shape[0]), "draw": np.arange(lp.shape[1])}
    known = {name: np.asarray(values) for name, values in model.coords.items() if values is not None}

    def dataset(arrays: Mapping[str, np.ndarray], leading: tuple[str, ...] = ()) -> xr.Dataset:
        variables, coordinates = {}, dict(chain_and_draw) if leading else {}
        for name, values in arrays.items():
            own = model.named_vars_to_dims.get(name) or ()
            rest = values.ndim - len(leading)
            dims = [str(own[k]) if k < len(own) and own[k] else f"{name}_dim_{k}" for k in range(rest)]
            coordinates |= {dim: known[dim] for dim in dims if dim in known}
            variables[name] = ((*leading, *dims), values)
        return xr.Dataset(variables, coordinates)

    figures = {name: float(value) for name, value in certificate.figures.items()}
    said = {"sampler": certificate.sampler, "passed": int(certificate.passed), "advice": certificate.advice}
    of_draws = {name: (("chain", "draw"), values) for name, values in {**certificate.of_draws, "lp": lp}.items()}
    stats = xr.Dataset(of_draws, chain_and_draw, {**said, "sampling_time": seconds, **figures})
    groups = {"posterior": dataset(named, ("chain", "draw")), "sample_stats": stats}
    groups["observed_data"] = dataset({one.name: outcomes(model, one) for one in model.observed_RVs})
    constant = {one.name: np.asarray(one.get_value()) for one in model.data_vars}
    if constant:
        groups["constant_data"] = dataset(constant)
    for one in groups.values():
        one.attrs |= {"created_by": "poolwise", "inference_library": "poolwise"}
    return xr.DataTree.from_dict(groups)


def _handed_over(model: pm.Model, to: str, draws: int, chains: int, seed: int) -> xr.DataTree:
    import xarray as xr

    sampler = {"nuts_sampler": "nutpie"} if to == "nutpie" else {}
    with model:
        found = pm.sample(draws, chains=chains, random_seed=seed % 2**32, progressbar=False, **sampler)
    if isinstance(found, xr.DataTree):
        return found
    return xr.DataTree.from_dict({name: found[name] for name in found.groups()})
