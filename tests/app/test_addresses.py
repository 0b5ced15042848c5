"""Addresses as browsers write them."""

from __future__ import annotations

import pytest

from poolwise.app.addresses import address_of, names_of


@pytest.mark.parametrize(
    ("host", "port", "address", "names"),
    [
        ("127.0.0.1", 8000, "http://127.0.0.1:8000/", {"127.0.0.1:8000", "localhost:8000"}),
        ("::1", 8000, "http://[::1]:8000/", {"[::1]:8000", "localhost:8000"}),
        ("localhost", 80, "http://localhost:80/", {"localhost:80", "localhost"}),
        ("::1", 80, "http://[::1]:80/", {"[::1]:80", "[::1]", "localhost:80", "localhost"}),
    ],
)
def test_hosts_and_ports(host, port, address, names):
    assert address_of(host, port) == address
    assert names_of(host, port) == names
