"""Structured terms of groups, `gr(animal, cov='A')`, `mm(school1, school2)`, `icar(area, borders)`: their coefficients
are columns of the design, but vary between groups as the effects of bars do."""

from __future__ import annotations

import numpy as np

from poolwise.design.structures import Structure
from poolwise.design.structures.hyperparameters import log_precisions
from poolwise.inference.posterior import Model, Posterior


def terms_of_groups(model: Model) -> list[Structure]:
    """The terms of groups among the structured ones."""
    specs = model.encoding.specs
    return [one for one in model.design.structures if one.learnt(specs).get("groups", False)]


def coefficients_of_groups(model: Model) -> np.ndarray:
    """(p,) which coefficients are those of such terms."""
    found = np.zeros(len(model.design.coefficients), dtype=bool)
    for term in terms_of_groups(model):
        found[list(term.places)] = True
    return found


def variance_between(posterior: Posterior, term: Structure, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(m,) variance of what a term adds to the linear predictor, on average over the rows.

    Parameters
    ----------
    mean, spread : (K,), (K, K) of the design's columns over the rows.
    """
    priors, places = posterior.model.priors, list(term.places)
    columns = posterior.model.design.common_map[:, places]
    squares = np.square(columns[0] + mean @ columns[1:]) + np.einsum("ik,ij,jk->k", columns[1:], spread, columns[1:])
    theta = np.asarray(posterior.theta).reshape(posterior.chains * posterior.draws, -1)
    log_h = theta[:, theta.shape[1] - priors.follows.shape[1] :].T  # numbers of structured terms are the last ones
    precisions = log_precisions(priors.follows[places], log_h)
    return np.asarray(squares * np.square(priors.width[places]) @ np.exp(-precisions))
