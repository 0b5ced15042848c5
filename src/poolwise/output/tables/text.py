"""A fit on one screen: plain text for terminals, HTML for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from poolwise.inference.posterior import Pooling, Posterior
from poolwise.output.tables.summary import summary
from poolwise.support.digits import in_text

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 12


def headline(posterior: Posterior) -> str:
    """What was fitted to what."""
    model = posterior.model
    rows = f"{model.statistics.rows:,} rows"
    if model.data.dropped:
        rows += f" ({model.data.dropped:,} dropped for missing values)"
    groups = "".join(f", {len(factor.levels):,} groups in {factor.name}" for factor in model.design.factors)
    link = "" if not model.sampled else f", {model.family.name} ({model.link.name} link)"
    kind = model.pooling.value.capitalize()
    if model.design.structures and not model.design.factors:
        kind = "Structured regression"
    return f"{kind}: {model.design.formula.text}\n{rows}{groups}{link}"


def outcome_line(posterior: Posterior) -> str:
    """Whether the draws can be trusted, and by what right."""
    certificate = posterior.certificate
    drawn = f"{posterior.chains} x {posterior.draws:,} draws by {certificate.sampler} in {posterior.seconds:.3f} s"
    return f"{'OK' if certificate.passed else 'NOT CERTIFIED'}: {drawn}. {certificate.advice}"


def as_text(posterior: Posterior, notes: list[str]) -> str:
    """Headline, table of the population, outcome, notes."""
    table, more = _shown(posterior)
    body = in_text(table).to_string()
    said = [f"Note: {note}" for note in notes]
    return "\n".join([headline(posterior), "", body, *([more] if more else []), "", outcome_line(posterior), *said])


def as_html(posterior: Posterior, notes: list[str]) -> str:
    """The same for notebooks."""
    table, more = _shown(posterior)
    body = in_text(table).to_html(border=0)
    lines = "<br>".join(escape(line) for line in headline(posterior).splitlines())
    said = "".join(f"<p>Note: {escape(note)}</p>" for note in notes)
    return f"<div><p>{lines}</p>{body}<p>{escape(more)}</p><p>{escape(outcome_line(posterior))}</p>{said}</div>"


def _shown(posterior: Posterior) -> tuple[pd.DataFrame, str]:
    table = summary(posterior, diagnostics=False)
    if posterior.model.pooling is Pooling.SEPARATE and len(table) > _ROWS:
        return table.head(_ROWS), f"... {len(table) - _ROWS} more; see fit.group_coefficients()"
    return table, ""


class PriorWords(dict[str, str]):
    """Priors in words; prints one to a line."""

    def __repr__(self) -> str:
        return "\n".join(f"{name} ~ {words}" for name, words in self.items())
