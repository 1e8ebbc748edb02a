"""A receiver in a process whose system's clock steps: `python -m tests.faults.stepped INBOX COUNT`.

It handles what is in the inbox until its input ends, and before that it keeps COUNT deliveries that take a while, and
one that is tried again. What the handlers did is in the file `ran` of FAULTS_FOLDER.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from tests.faults.clock import FOLDER  # before anything takes the time
from tests.working import about
from webhook_receiver import (
    Attempt,
    OrderFailedPermanently,
    OrderFulfilled,
    Retry,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.options import WorkerOptions

INBOX, COUNT = sys.argv[1], int(sys.argv[2])

hooks = WebhookReceiver(
    inbox=INBOX, scheme=Unsigned(), name="stepped", worker=WorkerOptions(lease=5.0, poll=0.1, concurrency=4, stop=0)
)


def ran(what: str, attempt: Attempt) -> None:
    """Note it in a line that is written at once and whole."""
    file = os.open(FOLDER / "ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{time.monotonic()} {what} {attempt.delivery.id} {attempt.number}\n".encode())
    os.close(file)


@hooks.on(OrderFulfilled, name="slow")
async def slow(event: OrderFulfilled, attempt: Attempt) -> None:
    ran("begin", attempt)
    await asyncio.sleep(0.8)
    ran("end", attempt)


@hooks.on(OrderFailedPermanently, name="later")
async def later(event: OrderFailedPermanently, attempt: Attempt) -> None:
    ran("later", attempt)
    if attempt.number == 1:
        raise Retry(after=4)


async def main() -> None:
    async with hooks:
        for number in range(COUNT):
            if number == 0:
                await hooks.receive({}, about("later", "FAILED_PERMANENTLY"))
            await hooks.receive({}, about(f"slow-{number}"))
        print("kept", flush=True)
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
