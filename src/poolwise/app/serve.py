"""Saved fits for many: read-only pages, and predictions as JSON. No path in a request reaches the file system.

Fits are read once, when a worker starts, and known by the names of their files; a request can name one of these and
nothing else. Nothing is kept between requests, so that workers need not know of one another.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from poolwise.api.fitted_model import Fit
from poolwise.api.fitting import load
from poolwise.app.addresses import address_of
from poolwise.evaluate.prediction_request import Kind, NewGroups
from poolwise.support.deadline import Deadline
from poolwise.support.errors import DataError, FileError, PoolwiseError, suggest
from poolwise.support.threads import limited

SUFFIX = ".fit"
_FOLDER, _LIMITS = "POOLWISE_SERVED_FOLDER", "POOLWISE_SERVED_LIMITS"
_DRAINED = 2**26  # bytes beyond the limit
_TOO_LARGE = 2**64
_MOST_LEVELS = 10_000  # of a grouping column that the schema lists


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request may take: megabytes of its body, rows, and seconds."""

    megabytes: float = 20.0
    rows: int = 200_000
    seconds: float = 30.0


def serving(folder: Path, bounds: Bounds) -> Starlette:
    """The application that serves the saved fits in a folder.

    Raises
    ------
    FileError : where there is no folder, no fit in it, or a file that is damaged.
    """
    if not folder.is_dir():
        raise FileError(f"There is no folder '{folder}'.")
    fits = {path.stem: load(path) for path in sorted(folder.glob(f"*{SUFFIX}"))}
    if not fits:
        raise FileError(f"'{folder}' has no saved fit: fit.save('{folder}/name{SUFFIX}') writes one.")
    table = _Table(fits, bounds)
    return Starlette(
        routes=[
            Route("/", table.index),
            Route("/fits/{name}", table.page),
            Route("/fits/{name}/schema", table.schema),
            Route("/fits/{name}/predict", table.predict, methods=["POST"]),
            Route("/predict", table.predict, methods=["POST"]),
        ]
    )


def from_environment() -> Starlette:
    """The same in a worker, which knows its folder and its bounds from the process that started it."""
    return serving(Path(os.environ[_FOLDER]), Bounds(*json.loads(os.environ[_LIMITS])))


def run(
    folder: Path, *, host: str, port: int, workers: int, bounds: Bounds, said: Callable[[str], None] = print
) -> None:
    """Serve until Ctrl-C.

    Raises
    ------
    FileError : as `serving`.
    """
    import uvicorn

    serving(folder, bounds)  # what is wrong with the folder is said before workers start
    said(f"Fits are at {address_of(host, port)} (Ctrl-C stops it)")
    os.environ[_FOLDER] = str(folder.resolve())
    os.environ[_LIMITS] = json.dumps([bounds.megabytes, bounds.rows, bounds.seconds])
    uvicorn.run(
        "poolwise.app.serve:from_environment", factory=True, host=host, port=port, workers=workers, log_level="warning"
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """The fits by name, and the answers to requests."""

    fits: Mapping[str, Fit]
    bounds: Bounds

    async def index(self, request: Request) -> Response:
        """The list of fits."""
        lines = "".join(
            f'<li><a href="fits/{quote(name, safe="")}">{escape(name)}</a>: <code>{escape(fit.formula)}</code></li>'
            for name, fit in self.fits.items()
        )
        return _page("Fits", f"<h1>Fits</h1><ul>{lines}</ul>")

    async def page(self, request: Request) -> Response:
        """One fit: its table, certificate, priors, and where predictions are."""
        name, fit = self._named(request)
        if fit is None:
            return _refused(404, self._unknown(name))
        priors = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in fit.priors.items())
        where = f"/fits/{quote(name, safe='')}"
        body = (
            f"<h1>{escape(name)}</h1>{fit._repr_html_()}<h2>Priors</h2><table>{priors}</table>"
            f'<h2>Predictions</h2><p><code>POST {where}/predict</code>; <a href="{where}/schema">what it takes</a>.</p>'
        )
        return _page(name, body)

    async def schema(self, request: Request) -> Response:
        """What predictions of a fit take, as JSON."""
        name, fit = self._named(request)
        if fit is None:
            return _refused(404, self._unknown(name))
        return JSONResponse({"fit": name, **schema_of(fit, self.bounds)})

    async def predict(self, request: Request) -> Response:
        """Predictions for the rows in the body."""
        parts, size, most = [], 0, self.bounds.megabytes * 1e6
        async for part in request.stream():
            size += len(part)
            if size <= most:  # the rest is read too, up to a bound, so that the answer is heard
                parts.append(part)
            if size > most + _DRAINED:
                break
        if size > most:
            return _refused(413, f"A request has {self.bounds.megabytes:g} MB at most.")
        try:
            said = json.loads(b"".join(parts))
        except (ValueError, RecursionError):
            return _refused(400, "The body is no JSON, or is nested too deeply.")
        if not isinstance(said, dict):
            return _refused(400, "The body is an object with 'columns' or 'rows'.")
        name = (
            request.path_params.get("name") or said.get("fit") or (next(iter(self.fits)) if len(self.fits) == 1 else "")
        )
        fit = self.fits.get(name) if isinstance(name, str) else None
        if fit is None:
            return _refused(404, self._unknown(str(name)[:100]))
        try:
            return JSONResponse(await asyncio.to_thread(predicted, fit, said, self.bounds))
        except PoolwiseError as error:
            return _refused(400, str(error))

    def _named(self, request: Request) -> tuple[str, Fit | None]:
        name = str(request.path_params["name"])
        return name, self.fits.get(name)

    def _unknown(self, name: str) -> str:
        return f"There is no fit '{name}'. {suggest(name, self.fits)}" if name else "Which fit? Say 'fit'."


def schema_of(fit: Fit, bounds: Bounds) -> dict[str, Any]:
    """Columns, options and bounds of predictions."""
    encoding, design = fit.result.model.encoding, fit.result.model.design
    groups = {factor.keys[0]: factor for factor in design.factors if len(factor.keys) == 1}
    known = {
        key: [str(level) for level in factor.levels] if len(factor.levels) <= _MOST_LEVELS else None
        for key, factor in groups.items()
    }
    return {
        "formula": fit.formula,
        "outcome": design.response,
        "columns": list(dict.fromkeys([*encoding.variables, *encoding.keys])),
        "groups": known,
        "kind": [kind.value for kind in Kind],
        "new_groups": [choice.value for choice in NewGroups],
        "interval": "a probability between 0 and 1, 0.9 by default",
        "most_rows": bounds.rows,
        "body": {"columns": {"name": ["value of each row"]}, "kind": "mean", "new_groups": "error", "interval": 0.9},
    }


def predicted(fit: Fit, said: Mapping[str, Any], bounds: Bounds) -> dict[str, Any]:
    """Predictions as columns of numbers, in the order of the rows.

    Raises
    ------
    DataError : for rows that are none, too many, or not what the fit takes.
    """
    columns = _columns(said)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise DataError("All columns must have the same length.")
    rows = lengths.pop()
    if rows > bounds.rows:
        raise DataError(f"A request has {bounds.rows:,} rows at most, not {rows:,}.")
    unknown = set(said) - {"fit", "rows", "columns", "kind", "new_groups", "interval", "seed"}
    if unknown:
        raise DataError(f"A request has no '{sorted(unknown)[0]}'.")
    options = {name: said[name] for name in ("kind", "new_groups", "interval", "seed") if name in said}
    for name in ("kind", "new_groups"):
        if not isinstance(options.get(name, ""), str):
            raise DataError(f"{name} must be text.")
    with limited(Deadline(bounds.seconds)):
        table = fit.predict(columns, **options)
    encoding = fit.result.model.encoding
    theirs = {*encoding.keys, *encoding.variables} & set(columns)  # of the columns in the request those that come back
    found = {str(name): table[name].to_numpy() for name in table if name not in theirs}
    return {
        "rows": rows,
        "columns": {
            name: [None if value != value else value for value in values.tolist()] for name, values in found.items()
        },
    }


def _columns(said: Mapping[str, Any]) -> dict[str, Any]:
    """The columns in a request, from columns or from rows."""
    columns, rows = said.get("columns"), said.get("rows")
    if (columns is None) == (rows is None):
        raise DataError("The body has either 'columns', {name: [values]}, or 'rows', [{name: value}].")
    if rows is not None:
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise DataError("'rows' must be a list of objects, one at least.")
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: [row.get(name) for row in rows] for name in names}
    if not isinstance(columns, dict) or not columns or not all(isinstance(values, list) for values in columns.values()):
        raise DataError("'columns' must be an object of lists, one at least.")
    found = {}
    for name, values in columns.items():
        if any(isinstance(value, (list, dict)) for value in values):
            raise DataError(f"'{name}' holds lists; a column has one number or one text in each row.")
        if any(isinstance(value, int) and abs(value) >= _TOO_LARGE for value in values):
            raise DataError(f"'{name}' holds a whole number of more than 64 bits; a column has smaller ones, or text.")
        numeric = all(
            value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values
        )
        if numeric and any(value is None or isinstance(value, float) for value in values):
            found[name] = np.array([np.nan if value is None else float(value) for value in values])
        else:
            found[name] = values
    return found


def _page(title: str, body: str) -> HTMLResponse:
    style = (files("poolwise.app") / "static" / "page.css").read_text(encoding="utf-8")
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{body}</main></body></html>",
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )


def _refused(status: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status_code=status)
