"""The providers' own clients against the stand-ins, so that these are as the clients expect them to be.

Each client is installed in an environment of its own, since they need different versions of the same packages.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers import free_port, printed
from tests.senders.imagery.stage import CASES, NOW, Player, at, staging
from webhook_receiver.senders.imagery.access import KeyAccess
from webhook_receiver.senders.imagery.stapi_source import stapi_orders_source
from webhook_receiver.simulator.providers.base import KEY

from .environments import DRIVERS, python_with

pytestmark = pytest.mark.vendor

CLIENTS = {
    "planet-orders": "planet==3.7.0",
    "planet-subscriptions": "planet==3.7.0",
    "planet-results": "planet==3.7.0",
    "capella": "capella-console-client==0.20.1",
    "hyp3": "hyp3-sdk==7.7.8",
    "harmony": "harmony-py==1.8.0",
    "sentinel-hub": "sentinelhub==3.12.0",
    "openeo": "openeo==0.53.0",
    "stapi": "stapi-fastapi==0.8.0",
}


def asked(name: str, url: str, id: str, home: Path) -> dict[str, Any]:
    """Return what a provider's client tells of a stand-in."""
    python = python_with(CLIENTS[name].partition("==")[0], [CLIENTS[name]])
    command = [python, str(DRIVERS / "imagery_driver.py"), name, url, KEY, id]
    # Clients read and write files in the home; one of them would not ask for a token on this machine.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "OAUTHLIB_INSECURE_TRANSPORT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_is_told_what_the_source_tells(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    with staging() as stage:
        player = Player(case, stage)
        player.there.page_size = 2
        player.there.tokens_for = KEY
        for number in range(3):
            player.there.put(f"{number}0000000-0000-4000-8000-000000000000", case.open, at(number - 30))
        ended = "90000000-0000-4000-8000-000000000000"
        player.there.put(ended, case.ended, at(-1))
        told = await player.told()
        seen = asked(name, stage.url, ended, tmp_path)
    assert sorted(map(tuple, seen["listed"])) == sorted(told)
    assert tuple(seen["one"]) == (ended, case.ended)
    assert seen["rejected"]


@contextmanager
def serving_stapi() -> Generator[str]:
    """Run a server by stapi-fastapi; yield its address."""
    python, port = python_with("stapi-fastapi", [CLIENTS["stapi"]]), free_port()
    command = [python, str(DRIVERS / "stapi_server.py"), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            printed(process, "Uvicorn running")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


async def test_a_real_server_of_stapi_is_read_as_its_stand_in() -> None:
    with serving_stapi() as url:
        source = replace(stapi_orders_source(KeyAccess(KEY), url=url), clock=NOW.timestamp)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            for number in range(150):  # more than a page
                made = await client.post(f"/test/o-{number}/accepted", params={"created": at(number / 10 - 60)})
                made.raise_for_status()
            first = await source(None)
            assert sorted(told(first.documents)) == sorted((f"o-{number}", "accepted") for number in range(150))
            await client.post("/test/o-7/completed", params={"created": at(0)})
            second = await source(first.cursor)
            assert told(second.documents) == [("o-7", "completed")]
            assert told(await source.again("o-7")) == [("o-7", "completed")]
            assert (await source(second.cursor)).documents == []


def told(documents: Sequence[bytes]) -> list[tuple[str, str]]:
    """Return the ids and statuses in orders of STAPI."""
    orders = [json.loads(document) for document in documents]
    return [(order["id"], order["properties"]["status"]["status_code"]) for order in orders]
