"""Readers of header values that schemes share: a header that must be unique, a time, a signature in hex or base64."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from typing import NamedTuple

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


def header_name(argument: str, name: str) -> bytes:
    """Return the name of a header in lower case, as ASGI has it.

    Args:
        argument: the argument that the name was given as, for the error.
        name: the name, in any case.

    Raises:
        ConfigurationError: no header can have the name.
    """
    given: object = name
    if not isinstance(given, str) or not given.isascii() or not given.replace("-", "").replace("_", "").isalnum():
        raise ConfigurationError(f'{argument} is the name of a header, such as "X-Acme-Id", not {given!r}')
    return name.lower().encode()


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


def reject_stale(signed: float, now: float, tolerance: float) -> None:
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


_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/", b"+/**")
_HEX = b"0123456789abcdef"


class Encoding(NamedTuple):
    """An encoding of signatures (RFC 4648)."""

    what: str
    """Its name in errors."""
    encode: Callable[[bytes], bytes]
    """A function of a signature's bytes that returns their one right spelling."""
    is_encoded: Callable[[bytes], bool]
    """A function that returns whether a text is of the encoding and not empty: a wrong signature is `BadSignature`, any
    other text malformed."""
    decode: Callable[[bytes], bytes | None]
    """A function of a text that returns the bytes of the signature, or None for a text that is not of the encoding."""
    any_case: bool = False
    """Whether upper case is as right as lower case."""


def _to_hex(data: bytes) -> bytes:
    return data.hex().encode()


def _is_hex(text: bytes) -> bool:
    return bool(text) and not text.strip(_HEX)


def _from_hex(text: bytes) -> bytes | None:
    return bytes.fromhex(text.decode()) if _is_hex(text) and len(text) % 2 == 0 else None


def _is_hex_of_any_case(text: bytes) -> bool:
    return _is_hex(text.lower())


def _to_base64url(data: bytes) -> bytes:
    return to_base64(data).translate(_TO_URL)


def _is_base64url(text: bytes) -> bool:
    return is_base64(text.translate(_FROM_URL))


def _from_base64(text: bytes) -> bytes | None:
    try:
        return a2b_base64(text, strict_mode=True)
    except Base64Error:
        return None


def _from_base64url(text: bytes) -> bytes | None:
    return _from_base64(text.translate(_FROM_URL))


def _unpadded(name: str, encoding: Encoding) -> Encoding:
    def encode(data: bytes) -> bytes:
        return encoding.encode(data).rstrip(b"=")

    def is_encoded(text: bytes) -> bool:
        return b"=" not in text and encoding.is_encoded(text + b"=" * (-len(text) % 4))

    def decode(text: bytes) -> bytes | None:
        return None if b"=" in text else encoding.decode(text + b"=" * (-len(text) % 4))

    return Encoding(name, encode, is_encoded, decode)


_BASE64 = Encoding("base64", to_base64, is_base64, _from_base64)
_BASE64URL = Encoding("base64url", _to_base64url, _is_base64url, _from_base64url)
ENCODINGS = {
    "hex": Encoding("hex", _to_hex, _is_hex, _from_hex),
    "hex-any-case": Encoding("hex", _to_hex, _is_hex_of_any_case, _from_hex, any_case=True),
    "base64": _BASE64,
    "base64-unpadded": _unpadded("base64 without padding", _BASE64),
    "base64url": _BASE64URL,
    "base64url-unpadded": _unpadded("base64url without padding", _BASE64URL),
}
"""The encodings of signatures, by name."""


class TimeFormat(NamedTuple):
    """A way to state a time, in which no time begins or ends another one that is valid at the same moment."""

    what: str
    """What a text of the format is, for errors."""
    write: Callable[[float], bytes]
    """A function of Unix seconds that returns the text."""
    read: Callable[[bytes], float | None]
    """A function of the text that returns Unix seconds, or None for a text that is no such time."""


_RFC3339 = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:?[0-9]{2})"
)


def _read_digits(text: bytes, longest: int) -> int | None:
    """Return a number without zeros in front, which would let its digits begin elsewhere."""
    return int(text) if text.isdigit() and len(text) <= longest and (text[0] != 48 or text == b"0") else None


def _read_seconds(text: bytes) -> float | None:
    return _read_digits(text, _MAX_DIGITS)


def _write_seconds(now: float) -> bytes:
    return b"%d" % int(now)


def _read_milliseconds(text: bytes) -> float | None:
    found = _read_digits(text, _MAX_DIGITS + 3)
    return None if found is None else found / 1000


def _write_milliseconds(now: float) -> bytes:
    return b"%d" % int(now * 1000)


def _read_rfc3339(text: bytes) -> float | None:
    if len(text) > 64 or not (found := _RFC3339.fullmatch(text)):
        return None
    day, clock, fraction, zone = (part.decode() for part in found.groups(b""))
    try:
        return datetime.fromisoformat(f"{day}T{clock}{fraction[:7]}{zone}").timestamp()
    except ValueError:  # a 30 February, or a leap second
        return None


def _write_rfc3339(now: float) -> bytes:
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def _read_http_date(text: bytes) -> float | None:
    """Read a date of RFC 9110, section 5.6.7, in its one spelling: of one length, it cannot begin or end elsewhere."""
    if len(text) != len("Sat, 31 Jan 2026 12:00:00 GMT"):
        return None
    try:
        found = parsedate_to_datetime(text.decode("latin-1")).timestamp()
        return found if _write_http_date(found) == text else None
    except (ValueError, OverflowError, OSError):
        return None


def _write_http_date(now: float) -> bytes:
    return formatdate(int(now), usegmt=True).encode()


TIME_FORMATS = {
    "seconds": TimeFormat("a time in whole Unix seconds", _write_seconds, _read_seconds),
    "milliseconds": TimeFormat("a time in whole Unix milliseconds", _write_milliseconds, _read_milliseconds),
    "rfc3339": TimeFormat("a time by RFC 3339, such as 2026-01-31T12:00:00Z", _write_rfc3339, _read_rfc3339),
    "http-date": TimeFormat(
        "a date of HTTP (RFC 9110), such as Sat, 31 Jan 2026 12:00:00 GMT", _write_http_date, _read_http_date
    ),
}
"""The formats of a time of signing, by name."""
