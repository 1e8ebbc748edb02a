"""gidgethub's router on Starlette, the way its documentation shows it. It has no signer: the request is signed as
GitHub documents it, and as `Event.from_http` checks it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

from gidgethub.routing import Router
from gidgethub.sansio import Event
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .serving import SECRET, Ran, padded, request, serve

ran = Ran()
router = Router()


@router.register("issues", action="opened")
async def opened(event: Event) -> None:
    ran.count += 1


async def receive(request: Request) -> Response:
    event = Event.from_http(request.headers, await request.body(), secret=SECRET)
    await router.dispatch(event)
    return Response(status_code=204)


def requests() -> Iterator[bytes]:
    body = padded({"action": "opened", "issue": {"number": 1}}, "issue")
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    given = [
        ("content-type", "application/json"),
        ("x-github-event", "issues"),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-hub-signature-256", signature),
    ]
    while True:
        yield request("/webhooks", given, body)


if __name__ == "__main__":
    serve(Starlette(routes=[Route("/webhooks", receive, methods=["POST"])]), requests(), ran)
