"""A formula on a table, read and reduced once; each width of a prior is then one refit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.families import family_of
from poolwise.formula import Formula, parse
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.inference.prepare import prepare
from poolwise.inference.unpooled import completely_pooled, not_pooled
from poolwise.priors import Default
from poolwise.samplers.settings import sampler_settings
from poolwise.sources import Source, as_source
from poolwise.support.errors import FormulaError
from poolwise.support.progress import silent

if TYPE_CHECKING:
    import pandas as pd

SEED = 1
NAMES = MappingProxyType(
    {Pooling.COMPLETE: "complete", Pooling.SEPARATE: "separate", Pooling.PARTIAL: "partial"}
)  # as the page's charts have them
LIVE, KEPT = 250, 1000  # draws of each of four chains: while a slider moves, and of what is kept


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What a formula makes of a table.

    Attributes
    ----------
    model : with its default priors.
    rows : encoded, None where cells have taken their place.
    plain : the formula without its group terms, where complete and no pooling can be shown beside; else None.
    frame, source : the table.
    """

    model: Model
    rows: Rows | None
    plain: Formula | None
    frame: pd.DataFrame
    source: Source

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
        """The model with priors so many times as wide."""
        priors, given = self.model.priors, {name: Default(times) for name, times in widths.items() if times != 1.0}
        for name, prior in given.items():
            priors = priors.widened(name, prior.times)
        return replace(self.model, priors=priors, given=given)


def pose(formula: str | list[str], family: str, frame: pd.DataFrame, *, threads: int) -> Problem:
    """Read a formula and reduce the rows.

    Raises
    ------
    FormulaError, DataError, PriorError : as `pw.fit` does.
    """
    if not formula:
        raise FormulaError("There is no formula: write the outcome, '~', and what explains it.")
    source = as_source(frame)
    model, rows = prepare(
        formula, source, family=family_of(family), priors=None, missing="drop", threads=threads, progress=silent
    )
    return Problem(model, rows, _plain(formula, model, source), frame, source)


def _plain(formula: str | list[str], model: Model, source: Source) -> Formula | None:
    factors, structures = model.design.factors, model.design.structures
    alone = len(factors) == 1 and not structures and factors[0].coupling is None and not factors[0].structures
    parsed = parse(formula, None, source.names)
    if not alone or set(factors[0].predictors) != {""} or parsed.further or parsed.fixed or parsed.weights:
        return None
    known = [f"cs({term})" for term in parsed.specific] + [f"offset({text})" for text in parsed.offsets]
    return parse(f"{parsed.left} ~ {' + '.join([parsed.common, *known])}", None, source.names)


def fitted(model: Model, draws: int, *, threads: int) -> Posterior:
    """Draw from the posterior of a model."""
    return infer(model, sampler_settings(draws, 4, SEED, "auto", silent), threads=threads)


def plain_poolings(
    problem: Problem, widths: Mapping[str, float], draws: int, *, threads: int
) -> dict[Pooling, Posterior]:
    """The posteriors of complete and of no pooling; nothing where they cannot stand beside the model."""
    if problem.plain is None:
        return {}
    model = problem.widened(widths)
    models = {
        Pooling.COMPLETE: completely_pooled(model, problem.plain, problem.rows_in_one_cell),
        Pooling.SEPARATE: not_pooled(model, problem.plain, problem.rows),
    }
    return {kind: fitted(one, draws, threads=threads) for kind, one in models.items()}


def widths_without_groups(problem: Problem, widths: Mapping[str, float]) -> dict[str, float]:
    """Those of priors that regressions without pooling have too."""
    of_groups = {f"sd_{factor}[{effect}]" for factor, effect in problem.model.priors.layout.effects}
    return {name: times for name, times in widths.items() if name not in of_groups}
