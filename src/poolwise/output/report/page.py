"""What stands on the page: gathered from fits, then filled into the template."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.evaluate.explain import explain
from poolwise.evaluate.loo.elpd import LeaveOut
from poolwise.evaluate.posterior_checks import Checks, statistics_in_text
from poolwise.evaluate.shrinkage import shrinkage
from poolwise.inference.fitted_rows import Shown
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.output.plots import theme
from poolwise.output.plots.chooser import chooser
from poolwise.output.plots.export import library, script_json
from poolwise.output.plots.ppc import ppc
from poolwise.output.report import words
from poolwise.output.report.forest import forest
from poolwise.output.report.location import located
from poolwise.output.tables.summary import group_coefficients, summary
from poolwise.output.tables.text import outcome_line
from poolwise.support.atomic_write import whole_file
from poolwise.support.digits import in_text
from poolwise.support.naming import free_name
from poolwise.support.plain_text import plain

if TYPE_CHECKING:
    import pandas as pd

MOST_GROUPS = 200  # that can be chosen among; of more, the largest
_MANY_LEVELS = 500  # of several factors together
_MOST_OF_A_KIND = 40  # lines of the table of the population's parameters


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """A chart and what it shows, in words for those who cannot see it."""

    name: str
    title: str
    alt: str
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The models that a fit is compared with.

    Attributes
    ----------
    table, verdict : of the comparison.
    shrinkage : chart of what pooling moved, None where it cannot be drawn.
    separate : the regressions without pooling, drawn beside the pooled lines.
    """

    table: pd.DataFrame
    verdict: str
    shrinkage: Any
    separate: Posterior


def write_report(
    path: Path,
    posterior: Posterior,
    rows: Shown | None,
    notes: list[str],
    checks: Checks | None,
    left_out: list[LeaveOut],
    compared: Compared | None = None,
    question: str | None = None,
    title: str | None = None,
) -> Path:
    """Write one self-contained page.

    Parameters
    ----------
    rows, checks, left_out : what is known of the rows; nothing for a fit without rows.
    question, title : in the words of the author; by default made from the formula.

    Raises
    ------
    FileError : when the path cannot be written; nothing half-written remains.
    """
    from jinja2 import Environment

    with whole_file(path) as temporary:
        chart_list, groups = _charts(posterior, rows, checks, compared)
        population, shown_coefficients = _population(posterior)
        folder = files("poolwise.output.report")
        environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
        page = template.render(
            title=title or posterior.model.design.formula.text,
            question=question or words.question(posterior),
            answers=words.answers(posterior),
            model=words.model_in_words(posterior),
            formula=words.formula_lines(posterior),
            priors=posterior.model.priors.words(),
            outcome=outcome_line(posterior),
            passed=posterior.certificate.passed,
            hierarchical=posterior.model.pooling is Pooling.PARTIAL,
            coefficients=_table(population),
            shown_coefficients=shown_coefficients,
            compared=compared,
            comparison=None if compared is None else _table(compared.table.reset_index()),
            charts={chart.name: chart for chart in chart_list},
            groups=groups,
            shown_groups=_how_many(posterior, groups),
            factor=posterior.model.design.factors[0].name if posterior.model.design.factors else None,
            group_table=_group_table(posterior),
            checks=checks,
            check_table=None if checks is None else _check_table(checks),
            left_out=left_out,
            limits=words.limits(posterior, notes),
            code=words.reproduction(posterior),
            style=(folder / "page.css").read_text(encoding="utf-8"),
            script=(folder / "page.js").read_text(encoding="utf-8"),
            library=library(),
            data=script_json({"charts": {chart.name: chart.spec for chart in chart_list}, "groups": groups}),
        )
        temporary.write_text(page, encoding="utf-8")
    return path


def _charts(
    posterior: Posterior, rows: Shown | None, checks: Checks | None, compared: Compared | None
) -> tuple[list[Chart], dict[str, str]]:
    """Charts of the page, and an explanation of each group that can be chosen."""
    design, found = posterior.model.design, []
    groups: dict[str, str] = {}
    if design.factors:
        factor, shown = _first_factor(posterior)
        groups = _explanations(posterior, factor, shown, None if rows is None else rows.rows)
        first = next(iter(groups))
        if rows is not None:
            colours = {Pooling.PARTIAL: theme.PARTIAL, Pooling.SEPARATE: theme.SEPARATE}
            several = [posterior] if compared is None else [compared.separate, posterior]
            fits = {one.model.pooling.value: (one, colours[one.model.pooling]) for one in several}
            chart = chooser(fits, rows, factor, shown, first, width="container")
            alt = f"Rows of one group of {factor.name} with its regression line and 90% band"
            if chart is not None:
                found.append(Chart("chooser", f"One group of {factor.name}", alt, chart.to_dict(validate=False)))
        for k, effect in enumerate(dict.fromkeys(group_coefficients(posterior, factor, shown[:1])["effect"])):
            chart = forest(posterior, factor, shown, effect, first)
            what = _in_words(posterior, factor, effect)
            alt = f"Mean and 90% interval of {what} for {len(shown)} groups of {factor.name}, in order"
            title = f"{what[0].upper()}{what[1:]} by {factor.name}"
            found.append(Chart(f"forest-{k}", title, alt, chart.to_dict(validate=False)))
    if compared is not None and compared.shrinkage is not None:
        alt = "An arrow for each group from its separate to its partially pooled coefficients"
        found.append(Chart("shrinkage", "What pooling moved", alt, compared.shrinkage.to_dict(validate=False)))
    if checks is not None:
        alt = (
            f"How often each {checks.outcome} was observed beside replicated data"
            if checks.whole or checks.labels
            else f"Density of the observed {checks.outcome} over densities of replicated data"
        )
        found.append(
            Chart("ppc", "Observed and replicated", alt, ppc(checks, width="container").to_dict(validate=False))
        )
    return found, groups


def _how_many(posterior: Posterior, groups: dict[str, str]) -> str:
    """How many of how many groups the page shows, where these are not all; and on which scale."""
    model, said = posterior.model, ""
    if model.design.factors and len(groups) < (total := len(model.design.factors[0].levels)):
        said = f"The {len(groups):,} of {total:,} groups with most rows are shown. "
    if len(model.design.factors) > 1:
        said += f"Of {len(model.design.factors)} grouping factors the first is shown. "
    if model.link.name != "identity":
        said += f"Coefficients are on the scale of the {model.link.name} link; dots and lines on that of the outcome."
    elif model.family.located != "mean of {}":
        what = located(model).format(model.design.response)
        said += f"Coefficients are those of the {what}; dots and lines are on the scale of the outcome."
    return said


def _first_factor(posterior: Posterior) -> tuple[Factor, np.ndarray]:
    """The first grouping factor, and positions of its groups that are shown, whose labels are plain texts that differ.

    Charts and the page find a group by its label.
    """
    factor = posterior.model.design.factors[0]
    counts = np.bincount(factor.codes, posterior.model.statistics.counts, len(factor.levels))
    shown = np.sort(np.argsort(-counts, kind="stable")[:MOST_GROUPS])
    levels, taken = factor.levels.astype(object), set[str]()
    for place in shown:
        levels[place] = free_name(plain(str(levels[place])), taken)
        taken.add(levels[place])
    return replace(factor, levels=levels), shown


def _explanations(posterior: Posterior, factor: Factor, shown: np.ndarray, rows: Rows | None) -> dict[str, str]:
    labels = factor.levels[shown]
    if posterior.model.pooling is not Pooling.PARTIAL:
        return {label: f"{label}: a regression of its own." for label in labels}
    several = len(set(factor.predictors)) > 1  # formulas: no one scale to explain on
    unscaled = posterior.model.sampled and (rows is None or several)
    apart = factor.coupling is not None or factor.tied.any()
    if unscaled or apart or _expensive(posterior.model.design.factors):
        return _shares(posterior, factor, shown)
    return {
        label: explain(posterior, factor, int(group), "rows", {}, rows).text
        for label, group in zip(labels, shown, strict=True)
    }


def _expensive(factors: tuple[Factor, ...]) -> bool:
    """Whether how many more rows would tip each group's balance is too much to ask of all its factors together."""
    return len(factors) > 1 and sum(len(factor.levels) for factor in factors) > _MANY_LEVELS


def _in_words(posterior: Posterior, factor: Factor, effect: str) -> str:
    """An effect of a factor: of the mean by its name, of another parameter or a category by what it moves."""
    of = dict(zip(factor.effects, factor.predictors, strict=True)).get(effect, "")
    return words.varying(posterior, effect, of) if of else effect


def _shares(posterior: Posterior, factor: Factor, shown: np.ndarray) -> dict[str, str]:
    """How much of each group's first effect comes from its own rows; of effects in structured terms nothing."""
    rows = np.bincount(factor.codes, posterior.model.statistics.counts, len(factor.levels))[shown].astype(int)
    names = factor.levels[shown]
    counted = [f"{name}: {count} row{'' if count == 1 else 's'}" for name, count in zip(names, rows, strict=True)]
    if factor.tied.all():
        return {name: f"{said}." for name, said in zip(names, counted, strict=True)}
    first = int(np.argmin(factor.tied))
    rest = "the rest is drawn from the pool"
    if factor.coupling is not None:
        rest = "or that of those around it, the rest is the prior"
    own = 1.0 - shrinkage(posterior, factor)[shown, first]
    what = _in_words(posterior, factor, factor.effects[first])
    return {
        name: f"{said}; {share:.0%} of its {what} is its own, {rest}."
        for name, said, share in zip(names, counted, own, strict=True)
    }


def _population(posterior: Posterior) -> tuple[pd.DataFrame, str]:
    """The population's parameters, so many of each kind at most (`beta`, `sd_g`, ...), and how many are left out."""
    table = summary(posterior, diagnostics=posterior.model.pooling is not Pooling.SEPARATE).reset_index()
    kinds = table["parameter"].str.partition("[")[0]
    shown = table[table.groupby(kinds).cumcount() < _MOST_OF_A_KIND]
    if len(shown) == len(table):
        return table, ""
    return shown, f"{len(shown):,} of {len(table):,} lines are shown, the first of each kind; fit.summary() has all."


def _group_table(posterior: Posterior) -> dict[str, Any] | None:
    if not posterior.model.design.factors:
        return None
    return _table(group_coefficients(posterior, *_first_factor(posterior)))


def _check_table(checks: Checks) -> dict[str, Any]:
    return _table(checks.table.reset_index(), statistics_in_text(checks.table).reset_index())


def _table(frame: pd.DataFrame, shown: pd.DataFrame | None = None) -> dict[str, Any]:
    """Heads and cells of a table, as text; `shown` has its numbers as text already."""

    def cell(value: object, text: object) -> str:
        if isinstance(value, (bool, np.bool_)):
            return "yes" if value else ""
        return "–" if isinstance(value, float) and math.isnan(value) else str(text)

    texts = in_text(frame) if shown is None else shown
    lines = zip(frame.itertuples(index=False), texts.itertuples(index=False), strict=True)
    return {
        "heads": [str(name).replace("_", " ") for name in frame.columns],
        "rows": [[cell(value, text) for value, text in zip(*both, strict=True)] for both in lines],
    }
