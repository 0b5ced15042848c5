"""Where a structured term can take the shape of a predictor or of the intercept, in plain words.

Curves, walks and maps have many columns. A predictor that lies among them, such as a trend beside a random walk or what
is known of areas beside a map, has a coefficient that the data tell from the term by the priors alone.
"""

from __future__ import annotations

import numpy as np

from poolwise.density.priors import is_intercept
from poolwise.design.structures import Structure
from poolwise.inference.posterior import Model, Pooling, Posterior

_AMONG = 0.99  # share of a predictor's variance that columns of a term take up
_ROUNDING = 1e-10  # of the largest eigenvalue of a term's columns
_SHOWN = 5
_OPEN = 0.5  # of its prior's sd that a coefficient keeps


def confounded(posterior: Posterior) -> list[str]:
    """One sentence for each structured term of the mean that predictors lie among, and for an intercept left open."""
    model = posterior.model
    if model.pooling is Pooling.SEPARATE:
        return []
    found = {one.name: _among_columns(model, one) for one in model.design.structures if not one.predictor}
    found |= {
        factor.name: _among_levels(model, factor.codes, len(factor.levels))
        for factor in model.design.factors
        if factor.coupling is not None and factor.of_mean and "Intercept" in factor.effects
    }
    said = [_sentence(name, coefficients) for name, coefficients in found.items() if coefficients]
    return said + (_open_intercept(posterior, list(found)) if found else [])


def _sentence(name: str, coefficients: list[str]) -> str:
    more = f" and {len(coefficients) - _SHOWN} more" if len(coefficients) > _SHOWN else ""
    shown = ", ".join(f"'{one}'" for one in coefficients[:_SHOWN]) + more
    is_, its = ("is", "Its coefficient is") if len(coefficients) == 1 else ("are", "Their coefficients are")
    return f"{shown} {is_} among the shapes that {name} can take. {its} told from it by the priors alone."


def _candidates(model: Model, null: tuple[int, ...] = ()) -> list[int]:
    """Coefficients of the mean with a column that varies and that no term brings with it."""
    design, total = model.design, model.statistics.merged()
    columns = design.common_map[1:]
    spread = np.einsum("kp,kl,lp->p", columns, total.scatter[0][:-1, :-1], columns)
    penalised = design.penalised
    return [
        k
        for k, of in enumerate(design.predictors)
        if not of and not penalised[k] and k not in null and spread[k] > 0 and not is_intercept(design.coefficients[k])
    ]


def _among_columns(model: Model, structure: Structure) -> list[str]:
    design, chosen = model.design, _candidates(model, structure.null)
    if not chosen:
        return []
    scatter = model.statistics.merged().scatter[0][:-1, :-1]
    own, others = design.common_map[1:][:, list(structure.places)], design.common_map[1:][:, chosen]
    values, vectors = np.linalg.eigh(own.T @ scatter @ own)
    kept = values > _ROUNDING * values[-1]
    images = (vectors[:, kept] / np.sqrt(values[kept])).T @ (own.T @ scatter @ others)
    spread = np.einsum("kp,kl,lp->p", others, scatter, others)
    shares = np.square(images).sum(axis=0) / spread
    return [design.coefficients[k] for k, share in zip(chosen, shares, strict=True) if share > _AMONG]


def _among_levels(model: Model, codes: np.ndarray, levels: int) -> list[str]:
    """Predictors that hardly vary within levels."""
    design, chosen = model.design, _candidates(model)
    if not chosen:
        return []
    others = design.common_map[1:][:, chosen]
    by_level = model.statistics.coarser(codes, (np.arange(levels),))
    within, total = by_level.scatter.sum(axis=0), model.statistics.merged().scatter[0]
    inside, spread = (np.einsum("kp,kl,lp->p", others, each[:-1, :-1], others) for each in (within, total))
    return [design.coefficients[k] for k, share in zip(chosen, inside / spread, strict=True) if share < 1 - _AMONG]


def _open_intercept(posterior: Posterior, terms: list[str]) -> list[str]:
    """Where the intercept, at the mean of every predictor, is left nearly as open as its prior has it."""
    model = posterior.model
    for k, name in enumerate(model.design.coefficients):
        if name == "Intercept" and not model.design.predictors[k]:
            left = (posterior.beta @ model.priors.rows[k]).std()
            if left > _OPEN * model.priors.width[k]:
                return [f"The data hardly tell the intercept from the level of {' or '.join(terms)}."]
    return []
