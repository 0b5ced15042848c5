"""A fit as one small file: statistics, encoding, priors and draws of the variances.

The file is a zip of NumPy arrays with one JSON text beside them; nothing in it can run code. Draws of coefficients are
not stored: they are exact given the stored draws and the seed, so they are drawn again. What a reader of the file can
learn of the data is the statistics of each group; groups of one or two rows give those rows away.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from poolwise import priors as prior_classes
from poolwise.density.layout import ParameterLayout
from poolwise.density.priors import ModelPriors
from poolwise.design import Design, Encoding
from poolwise.design.encoding import part_texts
from poolwise.design.replay import restore_specs, specs_state
from poolwise.errors import FileError
from poolwise.formula import parse
from poolwise.infer import infer
from poolwise.posterior import Model, Pooling, Posterior
from poolwise.samplers import Certificate, SamplerSettings
from poolwise.statistics import SufficientStatistics

FORMAT = 1
_PRIORS = {
    name: getattr(prior_classes, name)
    for name in ("Normal", "StudentT", "HalfNormal", "HalfStudentT", "HalfCauchy", "Exponential", "LKJ")
}


def save(posterior: Posterior, path: Path) -> None:
    """Write to a temporary name beside `path`, then move it there."""
    arrays, header = _arrays(posterior), _header(posterior)
    arrays["header"] = np.array(json.dumps(header, default=str))
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
                file.close()
                os.chmod(temporary, 0o666 & ~_umask())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise FileError(f"Cannot write '{path}': {error.strerror or error}.") from error


def _umask() -> int:
    """The permissions that this process withholds from new files; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path: Path, *, threads: int) -> Posterior:
    """Read what `save` wrote, and draw the coefficients again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(str(arrays["header"]))
    except FileNotFoundError as error:
        raise FileError(f"There is no file '{path}'.") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"'{path}' is not a poolwise fit, or it is damaged.") from error
    if not isinstance(header, dict):
        raise FileError(f"'{path}' is not a poolwise fit, or it is damaged.")
    if header.get("format") != FORMAT:
        raise FileError(
            f"'{path}' has format {header.get('format')}; this version reads format {FORMAT}. Update poolwise."
        )
    try:
        return _posterior(header, arrays, threads)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FileError(f"'{path}' is damaged: {error!r} is missing or wrong.") from error


def _arrays(posterior: Posterior) -> dict[str, np.ndarray]:
    model, statistics = posterior.model, posterior.model.statistics
    arrays = {
        "common_map": model.design.common_map,
        "group_map": model.design.group_map,
        "counts": statistics.counts,
        "origin": statistics.origin,
        "means": statistics.means,
        "scatter": statistics.scatter,
        "levels": _plain_labels(statistics.levels),
        "prior_rows": model.priors.rows,
    }
    if posterior.theta is not None:
        arrays["theta"] = posterior.theta
    return arrays


def _plain_labels(labels: np.ndarray) -> np.ndarray:
    """Labels as numbers, or as fixed-width text, which needs no pickle."""
    return labels.astype(str) if labels.dtype.kind == "O" else labels


def _header(posterior: Posterior) -> dict[str, Any]:
    model, design, priors = posterior.model, posterior.model.design, posterior.model.priors
    return {
        "format": FORMAT,
        "formula": design.formula.text,
        "response": design.response,
        "columns": design.columns,
        "coefficients": design.coefficients,
        "effects": design.effects,
        "group": design.group,
        "correlated": design.correlated,
        "statistics_columns": model.statistics.columns,
        "text_levels": model.statistics.levels.dtype.kind == "O",
        "pooling": model.pooling.value,
        "dropped": model.dropped,
        "encoding": {
            "variables": model.encoding.variables,
            "group": model.encoding.group,
            "specs": specs_state(model.encoding.specs, part_texts(design.formula)),
        },
        "priors": {
            "coefficients": [_prior_state(prior) for prior in priors.coefficients],
            "centred": priors.centred,
            "sd": [_prior_state(prior) for prior in priors.sd],
            "sigma": _prior_state(priors.sigma),
            "correlation": _prior_state(priors.correlation),
            "group": priors.group,
            "layout": asdict(priors.layout),
        },
        "seed": posterior.seed,
        "chains": posterior.chains,
        "draws": posterior.draws,
        "seconds": posterior.seconds,
        "certificate": asdict(posterior.certificate),
    }


def _prior_state(prior: Any) -> dict[str, Any]:
    return {"class": type(prior).__name__, **{name: float(value) for name, value in asdict(prior).items()}}


def _prior(state: dict[str, Any]) -> Any:
    return _PRIORS[state["class"]](**{name: value for name, value in state.items() if name != "class"})


def _posterior(header: dict[str, Any], arrays: dict[str, np.ndarray], threads: int) -> Posterior:
    levels = arrays["levels"].astype(object) if header["text_levels"] else arrays["levels"]
    design = Design(
        parse(header["formula"]),
        header["response"],
        tuple(header["columns"]),
        tuple(header["coefficients"]),
        arrays["common_map"],
        tuple(header["effects"]),
        arrays["group_map"],
        header["group"],
        levels,
        header["correlated"],
    )
    encoding = header["encoding"]
    said, layout = header["priors"], header["priors"]["layout"]
    priors = ModelPriors(
        ParameterLayout(tuple(layout["effects"]), layout["correlated"], tuple(layout["mixed"])),
        design.coefficients,
        tuple(map(_prior, said["coefficients"])),
        tuple(said["centred"]),
        arrays["prior_rows"],
        tuple(map(_prior, said["sd"])),
        _prior(said["sigma"]),
        _prior(said["correlation"]),
        said["group"],
    )
    statistics = SufficientStatistics(
        tuple(header["statistics_columns"]),
        levels,
        arrays["counts"],
        arrays["origin"],
        arrays["means"],
        arrays["scatter"],
    )
    model = Model(
        design,
        Encoding(restore_specs(encoding["specs"]), tuple(encoding["variables"]), encoding["group"], levels),
        statistics,
        priors,
        Pooling(header["pooling"]),
        header["dropped"],
    )
    settings = SamplerSettings(header["draws"], header["chains"], np.random.SeedSequence(header["seed"]))
    posterior = infer(model, settings, threads=threads, theta=arrays.get("theta"))
    certificate = Certificate(**header["certificate"])
    return Posterior(
        model,
        posterior.theta,
        posterior.beta,
        posterior.u,
        posterior.sigma,
        certificate,
        posterior.seed,
        header["seconds"],
    )
