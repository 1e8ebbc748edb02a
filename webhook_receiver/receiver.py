"""The receiver: an ASGI app that verifies a delivery, parses it, and keeps it or runs its handlers."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Self

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .asgi import BodyReader, live, slash_or_not
from .counters import RejectionCounter, SecretUsage
from .delivery import AnyHeaders, Delivery, Headers, header_pairs, kept_headers, new_id
from .errors import (
    ConfigurationError,
    InboxError,
    MethodNotAllowed,
    NotAnEvent,
    RequestError,
    VerificationError,
)
from .event_registry import EventRegistry, named
from .events import ORDER_ID_PATHS, Event, OrderStatusChanged, Path
from .inbox.base import Inbox
from .inbox.records import Duplicate, Stored
from .options import WorkerOptions
from .redaction import log_failure
from .responses import DUPLICATE, FAILED, STORED, Receipt, Response, not_an_event, rejections
from .routing import DeadLetterHandler, Function, Handler, Router
from .runtime import Health, OrderKey, Runtime, order_of
from .senders.backfill import SLACK, Backfill, ProgressCallback, backfill, body_of, changed_since, keep_on, moment, span
from .senders.order_check import OrderCheck
from .senders.up42.models import Order
from .senders.up42.orders_api import OrdersApi, checked_api
from .signatures import BodyCheck, Scheme, UP42Signature, Verified
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
        secret: what the sender signs with, as UP42 does; several for rotation, any of which verifies.
        scheme: another way to verify, or `UP42Signature(secret, ...)` with options, or `Unsigned()`.
        inbox: where deliveries are kept before they are answered, as "sqlite:///hooks.db"; their handlers run
            afterwards, and again if they fail. Without one they run before the answer, and nothing is kept.
        key: returns what an event is about; such deliveries are handled one at a time, in order of receipt. The
            order's id if left out; `lambda event: None` for no order at all.
        worker: how handlers are run for what is in the inbox.
        work: False for a receiver that only keeps: another process on the same inbox runs the handlers.
        name: what this receiver is called in its deliveries and its log lines.
        max_body: bytes; a larger body is answered 413.
        body_timeout: seconds; a body that is not complete by then is answered 408.
        rejected_status: what a bad signature is answered, for senders that ask for another 4xx than 401.
        confirm: the sender's API, such as a `WebhooksClient`: where the signature does not cover the body, an order is
            read again before its handlers run. See `confirm.Confirmation` for what is made of the answer; a delivery
            that is contradicted is dead. Without an inbox it is asked before the answer: 204 then, 503 for "not yet".
        order_id_paths: where the id of an order is in the sender's document, such as ["body.orderNumber"].
        event_header: the header that holds the event's name, such as "X-GitHub-Event", for senders that do not put
            it into the body; it becomes the event's `event`. Few signatures cover it.
        clock: returns the time in Unix seconds.

    Raises:
        ConfigurationError: it could not work, or would let strangers in.
    """

    def __init__(
        self,
        *,
        secret: Secrets | None = None,
        scheme: Scheme | None = None,
        inbox: Inbox | str | None = None,
        key: OrderKey = order_of,
        worker: WorkerOptions | None = None,
        work: bool = True,
        name: str = "webhooks",
        max_body: int = MAX_BODY,
        body_timeout: float = BODY_TIMEOUT,
        rejected_status: int = 401,
        confirm: OrdersApi | None = None,
        order_id_paths: Sequence[str] | None = None,
        event_header: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        secret = None if secret is None else masked(secret)
        refuse_limits(max_body, body_timeout, rejected_status)
        super().__init__(EventRegistry(parsed_paths(order_id_paths)))
        self.name = name
        self.confirmation = None if confirm is None else OrderCheck(checked_api(confirm, "confirm=..."))
        """What confirms a delivery before its handlers run, if anything does."""
        self._scheme = scheme_for(secret, scheme)
        self._reads_path: bool = getattr(self._scheme, "reads_path", False)
        self._rotation = SecretUsage(name)
        self._event_header = None if event_header is None else refuse_header(event_header)
        self._bodies = BodyReader(max_body, body_timeout)
        self._rejections = RejectionCounter(name, clock)
        self._answers = rejections(rejected_status)
        self._runtime = None
        if inbox is not None:
            self._runtime = Runtime(inbox, name, self, key, worker or WorkerOptions(), clock, work=work)
        elif worker is not None or key is not order_of or not work:
            raise ConfigurationError('worker=..., work=... and key=... need an inbox: inbox="sqlite:///hooks.db"')
        self._clock = clock

    def __repr__(self) -> str:
        if not hasattr(self, "_clock"):
            return f"<{type(self).__name__}, unfinished>"  # in a traceback of its constructor
        return f"<{type(self).__name__} {self.name!r}: {len(self.handlers)} handlers, {type(self._scheme).__name__}>"

    @property
    def rejected(self) -> Mapping[str, int]:
        """How many requests were rejected so far, by the error's name."""
        return dict(self._rejections.counts)

    @property
    def verified(self) -> Mapping[int, int]:
        """How many requests were verified so far, by the secret's index; those that were sent again count again."""
        return dict(self._rotation.counts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks for; its order is what keeps strangers cheap."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        try:
            if scope["method"] != "POST":
                raise MethodNotAllowed(f"{self.name} takes POST only")
            now = self._clock()
            headers: Headers = scope["headers"]
            check = self._admit(headers, scope["path"], now)
            body = await self._bodies.read(receive)
            verified = check(body)
            answer, _, _ = await self._handle(self._delivery(headers, body, verified, now), verified.id)
        except (RequestError, VerificationError, InboxError) as error:
            answer = self._refuse(error)
        except NotAnEvent as error:
            answer = not_an_event(error)
        await answer.send(send)

    async def receive(self, headers: AnyHeaders, body: bytes, *, path: str | None = None) -> Receipt:
        """Do what the app does, without ASGI: for a Lambda function, another framework's view, a test.

        Args:
            headers: the request's, as a mapping or as pairs.
            body: the bytes as they came; a body that was parsed and dumped again does not verify.
            path: the request's, for `Unsigned(token_in_path=...)`, which nothing else needs.

        Raises:
            TypeError: the body is not bytes.
        """
        if not isinstance(body, bytes):
            raise TypeError(f"receive() takes the body's bytes as they came, not {type(body).__name__}")
        delivery = None
        try:
            now = self._clock()
            pairs = header_pairs(headers)
            check = self._admit(pairs, path, now)
            self._bodies.check_size(body)
            verified = check(body)
            delivery = self._delivery(pairs, body, verified, now)
            answer, event, duplicate_of = await self._handle(delivery, verified.id)
        except (RequestError, VerificationError, InboxError) as error:
            return Receipt(self._refuse(error), error=error.with_traceback(None))
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
        self._catalog.build()
        if self._runtime is None:
            refuse_without_inbox(self.handlers, self.dead_letter_handlers)
            if not self.handlers:
                logger.warning("%s has no handlers: deliveries are verified, and that is all", self.name)
        else:
            await self._runtime.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._runtime is not None:
            await self._runtime.stop()

    @property
    def inbox(self) -> Inbox:
        """The inbox, to list, replay or purge what is in it; open while the receiver is.

        Raises:
            ConfigurationError: it has none.
        """
        return self._durable().inbox

    def parse(self, body: bytes, headers: Headers = ()) -> Event:
        """Return the event that a body is; the headers are needed where one of them is the `event_header`.

        Raises:
            NotAnEvent: it is none.
        """
        return self._catalog.parse(body if self._event_header is None else named(body, headers, self._event_header))

    def set_to_work(self, concurrency: int | None = None) -> None:
        """Run the handlers in this process whatever `work` says: for one that does nothing else.

        Args:
            concurrency: how many deliveries are handled at once; as `worker` says if left out.

        Raises:
            ConfigurationError: there is no inbox, or the number cannot work.
        """
        self._durable().set_to_work(concurrency)

    async def pause(self, handler: str | Function) -> None:
        """Run a handler no more, in any process on this inbox, until it is resumed; what it has to do waits.

        Args:
            handler: the function, or its name.

        Raises:
            ConfigurationError: there is no such handler, or no inbox.
            InboxError: the inbox cannot keep it.
        """
        await self._durable().pause(self.name_of(handler))

    async def resume(self, handler: str | Function) -> bool:
        """Let a handler run again, with all that waited for it; False if it was not paused. See `pause`."""
        return await self._durable().resume(self.name_of(handler))

    async def health(self) -> Health:
        """Return how it is. Without an inbox it is well as long as it answers."""
        return Health(ok=True, state="working") if self._runtime is None else await self._runtime.health()

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
        begin = moment(since, self._clock()) - SLACK
        return await self._backfill(checked_api(client, "backfill(...)"), workspace_id, begin, progress)

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
        run = partial(self._backfill, api, workspace_id)
        self._durable().chores.add(
            lambda: keep_on(run, self.name, interval=seconds, since=back, at_start=at_start, clock=self._clock)
        )

    async def _backfill(
        self, api: OrdersApi, workspace_id: str | None, begin: float, progress: ProgressCallback | None = None
    ) -> Backfill:
        runtime = self._durable()
        path = (self._catalog.order_id_paths or ORDER_ID_PATHS)[0]

        async def keep(order: Order) -> bool | None:
            try:
                body = body_of(order, path)
                event = self._event_about(order, body)
            except ConfigurationError as error:
                logger.error("%s: an order cannot be backfilled: %s", self.name, error)
                return None
            except Exception as error:  # of a class of the user's, or of a validator in it
                logger.error("%s: an order cannot be backfilled: %s", self.name, no_event(error))
                return None
            # What it says was read from the sender itself, so there is nothing left to confirm.
            delivery = Delivery(new_id(), self.name, (), body, self._clock(), None, True, "backfill")
            return isinstance(await runtime.put(delivery, event), Stored)

        return await backfill(changed_since(api, begin, workspace_id), keep, progress)

    def _event_about(self, order: Order, body: bytes) -> Event:
        event = self.parse(body)
        if not isinstance(event, OrderStatusChanged) or event.order_id != order.id or event.identity is None:
            raise ConfigurationError("its event has another order id (see order_id_paths), or no identity")
        return event

    def _durable(self) -> Runtime:
        if self._runtime is None:
            raise ConfigurationError(f'{self.name} has no inbox: inbox="sqlite:///hooks.db" gives it one')
        return self._runtime

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(self, self.name, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: the server answers 403

    def _admit(self, headers: Headers, path: str | None, now: float) -> BodyCheck:
        """Refuse what can be refused before the body is read."""
        self._bodies.check_headers(headers)
        if self._reads_path and path is not None:
            headers = [*headers, (b":path", path.encode("utf-8", "surrogateescape"))]
        return self._scheme.verify_headers(headers, now)

    def _delivery(self, headers: Headers, body: bytes, verified: Verified, now: float) -> Delivery:
        if verified.by is not None:
            self._rotation.note(verified.by, now)
        kept = tuple(headers) if self._runtime is None else kept_headers(headers)
        return Delivery(new_id(), self.name, kept, body, now, verified.by, verified.body)

    async def _handle(self, delivery: Delivery, id: str | None) -> tuple[Response, Event | None, str | None]:
        """Keep an authentic delivery, or run its handlers; return the answer, the event, and whose repeat it is."""
        event, dead = None, None
        try:
            event = self.parse(delivery.body, delivery.headers)
        except NotAnEvent as error:
            logger.warning("delivery %s: %s", delivery.id, error)
            if self._runtime is None:
                raise
            dead = no_event(error)
        except Exception as error:  # from a validator of the user's
            log_failure(f"delivery {delivery.id}: a validator failed", error)
            if self._runtime is None:
                return FAILED, None, None
            dead = no_event(error)
        if self._runtime is not None:
            kept = await self._runtime.put(delivery, event, id=id, dead=dead)
            return (DUPLICATE, event, kept.id) if isinstance(kept, Duplicate) else (STORED, event, None)
        assert event is not None  # noqa: S101 - for the type checkers
        return await handle(self.match(event), event, delivery, self.confirmation), event, None

    def _refuse(self, error: RequestError | VerificationError | InboxError) -> Response:
        self._rejections.add(error)
        return next(self._answers[cls] for cls in type(error).__mro__ if cls in self._answers)


def scheme_for(secret: Secrets | None, scheme: Scheme | None) -> Scheme:
    """Return how deliveries are verified, from a secret or a scheme."""
    if secret is not None and scheme is not None:
        raise ConfigurationError("give the secret to the scheme: scheme=UP42Signature(secret, ...), not both")
    if secret is not None:
        return UP42Signature(secret)
    if scheme is None:
        raise ConfigurationError(
            "a receiver needs the secret that its sender signs with, or anyone could deliver: "
            'WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET")); '
            "if the sender has no secret, say so with scheme=Unsigned()"
        )
    if isinstance(scheme, type) or not isinstance(scheme, Scheme):
        given = f"the class {scheme.__name__}" if isinstance(scheme, type) else type(scheme).__name__
        raise ConfigurationError(f"scheme=... takes a scheme, such as UP42Signature(secret), not {given}")
    return scheme


def refuse_limits(max_body: int, body_timeout: float, rejected_status: int) -> None:
    """Refuse bounds that bound nothing, and a status that is no refusal."""
    if not isinstance(max_body, int) or max_body < 1:
        raise ConfigurationError(f"max_body is a number of bytes above 0, not {max_body!r}")
    if not isinstance(body_timeout, int | float) or not body_timeout > 0:
        raise ConfigurationError(f"body_timeout is a number of seconds above 0, not {body_timeout!r}")
    if not isinstance(rejected_status, int) or not 400 <= rejected_status <= 499:
        raise ConfigurationError(f"rejected_status is a status from 400 to 499, not {rejected_status!r}")


def refuse_header(name: str) -> bytes:
    """Return a header's name as it is among headers, or refuse one that no header has, or that is not kept."""
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigurationError(f'event_header is the name of a header, such as "X-GitHub-Event", not {name!r}')
    header = name.lower().encode()
    if not kept_headers([(header, b"")]):
        raise ConfigurationError(f"event_header={name!r} cannot be: a header of that name is not kept in the inbox")
    return header


def refuse_without_inbox(handlers: Sequence[Handler], dead_letter_handlers: Sequence[DeadLetterHandler]) -> None:
    """Refuse what only a worker could do, where there is no inbox."""
    if dead_letter_handlers:
        raise ConfigurationError('on_dead needs an inbox: nothing else knows dead letters; inbox="sqlite:///hooks.db"')
    for handler in handlers:
        if handler.backoff is not None or handler.timeout is not None:
            raise ConfigurationError(
                f"backoff=... and timeout=... of {handler.name} need an inbox, without which a handler is run once, "
                'before the answer: inbox="sqlite:///hooks.db"'
            )


def parsed_paths(dotted: Sequence[str] | None) -> list[Path] | None:
    """Return the places that "body.orderId" and the like name."""
    if dotted is None:
        return None
    if isinstance(dotted, str) or not all(isinstance(path, str) and all(path.split(".")) for path in dotted):
        raise ConfigurationError(f'order_id_paths is a list such as ["body.orderId", "body.id"], not {dotted!r}')
    return [tuple(int(key) if key.isdecimal() else key for key in path.split(".")) for path in dotted]
