"""Exact hierarchical regression from a formula.

Names load when they are first used, so that `import poolwise` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from poolwise.support.interrupts import uninterrupted

__version__ = "0.1.0"

_HOMES = {
    "poolwise.api.comparison": ("bayes_factor", "compare"),
    "poolwise.api.marginal_effects": (
        "avg_comparisons",
        "avg_predictions",
        "avg_slopes",
        "comparisons",
        "predictions",
        "slopes",
    ),
    "poolwise.api.datagrid": ("datagrid",),
    "poolwise.api.marginal_plots": ("plot_comparisons", "plot_predictions", "plot_slopes"),
    "poolwise.api.model_table": ("model_table",),
    "poolwise.support.errors": (
        "DataError",
        "FileError",
        "FormulaError",
        "PoolwiseError",
        "PoolwiseWarning",
        "PriorError",
        "SamplingError",
    ),
    "poolwise.families": ("Family",),
    "poolwise.api.fitted_model": ("Fit",),
    "poolwise.api.fitting": ("fit", "load", "merge"),
    "poolwise.api.imputation": ("ImputedFit", "fit_imputed"),
    "poolwise.api.power": ("balanced_design", "power"),
    "poolwise.api.pooling": ("PoolingComparison", "compare_pooling"),
    "poolwise.priors": (
        "LKJ",
        "Default",
        "Dirichlet",
        "Exponential",
        "Gamma",
        "HalfCauchy",
        "HalfNormal",
        "HalfStudentT",
        "Normal",
        "StudentT",
    ),
    "poolwise.sources": ("from_cells", "read_file"),
    "poolwise.sources.shapes": ("neighbours",),
    "poolwise.statistics": ("SufficientStatistics",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_SUBMODULES = ("datasets", "pymc", "sklearn")

__all__ = sorted([*_HOME_OF, *_SUBMODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        with uninterrupted():
            value = getattr(import_module(_HOME_OF[name]), name)
    elif name in _SUBMODULES:
        try:
            value = import_module(f"poolwise.{name}")
        except ModuleNotFoundError as error:  # of what an extra brings
            message = f"poolwise.{name} needs {error.name}, which is not installed: pip install 'poolwise[{name}]'."
            raise ModuleNotFoundError(message, name=error.name) from error
    else:
        from poolwise.support.errors import MissingName

        raise MissingName(f"module 'poolwise' has no attribute '{name}'. It has: {', '.join(__all__)}.")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from poolwise import datasets
    from poolwise.api.comparison import bayes_factor, compare
    from poolwise.api.datagrid import datagrid
    from poolwise.api.fitted_model import Fit
    from poolwise.api.fitting import fit, load, merge
    from poolwise.api.imputation import ImputedFit, fit_imputed
    from poolwise.api.marginal_effects import (
        avg_comparisons,
        avg_predictions,
        avg_slopes,
        comparisons,
        predictions,
        slopes,
    )
    from poolwise.api.marginal_plots import plot_comparisons, plot_predictions, plot_slopes
    from poolwise.api.model_table import model_table
    from poolwise.api.pooling import PoolingComparison, compare_pooling
    from poolwise.api.power import balanced_design, power
    from poolwise.families import Family
    from poolwise.priors import (
        LKJ,
        Default,
        Dirichlet,
        Exponential,
        Gamma,
        HalfCauchy,
        HalfNormal,
        HalfStudentT,
        Normal,
        StudentT,
    )
    from poolwise.sources import from_cells, read_file
    from poolwise.sources.shapes import neighbours
    from poolwise.statistics import SufficientStatistics
    from poolwise.support.errors import (
        DataError,
        FileError,
        FormulaError,
        PoolwiseError,
        PoolwiseWarning,
        PriorError,
        SamplingError,
    )
