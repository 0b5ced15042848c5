"""What a page asks for, checked: everything that arrives from a browser passes through here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from poolwise.support.errors import DataError

UPLOAD = "upload"  # the source that a session has dropped
FILE = "file:"  # before the name of a file of the server
_LONGEST = 2_000  # characters of a formula
_MOST_TERMS = 200
_WIDEST = 64.0  # times a prior may be widened or narrowed
_MOST_GROUPS = 9


@dataclass(frozen=True, slots=True)
class Asked:
    """One state of the page.

    Attributes
    ----------
    source : name of an example, "upload", or "file:" and the name of a file of the server.
    formula, family : as in `pw.fit`; lines are further formulas.
    widths : by the name of a prior how many times as wide it is as the default one.
    groups : labels of those whose lines are drawn; the page's choice where empty.
    number : of the request in its session; answers carry it.
    """

    source: str = "radon"
    formula: str = ""
    family: str = "gaussian"
    widths: Mapping[str, float] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    number: int = 0

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Asked:
        """From the object that a browser sent.

        Raises
        ------
        DataError : for what is not of the right kind or size.
        """
        if not isinstance(said, Mapping):
            raise DataError("The page sent something else than a request.")
        texts = {name: said.get(name, "") for name in ("source", "formula", "family")}
        for name, value in texts.items():
            if not isinstance(value, str) or len(value) > _LONGEST:
                raise DataError(f"The {name} must be text of at most {_LONGEST:,} characters.")
        widths, groups, number = said.get("widths") or {}, said.get("groups") or [], said.get("number", 0)
        if not isinstance(widths, Mapping) or len(widths) > _MOST_TERMS:
            raise DataError("The widths of priors must be numbers by name.")
        if not isinstance(groups, (list, tuple)) or len(groups) > _MOST_GROUPS:
            raise DataError(f"At most {_MOST_GROUPS} groups can be drawn at a time.")
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise DataError("The page sent something else than a request.")
        return cls(
            texts["source"],
            texts["formula"].strip(),
            texts["family"] or "gaussian",
            {str(name): _width(value) for name, value in widths.items()},
            tuple(map(str, groups)),
            int(number),
        )

    @classmethod
    def of_link(cls, query: str) -> Asked:
        """From the query of an address that `link` made; what it does not say has its default."""
        said = {name: values[0] for name, values in parse_qs(query.lstrip("?")).items()}
        widths = {name[len("width.") :]: said[name] for name in said if name.startswith("width.")}
        try:
            return cls.of({**said, "widths": widths, "groups": [], "number": 0})
        except DataError:
            return cls()

    @property
    def link(self) -> str:
        """The query of an address that leads to this state."""
        said = {"source": self.source, "formula": self.formula, "family": self.family}
        return "?" + urlencode(said | {f"width.{name}": f"{value:.6g}" for name, value in self.widths.items()})

    @property
    def formulas(self) -> str | list[str]:
        """The formula, or several of them."""
        lines = [line.strip() for line in self.formula.splitlines() if line.strip()]
        return lines if len(lines) > 1 else "".join(lines)


def _width(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 1 / _WIDEST <= number <= _WIDEST:
        raise DataError(f"A prior can be made from 1/{_WIDEST:g} to {_WIDEST:g} times as wide.")
    return number
