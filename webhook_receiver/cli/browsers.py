"""Browsers at an API of this machine: a page of a stranger's must not use it.

The simulator takes requests of programs without a password, and knows the secret of its webhook. Any page that is open
in a browser on this machine can send requests to the loopback, and read the answers where it makes a name of its own
resolve to it (DNS rebinding).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..inspector.gate import is_own_origin
from ..inspector.loopback import is_loopback_name

_OWN = (None, "same-origin", "none")
"""Sec-Fetch-Site (w3.org/TR/fetch-metadata) of a program, of our own page, and of an address that was typed."""


class NoStrangersPages:
    """An app that is asked by programs and by its own pages alone.

    Args:
        app: the app.
        loopback: whether it is served on the loopback alone, so that requests name the loopback.
    """

    def __init__(self, app: ASGIApp, *, loopback: bool) -> None:
        self._app = app
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and (why := self._refused(Request(scope))) is not None:
            await PlainTextResponse(f"kept out: {why}", 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refused(self, request: Request) -> str | None:
        origin = request.headers.get("origin")
        if self._loopback and not is_loopback_name(request.headers.get("host", "")):
            return "this is at 127.0.0.1 and localhost only: another name could be that of a stranger's page"
        is_own = origin is None or is_own_origin(request, origin)
        if not is_own or request.headers.get("sec-fetch-site") not in _OWN:
            return "a page of another site asks for this"
        return None
