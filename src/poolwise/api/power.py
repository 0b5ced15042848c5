"""`power` of a study before it is made."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import build, needed_columns
from poolwise.design.completion import completed
from poolwise.design.required_columns import Needed
from poolwise.evaluate.power import Plan, Power, in_words, scales_of, truth_of
from poolwise.evaluate.power import power as simulated_power
from poolwise.families import Family, family_of, of_categories
from poolwise.formula import Formula, parse
from poolwise.formula.parse import unquote
from poolwise.samplers.settings import check_count, check_interval, sampler_settings
from poolwise.sources.frames import as_table
from poolwise.statistics.model_formula import closed
from poolwise.support.errors import DataError, FormulaError, suggest
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import check_threads

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.priors import Prior


_MOST_ROWS = 10_000_000
_STUDIES = {True: 1_000, False: 100}  # by whether fits are in closed form


def power(
    formula: str | Sequence[str],
    design: Any,
    *,
    effects: Mapping[str, float],
    family: str | Family = "gaussian",
    link: str | None = None,
    sd: float | Mapping[str, float] = 0.0,
    sigma: float = 1.0,
    dispersions: Mapping[str, float] | None = None,
    categories: Sequence[str] | None = None,
    until: float | str | None = None,
    priors: Mapping[str, Prior] | None = None,
    weights: str | None = None,
    studies: int | None = None,
    interval: float = 0.9,
    draws: int = 250,
    seed: int | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> Power:
    """Simulate a study and fit it, many times: how precise would it be, and how often would it find an effect?

    Parameters
    ----------
    formula : of the fit to come, such as `"score ~ treatment + (1 | school)"`; its left side is a plain name, or
        successes among trials, `"passed | trials(pupils) ~ treatment"`, a time that may be censored,
        `"weeks | cens(status) ~ treatment"`, or a response time with a choice, `"rt | dec(choice) ~ treatment"`. A
        list has formulas of other parameters.
    design : the rows to come, without outcome: any eager frame; `balanced_design` makes simple ones.
    effects : true coefficients by name, on the scale of the link; the intercept of the mean is 0 unless given.
    family, link : of the outcome, as in `fit`.
    sd : true sds of group effects: one number for all, or by name, `{"sd_school": 0.4}`, `{"sd_school[x]": 0.1}`.
    sigma : true residual sd, of families that have one.
    dispersions : true values of the other parameters that all rows share, `{"shape": 2.0}`.
    categories : labels of the outcome, in their order, of families that have some.
    until : when a time is censored at the latest: a number, or the column that has one for each row.
    priors, weights : of the fits, as in `fit`.
    studies : how many to simulate; 1,000 by default, 100 of families that are sampled, which take longer to fit.
    interval : probability of the intervals that have to exclude zero.
    draws : of each of four chains of every fit.
    seed : same seed, same answer, whatever the number of threads.

    Raises
    ------
    DataError, FormulaError : for names that are not in the design, or numbers that make no sense.
    """
    started = time.perf_counter()
    settings = sampler_settings(draws, 4, seed, "auto", progress)
    workers = check_threads(threads)
    check_interval(interval)
    chosen = _with_categories(family_of(family), categories, link)
    # what a fit takes from the outcomes has its usual value before there are any
    usual = {each.name: each.typical for each in chosen.parameters if callable(each.fixed)}
    linked, parsed = chosen.link(link), completed(parse(formula), chosen).with_values(usual)
    normal = closed(parsed, chosen, linked)
    count = check_count("studies", _STUDIES[normal] if studies is None else studies, 2)
    needed = needed_columns(parsed, weights, linear=normal, labelled=chosen.labelled, labels=chosen.labels)
    if needed.weights is not None and not chosen.precise:
        raise DataError(f"Weights of the family '{chosen.name}' count rows: write these out instead.")
    frame = as_table(design).frame.to_pandas()
    end = _ends(parsed, until, frame)
    _check_simulated(needed)
    built, encoding, rows = build(
        needed, as_table(frame.assign(**_stand_ins(needed, chosen, len(frame)))), missing="error"
    )
    if built.structures:
        raise DataError(f"Studies with smooth terms, such as '{built.structures[0].name}', are not simulated.")
    truth = truth_of(built, effects, sd, sigma, chosen, dispersions or {})
    plan = Plan(built, encoding, rows, chosen, linked, priors or {}, end)
    found = simulated_power(plan, truth, settings, studies=count, interval=interval, threads=workers)
    words, seconds = in_words(built, len(rows.codes)), time.perf_counter() - started
    return Power(found, count, interval, words, seconds, scales_of(built, chosen, linked))


def _with_categories(family: Family, categories: Sequence[str] | None, link: str | None) -> Family:
    """The family of outcomes with these labels.

    Raises
    ------
    DataError : for labels that are missing, fewer than two or not distinct, and for families without any.
    """
    if family.of_labels is None:
        if categories is not None:
            raise DataError(f"Outcomes of family='{family.name}' are not categories: leave categories= out.")
        return family
    if categories is None:
        raise DataError("Which categories may the outcome have? Say categories=['low', 'middle', 'high'].")
    if isinstance(categories, str) or not isinstance(categories, (Sequence, np.ndarray)):
        raise DataError(f"categories must be a list of labels, not {categories!r}.")
    labels = tuple(map(str, categories))
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise DataError(f"categories must be at least two labels, each of them once, not {list(categories)}.")
    return of_categories(family, labels, link)


def _ends(formula: Formula, until: float | str | None, frame: pd.DataFrame) -> np.ndarray | None:
    """(n,) when the outcome of each row is censored, None where none is.

    Raises
    ------
    FormulaError, DataError : for a truncated outcome, and where formula and `until` do not agree.
    """
    additions = {name for name, _ in formula.additions} - {"choice"}
    if additions - {"status"}:
        raise FormulaError(
            f"Studies of truncated outcomes, and of intervals, are not simulated: write '{formula.response} | "
            "cens(status)' for times that end with the study."
        )
    if until is None:
        if additions:
            raise DataError(f"When is '{formula.response}' censored? Say until=12.0, or the column that has the time.")
        return None
    if not additions:
        raise DataError(
            f"until= is for outcomes that may be censored: write '{formula.response} | cens(status) ~ ...'."
        )
    if isinstance(until, str) and until not in frame.columns:
        raise DataError(f"The design has no column '{until}'. {suggest(until, list(map(str, frame.columns)))}")
    try:
        if isinstance(until, bool):
            raise TypeError
        found = np.broadcast_to(np.asarray(frame[until] if isinstance(until, str) else until, dtype=float), len(frame))
    except (TypeError, ValueError):
        raise DataError(f"until must be a number or the column that has one for each row, not {until!r}.") from None
    if np.isnan(found).any():
        raise DataError("until must be a number in every row; inf for one that is never censored.")
    return found


def _check_simulated(needed: Needed) -> None:
    """Refuse names that stand for what is simulated and for something else too.

    Raises
    ------
    DataError : with the name.
    """
    simulated = [*needed.outcome, *needed.added]
    elsewhere = {*needed.predictors, *needed.keys, *needed.trials, needed.weights}
    for name in simulated:
        if name in elsewhere or simulated.count(name) > 1:
            raise DataError(f"'{name}' is simulated: it can be nothing else in '{needed.formula.text}'.")


def _stand_ins(needed: Needed, family: Family, rows: int) -> dict[str, np.ndarray]:
    """Columns in the place of the outcome and of what is known of it, until both are simulated.

    Raises
    ------
    FormulaError : for an outcome that is computed from others.
    """
    formula = needed.formula
    texts = [formula.response, *(text for _, text in formula.additions)]
    if sorted((*needed.outcome, *needed.added)) != sorted(map(unquote, texts)):
        raise FormulaError(f"The outcome is simulated: its side of '{formula.text}' must be plain names.")
    values = (
        np.array(family.labels)[np.arange(rows) % len(family.labels)] if family.labels else np.arange(rows) % 2 * 1.0
    )
    if family.signed:
        values = np.ones(rows)
    return {needed.outcome[0]: values, **{name: np.zeros(rows) for name in needed.added}}


def balanced_design(
    rows: int,
    *,
    within: Mapping[str, Sequence[Any]] | None = None,
    between: Mapping[str, Sequence[Any]] | None = None,
    **groups: int,
) -> pd.DataFrame:
    """Rows of a balanced study: `balanced_design(25, school=20, within={"treatment": [0, 1]})` has 500.

    Parameters
    ----------
    rows : of each group, or of each combination of groups where there are several factors.
    within : columns whose values take turns within each group; of several columns, every combination does.
    between : the same from group to group. Of several factors of groups, the groups of each have all values.
    groups : number of groups of each factor.

    Raises
    ------
    DataError : without groups, or for numbers below one.
    """
    import pandas as pd

    if not groups:
        raise DataError("Name the groups and their number: balanced_design(25, school=20).")
    for name, count in {"rows": rows, **groups}.items():
        check_count(name, count, 1)
    total = math.prod([rows, *groups.values()])
    if total > _MOST_ROWS:
        raise DataError(f"This study would have {total:,} rows; at most {_MOST_ROWS:,} are made.")
    for choices in (within, between):
        if choices is not None and not isinstance(choices, Mapping):
            raise DataError(f"within and between must be dicts from columns to values, not {choices!r}.")
    columns = [*groups, *(within or {}), *(between or {})]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"'{twice[0]}' is named twice among groups, within and between.")
    for name, values in {**(within or {}), **(between or {})}.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise DataError(f"The values of '{name}' must be a list that is not empty, not {values!r}.")
    cells = np.array(list(product(*(range(1, count + 1) for count in groups.values()))))
    frame = pd.DataFrame(np.repeat(cells, rows, axis=0), columns=list(groups))
    turn_within = np.tile(np.arange(rows), len(cells))
    turn_between = np.repeat((cells - 1).sum(axis=1), rows)  # as in a Latin square
    for choices, turn in ((within or {}, turn_within), (between or {}, turn_between)):
        combinations = list(product(*choices.values()))
        for k, name in enumerate(choices):
            frame[name] = [combinations[j % len(combinations)][k] for j in turn]
    return frame
