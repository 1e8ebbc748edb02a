"""Who gets in: the user of a request, and whether a request is one that the inspector's own pages make."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.authentication import AuthenticationBackend, AuthenticationError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ..errors import ConfigurationError
from ..signatures.secrets import is_same

Auth = Callable[[Request], Any] | AuthenticationBackend | Middleware
"""What tells the user of a request: see `Inspector`."""
Gate = Callable[[Request], Awaitable[str | Response]]
"""Returns the name of a request's user, or the response that keeps it out."""

COOKIE = "webhook_inspector"
"""The name of the cookie that a form repeats: a page of another site neither reads nor sends it."""
TOKEN = "token"  # noqa: S105 - the name of a field
_SAFE = frozenset(("GET", "HEAD"))
_MISSING = (
    "an Inspector that is mounted needs auth=..., or whoever reaches the app would see every delivery: "
    'auth=PasswordFile("inspector.passwd"), a function of the request that returns the name of the user or None, or a '
    "Starlette authentication backend. Without any:  webhook-receiver inspect URL  on your own machine"
)


def gate_of(auth: Auth | None) -> Gate:
    """Return the gate of `Inspector(auth=...)`.

    Raises:
        ConfigurationError: there is none, or it is nothing that tells a user.
    """
    if auth is None:
        raise ConfigurationError(_MISSING)
    if isinstance(auth, type):
        raise ConfigurationError(f"auth=... takes an object, not the class {auth.__name__}: auth={auth.__name__}(...)")
    if isinstance(auth, Middleware):
        return _user_of_scope
    if isinstance(auth, AuthenticationBackend):
        return _Backend(auth)
    given: object = auth
    if not callable(given):
        raise ConfigurationError(
            "auth=... takes a function of the request, a Starlette authentication backend or middleware, or "
            f"PasswordFile(path), not {type(given).__name__}"
        )
    return _Function(auth)


class _Function:
    """The gate of a function of the request."""

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self._function = function

    async def __call__(self, request: Request) -> str | Response:
        found = self._function(request)
        found = await found if inspect.isawaitable(found) else found
        return found if isinstance(found, Response) else _name_of(found)


class _Backend:
    """The gate of an authentication backend of Starlette's."""

    def __init__(self, backend: AuthenticationBackend) -> None:
        self._backend = backend

    async def __call__(self, request: Request) -> str | Response:
        try:
            found = await self._backend.authenticate(request)
        except AuthenticationError:
            found = None
        return _name_of(None if found is None else found[1])


async def _user_of_scope(request: Request) -> str | Response:
    """Return the user whom a middleware has found."""
    return _name_of(request.scope.get("user"))


def _name_of(found: object) -> str | Response:
    """Return the name of a user: a text, True for one without a name, or a user of Starlette's."""
    if isinstance(found, str) and found:
        return found
    if found is True:
        return "somebody"
    if getattr(found, "is_authenticated", False) is True:
        try:
            return str(getattr(found, "display_name", "")) or "somebody"
        except NotImplementedError:  # of BaseUser
            return "somebody"
    return PlainTextResponse("this is for users who are let in", 403)


def stranger(request: Request) -> str | None:
    """Return why a request is kept out, since a page of another site makes it; None for our own, and for links to us.

    By Fetch Metadata (w3.org/TR/fetch-metadata) where the browser sends it, else by Origin (RFC 6454). A request that
    changes something has to have one of them.
    """
    site = request.headers.get("sec-fetch-site")
    if request.method in _SAFE:
        is_link = (request.headers.get("sec-fetch-mode"), request.headers.get("sec-fetch-dest")) == (
            "navigate",
            "document",
        )
        if site in (None, "same-origin", "none") or is_link:
            return None
        return "a page of another site asks for this"
    if site is not None:
        return None if site == "same-origin" else "a page of another site sends this"
    origin = request.headers.get("origin")
    if origin is None:
        return "a browser says by Origin or Sec-Fetch-Site which page sends this, and this request does not"
    return None if is_own_origin(request, origin) else "a page of another site sends this"


def is_own_origin(request: Request, origin: str) -> bool:
    """Return whether an Origin is the host that the request is to."""
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""
    except ValueError:
        return False


def token_of(request: Request) -> tuple[str, bool]:
    """Return the token that the forms of a response have, and whether the cookie with it is new."""
    found = request.cookies.get(COOKIE, "")
    is_one = len(found) == 43 and found.isascii() and found.replace("-", "").replace("_", "").isalnum()
    return (found, False) if is_one else (secrets.token_urlsafe(32), True)


def has_token(request: Request, given: str) -> bool:
    """Return whether a form has the token of the request's cookie."""
    expected, is_new = token_of(request)
    return not is_new and is_same(expected.encode(), given.encode("utf-8", "surrogatepass"))
