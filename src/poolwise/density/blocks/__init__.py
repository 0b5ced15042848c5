"""Several grouping factors: elimination of a sparse, blocked system; what is left over is one dense root."""
