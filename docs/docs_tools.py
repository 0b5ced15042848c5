"""How pages show what their code draws."""

from __future__ import annotations

import csv
import sys
from html import escape
from pathlib import Path
from typing import Any


def on_startup(**_: Any) -> None:
    """Called by MkDocs: pages may import this file."""
    sys.path.insert(0, str(Path(__file__).parent))


def picture(drawn: Any, words: str) -> str:
    """An Altair chart as part of a page, with words for those who cannot see it."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(drawn.to_dict())
    return f'<figure class="chart" role="img" aria-label="{escape(words)}">{svg}</figure>'


def results(name: str, columns: list[str] | None = None) -> str:
    """Committed results of a benchmark as a table, all columns or some."""
    with open(Path(__file__).parents[1] / "benchmarks" / "results" / f"{name}.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    shown = columns or list(rows[0])
    table = [shown, [":--"] * len(shown), *([row[column].replace("|", "\\|") for column in shown] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)
