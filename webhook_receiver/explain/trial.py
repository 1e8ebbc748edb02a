"""One trial of `explain`: a request with one change undone, and whether it verifies then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..delivery import Headers, RequestHead
from ..errors import ConfigurationError, StaleSignature, VerificationError
from ..senders import Make, preset_of, recognize
from ..signatures.scheme import Verified
from ..signatures.secrets import Secrets, masked

MILLISECONDS_FROM = 1e11
"""What is taken for seconds from here on means milliseconds: as seconds it is the year 5138."""

_TIME = re.compile(rb"(?<![0-9A-Za-z+/])[0-9]{10,16}(?![0-9A-Za-z+/=])")


@dataclass(frozen=True, slots=True)
class Cause:
    """A change that, undone, makes the request verify."""

    name: str
    """For programs, such as "json-reserialised"."""
    what: str
    """What has happened; a sentence without any secret, signature or body."""
    advice: str
    """What to do about it; a sentence."""


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """A request and how to verify it. No repr: it holds all that must not be shown."""

    head: RequestHead
    body: bytes
    secrets: Secrets
    make: Make

    @property
    def headers(self) -> Headers:
        """The headers of the request's head."""
        return self.head.headers

    def with_headers(self, headers: Headers) -> Case:
        """Return the case with these headers in place of its own."""
        return replace(self, head=self.head._replace(headers=headers))

    def with_header(self, name: bytes, value: bytes) -> Case:
        """Return the case with a header of another value, or with one more."""
        others = [(key, found) if key != name else (key, value) for key, found in self.headers]
        known = any(key == name for key, _ in others)
        return self.with_headers(others if known else [*others, (name, value)])


Suspicion = tuple[Cause, Case]
"""What may have happened, and the request as it was before that."""


class Verdict(NamedTuple):
    """What a scheme says of a case."""

    verified: Verified | None = None
    error: VerificationError | None = None
    before_body: bool = False
    """Whether the error came before the body was looked at."""

    @property
    def ok(self) -> bool:
        return self.verified is not None


def verify(case: Case, now: float) -> Verdict:
    """Ask the scheme itself.

    Raises:
        ConfigurationError: no such scheme can be made of the secrets.
    """
    scheme = case.make(masked(case.secrets))
    try:
        check = scheme.verify(case.head, now)
    except VerificationError as error:
        return Verdict(error=error, before_body=True)
    try:
        return Verdict(check(case.body))
    except VerificationError as error:
        return Verdict(error=error)


def holds(case: Case, now: float) -> float | None:
    """Return the time at which a case verifies: `now`, else one that its headers state; None if at none."""
    try:
        first = verify(case, now)
        if first.ok:
            return now
        if not isinstance(first.error, StaleSignature):
            return None
        return next((time for time in stated_times(case.headers) if verify(case, time).ok), None)
    except ConfigurationError:
        return None


def stated_times(headers: Headers) -> Iterator[float]:
    """Yield the times, in Unix seconds or what was taken for them, that the headers state."""
    seen: set[bytes] = set()
    for name, value in headers:
        if b"signature" in name or b"timestamp" in name:
            for digits in _TIME.findall(value[:4096])[:4]:
                if digits not in seen and len(seen) < 8:
                    seen.add(digits)
                    yield float(digits)


def listed_names(headers: Headers) -> list[bytes]:
    """Return the names of the headers that `signature-input` says are signed; none where there is no such header."""
    listed = re.search(rb"\(([^)]{0,4096})", fields(headers).get(b"signature-input", b""))
    return re.findall(rb"(?<![@a-z0-9-])[a-z0-9-]+", listed[1].lower())[:32] if listed else []


def fields(headers: Headers) -> dict[bytes, bytes]:
    """Return the first value of each header, at most 64 of them."""
    return dict(reversed(headers[:64]))


def named(header: bytes) -> str:
    """Return a header's name as a sentence may have it."""
    return "".join(chr(byte) if 32 < byte < 127 else "?" for byte in header[:60])


_PROXIES = (b"via", b"x-forwarded-for", b"forwarded", b"x-amzn-trace-id", b"cf-ray", b"x-envoy-external-address")


def hints(case: Case, *, known: bool) -> Iterator[str]:
    """Yield sentences about a rejected request; fewer where its cause is known."""
    present = fields(case.headers)
    length = present.get(b"content-length", b"")
    if not case.body:
        yield (
            "the body is empty: was it read before the receiver got it, or did a redirect (307, 301) lose it? "
            "A mount answers the path without its slash with 307: use hooks.route(path)"
        )
    elif length.isdigit() and len(length) < 20 and int(length) > len(case.body):
        yield f"the body has {len(case.body)} bytes, its Content-Length says {int(length)}: some were lost"
    if known:
        return
    yield from _about_headers(case)
    if present.get(b"content-encoding", b"identity") != b"identity":
        yield "it has a Content-Encoding: a receiver rejects that with 415, for signatures cover what was sent"
    if any(time > MILLISECONDS_FROM for time in stated_times(case.headers)):
        yield "it states a time of 13 digits or more: milliseconds, where seconds are meant"
    proxies = [name.decode() for name in _PROXIES if name in present]
    if proxies:
        yield f"a proxy was in between ({', '.join(proxies)}): ask what it changes in requests"
    yield "no usual change explains it: check the secret first, then look at the request as it comes (capture)"


def _about_headers(case: Case) -> Iterator[str]:
    given = preset_of(case.make)
    other = recognize(case.headers)
    if other is not None and other is not given:
        yield f"its headers are those of {other.title}"
    elif not any(b"signature" in name or b"hmac" in name for name in fields(case.headers)):
        yield "no header speaks of a signature: the sender has no secret, a proxy dropped it, or it was not saved"
    elif given is not None:
        absent = [mark for mark in given.headers if mark.encode() not in fields(case.headers)]
        if absent:
            yield f"without {' and '.join(absent)} nothing can be verified: it was lost on the way, or not saved"
