"""The least that an ASGI app can do with a delivery: read the body, answer 204."""

from __future__ import annotations

from itertools import repeat

from starlette.types import Receive, Scope, Send

from .serving import Ran, request, serve

ran = Ran()


async def floor(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    ran.count += 1
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    serve(floor, repeat(request("/webhooks", [("content-type", "application/json")], b"x" * 600)), ran)
