"""A delivery is stored and handled by the package alone, without any extra: for `.ci/dependencies`."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette

from webhook_receiver import Attempt, OrderFulfilled, UP42Signature, WebhookReceiver
from webhook_receiver.delivery import RequestHead

SECRET = "of the smoke test alone"


async def main(folder: Path) -> None:
    """Deliver a notification to an app, and wait for its handlers: one in the event loop, one in a thread."""
    hooks = WebhookReceiver(secret=SECRET, inbox=f"sqlite:///{folder / 'hooks.db'}")
    ran = {"in the loop": asyncio.Event(), "in a thread": asyncio.Event()}
    loop = asyncio.get_running_loop()

    @hooks.on_fulfilled
    async def in_the_loop(order: OrderFulfilled, attempt: Attempt) -> None:
        ran["in the loop"].set()

    @hooks.on_fulfilled
    def in_a_thread(order: OrderFulfilled) -> None:
        loop.call_soon_threadsafe(ran["in a thread"].set)

    app = Starlette(routes=[hooks.route("/webhooks")], lifespan=hooks.lifespan)
    body = json.dumps({"event": "order.status", "body": {"orderId": "o-7", "status": "FULFILLED"}}).encode()
    head = UP42Signature(SECRET).sign(RequestHead.of({"content-type": "application/json"}), body, time.time())
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/webhooks", "raw_path": b"/webhooks"}
    scope |= {"query_string": b"", "root_path": "", "headers": [*head.headers], "asgi": {"version": "3.0"}}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
        assert sent[0]["status"] == 202, sent
        async with asyncio.timeout(30):
            for each in ran.values():
                await each.wait()


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
    print("stored and handled")
