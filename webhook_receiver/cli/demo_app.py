"""The receiver that `demo` serves. Its handlers fail, give up or take long, as the order's name says."""

from __future__ import annotations

import asyncio
import os

from ..delivery import Attempt
from ..errors import ApiError, GiveUp
from ..events import Event, OrderFailedPermanently, OrderFulfilled
from ..options import Backoff, WorkerOptions
from ..receiver import WebhookReceiver
from ..senders.up42.client import WebhooksClient
from ..signatures import Secret
from .demo import FLAKY, FULL, SLOW, SLOW_SECONDS

hooks = WebhookReceiver(
    secret=Secret.from_env("WEBHOOK_SECRET"),
    inbox=os.environ["WEBHOOK_INBOX"],
    name="demo",
    # Shorter waits than anybody needs, so that the demonstration does not take long.
    worker=WorkerOptions(lease=1, poll=0.05, concurrency=4, backoff=Backoff(first=0.2, longest=0.2, attempts=5)),
)


@hooks.on(OrderFulfilled, name="download")
async def download(order: OrderFulfilled, attempt: Attempt) -> None:
    name = await _name_of(order.order_id or "")
    if name == FLAKY and attempt.number < 3:
        raise ConnectionError("storage is down")
    if name == FULL and attempt.number == 1:
        raise GiveUp("no room left: make some, then replay")
    if name == SLOW:
        await asyncio.sleep(float(os.environ[SLOW_SECONDS]))


async def _name_of(order_id: str) -> str:
    """Return the order's name, read from the API."""
    async with WebhooksClient() as client:
        try:
            return (await client.order(order_id)).display_name
        except ApiError as error:
            if error.status == 404:
                return "the order of a test of the webhook, which does not exist"
            raise


@hooks.on(OrderFailedPermanently, name="alert")
def alert(order: OrderFailedPermanently) -> None:
    """Do nothing; as a plain function it runs in a thread."""


@hooks.on(Event, name="other", where=lambda event: not isinstance(event, OrderFulfilled | OrderFailedPermanently))
async def other(event: Event) -> None:
    """Do nothing with the events that the other two do not handle."""
