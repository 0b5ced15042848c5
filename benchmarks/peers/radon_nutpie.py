"""nutpie on the non-centred PyMC model: compiled by nutpie (numba), then sampled with nutpie's own warm-up."""

from common import CHAINS, SEED, load_radon, read_task, report, timed

if __name__ == "__main__":
    task = read_task()
    (nutpie, pymc_model), import_s = timed(lambda: (__import__("nutpie"), __import__("pymc_model")))
    radon = load_radon(task.data)
    model, build_s = timed(lambda: pymc_model.radon_model(radon, centred=False))
    compiled, compile_s = timed(lambda: nutpie.compile_pymc_model(model))
    settings = {"draws": task.draws, "chains": CHAINS, "seed": SEED, "progress_bar": False}
    result, fit_s = timed(lambda: nutpie.sample(compiled, **settings))
    report(
        task,
        ["nutpie", "pymc", "pytensor", "numba", "numpy"],
        pymc_model.stacked(result.posterior),
        import_s=import_s,
        compile_s=build_s + compile_s,
        fit_s=fit_s,
        divergences=int(result.sample_stats["diverging"].sum()),
        warm_up=result.warmup_posterior.sizes["draw"],
    )
