"""Log densities one by one are those that PyMC derives for the whole model."""

from __future__ import annotations

import gc
from threading import Barrier, Event, Thread

import numpy as np
import pymc as pm
import pytensor
import pytest

import poolwise as pw
from poolwise.pymc.graph import plainly
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
    *(
        pytest.param(
            lambda build=build: build()[0],
            id=build.__name__,
            marks=[]
            if build in (models.two_outcomes, models.autoregressive_outcomes, models.robust, models.items)
            else pytest.mark.long,
        )
        for build in (*models.ALL, *models.NOT_NORMAL)
    ),
    pytest.param(transformed, id="transformed", marks=pytest.mark.long),
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


@pytest.mark.parametrize("place", ["mean", "prior"])
def test_random_numbers_that_are_no_variable_are_refused(place):
    """Of one draw of them the posterior would be certified."""
    with pm.Model() as model:
        other = pm.Normal.dist(0.0, 1.0, shape=4)
        a = pm.Normal("a", other[0] if place == "prior" else 0.0, 2.0)
        pm.Normal("y", a + other if place == "mean" else a, pm.HalfNormal("s", 1.0), observed=np.arange(4.0))
    with pytest.raises(pw.DataError, match="random numbers in it that are no variable of the model"):
        pw.pymc.sample(model, 50, seed=1)


def test_what_holds_for_graphs_is_restored_by_the_last_thread():
    before = pytensor.config.mode, pytensor.config.traceback__limit, gc.isenabled()
    entered, leave = Barrier(3), [Event(), Event()]

    def within(k):
        with plainly():
            entered.wait()
            leave[k].wait()

    threads = [Thread(target=within, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    entered.wait()
    leave[0].set()  # the first in may be the first out
    threads[0].join()
    assert pytensor.config.mode == "FAST_COMPILE"
    assert not gc.isenabled()
    leave[1].set()
    threads[1].join()
    assert (pytensor.config.mode, pytensor.config.traceback__limit, gc.isenabled()) == before
