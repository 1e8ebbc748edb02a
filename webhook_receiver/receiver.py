"""The receiver: an ASGI app that verifies a delivery, parses it, and stores it or runs its handlers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .asgi import (
    AppReceive,
    BodyReader,
    Lifespan,
    check_asyncio,
    checked_url,
    live,
    reject_as_route,
    request_head,
    slash_or_not,
)
from .delivery import AnyHeaders, Headers, RequestHead
from .errors import (
    ConfigurationError,
    InboxError,
    KeysUnavailable,
    MethodNotAllowed,
    RequestError,
    VerificationError,
)
from .event_registry import EventRegistry
from .events import Event, parsed_paths
from .inbox.base import Inbox
from .options import WorkerOptions, check_callable
from .responses import Receipt, Response, rejections
from .routing import Function, Router
from .runtime import Health, Runtime
from .runtime.backfill import backfill
from .runtime.health import health_route
from .runtime.intake import Intake
from .runtime.links import E, fresh
from .runtime.parser import Parser
from .runtime.poller import Poller, poller_of
from .runtime.whole_orders import WholeOrders, check_whole_orders
from .senders import OrderingKey, OrdersApi, Sender, checked_api, sender_for
from .senders.backfill import SLACK, Backfill, OrdersSource, ProgressCallback, moment, span
from .senders.challenges import Challenged, challenged, methods_of
from .senders.event_names import EventNames
from .senders.order_check import order_check_of
from .senders.source import Source
from .signatures import KeysNeeded, Scheme
from .signatures.fetching import with_keys
from .signatures.forwarded import warn_of_proxy_headers
from .signatures.scheme import check_has_url, verify_all, www_authenticate
from .signatures.secrets import Secrets, masked

MAX_BODY = 1024 * 1024  # bytes; an order's notification has some hundred
BODY_TIMEOUT = 30.0  # seconds
DAY = 86_400.0  # seconds


class WebhookReceiver(Router):
    """A receiver of the deliveries of one sender. It is an ASGI app: run it, mount it, or use its `route`.

    Args:
        sender: the service that delivers, such as `github(secret)`: its signatures, events and responses. In place of
            `secret` and `scheme`.
        secret: short for `sender=up42(secret)`: the secret of UP42's webhook; several for rotation, any verifies.
        scheme: short for `sender=up42(scheme=scheme)`: another scheme, such as `UP42Signature(secret, ...)` with
            options, or `Unsigned()`.
        inbox: the store of deliveries, or its URL, such as "sqlite:///hooks.db". A delivery is stored before the
            response; its handlers run afterwards, and again if they fail. Without an inbox the handlers run before the
            response, and no delivery is stored.
        ordering_key: a function of an event that returns a text: deliveries with the same one are handled one at a
            time, in order of receipt. The sender's if left out, for UP42 the order's id; `lambda event: None` for none.
        worker: the options of the worker, which runs the handlers of stored deliveries.
        work: False for a receiver that only stores: another process on the same inbox runs the handlers.
        name: the receiver's name, under which its deliveries are stored; the sender's if left out. Two receivers on one
            inbox have two names.
        max_body: the largest size of a body, in bytes; the response to a larger one is 413.
        body_timeout: the seconds within which a body must be complete; otherwise the response is 408.
        max_bodies: the number of bytes that all the bodies being read may have together, with those that wait for keys
            to be fetched; the response to one beyond it is 503. 64 MiB, or four times `max_body` if that is more.
        confirm: a client of the sender's API, such as `WebhooksClient`: where no signature covers the body, the order
            is read from the API before its handlers run. See `OrderCheck`. A delivery that the API contradicts is dead.
            Without an inbox the response is 204 for a confirmed or contradicted delivery, and 503 for "not yet".
        public_url: the absolute URL that the sender posts to, for schemes whose signatures cover it, such as
            `HTTPMessageSignature` with "@target-uri". Behind a proxy the request does not hold it.
        expect_every: the longest time without a push that is expected, from a minute to 30 days, as a timedelta or
            in seconds: with a longer one the health is "silent", and the log says so. None for any.
        clock: a function that returns the time in Unix seconds.

    Raises:
        ConfigurationError: an argument cannot work, or the receiver would let strangers in.
    """

    def __init__(
        self,
        *,
        sender: Sender | None = None,
        secret: Secrets | None = None,
        scheme: Scheme | None = None,
        inbox: Inbox | str | None = None,
        ordering_key: OrderingKey | None = None,
        worker: WorkerOptions | None = None,
        work: bool = True,
        name: str | None = None,
        max_body: int = MAX_BODY,
        body_timeout: float = BODY_TIMEOUT,
        max_bodies: int | None = None,
        confirm: OrdersApi | None = None,
        public_url: str | None = None,
        expect_every: timedelta | float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        secret = None if secret is None else masked(secret)
        if inbox is None and (worker is not None or ordering_key is not None or not work):
            raise ConfigurationError(
                'worker=..., work=... and ordering_key=... need an inbox: inbox="sqlite:///hooks.db"'
            )
        sender = sender_for(sender, secret, scheme)
        check_callable("ordering_key", ordering_key, "a function of an event, such as lambda event: event.number")
        check_callable("clock", clock, "a function that returns the time in Unix seconds, such as time.time")
        if ordering_key is not None:
            sender = replace(sender, ordering_key=ordering_key)
        paths = parsed_paths(sender.order_id_paths)
        collector = None if sender.order_items == "whole" else WholeOrders(lambda: self._runtime).handler()
        super().__init__(EventRegistry(sender.events, paths, sender.statuses, sender.name), collector)
        self.sender = sender
        """The sender of the deliveries."""
        self.order_check = None if confirm is None else order_check_of(sender, confirm)
        """The order check before the handlers of a delivery whose body is not verified; None without `confirm=`."""
        self._public_url = None if public_url is None else checked_url(public_url)
        check_has_url(sender.scheme, self._public_url)
        self._scheme = challenged(sender.scheme, sender.challenges)
        self._methods = methods_of(sender.challenges)
        self._names = names = EventNames(
            sender.event_name, sender.event_header, sender.event_members, sender.url_places
        )
        self._parser = Parser(sender, names, self._registry, self.match)
        self._bodies = BodyReader(max_body, body_timeout, max_bodies, encodings=sender.content_encodings)
        self._intake = Intake(sender, names)
        asked_for = www_authenticate(sender.scheme)
        self._rejections = rejections(
            sender.responses.rejected, asked_for, allow=", ".join(self._methods), encodings=sender.content_encodings
        )
        self._runtime = Runtime(
            *(name, sender, self), inbox=inbox, options=worker, clock=clock, work=work, expect_every=expect_every
        )
        self._runtimes = [self._runtime]
        """The receiver's own runtime, and those that replace it in turn."""
        self._pollers: list[Poller] = []
        self._started: list[Runtime] = []
        """The runtimes that were started and not stopped yet: another one may be in use when it ends."""

    def __repr__(self) -> str:
        if not hasattr(self, "_runtime"):
            return f"<{type(self).__name__}, unfinished>"  # in a traceback of its constructor
        return (
            f"<{type(self).__name__} {self.name!r}: {len(self.handlers)} handlers, {type(self.sender.scheme).__name__}>"
        )

    @property
    def name(self) -> str:
        """The receiver's name, as given; else the sender's, or "webhooks" on an inbox that has known it as that."""
        return self._runtime.name

    @property
    def max_body(self) -> int:
        """The largest size of a body, in bytes."""
        return self._bodies.max_body

    @property
    def rejected(self) -> Mapping[str, int]:
        """Numbers of requests that were rejected so far, by the name of the error."""
        return dict(self._runtime.rejections.counts)

    @property
    def verified(self) -> Mapping[int, int]:
        """Numbers of requests that were verified so far, duplicates included, by the index of the secret."""
        return dict(self._runtime.secret_usage.counts)

    async def __call__(self, scope: Scope, receive: AppReceive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        if not self._started:  # else it was checked then
            check_asyncio()
        receipt, ended = await self._receipt(request_head(scope, self._public_url), receive)
        response = receipt.response if ended else receipt.response.closing(scope)
        await response.send(send)

    async def receive(
        self,
        headers: AnyHeaders | None,
        body: bytes,
        *,
        method: str = "POST",
        target: str | bytes = b"/",
        client: str | None = None,
    ) -> Receipt:
        """Handle one request as the app does, without ASGI: for a Lambda function, another framework's view, a test.

        Args:
            headers: the request's headers, as a mapping or pairs; None if there are none.
            body: the bytes as received; a body that was parsed and serialized again does not verify.
            method: the request's method; the response to any but "POST" and those of challenges is 405.
            target: the request's target (RFC 9112, section 3.2): its path, percent-encoded as sent, and the query
                behind `?`. `Unsigned(token_in_path=...)` and `QuerySecret` need it.
            client: the address of the peer, which `AllowFrom` needs; None if it is not known.

        Returns:
            The response, and the delivery and event if the request was accepted. Rejections are no exceptions.

        Raises:
            TypeError: `body` is not bytes.
        """
        if not isinstance(body, bytes):
            raise TypeError(f"receive() takes the body's bytes as they came, not {type(body).__name__}")
        check_asyncio()
        head = RequestHead.of(headers, method=method, target=target, url=self._public_url, client=client)
        receipt, _ = await self._receipt(head, body)
        return receipt

    async def _receipt(self, head: RequestHead, source: bytes | Receive) -> tuple[Receipt, bool]:
        """Return the outcome of one request, and whether its body was read to the end.

        The order of the checks makes a stranger's request cheap.

        Args:
            head: the head of the request.
            source: the body, or ASGI's function to receive it.
        """
        runtime, ended = self._runtime, True
        body = source if isinstance(source, bytes) else None
        try:
            if head.method not in self._methods:
                raise MethodNotAllowed(f"{self.name} takes {', '.join(self._methods)} only")
            now = runtime.clock()
            self._bodies.check_headers(head.headers)
            try:
                check = self._scheme.verify(head, now)
            except KeysNeeded as needed:
                check = await with_keys(partial(self._scheme.verify, head, now), needed)
            if not isinstance(source, bytes):
                body = await self._bodies.read(source)
            assert body is not None  # noqa: S101 - for the type checkers
            self._bodies.check_body(head.headers, body)
            try:
                verified = check(body)
            except KeysNeeded as needed:
                with self._bodies.held(body, must=needed.are_known):
                    verified = await with_keys(partial(verify_all, self._scheme.verify, head, body, now), needed)
            receipt = await self._intake.take(runtime, head, body, verified, now)
        except (Challenged, RequestError, VerificationError, KeysUnavailable, InboxError) as error:
            if isinstance(error, Challenged):
                if error.error is not None:
                    self._runtime.rejections.add(error.error)
                receipt = Receipt(error.response, error=error.error)
            else:
                receipt = Receipt(self._reject(error), error=error.with_traceback(None))
            if body is None and not isinstance(source, bytes):
                ended = await self._bodies.drain(error, head.headers, source)
        runtime.counters.answered[receipt.response.status] += 1
        return receipt, ended

    def route(self, path: str) -> Route:
        """Return a Starlette route to the receiver, for `path` with and without a slash at the end.

        `Mount(path, hooks)` responds to the path without the slash by a redirect, which senders do not follow. The
        slash is the route's one path parameter, `_`: `app.url_path_for(hooks.name, _="")`.
        """
        return slash_or_not(path, self, name=self.name)

    def health_route(self, path: str) -> Route:
        """Return a Starlette route that responds with the `health()` as JSON: 200, or 503 if nothing can be stored.

        It takes GET, HEAD and OPTIONS at `path`, with and without a slash at the end.
        """
        return health_route(path, self.health, f"{self.name}-health")

    def lifespan(self, app: object = None) -> Lifespan:
        """Start the receiver, and stop it at the end; for a host, as in `Starlette(lifespan=hooks.lifespan)`.

        Raises:
            ConfigurationError: `app`, the host, has the receiver itself among its routes, not `hooks.route(path)`.
        """
        reject_as_route(self, app)
        return Lifespan(self)

    async def __aenter__(self) -> Self:
        check_asyncio()
        warn_of_proxy_headers(self.sender.scheme)
        self._registry.build()
        runtime = self._runtime
        check_whole_orders(runtime, self.handlers, [each.source for each in self._pollers])
        await runtime.start()
        self._started.append(runtime)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._started:
            await self._started.pop().stop()

    @property
    def inbox(self) -> Inbox:
        """The inbox, to list, replay or purge deliveries. It is open while the receiver is.

        Raises:
            ConfigurationError: the receiver has none.
        """
        return self._runtime.inbox

    def parse(self, body: bytes, headers: Headers = (), part: int = 0) -> Event:
        """Return an event in a body. What is no event is an unnamed `UnknownEvent` if a handler takes such.

        Args:
            body: the bytes of the body, as received.
            headers: the headers of the request, needed if they have the event's name. Of a name in the URL, the
                headers of the delivery.
            part: the number of the event, from 0, where a body holds several.

        Raises:
            NotAnEvent: the body is no event, or has no such part.
        """
        return self._parser.parse(body, headers, part)

    def parse_all(self, body: bytes, headers: Headers = ()) -> list[Event | Exception]:
        """Return all events in a body, in order: one, unless the sender has a `split`; none of an empty batch.

        Args:
            body: the bytes of the body, as received.
            headers: the headers of the request, needed if they have the event's name.

        Returns:
            The events; for a part that is none the error with which `parse` ends.
        """
        return self._parser.parse_all(body, headers)

    def number_of_events(self, body: bytes, headers: Headers = ()) -> int:
        """Return the number of events in a body, as `parse_all` does, but parse none; 1 for a body that is no event."""
        return self._parser.number_of_events(body, headers)

    def set_to_work(self, concurrency: int | None = None) -> None:
        """Run the handlers in this process, whatever `work` says, as a worker process does. Before the start only.

        Args:
            concurrency: the number of deliveries that are handled at once; that of `worker` if left out.

        Raises:
            ConfigurationError: the receiver has no inbox, or the number cannot work.
        """
        self._runtime.set_to_work(concurrency)

    async def pause(self, handler: str | Function) -> None:
        """Pause a handler: no process on this inbox runs it until it is resumed, and its deliveries wait.

        Args:
            handler: the handler's function, or its name; a dead-letter handler's, too.

        Raises:
            ConfigurationError: there is no such handler, or no inbox.
            InboxError: the inbox cannot store the pause.
        """
        _ = self.inbox
        await self._runtime.pause(self._name_to_pause(handler))

    async def resume(self, handler: str | Function) -> bool:
        """Resume a handler, with the deliveries that wait for it. Return whether it was paused. See `pause`."""
        _ = self.inbox
        return await self._runtime.resume(self._name_to_pause(handler))

    @property
    def public_url(self) -> str | None:
        """The absolute URL that the sender posts to; None if it was not given."""
        return self._public_url

    @property
    def runtime(self) -> Runtime:
        """The runtime of the receiver: its clock and counters, its inbox with a worker, and its background tasks."""
        return self._runtime

    @contextmanager
    def running_on(self, runtime: Runtime) -> Generator[None]:
        """Replace the receiver's runtime until the block ends, as a test does: another inbox, another clock.

        The receiver itself changes, so every app that has it mounted runs on the other runtime, too.

        Args:
            runtime: a runtime that was made for this receiver's name and sender.

        Raises:
            ConfigurationError: the runtime was made for another receiver.
        """
        if runtime.name != self.name or runtime.sender is not self.sender:
            raise ConfigurationError(f"running_on(...) takes a runtime of {self.name!r}, not one of {runtime.name!r}")
        self._runtimes.append(runtime)
        self._runtime = runtime
        try:
            yield
        finally:
            self._runtimes.remove(runtime)
            self._runtime = self._runtimes[-1]

    async def health(self) -> Health:
        """Return the health of the receiver. A write without effect is committed to the inbox to check it."""
        return await self._runtime.health()

    async def backfill(
        self,
        client: OrdersApi,
        *,
        since: datetime | timedelta | float,
        workspace_id: str | None = None,
        progress: ProgressCallback | None = None,
    ) -> Backfill:
        """Store deliveries about orders that ended, by the sender's API, and of which the inbox does not know yet.

        These are orders that were fulfilled, failed or cancelled while the receiver was down. Each becomes a delivery
        with `via` "backfill" and the body of an `order.status`, unless a delivery about the same order and status is
        stored, in whatever state. Of two that are put at the same moment, by whichever processes, one is stored. An
        order that was cancelled goes to the handlers of `OrderStatusChanged`, else to the fallback. A receiver that is
        not started stores the deliveries for one that is.

        Args:
            client: a client of the sender's API.
            since: the begin, as a datetime with a time zone, or how long ago it was, as a timedelta or in seconds. It
                must not be before the inbox's retention, after which the inbox does not know what it had. Five minutes
                more are read, since clocks differ.
            workspace_id: the workspace of the webhook and its orders; all that the client's user may read if None.
            progress: a function that is called after each order with the counts so far.

        Raises:
            ConfigurationError: the receiver has no inbox, or an argument cannot work.
            ApiError: the API failed. Deliveries that were stored until then stay, as with any other error.
            InboxError: the inbox failed.
        """
        begin = moment(since, self._runtime.clock()) - SLACK
        return await backfill(self._runtime, checked_api(client, "backfill(...)"), workspace_id, begin, progress)

    def orders(
        self, client: OrdersApi, *, workspace_id: str | None = None, since: timedelta | float = DAY
    ) -> OrdersSource:
        """Return the source of the sender's orders that ended, for `poll_every`.

        Args:
            client: a client of the sender's API.
            workspace_id: the workspace of the webhook and its orders; all that the client's user may read if None.
            since: the time that the first poll looks back, and each other one behind the latest change that it knows.

        Raises:
            ConfigurationError: the sender has no orders, or an argument cannot work.
        """
        api = checked_api(client, "orders(...)")
        return OrdersSource(self.sender, api, workspace_id, span(since, "since"), self._runtime.clock)

    def poll_every(self, interval: timedelta | float, source: Source) -> None:
        """Poll a source at intervals while the receiver runs. What it tells, and no push has told, is handled.

        All processes on one inbox poll it together once in an interval. The cursor is in the inbox, so the first poll
        goes on where the last one ended, however long ago. A poll that fails is in the log and in the health, and is
        tried again after a while that grows, and not before the API's `Retry-After`.

        Args:
            interval: the time between two polls, as a timedelta or in seconds; a tenth more or less, at random.
            source: the source, an async function of a cursor; see `webhook_receiver.senders.source`.

        Raises:
            ConfigurationError: the receiver has no inbox, or runs already; it polls a source of this name already; its
                sender names events in a header, which no document has; or an argument cannot work.
        """
        max_body, in_body = self._bodies.max_body, self._names.are_in_body
        poller = poller_of(self._runtime, source, span(interval, "interval"), max_body, names_are_in_body=in_body)
        self._pollers.append(poller)

    @property
    def pollers(self) -> Sequence[Poller]:
        """The pollers, one for each source, to poll now: `await hooks.pollers[0].poll(early=True)`."""
        return tuple(self._pollers)

    def asyncapi(self, *, title: str | None = None, version: str = "1") -> dict[str, Any]:
        """Return what the receiver takes as a document of AsyncAPI 3.0; `title` and `version` are those of the app."""
        from .schema.asyncapi import asyncapi

        return asyncapi([(self, None)], title=title, version=version)

    def openapi(self, into: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what the receiver takes as the `webhooks` of OpenAPI 3.1, `into` a host's document or by itself."""
        from .schema.openapi import openapi

        return openapi([(self, self._runtime.keeps)], into=into)

    async def fresh(self, event: E) -> E:
        """Return an event whose download links have not ended: itself, or the same as a source tells it now.

        A handler calls it before it downloads, since it may run late: `event = await hooks.fresh(event)`. The sources
        are those that the receiver polls.

        Raises:
            GiveUp: the links have ended (`event.expires_at`), and no source has new ones: the delivery is dead.
            ApiError: the API failed, so that the handler runs again.
        """
        return await fresh(self._runtime, event, [each.source for each in self._pollers])

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(self, self.name, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: the server responds with 403

    def _reject(self, error: RequestError | VerificationError | KeysUnavailable | InboxError) -> Response:
        self._runtime.rejections.add(error)
        return next(self._rejections[cls] for cls in type(error).__mro__ if cls in self._rejections)
