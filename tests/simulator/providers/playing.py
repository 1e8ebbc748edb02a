"""What the tests of providers need: one that is served, with a client that has its key, at a time that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from typing import Any

import httpx

from tests.helpers import serving
from tests.working import PATIENCE, Clock
from webhook_receiver.simulator import ProviderSimulator, SimulatorOptions, provider_app
from webhook_receiver.simulator.providers.base import KEY, ProviderApi
from webhook_receiver.simulator.store import Outgoing

HEADERS = {
    "skyfi": {"x-skyfi-api-key": KEY},
    "planet": {"authorization": f"api-key {KEY}"},
    "copernicus": {"authorization": f"Bearer {KEY}"},
    "ogc": {},
}
"""What proves to each provider who is asking."""


@dataclass
class Played:
    """A provider that is served, and a client of it."""

    simulator: ProviderSimulator
    client: httpx.Client
    clock: Clock
    waits: list[float]
    """The waits of the simulator that took no time."""
    attempts: Queue[Outgoing]

    @property
    def api(self) -> ProviderApi:
        return self.simulator.api

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """Ask for something; return the answer's JSON, if it has one."""
        answer = self.client.request(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def create(self, **fields: Any) -> str:
        """Create an order by the control API; return its id."""
        (made,) = self.ask("POST", "/_simulator/orders", json=fields)
        id: str = made["id"]
        return id

    def move(self, id: str, status: str = "FULFILLED") -> None:
        self.ask("POST", f"/_simulator/orders/{id}/status", json={"status": status})

    def ended(self, many: int = 1) -> list[Outgoing]:
        """Wait until so many more deliveries have ended; return them."""
        ended: list[Outgoing] = []
        while len(ended) < many:
            outgoing = self.attempts.get(timeout=PATIENCE)
            if outgoing.ended:
                ended.append(outgoing)
        return ended


@contextmanager
def playing(
    provider: str, *, pace: float | None = None, webhook: str | None = None, options: SimulatorOptions | None = None
) -> Generator[Played]:
    """Serve the simulator of a provider, in which nothing takes time."""
    clock, waits, attempts = Clock(), list[float](), Queue[Outgoing]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.move(seconds)
        await asyncio.sleep(0)

    simulator = ProviderSimulator(
        provider,
        options,
        pace=pace,
        webhook=webhook,
        clock=clock,
        sleep=sleep,
        on_attempt=lambda outgoing, made: attempts.put(outgoing),
    )
    with (
        serving(provider_app(simulator)) as url,
        httpx.Client(base_url=url, trust_env=False, headers=HEADERS[provider]) as client,
    ):
        yield Played(simulator, client, clock, waits, attempts)
