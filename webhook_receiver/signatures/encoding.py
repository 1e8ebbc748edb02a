"""What schemes read from headers, each thing in one way: a header that is there once, a time, an encoded signature."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from ..delivery import Headers
from ..errors import ConfigurationError, MalformedSignature, MissingSignature, StaleSignature

_MOST_DIGITS = 12  # of a time in Unix seconds: enough for thirty thousand years


def only(headers: Headers, name: bytes) -> bytes:
    """Return the value of a header that has to be there once.

    Raises:
        MissingSignature: it is absent.
        MalformedSignature: it is repeated.
    """
    values = [value for each, value in headers if each == name]
    if not values:
        raise MissingSignature(f"there is no header {name.decode()}")
    if len(values) > 1:
        raise MalformedSignature(f"the header {name.decode()} is there more than once")
    return values[0]


def seconds(value: bytes, name: str) -> int:
    """Return a time that is written in whole Unix seconds.

    Raises:
        MalformedSignature: it is not.
    """
    if not (value.isdigit() and len(value) <= _MOST_DIGITS):
        raise MalformedSignature(f"{name} is not a time in whole Unix seconds")
    return int(value)


def reject_stale(signed: int, now: float, tolerance: float) -> None:
    """Raise StaleSignature if what is authentic was signed more than `tolerance` seconds before or after `now`."""
    age = now - signed
    if not -tolerance <= age <= tolerance:
        ago = f"{abs(age):.0f} s" if abs(age) < 86400 else "more than a day"
        raise StaleSignature(
            f"signed {ago} {'ago' if age > 0 else 'ahead'}, by our clock; allowed are {tolerance:g} s either way"
        )


def checked_tolerance(tolerance: float) -> float:
    """Return it, or raise ConfigurationError unless it is a number of seconds above 0."""
    if not isinstance(tolerance, int | float) or not 0 < tolerance < float("inf"):
        raise ConfigurationError(f"tolerance is a number of seconds above 0, not {tolerance!r}")
    return tolerance


def to_base64(data: bytes) -> bytes:
    """Return the one spelling of `data` in base64 that we take."""
    return b2a_base64(data, newline=False)


def is_base64(text: bytes) -> bool:
    """Whether it is base64 at all, and not empty; an honest mistake and a broken header are told apart by that."""
    try:
        return bool(a2b_base64(text, strict_mode=True))
    except Base64Error:
        return False
