"""`power` of a study before it is made."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import build, needed_columns
from poolwise.evaluate.power import Plan, Power, in_words, scales_of, truth_of
from poolwise.evaluate.power import power as simulated_power
from poolwise.families import Family, family_of
from poolwise.formula import parse
from poolwise.inference.completion import completed
from poolwise.inference.prepare import closed
from poolwise.samplers.settings import check_count, check_interval, sampler_settings
from poolwise.sources.frames import as_table
from poolwise.support.errors import DataError, FormulaError
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
        successes among trials, `"passed | trials(pupils) ~ treatment"`. A list has formulas of other parameters.
    design : the rows to come, without outcome: any eager frame; `balanced_design` makes simple ones.
    effects : true coefficients by name, on the scale of the link; the intercept of the mean is 0 unless given.
    family, link : of the outcome, as in `fit`.
    sd : true sds of group effects: one number for all, or by name, `{"sd_school": 0.4}`, `{"sd_school[x]": 0.1}`.
    sigma : true residual sd, of families that have one.
    dispersions : true values of the other parameters that all rows share, `{"shape": 2.0}`.
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
    chosen = family_of(family)
    linked, parsed = chosen.link(link), completed(parse(formula), chosen)
    if chosen.of_labels is not None or parsed.additions:
        raise DataError("Studies of categories, and of censored, truncated or chosen outcomes, are not simulated.")
    normal = closed(parsed, chosen, linked)
    count = check_count("studies", _STUDIES[normal] if studies is None else studies, 2)
    needed = needed_columns(parsed, weights, linear=normal, labelled=chosen.labelled)
    if needed.weights is not None and not chosen.precise:
        raise DataError(f"Weights of the family '{chosen.name}' count rows: write these out instead.")
    if needed.outcome != (needed.formula.response.strip("`"),):
        raise FormulaError(f"The outcome is simulated: its side of '{formula}' must be a plain name.")
    table = as_table(design)
    frame = table.frame.to_pandas()
    placeholder = frame.assign(**{needed.outcome[0]: np.arange(len(frame)) % 2 * 1.0})
    built, encoding, rows = build(needed, as_table(placeholder), missing="error")
    if built.structures:
        raise DataError(f"Studies with smooth terms, such as '{built.structures[0].name}', are not simulated.")
    truth = truth_of(built, effects, sd, sigma, chosen, dispersions or {})
    plan = Plan(built, encoding, rows, chosen, linked, priors or {})
    found = simulated_power(plan, truth, settings, studies=count, interval=interval, threads=workers)
    words, seconds = in_words(built, len(rows.codes)), time.perf_counter() - started
    return Power(found, count, interval, words, seconds, scales_of(built, chosen, linked))


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
    within : columns whose values take turns within each group.
    between : columns whose values take turns from group to group.
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
    cells = list(product(*(range(1, count + 1) for count in groups.values())))
    frame = pd.DataFrame(np.repeat(cells, rows, axis=0), columns=list(groups))
    for name, values in (within or {}).items():
        frame[name] = [values[i % len(values)] for _ in cells for i in range(rows)]
    for name, values in (between or {}).items():
        frame[name] = [values[j % len(values)] for j in range(len(cells)) for _ in range(rows)]
    return frame
