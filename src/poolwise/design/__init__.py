"""From terms and rows to columns, groups and levels; an encoding that can be replayed on new data."""

from poolwise.design.additions import check_intervals, with_whole_bounds
from poolwise.design.categories import outcome_labels
from poolwise.design.design import Design, Rows, linear_predictor
from poolwise.design.encode import build
from poolwise.design.encoding import Encoding
from poolwise.design.required_columns import needed_columns
from poolwise.design.structures.coupled_terms import as_factors, coupling_of

__all__ = [
    "Design",
    "Encoding",
    "Rows",
    "as_factors",
    "build",
    "coupling_of",
    "linear_predictor",
    "needed_columns",
    "outcome_labels",
    "check_intervals",
    "with_whole_bounds",
]
