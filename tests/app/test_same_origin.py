"""Who may talk to the page's server."""

from __future__ import annotations

import asyncio

import pytest

from poolwise.app.same_origin import same_origin


def answer(kind, headers, hosts=("127.0.0.1:8000", "localhost:8000")):
    """What is sent to a request."""
    sent = []

    async def inner(scope, receive, send):
        await send({"type": "reached"})

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    asyncio.run(same_origin(inner, hosts)(scope, receive, send))
    return sent[0]["type"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_other_pages_and_other_names_are_refused(kind):
    refused = {"http": "http.response.start", "websocket": "websocket.close"}[kind]
    here = {"Host": "127.0.0.1:8000"}
    assert answer(kind, here) == "reached"
    assert answer(kind, here | {"Origin": "http://127.0.0.1:8000"}) == "reached"
    assert answer(kind, {"Host": "localhost:8000", "Origin": "http://localhost:8000"}) == "reached"
    for other in ("http://evil.example", "http://localhost:8000", "http://127.0.0.1:9000", "null"):
        assert answer(kind, here | {"Origin": other}) == refused
    assert answer(kind, {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}) == refused
    assert answer(kind, {}) == refused
    assert answer(kind, {"Host": "any.example", "Origin": "http://any.example"}, ()) == "reached"
    assert answer("lifespan", {}) == "reached"
