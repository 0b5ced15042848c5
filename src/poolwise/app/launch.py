"""Start the page on this machine, and open it in the browser."""

from __future__ import annotations

import contextlib
import socket
import threading
import webbrowser
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from poolwise.app.addresses import address_of, names_of
from poolwise.app.asked import UPLOAD, Asked
from poolwise.app.limits import Limits
from poolwise.app.uploads import read_table
from poolwise.support.errors import DataError, FileError

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.app.desk import Desk
    from poolwise.app.workers import Workers

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MISSING = "The page needs Shiny, which is not installed: pip install 'poolwise[app]'."


def run_app(
    source: str | None = None, *, host: str = "127.0.0.1", port: int = 0, browser: bool = True, workers: int = 0,
    folder: str | None = None, limits: Limits | None = None, said: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    source : a CSV or Parquet file to begin with; the radon study without.
    host, port : where it listens; any free port where the port is 0.
    browser : whether to open it.
    workers : processes that answer while sliders move, for many sessions at a time; 0 for this process alone.
    folder : of CSV and Parquet files of this machine that every session may fit; none without.
    said : takes the line with the address.

    Raises
    ------
    FileError : for a file that is not there, an address that cannot be had, or without Shiny.
    """
    check_shiny()
    bounds, start, frame = limits or Limits(), Asked(), None
    if workers < 0:
        raise DataError(f"workers is a number of processes, not {workers}.")
    if source is not None:
        path = Path(source)
        if not path.is_file():
            raise FileError(f"There is no file '{source}'.")
        frame = read_table(path, path.name, bounds)
        start = Asked(source=UPLOAD)
    files = {} if folder is None else _files(folder)
    with _listening(host, port) as listening:
        taken = listening.getsockname()[1]
        address = address_of(host, taken)
        said(f"poolwise is at {address} (Ctrl-C stops it)")
        if browser:
            threading.Timer(0.0, webbrowser.open, [address]).start()
        import uvicorn

        from poolwise.app.same_origin import same_origin
        from poolwise.app.server import make_app

        names = names_of(host, taken) if host in _LOOPBACK else ()
        with contextlib.ExitStack() as stack:
            page = same_origin(make_app(bounds, start, _opening(frame, files, workers, stack)), names)
            config = uvicorn.Config(page, log_level="warning", ws_max_size=2**20)
            uvicorn.Server(config).run(sockets=[listening])


def _files(folder: str) -> Mapping[str, Path]:
    from poolwise.app.folder import files_in

    return files_in(folder)


def _opening(
    frame: pd.DataFrame | None, files: Mapping[str, Path], workers: int, stack: contextlib.ExitStack
) -> Callable[[Desk], None]:
    """Puts the table on the desk of a new session, and the files and processes that all sessions share."""
    shared: Workers | None = None
    if workers:
        from poolwise.app.workers import Workers

        shared = Workers(workers)
        stack.callback(shared.stop)

    def opened(desk: Desk) -> None:
        desk.workers, desk.folder = shared, files
        if frame is not None:
            desk.uploaded, desk.tables = frame, 1

    return opened


def check_shiny() -> None:
    """Say what to install where Shiny, and the servers that come with it, are missing.

    Raises
    ------
    FileError : without them.
    """
    if find_spec("shiny") is None:
        raise FileError(_MISSING)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens already: a browser that comes before the server is ready waits.

    Raises
    ------
    FileError : for an address that cannot be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise FileError(f"Cannot listen at {host}, port {port}: {error.strerror or error}.") from error
