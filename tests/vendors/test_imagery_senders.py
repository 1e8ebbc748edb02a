"""Servers of others against receivers of their senders, so that what comes is what the senders read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from starlette.applications import Starlette

from tests.helpers import serving
from webhook_receiver import ImageryEvent, WebhookReceiver
from webhook_receiver.senders.catalogue import ogc_processes
from webhook_receiver.senders.imagery.schemes import EXAMPLE

from .environments import DRIVERS, python_with

pytestmark = pytest.mark.vendor


def test_the_callbacks_of_pygeoapi_are_told_by_their_urls(tmp_path: Path) -> None:
    hooks, got = WebhookReceiver(sender=ogc_processes(EXAMPLE)), list[tuple[str, str | None, str, object]]()

    @hooks.on(ImageryEvent)
    async def note(job: ImageryEvent) -> None:
        got.append((type(job).__name__, job.order_id, job.status, job.document))

    route = hooks.route("/webhooks/{job}/{status}/{token}")
    with serving(Starlette(routes=[route], lifespan=hooks.lifespan)) as url:
        python = python_with("pygeoapi-0.21.0", ["pygeoapi==0.21.0"])
        command = [python, str(DRIVERS / "pygeoapi_driver.py"), str(tmp_path), f"{url.rstrip('/')}/webhooks", EXAMPLE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert got == [
        ("JobProgress", "done", "running", {}),
        ("JobSucceeded", "done", "successful", {"id": "echo", "value": "Hello a!"}),
        ("JobProgress", "broken", "running", {}),
        ("JobFailed", "broken", "failed", {}),
        ("JobProgress", "unheard", "running", {}),
        ("JobFailed", "unheard", "failed", {}),  # although it ended well: its success reached nobody
    ]
    assert json.loads(done.stdout.splitlines()[-1]) == {"done": "successful", "broken": "failed", "unheard": "failed"}
