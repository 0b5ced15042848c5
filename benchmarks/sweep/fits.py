"""Fits of poolwise under a guard: a worker process of its own, which is killed when a fit does not end.

The worker is spawned, not forked, so that it holds nothing of this process; what it answers with are plain numbers.
"""

from __future__ import annotations

import multiprocessing
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pandas as pd

LIMIT_S, WARM_UP_S = 120.0, 600.0
MOST_PREDICTED = 200  # rows whose predictions are compared


@dataclass(frozen=True, slots=True)
class Task:
    """One fit: what `pw.fit` is called with, and the rows that are predicted after it."""

    formula: str
    family: str
    frame: pd.DataFrame
    seed: int
    asked: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Quantity:
    """A parameter's posterior; `centre` and `error` are its mean (of a spread, of its log) and the Monte Carlo error.

    `low` and `high` are the ends of the central 95% interval, `lowest` and `highest` of the 99% one.
    """

    mean: float
    sd: float
    median: float
    low: float
    high: float
    lowest: float
    highest: float
    centre: float
    error: float
    ess: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A fit that ended.

    Attributes
    ----------
    seconds : of `pw.fit` alone.
    beta, sd : by coefficient, and by "factor|effect".
    sigma : None in a family without a residual sd.
    predicted, predicted_sd : means of the rows that were asked for, on the link's scale.
    """

    seconds: float
    certified: bool
    sampler: str
    outcome: str
    evaluations: float | None
    notes: tuple[str, ...]
    warned: tuple[str, ...]
    beta: dict[str, Quantity]
    sd: dict[str, Quantity]
    sigma: Quantity | None
    predicted: np.ndarray
    predicted_sd: np.ndarray

    @property
    def least_ess(self) -> float:
        """The worst effective sample size of means."""
        every = [*self.beta.values(), *self.sd.values()]
        return min(each.ess for each in every)


@dataclass(frozen=True, slots=True)
class Failed:
    """A fit that gave nothing: its exception's class and sentence, and whether poolwise raised it on purpose."""

    exception: str
    sentence: str
    ours: bool
    seconds: float
    where: str = ""


Outcome = Measured | Failed


def measure(task: Task) -> Outcome:
    """Fit, and summarise."""
    from poolwise.support.errors import PoolwiseError

    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return fitted(task, caught)
        except Exception as problem:
            where = traceback.extract_tb(problem.__traceback__)[-1]
            return Failed(
                type(problem).__name__,
                str(problem),
                isinstance(problem, PoolwiseError),
                time.perf_counter() - started,
                f"{where.filename.rpartition('poolwise/')[2]}:{where.lineno}",
            )


def fitted(task: Task, caught: list[warnings.WarningMessage]) -> Measured:
    """A fit and what is asked of it."""
    import poolwise as pw

    started = time.perf_counter()
    fit = pw.fit(task.formula, task.frame, family=task.family, seed=task.seed)
    seconds = time.perf_counter() - started
    outcome, notes = fit.outcome, tuple(fit.notes)
    beta, sd, sigma = quantities(fit.result)
    mean = spread = np.empty(0)
    if task.asked is not None:
        # Probabilities near one and expected counts have long tails, which no Monte Carlo mean tells to 0.1 sd.
        table = fit.predict(task.asked, kind="mean" if task.family == "gaussian" else "linear")
        mean, spread = table["mean"].to_numpy(), table["sd"].to_numpy()
    warned = tuple(dict.fromkeys(f"{each.category.__name__}: {each.message}" for each in caught))
    evaluations = outcome.figures.get("evaluations")
    if evaluations is None and "leaves" in outcome.figures:  # of NUTS, a draw
        evaluations = outcome.figures["leaves"] * fit.result.chains * fit.result.draws
    return Measured(
        seconds,
        bool(outcome.passed),
        outcome.sampler,
        outcome.advice,
        None if evaluations is None else float(evaluations),
        notes,
        warned,
        beta,
        sd,
        sigma,
        mean,
        spread,
    )


def quantities(result: Any) -> tuple[dict[str, Quantity], dict[str, Quantity], Quantity | None]:
    """Common coefficients, sds of effects and the residual sd of a posterior."""
    variables, labels = result.variables(groups=False), result.coordinates()
    common = variables["beta"].values
    beta = {name: quantity(common[..., k]) for k, name in enumerate(labels["coefficient"])}
    sd = {
        f"{name.removeprefix('sd_')}|{effect}": quantity(variable.values[..., k], spread=True)
        for name, variable in variables.items()
        if name.startswith("sd_")
        for k, effect in enumerate(labels[variable.dims[0]])
    }
    sigma = quantity(variables["sigma"].values, spread=True) if "sigma" in variables else None
    return beta, sd, sigma


def quantity(draws: np.ndarray, *, spread: bool = False) -> Quantity:
    """Summary of draws (chains, draws)."""
    from arviz_stats.base import array_stats

    scaled = np.log(np.maximum(draws, 1e-300)) if spread else draws
    ess = float(array_stats.ess(scaled, chain_axis=0, draw_axis=1, method="mean"))
    median, low, high, lowest, highest = (float(end) for end in np.quantile(draws, [0.5, 0.025, 0.975, 0.005, 0.995]))
    error = float(scaled.std(ddof=1)) / max(ess, 1.0) ** 0.5
    mean, sd = float(draws.mean()), float(draws.std(ddof=1))
    return Quantity(mean, sd, median, low, high, lowest, highest, float(scaled.mean()), error, ess)


def serve(pipe: Connection) -> None:
    """What the worker does: answer tasks until there is none. Kernels are loaded by fits that nobody reads."""
    rng = np.random.default_rng(1)
    g, h, x = np.repeat(np.arange(12), 6), np.tile(np.arange(6), 12), rng.standard_normal(72)
    frame = pd.DataFrame({"g": g, "h": h, "x": x, "y": x + rng.standard_normal(72), "n": rng.poisson(2, 72)})
    measure(Task("y ~ x + (x | g)", "gaussian", frame, 1, frame))
    measure(Task("y ~ x + (1 | g) + (1 | h)", "gaussian", frame, 1))
    measure(Task("n ~ x + (1 | g)", "poisson", frame, 1))
    pipe.send("ready")
    while (task := pipe.recv()) is not None:
        pipe.send(measure(task))


class Guard:
    """Runs one fit at a time in a worker, and starts a new one after a fit that took too long or ended the worker."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, task: Task) -> Outcome:
        """A fit, or why there is none."""
        pipe = self._pipe or self._start()
        started = time.perf_counter()
        try:
            pipe.send(task)
            if pipe.poll(self.limit_s):
                answer: Outcome = pipe.recv()
                return answer
            problem = Failed("did not end", f"Stopped after {self.limit_s:g} s.", False, self.limit_s)
        except (EOFError, OSError):
            seconds = time.perf_counter() - started
            problem = Failed("process died", "The worker process ended by itself.", False, seconds)
        self.stop()
        return problem

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(WARM_UP_S):
            self.stop()
            raise RuntimeError(f"The worker was not ready after {WARM_UP_S:g} s.")
        self._pipe.recv()
        return self._pipe

    def stop(self) -> None:
        """End the worker."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
