"""A formula as plain data, for files: what a family made of it included, which its text does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from poolwise.formula.terms import Bar, Formula, Functions


def formula_state(formula: Formula) -> dict[str, Any]:
    """A header fit for JSON."""
    state = asdict(replace(formula, functions={}, tables={}, further=()))
    del state["functions"], state["tables"]  # what terms have learnt of tables is in their states
    return state | {"further": [[name, formula_state(other)] for name, other in formula.further]}


def formula_from(state: Mapping[str, Any], functions: Functions | None = None) -> Formula:
    """What `formula_state` described; `functions` are the caller's own that it calls."""
    known = dict(state)
    bars = tuple(Bar(**{**bar, "keys": tuple(bar["keys"])}) for bar in known.pop("bars"))
    further = tuple((str(name), formula_from(other)) for name, other in known.pop("further"))
    for name in ("offsets", "specific"):
        known[name] = tuple(known[name])
    for name in ("additions", "fixed"):
        known[name] = tuple((str(one), value) for one, value in known[name])
    return Formula(**known, bars=bars, further=further, functions=dict(functions or {}))
