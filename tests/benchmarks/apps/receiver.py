"""A receiver of this package: `python -m apps.receiver EVENTS`, or `kept URL` or `handled URL` with an inbox."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import count, repeat
from typing import Any, Literal

from pydantic import create_model

from webhook_receiver import Event, OrderFulfilled, UP42Signature, WebhookReceiver
from webhook_receiver.delivery import RequestHead

from .serving import SECRET, Ran, padded, request, serve

ran = Ran()


def receiver(events: int = 1, **options: Any) -> WebhookReceiver:
    """Return a receiver with an async handler for each of so many event classes."""
    who: dict[str, Any] = {} if "sender" in options else {"secret": SECRET}
    hooks = WebhookReceiver(name="benchmark", **who, **options)

    @hooks.on(OrderFulfilled)
    async def download(order: OrderFulfilled) -> None:
        ran.count += 1

    for number in range(1, events):
        name: Any = Literal[f"made.up.{number}"]
        made_up: type[Event] = create_model(f"MadeUp{number}", __base__=Event, event=(name, ...))
        hooks.on(made_up, name=f"made up {number}")(ignore)
    return hooks


async def ignore(event: Event) -> None:
    pass


def body(order: int) -> bytes:
    """Return the notification of an order."""
    id = f"{order:08x}-658c-40cb-8f9e-0bec3898d190"
    return padded({"event": "order.status", "body": {"orderId": id, "status": "FULFILLED"}}, "body")


def headers(body: bytes, secret: str = SECRET) -> Any:
    """Return the headers of a genuine delivery, as ASGI gives them."""
    head = RequestHead.of({"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))})
    return UP42Signature(secret).sign(head, body, time.time()).headers


def signed(orders: Iterator[int], secret: str = SECRET) -> Iterator[bytes]:
    for order in orders:
        said = body(order)
        pairs = [(name.decode(), value.decode()) for name, value in headers(said, secret)]
        given = [(name, value) for name, value in pairs if name not in ("host", "content-length")]
        yield request("/webhooks", given, said)


def main(what: str, *arguments: str) -> None:
    if what in ("kept", "handled"):
        hooks = receiver(inbox=arguments[0], work=what == "handled")
        serve(hooks, signed(count()), ran, lifespan="on")
    elif what == "forged":
        serve(receiver(), signed(repeat(1), secret="another"), ran)
    else:
        serve(receiver(int(what)), signed(repeat(1)), ran)


if __name__ == "__main__":
    main(*sys.argv[1:])
