"""poolwise from its public API, with the data set it ships.

Loading the kernels, or compiling them where no cache holds them, is part of the first fit: `compile_s` stays
empty. So does `divergences`: its sampler of this model takes no steps that could diverge.
"""

import statistics
from typing import Any

from common import SEED, read_task, report, stack, timed


def stacked(posterior: Any) -> Any:
    beta, sd, county = posterior["beta"], posterior["sd_county"], posterior["coef_county"]
    effects = ("Intercept", "floor")
    scalars = [beta.sel(coefficient=name) for name in effects] + [sd.sel(effect=name) for name in effects]
    return stack(
        [draws.transpose("chain", "draw").to_numpy() for draws in (*scalars, posterior["sigma"])],
        *(county.sel(effect=name).transpose("chain", "draw", "county").to_numpy() for name in effects),
    )


def fit() -> Any:
    normal, scale = pw.Normal(0, 1), pw.HalfCauchy(1)
    priors = {"Intercept": normal, "floor": normal, "sd": scale, "sigma": scale}
    found = pw.fit("log_radon ~ floor + (floor || county)", radon, priors=priors, seed=SEED)
    found.result.variables()  # a fit draws the coefficients of counties when they are asked for; here they are
    return found


if __name__ == "__main__":
    task = read_task()
    pw, import_s = timed(lambda: __import__("poolwise"))
    radon = pw.datasets.load_radon()
    first, fit_s = timed(fit)
    again = [timed(fit)[1] for _ in range(task.warm_fits)]
    report(
        task,
        ["poolwise", "numpy"],
        stacked(first.posterior),
        import_s=import_s,
        fit_s=fit_s,
        warm_fit_s=statistics.median(again) if again else None,
    )
