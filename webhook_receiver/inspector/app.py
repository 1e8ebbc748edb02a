"""The app of the inspector: who gets in, the headers of every response, and the pages."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import AmbiguousId, ConfigurationError, InboxDamaged, InboxError, InboxUnavailable
from ..inbox.base import Inbox
from ..logs import log_failure
from ..receiver import WebhookReceiver
from .gate import Auth, Gate, gate_of, stranger
from .loopback import on_loopback
from .pages import PAGES
from .site import STATIC, Inspected, Problem, Site, SitePage, View, labels_of

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with "no-referrer" a form would come from the origin "null"
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "no-store",
}
"""Headers of every response; a static file alone may be kept."""
_STATIC = {
    "inspector.css": "text/css",
    "inspector.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_PING = 15  # seconds after which a quiet stream says that it is there
_LOOK = 0.05  # seconds between two looks at whether the server stops: uvicorn sleeps for longer before it waits
_GRACE = 0.5  # seconds that an open stream has to end after sse_starlette, too, has seen that the server stops
_RETRY = 2000  # milliseconds after which a browser asks again for a stream that was cut

What = WebhookReceiver | Inbox
"""What an inspector shows."""


class Inspector:
    """The deliveries of an inbox as web pages: an ASGI app, to be mounted in yours.

    It shows every receiver of the inbox. Of those that it is given it knows more: their handlers, their circuit
    breakers, their senders and how to sign.

    Args:
        hooks: a receiver, or several; or an inbox without one.
        auth: who gets in: a function of Starlette's `Request` that returns the name of the user, True, or a user with
            `is_authenticated`, and None or False for nobody, or a `Response` such as a redirect to a login; it may be
            async. Or an `AuthenticationBackend` of Starlette's, or `Middleware(AuthenticationMiddleware, ...)`, or any
            other that sets `request.user`. Or a `PasswordFile`.
        writable: whether users may replay, purge, pause and edit; else they only read.

    Raises:
        ConfigurationError: there is no `auth`, a receiver has no inbox, or an argument is none of these.
    """

    def __init__(self, hooks: What | Iterable[What], *, auth: Auth | None = None, writable: bool = False) -> None:
        self._set_up(hooks, gate_of(auth), auth, writable, PAGES)

    @classmethod
    def on_loopback(
        cls,
        hooks: What | Iterable[What],
        *,
        writable: bool = False,
        pages: Sequence[SitePage] = (),
        beside: Callable[[], object] | None = None,
    ) -> Inspector:
        """Return an inspector that lets in whoever is on this machine, for a server that listens on the loopback alone.

        Args:
            hooks: as of `Inspector`.
            writable: as of `Inspector`.
            pages: more pages, behind the others in the navigation.
            beside: returns what these show beside the inbox, as a value whose repr changes with it.
        """
        made = cls.__new__(cls)
        made._set_up(hooks, on_loopback, None, writable, [*PAGES, *pages], beside)
        return made

    def _set_up(
        self,
        hooks: What | Iterable[What],
        gate: Gate,
        auth: Auth | None,
        writable: bool,
        pages: Sequence[SitePage],
        beside: Callable[[], object] | None = None,
    ) -> None:
        given: object = writable
        if not isinstance(given, bool):
            raise ConfigurationError(f"writable=... is True or False, not {given!r}")
        self._gate = gate
        self.site = Site(inspected_of(hooks, beside), pages, writable=writable)
        """What is shown, and by which pages."""
        routes: list[BaseRoute] = [Route("/static/{version}/{name}", _static)]
        for number in range(len(self.site.inspected), 0, -1):
            of_inbox = [self._route(page, number - 1) for page in pages]
            of_inbox.append(Route("/live", self._endpoint(_live, number - 1)))
            routes += of_inbox if number == 1 else [Mount(f"/inbox/{number}", Router(of_inbox, redirect_slashes=False))]
        # A redirect to another slash would be to whatever host the request names.
        self._router = Router(routes, redirect_slashes=False, default=self._not_found, lifespan=self._lifespan)
        app: ASGIApp = self._respond
        if isinstance(auth, Middleware):
            app = auth.cls(app, *auth.args, **auth.kwargs)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [
                    (name.encode(), value.encode()) for name, value in _HEADERS.items() if name.encode() not in present
                ]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        found: str | Response
        if (why := stranger(request)) is not None:
            found = PlainTextResponse(f"kept out: {why}", 403)
        else:
            found = await self._gate(request)
        if isinstance(found, Response):
            await found(scope, receive, send)
            return
        scope["webhook_receiver.user"] = found
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:  # a method that the page does not have, where the host is an app of Starlette's
            view = View(self.site, 0, request, found)
            response = view.problem(Problem(error.status_code, error.detail, headers=error.headers))
            await response(scope, receive, send)

    def _route(self, page: SitePage, number: int) -> Route:
        show = _writing(page) if page.writes or page.posts else page.show
        return Route(page.path, self._endpoint(show, number), methods=["POST" if page.posts else "GET"])

    def _endpoint(
        self, show: Callable[[View], Awaitable[Response]], number: int
    ) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            view = View(self.site, number, request, request.scope["webhook_receiver.user"])
            try:
                await view.inspected.open()
                return await show(view)
            except Problem as problem:
                return view.problem(problem)
            except AmbiguousId as error:
                return view.problem(Problem(404, "Several deliveries begin so", f"{error}."))
            except InboxDamaged as error:
                return view.problem(Problem(500, "The inbox is damaged", f"{error}."))
            except InboxUnavailable as error:
                return view.problem(Problem(503, "The inbox does not answer", f"{error}.", {"retry-after": "5"}))
            except (InboxError, ConfigurationError) as error:
                return view.problem(Problem(400, "The inbox did not take this", f"{error}."))
            except Exception as error:
                log_failure(f"the inspector cannot show {request.scope['path']!r}", error)
                return view.problem(Problem(500, "This page failed", "The log of the server says why."))

        return respond

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        view = View(self.site, 0, Request(scope, receive), scope["webhook_receiver.user"])
        await view.problem(Problem(404, "There is no such page"))(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, app: object) -> AsyncGenerator[None]:
        """Open the inboxes at the start of a server, and close them at its end."""
        try:
            for each in self.site.inspected:
                await each.open()
            yield
        finally:
            for each in self.site.inspected:
                await each.inbox.close()


def inspected_of(hooks: What | Iterable[What], beside: Callable[[], object] | None = None) -> list[Inspected]:
    """Return the inboxes to inspect, each once, with those of its receivers that were given.

    Args:
        hooks: receivers and inboxes.
        beside: what is shown beside each inbox, see `Live`.

    Raises:
        ConfigurationError: there is none, or a receiver has no inbox.
    """
    given: list[Any] = [hooks] if isinstance(hooks, WebhookReceiver | Inbox) else _listed(hooks)
    found: dict[str, tuple[Inbox, list[WebhookReceiver]]] = {}
    for each in given:
        if isinstance(each, WebhookReceiver):
            _, receivers = found.setdefault(each.inbox.address, (each.inbox, []))
            receivers.append(each)
        elif isinstance(each, Inbox) and not isinstance(each, type):
            found.setdefault(each.address, (each, []))
        else:
            raise _not_these(each)
    if not found:
        raise ConfigurationError("an Inspector shows one receiver or inbox at least: Inspector(hooks, auth=...)")
    labels = labels_of([*found])
    return [
        Inspected(inbox, receivers, label, beside)
        for label, (inbox, receivers) in zip(labels, found.values(), strict=True)
    ]


def _listed(hooks: object) -> list[Any]:
    if isinstance(hooks, Iterable) and not isinstance(hooks, str | bytes):
        return [*hooks]
    raise _not_these(hooks)


def _not_these(given: object) -> ConfigurationError:
    fix = (
        'Inspector(from_url("sqlite:///hooks.db"), auth=...)'
        if isinstance(given, str)
        else "Inspector(hooks, auth=...)"
    )
    return ConfigurationError(f"an Inspector shows receivers or inboxes, as {fix} does; not {type(given).__name__}")


def _writing(page: SitePage) -> Callable[[View], Awaitable[Response]]:
    """Return the function of a page that changes something, or leads there: for those who may, and by our own forms."""

    async def checked(view: View) -> Response:
        if not view.writable:
            raise Problem(403, "This inspector only shows", "It changes nothing: Inspector(..., writable=True) does.")
        if page.posts:
            await view.read_form()
        return await page.show(view)

    return checked


async def _static(request: Request) -> Response:
    """Return a static file of the package, which a browser may keep: its address changes with it."""
    name = request.path_params["name"]
    if name not in _STATIC:
        return PlainTextResponse("there is no such file", 404)
    headers = {"cache-control": "private, max-age=31536000, immutable"}
    return FileResponse(STATIC / name, media_type=_STATIC[name], headers=headers)


async def _live(view: View) -> Response:
    """Return the stream that says when the inbox has changed."""
    known = view.request.headers.get("last-event-id", "") or view.asked("known")

    async def events() -> AsyncGenerator[ServerSentEvent]:
        async with aclosing(view.inspected.live.changes(known)) as versions:
            async for version in _until_stop(versions):
                yield ServerSentEvent(version, event="changed", id=version, retry=_RETRY)

    return EventSourceResponse(
        events(),
        ping=_PING,
        headers={"cache-control": "no-store"},
        shutdown_grace_period=_GRACE,
    )


async def _until_stop(versions: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Yield what a generator does until the server stops, so that the response ends in good order."""
    stop = asyncio.ensure_future(_stopping())
    step: asyncio.Future[str] = stop.get_loop().create_future()
    try:
        while True:
            step = asyncio.ensure_future(anext(versions))
            await asyncio.wait({step, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                return
            yield step.result()
    finally:
        stop.cancel()
        step.cancel()
        await asyncio.wait({step})


async def _stopping() -> None:
    """Return once the server stops, before it waits for open requests, so that it need not wait for this one.

    An app is told of the end only after that. sse_starlette sees it as is done here, but looks every 0.5 s.
    """
    while not AppStatus.should_exit:
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)  # uvicorn's, which handles the signals
        if getattr(server, "should_exit", False):
            return
        await asyncio.sleep(_LOOK)
