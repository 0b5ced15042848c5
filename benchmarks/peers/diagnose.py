"""Worst bulk ESS and R-hat of saved draws, and the means of the five common parameters."""

import json
import sys

import numpy as np
from arviz_stats.base import array_stats

if __name__ == "__main__":
    draws = np.load(sys.argv[1])
    ess = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk")
    rhat = array_stats.rhat(draws, chain_axis=0, draw_axis=1)
    means = draws[..., :5].mean(axis=(0, 1)).tolist()
    worst = {"min_bulk_ess": float(ess.min()), "max_rhat": float(rhat.max())}
    print(json.dumps(worst | {"means": means, "shape": draws.shape}))
