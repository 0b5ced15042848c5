"""`poolwise doctor`: what poolwise runs on here, and where the time of a fit goes."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("numpy", "scipy", "pandas", "formulaic", "narwhals", "xarray", "arviz-stats", "duckdb", "altair", "numba")


def report() -> Iterator[str]:
    """Lines about versions, kernels, processor and threads; then the seconds that each step of a fit takes."""
    from poolwise.compiled import library
    from poolwise.support.threads import default_threads

    began = time.perf_counter()
    yield f"poolwise {version('poolwise')}, Python {platform.python_version()}, {sys.platform} on {platform.machine()}"
    yield f"packages:  {', '.join(f'{name} {_version(name)}' for name in _PACKAGES)}"
    loaded = library.library()
    if loaded is not None:
        yield f"kernels:   compiled ahead of time, for {loaded.name}, by {library.made_by()}"
    else:
        yield f"kernels:   compiled by numba when they are first called, since {library.reason_without()}"
    known = sorted({flag for needed in library.FEATURES.values() for flag in needed})
    flags = library.processor_flags()
    yield f"processor: {', '.join(flag if flag in flags else f'no {flag}' for flag in known)}"
    yield f"threads:   {default_threads()}"
    yield "seconds:"
    yield from _steps(began)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _steps(began: float) -> Iterator[str]:
    def took(what: str) -> str:
        nonlocal began
        before, began = began, time.perf_counter()
        return f"  {began - before:6.3f}  {what}"

    yield took("loading the kernels")
    import pandas  # noqa: F401

    yield took("importing pandas")
    import formulaic  # noqa: F401

    yield took("importing formulaic")
    import scipy.linalg
    import scipy.optimize  # noqa: F401

    yield took("importing scipy")
    import poolwise as pw

    radon = pw.datasets.load_radon()
    yield took("reading the radon data")
    formula = "log_radon ~ floor + (floor | county)"
    pw.fit(formula, radon, seed=1)
    yield took(f"first fit of {formula}")
    fit = pw.fit(formula, radon, seed=2)
    yield took("second fit")
    _ = fit.posterior
    yield took("draws of all counties")
    fit.summary()
    yield took("summary")
