"""One attempt of a delivery: sign it, apply its faults, post it, and record the response."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterable
from uuid import uuid4

import httpx

from ..delivery import RequestHead
from ..senders.up42.models import Webhook
from ..senders.up42.signature import UP42Signature
from ..signatures import Scheme
from . import payloads
from .faults import Sleep, dripped
from .payloads import Result
from .store import Outgoing, SendAttempt
from .urls import without_credentials


async def attempt(
    client: httpx.AsyncClient,
    webhook: Webhook,
    outgoing: Outgoing,
    *,
    scheme: Scheme | None,
    patience: float,
    now: float,
    sleep: Sleep,
) -> SendAttempt:
    """Post a delivery once to its webhook's present URL, signed with the webhook's present secret; return the attempt.

    Args:
        client: the HTTP client to post with.
        webhook: the webhook as it is now.
        outgoing: the delivery.
        scheme: the scheme that signs where the webhook has no secret; None to leave it unsigned.
        patience: seconds that the attempt may take in all, besides those that a slow body takes.
        now: the time of the attempt, in Unix seconds.
        sleep: waits for a number of seconds between the pieces of a slow body.
    """
    head, body = _signed(webhook, outgoing, scheme, now)
    headers, url = head.headers, payloads.url_of(head, webhook.url)
    content: bytes | AsyncIterable[bytes] = body
    if outgoing.faults.drip:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        content = dripped(body, outgoing.faults.drip, sleep)
    start = time.perf_counter()
    try:
        async with asyncio.timeout(patience + outgoing.faults.drip):
            result = await payloads.post(client, url, headers, content)
    except TimeoutError:
        result = Result(time.perf_counter() - start, reason=f"no response: none within {patience:g} s")
    location = f"redirects to {result.location}" if result.location else ""
    return SendAttempt(
        number=len(outgoing.attempts) + 1,
        at=now,
        seconds=round(result.seconds, 6),
        url=without_credentials(webhook.url),
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers),
        status=result.status,
        reason=result.reason or location,
    )


def _signed(webhook: Webhook, outgoing: Outgoing, scheme: Scheme | None, now: float) -> tuple[RequestHead, bytes]:
    body = outgoing.body.encode()
    faults = outgoing.faults
    signed_at = now - faults.late
    if faults.wrong_secret:
        head = payloads.forged(body, now=signed_at, url=webhook.url)
    else:
        if webhook.secret is not None:
            scheme = UP42Signature(webhook.secret.get_secret_value())
        url = webhook.url
        head = payloads.unsigned(url) if scheme is None else payloads.signed(body, scheme, now=signed_at, url=url)
    return head, _another(body) if faults.forged else body


def _another(body: bytes) -> bytes:
    """Return a body of the same length about another order."""
    document = json.loads(body)
    payloads.put(document, "body.orderId", str(uuid4()))
    return payloads.dump(document)
