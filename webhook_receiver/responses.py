"""The responses to senders: an HTTP status, and for every failure a problem document (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, NamedTuple

from starlette.types import Scope, Send

from .delivery import Delivery
from .errors import (
    BodyIncomplete,
    BodyTooLarge,
    BodyTooSlow,
    InboxError,
    InvalidContentLength,
    KeysUnavailable,
    MalformedChallenge,
    MethodNotAllowed,
    NotAnEvent,
    Overloaded,
    UnsupportedEncoding,
    VerificationError,
    WebhookError,
)
from .events import Event


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, built once and sent many times. Its repr shows neither headers nor body.

    Args:
        status: the HTTP status.
        headers: the headers; names in lower case.
        body: the bytes of the body.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)
    _raw: tuple[tuple[bytes, bytes], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        raw = tuple((name.encode(), value.encode()) for name, value in self.headers.items())
        object.__setattr__(self, "_raw", raw)

    async def send(self, send: Send) -> None:
        """Send the response as ASGI messages; new ones each time, since middleware may change them."""
        await send({"type": "http.response.start", "status": self.status, "headers": [*self._raw]})
        await send({"type": "http.response.body", "body": self.body})

    def closing(self, scope: Scope) -> Response:
        """Return the response with which the server closes the connection of a request, since its body did not end.

        HTTP/2 and HTTP/3 have no such header (RFC 9113, section 8.2.2), and no need of it.
        """
        if not scope.get("http_version", "1.1").startswith("1"):
            return self
        return replace(self, headers={**self.headers, "connection": "close"})


class ResponseStatuses(NamedTuple):
    """The HTTP statuses of responses, for a sender that expects others than the defaults.

    A `Sender` rejects a status that is out of its class, such as a 4xx for a stored delivery.
    """

    stored: int = 202
    """The status for a delivery that is stored now: any 2xx. 200 is that of what is handled without an inbox, too."""
    duplicate: int = 200
    """The status for a duplicate of a stored delivery: any 2xx."""
    rejected: int = 401
    """The status for a delivery whose signature is rejected: any 4xx."""


class Receipt(NamedTuple):
    """The outcome of a request: the response, and the delivery and event if the request was accepted."""

    response: Response
    """The response to the sender."""
    delivery: Delivery | None = None
    """The delivery; None when the request was rejected."""
    event: Event | None = None
    """The event, of several the first one; None when the request was rejected, or its body is no event."""
    error: WebhookError | None = None
    """The error for which the request was rejected, or its body is no event."""
    duplicate_of: str | None = None
    """The id of the stored delivery that this one is a duplicate of; None if it is none."""
    events: tuple[Event, ...] = ()
    """The events, where the request brings several; parts that are none are left out."""

    def __repr__(self) -> str:
        # Without the event, whose repr shows the body.
        return (
            f"Receipt(response={self.response!r}, delivery={self.delivery!r}, error={self.error!r}, "
            f"duplicate_of={self.duplicate_of!r})"
        )


def plain(text: str, status: int = 200) -> Response:
    """Return a response of plain text, which no browser takes for anything else."""
    return _with_body("text/plain; charset=utf-8", text.encode(), status)


def as_json(document: Mapping[str, Any], status: int = 200) -> Response:
    """Return a response of a JSON object."""
    return _with_body("application/json", json.dumps(document).encode(), status)


def as_xml(text: str, status: int = 200) -> Response:
    """Return a response of XML, such as Twilio's TwiML. Values in it have to be escaped."""
    return _with_body("text/xml; charset=utf-8", text.encode(), status)


def _with_body(kind: str, body: bytes, status: int) -> Response:
    fields = {"content-type": kind, "content-length": str(len(body)), "x-content-type-options": "nosniff"}
    return Response(status, fields, body)


def problem(status: int, kind: str, title: str, detail: str | None = None, **headers: str) -> Response:
    """Return a response with a problem document (RFC 9457).

    Args:
        status: the HTTP status.
        kind: the last part of the document's `type`, a URN that programs may rely on.
        title: the document's title.
        detail: the document's detail; left out if None.
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
    """Return the response to a stored delivery: a status with an empty body."""
    return Response(status, {} if status in (204, 205) else {"content-length": "0"})


def retry_after(seconds: float) -> Response:
    """Return the response to a delivery whose handler raised `Retry`: 503 with a Retry-After header (RFC 9110, 10.2.3).

    Args:
        seconds: the seconds after which the sender should send again; rounded up.
    """
    return problem(503, "try-again", "Please send it again later", retry_after=str(ceil(seconds)))


def not_an_event(error: NotAnEvent) -> Response:
    """Return the response to an authentic body that is no event: 422 with the names of the wrong fields, no values."""
    return problem(422, "not-an-event", "The body is not an event", detail=str(error))


def rejections(
    rejected_status: int, asked_for: str = "Signature", *, allow: str = "POST", encodings: Sequence[str] = ()
) -> Mapping[type[WebhookError], Response]:
    """Return the response to each kind of error.

    Args:
        rejected_status: the HTTP status for a signature that is rejected.
        asked_for: the value of the header WWW-Authenticate of a 401.
        allow: the methods that the receiver takes, as the header Allow of a 405 has them.
        encodings: the values of Content-Encoding that it takes.
    """
    authenticate = {"www_authenticate": asked_for} if rejected_status == 401 else {}  # RFC 9110, 15.5.2
    return {
        InboxError: problem(
            503, "inbox-unavailable", "The delivery cannot be stored now; please send it again", retry_after="10"
        ),
        KeysUnavailable: problem(
            503, "keys-unavailable", "The delivery cannot be verified now; please send it again", retry_after="10"
        ),
        VerificationError: problem(rejected_status, "rejected", "The signature was rejected", **authenticate),
        MethodNotAllowed: problem(405, "method-not-allowed", "Deliveries come by POST", allow=allow),
        InvalidContentLength: problem(400, "invalid-content-length", "Content-Length is not a number"),
        MalformedChallenge: problem(400, "malformed-challenge", "The challenge has no token that could be sent back"),
        BodyTooLarge: problem(413, "body-too-large", "The body is too large"),
        BodyIncomplete: problem(400, "body-incomplete", "The body ended too early"),
        BodyTooSlow: problem(408, "body-too-slow", "The body took too long"),
        Overloaded: problem(
            503, "overloaded", "Too much is being received now; please send it again", retry_after="10"
        ),
        UnsupportedEncoding: problem(
            415,
            "unsupported-encoding",
            "The body is compressed in a way that is not taken here"
            if encodings
            else "The body must not be compressed",
            accept_encoding=", ".join((*encodings, "identity")),
        ),
    }
