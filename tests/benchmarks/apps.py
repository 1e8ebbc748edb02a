"""The apps that are measured, each an ASGI callable for uvicorn to import."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import create_model
from starlette.types import Receive, Scope, Send

from webhook_receiver import Event, OrderFulfilled, VerificationError, WebhookReceiver
from webhook_receiver.responses import rejections

SECRET = "benchmark-secret"


async def floor(scope: Scope, receive: Receive, send: Send) -> None:
    """The least that an ASGI app can do with a delivery: read the body, answer 204."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


REJECTED = rejections(401)[VerificationError]
REJECTED_HEADERS = [(name.encode(), value.encode()) for name, value in REJECTED.headers.items()]


async def rejecting(scope: Scope, receive: Receive, send: Send) -> None:
    """The least that an ASGI app can do to answer what the receiver answers to a bad signature."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 401, "headers": [*REJECTED_HEADERS]})
    await send({"type": "http.response.body", "body": REJECTED.body})


def receiver(events: int) -> WebhookReceiver:
    """Return a receiver with one async handler for each of `events` event classes."""
    hooks = WebhookReceiver(secret=SECRET)

    @hooks.on(OrderFulfilled)
    async def download(order: OrderFulfilled) -> None:
        pass

    for number in range(1, events):
        name: Any = Literal[f"made.up.{number}"]
        made_up: type[Event] = create_model(f"MadeUp{number}", __base__=Event, event=(name, ...))
        hooks.on(made_up, name=f"made up {number}")(ignore)
    return hooks


async def ignore(event: Event) -> None:
    pass


def one() -> WebhookReceiver:
    return receiver(1)


def ten() -> WebhookReceiver:
    return receiver(10)


def thousand() -> WebhookReceiver:
    return receiver(1000)


def durable() -> WebhookReceiver:
    """Return a receiver that keeps deliveries in the file that INBOX names; WORK says whether it handles them."""
    hooks = WebhookReceiver(
        secret=SECRET, inbox=f"sqlite:///{os.environ['INBOX']}?min_free=0", work=os.environ["WORK"] == "yes"
    )
    hooks.on_fulfilled(ignore)
    return hooks


def floor_app() -> Any:
    return floor


def rejecting_app() -> Any:
    return rejecting
