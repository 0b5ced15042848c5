"""Structured terms: columns whose coefficients have a prior together. One file for each, `structure.py` is the seam."""

from poolwise.design.structures.structure import PENALTIES, Hyperparameter, Penalty, Structure, structures_of

__all__ = ["PENALTIES", "Hyperparameter", "Penalty", "Structure", "structures_of"]
