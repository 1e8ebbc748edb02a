"""Readers of header values that schemes share: a header that must be unique, a time, a signature in base64."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from ..delivery import Headers
from ..errors import ConfigurationError, MalformedSignature, MissingSignature, StaleSignature

_MAX_DIGITS = 12  # of a time in Unix seconds: enough for thirty thousand years


def missing(name: bytes, headers: Headers) -> MissingSignature:
    """Return the error of a request that lacks a header of its signature."""
    return MissingSignature(f"there is no header {name.decode()}" if headers else "the request has no headers")


def only(headers: Headers, name: bytes) -> bytes:
    """Return the value of a header that must be present exactly once.

    Args:
        headers: the headers of a request.
        name: the header's name, in lower case.

    Raises:
        MissingSignature: the header is absent.
        MalformedSignature: the header is there more than once.
    """
    values = [value for each, value in headers if each == name]
    if not values:
        raise missing(name, headers)
    if len(values) > 1:
        raise MalformedSignature(f"the header {name.decode()} is there more than once")
    return values[0]


def seconds(value: bytes, name: str) -> int:
    """Return a time, in Unix seconds, that a header states.

    Args:
        value: the digits of the time.
        name: what states it, for the error.

    Raises:
        MalformedSignature: the value is no time in whole Unix seconds.
    """
    if not (value.isdigit() and len(value) <= _MAX_DIGITS):
        raise MalformedSignature(f"{name} is not a time in whole Unix seconds")
    return int(value)


def reject_stale(signed: int, now: float, tolerance: float) -> None:
    """Reject an authentic signature whose time is too far from the present.

    Args:
        signed: the time of signing, in Unix seconds.
        now: the present time, in Unix seconds.
        tolerance: the largest difference that is allowed, in seconds, in either direction.

    Raises:
        StaleSignature: the difference is larger.
    """
    age = now - signed
    if not -tolerance <= age <= tolerance:
        ago = f"{abs(age):.0f} s" if abs(age) < 86400 else "more than a day"
        raise StaleSignature(
            f"signed {ago} {'ago' if age > 0 else 'ahead'}, by our clock; allowed are {tolerance:g} s either way"
        )


def checked_tolerance(tolerance: float) -> float:
    """Return a tolerance in seconds unchanged.

    Raises:
        ConfigurationError: the tolerance is not a finite number above 0.
    """
    if not isinstance(tolerance, int | float) or not 0 < tolerance < float("inf"):
        raise ConfigurationError(f"tolerance is a number of seconds above 0, not {tolerance!r}")
    return tolerance


def to_base64(data: bytes) -> bytes:
    """Return `data` in base64 (RFC 4648, section 4), with padding and without a newline: the only spelling accepted."""
    return b2a_base64(data, newline=False)


def is_base64(text: bytes) -> bool:
    """Return whether a text is base64 and not empty: a wrong signature is `BadSignature`, any other text malformed."""
    try:
        return bool(a2b_base64(text, strict_mode=True))
    except Base64Error:
        return False
