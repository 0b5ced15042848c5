"""Only the page itself may talk to its server: other pages in the same browser could, by its address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def same_origin(inner: Application, hosts: Collection[str] = ()) -> Application:
    """An ASGI application that refuses requests from the pages of other origins, and under other names than `hosts`.

    Browsers say in `Origin` which page a request comes from, of WebSockets too, and in `Host` the name that they looked
    for, which guards against names that are made to lead to this machine. Without `hosts` any name will do.
    """

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _allowed(scope, hosts):
            await inner(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            said = b"This page is for the address that the terminal shows."
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": said})

    return application


def _allowed(scope: Message, hosts: Collection[str]) -> bool:
    headers = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get(b"host", ""), headers.get(b"origin")
    return (not hosts or host in hosts) and (origin is None or urlsplit(origin).netloc == host)
