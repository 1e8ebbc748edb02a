"""The loopback: whose requests come from this machine, and are meant for it."""

from __future__ import annotations

import getpass
import os
from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))
_PROXIES = ("forwarded", "via", "x-real-ip", "x-forwarded-")
"""Beginnings of the names of headers that a proxy adds, and no browser."""


def is_loopback_peer(request: Request) -> bool:
    """Return whether the peer of a request is on this machine: on the loopback, or at a Unix socket."""
    if request.client is None:
        return True
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:  # as of a test client
        return False


def is_loopback_name(host: str) -> bool:
    """Return whether a Host header names the loopback, with or without a port."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    return name.lower() in _NAMES and (not colon or host.endswith("]") or port.isdigit())


async def on_loopback(request: Request) -> str | Response:
    """Let in whoever is on this machine, for a server that listens on the loopback alone.

    A page of a stranger's in the same browser reaches the loopback, too, by a name of his own that resolves to it (DNS
    rebinding): so the request has to name the loopback. So does whoever reaches a proxy on this machine: a request that
    a proxy says it has passed on is kept out.

    Returns:
        The name of the user who runs this process; the response to a request from elsewhere, or with another name.
    """
    if not is_loopback_name(request.headers.get("host", "")):
        said = "the inspector is at 127.0.0.1 and localhost only: another name could be that of a stranger's page"
        return PlainTextResponse(said, 403)
    if not is_loopback_peer(request):
        return PlainTextResponse("the inspector is there for this machine only", 403)
    if (header := next((name for name in request.headers if name.startswith(_PROXIES)), None)) is not None:
        said = (
            f"a proxy has passed this on, as its header {header} says, and whoever reaches the proxy would get in: "
            "open the inspector without the proxy, or run  webhook-receiver inspect  with --passwords FILE"
        )
        return PlainTextResponse(said, 403)
    return user()


def user() -> str:
    """Return the name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return f"user {os.getuid()}"
