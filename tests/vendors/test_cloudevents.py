"""CloudEvents as the package cloudevents writes them, by both of its versions that are in use, are read."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from datetime import datetime
from typing import Any, Literal

import pytest
from pydantic import Field

from tests.working import until
from webhook_receiver import BasicAuth, Event, MemoryInbox, WebhookReceiver
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.cloudevents import cloudevents

from .environments import DRIVERS, python_with

pytestmark = pytest.mark.vendor

NOW = 1_767_225_600.0
EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "https://scenes.example.com/sentinel-2",
    "type": "scene.ready",
    "subject": "tile 33/U",
    "time": "2026-01-01T00:00:00+00:00",
    "datacontenttype": "application/json",
    "tile": "33UUU",
    "data": {"href": "s3://scenes/33UUU.tif", "name": "Müggelsee 100 %"},
}


class SceneReady(Event, frozen=True):
    event: Literal["scene.ready"] = Field(alias="type")
    data: dict[str, str]


def written(version: str, mode: str, event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body that a version of the package writes."""
    python = python_with(f"cloudevents-{version}", [f"cloudevents=={version}"])
    command = [python, str(DRIVERS / "cloudevents_driver.py"), json.dumps(event), mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    return told["headers"], b64decode(told["body"])


def receiver() -> tuple[WebhookReceiver, list[SceneReady]]:
    got = list[SceneReady]()
    hooks = WebhookReceiver(
        sender=cloudevents(BasicAuth("a-password-for-tests", username="knative"), binary=True),
        inbox=MemoryInbox(),
        clock=lambda: NOW,
    )
    hooks.on(SceneReady)(got.append)
    return hooks, got


async def deliver(hooks: WebhookReceiver, headers: dict[str, str], body: bytes) -> int:
    head = hooks.sender.scheme.sign(RequestHead.of(headers), body, NOW)
    return (await hooks.receive(head.headers, body)).response.status


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("version", ["1.13.0", "2.2.0"])
async def test_an_event_is_read_as_it_was_made_and_once(version: str, mode: str) -> None:
    hooks, got = receiver()
    headers, body = written(version, mode, EVENT)
    async with hooks:
        assert [await deliver(hooks, headers, body) for _ in range(2)] == [202, 200]
        await until(lambda: bool(got))
    (event,) = got
    read = event.model_dump(by_alias=True)
    assert datetime.fromisoformat(read["time"]) == datetime.fromisoformat(str(EVENT["time"]))
    assert {name: read[name] for name in EVENT if name != "time"} == {k: v for k, v in EVENT.items() if k != "time"}
