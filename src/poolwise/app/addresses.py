"""Where the page and the fits are found, as browsers write it."""

from __future__ import annotations

_PLAIN = 80  # the port that browsers leave out


def address_of(host: str, port: int) -> str:
    """The address of a server."""
    return f"http://{_bracketed(host)}:{port}/"


def names_of(host: str, port: int) -> frozenset[str]:
    """What browsers of this machine say in `Host` where they look for a server by that host, or by `localhost`."""
    hosts = {_bracketed(host), "localhost"}
    return frozenset({f"{name}:{port}" for name in hosts} | (hosts if port == _PLAIN else set()))


def _bracketed(host: str) -> str:
    """Addresses of the sixth version of the protocol hold colons, and stand in brackets."""
    return f"[{host}]" if ":" in host else host
