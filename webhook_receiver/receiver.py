"""The receiver: an ASGI app that verifies a delivery, parses it and runs the handlers of its event."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Self

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .answers import FAILED, HANDLED, Answer, Receipt, not_an_event, refusals, retry_after
from .body import BodyReader
from .catalog import Catalog
from .delivery import AnyHeaders, Delivery, Headers, header_pairs, new_id
from .errors import (
    BodyTooLarge,
    ConfigurationError,
    GiveUp,
    InvalidContentLength,
    MethodNotAllowed,
    NotAnEvent,
    RequestError,
    Retry,
    UnsupportedEncoding,
    VerificationError,
)
from .events import Event, Path
from .mounting import slash_or_not
from .refusals import Refusals
from .routing import Router
from .running import log_failure, run
from .signatures import BodyCheck, Scheme, UP42Signature, Verified
from .signatures.base import Secrets, masked

logger = logging.getLogger("webhook_receiver")

MAX_BODY = 1024 * 1024  # bytes; an order's notification has some hundred
BODY_TIMEOUT = 30.0  # seconds


class WebhookReceiver(Router):
    """Receives the deliveries of one sender. It is an ASGI app: run it, mount it, or use its `route`.

    Args:
        secret: what the sender signs with, as UP42 does; several for rotation, any of which verifies.
        scheme: another way to verify, or `UP42Signature(secret, ...)` with options, or `Unsigned()`.
        name: what this receiver is called in its deliveries and its log lines.
        max_body: bytes; a larger body is answered 413.
        body_timeout: seconds; a body that is not complete by then is answered 408.
        refused_status: what a bad signature is answered, for senders that ask for another 4xx than 401.
        order_id_paths: where the id of an order is in the sender's document, such as ["body.orderNumber"].
        clock: returns the time in Unix seconds.

    Raises:
        ConfigurationError: it could not work, or would let strangers in.
    """

    def __init__(
        self,
        *,
        secret: Secrets | None = None,
        scheme: Scheme | None = None,
        name: str = "webhooks",
        max_body: int = MAX_BODY,
        body_timeout: float = BODY_TIMEOUT,
        refused_status: int = 401,
        order_id_paths: Sequence[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        secret = None if secret is None else masked(secret)
        _refuse_limits(max_body, body_timeout, refused_status)
        super().__init__(Catalog(_paths(order_id_paths)))
        self.name = name
        self._scheme = _scheme(secret, scheme)
        self._max_body = max_body
        self._most_digits = len(str(max_body))
        self._bodies = BodyReader(max_body, body_timeout)
        self._refusals = Refusals(name, clock)
        self._answers = refusals(refused_status)
        self._clock = clock

    def __repr__(self) -> str:
        if not hasattr(self, "_clock"):
            return f"<{type(self).__name__}, unfinished>"  # in a traceback of its constructor
        return f"<{type(self).__name__} {self.name!r}: {len(self.handlers)} handlers, {type(self._scheme).__name__}>"

    @property
    def refused(self) -> Mapping[str, int]:
        """How many requests were refused so far, by the error's name."""
        return dict(self._refusals.counts)

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
            check = self._admit(headers, now)
            body = await self._bodies.read(receive)
            answer, _ = await self._handle(self._delivery(headers, body, check(body), now))
        except (RequestError, VerificationError) as error:
            answer = self._refuse(error)
        except NotAnEvent as error:
            answer = not_an_event(error)
        await answer.send(send)

    async def receive(self, headers: AnyHeaders, body: bytes) -> Receipt:
        """Do what the app does, without ASGI: for a Lambda function, another framework's view, a test.

        Args:
            headers: the request's, as a mapping or as pairs.
            body: the bytes as they came; a body that was parsed and dumped again does not verify.

        Raises:
            TypeError: the body is not bytes.
        """
        if not isinstance(body, bytes):
            raise TypeError(f"receive() takes the body's bytes as they came, not {type(body).__name__}")
        delivery = None
        try:
            now = self._clock()
            pairs = header_pairs(headers)
            check = self._admit(pairs, now)
            self._bodies.refuse_large(body)
            delivery = self._delivery(pairs, body, check(body), now)
            answer, event = await self._handle(delivery)
        except (RequestError, VerificationError) as error:
            return Receipt(self._refuse(error), error=error.with_traceback(None))
        except NotAnEvent as error:
            return Receipt(not_an_event(error), delivery, error=error.with_traceback(None))
        return Receipt(answer, delivery, event)

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
        if not self.handlers:
            logger.warning("%s has no handlers: deliveries are verified, answered 204 and forgotten", self.name)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        return None

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: the server answers 403

    async def _live(self, receive: Receive, send: Send) -> None:
        """Speak ASGI's lifespan protocol, for a receiver that is the server's whole app."""
        await receive()
        try:
            await self.__aenter__()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": f"{self.name} cannot start: {error}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.__aexit__()
        await send({"type": "lifespan.shutdown.complete"})

    def _admit(self, headers: Headers, now: float) -> BodyCheck:
        """Refuse what can be refused before the body is read."""
        fields = dict(headers)
        length = fields.get(b"content-length", b"0")
        if not length.isdigit():
            raise InvalidContentLength("Content-Length is not a number")
        if len(length) >= self._most_digits and int(length[:20]) > self._max_body:
            raise BodyTooLarge(f"Content-Length is more than {self._max_body}")
        if b"content-encoding" in fields and fields[b"content-encoding"].lower() not in (b"", b"identity"):
            raise UnsupportedEncoding("the body is compressed")
        return self._scheme.verify_headers(headers, now)

    def _delivery(self, headers: Headers, body: bytes, verified: Verified, now: float) -> Delivery:
        return Delivery(new_id(), self.name, tuple(headers), body, now, verified.by, verified.body)

    async def _handle(self, delivery: Delivery) -> tuple[Answer, Event | None]:
        """Run the handlers of an authentic delivery, all of them, one after the other."""
        try:
            event = self._catalog.parse(delivery.body)
        except NotAnEvent as error:
            logger.warning("delivery %s: %s", delivery.id, error)
            raise
        except Exception as error:  # from a validator of the user's
            log_failure(f"delivery {delivery.id}: a validator failed", error)
            return FAILED, None
        handlers = self.match(event)
        raised: list[BaseException] = []
        for handler in handlers:
            outcome = await run(handler, event, delivery)
            if outcome is not None:
                raised.append(outcome)
        if logger.isEnabledFor(logging.INFO):
            names = ", ".join(handler.name for handler in handlers) or "no handler"
            logger.info("delivery %s: %s: %s", delivery.id, type(event).__name__, names)
        return (_answer(raised) if raised else HANDLED), event

    def _refuse(self, error: RequestError | VerificationError) -> Answer:
        self._refusals.add(error)
        return next(self._answers[cls] for cls in type(error).__mro__ if cls in self._answers)


def _answer(raised: list[BaseException]) -> Answer:
    """One failure asks the sender to try again; so does a handler's wish to, at the latest time of any."""
    if not all(isinstance(each, Retry | GiveUp) for each in raised):
        return FAILED
    waits = [each.after for each in raised if isinstance(each, Retry)]
    return retry_after(max(waits)) if waits else HANDLED


def _scheme(secret: Secrets | None, scheme: Scheme | None) -> Scheme:
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


def _refuse_limits(max_body: int, body_timeout: float, refused_status: int) -> None:
    if not isinstance(max_body, int) or max_body < 1:
        raise ConfigurationError(f"max_body is a number of bytes above 0, not {max_body!r}")
    if not isinstance(body_timeout, int | float) or not body_timeout > 0:
        raise ConfigurationError(f"body_timeout is a number of seconds above 0, not {body_timeout!r}")
    if not isinstance(refused_status, int) or not 400 <= refused_status <= 499:
        raise ConfigurationError(f"refused_status is a status from 400 to 499, not {refused_status!r}")


def _paths(dotted: Sequence[str] | None) -> list[Path] | None:
    if dotted is None:
        return None
    if isinstance(dotted, str) or not all(isinstance(path, str) and all(path.split(".")) for path in dotted):
        raise ConfigurationError(f'order_id_paths is a list such as ["body.orderId", "body.id"], not {dotted!r}')
    return [tuple(int(key) if key.isdecimal() else key for key in path.split(".")) for path in dotted]
