"""Causes that follow from a scheme's verdict: a time that is off, a digest that is not signed or cannot be read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import sha256, sha512
from typing import cast

from ..errors import BodyMismatch
from ..senders.up42.signature import DIGEST_HEADERS, UP42Signature
from ..signatures.scheme import Scheme
from .trial import MILLISECONDS_FROM, Case, Cause, Verdict, fields, listed_names, printable, stated_times, verify

_HOUR = 3600
_UNITS = ((86_400, "d"), (_HOUR, "h"), (60, "min"))


def stale_cause(case: Case, now: float) -> Cause:
    """Return the cause of a stale signature: how far its time is from `now`, in Unix seconds, and why it may be."""
    signed = next((time for time in stated_times(case.headers) if verify(case, time).ok), None)
    signed = next(stated_times(case.headers), now) if signed is None else signed
    age = now - signed
    if signed > MILLISECONDS_FROM and abs(now - signed / 1000) < abs(age):
        return Cause(
            "milliseconds",
            "the time of the signature is in milliseconds, not in seconds",
            "the sender has to state whole Unix seconds",
        )
    way = "ago" if age > 0 else "ahead"
    what = f"authentic, but signed {span(abs(age))} {way}, at {_utc(signed)}, by a clock that shows {_utc(now)}"
    hours = round(age / _HOUR)
    if 0 < abs(hours) <= 14 and abs(age - hours * _HOUR) < 60:
        return Cause(
            "time-zone",
            f"{what}; that is a whole number of hours",
            "if it came just now, one of the clocks takes local time for UTC; a saved request is as old as that",
        )
    if age < 0:
        return Cause("clock-behind", what, "set the clocks by NTP: the sender's is ahead, or the receiver's behind")
    date = _date(case)
    same = date is not None and abs(date - signed) <= 60
    return Cause(
        "stale",
        f"{what}{'; its Date header says the same' if same else ''}",
        "that is natural for a saved request: explain it as of the time when it came; else it is a late retry, or a "
        f"clock is off by {span(abs(age))} (set it by NTP)",
    )


def span(seconds: float) -> str:
    """Return a number of seconds as text: 45 s, 3 min, 2 h, 5 d."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _utc(time: float) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{time:g}"


def _date(case: Case) -> float | None:
    try:
        return parsedate_to_datetime(fields(case.headers)[b"date"].decode("latin-1")).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def digest_causes(case: Case, verdict: Verdict) -> Iterator[Cause]:
    """Yield the causes for which a right signature, by the scheme's verdict, does not cover the body."""
    if isinstance(verdict.error, BodyMismatch):
        yield from _unbound(case) if verdict.before_body else _unreadable(case)


def _unbound(case: Case) -> Iterator[Cause]:
    """Yield the cause for which no digest of the body is signed."""
    advice = "the sender has to sign it"
    if getattr(case.make, "func", case.make) is UP42Signature:
        advice += '; or accept what body_binding="optional" with components=... means'
        with_options = cast("Callable[..., Scheme]", case.make)
        for name in listed_names(case.headers):
            make = partial(with_options, digest_header=name.decode())
            times = stated_times(case.headers)
            if any(verify(replace(case, make=make), time).ok for time in times):
                yield Cause(
                    "digest-header",
                    f"the body's digest is in the header {printable(name)}, which the scheme does not know as one",
                    f'say digest_header="{printable(name)}"',
                )
                return
    present = [name for name in DIGEST_HEADERS if name.encode() in fields(case.headers)]
    there = f"; the header {present[0]} is there, but not listed" if present else ""
    yield Cause(
        "digest-unlisted",
        f"the signature is right, but lists no header with the body's digest{there}: it covers no body at all",
        advice,
    )


def _unreadable(case: Case) -> Iterator[Cause]:
    """Yield the cause of a digest that is of this body, but not in the form of RFC 3230 or RFC 9530."""
    spellings = {spelt for make in (sha256, sha512) for spelt in _spellings(make(case.body).digest())}
    listed = listed_names(case.headers)
    for name, value in fields(case.headers).items():
        digest = value.partition(b"=")[2] if value.lower().startswith(b"sha") else value
        if name in listed and digest.strip(b': "').lower() in spellings:
            yield Cause(
                "digest-encoding",
                f"the digest in the header {printable(name)} is of this very body, but not written as "
                "RFC 3230 or RFC 9530 have it (SHA-256= and base64)",
                "the sender has to write it in base64 behind its algorithm's name; nothing in between changed the body",
            )


def _spellings(digest: bytes) -> Iterator[bytes]:
    hexadecimal = digest.hex().encode()
    encoded = b64encode(digest)
    yield from (hexadecimal, b64encode(hexadecimal).lower(), encoded.lower(), encoded.rstrip(b"=").lower())
