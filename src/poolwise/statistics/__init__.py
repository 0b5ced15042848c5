"""Cross-product blocks: all that a Gaussian model needs of its rows."""

from poolwise.statistics.products import CrossProducts
from poolwise.statistics.reduce import reduce_rows
from poolwise.statistics.statistics import Statistics
from poolwise.statistics.sufficient import SufficientStatistics

__all__ = ["CrossProducts", "Statistics", "SufficientStatistics", "reduce_rows"]
