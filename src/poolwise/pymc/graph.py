"""Which variables of a PyMC model are normal around means that are affine in one another, given the rest.

Nothing is read from names or text. A variable belongs to the block where it has a normal prior, no standard deviation
and no other prior or likelihood depends on it, and the means that do are affine in the whole block. What a graph says
of dependence is exact, and so is what `linearity.py` says of means: an operation that is not known to be linear keeps a
variable out. The density that follows is compared with the model's own before draws are returned.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.distributions.transforms import CholeskyCovPacked
from pymc.initial_point import make_initial_point_expression
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors

from poolwise.pymc.linearity import made_of, offenders
from poolwise.pymc.log_factors import log_factors
from poolwise.pymc.normal_variables import (
    has_no_precision,
    has_normal_value,
    is_multivariate,
    is_normal,
    parameters,
    root_of,
    spread_of,
)
from poolwise.pymc.numpy_calls import drawing_function, is_random, numpy_function
from poolwise.support.errors import DataError


class _Plainly(AbstractContextManager[None]):
    """What several threads may be within at a time; the last one out restores what the first one found."""

    def __init__(self) -> None:
        self._lock, self._inside, self._restore = Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                flags = pytensor.config.change_flags(mode="FAST_COMPILE", traceback__limit=0)
                self._restore.enter_context(flags)
                if gc.isenabled():
                    gc.disable()
                    self._restore.callback(gc.enable)
                    self._restore.callback(gc.collect, 0)  # before that: it would look at all there is
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._restore.close()


_PLAINLY = _Plainly()


def plainly() -> AbstractContextManager[None]:
    """Neither compile graphs within operations to C, which PyTensor's own mode would, nor collect garbage.

    Graphs are many small objects that refer to one another: the collector would look at all of them again and again,
    which takes a quarter of the time of a small model.
    """
    return _PLAINLY


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The variables that are integrated out, and what is left.

    Attributes
    ----------
    model : the PyMC model.
    variables : free variables of the block, in the model's order.
    rest : the other free variables.
    observed : normal outcomes.
    kept_out : why a normal variable is not in the block, by its name.
    initial : PyMC's initial point: values of the free variables by the names of their values.
    log_factors : log densities of free and observed variables and potentials, as graphs; Jacobians included.
    deviations : for each multivariate normal variable of the block, a variable of its standardised deviations.
    """

    model: pm.Model
    variables: tuple[Any, ...]
    rest: tuple[Any, ...]
    observed: tuple[Any, ...]
    kept_out: dict[str, str]
    initial: Mapping[str, np.ndarray]
    log_factors: Mapping[Any, Any]
    deviations: Mapping[Any, Any]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of each variable of the block."""
        return tuple(int(np.prod(shape, dtype=int)) for shape in self.own_shapes)

    @property
    def own_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of the value of each variable of the block."""
        return tuple(np.shape(self.initial[self.model.rvs_to_values[one].name]) for one in self.variables)

    @property
    def inputs(self) -> list[Any]:
        """The numbers of the block's variables, as inputs of graphs: values, or standardised deviations."""
        return [self.deviations.get(one, self.model.rvs_to_values[one]) for one in self.variables]

    @property
    def priors(self) -> list[tuple[Any, Any]]:
        """Means and standard deviations of these numbers."""
        alone = pt.as_tensor(0.0), pt.as_tensor(1.0)
        return [alone if one in self.deviations else parameters(one) for one in self.variables]

    @property
    def flat(self) -> np.ndarray:
        """(p,) which of these numbers have a prior without precision."""
        return np.repeat([has_no_precision(one) for one in self.variables], self.sizes)

    @property
    def values_of_rest(self) -> list[Any]:
        """Those of the rest."""
        return [self.model.rvs_to_values[one] for one in self.rest]

    def in_inputs(self, graphs: Sequence[Any]) -> list[Any]:
        """Graphs in terms of the numbers of the block and the values of the rest."""
        found = list(self.model.replace_rvs_by_values(graphs))
        for one in reversed(self.variables):  # a mean may be made of variables before it
            if one in self.deviations:
                mean, covariance = self.model.replace_rvs_by_values(parameters(one))
                deviations = self.deviations[one]
                written = mean + pt.sum(deviations[..., None, :] * root_of(covariance), axis=-1)
                found = clone_replace(found, {self.model.rvs_to_values[one]: written})
        return found

    def without_numbers(self, graphs: Sequence[Any]) -> list[Any]:
        """Graphs of values in which the block has its shapes alone, which are all that they read of it."""
        values = [self.model.rvs_to_values[one] for one in self.variables]
        return list(clone_replace(graphs, {one: pt.as_tensor(self.initial[one.name]) for one in values}))

    @property
    def log_volume(self) -> Any:
        """The graph of the log of how much larger values are than standardised deviations."""
        volume = pt.as_tensor(0.0)
        for one in self.deviations:
            root = pt.linalg.cholesky(self.model.replace_rvs_by_values([parameters(one)[1]])[0])
            logs = pt.log(pt.diagonal(root, axis1=-2, axis2=-1))
            volume = volume + pt.sum(pt.broadcast_to(logs, np.shape(self.initial[one.name])))
        return volume

    def log_density(self, variables: Sequence[Any]) -> Any:
        """The graph of the summed log densities of some variables and potentials."""
        return pt.sum([pt.sum(self.log_factors[one]) for one in variables])


def find_block(model: pm.Model, unbounded: Collection[str] = ()) -> Block:
    """The block of a model.

    Parameters
    ----------
    unbounded : names of uniform variables whose bounds play no part.

    Raises
    ------
    DataError : for discrete variables, models without observed variables, and outcomes with missing values.
    """
    check_model(model)
    initial = _initial_point(model)
    sizes = {one: int(np.size(initial[model.rvs_to_values[one].name])) for one in model.free_RVs}
    kept_out: dict[str, str] = {}
    candidates = [one for one in model.free_RVs if has_normal_value(model, one) or one.name in unbounded]
    observed = [one for one in model.observed_RVs if is_normal(one)]
    while True:
        reason = _dependence(model, candidates, observed)
        if not reason:
            break
        kept_out |= {one.name: why for one, why in reason.items()}
        candidates = [one for one in candidates if one not in reason]
    of_outcomes = [parameters(one, model.rvs_to_values[one])[0] for one in observed]
    for one in _not_affine(sizes, candidates, of_outcomes):
        kept_out[one.name] = "a mean is not known to be linear in it"
        candidates = [other for other in candidates if other is not one]
    used = [one for one in observed if set(candidates) & set(ancestors([one]))]
    if not used:  # nothing is learnt of the candidates from normal outcomes
        kept_out |= {one.name: "no normal outcome depends on it" for one in candidates}
        candidates = []
    rest = tuple(one for one in model.free_RVs if one not in candidates)
    deviations = {
        one: pt.tensor(f"{one.name}_deviations", dtype="float64", shape=np.shape(initial[one.name]))
        for one in candidates if is_multivariate(one)
    }  # fmt: skip
    return Block(model, tuple(candidates), rest, tuple(used), kept_out, initial, log_factors(model), deviations)


def check_model(model: pm.Model) -> None:
    """Refuse what no sampler here can take.

    Raises
    ------
    DataError : with what it is.
    """
    if not isinstance(model, pm.Model):
        raise DataError(f"model must be a pymc.Model, not {type(model).__name__}.")
    if not model.observed_RVs:
        raise DataError("The model has no observed variables: there is nothing to learn from.")
    if discrete := [one.name for one in model.free_RVs if one.dtype.startswith(("int", "uint", "bool"))]:
        raise DataError(
            f"'{discrete[0]}' is discrete, which is neither integrated out nor sampled here: use pm.sample()."
        )
    packed = [one for one in model.free_RVs if isinstance(model.rvs_to_transforms[one], CholeskyCovPacked)]
    if alone := [one.name for one in packed if one.type.shape == (1,)]:
        raise DataError(
            f"'{alone[0]}' is an LKJ prior of one standard deviation, which PyMC cannot draw from: give that a "
            "prior by itself, as pm.Exponential('sd', 1.0)."
        )
    if pytensor.config.floatX != "float64":
        raise DataError(f"PyTensor computes in {pytensor.config.floatX} here; set pytensor.config.floatX to float64.")
    for one in model.observed_RVs:
        if is_random([model.rvs_to_values[one]]):
            raise DataError(
                f"The outcomes '{one.name}' are drawn anew each time, as by pm.Minibatch: give all of them."
            )
        if not outcomes(model, one).size:
            raise DataError(f"The outcomes '{one.name}' have no rows: give them at least one, or leave them out.")
    observed = {f"{one.name.removesuffix('_observed')}_unobserved" for one in model.observed_RVs}
    if partly := [one.name for one in model.free_RVs if one.name in observed]:
        raise DataError(f"Some outcomes are missing ('{partly[0]}'): leave these rows out of the model.")


def _initial_point(model: pm.Model) -> dict[str, np.ndarray]:
    """PyMC's initial point, by name of value."""
    graphs = make_initial_point_expression(
        free_rvs=model.free_RVs, rvs_to_transforms=model.rvs_to_transforms,
        initval_strategies=model.rvs_to_initial_values, return_transformed=True,
    )  # fmt: skip
    values = drawing_function(graphs)(np.random.SeedSequence(1))
    return {model.rvs_to_values[one].name: value for one, value in zip(model.free_RVs, values, strict=True)}


def _dependence(model: pm.Model, candidates: Sequence[Any], observed: Sequence[Any]) -> dict[Any, str]:
    """Candidates on which something else than the mean of a normal variable depends."""
    found: dict[Any, str] = {}

    def keep_out(terms: Sequence[Any], why: str) -> None:
        reached = made_of(terms)
        for one in candidates:
            if one in reached:
                found.setdefault(one, why)

    for one in (*candidates, *observed):
        keep_out([parameters(one)[1]], f"the {spread_of(one)} of '{one.name}' depends on it")
    for one in model.free_RVs:
        if one not in candidates:
            keep_out(one.owner.inputs, f"the prior of '{one.name}' depends on it")
    for one in model.observed_RVs:
        if one not in observed:
            keep_out(one.owner.inputs, f"the outcomes '{one.name}' are not normal")
    for one in model.potentials:
        keep_out([one], f"the potential '{one.name}' depends on it")
    return found


def _not_affine(sizes: Mapping[Any, int], candidates: Sequence[Any], of_outcomes: Sequence[Any]) -> list[Any]:
    """Candidates to be taken away until all means are affine in the others; of a product the smaller factor."""
    taken: list[Any] = []

    def size(variables: frozenset[Any]) -> int:
        return sum(sizes[one] for one in variables)

    while True:
        left = [one for one in candidates if one not in taken]
        terms = [*of_outcomes, *(parameters(one)[0] for one in left)]
        choices = [choice for term in terms for choice in offenders(term, set(left))]
        if not choices:
            return taken
        smallest = sorted(choices[0], key=size)[0]
        taken += [one for one in left if one in smallest]


def outcomes(model: pm.Model, variable: Any) -> np.ndarray:
    """The outcomes of an observed variable, as numbers."""
    return np.asarray(numpy_function([], model.rvs_to_values[variable])(), dtype=float)
