"""Nothing of OpenTelemetry is needed, imported or called where nobody has configured it."""

from __future__ import annotations

import subprocess
import sys

import pytest

RECEIVE = """
import asyncio, sys
from webhook_receiver import Event, Unsigned, WebhookReceiver

hooks = WebhookReceiver(scheme=Unsigned(), inbox="memory://", expect_every=60)
ran = asyncio.Event()

@hooks.on(Event)
async def handler(event):
    ran.set()

async def main():
    async with hooks:
        receipt = await hooks.receive({}, b'{"event": "order.status", "body": {"orderId": "1", "status": "FULFILLED"}}')
        await asyncio.wait_for(ran.wait(), 30)
        assert hooks.runtime.telemetry is None
        print(receipt.response.status, receipt.delivery.context, "sdk" in str([*sys.modules]))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("import sys; sys.modules['opentelemetry'] = None", ["opentelemetry"]),  # the extra is not installed
        ("", []),  # it is, and nobody has imported it
        ("import opentelemetry.trace, opentelemetry.metrics", None),  # somebody has, as FastAPI does
    ],
)
def test_a_receiver_works_without(before: str, left: list[str] | None) -> None:
    code = f"{before}\n{RECEIVE}\nprint([each for each in sys.modules if each.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    answer, modules = done.stdout.splitlines()
    assert answer == "202 None False"
    assert left is None or modules == str(left)
