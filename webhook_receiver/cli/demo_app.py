"""The receiver that `demo` serves. Its handlers do what the order's `note` asks for, to show what becomes of it."""

from __future__ import annotations

import asyncio
import os

from ..backoff import Backoff
from ..delivery import Attempt
from ..errors import GiveUp
from ..events import Event, OrderFailedPermanently, OrderFulfilled
from ..options import WorkerOptions
from ..receiver import WebhookReceiver
from ..signatures import Secret
from .demo import FLAKY, LOST, SLOW

hooks = WebhookReceiver(
    secret=Secret.from_env("WEBHOOK_SECRET"),
    inbox=os.environ["WEBHOOK_INBOX"],
    name="demo",
    # A user's waits are longer: this one is to be watched.
    worker=WorkerOptions(lease=1, poll=0.05, concurrency=4, backoff=Backoff(first=0.2, longest=0.2, attempts=5)),
)


@hooks.on(OrderFulfilled, name="download")
async def download(order: OrderFulfilled, attempt: Attempt) -> None:
    note = (order.body.model_extra or {}).get("note")
    if note == FLAKY and attempt.number < 3:
        raise ConnectionError("storage is down")
    if note == LOST and attempt.number == 1:
        raise GiveUp("no room left: make some, then replay")
    if note == SLOW:
        await asyncio.sleep(0.3)


@hooks.on(OrderFailedPermanently, name="alert")
def alert(order: OrderFailedPermanently) -> None:
    """A plain function, which runs in a thread."""


@hooks.on(Event, name="other", where=lambda event: not isinstance(event, OrderFulfilled | OrderFailedPermanently))
async def other(event: Event) -> None:
    """Whatever the other two do not want."""
