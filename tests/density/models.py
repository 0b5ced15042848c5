"""Models and their dense matrices, for tests of densities."""

from __future__ import annotations

import numpy as np

import poolwise as pw
from poolwise.density.gaussian import gaussian
from poolwise.design.structures.hyperparameters import log_precisions
from poolwise.inference.prepare import prepare
from poolwise.priors import correlation_factors
from tests import naive

PRIORS = {
    "Intercept": pw.Normal(0.5, 2),
    "slopes": pw.Normal(-0.2, 1.5),
    "sd": pw.HalfCauchy(0.8),
    "sigma": pw.HalfStudentT(4, 1.2),
}
FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + (x || g)",
    "y ~ x + (x | g)",
    "y ~ 0 + z + (0 + x | g)",
    "y ~ x * z + (1 + x + w | g)",
    "y ~ x + w + (z || g)",
    "y ~ x + (1 | g) + (0 + x + w | g)",
    "y ~ x",
    "y ~ s(x, k=6)",
    "y ~ z + s(x, k=5) + (x | g)",
    "y ~ gp(x, k=4) + (1 | g)",
    "y ~ t2(x, w, k=4)",
    "y ~ x + (1 | mm(z, g))",
    "y ~ mo(round(w / 3)) + x + mo(round(x), by=w)",
    "y ~ mo(round(x)) + (x | g)",
]


def model_of(formula, frame, priors=PRIORS):
    """Model, rows and density."""
    given = dict(priors)
    if "Intercept" in given and "0 +" in formula.split("(")[0]:
        del given["Intercept"]
    if "|" not in formula:
        given.pop("sd", None)
    model, rows = prepare(formula, frame, priors=given, missing="drop", threads=1)
    return model, rows, gaussian(model.statistics, model.design, model.priors, threads=1)


def dense_log_density(model, rows, theta) -> float:
    """The density of theta from dense matrices, without any of the algebra; Normal coefficient priors only."""
    design, priors = model.design, model.priors
    basis = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    to_beta = np.linalg.inv(priors.rows)
    covariance = to_beta @ of_coefficients(priors, theta) @ to_beta.T
    layout = priors.layout
    terms = [
        (basis @ f.group_map, f.codes[rows.codes], between(layout, theta, f), of_levels(f)) for f in design.factors
    ]
    weights = np.ones(len(rows.codes)) if rows.weights is None else rows.weights
    noise = layout.sigma(theta) ** 2 / weights
    x, y = basis @ design.common_map, rows.values[:, -1]
    return naive.marginal(y, x, to_beta @ centre_of(priors, theta), covariance, terms, noise) + log_prior(priors, theta)


def widths(priors, theta) -> np.ndarray:
    """Prior sds of the coefficients at theta; mixing precisions aside."""
    return priors.width * np.exp(-0.5 * log_precisions(priors.follows, theta[len(theta) - len(priors.smoothing) :]))


def of_coefficients(priors, theta) -> np.ndarray:
    """Prior covariance of the coefficients at theta: independent, but for the shares of monotonic terms."""
    covariance = np.diag(widths(priors, theta) ** 2)
    for (term, labels), (first, count, _) in zip(priors.layout.simplexes, priors.simplexes, strict=True):
        mine, share = slice(first, first + count), len(labels) * priors.layout.simplex(theta, term)
        covariance[mine, mine] = priors.width[first + count - 1] ** 2 * np.outer(share, share)
    return covariance


def centre_of(priors, theta) -> np.ndarray:
    """Centres of the priors of the coefficients at theta."""
    centre = priors.mean.copy()
    for (term, labels), (first, count, _) in zip(priors.layout.simplexes, priors.simplexes, strict=True):
        centre[first : first + count] = centre[first + count - 1] * len(labels) * priors.layout.simplex(theta, term)
    return centre


def of_levels(factor):
    """Covariance of the levels, up to that of their effects."""
    if factor.coupling is None:
        return np.eye(len(factor.levels))
    return np.linalg.pinv(factor.coupling.matrix.toarray(), hermitian=True)


def between(layout, theta, factor):
    """Covariance of the effects of one level."""
    sd = layout.sd(theta, factor.name)
    return np.outer(sd, sd) * layout.correlation(theta, factor.name)


def log_prior(priors, theta) -> float:
    """Log prior of theta: that of the sds and correlations that priors speak of, with a numerical Jacobian."""
    step = 1e-5
    if not len(theta):
        return 0.0
    stated = as_stated(priors, theta)
    ahead, behind = (
        np.array([as_stated(priors, theta + sign * step * one) for one in np.eye(len(theta))]) for sign in (1, -1)
    )
    volume = np.linalg.slogdet((ahead - behind) / (2 * step))[1]
    return log_prior_as_stated(priors, stated) + float(volume)


def as_stated(priors, theta) -> np.ndarray:
    """Theta of the effects that priors speak of: log sds and atanh of partial correlations of their covariance."""
    layout, q = priors.layout, len(priors.layout.effects)
    found, at = np.array(theta, dtype=float), q
    for start in sorted(set(layout.starts)):
        size = layout.starts.count(start)
        pairs, mine = size * (size - 1) // 2, slice(start, start + size)
        root = correlation_factors(np.tanh(theta[at : at + pairs])[None])[0]
        root = priors.stated[mine, mine] @ (np.exp(theta[mine])[:, None] * root)
        found[mine] = np.log(np.linalg.norm(root, axis=1))
        if pairs:
            found[at : at + pairs] = np.arctanh(partial_correlations(root @ root.T))
            at += pairs
    return found


def partial_correlations(covariance) -> np.ndarray:
    """Of i and j given all before j, for each i and j < i, row by row."""
    found = []
    for i in range(len(covariance)):
        for j in range(i):
            before, pair = np.arange(j), np.array([i, j])
            rest = covariance[np.ix_(pair, pair)]
            if j:
                known = np.linalg.solve(covariance[np.ix_(before, before)], covariance[np.ix_(before, pair)])
                rest = rest - covariance[np.ix_(pair, before)] @ known
            found.append(rest[0, 1] / np.sqrt(rest[0, 0] * rest[1, 1]))
    return np.array(found)


def log_prior_as_stated(priors, theta) -> float:
    """Scales with the Jacobian of the exponential, correlations by the LKJ density itself."""
    layout, q = priors.layout, len(priors.layout.effects)
    smooth = len(theta) - len(priors.smoothing)
    logs = [*theta[:q], *theta[q + layout.pairs : smooth - len(priors.mixed)], *theta[smooth:]]
    scales = zip([*priors.sd, *priors.dispersions.values(), *priors.smoothing.values()], logs, strict=True)
    value = sum(float(prior.log_density(np.exp(t))) + t for prior, t in scales)
    at = q
    for start in sorted(set(layout.starts)):
        size = layout.starts.count(start)
        pairs = size * (size - 1) // 2
        if pairs:
            value += log_lkj(priors.correlation[layout.effects[start][0]].eta, theta[at : at + pairs], size)
            at += pairs
    return value


def log_lkj(eta, z, q) -> float:
    """det(R)^(eta - 1) with its constant (Lewandowski et al. 2009, eq. 16) and a numerical Jacobian of z to R."""
    from scipy.special import betaln

    def lower(point):
        factor = correlation_factors(np.tanh(point)[None])[0]
        return (factor @ factor.T)[np.tril_indices(q, -1)]

    step = 1e-6
    jacobian = np.array([(lower(z + step * e) - lower(z - step * e)) / (2 * step) for e in np.eye(len(z))])
    factor = correlation_factors(np.tanh(z)[None])[0]
    constant = sum(
        (2 * eta - 2 + q - k) * (q - k) * np.log(2) + (q - k) * betaln(eta + (q - k - 1) / 2, eta + (q - k - 1) / 2)
        for k in range(1, q)
    )
    log_det = 2 * np.log(np.diag(factor)).sum()
    return float((eta - 1) * log_det - constant + np.linalg.slogdet(jacobian)[1])
