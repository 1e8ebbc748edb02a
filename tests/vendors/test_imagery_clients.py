"""The providers' own clients against the stand-ins, so that these are as the clients expect them to be.

Each client is installed in an environment of its own, since they need different versions of the same packages.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.senders.imagery.stage import CASES, Player, at, staging
from tests.senders.imagery.standins.base import KEY

from .environments import DRIVERS, python_with

pytestmark = pytest.mark.vendor

CLIENTS = {
    "planet-orders": "planet==3.7.0",
    "planet-subscriptions": "planet==3.7.0",
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
