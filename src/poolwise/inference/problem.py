"""A formula on a table, read and reduced once; each width of a prior is then one refit. For pages and notebooks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.density.layout import ParameterLayout
from poolwise.density.priors import ModelPriors, is_intercept
from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.families import family_of
from poolwise.formula import Formula, parse
from poolwise.formula.scan import pieces
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.inference.prepare import prepare
from poolwise.inference.unpooled import completely_pooled, not_pooled
from poolwise.priors import CoefficientPrior, Default, ScalePrior
from poolwise.samplers.settings import sampler_settings
from poolwise.sources import Source, as_source
from poolwise.support.errors import FormulaError, PriorError, suggest
from poolwise.support.progress import silent

if TYPE_CHECKING:
    import pandas as pd

SEED = 1
_MOST_COLUMNS = 2_000  # of one term
LIVE, KEPT = 250, 1000  # draws of each of four chains: while a slider moves, and of what is kept


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What a formula makes of a table.

    Attributes
    ----------
    model : with its default priors.
    rows : encoded, None where cells have taken their place.
    plain : the formula without its group terms, where complete and no pooling can be shown beside; else None.
    frame, source : the table, None where there are no rows at hand.
    """

    model: Model
    rows: Rows | None
    plain: Formula | None
    frame: pd.DataFrame | None
    source: Source | None

    @property
    def factor(self) -> Factor | None:
        """The grouping factor that charts and tables are by: the first one of the mean."""
        return next((one for one in self.model.design.factors if one.of_mean), None)

    @property
    def cheap(self) -> bool:
        """Whether regressions without pooling are exact and take milliseconds."""
        return not self.model.sampled

    @property
    def rows_in_one_cell(self) -> Rows | None:
        """The rows of the regression that knows of no groups."""
        return None if self.rows is None else replace(self.rows, codes=np.zeros_like(self.rows.codes))

    def widened(self, widths: Mapping[str, float]) -> Model:
        """The model with priors so many times as wide, each by its own name.

        Raises
        ------
        PriorError : for a name that no prior with a width has.
        """
        priors, given = self.model.priors, dict(self.model.given)
        known = priors_by_name(priors)
        for name, times in widths.items():
            if name not in known:
                raise PriorError(f"No prior of this model is moved by '{name}'. {suggest(name, known)}")
            if times == 1.0:
                continue
            priors = priors.widened(name, times)
            above = _names_above(priors.layout, name)
            before = next((given[one] for one in above if one in given), Default())
            if above[0] != name:  # would come before the new one
                given.pop(above[0], None)
            given[name] = Default(before.times * times) if isinstance(before, Default) else priors_by_name(priors)[name]
        return replace(self.model, priors=priors, given=given)


def pose(
    formula: str | list[str],
    family: str,
    frame: pd.DataFrame,
    rows: Source | None = None,
    *,
    tables: Mapping[str, Any] | None = None,
    threads: int,
) -> Problem:
    """Read a formula and reduce the rows.

    Parameters
    ----------
    frame : the table, or the first of its rows.
    rows : all of them, where the table is only the first.
    tables : as in `pw.fit`.

    Raises
    ------
    FormulaError, DataError, PriorError : as `pw.fit` does.
    """
    if not formula:
        raise FormulaError("There is no formula: write the outcome, '~', and what explains it.")
    source = as_source(frame) if rows is None else rows
    _check_width(parse(formula, None, source.names, tables=tables), frame)
    model, encoded = prepare(
        formula,
        source,
        family=family_of(family),
        priors=None,
        tables=tables,
        missing="drop",
        threads=threads,
        progress=silent,
    )
    return Problem(model, encoded, without_groups(model), None if encoded is None else frame, source)


def without_groups(model: Model) -> Formula | None:
    """The formula of a model without its group terms; None where complete and no pooling cannot stand beside it."""
    factors, structures = model.design.factors, model.design.structures
    alone = len(factors) == 1 and not structures and factors[0].coupling is None and not factors[0].structures
    alone = alone and set(factors[0].effects) <= set(model.design.coefficients)  # else it is another regression
    parsed = model.design.formula
    if not alone or set(factors[0].predictors) != {""} or parsed.further or parsed.fixed or parsed.weights:
        return None
    known = [f"cs({term})" for term in parsed.specific] + [f"offset({text})" for text in parsed.offsets]
    return parse(f"{parsed.left} ~ {' + '.join([parsed.common, *known])}", parsed.functions)


def _names_above(layout: ParameterLayout, name: str) -> tuple[str, ...]:
    """The names under which a prior can have been set, the most special first."""
    for own, other, (factor, _) in zip(layout.sd_names, layout.other_names, layout.effects, strict=True):
        if own == name:
            return (other, own, "sd") if factor in layout.terms else (own, f"sd_{factor}", "sd")
    if name.startswith("sd_"):
        return name, "sd"
    return (name,) if is_intercept(name) else (name, "slopes")


def priors_by_name(priors: ModelPriors) -> dict[str, CoefficientPrior | ScalePrior]:
    """Priors that have a width, by the name under which they are set."""
    found: dict[str, CoefficientPrior | ScalePrior] = {}
    for name, prior in zip(priors.names_to_set, priors.coefficients, strict=True):
        if name is not None:
            found[name] = prior
    for k, (name, sd) in enumerate(zip(priors.layout.sd_names, priors.sd, strict=True)):
        if k not in priors.layout.tied:
            found[name] = sd
    found |= {name: prior for name, prior in priors.smoothing.items() if name.startswith("sd_")}
    return found | dict(priors.dispersions)


def _check_width(formula: Formula, frame: pd.DataFrame) -> None:
    """Refuse terms that would have far more columns than a page can wait for.

    Raises
    ------
    FormulaError : with the term.
    """
    texts = [text for _, one in formula.predictors for text in (one.common, *(bar.effects for bar in one.bars))]
    for term in (term for text in texts for term in pieces(text, "+")):
        count = 1
        for name in map(str, frame.columns):
            word = rf"(?<![\w.]){re.escape(name)}(?![\w.])"
            if re.search(word, term):
                coded = frame[name].dtype.kind not in "iufb" or re.search(rf"(C|factor)\s*\(\s*`?{word}", term)
                count *= max(1, int(frame[name].nunique())) if coded else 1
        if count > _MOST_COLUMNS:
            raise FormulaError(
                f"'{term.strip()}' makes about {count:,} columns; {_MOST_COLUMNS:,} are the most here. Labels with "
                "many values are groups: (1 | label)."
            )


def fitted(model: Model, draws: int, *, threads: int) -> Posterior:
    """Draw from the posterior of a model."""
    return infer(model, sampler_settings(draws, 4, SEED, "auto", silent), threads=threads)


@dataclass(frozen=True, slots=True, eq=False)
class PlainPoolings:
    """The regressions of complete and of no pooling beside a problem, which most sliders leave as they were.

    Attributes
    ----------
    known : by number of draws the last ones, after the widths that they are of.
    """

    problem: Problem
    known: dict[int, tuple[dict[str, float], dict[Pooling, Posterior]]] = field(default_factory=dict)

    def of(self, widths: Mapping[str, float], draws: int, *, threads: int) -> dict[Pooling, Posterior]:
        """The posteriors with such widths of priors; nothing where they cannot stand beside the model."""
        found = self.as_known(widths, draws)
        if found is None:
            found = self._fitted(widths, draws, threads)
            self.known[draws] = self._own(widths), found
        return dict(found)

    def as_known(self, widths: Mapping[str, float], draws: int) -> dict[Pooling, Posterior] | None:
        """The same where they were asked for before."""
        known = self.known.get(draws)
        return dict(known[1]) if known is not None and known[0] == self._own(widths) else None

    def _own(self, widths: Mapping[str, float]) -> dict[str, float]:
        """The widths of priors that regressions without groups have too."""
        of_groups = self.problem.model.priors.layout.sd_names
        return {name: times for name, times in widths.items() if times != 1.0 and name not in of_groups}

    def _fitted(self, widths: Mapping[str, float], draws: int, threads: int) -> dict[Pooling, Posterior]:
        problem, plain = self.problem, self.problem.plain
        if plain is None:
            return {}
        model = problem.widened(self._own(widths))
        models = {
            Pooling.COMPLETE: completely_pooled(model, plain, problem.rows_in_one_cell),
            Pooling.SEPARATE: not_pooled(model, plain, problem.rows),
        }
        return {kind: fitted(one, draws, threads=threads) for kind, one in models.items()}
