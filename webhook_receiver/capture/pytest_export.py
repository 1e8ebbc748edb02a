"""Exporting a captured request as a pytest test: the same body, signed again with a secret for tests."""

from __future__ import annotations

import asyncio
import json
import re

from ..delivery import Headers, kept_headers
from ..errors import ConfigurationError
from ..events import Event
from ..explain.trial import listed_names, stated_times
from ..receiver import WebhookReceiver
from ..senders.presets import Preset
from ..signatures.scheme import Scheme
from ..signatures.up42 import DIGEST_HEADERS, SIGNED_BY_DEFAULT, UP42Signature
from .request_files import SavedRequest

_WIDTH = 80  # bytes of the body a line
_TRANSPORT = (
    *("accept", "accept-encoding", "connection", "content-length", "expect", "forwarded", "host", "transfer-encoding"),
    *("user-agent", "via"),
)

_TEMPLATE = '''"""{title}"""

import asyncio

from webhook_receiver import Event, {name}, WebhookReceiver

SIGNED_AT = {now!r}
SCHEME = {scheme}
HEADERS = [
{headers}]
BODY = (
{body})


def test_{function}() -> None:
    events: list[Event] = []
    hooks = WebhookReceiver(scheme=SCHEME, {event_header}clock=lambda: SIGNED_AT)

    @hooks.on(Event)
    def note(event: Event) -> None:
        events.append(event)

    receipt = asyncio.run(hooks.receive(SCHEME.sign(HEADERS, BODY, SIGNED_AT), BODY))

    assert receipt.response.status == {status}
    assert [type(event).__name__ for event in events] == {events}
'''


def as_test(request: SavedRequest, known: Preset, *, checked: bool) -> str:
    """Return the source of a pytest module that delivers the request again.

    Args:
        request: the captured request.
        known: the preset of its scheme.
        checked: whether the original signature was verified; the test says so.

    Raises:
        ValueError: the request cannot be signed again.
    """
    listed = listed_names(request.headers)
    proofs = [mark.encode() for mark in known.marks if re.search("signature|timestamp|hmac", mark)]
    headers = [
        pair
        for pair in kept_headers(request.headers)
        if pair[0] not in proofs and _is_senders(pair[0].decode("latin-1"), pair[0] in listed)
    ]
    now = next(stated_times(request.headers), 0.0)
    named = known.event_header if known.event_header.lower().encode() in dict(headers) else None
    try:
        scheme, receiver = _scheme(request.headers, known)
        status, events = asyncio.run(_deliver(scheme, headers, request.body, now, named))
    except ConfigurationError as error:
        raise ValueError(f"the request cannot be signed again: {error}") from None
    how = "was verified" if checked else "could not be checked: no secret was given"
    return _TEMPLATE.format(
        title=f"A captured delivery. The signature that it came with {how}; here it is made again.",
        name=known.title.partition(".")[0],
        scheme=receiver,
        now=now,
        event_header=f"event_header={json.dumps(named)}, " if named else "",
        headers="".join(f"    ({_text(name)}, {_text(value)}),\n" for name, value in headers),
        body="".join(f"    {request.body[at : at + _WIDTH]!r}\n" for at in range(0, len(request.body) or 1, _WIDTH)),
        function="the_captured_delivery_is_taken" if status < 300 else "the_captured_delivery_is_no_event",
        status=status,
        events=json.dumps(events),
    )


def _is_senders(name: str, signed: bool) -> bool:
    """Whether a header is from the sender, not from a proxy or the HTTP client; digests are computed again."""
    return name not in DIGEST_HEADERS and (signed or not (name in _TRANSPORT or name.startswith("x-forwarded-")))


def _text(value: bytes) -> str:
    return json.dumps(value.decode()) if value.isascii() else repr(value)


def _scheme(headers: Headers, known: Preset) -> tuple[Scheme, str]:
    """Return the scheme that signs again, and the source that makes it."""
    listed = [name.decode() for name in listed_names(headers)]
    if known.make is UP42Signature and listed and tuple(listed) != SIGNED_BY_DEFAULT:
        receiver = f'{known.title}("{known.example}", components={json.dumps(listed)})'
        return UP42Signature(known.example, components=listed), receiver
    return known.make(known.example), known.written()


async def _deliver(
    scheme: Scheme, headers: Headers, body: bytes, now: float, event_header: str | None
) -> tuple[int, list[str]]:
    """Return the status of the response and the classes of the events that the test will see."""
    events: list[str] = []
    hooks = WebhookReceiver(scheme=scheme, event_header=event_header, clock=lambda: now)

    @hooks.on(Event)
    def note(event: Event) -> None:
        events.append(type(event).__name__)

    receipt = await hooks.receive(scheme.sign(headers, body, now), body)
    if receipt.response.status not in (204, 422):
        raise ConfigurationError(f"the request, signed again, is rejected: {receipt.error}")
    return receipt.response.status, events
