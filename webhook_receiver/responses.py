"""The responses to senders: a status, and for all but success a problem document (RFC 9457)."""

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
    """An HTTP response, built once and sent many times."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    _raw: tuple[tuple[bytes, bytes], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        raw = tuple((name.encode(), value.encode()) for name, value in self.headers.items())
        object.__setattr__(self, "_raw", raw)

    async def send(self, send: Send) -> None:
        """Send the response as ASGI messages; new ones each time, since middleware may change them."""
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
    """The outcome of a request: the response to it, and the delivery and event if it was accepted."""

    response: Response
    delivery: Delivery | None = None
    """The delivery; None when the request was rejected."""
    event: Event | None = field(default=None, repr=False)
    """The event; None when the request was rejected, or its body is no event."""
    error: WebhookError | None = None
    """The error for which the request was rejected, or its body is no event."""
    duplicate_of: str | None = None
    """The id of the stored delivery that this one repeats."""


def problem(status: int, kind: str, title: str, detail: str | None = None, **headers: str) -> Response:
    """Return a response with a problem document (RFC 9457).

    Args:
        status: the HTTP status.
        kind: the last part of the document's `type`, a URN that programs may rely on.
        title: the document's title.
        detail: its detail; left out if None.
        headers: more headers, with underscores for hyphens in their names.
    """
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
    """Return the response to a delivery whose handler asks for it again after a number of seconds, rounded up."""
    return problem(503, "try-again", "Please send it again later", retry_after=str(ceil(seconds)))


def not_an_event(error: NotAnEvent) -> Response:
    """Return the response to an authentic body that is no event; it names the fields, not their values."""
    return problem(422, "not-an-event", "The body is not an event", detail=str(error))


def rejections(rejected_status: int) -> Mapping[type[WebhookError], Response]:
    """Return the response for each kind of error; `rejected_status` is the status for a bad signature."""
    authenticate = {"www_authenticate": "Signature"} if rejected_status == 401 else {}  # RFC 9110, 15.5.2
    return {
        InboxError: problem(503, "inbox-unavailable", "It cannot be kept now; please send it again", retry_after="10"),
        VerificationError: problem(rejected_status, "rejected", "The signature was rejected", **authenticate),
        MethodNotAllowed: problem(405, "method-not-allowed", "Deliveries come by POST", allow="POST"),
        InvalidContentLength: problem(400, "invalid-content-length", "Content-Length is not a number"),
        BodyTooLarge: problem(413, "body-too-large", "The body is too large"),
        BodyIncomplete: problem(400, "body-incomplete", "The body ended too early"),
        BodyTooSlow: problem(408, "body-too-slow", "The body took too long"),
        UnsupportedEncoding: problem(
            415, "unsupported-encoding", "The body must not be compressed", accept_encoding="identity"
        ),
    }
