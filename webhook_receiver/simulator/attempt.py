"""One attempt of a delivery: signed, with whatever mischief is done to it, posted, and noted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterable
from uuid import uuid4

import httpx

from ..delivery import Headers
from ..senders.up42.models import Webhook
from ..signatures import UP42Signature
from . import payloads
from .faults import Sleep, dripped
from .payloads import Result
from .store import Outgoing, SendAttempt


async def attempt(
    client: httpx.AsyncClient, webhook: Webhook, outgoing: Outgoing, *, patience: float, now: float, sleep: Sleep
) -> SendAttempt:
    """Post a delivery once to where its webhook points now, signed with the secret that it has now.

    Args:
        patience: seconds that it may take in all, beside those that its mischief takes.
        now: when it is made, in Unix seconds.
        sleep: waits between the pieces of a body that is to be slow.
    """
    headers, body = _signed(webhook, outgoing, now)
    content: bytes | AsyncIterable[bytes] = body
    if outgoing.mischief.drip:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        content = dripped(body, outgoing.mischief.drip, sleep)
    start = time.perf_counter()
    try:
        async with asyncio.timeout(patience + outgoing.mischief.drip):
            result = await payloads.post(client, webhook.url, headers, content)
    except TimeoutError:
        result = Result(time.perf_counter() - start, reason=f"no answer: none within {patience:g} s")
    location = f"it points to {result.location}" if result.location else ""
    return SendAttempt(
        number=len(outgoing.attempts) + 1,
        at=now,
        seconds=round(result.seconds, 6),
        url=webhook.url,
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers),
        status=result.status,
        reason=result.reason or location,
    )


def _signed(webhook: Webhook, outgoing: Outgoing, now: float) -> tuple[Headers, bytes]:
    body = outgoing.body.encode()
    mischief = outgoing.mischief
    signed_at = now - mischief.late
    if mischief.wrong_secret:
        head = payloads.forged(body, now=signed_at, url=webhook.url)
    elif webhook.secret is None:
        head = payloads.unsigned(webhook.url)
    else:
        scheme = UP42Signature(webhook.secret.get_secret_value())
        head = payloads.signed(body, scheme, now=signed_at, url=webhook.url)
    return head.headers, _another(body) if mischief.forged else body


def _another(body: bytes) -> bytes:
    """Return a body as long as this one, about another order."""
    document = json.loads(body)
    payloads.put(document, "body.orderId", str(uuid4()))
    return payloads.dump(document)
