"""What is noticed in a refused request and cannot be tried: what is lost cannot be put back."""

from __future__ import annotations

from collections.abc import Iterator

from ..senders.presets import known_as, recognised
from .trial import MILLISECONDS_FROM, Case, fields, stated_times

_PROXIES = (b"via", b"x-forwarded-for", b"forwarded", b"x-amzn-trace-id", b"cf-ray", b"x-envoy-external-address")


def hints(case: Case, *, known: bool) -> Iterator[str]:
    """Yield sentences about a refused request; fewer where its cause is known."""
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
        yield "it has a Content-Encoding: a receiver refuses that with 415, for signatures cover what was sent"
    if any(time > MILLISECONDS_FROM for time in stated_times(case.headers)):
        yield "it states a time of 13 digits or more: milliseconds, where seconds are meant"
    proxies = [name.decode() for name in _PROXIES if name in present]
    if proxies:
        yield f"a proxy was in between ({', '.join(proxies)}): ask what it changes in requests"
    yield "no usual change explains it: check the secret first, then look at the request as it comes (capture)"


def _about_headers(case: Case) -> Iterator[str]:
    given = known_as(case.make)
    other = recognised(case.headers)
    if other is not None and other is not given:
        yield f"its headers are those of {other.title}"
    elif not any(b"signature" in name or b"hmac" in name for name in fields(case.headers)):
        yield "no header speaks of a signature: the sender has no secret, a proxy dropped it, or it was not saved"
    elif given is not None:
        absent = [mark for mark in given.marks if mark.encode() not in fields(case.headers)]
        if absent:
            yield f"without {' and '.join(absent)} nothing can be verified: it was lost on the way, or not saved"
