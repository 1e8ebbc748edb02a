"""The forms of a body that senders sign in place of its bytes: for `HMACBody(body_form=...)`.

Each is a function of the body's bytes that returns the bytes to sign, and raises ValueError for a body that has no such
form. Two bodies of one form say the same, but for those in `WEAK`; a handler gets the body as it came.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

from ..errors import ConfigurationError, needs

BodyForm = Callable[[bytes], bytes]
"""A function of a body that returns the bytes that the sender signs, or raises ValueError without quoting the body.
Of any other error no more is told than its class and its line."""

MAX_UNPACKED = 16 * 1024 * 1024
"""The bytes that a packed body may have when it is unpacked: more are a bomb."""

MAX_RATIO = 100
"""How many times as long a packed body may become beyond a megabyte. Documents seldom become twenty times as long, a
bomb a thousand times: before it is proven, a body costs no more than in proportion to its own length."""

_GZIP = b"\x1f\x8b"
_MOST_MEMBERS = 100  # of a gzip, since each costs a copy of what is behind it
_ALWAYS_UNPACKED = 1024 * 1024  # bytes
_BEYOND_BMP = re.compile("[\U00010000-\U0010ffff]+")
_ASCII = bytes(range(128))
_UNUSUAL = re.compile(rb"[0-9]{16}|\\u[dD]|[\xf0-\xff]")
"""Long numbers, and characters beyond the BMP, as themselves or as surrogates: names with them sort in another way."""


def gunzipped(body: bytes) -> bytes:
    """Return a body without its gzip (RFC 1952), which its first two bytes tell; any other body as it is.

    A gzip of several members is what is in them, one after the other (RFC 1952, section 2.2).

    Raises:
        ValueError: the gzip is damaged, or has more than 16 MiB in it, or more than a megabyte and 100 times its own
            length.
    """
    if not body.startswith(_GZIP):
        return body
    most = min(MAX_UNPACKED, max(_ALWAYS_UNPACKED, MAX_RATIO * len(body)))
    unpacked, packed, members = bytearray(), body, 0
    while packed:
        members += 1
        unpacker = zlib.decompressobj(wbits=31)
        if not packed.startswith(_GZIP) or members > _MOST_MEMBERS:
            raise ValueError(f"something stands behind the body's gzip, or it has more than {_MOST_MEMBERS} members")
        try:
            unpacked += unpacker.decompress(packed, most + 1 - len(unpacked))
        except zlib.error:
            raise ValueError("the body's gzip is damaged") from None
        if len(unpacked) > most:
            raise ValueError(f"the body has more than {most} bytes when it is unpacked")
        if not unpacker.eof:
            raise ValueError("the body's gzip ends too early")
        packed = unpacker.unused_data
    return bytes(unpacked)


def escaped(body: bytes) -> bytes:
    r"""Return a text in UTF-8 with each character beyond ASCII as `\uXXXX`, in lower case, as JSON may have it.

    Raises:
        ValueError: the body is not UTF-8.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    # The codec does what takes a call for each character else, but for those of Latin-1 and beyond the BMP.
    found = _BEYOND_BMP.sub(lambda found: json.dumps(found[0])[1:-1], text).encode("raw_unicode_escape")
    for byte in set(found.translate(None, _ASCII)):
        found = found.replace(bytes((byte,)), b"\\u%04x" % byte)
    return found


def canonical_json(body: bytes) -> bytes:
    """Return a body of JSON in its canonical form (RFC 8785). Needs the extra `[rfc8785]`.

    Raises:
        ValueError: the body is no JSON, or I-JSON (RFC 7493) does not allow it: a name that is there twice, a whole
            number that a double would change, or half a surrogate.
        ConfigurationError: the extra is missing.
    """
    dump = _canonical()
    load = partial(json.loads, object_pairs_hook=_without_duplicates, parse_constant=_no_number)
    try:
        with suppress(_UnusualNumber):
            if not _UNUSUAL.search(body):
                # Of usual numbers and names alone, Python's own JSON is the same, in a third of the time.
                document = load(body.decode(), parse_float=_usual_number)
                return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
        return dump(load(body.decode(), parse_int=_whole_number))
    except (ValueError, RecursionError):  # whose texts quote the body
        raise ValueError("the body has no canonical form: it is no JSON, or none that RFC 8785 allows") from None


def sha256_hex(body: bytes) -> bytes:
    """Return the SHA-256 of a body in hex of lower case, for senders that sign the hash in its place."""
    return hashlib.sha256(body).hexdigest().encode()


def crc32_decimal(body: bytes) -> bytes:
    """Return the CRC-32 of a body as an unsigned decimal number, for senders that sign that in its place.

    It is no proof: for any body there is another one with the same number, so `Verified.body` is False.
    """
    return b"%d" % zlib.crc32(body)


WEAK = frozenset({crc32_decimal})
"""The forms that prove no body: another body has the same one, and says something else."""


@cache
def _canonical() -> Callable[[Any], bytes]:
    try:
        import rfc8785
    except ImportError:
        raise ConfigurationError(needs("canonical JSON", "an extra", "rfc8785")) from None
    return rfc8785.dumps


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _whole_number(text: str) -> int | float:
    """Return a whole number; from 2 to the 53rd on a double, if its canonical spelling is this very one."""
    double = float(text)
    if abs(double) < 2**53:
        return int(text)
    if _canonical()(double) != text.encode():
        raise ValueError("a double would change the number")
    return double


def _usual_number(text: str) -> int | float:
    """Return a number that Python writes as RFC 8785 has it: a whole one without a point, any other with its digits.

    Raises:
        _UnusualNumber: it is written with an exponent, by one of the two at least.
    """
    double = float(text)
    if not 1e-4 <= abs(double) < 1e15 and double:
        raise _UnusualNumber
    return int(double) if double.is_integer() else double


class _UnusualNumber(Exception):
    """A number is written in another way by Python than by RFC 8785."""


def _no_number(text: str) -> float:
    raise ValueError("NaN and Infinity are no JSON")
