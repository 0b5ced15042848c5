"""PyMC with its own NUTS; `--variant centred` is the model as the study writes it.

`pm.sample` compiles and samples in one call: `fit_s` is the sampling time that PyMC reports, `compile_s`
is building the model plus the rest of that call (compiling, collecting draws, convergence checks).
"""

from common import CHAINS, SEED, load_radon, read_task, report, timed

if __name__ == "__main__":
    task = read_task()
    pymc_model, import_s = timed(lambda: __import__("pymc_model"))
    pm = pymc_model.pm
    radon = load_radon(task.data)
    model, build_s = timed(lambda: pymc_model.radon_model(radon, centred=task.variant == "centred"))
    settings = {"tune": 1000, "chains": CHAINS, "random_seed": SEED, "progressbar": False}
    result, sample_s = timed(lambda: pm.sample(task.draws, model=model, **settings))
    fit_s = result.posterior.attrs["sampling_time"]
    report(
        task,
        ["pymc", "pytensor", "numpy"],
        pymc_model.stacked(result.posterior),
        import_s=import_s,
        compile_s=build_s + sample_s - fit_s,
        fit_s=fit_s,
        divergences=int(result.sample_stats["diverging"].sum()),
        warm_up=1000,
    )
