"""Bambi with PyMC's NUTS, non-centred by default; seconds are split as in the PyMC adapter.

`(1|county) + (0 + floor|county)` is its spelling of `(floor || county)`. Predictors stay uncentred, so that the
prior of the intercept means the same as elsewhere.
"""

from typing import Any

from common import CHAINS, SEED, load_radon, read_task, report, stack, timed


def build(radon: dict[str, Any]) -> Any:
    import pandas as pd

    frame = pd.DataFrame(radon).astype({"county": "category"})
    formula = "log_radon ~ floor + (1|county) + (0 + floor|county)"
    normal, scale = bmb.Prior("Normal", mu=0, sigma=1), bmb.Prior("HalfCauchy", beta=1)
    offsets = bmb.Prior("Normal", mu=0, sigma=scale)
    priors = {"Intercept": normal, "floor": normal, "sigma": scale}
    priors |= {"1|county": offsets, "floor|county": offsets}
    model = bmb.Model(formula, frame, priors=priors, center_predictors=False)
    model.build()
    return model


def stacked(posterior: Any) -> Any:
    names = ("Intercept", "floor", "1|county_sigma", "floor|county_sigma", "sigma")
    alpha, beta, *scales = (posterior[name].to_numpy() for name in names)
    offsets = [posterior[name].to_numpy() for name in ("1|county", "floor|county")]
    return stack([alpha, beta, *scales], alpha[..., None] + offsets[0], beta[..., None] + offsets[1])


if __name__ == "__main__":
    task = read_task()
    bmb, import_s = timed(lambda: __import__("bambi"))
    radon = load_radon(task.data)
    model, build_s = timed(lambda: build(radon))
    settings = {"tune": 1000, "chains": CHAINS, "random_seed": SEED, "progressbar": False}
    result, sample_s = timed(lambda: model.fit(task.draws, **settings))
    fit_s = result.posterior.attrs["sampling_time"]
    report(
        task,
        ["bambi", "pymc", "pytensor", "numpy"],
        stacked(result.posterior),
        import_s=import_s,
        compile_s=build_s + sample_s - fit_s,
        fit_s=fit_s,
        divergences=int(result.sample_stats["diverging"].sum()),
        warm_up=1000,
    )
