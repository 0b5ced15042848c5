"""The page's server: messages of a session to its desk and back. Work runs in threads, so that sessions do not wait."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from shiny import App, Inputs, Outputs, Session, reactive, render, ui
from shiny.types import FileInfo

from poolwise.app.asked import Asked
from poolwise.app.desk import UPLOAD, Desk, Limits
from poolwise.app.examples import EXAMPLES
from poolwise.app.page import page, static_folder
from poolwise.families import FAMILIES
from poolwise.support.errors import DataError, PoolwiseError
from poolwise.support.threads import Stopped

_LOG = logging.getLogger("poolwise.app")
_SYSTEMS = ("poolwise", "brms", "pymc", "lme4")
_UNEXPECTED = "Something failed that should not have. What was there is kept; the server's log has more."


def make_app(
    limits: Limits | None = None, start: Asked | None = None, opened: Callable[[Desk], None] | None = None
) -> App:
    """The page as an ASGI application.

    Parameters
    ----------
    limits : of each session.
    start : the state of a page whose address says none.
    opened : puts a table on the desk of each new session.
    """
    first, bounds = start or Asked(), limits or Limits()

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        desk = Desk(bounds)
        if opened is not None:
            opened(desk)
        _Talk(desk, session, first).listen(input)
        _downloads(desk)

    return App(ui.page_html(page()), server, static_assets={"/static": static_folder()})


class _Talk:
    """One session's messages. Its methods run in the event loop; only the desk works in threads."""

    def __init__(self, desk: Desk, session: Session, first: Asked) -> None:
        self.desk, self.session, self.first = desk, session, first
        self.withdrawn = threading.Event()
        self.judging: asyncio.Task[None] | None = None
        session.on_ended(lambda: self.withdrawn.set())

    async def send(self, kind: str, said: dict[str, Any]) -> None:
        """A message to the page."""
        await self.session.send_custom_message(kind, said)

    async def work(self, task: Callable[[], dict[str, Any] | None], kind: str, number: int = 0) -> None:
        """Do a task in a thread and send what it gives, or in a sentence why not."""
        try:
            found = await asyncio.to_thread(task)
        except PoolwiseError as error:
            await self.send("failed", {"number": number, "of": kind, "message": str(error)})
        except Exception:
            _LOG.exception("a session's request failed")
            await self.send("failed", {"number": number, "of": kind, "message": _UNEXPECTED})
        except Stopped:
            return
        else:
            if found is not None:
                await self.send(kind, found)

    def listen(self, input: Inputs) -> None:
        """Answer what the page sends."""

        @reactive.effect
        @reactive.event(input.hello)
        async def _() -> None:
            query = str(input.hello())
            asked = Asked.of_link(query) if query.strip("?") else self.first
            await self.send("choices", {
                "examples": [{"name": name, "title": one.title} for name, one in EXAMPLES.items()],
                "families": list(FAMILIES),
                "megabytes": self.desk.limits.megabytes,
                "uploaded": self.desk.uploaded is not None,
            })  # fmt: skip
            await self.described(asked.source, asked)

        @reactive.effect
        @reactive.event(input.source)
        async def _() -> None:
            await self.described(str(input.source()), None)

        @reactive.effect
        @reactive.event(input.upload)
        async def _() -> None:
            files: list[FileInfo] | None = input.upload()
            if files:
                path, name = Path(files[0]["datapath"]), str(files[0]["name"])

                def taken() -> None:
                    try:
                        self.desk.take(path, name)
                    finally:
                        path.unlink(missing_ok=True)

                if await self.done(taken, "upload"):
                    await self.described(UPLOAD, None)

        @reactive.effect
        @reactive.event(input.kinds)
        async def _() -> None:
            kinds = {str(name): str(kind) for name, kind in dict(input.kinds()).items()}
            if await self.done(lambda: self.desk.correct(kinds), "upload"):
                await self.described(UPLOAD, None, keep=True)

        @reactive.effect
        @reactive.event(input.asked)
        async def _() -> None:
            self.withdraw()
            asked = await self.checked(input.asked())
            if asked is not None:
                await self.work(lambda: self.desk.answered(asked), "answer", asked.number)

        @reactive.effect
        @reactive.event(input.settled)
        async def _() -> None:
            self.withdraw()
            asked = await self.checked(input.settled())
            if asked is not None:
                withdrawn = self.withdrawn
                self.judging = asyncio.create_task(self.judged(asked, withdrawn))

        @reactive.effect
        @reactive.event(input.explain)
        async def _() -> None:
            said = dict(input.explain())
            asked = await self.checked(said.get("asked"))
            if asked is not None:
                await self.work(lambda: self.desk.explained(str(said.get("group")), asked), "explained", asked.number)

        @reactive.effect
        @reactive.event(input.pin)
        async def _() -> None:
            await self.work(self.desk.pin, "pinned")

        @reactive.effect
        @reactive.event(input.flips)
        async def _() -> None:
            term = str(input.flips())
            await self.work(lambda: {"term": term, "said": self.desk.flips(term)}, "flipped")

        @reactive.effect
        @reactive.event(input.code)
        async def _() -> None:
            system = str(input.code())
            if system in _SYSTEMS:
                await self.work(lambda: {"system": system, "text": self.desk.code(system)}, "code")

    def withdraw(self) -> None:
        """Nobody waits for the judgement that is being made any more."""
        self.withdrawn.set()
        self.withdrawn = threading.Event()

    async def judged(self, asked: Asked, withdrawn: threading.Event) -> None:
        """Judge, unless something else is asked meanwhile."""
        try:
            for step in self.desk.judgement(asked, withdrawn):
                found = await asyncio.to_thread(step)
                if withdrawn.is_set():
                    return
                await self.send("judged", found)
            await self.send("complete", {"number": asked.number})
        except PoolwiseError as error:
            if not withdrawn.is_set():
                await self.send("failed", {"number": asked.number, "of": "judged", "message": str(error)})
        except Exception:
            _LOG.exception("a session's request failed")
            await self.send("failed", {"number": asked.number, "of": "judged", "message": _UNEXPECTED})

    async def described(self, source: str, asked: Asked | None, *, keep: bool = False) -> None:
        """Tell the page what a table has, and which state to begin with."""

        def found() -> dict[str, Any]:
            said = self.desk.described(source)
            if asked is not None and asked.formula:
                said |= {"formula": asked.formula, "family": asked.family, "widths": dict(asked.widths)}
            return said | {"keep": keep}

        await self.work(found, "described")

    async def done(self, task: Callable[[], None], kind: str) -> bool:
        """Whether a task was done; else the page is told why not."""
        failed = True

        def tried() -> None:
            nonlocal failed
            task()
            failed = False

        await self.work(tried, kind)
        return not failed

    async def checked(self, said: object) -> Asked | None:
        """The request in a message; None, and a sentence to the page, where it is none."""
        try:
            return Asked.of(said)  # type: ignore[arg-type]  # it is looked at there
        except DataError as error:
            await self.send("failed", {"number": 0, "of": "answer", "message": str(error)})
            return None


def _downloads(desk: Desk) -> None:
    """What can be taken away."""

    @render.download_link(filename="poolwise.html")
    async def take_report() -> AsyncIterator[bytes]:
        yield await _written("poolwise.html", desk.report)

    @render.download_link(filename="poolwise.nc")
    async def take_draws() -> AsyncIterator[bytes]:
        yield await _written("poolwise.nc", lambda path: desk.fit.to_datatree().to_netcdf(path))

    @render.download_link(filename="poolwise.fit")
    async def take_fit() -> AsyncIterator[bytes]:
        yield await _written("poolwise.fit", desk.fit.save)


async def _written(name: str, write: Callable[[Path], Any]) -> bytes:
    """What a function writes to a file, in a thread."""

    def made() -> bytes:
        with tempfile.TemporaryDirectory(prefix="poolwise-") as folder:
            write(Path(folder) / name)
            return (Path(folder) / name).read_bytes()

    return await asyncio.to_thread(made)
