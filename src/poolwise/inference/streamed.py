"""From a formula and a source of very many rows to a posterior, without the rows in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poolwise.families import Family
from poolwise.formula import Functions
from poolwise.inference.first_scan import learn
from poolwise.inference.posterior import Posterior
from poolwise.inference.prepare import rows_of, warn_of_dropped, without_rows
from poolwise.inference.scanned import infer_scanned
from poolwise.samplers import SamplerSettings
from poolwise.sources.relation import Relation
from poolwise.sources.source import Source
from poolwise.statistics import Statistics
from poolwise.statistics.counted import obstacle
from poolwise.statistics.model_formula import ModelFormula, model_formula
from poolwise.statistics.queries import holds_numbers
from poolwise.statistics.routes import LARGE, looks_continuous
from poolwise.statistics.stream import column_terms, open_stream
from poolwise.support.errors import PoolwiseError

if TYPE_CHECKING:
    from poolwise.priors import Prior


@dataclass(frozen=True, slots=True)
class Declined:
    """That many rows are not scanned.

    Attributes
    ----------
    why : in words.
    """

    why: str


def posterior_by_scans(
    formula: str | Sequence[str],
    source: Source | None,
    *,
    priors: Mapping[str, Prior],
    family: Family,
    link: str | None,
    weights: str | None,
    functions: Functions | None,
    tables: Mapping[str, Any] | None,
    missing: str,
    settings: SamplerSettings,
    threads: int,
) -> Posterior | Declined | None:
    """The posterior, or why rows are not scanned; None where they are few, can be counted, or need not be kept at all.

    It is made for more than a million rows of a file, a database or another engine, a continuous predictor among them,
    and a family that is sampled, observed exactly, without weights, whose other parameters all rows share.
    """
    if not isinstance(source, Relation):
        return None
    read = model_formula(formula, source, family, link, functions=functions, used=[], tables=tables)
    if read.closed:
        return None
    try:
        if source.count() <= LARGE:
            return None
        if why := _obstacle(read, weights, settings):
            return Declined(why)
        return _scanned(read, source, priors, link, missing, settings, threads)
    except PoolwiseError:
        raise
    except Exception as error:
        said = source.engine.explain(error)
        if said is None:
            raise
        raise said from error


def _scanned(
    read: ModelFormula,
    source: Relation,
    priors: Mapping[str, Prior],
    link: str | None,
    missing: str,
    settings: SamplerSettings,
    threads: int,
) -> Posterior | Declined | None:
    needed = read.needed(None)
    if not obstacle(needed) and not looks_continuous(needed, source, read.family):
        return None
    numeric = holds_numbers(needed, source)
    if not all(numeric[name] for name in (*needed.outcome, *needed.trials)):
        return Declined("outcomes are not numbers")
    if terms := column_terms(needed):
        return Declined(f"'{terms[0]}' needs whole columns")
    stream = open_stream(needed, source, None, missing, settings.progress)
    if any(structure.simplex for structure in stream.design.structures):
        return Declined("a term is monotonic")
    learnt = learn(stream, settings, threads, whole=read.family.whole)
    reading = f"{source.words}: scanned in batches from {source.engine.name}; rows stayed there"
    data = Statistics(stream.design, stream.encoding, learnt.products, stream.dropped, reading)
    if data.without_empty_columns() is not data:
        return Declined("a column is zero in every row")
    outcomes = rows_of(data, read.family, learnt.outcomes)
    model = without_rows(data, outcomes, priors, read.family, read.family.link(link))
    found = infer_scanned(model, stream, learnt.some, settings, threads=threads)
    if found is None:
        return Declined("polynomials do not take the place of these rows")
    warn_of_dropped(data)
    return found


def _obstacle(read: ModelFormula, weights: str | None, settings: SamplerSettings) -> str:
    """Why rows cannot be scanned, in words; nothing where they are observed exactly, count as one each, and have a
    regression of their mean alone, to which mean and spread of outcomes tell the scale."""
    formula, family = read.formula, read.family
    further = [name for name, one in formula.further if not one.is_intercept] + [name for name, _ in formula.fixed]
    own = family.labels or family.signed or family.zeros_apart or family.summary is not None
    fixed = any(each.fixed is not None or each.start is not None or each.known for each in family.parameters)
    reasons = {
        "NUTS needs them": settings.sampler == "nuts",
        "rows have weights": weights is not None or bool(formula.weights),
        "outcomes are censored, truncated or measured with errors": bool(formula.additions),
        f"the family '{family.name}' is not made for it": bool(own or fixed),
        f"'{further[0] if further else ''}' has a formula or a value": bool(further),
    }
    return next((why for why, holds in reasons.items() if holds), "")
