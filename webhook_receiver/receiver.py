"""The receiver: an ASGI app that verifies a delivery, parses it, and keeps it or runs its handlers."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
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
from .event_registry import EventRegistry
from .events import Event
from .inbox.base import Inbox
from .inbox.records import Duplicate
from .inboxed import InboxedRouter
from .options import WorkerOptions
from .redaction import log_failure
from .responses import DUPLICATE, FAILED, STORED, Receipt, Response, not_an_event, refusals
from .runtime import OrderKey, Runtime, order_of
from .senders.order_check import OrderCheck
from .senders.up42.orders_api import OrdersApi, checked_api
from .signatures import BodyCheck, Scheme, Verified
from .signatures.secrets import Secrets, masked
from .validation import parsed_paths, refuse_header, refuse_limits, refuse_without_inbox, scheme_for
from .worker.executor import no_event
from .worker.inline import handle

logger = logging.getLogger("webhook_receiver")

MAX_BODY = 1024 * 1024  # bytes; an order's notification has some hundred
BODY_TIMEOUT = 30.0  # seconds


class WebhookReceiver(InboxedRouter):
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
        refused_status: what a bad signature is answered, for senders that ask for another 4xx than 401.
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
        refused_status: int = 401,
        confirm: OrdersApi | None = None,
        order_id_paths: Sequence[str] | None = None,
        event_header: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        secret = None if secret is None else masked(secret)
        refuse_limits(max_body, body_timeout, refused_status)
        super().__init__(EventRegistry(parsed_paths(order_id_paths)))
        self.name = name
        self.confirmation = None if confirm is None else OrderCheck(checked_api(confirm, "confirm=..."))
        """What confirms a delivery before its handlers run, if anything does."""
        self._scheme = scheme_for(secret, scheme)
        self._reads_path: bool = getattr(self._scheme, "reads_path", False)
        self._rotation = SecretUsage(name)
        self._event_header = None if event_header is None else refuse_header(event_header)
        self._bodies = BodyReader(max_body, body_timeout)
        self._refusals = RejectionCounter(name, clock)
        self._answers = refusals(refused_status)
        self._keeper = None
        if inbox is not None:
            self._keeper = Runtime(inbox, name, self, key, worker or WorkerOptions(), clock, work=work)
        elif worker is not None or key is not order_of or not work:
            raise ConfigurationError('worker=..., work=... and key=... need an inbox: inbox="sqlite:///hooks.db"')
        self._clock = clock

    def __repr__(self) -> str:
        if not hasattr(self, "_clock"):
            return f"<{type(self).__name__}, unfinished>"  # in a traceback of its constructor
        return f"<{type(self).__name__} {self.name!r}: {len(self.handlers)} handlers, {type(self._scheme).__name__}>"

    @property
    def refused(self) -> Mapping[str, int]:
        """How many requests were refused so far, by the error's name."""
        return dict(self._refusals.counts)

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
            self._bodies.refuse_large(body)
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
        if self._keeper is None:
            refuse_without_inbox(self.handlers, self.dead_letter_handlers)
            if not self.handlers:
                logger.warning("%s has no handlers: deliveries are verified, and that is all", self.name)
        else:
            await self._keeper.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._keeper is not None:
            await self._keeper.stop()

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(self, self.name, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: the server answers 403

    def _admit(self, headers: Headers, path: str | None, now: float) -> BodyCheck:
        """Refuse what can be refused before the body is read."""
        self._bodies.refuse_by(headers)
        if self._reads_path and path is not None:
            headers = [*headers, (b":path", path.encode("utf-8", "surrogateescape"))]
        return self._scheme.verify_headers(headers, now)

    def _delivery(self, headers: Headers, body: bytes, verified: Verified, now: float) -> Delivery:
        if verified.by is not None:
            self._rotation.note(verified.by, now)
        kept = tuple(headers) if self._keeper is None else kept_headers(headers)
        return Delivery(new_id(), self.name, kept, body, now, verified.by, verified.body)

    async def _handle(self, delivery: Delivery, id: str | None) -> tuple[Response, Event | None, str | None]:
        """Keep an authentic delivery, or run its handlers; return the answer, the event, and whose repeat it is."""
        event, dead = None, None
        try:
            event = self.parse(delivery.body, delivery.headers)
        except NotAnEvent as error:
            logger.warning("delivery %s: %s", delivery.id, error)
            if self._keeper is None:
                raise
            dead = no_event(error)
        except Exception as error:  # from a validator of the user's
            log_failure(f"delivery {delivery.id}: a validator failed", error)
            if self._keeper is None:
                return FAILED, None, None
            dead = no_event(error)
        if self._keeper is not None:
            kept = await self._keeper.put(delivery, event, id=id, dead=dead)
            return (DUPLICATE, event, kept.id) if isinstance(kept, Duplicate) else (STORED, event, None)
        assert event is not None  # noqa: S101 - for the type checkers
        return await handle(self.match(event), event, delivery, self.confirmation), event, None

    def _refuse(self, error: RequestError | VerificationError | InboxError) -> Response:
        self._refusals.add(error)
        return next(self._answers[cls] for cls in type(error).__mro__ if cls in self._answers)
