"""NUTS by nutpie, for densities that no mixture fits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.samplers.base import LogDensity, Sample, SamplerSettings
from poolwise.samplers.diagnose import certify_chains
from poolwise.samplers.mode import find_modes

_TUNE = 500


def sample_nuts(density: LogDensity, settings: SamplerSettings) -> Sample:
    """Draw (chains, draws, d) points, after 500 steps of adaptation for each chain.

    nutpie calls the density's C function where it has one, and Python where nutpie's internals have changed.
    """
    settings.progress("sampling with NUTS", 0.0)
    # Chains begin at different modes where there are several, so that R-hat can see what one of them would miss.
    starts = np.array([mode.point for mode in find_modes(density, np.random.default_rng(settings.seed))])
    with warnings.catch_warnings():
        # Importing nutpie imports an old arviz, which announces its own successor.
        warnings.simplefilter("ignore", FutureWarning)
        import nutpie

    model = _native_model(density, starts) or _python_model(density, starts)
    trace = nutpie.sample(
        model,
        draws=settings.draws,
        tune=_TUNE,
        chains=settings.chains,
        seed=int(settings.seed.generate_state(1)[0]),
        progress_bar=False,
        save_warmup=False,
    )
    points = np.asarray(trace.posterior["theta"]).reshape(settings.chains, settings.draws, density.dimension)
    return Sample(points, certify_chains(points, int(trace.sample_stats["diverging"].sum())))


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What nutpie wants of a compiled function: its address."""

    address: int


def _native_model(density: LogDensity, starts: np.ndarray) -> Any | None:
    """The density through nutpie's type for C functions, or None: it is internal to nutpie and may change."""
    from poolwise.samplers.identity import identity_callback

    native = density.native()
    if native is None:
        return None
    d = density.dimension
    try:
        from nutpie.compile_pymc import CompiledPyMCModel

        model = CompiledPyMCModel(
            dims={},
            compiled_logp_func=_Compiled(native.address),
            compiled_expand_func=_Compiled(identity_callback.address),
            initial_point_func=_jittered(starts),
            shared_data={},
            user_data=native.words,
            n_expanded=d,
            shape_info=(["theta"], [slice(0, d)], [(d,)]),
            logp_func=native,
            expand_func=None,
            _n_dim=d,
            _shapes={"theta": (d,)},
            _coords={},
        )
        model._make_model(None)
    except (ImportError, TypeError, AttributeError, ValueError):
        return None
    return model


def _python_model(density: LogDensity, starts: np.ndarray) -> Any:
    """The density through nutpie's public interface: some ten times slower, but promised."""
    from nutpie.compiled_pyfunc import from_pyfunc

    d = density.dimension
    return from_pyfunc(
        d,
        lambda: density.value_and_gradient,
        lambda *_: lambda point: {"theta": np.asarray(point)},
        [np.dtype("float64")],
        [(d,)],
        ["theta"],
        make_initial_point_fn=_jittered(starts),
    )


def _jittered(starts: np.ndarray) -> Any:
    def at(seed: int | None) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return rng.choice(starts) + 0.3 * rng.standard_normal(starts.shape[1])

    return at
