"""The local loop: a command that is run in it does not outlive it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from webhook_receiver.cli.dev_processes import LocalLoop, Plan, environment
from webhook_receiver.senders.up42.client import WebhooksClient
from webhook_receiver.simulator import Simulator


async def test_a_command_that_is_no_longer_waited_for_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as log:
        async with WebhooksClient(url="http://127.0.0.1:9", token="t") as client, httpx.AsyncClient() as http:
            loop = LocalLoop(Plan("unused:hooks", 0, 0, log=log), client, http, Simulator())
            run = asyncio.create_task(loop.run("simulator", "--port", "0", "--json"))
            async with asyncio.timeout(60):
                while not (said := file.read_text(encoding="utf-8")).endswith("\n"):  # noqa: ASYNC110 - in a file
                    await asyncio.sleep(0.02)
            run.cancel()
            await asyncio.wait([run])
            with pytest.raises(httpx.ConnectError):
                await http.get(json.loads(said)["url"])


def test_the_variables_of_api_clients_are_replaced_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {"UP42_SECRET": "s", "UP42_SECRET_OLD": "o", "UP42_URLS": "u", "MY_UP42_TOKEN": "m", "UP42_": "e"}
    clients = ("UP42_TOKEN", "UP42_REGION", "up42_token", "Up42_Region")
    for name, value in {**theirs, **dict.fromkeys(clients, "real"), "UP42_URL": "https://real"}.items():
        monkeypatch.setenv(name, value)
    plan = Plan("unused:hooks", 1, 2)
    found = environment(plan)
    assert theirs.items() <= found.items()
    assert not {*clients} & found.keys()
    assert (found["UP42_URL"], found["UP42_USERNAME"]) == (plan.simulator_url, "dev")
