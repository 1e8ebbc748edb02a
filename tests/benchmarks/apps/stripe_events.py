"""stripe's `construct_event` on Starlette. The library has no public signer: the request is signed as Stripe documents
it (signatures of version 1)."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator

import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .serving import Ran, padded, request, serve

SECRET = "whsec_benchmark"
ran = Ran()


async def succeeded(event: stripe.Event) -> None:
    ran.count += 1


HANDLERS = {"payment_intent.succeeded": succeeded}


async def receive(request: Request) -> Response:
    event = stripe.Webhook.construct_event(await request.body(), request.headers["stripe-signature"], SECRET)
    await HANDLERS[event.type](event)
    return Response(status_code=204)


def requests() -> Iterator[bytes]:
    paid = {"id": "pi_1", "object": "payment_intent", "amount": 1000, "currency": "eur"}
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "created": 1_700_000_000}
    body = padded(event | {"data": {"object": paid}}, "data", "object")
    while True:
        now = int(time.time())
        signature = hmac.new(SECRET.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
        given = [("content-type", "application/json"), ("stripe-signature", f"t={now},v1={signature}")]
        yield request("/webhooks", given, body)


if __name__ == "__main__":
    serve(Starlette(routes=[Route("/webhooks", receive, methods=["POST"])]), requests(), ran)
