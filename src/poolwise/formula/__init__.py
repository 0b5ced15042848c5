"""Syntax only: from text to terms. Knows nothing of data."""

from poolwise.formula.outcome import read_tallies
from poolwise.formula.parse import parse
from poolwise.formula.state import formula_from, formula_state
from poolwise.formula.terms import Bar, Formula, Functions

__all__ = ["Bar", "Formula", "Functions", "formula_from", "formula_state", "parse", "read_tallies"]
