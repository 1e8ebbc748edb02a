"""Receivers that a test has put, claim and handle on a real server."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import Any

from tests.working import PATIENCE, about, deliver, durable, settled
from webhook_receiver import Event, WebhookReceiver
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.records import Stored
from webhook_receiver.testing.inbox_suite import put

_news = count()


def working(url: str, **options: Any) -> WebhookReceiver:
    """Return a receiver that handles whatever comes, and looks often for it."""
    hooks = durable(url, clock=time.time, **({"poll": 0.05} | options))
    hooks.on(Event, name="handler")(lambda event: None)
    return hooks


async def works(url: str, number: int = 20) -> None:
    """Deliver to a receiver that handles: all of it is done, and what comes again is a duplicate."""
    async with working(url) as hooks:
        await all_handled(hooks, hooks, number=number)


async def all_handled(*to: WebhookReceiver, number: int = 20) -> None:
    """Deliver to several receivers at once, some of it twice; all of it is done."""
    bodies = [about(f"o-{each % 10}", f"S{next(_news)}") for each in range(number)]
    once = [deliver(to[at % len(to)], body) for at, body in enumerate(bodies)]
    ids = await asyncio.gather(*once)
    again = [deliver(to[(at + 1) % len(to)], body, status=200) for at, body in enumerate(bodies[:5])]
    assert await asyncio.gather(*again) == ids[:5]
    for id in ids:
        await settled(to[0], id)


async def put_in_the_end(inbox: PostgresInbox) -> str:
    """Put a delivery, again and again until the server answers in time; return its id.

    Each try has an id of its own, since what was answered too late may have been kept.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        id = f"in-the-end-{next(_news)}"
        try:
            assert await put(inbox, id) == [Stored(id)]
        except InboxUnavailable:
            if time.monotonic() > deadline:
                raise
        else:
            return id
