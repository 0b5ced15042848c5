"""What a structured term is: columns whose coefficients have a prior together.

A structure learns from its columns once, and then turns rows into columns: first those of its null space, with
coefficients like any other, then penalised ones. Their coefficients are normal around zero, and the log precision of
each follows a few positive numbers h, the hyperparameters:

    log precision_k = sum_m (power_km log h_m + square_km h_m^2) - 2 log width_k.

So one seam serves splines (one sd), tensor products (three sds) and Gaussian processes (an sd and a length scale). For
autoregressions (an sd and a correlation) there is one more summand, see `poolwise.design.structures.hyperparameters`.
Monotonic terms are another kind: one coefficient times shares, which are hyperparameters; see
`poolwise.density.monotonic`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poolwise.design.expression_names import parse_expression, restored_names
from poolwise.design.structures.hyperparameters import NUMBERS, follows_of
from poolwise.priors import Autocorrelation, Gamma, HalfStudentT, ScalePrior
from poolwise.support.errors import FormulaError

PENALTIES = "penalties"  # in the state of a transform that is a structure


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A positive number that a prior depends on.

    Attributes
    ----------
    name : such as "sd", before the name of the term.
    unit : None for one in units of the linear predictor, whose default prior is scaled to these; else a usual value in
        the units of a predictor.
    correlation : whether it stands for the correlation tanh(log h).
    share : whether it stands for the share h^2 / (1 + h^2).
    """

    name: str
    unit: float | None = None
    correlation: bool = False
    share: bool = False

    def default(self, unit: float) -> ScalePrior:
        """The default prior, `unit` being one standard deviation of the linear predictor's target."""
        if self.correlation:
            return Autocorrelation(1.0)
        if self.unit is None:
            return HalfStudentT(3.0, unit)
        return Gamma(4.0, 4.0 / self.unit)


@dataclass(frozen=True, slots=True, eq=False)
class Penalty:
    """The prior of some penalised columns of a term, one after the other.

    Attributes
    ----------
    suffix : what the hyperparameters' names end in beside the term's; "" where a term has one penalty.
    hyperparameters : (r,).
    follows : (k, r, 4) power, square, and wave and lag of autoregressions; made by `follows_of`.
    widths : (k,).
    simplex : names of the columns whose coefficients are one coefficient times shares that add up to k, the
        hyperparameters being what each but the last takes of the rest; empty for independent coefficients.
    """

    suffix: str
    hyperparameters: tuple[Hyperparameter, ...]
    follows: np.ndarray
    widths: np.ndarray
    simplex: tuple[str, ...] = ()

    @classmethod
    def of_sd(cls, columns: int, suffix: str = "") -> Penalty:
        """Independent coefficients of one standard deviation."""
        return cls(suffix, (Hyperparameter("sd"),), follows_of(power=np.full((columns, 1), -2.0)), np.ones(columns))

    @classmethod
    def of_simplex(cls, labels: Sequence[str]) -> Penalty:
        """One coefficient, shared out among columns with these labels."""
        shares = tuple(Hyperparameter("share", share=True) for _ in labels[1:])
        return cls("", shares, np.zeros((len(labels), len(shares), NUMBERS)), np.ones(len(labels)), tuple(labels))

    def state(self) -> dict[str, Any]:
        """As plain data, for the state of a transform."""
        return {
            "suffix": self.suffix,
            "names": [one.name for one in self.hyperparameters],
            "units": [one.unit for one in self.hyperparameters],
            "correlations": [one.correlation for one in self.hyperparameters],
            "follows": self.follows.tolist(),
            "widths": self.widths.tolist(),
            "simplex": list(self.simplex),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Penalty:
        """What `state` described."""
        if simplex := state["simplex"]:
            return cls.of_simplex(simplex)
        found = tuple(map(Hyperparameter, state["names"], state["units"], state["correlations"]))
        follows = np.array(state["follows"], dtype=float).reshape(len(state["widths"]), len(found), NUMBERS)
        return cls(state["suffix"], found, follows, np.array(state["widths"], dtype=float))


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """A structured term of a design.

    Attributes
    ----------
    name : as written, such as `s(x)`; that of another parameter than the mean before it, as `sigma_s(x)`.
    predictor : the linear predictor that it is part of, "" for the mean.
    places : (k,) positions of its penalised coefficients among the design's.
    null : positions of the coefficients of its null space.
    penalties : in the order of the coefficients.
    """

    name: str
    predictor: str
    places: tuple[int, ...]
    null: tuple[int, ...]
    penalties: tuple[Penalty, ...]

    def moved(self, new: np.ndarray) -> Structure:
        """The same where its coefficients are at other places, `new` of the old ones."""
        places, null = (tuple(int(new[k]) for k in old) for old in (self.places, self.null))
        return replace(self, places=places, null=null)

    @property
    def text(self) -> str:
        """The term as it stands in its formula."""
        return self.name.removeprefix(f"{self.predictor}_") if self.predictor else self.name

    def learnt(self, specs: Any) -> Mapping[str, Any]:
        """What the term has learnt of the data, from formulaic's specifications."""
        for part in specs._to_dict(recurse=False).values():
            for text, state in part.transform_state.items():
                if PENALTIES in state and _same(text) == _same(self.text):
                    return state
        raise KeyError(self.text)

    @property
    def parameters(self) -> tuple[tuple[str, Hyperparameter], ...]:
        """Name in the model of each hyperparameter: `sd_s(x)`, `lengthscale_gp(x)`, `share_mo(x)[2]`."""
        return tuple(
            (f"{one.name}_{self.name}{f'[{penalty.simplex[k]}]' if one.share else penalty.suffix}", one)
            for penalty in self.penalties
            for k, one in enumerate(penalty.hyperparameters)
        )

    def parameters_by(self, factor: str) -> tuple[tuple[str, Hyperparameter], ...]:
        """The same of a term that varies by a factor: `sd_g[s(x)]`, `cor_g[ar1(t)]`."""
        return tuple(
            (f"{one.name}_{factor}[{self.name}{penalty.suffix}]", one)
            for penalty in self.penalties
            for one in penalty.hyperparameters
        )

    @property
    def simplex(self) -> tuple[str, ...]:
        """Labels of the columns among which the term's one coefficient is shared out; empty for other terms."""
        return self.penalties[0].simplex

    def precision(self) -> tuple[np.ndarray, np.ndarray]:
        """How all penalised coefficients follow all hyperparameters (k, r, 4), and their widths (k,)."""
        found, row, column = np.zeros((len(self.places), len(self.parameters), NUMBERS)), 0, 0
        for penalty in self.penalties:
            k, r = penalty.follows.shape[:2]
            found[row : row + k, column : column + r] = penalty.follows
            row, column = row + k, column + r
        return found, np.concatenate([penalty.widths for penalty in self.penalties])


def structures_of(
    specs: Mapping[str, Any],
    parts: Sequence[tuple[str, str]],
    coefficients: Sequence[tuple[str, str]],
    called: Iterable[str],
) -> tuple[Structure, ...]:
    """The structured terms of the common parts of a design.

    Parameters
    ----------
    specs : formulaic's specifications after they have met data, by the name of the part.
    parts : the linear predictor and the part's name, of each.
    coefficients : the linear predictor and the column of each coefficient.
    called : names of structured terms.

    Raises
    ------
    FormulaError : for a structured term within a product or another call.
    """
    place, names, found = {pair: k for k, pair in enumerate(coefficients)}, set(called), []
    for predictor, part in parts:
        states = {_same(text): state for text, state in specs[part].transform_state.items() if PENALTIES in state}
        for entry in specs[part].structure:
            factors = entry.term.factors
            computed = [str(factor.expr) for factor in factors if factor.eval_method is factor.EvalMethod.PYTHON]
            own = [text for text in computed if _calls(text) & names]
            if not own:
                continue
            state = states.get(_same(own[0]))
            if state is None:
                raise FormulaError(f"'{own[0]}' changes the columns of a structured term; write that term by itself.")
            if len(factors) > 1:
                product = ":".join(str(factor.expr) for factor in factors)
                advice = (
                    f"write {own[0][:-1]}, by=...)"
                    if own[0].startswith(("s(", "mo("))
                    else "it is a term by itself, and a curve s(x) may have by=..."
                )
                raise FormulaError(f"'{own[0]}' stands in the product '{product}': {advice}.")
            mine = [place[predictor, str(name)] for name in entry.columns]
            penalties = tuple(map(Penalty.from_state, state[PENALTIES]))
            count = sum(len(penalty.widths) for penalty in penalties)
            name = f"{predictor}_{own[0]}" if predictor else own[0]
            null, places = tuple(mine[: len(mine) - count]), tuple(mine[len(mine) - count :])
            found.append(Structure(name, predictor, places, null, penalties))
    return tuple(sorted(found, key=lambda structure: structure.places[0]))


def _same(text: str) -> str:
    """An expression without the freedom of its spelling."""
    tree, names = parse_expression(text)
    return restored_names(ast.unparse(tree), names)


def _calls(text: str) -> set[str]:
    """Names of all functions that an expression calls."""
    tree, _ = parse_expression(text)
    called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {function.id for function in called if isinstance(function, ast.Name)}
