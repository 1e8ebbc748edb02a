"""A receiver that keeps, and polls what it has kept when it is asked to: `python -m apps.polling URL`.

POST /poll?N polls the first N orders that were pushed, each time with other bytes than before; with 0 it polls what it
did the last time, byte for byte.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count
from typing import overload

from starlette.types import Receive, Scope, Send

from webhook_receiver import Changes

from .receiver import body, ran, receiver, signed
from .serving import serve

made: list[int] = []
"""The orders that requests were made for."""
bodies: list[bytes] = []
"""The bodies of the first of them."""


class Page(Sequence[bytes]):
    """Bodies with so many spaces behind each, made one by one: a source that made them all would hold up pushes."""

    def __init__(self, number: int, spaces: int) -> None:
        self._bodies = bodies[:number]
        self._spaces = b" " * spaces

    def __len__(self) -> int:
        return len(self._bodies)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        found = self._bodies[place]
        return found + self._spaces if isinstance(found, bytes) else [each + self._spaces for each in found]


pages = [Page(0, 0)]
"""What the source tells is the last one."""


def orders() -> Iterator[int]:
    for order in count():
        made.append(order)
        yield order


async def changes(cursor: str | None) -> Changes:
    """Tell the page that was asked for last."""
    return Changes(pages[-1], f"{time.monotonic()}")


def main(url: str) -> None:
    hooks = receiver(inbox=url, work=False)
    hooks.poll_every(86_400, changes)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/poll":
            await hooks(scope, receive, send)
            return
        number = int(scope["query_string"])
        if number:
            bodies.extend(map(body, made[len(bodies) : number]))
            pages.append(Page(number, len(pages)))
        polled = await hooks.pollers[0].poll(early=True)
        answer = json.dumps(None if polled is None else polled.as_json()).encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})

    serve(app, signed(orders()), ran, lifespan="on")


if __name__ == "__main__":
    main(*sys.argv[1:])
