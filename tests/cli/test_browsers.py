"""What a page of a stranger's sends to an API of this machine is refused; programs are served."""

from __future__ import annotations

import httpx
import pytest

from webhook_receiver.cli.browsers import NoStrangersPages
from webhook_receiver.simulator import Simulator, SimulatorOptions, simulator_app

HERE = "http://127.0.0.1:8042"
PROGRAM: dict[str, str] = {}
STRANGERS = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:3000"},
    {"origin": "http://127.0.0.1:8042.evil.example"},
    {"origin": "http://[127.0.0.1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


async def status(headers: dict[str, str], *, loopback: bool = True) -> int:
    app = NoStrangersPages(simulator_app(Simulator(SimulatorOptions())), loopback=loopback)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
        asked = await client.get("/_simulator", headers=headers)
        done = await client.post("/_simulator/orders", json={"count": 1}, headers=headers)
    assert (asked.status_code == 403) == (done.status_code == 403)
    assert asked.status_code != 403 or asked.text.startswith("kept out: ")
    return done.status_code


@pytest.mark.parametrize("headers", STRANGERS, ids=str)
@pytest.mark.parametrize("loopback", [True, False])
async def test_a_page_of_another_site_is_refused(headers: dict[str, str], *, loopback: bool) -> None:
    assert await status(headers, loopback=loopback) == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8042", "127.0.0.1.evil.example", "", "10.0.0.1:8042"])
async def test_on_the_loopback_another_name_is_refused(host: str) -> None:
    assert await status({"host": host}) == 403
    assert await status({"host": host}, loopback=False) < 300


@pytest.mark.parametrize(
    "headers",
    [PROGRAM, {"host": "localhost:8042"}, {"host": "[::1]:8042"}, {"origin": HERE}, {"sec-fetch-site": "same-origin"}],
    ids=str,
)
async def test_a_program_and_our_own_page_are_served(headers: dict[str, str]) -> None:
    assert await status(headers) < 300
