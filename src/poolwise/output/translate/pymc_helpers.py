"""Functions that scripts for PyMC begin with: distributions that it lacks, and what is known of hidden outcomes.

In them `{inverse}` stands for the inverse of the family's link at `disc * (thresholds - mu)`.
"""

from __future__ import annotations

# Probabilities (n, K) of ordered categories; mu is (n,), what follows (n,) or a number.
CUMULATIVE = """
def probabilities(mu, disc, *gaps):
    thresholds = pt.cumsum(pt.stack([0.0, *gaps]))[:, None]
    below = {inverse}
    ends = pt.concatenate([pt.zeros_like(below[:1]), below, pt.ones_like(below[:1])])
    return pt.diff(ends, axis=0).T
"""
EQUIDISTANT = """
def probabilities(mu, disc, gap, categories):
    thresholds = (gap * np.arange(categories - 1))[:, None]
    below = {inverse}
    ends = pt.concatenate([pt.zeros_like(below[:1]), below, pt.ones_like(below[:1])])
    return pt.diff(ends, axis=0).T
"""
SRATIO = """
def probabilities(mu, disc, *shifts):
    thresholds = pt.stack([pt.zeros_like(mu), *shifts])
    stop = {inverse}
    ones = pt.ones_like(stop[:1])
    reached = pt.concatenate([ones, pt.cumprod(1 - stop, axis=0)])
    return (pt.concatenate([stop, ones]) * reached).T
"""
ACAT = """
def probabilities(mu, disc, *shifts):
    steps = disc * (mu - pt.stack([pt.zeros_like(mu), *shifts]))
    scores = pt.concatenate([pt.zeros_like(steps[:1]), pt.cumsum(steps, axis=0)])
    return pm.math.softmax(scores, axis=0).T
"""
CATEGORICAL = """
def probabilities(mu, *odds):
    return pm.math.softmax(pt.stack([pt.zeros_like(odds[0]), *odds], axis=1), axis=1)
"""

ZERO_ONE_INFLATED_BETA = """
def log_density(y, mu, phi, zoi, coi):
    at_zero, at_one = pt.eq(y, 0), pt.eq(y, 1)
    inside = pm.logp(pm.Beta.dist(mu * phi, (1 - mu) * phi), pt.switch(at_zero | at_one, 0.5, y))
    end = pt.log(zoi) + pt.switch(at_one, pt.log(coi), pt.log1p(-coi))
    return pt.switch(at_zero | at_one, end, pt.log1p(-zoi) + inside)
"""
SHIFTED_LOGNORMAL = """
def log_density(y, mu, sigma, ndt):
    return pm.logp(pm.LogNormal.dist(mu, sigma), y - ndt)
"""
SKEW_NORMAL = """
def slanted(mu, sigma, alpha):
    # The normal that is slanted, from the mean and standard deviation of what results (Azzalini 1985).
    shift = np.sqrt(2 / np.pi) * alpha / pt.sqrt(1 + alpha**2)
    width = sigma / pt.sqrt(1 - shift**2)
    return {{"mu": mu - width * shift, "sigma": width, "alpha": alpha}}
"""
# Either series of the density of first passages where it is short (Navarro and Fuss 2009).
WIENER = """
def log_passage(t, drift, a, w):
    tau, k = t / a**2, np.arange(-5, 6)[:, None]
    short, long = pt.minimum(tau, 0.6), pt.maximum(tau, 0.1)
    small = pt.sum((w + 2 * k) * pt.exp(-((w + 2 * k) ** 2 - w**2) / (2 * short)), axis=0)
    log_small = pt.log(small) - w**2 / (2 * short) - 0.5 * pt.log(2 * np.pi * short**3)
    k, first = np.arange(1, 12)[:, None], np.pi**2 / 2 * long
    large = pt.sum(k * pt.exp(-(k**2 - 1) * first) * pt.sin(k * np.pi * w), axis=0)
    log_large = np.log(np.pi) - first + pt.log(pt.maximum(large, 1e-300))
    return pt.switch(tau < 0.3, log_small, log_large) - 2 * pt.log(a) - drift * a * w - drift**2 * t / 2


def log_density(y, mu, bs, ndt, bias, p_outlier, longest):
    # y is the time of a response at the upper boundary, minus that of one at the lower boundary.
    upper, t = y > 0, pt.abs(y) - ndt
    least = 1e-3 * bs**2  # before that time nobody has decided
    passage = log_passage(
        pt.maximum(t, least), pt.switch(upper, -mu, mu), bs, pt.switch(upper, 1 - bias, bias)
    )
    passage = pt.switch(t > least, pt.log1p(-p_outlier) + passage, -np.inf)
    return pm.math.logaddexp(passage, pt.log(p_outlier / (2 * longest)))
"""

# Outcomes of which an interval is known, and bounds.
LOG_INTERVAL = """
def log_interval(outcome, lower, upper, inside, survival=pm.logccdf):
    # Log probability of (lower, upper], whose ends may be infinite; `inside` stands in for ends that are. By upper
    # tails where the interval lies above the median.
    finite = np.isfinite(lower), np.isfinite(upper)
    ends = [np.where(known, end, inside) for known, end in zip(finite, (lower, upper))]
    (a, b), (above_a, above_b) = ([of(outcome, end) for end in ends] for of in (pm.logcdf, survival))
    both, high = finite[0] & finite[1], a > np.log(0.5)
    most, less = pt.switch(high, above_a, b), pt.switch(high, above_b, a)
    between = pm.math.logdiffexp(most, pt.switch(both, less, most - 1.0))
    return pt.switch(both, between, pt.switch(finite[0], above_a, pt.switch(finite[1], b, 0.0)))
"""
