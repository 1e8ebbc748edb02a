"""The receiver: an ASGI app that verifies a delivery, parses it, and keeps it or runs its handlers."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Self
from urllib.parse import urlsplit

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .asgi import BodyReader, live, request_head, slash_or_not
from .delivery import AnyHeaders, Delivery, Headers, RequestHead, kept_headers, new_id
from .errors import (
    ConfigurationError,
    InboxError,
    MethodNotAllowed,
    NotAnEvent,
    RequestError,
    VerificationError,
)
from .event_registry import EventRegistry, named
from .events import Event, parsed_paths
from .inbox.base import Inbox
from .inbox.records import Duplicate
from .options import WorkerOptions
from .redaction import log_failure
from .responses import FAILED, Receipt, Response, accepted, not_an_event, rejections
from .routing import Function, Router
from .runtime import Health, Runtime
from .senders import OrderingKey, OrdersApi, Sender, checked_api, default_sender
from .senders.backfill import SLACK, Backfill, ProgressCallback, keep_on, moment, span
from .senders.base import check_scheme
from .senders.order_check import OrderCheck
from .signatures import Scheme, Verified
from .signatures.secrets import Secrets, masked
from .worker.executor import no_event
from .worker.inline import handle

logger = logging.getLogger("webhook_receiver")

MAX_BODY = 1024 * 1024  # bytes; an order's notification has some hundred
BODY_TIMEOUT = 30.0  # seconds
DAY = 86_400.0  # seconds


class WebhookReceiver(Router):
    """Receives the deliveries of one sender. It is an ASGI app: run it, mount it, or use its `route`.

    Args:
        sender: who delivers, such as `github(secret)`: how deliveries prove themselves, what their events are, what
            is answered. It takes the place of `secret` and `scheme`.
        secret: short for `sender=up42(secret)`: what UP42 signs with; several for rotation, any of which verifies.
        scheme: short for `sender=up42(scheme=scheme)`: another way to verify, or `UP42Signature(secret, ...)` with
            options, or `Unsigned()`.
        inbox: where deliveries are kept before they are answered, as "sqlite:///hooks.db"; their handlers run
            afterwards, and again if they fail. Without one they run before the answer, and nothing is kept.
        ordering_key: returns what an event is about; deliveries of one key are handled one at a time, in order of
            receipt. The sender's if left out, for UP42 the order's id; `lambda event: None` for no order at all.
        worker: how handlers are run for what is in the inbox.
        work: False for a receiver that only keeps: another process on the same inbox runs the handlers.
        name: what this receiver is called in its deliveries and its log lines.
        max_body: bytes; a larger body is answered 413.
        body_timeout: seconds; a body that is not complete by then is answered 408.
        confirm: the sender's API, such as a `WebhooksClient`: where the signature does not cover the body, an order is
            read again before its handlers run. See `OrderCheck` for what is made of the answer; a delivery that is
            contradicted is dead. Without an inbox it is asked before the answer: 204 then, 503 for "not yet".
        public_url: the absolute URL that the sender posts to, as the sender knows it, for schemes whose signatures
            cover it: `HTTPMessageSignature` with "@target-uri" and the like. Behind a proxy no request tells it.
        clock: returns the time in Unix seconds.

    Raises:
        ConfigurationError: it could not work, or would let strangers in.
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
        name: str = "webhooks",
        max_body: int = MAX_BODY,
        body_timeout: float = BODY_TIMEOUT,
        confirm: OrdersApi | None = None,
        public_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        secret = None if secret is None else masked(secret)
        check_limits(max_body, body_timeout)
        if inbox is None and (worker is not None or ordering_key is not None or not work):
            raise ConfigurationError(
                'worker=..., work=... and ordering_key=... need an inbox: inbox="sqlite:///hooks.db"'
            )
        sender = sender_for(sender, secret, scheme)
        if ordering_key is not None:
            sender = replace(sender, ordering_key=ordering_key)
        super().__init__(EventRegistry(sender.events, parsed_paths(sender.order_id_paths), sender.statuses))
        self.name = name
        self.sender = sender
        """Who delivers."""
        self.order_check = None if confirm is None else order_check(sender, confirm)
        """What confirms a delivery before its handlers run, if anything does."""
        self._public_url = None if public_url is None else checked_url(public_url)
        check_has_url(sender.scheme, self._public_url)
        self._scheme = sender.scheme
        self._event_header = None if sender.event_header is None else sender.event_header.lower().encode()
        self._delivery_id = None if sender.delivery_id is None else sender.delivery_id.lower().encode()
        self._bodies = BodyReader(max_body, body_timeout)
        self._stored = accepted(sender.responses.stored)
        self._duplicate = accepted(sender.responses.duplicate)
        self._rejections = rejections(sender.responses.rejected)
        self._runtime = Runtime(name, sender, self, inbox=inbox, options=worker, clock=clock, work=work)

    def __repr__(self) -> str:
        if not hasattr(self, "_runtime"):
            return f"<{type(self).__name__}, unfinished>"  # in a traceback of its constructor
        return f"<{type(self).__name__} {self.name!r}: {len(self.handlers)} handlers, {type(self._scheme).__name__}>"

    @property
    def rejected(self) -> Mapping[str, int]:
        """How many requests were rejected so far, by the error's name."""
        return dict(self._runtime.rejections.counts)

    @property
    def verified(self) -> Mapping[int, int]:
        """How many requests were verified so far, by the secret's index; those that were sent again count again."""
        return dict(self._runtime.secret_usage.counts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks for; its order is what keeps strangers cheap."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        try:
            if scope["method"] != "POST":
                raise MethodNotAllowed(f"{self.name} takes POST only")
            now = self._runtime.clock()
            headers: Headers = scope["headers"]
            self._bodies.check_headers(headers)
            check = self._scheme.verify(request_head(scope, self._public_url), now)
            body = await self._bodies.read(receive)
            verified = check(body)
            answer, _, _ = await self._handle(self._delivery(headers, body, verified, now), verified)
        except (RequestError, VerificationError, InboxError) as error:
            answer = self._reject(error)
        except NotAnEvent as error:
            answer = not_an_event(error)
        await answer.send(send)

    async def receive(
        self, headers: AnyHeaders, body: bytes, *, method: str = "POST", target: str | bytes = b"/"
    ) -> Receipt:
        """Do what the app does, without ASGI: for a Lambda function, another framework's view, a test.

        Args:
            headers: the request's, as a mapping or as pairs.
            body: the bytes as they came; a body that was parsed and dumped again does not verify.
            method: the request's method; any but "POST" is answered 405.
            target: the request's target (RFC 9112, section 3.2): its path, percent-encoded as it was sent, and the
                query behind `?`. `Unsigned(token_in_path=...)` needs it.

        Raises:
            TypeError: the body is not bytes.
        """
        if not isinstance(body, bytes):
            raise TypeError(f"receive() takes the body's bytes as they came, not {type(body).__name__}")
        delivery = None
        try:
            if method != "POST":
                raise MethodNotAllowed(f"{self.name} takes POST only")
            now = self._runtime.clock()
            head = RequestHead.of(headers, method=method, target=target, url=self._public_url)
            self._bodies.check_headers(head.headers)
            check = self._scheme.verify(head, now)
            self._bodies.check_size(body)
            verified = check(body)
            delivery = self._delivery(head.headers, body, verified, now)
            answer, event, duplicate_of = await self._handle(delivery, verified)
        except (RequestError, VerificationError, InboxError) as error:
            return Receipt(self._reject(error), error=error.with_traceback(None))
        except NotAnEvent as error:
            return Receipt(not_an_event(error), delivery, error=error.with_traceback(None))
        return Receipt(answer, delivery, event, duplicate_of=duplicate_of)

    def route(self, path: str) -> Route:
        """Return a Starlette route that answers at `path` with and without a slash at the end.

        `Mount(path, hooks)` answers the one without by a redirect, which senders do not follow. The slash is the
        route's one path parameter, `_`: `app.url_path_for(hooks.name, _="")`.
        """
        return slash_or_not(path, self, name=self.name)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """The receiver's life, to hand to the host: `Starlette(lifespan=hooks.lifespan)`."""
        async with self:
            yield

    async def __aenter__(self) -> Self:
        self._registry.build()
        await self._runtime.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runtime.stop()

    @property
    def inbox(self) -> Inbox:
        """The inbox, to list, replay or purge what is in it; open while the receiver is.

        Raises:
            ConfigurationError: it has none.
        """
        return self._runtime.inbox

    def parse(self, body: bytes, headers: Headers = ()) -> Event:
        """Return the event that a body is; the headers are needed where one of them is the `event_header`.

        Raises:
            NotAnEvent: it is none.
        """
        return self._registry.parse(body if self._event_header is None else named(body, headers, self._event_header))

    def set_to_work(self, concurrency: int | None = None) -> None:
        """Run the handlers in this process whatever `work` says: for one that does nothing else.

        Args:
            concurrency: how many deliveries are handled at once; as `worker` says if left out.

        Raises:
            ConfigurationError: there is no inbox, or the number cannot work.
        """
        self._runtime.set_to_work(concurrency)

    async def pause(self, handler: str | Function) -> None:
        """Run a handler no more, in any process on this inbox, until it is resumed; what it has to do waits.

        Args:
            handler: the function, or its name.

        Raises:
            ConfigurationError: there is no such handler, or no inbox.
            InboxError: the inbox cannot keep it.
        """
        _ = self.inbox
        await self._runtime.pause(self.name_of(handler))

    async def resume(self, handler: str | Function) -> bool:
        """Let a handler run again, with all that waited for it; False if it was not paused. See `pause`."""
        _ = self.inbox
        return await self._runtime.resume(self.name_of(handler))

    @property
    def public_url(self) -> str | None:
        """The URL that the sender posts to, as far as the receiver was told it."""
        return self._public_url

    @property
    def runtime(self) -> Runtime:
        """What the receiver runs on: its clock, its counts, its inbox and worker."""
        return self._runtime

    @contextmanager
    def running_on(self, runtime: Runtime) -> Generator[None]:
        """Let the receiver run on another runtime until the block ends, as a test does: another inbox, another clock.

        The receiver itself, and no copy of it, for an app may have it mounted already.

        Args:
            runtime: made for this receiver's name and sender.
        """
        own, self._runtime = self._runtime, runtime
        try:
            yield
        finally:
            self._runtime = own

    async def health(self) -> Health:
        """Return how it is. Without an inbox it is well as long as it answers."""
        return await self._runtime.health()

    async def backfill(
        self,
        client: OrdersApi,
        *,
        since: datetime | timedelta | float,
        workspace_id: str | None = None,
        progress: ProgressCallback | None = None,
    ) -> Backfill:
        """Put into the inbox what the sender's API tells of orders and the inbox does not have yet.

        Such are orders that were fulfilled, failed or cancelled while nobody listened. Each becomes a delivery of the
        origin "backfill" with the body of an `order.status`, unless a delivery about the same order and status is
        kept, whatever became of it; also of two that are put at the same moment, by whichever processes, one is kept.
        A cancelled order, of which it is not known whether the sender notifies, goes to the handlers of
        `OrderStatusChanged`, else to the fallback. A receiver that is not started keeps what is put for who is.

        Args:
            client: the sender's API.
            since: how far back, as a time, a timedelta or seconds; not beyond the inbox's retention, after which it
                does not know what it had. Five minutes more are looked at, since clocks differ.
            workspace_id: only the orders of this workspace, which the webhook is of; all that the client's user sees
                if None.
            progress: called after each order with what was reached.

        Raises:
            ConfigurationError: there is no inbox, or an argument cannot work.
            ApiError: the API failed. What was put until then stays, as with any other error.
            InboxError: the inbox failed.
        """
        begin = moment(since, self._runtime.clock()) - SLACK
        return await self._runtime.backfill(checked_api(client, "backfill(...)"), workspace_id, begin, progress)

    def backfill_every(
        self,
        interval: timedelta | float,
        client: OrdersApi,
        *,
        since: timedelta | float = DAY,
        workspace_id: str | None = None,
        at_start: bool = True,
    ) -> None:
        """Backfill for as long as the receiver runs; whatever fails is logged and tried again at the next interval.

        Any number of processes may do so on one inbox. Each run looks back `since` beyond the begin of the last one
        that ended well, so nothing falls between, however long the API is down.

        Args:
            interval: how long to wait after each, as a timedelta or seconds; a tenth more or less, at random.
            client: the sender's API.
            since: how far back the first one looks: longer than the receiver is ever down.
            workspace_id: only the orders of this workspace, as with `backfill`.
            at_start: whether the first one is at once, not after an interval.

        Raises:
            ConfigurationError: there is no inbox, or an argument cannot work.
        """
        api = checked_api(client, "backfill_every(...)")
        seconds, back = span(interval, "interval"), span(since, "since") + SLACK
        runtime = self._runtime
        runtime.orders()
        run = partial(runtime.backfill, api, workspace_id)
        runtime.tasks.add(
            lambda: keep_on(run, self.name, interval=seconds, since=back, at_start=at_start, clock=runtime.clock)
        )

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(self, self.name, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: the server answers 403

    def _delivery(self, headers: Headers, body: bytes, verified: Verified, now: float) -> Delivery:
        if verified.by is not None:
            self._runtime.secret_usage.note(verified.by, now)
        kept = kept_headers(headers) if self._runtime.keeps else tuple(headers)
        return Delivery(new_id(), self.name, kept, body, now, verified.by, verified.body)

    async def _handle(self, delivery: Delivery, verified: Verified) -> tuple[Response, Event | None, str | None]:
        """Keep an authentic delivery, or run its handlers; return the answer, the event, and whose repeat it is."""
        event, dead = None, None
        try:
            event = self.parse(delivery.body, delivery.headers)
        except NotAnEvent as error:
            logger.warning("delivery %s: %s", delivery.id, error)
            if not self._runtime.keeps:
                raise
            dead = no_event(error)
        except Exception as error:  # from a validator of the user's
            log_failure(f"delivery {delivery.id}: a validator failed", error)
            if not self._runtime.keeps:
                return FAILED, None, None
            dead = no_event(error)
        if self._runtime.keeps:
            id = verified.id if self._delivery_id is None else self._id_of(delivery)
            kept = await self._runtime.put(delivery, event, id=id, dead=dead)
            return (self._duplicate, event, kept.id) if isinstance(kept, Duplicate) else (self._stored, event, None)
        assert event is not None  # noqa: S101 - for the type checkers
        dispatcher = self._runtime.dispatcher
        response = await handle(dispatcher.match(event), event, delivery, self.order_check, dispatcher.middlewares)
        return response, event, None

    def _id_of(self, delivery: Delivery) -> str | None:
        """Return the sender's id of a delivery and its body's digest, since nobody proved the id; None without one."""
        found = next((value for name, value in delivery.headers if name == self._delivery_id), None)
        return None if found is None else f"{found.decode('latin-1')} {sha256(delivery.body).hexdigest()}"

    def _reject(self, error: RequestError | VerificationError | InboxError) -> Response:
        self._runtime.rejections.add(error)
        return next(self._rejections[cls] for cls in type(error).__mro__ if cls in self._rejections)


def sender_for(sender: Sender | None, secret: Secrets | None, scheme: Scheme | None) -> Sender:
    """Return who delivers, from a sender, or from a secret or a scheme of the default sender's."""
    if sender is not None:
        if secret is not None or scheme is not None:
            raise ConfigurationError("give the secret to the sender: sender=github(secret), not both")
        return checked_sender(sender)
    if secret is None and scheme is None:
        raise ConfigurationError(
            "a receiver needs the secret that its sender signs with, or anyone could deliver: "
            'WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET")); '
            "if the sender has no secret, say so with scheme=Unsigned()"
        )
    if scheme is not None:
        check_scheme(scheme)
    return default_sender(secret, scheme)


def checked_sender(sender: object) -> Sender:
    """Return `sender` if it is one; a function that makes one is what people give by mistake."""
    if not isinstance(sender, Sender):
        given = getattr(sender, "__name__", type(sender).__name__)
        raise ConfigurationError(f"sender=... takes a Sender, such as github(secret), not {given}")
    return sender


def order_check(sender: Sender, confirm: OrdersApi) -> OrderCheck:
    """Return what asks the sender's API for an order before its handlers run."""
    if sender.orders is None:
        raise ConfigurationError(f"confirm=... needs a sender whose orders can be asked for; {sender.name} has none")
    return OrderCheck(checked_api(confirm, "confirm=..."))


def check_has_url(scheme: Scheme, public_url: str | None) -> None:
    """Reject a scheme whose signatures cover the sender's URL where nobody says which one that is."""
    if public_url is None and getattr(scheme, "needs_url", False):
        raise ConfigurationError(
            f"the signatures of {type(scheme).__name__} cover the URL that the sender posts to: say which one that is, "
            'WebhookReceiver(public_url="https://example.com/webhooks")'
        )


def checked_url(url: str) -> str:
    """Return an absolute URL of http or https (RFC 9110, section 4.2), or reject what is none."""
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


def check_limits(max_body: int, body_timeout: float) -> None:
    """Reject bounds that bound nothing."""
    if not isinstance(max_body, int) or max_body < 1:
        raise ConfigurationError(f"max_body is a number of bytes above 0, not {max_body!r}")
    if not isinstance(body_timeout, int | float) or not body_timeout > 0:
        raise ConfigurationError(f"body_timeout is a number of seconds above 0, not {body_timeout!r}")
