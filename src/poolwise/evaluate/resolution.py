"""Whether a Gaussian process has functions enough for the length scale that the data ask for."""

from __future__ import annotations

import math

import numpy as np

from poolwise.inference.posterior import Posterior

# Of k functions up to the frequency w, a length scale l needs w l of 1.75 pi / 2, that is k of 1.75 c / l for l in
# units of half the range (Riutort-Mayol, Burkner, Andersen, Solin and Vehtari 2023): less than a hundredth of the
# process's variance lies beyond.
_ENOUGH = 1.75 * math.pi / 2


def unresolved(posterior: Posterior) -> list[str]:
    """A sentence for each process whose functions do not reach the frequencies of its length scale."""
    model, said = posterior.model, []
    for term in model.design.structures:
        frequencies = term.learnt(model.encoding.specs).get("frequencies")
        if frequencies is None or posterior.theta is None:
            continue
        drawn = model.priors.layout.smoothing_parameter(np.asarray(posterior.theta), f"lengthscale_{term.name}")
        length, count = float(np.median(drawn)), len(frequencies)
        reached = float(np.max(frequencies)) * length
        if reached < _ENOUGH:
            said.append(
                f"{term.name} has {count} functions, which do not reach the length scale of {length:.2g} that the data "
                f"ask for: finer detail is taken for residual. Give it more, k={math.ceil(count * _ENOUGH / reached)} "
                "at least."
            )
    return said
