"""Fits side by side, as papers print them: an estimate with its interval below, and what was fitted at the foot."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from poolwise.inference.posterior import Posterior
from poolwise.output.tables.summary import interval_names, summary
from poolwise.support.atomic_write import check_writable, whole_file
from poolwise.support.digits import fixed
from poolwise.support.errors import DataError
from poolwise.support.naming import free_name
from poolwise.support.plain_text import plain

if TYPE_CHECKING:
    import great_tables
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelTable:
    """A table of some fits.

    Attributes
    ----------
    frame : texts, a column for each fit; a line for each parameter and one for its interval, then the foot.
    foot : how many of the lines, the last ones, are the foot.
    note : what stands below.
    """

    frame: pd.DataFrame
    foot: int
    note: str

    def __repr__(self) -> str:
        return f"{self.frame.to_string()}\n{self.note}"

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self) -> str:
        """A plain HTML table."""
        body = self._lines(escape, "<tr><th scope='row'>{}</th>{}</tr>", "<td>{}</td>")
        head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in self.frame.columns)
        return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(self.note)}</p>"

    def to_markdown(self) -> str:
        """A Markdown table."""
        names = " | ".join(map(_markdown, self.frame.columns))
        rule = "|".join([":--", *["--:"] * self.frame.shape[1]])
        lines = self._lines(_markdown, "| {} |{}\n", " {} |")
        return f"| | {names} |\n|{rule}|\n{lines}\n{self.note}\n"

    def to_latex(self) -> str:
        """A LaTeX tabular with booktabs rules."""
        names = " & ".join(["", *map(_latex, self.frame.columns)])
        lines = self._lines(_latex, "{}{} \\\\\n", " & {}").splitlines()
        lines.insert(len(lines) - self.foot, r"\midrule")
        rules = (rf"\begin{{tabular}}{{l{'r' * self.frame.shape[1]}}}", r"\toprule", names + r" \\", r"\midrule")
        return "\n".join([*rules, *lines, r"\bottomrule", r"\end{tabular}", f"% {self.note}", ""])

    def to_gt(self) -> great_tables.GT:
        """A Great Tables object, for styles of one's own.

        Raises
        ------
        DataError : without great_tables.
        """
        _check_installed("great_tables", "great-tables")
        from great_tables import GT

        label = free_name("parameter", self.frame.columns)
        shown = self.frame.rename_axis(label).reset_index()
        return GT(shown, rowname_col=label).tab_source_note(self.note)

    def to_word(self, path: str | os.PathLike[str]) -> Path:
        """Write a Word document that holds the table.

        Raises
        ------
        DataError : without python-docx.
        FileError : when the path cannot be written; nothing half-written remains.
        """
        _check_installed("docx", "python-docx")
        import docx

        target, document = check_writable(path), docx.Document()
        table = document.add_table(rows=1, cols=1 + self.frame.shape[1])
        for cell, name in zip(table.rows[0].cells[1:], self.frame.columns, strict=True):
            cell.text = plain(name)
        for label, *texts in self.frame.itertuples(name=None):
            for cell, text in zip(table.add_row().cells, (label, *texts), strict=True):
                cell.text = plain(text)
        document.add_paragraph(self.note)
        with whole_file(target) as temporary:
            document.save(str(temporary))
        return target

    def _lines(self, plain: Callable[[str], str], line: str, cell: str) -> str:
        return "".join(
            line.format(plain(label), "".join(cell.format(plain(text)) for text in texts))
            for label, *texts in self.frame.itertuples(name=None)
        )


def model_table(
    fits: Mapping[str, Posterior], shares: Mapping[str, Mapping[str, float]], interval: float, digits: int
) -> ModelTable:
    """Parameters of the population of some fits side by side.

    Parameters
    ----------
    fits : by the names of the columns.
    shares : for the foot, figures of each fit by name; NaN for one that only rows would tell.
    interval : probability of the central interval.
    digits : after the point; more where an interval is narrower than that tells.
    """
    import pandas as pd

    cells: dict[str, dict[_Line, str]] = {}
    for column, posterior in fits.items():
        table = summary(posterior, interval=interval, diagnostics=False)
        cells[column] = {}
        for name, line in table.iterrows():
            low, high = (line[end] for end in interval_names(interval))
            plain = str(name) if _plain(str(name)) in table.index else _plain(str(name))  # a predictor called sigma
            mean, low, high = (fixed(value, high - low, digits) for value in (line["mean"], low, high))
            cells[column][_Line(_BODY, plain)] = mean
            cells[column][_Line(_BODY, plain, below=True)] = f"[{low}, {high}]"
        model = posterior.model
        foot = {"rows": f"{model.statistics.rows:,}"}
        foot |= {f"groups in {one.name}": f"{len(one.levels):,}" for one in model.design.factors}
        cells[column] |= {_Line(_ROWS, name): text for name, text in foot.items()}
        known = shares.get(column, {})
        judged = {name: "needs rows" if math.isnan(value) else f"{value:.{digits}f}" for name, value in known.items()}
        if not posterior.certificate.passed:
            judged["certified"] = "no"
        cells[column] |= {_Line(_SHARES, name): text for name, text in judged.items()}
    every = sorted(dict.fromkeys(line for own in cells.values() for line in own), key=lambda line: line.part)
    frame = pd.DataFrame(
        {column: [own.get(line, "") for line in every] for column, own in cells.items()},
        index=["" if line.below else line.name for line in every],
    )
    words = f"Posterior means with {100 * interval:g}% intervals."
    return ModelTable(frame, sum(line.part != _BODY for line in every), words)


_BODY, _ROWS, _SHARES = range(3)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the table: its part, its name, and whether it is the interval below the estimate."""

    part: int
    name: str
    below: bool = False


def _plain(name: str) -> str:
    """`beta[floor]` as `floor`."""
    return name[len("beta[") : -1] if name.startswith("beta[") else name


def _markdown(text: str) -> str:
    return re.sub(r"[\\|<]", r"\\\g<0>", plain(text))


def _latex(text: str) -> str:
    found = plain(text).replace("\\", r"\textbackslash ")
    for sign in "&%$#_{}":
        found = found.replace(sign, f"\\{sign}")
    return found.replace("~", r"\textasciitilde ").replace("^", r"\textasciicircum ")


def _check_installed(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise DataError(f"This needs {package}, which is not installed: pip install 'poolwise[tables]'.")
