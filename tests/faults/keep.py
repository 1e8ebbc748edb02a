"""A process that puts deliveries into an inbox and is killed or not: `python -m tests.faults.keep PATH NAME ...`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT
from webhook_receiver import SQLiteInbox
from webhook_receiver.delivery import Delivery
from webhook_receiver.errors import WebhookError
from webhook_receiver.inbox import Entry, Stored


def entry(name: str, number: int) -> Entry:
    """Return a delivery whose content follows from its id."""
    body = f"{name} {number} ".encode() * 100
    delivery = Delivery(f"{name}-{number}", "webhooks", ((b"number", b"%d" % number),), body, float(number), None, True)
    return Entry(delivery, "shipment", f"{name}{number}".encode(), f"{name} {number}", f"line {number % 5}")


async def keep(path: str, name: str, count: str, end: str, rounds: str = "1") -> None:
    """Put `count` deliveries, which all are acknowledged, in each of the rounds; then close the inbox or be killed."""
    for round_ in range(int(rounds)):
        inbox = await SQLiteInbox(path, min_free=0).open()
        await inbox.stats()  # on a second connection
        first = round_ * int(count)
        puts = [inbox.put(entry(name, number), 1000.0) for number in range(first, first + int(count))]
        assert all(isinstance(answer, Stored) for answer in await asyncio.gather(*puts))
        if end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        await inbox.close()


def keeping(path: Path, name: str, count: int, end: str, rounds: int = 1) -> subprocess.Popen[str]:
    """Start such a process."""
    arguments = [str(path), name, str(count), end, str(rounds)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.keep", *arguments],
        cwd=ROOT,
        env={**{key: value for key, value in os.environ.items() if not key.startswith("COV")}, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


if __name__ == "__main__":
    try:
        asyncio.run(keep(*sys.argv[1:]))
    except WebhookError as error:
        sys.exit(f"{type(error).__name__}: {error}")
