"""Everything this package raises, as one tree.

WebhookError
├── ConfigurationError          misuse; raised while the app starts, never for a delivery
├── RequestError                not a request this receiver reads; says nothing about the sender
│   ├── MethodNotAllowed        not a POST                                   405
│   ├── InvalidContentLength    Content-Length is no number                  400
│   ├── BodyTooLarge            more bytes than `max_body`                   413
│   ├── BodyTooSlow             not complete within `body_timeout`           408
│   ├── BodyIncomplete          the client went away before its end          400
│   └── UnsupportedEncoding     Content-Encoding other than identity         415
├── VerificationError           not proven to come from the sender           401
│   ├── MissingSignature        a signature header is absent
│   ├── MalformedSignature      a signature header cannot be read
│   ├── BadSignature            no secret gives this signature
│   ├── StaleSignature          authentic, but signed too long ago or ahead of our clock
│   ├── BodyMismatch            the signature does not cover this body
│   └── UnexpectedSignature     signed, but the receiver was told that nothing is
├── NotAnEvent                  authentic, but not JSON or not an event      422
├── InboxError                  the inbox did not do what was asked          503
│   ├── InboxUnavailable        it cannot commit now: locked, disk full, gone
│   ├── InboxDamaged            what it holds was changed or lost from outside
│   └── AmbiguousId             several ids begin as the one that was asked for
├── ApiError                    the sender's API did not do what it was asked
├── Unconfirmed                 the sender's API does not say so yet          503
├── Retry                       a handler's word: not now, try again         503
└── GiveUp                      a handler's word: never, do not try again    204

No message here holds a secret, a signature, a body or a header's value.
"""

from __future__ import annotations

import math
from datetime import timedelta


class WebhookError(Exception):
    """Base of everything that this package raises."""


class ConfigurationError(WebhookError):
    """The receiver, a scheme, a secret or a handler was declared in a way that cannot work."""


class RequestError(WebhookError):
    """The request is not one this receiver reads."""


class MethodNotAllowed(RequestError):
    """The request is not a POST."""


class InvalidContentLength(RequestError):
    """The request's Content-Length is not a number of bytes."""


class BodyTooLarge(RequestError):
    """The request's body is larger than the receiver's `max_body`."""


class BodyTooSlow(RequestError):
    """The request's body was not complete within the receiver's `body_timeout`."""


class BodyIncomplete(RequestError):
    """The client went away before the body was complete; hardly anybody is left to hear the answer."""


class UnsupportedEncoding(RequestError):
    """The request's body is compressed; a signature covers the bytes as they were sent."""


class VerificationError(WebhookError):
    """The request is not proven to come from the sender."""


class MissingSignature(VerificationError):
    """A header that the scheme needs is absent: the sender has no secret, or a proxy dropped it."""


class MalformedSignature(VerificationError):
    """A signature header cannot be read, or names headers that it must not name."""


class BadSignature(VerificationError):
    """None of the receiver's secrets gives this signature over these headers."""


class StaleSignature(VerificationError):
    """The signature is authentic, but its time is too far from the receiver's clock."""


class BodyMismatch(VerificationError):
    """The signature is authentic, but does not cover the body that came with it."""


class UnexpectedSignature(VerificationError):
    """The request is signed, but the receiver's scheme is `Unsigned()`: its sender has a secret."""


class NotAnEvent(WebhookError):
    """The body is authentic, but it is not JSON, or not an event; the message names the fields."""


class InboxError(WebhookError):
    """The inbox did not do what it was asked; nothing of it has happened."""


class InboxUnavailable(InboxError):
    """The inbox cannot commit now: it is locked, its disk is full, or it is gone. Try again."""


class InboxDamaged(InboxError):
    """What the inbox holds was changed or lost from outside; the message says what, and what to do."""


class AmbiguousId(InboxError):
    """Several deliveries have ids that begin as the one that was asked for."""


class ApiError(WebhookError):
    """The sender's API did not do what it was asked.

    Args:
        message: what was wrong, where, and what to do; without any secret or token.
        status: what was answered; None when there was no answer.
        code: the sender's own code of it.
        details: what else the sender said of it.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: int | str | None = None, details: object = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.details = details


class Unconfirmed(WebhookError):
    """The sender's API does not say yet what a delivery says, see `confirm=`; kept as the reason of an attempt."""


class Retry(WebhookError):
    """Raise it in a handler to be called again later; any other exception does so too, as a failure.

    Args:
        after: how long to wait, in seconds or as a timedelta; not negative.

    Raises:
        ValueError: `after` is negative or not finite.
    """

    after: float = 0

    def __init__(self, after: float | timedelta) -> None:
        seconds = after.total_seconds() if isinstance(after, timedelta) else float(after)
        if not 0 <= seconds < math.inf:
            raise ValueError(f"Retry(after=...) takes a number of seconds from 0 up, not {after!r}")
        super().__init__(f"try again after {seconds:g} s")
        self.after = seconds


class GiveUp(WebhookError):
    """Raise it in a handler, with the reason, when trying again cannot help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
