"""What a sender is answered: a status, and for all but success a problem document (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from starlette.types import Send

from .delivery import Delivery
from .errors import (
    BodyIncomplete,
    BodyTooLarge,
    BodyTooSlow,
    ConfigurationError,
    InboxError,
    InvalidContentLength,
    MethodNotAllowed,
    NotAnEvent,
    UnsupportedEncoding,
    VerificationError,
    WebhookError,
)
from .events import Event


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, made once and sent often."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    _raw: tuple[tuple[bytes, bytes], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        raw = tuple((name.encode(), value.encode()) for name, value in self.headers.items())
        object.__setattr__(self, "_raw", raw)

    async def send(self, send: Send) -> None:
        """Send it as ASGI messages; new ones each time, since middleware writes into them."""
        await send({"type": "http.response.start", "status": self.status, "headers": [*self._raw]})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(frozen=True, slots=True)
class Responses:
    """The statuses by which a sender learns what became of its request, where it asks for other ones than these.

    Raises:
        ConfigurationError: a status says something else than it has to.
    """

    stored: int = 202
    """The delivery is in the inbox: any 2xx."""
    duplicate: int = 200
    """The delivery was in the inbox already: any 2xx."""
    rejected: int = 401
    """The delivery does not prove itself: any 4xx."""

    def __post_init__(self) -> None:
        for name, least in (("stored", 200), ("duplicate", 200), ("rejected", 400)):
            status: object = getattr(self, name)
            if not isinstance(status, int) or not least <= status <= least + 99:
                raise ConfigurationError(f"responses: {name} is a status from {least} to {least + 99}, not {status!r}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request: the answer to give, and what was accepted."""

    response: Response
    delivery: Delivery | None = None
    """None when the request was refused."""
    event: Event | None = field(default=None, repr=False)
    """None when the request was refused, or is no event."""
    error: WebhookError | None = None
    """Why it was refused, or is no event."""
    duplicate_of: str | None = None
    """The id of the kept delivery that this one repeats."""


def problem(status: int, kind: str, title: str, detail: str | None = None, **headers: str) -> Response:
    """Return the answer that says what was wrong; `kind` is what programs may rely on."""
    document = {"type": f"urn:webhook-receiver:problem:{kind}", "title": title, "status": status}
    if detail is not None:
        document["detail"] = detail
    body = json.dumps(document).encode()
    fields = {"content-type": "application/problem+json", "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, fields, body)


HANDLED = Response(204)
FAILED = problem(500, "handler-failed", "A handler failed; please send it again")


def accepted(status: int) -> Response:
    """Return the response to what is kept, with an empty body."""
    return Response(status, {} if status in (204, 205) else {"content-length": "0"})


def retry_after(seconds: float) -> Response:
    """Return the answer to a delivery that a handler wants to see again later."""
    return problem(503, "try-again", "Please send it again later", retry_after=str(ceil(seconds)))


def not_an_event(error: NotAnEvent) -> Response:
    """Return the answer to an authentic body that is no event; it names the fields, not their values."""
    return problem(422, "not-an-event", "The body is not an event", detail=str(error))


def refusals(refused_status: int) -> Mapping[type[WebhookError], Response]:
    """Return the answer for each kind of error; `refused_status` is that of a bad signature."""
    authenticate = {"www_authenticate": "Signature"} if refused_status == 401 else {}  # RFC 9110, 15.5.2
    return {
        InboxError: problem(503, "inbox-unavailable", "It cannot be kept now; please send it again", retry_after="10"),
        VerificationError: problem(refused_status, "refused", "The signature was refused", **authenticate),
        MethodNotAllowed: problem(405, "method-not-allowed", "Deliveries come by POST", allow="POST"),
        InvalidContentLength: problem(400, "invalid-content-length", "Content-Length is not a number"),
        BodyTooLarge: problem(413, "body-too-large", "The body is too large"),
        BodyIncomplete: problem(400, "body-incomplete", "The body ended too early"),
        BodyTooSlow: problem(408, "body-too-slow", "The body took too long"),
        UnsupportedEncoding: problem(
            415, "unsupported-encoding", "The body must not be compressed", accept_encoding="identity"
        ),
    }
