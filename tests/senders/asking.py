"""What the tests of challenges share: a receiver with some, and a request that runs no handler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.helpers import NOW, Noted, noting
from webhook_receiver import HMACBody, Response, Scheme, Sender
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.challenges import Challenge

SECRET = "a secret of theirs"
SCHEME = HMACBody(SECRET, signature="x-sig")
EVENT = b'{"event": "parcel.lost"}'


def receiver(*challenges: Challenge, scheme: Scheme = SCHEME, **options: Any) -> Noted:
    return noting(sender=Sender(name="acme", scheme=scheme, facts=("made up",), challenges=challenges), **options)


async def asked(
    noted: Noted,
    body: bytes = b"",
    *,
    method: str = "POST",
    target: str = "/",
    headers: Mapping[str, str] | None = None,
    signed: bool = False,
) -> Response:
    """Return the response to a request, after a check that no handler ran for it."""
    head = RequestHead.of(headers or {}, method=method, target=target)
    if signed:
        head = noted.hooks.sender.scheme.sign(head, body, NOW)
    before = len(noted.events)
    receipt = await noted.hooks.receive(head.headers, body, method=method, target=head.target)
    assert (len(noted.events), receipt.delivery) == (before, None)
    return receipt.response
