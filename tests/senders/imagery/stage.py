"""The providers that all tests of sources are run with, and the server on which their stand-ins are played."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.helpers import serving
from webhook_receiver.senders.imagery.access import KeyAccess
from webhook_receiver.senders.imagery.api_source import ApiSource
from webhook_receiver.senders.imagery.capella_source import capella_tasks_source
from webhook_receiver.senders.imagery.copernicus_source import (
    copernicus_access,
    copernicus_production_source,
    copernicus_queue_source,
)
from webhook_receiver.senders.imagery.harmony_source import harmony_jobs_source
from webhook_receiver.senders.imagery.hyp3_source import hyp3_jobs_source
from webhook_receiver.senders.imagery.iceye_source import iceye_tasks_source
from webhook_receiver.senders.imagery.listings import member
from webhook_receiver.senders.imagery.openeo_source import openeo_jobs_source
from webhook_receiver.senders.imagery.planet_source import (
    planet_orders_source,
    planet_subscription_results_source,
    planet_subscriptions_source,
    planet_tasking_source,
)
from webhook_receiver.senders.imagery.sentinel_hub_source import sentinel_hub_batch_source
from webhook_receiver.senders.imagery.skyfi_source import skyfi_orders_source
from webhook_receiver.senders.imagery.stapi_source import stapi_orders_source
from webhook_receiver.simulator.providers.base import KEY, ProviderApi
from webhook_receiver.simulator.providers.copernicus import Copernicus
from webhook_receiver.simulator.providers.copernicus_production import CopernicusProduction
from webhook_receiver.simulator.providers.planet import PlanetOrders
from webhook_receiver.simulator.providers.skyfi import SkyFi

from .standins.capella import Capella
from .standins.harmony import Harmony
from .standins.hyp3 import HyP3
from .standins.iceye import Iceye
from .standins.openeo import OpenEO
from .standins.planet import PlanetResults, PlanetSubscriptions, PlanetTasking
from .standins.sentinel_hub import SentinelHub
from .standins.stapi import Stapi

SUBSCRIPTION = "991c4730-cf6f-432a-9f6c-47be0230ff45"
"""The id of the PULL subscription that runs."""
NOW = datetime(2026, 1, 2, tzinfo=UTC)
"""The time at which sources are called first."""


def at(minutes: float) -> str:
    """Return a time before or after `NOW`, as the providers tell it."""
    return (NOW + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Case:
    """A provider's listing: its stand-in, its source, and the places of what is told."""

    stand_in: Callable[[], ProviderApi]
    source: Callable[[str, str], ApiSource]
    """Returns the source, of the address and of the key."""
    id: str
    status: str
    open: str
    """A status after which others come."""
    ended: str
    """A status after which none comes."""
    is_queue: bool = False
    has_ids: bool = True
    """Whether one can be asked for by its id."""


def _copernicus(url: str, key: str) -> Any:
    return copernicus_access("me", key, token_url=f"{url}/token")


CASES: Mapping[str, Case] = {
    "planet-orders": Case(
        PlanetOrders, lambda url, key: planet_orders_source(key, url=url), "order_id", "state", "running", "success"
    ),
    "planet-subscriptions": Case(
        PlanetSubscriptions,
        lambda url, key: planet_subscriptions_source(key, url=url),
        *("id", "status", "running", "completed"),
    ),
    "planet-results": Case(
        PlanetResults,
        lambda url, key: planet_subscription_results_source(key, "s-1", url=url),
        *("result.id", "result.status", "processing", "success"),
        has_ids=False,
    ),
    "planet-tasking": Case(
        PlanetTasking, lambda url, key: planet_tasking_source(key, url=url), "id", "status", "IN_PROGRESS", "FULFILLED"
    ),
    "skyfi": Case(
        SkyFi,
        lambda url, key: skyfi_orders_source(key, url=url),
        *("orderInfo.id", "event.status", "STARTED", "DELIVERY_COMPLETED"),
    ),
    "capella": Case(
        Capella,
        lambda url, key: capella_tasks_source(key, url=url),
        *("properties.taskingrequestId", "properties.statusHistory.0.code", "active", "completed"),
    ),
    "copernicus-queue": Case(
        lambda: Copernicus(SUBSCRIPTION),
        lambda url, key: copernicus_queue_source(_copernicus(url, key), SUBSCRIPTION, url=url),
        *("ProductId", "SubscriptionEvent", "created", "modified"),
        is_queue=True,
    ),
    "copernicus-production": Case(
        CopernicusProduction,
        lambda url, key: copernicus_production_source(_copernicus(url, key), url=url),
        *("Id", "Status", "in progress", "completed"),
    ),
    "sentinel-hub": Case(
        SentinelHub,
        lambda url, key: sentinel_hub_batch_source("me", key, url=url, token_url=f"{url}/token"),
        *("id", "status", "PROCESSING", "DONE"),
    ),
    "hyp3": Case(
        HyP3, lambda url, key: hyp3_jobs_source(key, url=url), "job_id", "status_code", "RUNNING", "SUCCEEDED"
    ),
    "harmony": Case(
        Harmony, lambda url, key: harmony_jobs_source(key, url=url), "jobID", "status", "running", "successful"
    ),
    "stapi": Case(
        Stapi,
        lambda url, key: stapi_orders_source(KeyAccess(key), url=url),
        *("id", "properties.status.status_code", "accepted", "completed"),
    ),
    "openeo": Case(OpenEO, lambda url, key: openeo_jobs_source(key, url=url), "id", "status", "running", "finished"),
    "iceye": Case(
        Iceye,
        lambda url, key: iceye_tasks_source("me", key, url=url, token_url=f"{url}/token"),
        *("id", "status", "ACTIVE", "DONE"),
    ),
}


class Stage:
    """An app that plays one stand-in after another, so that one server serves all of a module's tests."""

    def __init__(self) -> None:
        self.url = ""
        self.plays: ASGIApp | None = None
        self.date: Callable[[], datetime] = lambda: NOW
        """Returns the time of its responses."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert self.plays is not None

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(self.date(), usegmt=True).encode()
                message["headers"] = [*message["headers"], (b"date", date)]
            await send(message)

        await self.plays(scope, receive, dated)


@contextmanager
def staging() -> Generator[Stage]:
    """Serve a stage."""
    stage = Stage()
    with serving(stage) as stage.url:
        yield stage


class Player:
    """A source that asks a stand-in, from one cursor to the next, at a time that a test sets."""

    def __init__(self, case: Case, stage: Stage, key: str = KEY, **changes: Any) -> None:
        self.case = case
        self.there: Any = case.stand_in()
        stage.plays = self.there
        self.now = NOW
        if "page_size" not in vars(self.there):
            self.there.page_size = 2  # so that there are pages
        self.there.clock = lambda: self.now.timestamp()
        stage.date = lambda: self.now
        self.source = replace(case.source(stage.url, key), clock=lambda: self.now.timestamp(), **changes)
        self.cursor: str | None = None
        self.calls = 0

    async def call(self) -> list[Any]:
        """Call the source once, and return the documents."""
        self.calls += 1
        documents, self.cursor, self.more = await self.source(self.cursor)
        return [json.loads(document) for document in documents]

    async def poll(self, most: int = 50) -> list[Any]:
        """Call the source until there is no more, and return the documents."""
        found: list[Any] = []
        for _ in range(most):
            found += await self.call()
            if not self.more:
                return found
        raise AssertionError("the pages never end")

    async def told(self, how: Callable[[], Awaitable[list[Any]]] | None = None) -> list[tuple[str, str]]:
        """Poll, and return the ids and statuses that are told."""
        return [self.place(each) for each in await (how or self.poll)()]

    def place(self, document: Any) -> tuple[str, str]:
        """Return the id and the status in a document."""
        return _at(document, self.case.id), _at(document, self.case.status)


def _at(document: Any, place: str) -> str:
    for name in place.split("."):
        document = document[int(name)] if name.isdecimal() else member(document, name)
    return str(document)
