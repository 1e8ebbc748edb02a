"""The errors that this package raises, and the signals that a handler raises: two trees.

WebhookError
├── ConfigurationError          when what was declared cannot work: on registration, start or command
├── RequestError                when a request is none that this receiver reads; says nothing about the sender
│   ├── MethodNotAllowed        when it is not a POST                                         405
│   ├── InvalidContentLength    when Content-Length is no number                              400
│   ├── BodyTooLarge            when the body has more bytes than `max_body`                  413
│   ├── BodyTooSlow             when the body is not complete within `body_timeout`           408
│   ├── Overloaded              when the bodies being read have too many bytes together       503
│   ├── BodyIncomplete          when the body ends too early, or is gone before it is read    400
│   ├── UnsupportedEncoding     when Content-Encoding is other than the sender declares       415
│   └── MalformedChallenge      when a challenge of the sender's has a token that is none     400
├── VerificationError           when a request is not proven to come from the sender          401
│   ├── MissingSignature        when a signature header is absent
│   ├── MalformedSignature      when a signature header cannot be read
│   ├── BadSignature            when no secret gives this signature
│   ├── StaleSignature          when it was signed too long ago or ahead of our clock, if authentically
│   ├── BodyMismatch            when the signature does not cover the body that came with it
│   ├── UnexpectedSignature     when it is signed, but the receiver was told that nothing is
│   └── AddressNotAllowed       when it comes from none of the sender's networks
├── KeysUnavailable             when the keys or secrets to verify by cannot be fetched now       503
├── NotAnEvent                  when an authentic body is not JSON or not an event            422
├── MiddlewareError             when a middleware returns, but its handler has not            500
├── Unconfirmed                 when the sender's API does not say yet what a delivery says   503
├── InboxError                  when the inbox did not do what was asked                      503
│   ├── InboxUnavailable        when it cannot commit now: locked, disk full, gone
│   ├── InboxDamaged            when what it holds was changed or lost from outside
│   ├── PollLeaseLost           when another process polls the source now
│   └── AmbiguousId             when several ids begin as the one that was asked for
└── ApiError                    when the sender's API did not do what it was asked

HandlerSignal                   raised by handlers and middleware; `except WebhookError` does not catch it
├── Retry                       when a handler is to run again later, and has not failed      503
└── GiveUp                      when to run again cannot help                                 204

The numbers are the statuses that a sender is answered; those of handlers where there is no inbox.
No message of a WebhookError holds a secret, a signature, a body or a header's value.
"""

from __future__ import annotations

import math
from datetime import timedelta

DISTRIBUTION = "asgi-webhook-receiver"
"""The name that pip knows this package by; it is imported as `webhook_receiver`."""


def needs(what: str, missing: str, extra: str) -> str:
    """Return the sentence about a part of the package whose dependencies are not installed.

    Args:
        what: the part that cannot be used.
        missing: what it needs.
        extra: the extra that installs it.
    """
    return f"{what} needs {missing}: install it with  pip install '{DISTRIBUTION}[{extra}]'"


class WebhookError(Exception):
    """Base of all that this package raises itself; `Retry` and `GiveUp`, which a handler raises, are none."""


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


class Overloaded(RequestError):
    """The bodies being read, or waiting for keys, have more bytes together than the receiver's `max_bodies`."""


class BodyIncomplete(RequestError):
    """The client went away before the body was complete, or something before the receiver has read the body."""


class UnsupportedEncoding(RequestError):
    """The request's body is compressed; a signature covers the bytes as they were sent."""


class MalformedChallenge(RequestError):
    """The request is a challenge of the sender's, but what it wants back is too long, no text, or not printable."""


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


class AddressNotAllowed(VerificationError):
    """The request comes from none of the networks of `AllowFrom`, or from an address that is not known."""


class KeysUnavailable(WebhookError):
    """The keys, certificates or secrets that a request is to be verified by cannot be fetched now."""


class NotAnEvent(WebhookError):
    """The body is authentic, but it is not JSON, or not an event; the message names the fields."""


class MiddlewareError(WebhookError):
    """A middleware returned, but its `call_next` has not: the message says which middleware, and what to do."""


class Unconfirmed(WebhookError):
    """The sender's API does not say yet what a delivery says, see `confirm=`; kept as the error of a failed attempt."""


class InboxError(WebhookError):
    """The inbox did not do what it was asked; nothing of it has happened."""


class InboxUnavailable(InboxError):
    """The inbox cannot commit now: it is locked, its disk is full, or it is gone. Try again."""


class InboxDamaged(InboxError):
    """Stored deliveries were changed or lost from outside; the message says which, and what to do."""


class PollLeaseLost(InboxError):
    """Another process polls the source now, or the poll was released: nothing is stored, and this one ends."""


class AmbiguousId(InboxError):
    """Several deliveries have ids that begin as the one that was asked for."""


class ApiError(WebhookError):
    """The sender's API did not do what it was asked.

    Args:
        message: what was wrong, where, and what to do; without any secret or token.
        status: the HTTP status of the API's response; None when there was no response.
        code: the sender's own code for the error, if any.
        details: whatever else the response says about the error, as parsed from JSON.
        retry_after: the seconds after which the API asks to be called again, by its `Retry-After` (RFC 9110, section
            10.2.3) or otherwise; None if it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: int | str | None = None,
        details: object = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.details = details
        self.retry_after = retry_after


class HandlerSignal(Exception):
    """Base of what a handler or a middleware raises to say when it is to run again; no failure, and no WebhookError."""


class Retry(HandlerSignal):
    """Raise it in a handler to be run again later; any other exception does so too, as a failure, by `Backoff`.

    Args:
        after: the wait, in seconds or as a timedelta; 0 or more.

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


class GiveUp(HandlerSignal):
    """Raise it in a handler when to run again cannot help: with an inbox, the delivery is dead.

    Args:
        reason: why, in a line; it is logged, and kept with the dead delivery.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
