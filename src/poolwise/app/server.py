"""The page's server: messages of a session to its desk and back.

Work runs in threads, and a message starts it without waiting for its end: Shiny lets one session at a time answer
messages, so that one that waited would hold up all others.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from shiny import App, Inputs, Outputs, Session, reactive, render, ui
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poolwise.app.asked import UPLOAD, Asked
from poolwise.app.examples import EXAMPLES
from poolwise.app.limits import Limits
from poolwise.app.maps import is_map
from poolwise.app.page import page, static_folder
from poolwise.families import FAMILIES
from poolwise.support.deadline import Deadline
from poolwise.support.errors import DataError, PoolwiseError
from poolwise.support.threads import Stopped, limited

if TYPE_CHECKING:
    from poolwise.app.desk import Desk

_LOG = logging.getLogger("poolwise.app")
_SYSTEMS = ("poolwise", "brms", "pymc", "lme4")
_DROPPED = "the-file-that-was-dropped"  # its name on this machine, for which messages have the one that it came with
_UNEXPECTED = "Something failed that should not have. What was there is kept; the server's log has more."

Said = dict[str, Any]


def make_app(
    limits: Limits | None = None,
    start: Asked | None = None,
    opened: Callable[[Desk], None] | None = None,
) -> App:
    """The page as an ASGI application.

    Parameters
    ----------
    limits : of each session.
    start : the state of a page whose address says none.
    opened : puts on the desk of each new session what is to be there.
    """
    first, bounds = start or Asked(), limits or Limits()
    talks: dict[str, _Talk] = {}  # by the word that only the session's own page knows

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        word = token_urlsafe()
        talk = talks[word] = _Talk(bounds, opened, session, first, f"upload/{word}")
        talk.listen(input)
        session.on_ended(lambda: talks.__delitem__(word))
        _downloads(talk)

    async def uploaded(request: Request) -> Response:
        talk = talks.get(request.path_params["word"])
        return Response(status_code=404) if talk is None else await talk.uploaded(request)

    app = App(ui.page_html(page()), server, static_assets={"/static": static_folder()})
    app.starlette_app.routes.insert(0, Route("/upload/{word}", uploaded, methods=["POST"]))
    return app


class _Talk:
    """One session's messages. Its methods run in the event loop; only the desk works in threads, one task at a time but
    for the steps of a judgement.
    """

    def __init__(
        self,
        limits: Limits,
        opened: Callable[[Desk], None] | None,
        session: Session,
        first: Asked,
        upload: str,
    ) -> None:
        self.limits, self.opened, self.session, self.first, self.upload = limits, opened, session, first, upload
        self._desk: Desk | None = None
        self._making = threading.Lock()
        self.withdrawn = threading.Event()
        self.turn = asyncio.Lock()
        self.tasks: set[asyncio.Task[None]] = set()
        session.on_ended(lambda: self.withdrawn.set())
        for method in ("uploadInit", "uploadEnd"):  # Shiny's uploads know no limit of size
            session.set_message_handler(method, None)

    @property
    def desk(self) -> Desk:
        """Of this session, made in a thread: what it imports takes longer than to show the page."""
        from poolwise.app.desk import Desk

        with self._making:
            if self._desk is None:
                self._desk = Desk(self.limits)
                if self.opened is not None:
                    self.opened(self._desk)
            return self._desk

    async def send(self, kind: str, said: Said) -> None:
        """A message to the page."""
        await self.session.send_custom_message(kind, said)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start work that nobody here waits for."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def work(self, task: Callable[[], Said | None], kind: str, number: int = 0) -> bool:
        """Do a task in a thread, within the session's limit of time, and send what it gives, or in a sentence why not;
        whether it was done."""

        def within() -> Said | None:
            with limited(Deadline(self.limits.seconds)):
                return task()

        try:
            async with self.turn:
                found = await asyncio.to_thread(within)
        except PoolwiseError as error:
            await self.failed(kind, str(error), number)
            return False
        except (Exception, Stopped):
            _LOG.exception("a session's request failed")
            await self.failed(kind, _UNEXPECTED, number)
            return False
        if found is not None:
            await self.send(kind, found)
        return True

    async def failed(self, kind: str, message: str, number: int = 0) -> None:
        """Tell the page in a sentence what went wrong."""
        await self.send("failed", {"number": number, "of": kind, "message": message})

    def listen(self, input: Inputs) -> None:
        """Answer what the page sends."""
        answers: dict[str, Callable[[Any], Coroutine[Any, Any, None]]] = {
            "hello": self.hello,
            "source": self.source,
            "kinds": self.kinds,
            "asked": self.asked,
            "settled": self.settled,
            "explain": self.explain,
            "pin": self.pin,
            "flips": self.flips,
            "code": self.code,
        }

        def heard(name: str, answer: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
            @reactive.effect
            @reactive.event(input[name])
            def _() -> None:
                self.begin(answer(input[name]()))

        for name, answer in answers.items():
            heard(name, answer)

    async def hello(self, query: Any) -> None:
        """A page was opened."""
        asked = Asked.of_link(query) if isinstance(query, str) and query.strip("?") else self.first
        desk = await asyncio.to_thread(lambda: self.desk)
        await self.send(
            "choices",
            {
                "examples": [{"name": name, "title": one.title} for name, one in EXAMPLES.items()],
                "files": list(desk.folder),
                "families": list(FAMILIES),
                "megabytes": self.limits.megabytes,
                "uploaded": desk.uploaded is not None,
                "upload": self.upload,
            },
        )
        await self.described(asked.source, asked)

    async def source(self, name: Any) -> None:
        """A table was chosen."""
        await self.described(str(name)[:100], None)

    async def uploaded(self, request: Request) -> Response:
        """A file in the body of a request, under the name in its header; it is read and deleted."""
        name, most = unquote(request.headers.get("x-name", ""))[:200], self.limits.megabytes * 1e6
        with tempfile.TemporaryDirectory(prefix="poolwise-upload-") as folder:
            path, size = Path(folder) / _DROPPED, 0
            with path.open("wb") as file:
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        break
                    file.write(part)
            if size > most:
                await self.failed("upload", f"A file has {self.limits.megabytes:g} MB at most here.")
            elif await self.work(lambda: self.desk.take(path, name), "upload"):
                await self.described(UPLOAD, None, keep="all" if is_map(name) else "")
        return JSONResponse({"bytes": size}, status_code=413 if size > most else 200)

    async def kinds(self, said: Any) -> None:
        """Kinds of columns were corrected."""
        if await self.work(lambda: self.desk.correct(said), "upload"):
            await self.described(UPLOAD, None, keep="formula")

    async def asked(self, said: Any) -> None:
        """A slider or the model moved."""
        self.withdraw()
        asked = await self.checked(said)
        if asked is not None:
            await self.work(lambda: self.desk.answered(asked), "answer", asked.number)

    async def settled(self, said: Any) -> None:
        """A slider rests: judge, unless something else is asked meanwhile."""
        self.withdraw()
        asked, withdrawn = await self.checked(said), self.withdrawn
        if asked is None:
            return
        try:
            for step in self.desk.judgement(asked, withdrawn):
                found = await asyncio.to_thread(step)
                if withdrawn.is_set():
                    return
                await self.send("judged", found)
            await self.send("complete", {"number": asked.number})
        except PoolwiseError as error:
            if not withdrawn.is_set():
                await self.failed("judged", str(error), asked.number)
        except (Exception, Stopped):
            _LOG.exception("a session's judgement failed")
            await self.failed("judged", _UNEXPECTED, asked.number)

    async def explain(self, said: Any) -> None:
        """A group was chosen."""
        asked = await self.checked(said.get("asked") if isinstance(said, dict) else None)
        if asked is not None:
            await self.work(lambda: self.desk.explained(str(said.get("group")), asked), "explained", asked.number)

    async def pin(self, _: Any) -> None:
        """A fit is to be kept for comparison."""
        await self.work(self.desk.pin, "pinned")

    async def flips(self, said: Any) -> None:
        """Which conclusions depend on a prior?"""
        term, number = _of_fit(said, "term")
        await self.work(lambda: {"number": number, "said": self.desk.flips(term)}, "flipped", number)

    async def code(self, said: Any) -> None:
        """The fit as a script."""
        system, number = _of_fit(said, "system")
        if system in _SYSTEMS:
            await self.work(lambda: {"number": number, "text": self.desk.code(system)}, "code", number)

    def withdraw(self) -> None:
        """Nobody waits for the judgement that is being made any more."""
        self.withdrawn.set()
        self.withdrawn = threading.Event()

    async def described(self, source: str, asked: Asked | None, *, keep: str = "") -> None:
        """Tell the page what a table has, and which state to begin with; or to keep its formula, or all."""

        def found() -> Said:
            said = self.desk.described(source)
            if asked is not None and asked.formula:
                said |= {"formula": asked.formula, "family": asked.family, "widths": dict(asked.widths)}
            return said | {"keep": keep}

        await self.work(found, "described")

    async def checked(self, said: Any) -> Asked | None:
        """The request in a message; None, and a sentence to the page, where it is none."""
        try:
            return Asked.of(said)
        except DataError as error:
            await self.failed("answer", str(error))
            return None


def _of_fit(said: Any, what: str) -> tuple[str, int]:
    """What is asked of the last fit, and the number of its request, by which the page knows whether it still is."""
    known = said if isinstance(said, dict) else {}
    number = known.get("number")
    return str(known.get(what)), number if isinstance(number, int) else 0


def _downloads(talk: _Talk) -> None:
    """What can be taken away."""

    @render.download_link(filename="poolwise.html")
    async def take_report() -> AsyncIterator[bytes]:
        yield await _written("poolwise.html", lambda path: talk.desk.report(path), talk.limits)

    @render.download_link(filename="poolwise.nc")
    async def take_draws() -> AsyncIterator[bytes]:
        yield await _written("poolwise.nc", lambda path: talk.desk.fit.to_datatree().to_netcdf(path), talk.limits)

    @render.download_link(filename="poolwise.fit")
    async def take_fit() -> AsyncIterator[bytes]:
        yield await _written("poolwise.fit", lambda path: talk.desk.fit.save(path), talk.limits)


async def _written(name: str, write: Callable[[Path], Any], limits: Limits) -> bytes:
    """What a function writes to a file, in a thread."""

    def made() -> bytes:
        with tempfile.TemporaryDirectory(prefix="poolwise-") as folder, limited(Deadline(limits.seconds)):
            write(Path(folder) / name)
            return (Path(folder) / name).read_bytes()

    return await asyncio.to_thread(made)
