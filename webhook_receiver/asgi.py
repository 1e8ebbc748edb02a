"""The ASGI parts of an app: a bounded body, the lifespan protocol, a route with and without a final slash."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Annotated, Any, Never, NoReturn
from urllib.parse import quote, urlsplit

from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from .delivery import Headers, RequestHead
from .errors import (
    BodyIncomplete,
    BodyTooLarge,
    BodyTooSlow,
    ConfigurationError,
    InvalidContentLength,
    Overloaded,
    UnsupportedEncoding,
)
from .options import is_number

MAX_BODIES = 64 * 1024 * 1024
"""The number of bytes that all the bodies being read may have together, by default."""
MAX_DRAINED = 64 * 1024
"""The number of bytes of a rejected body that are read before the response."""
DRAIN_TIMEOUT = 1.0
"""The number of seconds for which the rest of a rejected body is read before the response."""

_SWEEPS = 8
"""The number of times that the timer checks a body within its time-out."""


_OF_BODIES = frozenset((b"content-length", b"content-encoding"))

_NONE_CAME = "; none of it came: a middleware before the receiver may have read it"

_AUTHORITY = re.compile(rb"https?://[^/]*", re.IGNORECASE)

_IN_PATHS = "/:@!$&'()*+,;=~-._"
"""The characters that a path may hold as they are (RFC 3986, section 3.3)."""


def check_asyncio() -> None:
    """Check that asyncio runs.

    Raises:
        ConfigurationError: another event loop does.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "a receiver needs asyncio, and another event loop runs here, such as trio: serve the app with uvicorn, or "
            "with  hypercorn -k asyncio"
        ) from None


def request_head(scope: Scope, url: str | None) -> RequestHead:
    """Return the head of a request.

    The headers are copied before the body is read, since a server may append trailers to its own list. White space
    around a value is no part of it (RFC 9110, section 5.5), and not every server removes it. The target is `raw_path`
    and `query_string` of the scope (ASGI's HTTP specification); of a server that does not know the path as it was
    sent, `path` is percent-encoded anew. A URL in its place (RFC 9112, section 3.2.2), which some servers pass on as
    the path, becomes its path.

    Args:
        scope: the ASGI scope of an HTTP request.
        url: the absolute URL that the sender posts to, if it is known.
    """
    target = scope.get("raw_path") or _quoted(scope["path"])
    if target[:1] != b"/":
        target = _without_authority(target)
    if scope.get("query_string"):
        target = b"%b?%b" % (target, scope["query_string"])
    # As RequestHead(...) does it, in half the time.
    headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
    client = scope.get("client")
    parts = (scope["method"], target, headers, url, client[0] if client else None)
    return tuple.__new__(RequestHead, parts)  # pyright: ignore[reportUnknownMemberType]


def _without_authority(target: bytes) -> bytes:
    return _AUTHORITY.sub(b"", target, count=1) or b"/"


def _quoted(path: str) -> bytes:
    try:
        return quote(path, _IN_PATHS, errors="surrogateescape").encode()
    except UnicodeEncodeError:  # no server decodes to such a text, but a host may make one
        return quote(path, _IN_PATHS, errors="surrogatepass").encode()


class BodyReader:
    """Reads request bodies.

    One timer serves all the bodies being read: a timer each would cost a tenth of a request.

    Args:
        max_body: the largest body, in bytes.
        timeout: seconds that a body may take; up to an eighth more passes before it is given up.
        max_bodies: the number of bytes that all the bodies being read may have together; `MAX_BODIES` if None, or four
            times `max_body` if that is more. A body that comes in one piece is never waited for, and does not count
            until it is `held`.
        encodings: the values of Content-Encoding that a body may have.

    Raises:
        ConfigurationError: a limit is no positive number, or a single body may have more bytes than all together.
    """

    def __init__(
        self, max_body: int, timeout: float, max_bodies: int | None = None, *, encodings: Sequence[str] = ()
    ) -> None:
        if not isinstance(max_body, int) or max_body < 1:
            raise ConfigurationError(f"max_body is a number of bytes above 0, not {max_body!r}")
        if not is_number(timeout) or not timeout > 0:
            raise ConfigurationError(f"body_timeout is a number of seconds above 0, not {timeout!r}")
        if max_bodies is None:
            max_bodies = max(MAX_BODIES, 4 * max_body)
        if not isinstance(max_bodies, int) or max_bodies < max_body:
            raise ConfigurationError(
                f"max_bodies is a number of bytes, no smaller than max_body ({max_body}), not {max_bodies!r}"
            )
        self._encodings = frozenset((b"", b"identity", *(each.encode() for each in encodings)))
        self.max_body = max_body
        """The largest body, in bytes."""
        self._most_digits = len(str(max_body))
        self._timeout = timeout
        self._left = max_bodies
        """The number of bytes that more of the bodies being read may have."""
        self._sweeps: dict[asyncio.Task[object], int] = {}
        """The number of sweeps that each reading task has seen."""
        self._due: set[asyncio.AbstractEventLoop] = set()
        """The event loops in which a sweep is due: one as a rule, but tests and threads have others."""

    def check_headers(self, headers: Headers) -> None:
        """Check a body by its headers, before it is read.

        Raises:
            InvalidContentLength: Content-Length is not a number.
            BodyTooLarge: Content-Length is more than `max_body`.
            UnsupportedEncoding: the body is compressed in a way that the sender does not declare.
        """
        for name, value in headers:
            if name in _OF_BODIES:  # few are: that is quicker than a dict of all
                if name == b"content-encoding":
                    if value.lower() not in self._encodings:
                        raise UnsupportedEncoding("the body is compressed")
                elif not value.isdigit():
                    raise InvalidContentLength("Content-Length is not a number")
                elif len(value) >= self._most_digits and int(value[:20]) > self.max_body:
                    raise BodyTooLarge(f"Content-Length is more than {self.max_body}")

    async def read(self, receive: Receive) -> bytes:
        """Return the request's body. Its size is checked while more of it is to come; see `check_body` for the end.

        Raises:
            BodyIncomplete: the client disconnected before the body's end.
            BodyTooLarge: the body has more than `max_body` bytes, and has not ended yet.
            BodyTooSlow: the body took longer than the time-out.
            Overloaded: all the bodies being read have more than `max_bodies` bytes.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None, "ASGI servers run an app in a task"  # noqa: S101 - for the type checkers
        if loop not in self._due:
            self._due = {each for each in self._due if not each.is_closed()}
            self._sweep_later(loop)
        self._sweeps[task] = 0
        body: bytes | bytearray = b""
        try:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _gone(body)
            body = message.get("body", b"")
            if message.get("more_body"):
                body = bytearray(body)  # one buffer: a list of chunks of one byte each would be fifty times as large
                await self._read_rest(body, receive)
            return bytes(body)
        except asyncio.CancelledError:
            if self._sweeps[task] <= _SWEEPS or task.uncancel():
                raise
            raise BodyTooSlow(f"the body took more than {self._timeout:g} s{'' if body else _NONE_CAME}") from None
        finally:
            del self._sweeps[task]

    async def _read_rest(self, body: bytearray, receive: Receive) -> None:
        counted = 0
        more = True
        try:
            while more:
                self._check_size(body)
                self._count(len(body) - counted)
                counted = len(body)
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _gone(body)
                body += message.get("body", b"")
                more = message.get("more_body", False)
        finally:
            self._left += counted

    def _count(self, size: int) -> None:
        if size > self._left:
            raise Overloaded(
                "the bodies that are being read, or wait for keys, have too many bytes together (max_bodies)"
            )
        self._left -= size

    @contextmanager
    def held(self, body: bytes, *, must: bool) -> Generator[None]:
        """Count a body that was read while its verification waits for keys.

        Args:
            body: the body.
            must: whether it is held however many others are, since it waits for keys that are known already.

        Raises:
            Overloaded: all the bodies being read or held have more than `max_bodies` bytes.
        """
        if must:
            self._left -= len(body)
        else:
            self._count(len(body))
        try:
            yield
        finally:
            self._left += len(body)

    async def drain(self, error: Exception, headers: Headers, receive: Receive) -> bool:
        """Read and drop what is left of the body of a request that is rejected; return whether it ended.

        A proxy that still sends the body takes an earlier response for a failure, and answers the sender with one of
        its own. No more than `MAX_DRAINED` bytes are read, for no more than `DRAIN_TIMEOUT` seconds. Nothing is read
        if the client expects a "100 Continue", since reading would call for the body (RFC 9110, section 10.1.1).

        Args:
            error: the reason of the rejection. Of a body that was too slow, no more is waited for.
            headers: the headers of the request.
            receive: ASGI's receive.
        """
        if isinstance(error, BodyTooSlow) or self._left < MAX_DRAINED or _expects_to_be_called(headers):
            return False
        self._left -= MAX_DRAINED
        size = 0
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while size <= MAX_DRAINED:
                    message = await receive()
                    size += len(message.get("body", b""))
                    if not message.get("more_body"):  # nor has a disconnect
                        return True
        except TimeoutError:
            pass
        finally:
            self._left += MAX_DRAINED
        return False

    def check_body(self, headers: Headers, body: bytes) -> None:
        """Check the size of a body that was read.

        Raises:
            BodyIncomplete: it is empty, and its headers announce some bytes.
            BodyTooLarge: it has more than `max_body` bytes.
        """
        self._check_size(body)
        if not body and any(name == b"content-length" and value.strip(b"0") for name, value in headers):
            raise BodyIncomplete(f"Content-Length announces a body{_NONE_CAME}")

    def _check_size(self, body: bytes | bytearray) -> None:
        if len(body) > self.max_body:
            raise BodyTooLarge(f"the body has more than {self.max_body} bytes")

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due.add(loop)
        loop.call_later(self._timeout / _SWEEPS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due.discard(loop)
        reading = [(task, seen) for task, seen in list(self._sweeps.items()) if task.get_loop() is loop]
        for task, seen in reading:
            self._sweeps[task] = seen + 1
            if seen == _SWEEPS:
                task.cancel()
        if reading:
            self._sweep_later(loop)


def _expects_to_be_called(headers: Headers) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def _gone(body: bytes | bytearray) -> BodyIncomplete:
    return BodyIncomplete(f"the client went away before the end of the body{'' if body else _NONE_CAME}")


async def live(app: AbstractAsyncContextManager[object], name: str, receive: Receive, send: Send) -> None:
    """Run the ASGI lifespan protocol: enter `app` at startup, exit it at shutdown, and report an error to the server.

    Args:
        app: the context manager to enter and exit.
        name: the app's name, for the messages.
        receive: ASGI's receive.
        send: ASGI's send.
    """
    await receive()
    try:
        await app.__aenter__()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": f"{name} cannot start: {error}"})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await app.__aexit__(None, None, None)
    except Exception as error:
        await send({"type": "lifespan.shutdown.failed", "message": f"{name} cannot stop: {error}"})
        return
    await send({"type": "lifespan.shutdown.complete"})


OPTIONAL_SLASH = "{_:optional_slash}"
"""The end of the path of `slash_or_not`, as Starlette writes it."""


class _OptionalSlash(Convertor[str]):
    regex = "/?"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("optional_slash", _OptionalSlash())


class _AnyFormRoute(Route):
    """A route that also matches a request whose target is a URL, where the server takes that for the path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["path"][:1] != "/":
            path = _without_authority(scope["path"].encode(errors="surrogateescape"))
            scope = {**scope, "path": path.decode(errors="surrogateescape")}
        return super().matches(scope)


def slash_or_not(path: str, app: Callable[..., object], *, name: str, methods: Sequence[str] | None = None) -> Route:
    """Return a route to an ASGI app or Starlette endpoint at `path`, with and without a final slash.

    Args:
        path: the path, which begins with a slash.
        app: the app, or a function of a request.
        name: the name of the route.
        methods: the methods; every method of an app if None.

    Raises:
        ConfigurationError: the path does not start with a slash.
    """
    if not path.startswith("/"):
        raise ConfigurationError(f"a route's path starts with a slash; {path!r} does not")
    stem = path.rstrip("/")
    return _AnyFormRoute(f"{stem}{OPTIONAL_SLASH}" if stem else "/", app, name=name, methods=methods)


def checked_url(url: str) -> str:
    """Return an absolute URL of http or https (RFC 9110, section 4.2) unchanged; reject anything else."""
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isascii() and url.isprintable() else None
        if parts and parts.scheme in ("http", "https") and parts.hostname and not parts.fragment and " " not in url:
            _ = parts.port  # rejects one that is no port
            return url
    except ValueError:
        pass
    given = "this one" if isinstance(url, str) else type(url).__name__  # its query may hold a token
    raise ConfigurationError(
        f'public_url is the URL that the sender posts to, such as "https://example.com/webhooks", not {given}: with '
        "http or https, a host, percent-encoded, without #"
    )


_AS_A_ROUTE = "give the host a route to it, as in FastAPI(lifespan=hooks.lifespan, routes=[hooks.route(path)])"


class NoEndpoint:
    """The annotation by which an ASGI app says that it is none of FastAPI's endpoints.

    FastAPI would ask for its parameters in the query, and answer each delivery 422. For each parameter it has pydantic
    make a schema, once, when the endpoint is registered; no other host does.
    """

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> NoReturn:
        raise ConfigurationError(f"a receiver is an ASGI app, and no endpoint for app.post(path): {_AS_A_ROUTE}")


AppReceive = Annotated[Receive, NoEndpoint()]
"""The second argument of an ASGI app: a function that returns the next message of the request."""


class Absent:
    """An attribute that a host asks for where it takes a receiver for something else. It says what to do instead.

    Args:
        what: what the host takes the receiver for, as a clause.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __get__(self, router: object, cls: type) -> NoReturn:
        raise AttributeError(f"a {cls.__name__} is {self._what}: {_AS_A_ROUTE}")


def reject_as_route(receiver: object, host: object) -> None:
    """Reject a host that has the receiver itself among its routes, and would answer every request 500.

    Raises:
        ConfigurationError: it has.
    """
    if any(route is receiver for route in getattr(host, "routes", ())):
        raise ConfigurationError(f"a receiver is an ASGI app, and no route by itself: {_AS_A_ROUTE}")


class Lifespan:
    """The lifespan of an app inside a host, as a context manager.

    Args:
        app: the app to enter and exit.
    """

    def __init__(self, app: AbstractAsyncContextManager[object]) -> None:
        self._app = app

    async def __aenter__(self) -> None:
        await self._app.__aenter__()

    async def __aexit__(self, *exc_info: Any) -> None:
        await self._app.__aexit__(*exc_info)

    def __call__(self, app: Never) -> NoReturn:
        """Tell a host that was given this in place of the function that returns it."""
        raise ConfigurationError("a host takes the lifespan without parentheses: lifespan=hooks.lifespan")
