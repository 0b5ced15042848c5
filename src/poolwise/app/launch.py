"""Start the page on this machine, and open it in the browser."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from poolwise.app.asked import Asked
from poolwise.app.desk import UPLOAD, Desk, Limits, read_table
from poolwise.support.errors import FileError, PoolwiseError

_MISSING = "The page needs Shiny, which is not installed: pip install 'poolwise[app]'."


def run_app(
    source: str | None = None, *, host: str = "127.0.0.1", port: int = 0, browser: bool = True,
    limits: Limits | None = None, said: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    source : a CSV or Parquet file to begin with; the radon study without.
    host, port : where it listens; any free port where the port is 0.
    browser : whether to open it.
    said : takes the line with the address.

    Raises
    ------
    FileError : for a file that is not there, or without Shiny.
    """
    try:
        import uvicorn

        from poolwise.app.server import make_app
    except ImportError as error:
        if "poolwise" in str(error.name):
            raise
        raise FileError(_MISSING) from error
    bounds, start, opened = limits or Limits(), Asked(), None
    if source is not None:
        path = Path(source)
        if not path.is_file():
            raise FileError(f"There is no file '{source}'.")
        frame = read_table(path, path.name, bounds)
        start = Asked(source=UPLOAD)

        def opened(desk: Desk) -> None:
            desk.uploaded, desk.tables = frame, 1

    app = make_app(bounds, start, opened)
    server = uvicorn.Server(uvicorn.Config(app, host, port, log_level="warning", ws_max_size=2**24))
    listening = server.config.bind_socket()
    address = f"http://{host}:{listening.getsockname()[1]}/"
    said(f"poolwise is at {address} (Ctrl-C stops it)")
    if browser:
        threading.Timer(0.3, webbrowser.open, [address]).start()
    try:
        server.run(sockets=[listening])
    except PoolwiseError:
        raise
    finally:
        listening.close()
