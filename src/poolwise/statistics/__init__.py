"""Cross-product blocks: all that a Gaussian model needs of its rows."""

from poolwise.statistics.blocks import SufficientStatistics
from poolwise.statistics.reduce import reduce_rows

__all__ = ["SufficientStatistics", "reduce_rows"]
