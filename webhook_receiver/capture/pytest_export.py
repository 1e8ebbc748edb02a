"""Exporting a captured request as a pytest test: the same body, signed again with a secret for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from ..delivery import Headers, RequestHead, kept_headers
from ..errors import ConfigurationError
from ..events import Event
from ..explain.trial import listed_names, stated_times
from ..logs import unnoticed
from ..receiver import WebhookReceiver
from ..senders import Sender
from ..senders.preset import Preset
from ..senders.up42.signature import DIGEST_HEADERS, SIGNED_BY_DEFAULT, UP42Signature
from .request_files import SavedRequest

_WIDTH = 80  # bytes of the body a line
_URL = "https://example.com/webhooks"
"""The URL that the sender posts to, for schemes that sign it: a request does not tell it."""
_TRANSPORT = (
    *("accept", "accept-encoding", "connection", "content-length", "expect", "forwarded", "host", "transfer-encoding"),
    *("user-agent", "via"),
)

_TEMPLATE = '''"""{title}"""

import asyncio
{imports}
from webhook_receiver import {names}
from webhook_receiver.delivery import RequestHead
from {module} import {function}

SIGNED_AT = {now!r}
{url}SENDER = {sender}
HEADERS = [
{headers}]
BODY = (
{body})


def test_{test}() -> None:
    events: list[Event] = []
    hooks = WebhookReceiver(sender=SENDER, {public_url}clock=lambda: SIGNED_AT)

    @hooks.on(Event)
    def note(event: Event) -> None:
        events.append(event)

    signed = SENDER.scheme.sign(RequestHead.of(HEADERS{head_url}), BODY, SIGNED_AT)
    receipt = asyncio.run(hooks.receive(signed.headers, BODY))

    assert receipt.response.status == {status}
    assert [type(event).__name__ for event in events] == {events}
'''


def as_test(request: SavedRequest, known: Preset, *, checked: bool, received: float = 0.0) -> str:
    """Return the source of a pytest module that delivers the request again.

    Args:
        request: the captured request.
        known: the preset of its sender.
        checked: whether the original signature was verified; the test says so.
        received: the time of receipt in Unix seconds, at which it is signed if it states no time.

    Raises:
        ValueError: the request cannot be signed again.
    """
    headers = own_headers(request.headers, known.headers)
    now = next(stated_times(request.headers), received)
    try:
        sender, code = _sender(request.headers, known)
        if sender.event_header is not None and sender.event_header.lower().encode() not in dict(headers):
            sender, code = replace(sender, event_header=None), f"replace({code}, event_header=None)"
        with unnoticed():
            status, events = asyncio.run(_deliver(sender, headers, request.body, now))
    except ConfigurationError as error:
        raise ValueError(f"the request cannot be signed again: {error}") from None
    how = "was verified" if checked else "could not be checked: no secret was given"
    return _TEMPLATE.format(
        title=f"A captured delivery. The signature that it came with {how}; here it is made again.",
        names=", ".join(sorted(["Event", "WebhookReceiver", *(["UP42Signature"] if "UP42Signature" in code else [])])),
        module=known.module,
        function=known.function,
        imports="from dataclasses import replace\n" if code.startswith("replace(") else "",
        sender=code,
        now=now,
        url=f'URL = "{_URL}"\n' if _needs_url(sender) else "",
        public_url="public_url=URL, " if _needs_url(sender) else "",
        head_url=", url=URL" if _needs_url(sender) else "",
        headers="".join(f"    ({_text(name)}, {_text(value)}),\n" for name, value in headers),
        body="".join(f"    {request.body[at : at + _WIDTH]!r}\n" for at in range(0, len(request.body) or 1, _WIDTH)),
        test="the_captured_delivery_is_taken" if status < 300 else "the_captured_delivery_is_no_event",
        status=status,
        events=json.dumps(events),
    )


def own_headers(headers: Headers, proofs: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request that its sender has chosen, without any that proves it.

    Args:
        headers: the headers of the request.
        proofs: the names of the headers that prove a request of this sender.
    """
    listed = listed_names(headers)
    left_out = [name.encode() for name in proofs if not name.endswith("-id")]  # an id is signed as it came
    return [
        pair
        for pair in kept_headers(headers)
        if pair[0] not in left_out and _is_senders(pair[0].decode("latin-1"), pair[0] in listed)
    ]


def _is_senders(name: str, signed: bool) -> bool:
    """Whether a header is from the sender, not from a proxy or the HTTP client; digests are computed again."""
    return name not in DIGEST_HEADERS and (signed or not (name in _TRANSPORT or name.startswith("x-forwarded-")))


def _text(value: bytes) -> str:
    return json.dumps(value.decode()) if value.isascii() else repr(value)


def _sender(headers: Headers, known: Preset) -> tuple[Sender, str]:
    """Return the sender that signs again, and the source that makes it."""
    listed = [name.decode() for name in listed_names(headers)]
    if known.make is UP42Signature and listed and tuple(listed) != SIGNED_BY_DEFAULT:
        scheme = f'UP42Signature("{known.example}", components={json.dumps(listed)})'
        signature = UP42Signature(known.example, components=listed)
        return replace(known.sender(known.example), scheme=signature), f"{known.function}(scheme={scheme})"
    return known.sender(known.example), known.code


def _needs_url(sender: Sender) -> bool:
    return getattr(sender.scheme, "needs_url", False)


async def _deliver(sender: Sender, headers: Headers, body: bytes, now: float) -> tuple[int, list[str]]:
    """Return the status of the response and the classes of the events that the test will see."""
    events: list[str] = []
    hooks = WebhookReceiver(sender=sender, public_url=_URL, clock=lambda: now)

    @hooks.on(Event)
    def note(event: Event) -> None:
        events.append(type(event).__name__)

    receipt = await hooks.receive(sender.scheme.sign(RequestHead.of(headers, url=_URL), body, now).headers, body)
    if receipt.response.status not in (200, 204, 422):
        raise ConfigurationError(f"the request, signed again, is rejected: {receipt.error}")
    return receipt.response.status, events
