"""Log densities one by one are those that PyMC derives for the whole model."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest

from poolwise.pymc.log_factors import log_factors
from tests.pymc import models


def transformed() -> pm.Model:
    """Values on other scales: together, one by one, and between bounds that other variables make."""
    with pm.Model() as model:
        scale = pm.HalfNormal("scale")
        top = pm.Uniform("top", 1.0, 2.0)
        share = pm.Beta("share", 2.0, 2.0)
        weights = pm.Dirichlet("weights", np.ones(3))
        cuts = pm.Normal("cuts", 0.0, scale, shape=3, initval=[-1, 0, 1], transform=pm.distributions.transforms.ordered)
        within = pm.Uniform("within", -top, top, shape=2)
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.HalfNormal.dist(scale))
        zeros = pm.ZeroSumNormal("zeros", scale, shape=4)
        pair = pm.MvNormal("pair", mu=within, chol=chol)
        pm.Potential("push", -(pair**2).sum() - zeros[0] ** 2)
        pm.OrderedLogistic("grade", eta=pair[0], cutpoints=cuts, observed=[0, 2, 1])
        pm.Categorical("kind", weights, observed=[0, 1, 1, 2])
        pm.Truncated("cut", pm.Normal.dist(share, scale), lower=0.0, observed=[0.2, 0.4])
        pm.Mixture(
            "mixed", weights[:2] / weights[:2].sum(), [pm.Normal.dist(0, 1), pm.Normal.dist(top, 1)], observed=[1.0]
        )
    return model


def derived() -> pm.Model:
    """Outcomes whose density is only found by rewriting."""
    with pm.Model() as model:
        mean = pm.Normal("mean")
        scale = pm.HalfNormal("scale")
        pm.Censored("censored", pm.Normal.dist(mean, scale), lower=None, upper=1.0, observed=[0.5, 1.0])
        pm.CustomDist(
            "shifted", mean, dist=lambda mean, size: mean + pm.Exponential.dist(1.0, size=size), observed=[9.0]
        )
    return model


BUILT = [
    *(pytest.param(lambda build=build: build()[0], id=build.__name__) for build in (*models.ALL, *models.NOT_NORMAL)),
    pytest.param(transformed, id="transformed"),
    pytest.param(derived, id="derived"),
]


@pytest.mark.parametrize("build", BUILT)
def test_each_factor_is_the_one_that_pymc_derives(build):
    model = build()
    found = log_factors(model)
    inputs, rng = model.value_vars, np.random.default_rng(3)
    initial = model.initial_point()
    point = [initial[one.name] + 0.1 * rng.normal(size=np.shape(initial[one.name])) for one in inputs]
    expected = model.logp(jacobian=True, sum=False)
    compute = model.compile_fn([*found.values(), *expected], inputs=inputs, point_fn=False, mode="FAST_COMPILE")
    values = compute(*point)
    assert list(found) == [*model.basic_RVs, *model.potentials]
    for one, mine, theirs in zip(found, values, values[len(found) :], strict=False):
        # PyMC takes some logs of constants in 32 bits, in its rewriting too.
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-8, err_msg=one.name)
