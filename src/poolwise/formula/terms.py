"""What a formula says, as frozen records."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One group term, `(effects | factor)` or `(effects || factor)`.

    Attributes
    ----------
    effects : the left side, itself an ordinary formula such as `1 + floor`.
    keys : grouping columns whose combinations are the levels of the factor; one for `(1 | a)`, two for `(1 | a:b)`.
    correlated : True for `|` (effects of a level are correlated), False for `||`.
    shared : the name in `(effects | name | factor)`: bars of several formulas with one name have one covariance.
    structure : the term as written where levels are coupled, `icar(area, 'borders')`; "" where they are independent.
    """

    effects: str
    keys: tuple[str, ...]
    correlated: bool
    shared: str = ""
    structure: str = ""

    @property
    def factor(self) -> str:
        """Name of the grouping factor, `a` or `a:b`; that of coupled levels is the term."""
        return self.structure or ":".join(self.keys)

    def __str__(self) -> str:
        if self.structure and self.effects == "1":
            return self.structure
        bar = f"| {self.shared} |" if self.shared else "|" if self.correlated else "||"
        return f"({self.effects} {bar} {self.factor})"


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula.

    Attributes
    ----------
    text : as the user wrote it.
    response : the left of `~`, for instance `log_radon` or `log(radon)`.
    common : the right side without its bars and offsets: the terms that all groups share.
    bars : the group terms, in order; `(1 | a/b)` stands here as `(1 | a)` and `(1 | a:b)`.
    offsets : what stands inside each `offset(...)`: known parts of the linear predictor.
    trials : for successes among trials, the expression for the number of trials.
    further : formulas of other parameters than the mean, by their names: `sigma ~ 1 + (1 | county)`.
    weights : the column of the rows' weights where the formula names it: `y | weights(w) ~ x`.
    functions : of the user, by the names that the formula calls them by.
    additions : what else is known of the outcome, by name: "status" and "upper" of `cens(status, upper)`, "lb" and "ub"
        of `trunc(lb, ub)`, "choice" of `dec(choice)`; each an expression.
    fixed : parameters that are not estimated, with their values: `quantile = 0.9`.
    specific : the terms in `cs(...)`, whose effects differ by category.
    tables : of the user, by the names that structured terms refer to them by: neighbours, covariances, pedigrees.
    known_errors : whether the weights are standard errors of the outcomes instead, `y | se(s) ~ x`.
    residual : whether there is a residual beside these, `y | se(s, sigma=True) ~ x`.
    constant : whether the common part may have a constant. Where not, categories are coded as beside one, and its
        column is left out.
    """

    text: str
    response: str
    common: str
    bars: tuple[Bar, ...]
    offsets: tuple[str, ...] = ()
    trials: str | None = None
    further: tuple[tuple[str, Formula], ...] = ()
    weights: str | None = None
    functions: Functions = field(default_factory=dict, compare=False, repr=False)
    additions: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, float], ...] = ()
    specific: tuple[str, ...] = ()
    constant: bool = True
    known_errors: bool = False
    residual: bool = False
    tables: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        known = [f"offset({offset})" for offset in self.offsets]
        specific = [f"cs({term})" for term in self.specific]
        mine = " + ".join([f"{self.left} ~ {self.common}", *specific, *map(str, self.bars), *known])
        fixed = [f"{name} = {value:g}" for name, value in self.fixed]
        return "; ".join([mine, *(str(formula) for _, formula in self.further), *fixed])

    @property
    def left(self) -> str:
        """What stands on the left of `~`, weights left out."""
        known = dict(self.additions)
        calls = {
            "trials": [] if self.trials is None else [self.trials],
            "cens": [known[name] for name in ("status", "upper") if name in known],
            "trunc": [f"{name}={known[name]}" for name in ("lb", "ub") if name in known],
            "dec": [known[name] for name in ("choice",) if name in known],
            "se": [str(self.weights), *(["sigma=True"] if self.residual else [])] if self.known_errors else [],
        }
        added = [f"{name}({', '.join(arguments)})" for name, arguments in calls.items() if arguments]
        return f"{self.response} | {' + '.join(added)}" if added else self.response

    @property
    def fixed_trials(self) -> float | None:
        """The number of trials where it is a number and no column: one in words, `inf`, is a column."""
        plain = self.trials is not None and re.fullmatch(r"[-+.\deE]+", self.trials.strip())
        try:
            value = float(str(self.trials)) if plain else math.nan
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    @property
    def predictors(self) -> tuple[tuple[str, Formula], ...]:
        """The formula of each linear predictor by the parameter's name; that of the mean, named "", comes first."""
        return (("", self), *self.further)

    @property
    def is_intercept(self) -> bool:
        """Whether the right side is an intercept and nothing else."""
        return self.common == "1" and not (self.bars or self.offsets or self.specific)

    def with_intercepts(self, names: Sequence[str]) -> Formula:
        """This formula, with `name ~ 1` for each parameter that has no formula or value yet."""
        known = [name for name, _ in (*self.further, *self.fixed)]
        more = [(name, Formula(f"{name} ~ 1", name, "1", ())) for name in names if name not in known]
        return replace(self, further=(*self.further, *more)) if more else self

    def with_values(self, values: Mapping[str, float]) -> Formula:
        """This formula, with each parameter fixed at its value that has no formula or value yet."""
        known = [name for name, _ in (*self.further, *self.fixed)]
        more = [(name, float(value)) for name, value in values.items() if name not in known]
        return replace(self, fixed=(*self.fixed, *more)) if more else self

    @property
    def keys(self) -> tuple[str, ...]:
        """Every grouping column once, in the order of first mention."""
        return tuple(dict.fromkeys(key for _, each in self.predictors for bar in each.bars for key in bar.keys))
