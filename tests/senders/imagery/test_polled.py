"""Receivers that poll providers: what a source tells becomes an event of the one vocabulary, once."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.working import until
from webhook_receiver import (
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryProgress,
    ImageryReady,
    Secret,
    WebhookReceiver,
)
from webhook_receiver.runtime.poller import Poller
from webhook_receiver.senders.base import Sender
from webhook_receiver.senders.imagery import polled
from webhook_receiver.senders.imagery.copernicus import copernicus
from webhook_receiver.senders.imagery.listings import ByStart, Item
from webhook_receiver.senders.imagery.planet import planet_orders
from webhook_receiver.senders.imagery.skyfi import skyfi
from webhook_receiver.senders.imagery.statuses import STATUSES, Outcome

from .stage import CASES, NOW, Player, Stage, at

SENDERS: dict[str, Callable[[], Sender]] = {
    "capella": polled.capella_tasks,
    "copernicus-production": polled.copernicus_production,
    "harmony": polled.harmony_jobs,
    "hyp3": polled.hyp3_jobs,
    "iceye": polled.iceye_tasks,
    "openeo": polled.openeo_jobs,
    "planet-subscriptions": polled.planet_subscriptions_polled,
    "planet-tasking": polled.planet_tasking,
    "sentinel-hub": polled.sentinel_hub_batch,
    "stapi": polled.stapi_orders,
}
EACH = pytest.mark.parametrize("name", SENDERS)
WORDS = {name: STATUSES.get(f"{name}-polled", STATUSES[name]) for name in SENDERS}
FAILED = {name: next(word for word, outcome in WORDS[name].words() if outcome is Outcome.FAILED) for name in SENDERS}


class Receiving:
    """A receiver that polls a stand-in, and what its handler of all images was told."""

    def __init__(self, name: str, stage: Stage, folder: Path) -> None:
        self.player = Player(CASES[name], stage)
        self.hooks = WebhookReceiver(sender=SENDERS[name](), inbox=f"sqlite:///{folder}/hooks.db?min_free=0")
        self.poller = Poller(self.hooks.runtime, self.player.source, 300, 1_000_000)  # which polls when it is told to
        self.events: list[ImageryEvent] = []

        @self.hooks.on(ImageryEvent)
        async def note(event: ImageryEvent) -> None:
            self.events.append(event)

    async def poll(self) -> list[tuple[str, str | None, str]]:
        """Poll, and return the kinds, orders and statuses of the new events, when all is handled."""
        self.events.clear()
        done = await self.poller.poll(early=True)
        assert done is not None
        await until(lambda: len(self.events) >= done.stored)
        return sorted((kind(event), event.order_id, event.status) for event in self.events)


def kind(event: ImageryEvent) -> str:
    bases = (ImageryReady, ImageryPartlyReady, ImageryFailed, ImageryProgress)
    return next(base.__name__ for base in bases if isinstance(event, base))


@asynccontextmanager
async def receiving(name: str, stage: Stage, folder: Path) -> AsyncGenerator[Receiving]:
    there = Receiving(name, stage, folder)
    async with there.hooks:
        yield there


@EACH
async def test_each_change_is_one_event_of_the_vocabulary(name: str, stage: Stage, tmp_path: Path) -> None:
    case = CASES[name]
    async with receiving(name, stage, tmp_path) as there:
        there.player.there.put("j-1", case.open, at(-3))
        there.player.there.put("j-2", FAILED[name], at(-2))
        there.player.there.put("j-3", "levitating", at(-1))
        assert await there.poll() == [
            ("ImageryFailed", "j-2", FAILED[name]),
            ("ImageryProgress", "j-1", case.open),
            ("ImageryProgress", "j-3", "levitating"),
        ]
        there.player.there.put("j-1", case.ended, at(1))
        assert await there.poll() == [("ImageryReady", "j-1", case.ended)]
        assert await there.poll() == []


@EACH
def test_the_statuses_that_end_a_job_are_those_of_the_table(name: str) -> None:
    listing: Any = CASES[name].source("https://example.com", "a-key").listing
    if not isinstance(listing, ByStart):  # one that tells changes, whatever they are
        return
    for word, outcome in WORDS[name].words():
        has_ended = listing.has_ended(Item("j-1", word, NOW, {}))
        goes_on = outcome in (Outcome.PROGRESS, Outcome.PARTLY_READY) or word == "closed"  # which is no task's
        assert has_ended or goes_on, word
        assert not has_ended or outcome is not Outcome.PROGRESS or "cancel" in word.lower(), word


@EACH
async def test_nobody_gets_in(name: str, tmp_path: Path) -> None:
    hooks = WebhookReceiver(sender=SENDERS[name](), inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0")
    async with hooks, httpx.AsyncClient(transport=httpx.ASGITransport(hooks)) as client:
        assert (await client.post("http://hooks/", json={"id": "j-1", "status": "DONE"})).status_code == 401


PROVIDERS = {"capella": "capella", "copernicus-production": "copernicus", "planet-tasking": "planet", "stapi": "stapi"}


@pytest.mark.parametrize(("name", "provider"), PROVIDERS.items())
async def test_an_event_says_which_provider_it_is_of(name: str, provider: str, stage: Stage, tmp_path: Path) -> None:
    async with receiving(name, stage, tmp_path) as there:
        there.player.there.put("j-1", CASES[name].ended, at(-3))
        await there.poll()
        assert [event.provider for event in there.events] == [provider]


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("hyp3", datetime(2026, 1, 15, tzinfo=UTC)),
        ("harmony", datetime(2026, 2, 1, tzinfo=UTC)),
        ("openeo", datetime(2026, 1, 3, tzinfo=UTC)),
        ("capella", None),
    ],
)
async def test_an_event_says_when_its_links_end(name: str, ends: datetime | None, stage: Stage, tmp_path: Path) -> None:
    async with receiving(name, stage, tmp_path) as there:
        there.player.there.put("j-1", CASES[name].ended, at(-3))
        await there.poll()
        assert [event.expires_at for event in there.events] == [ends]


async def test_a_job_that_has_ended_with_errors_is_partly_ready(stage: Stage, tmp_path: Path) -> None:
    async with receiving("harmony", stage, tmp_path) as there:
        there.player.there.put("j-1", "complete_with_errors", at(-3))
        await there.poll()
        assert [type(event) for event in there.events] == [polled.HarmonyJobCompleteWithErrors]


async def test_a_job_that_is_started_again_is_ready_again(stage: Stage, tmp_path: Path) -> None:
    async with receiving("openeo", stage, tmp_path) as there:
        for minute, status in enumerate(["finished", "queued", "finished"]):
            there.player.there.put("j-1", status, at(minute - 3))
            assert [told for _, _, told in await there.poll()] == [status]


async def test_what_is_told_twice_is_handled_once(stage: Stage, tmp_path: Path) -> None:
    async with receiving("hyp3", stage, tmp_path) as there:
        there.player.there.put("j-1", "RUNNING", at(-3))
        await there.poll()
        forgetful = replace(there.player.source, name="another-name")  # with a cursor of its own
        again = await Poller(there.hooks.runtime, forgetful, 300, 1_000_000).poll(early=True)
        assert again is not None
        assert (again.documents, again.stored, again.known) == (1, 0, 1)


PUSHED = {"planet-orders": planet_orders, "skyfi": skyfi, "copernicus-queue": copernicus}
SECRET = "a-secret-of-more-than-22-characters"


@pytest.mark.parametrize("is_pushed_first", [True, False])
@pytest.mark.parametrize("name", PUSHED)
async def test_what_is_pushed_and_polled_is_handled_once(
    name: str, is_pushed_first: bool, stage: Stage, tmp_path: Path
) -> None:
    player, told = Player(CASES[name], stage), list[tuple[str | None, str, tuple[str, ...]]]()
    sender = PUSHED[name](Secret(SECRET))
    hooks = WebhookReceiver(sender=sender, inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0")
    poller = Poller(hooks.runtime, player.source, 300, 1_000_000)

    @hooks.on(ImageryEvent)
    async def note(event: ImageryEvent) -> None:
        told.append((event.order_id, event.status, event.items))

    status = {"planet-orders": "success"}.get(name, CASES[name].ended)
    player.there.put("o-1", status, at(-1))
    documents, _, _ = await player.source(None)
    auth = None if name == "skyfi" else httpx.BasicAuth("webhooks", SECRET)
    async with hooks, httpx.AsyncClient(transport=httpx.ASGITransport(hooks), auth=auth) as client:

        async def push() -> None:
            for document in documents:
                pushed = json.loads(document)
                for beside in ("state", "order"):  # which a push of Planet does not have
                    pushed.pop(beside, None)
                url = f"http://hooks/{SECRET}" if name == "skyfi" else "http://hooks/"
                response = await client.post(url, json=pushed)
                assert response.status_code < 300, response.text

        if is_pushed_first:
            await push()
            done = await poller.poll(early=True)
            assert done is not None
            assert (done.documents, done.known) == (1, 1)
        else:
            done = await poller.poll(early=True)
            assert done is not None
            await push()
        wanted = 2 if name == "planet-orders" else 1  # its items are events of their own
        await until(lambda: len(told) >= wanted)
        assert len(told) == wanted
        assert len(set(told)) == wanted


async def test_a_partial_order_of_planet_is_its_items_and_a_partly_ready_order(stage: Stage, tmp_path: Path) -> None:
    player, told = Player(CASES["planet-orders"], stage), list[ImageryEvent]()
    sender = planet_orders(Secret(SECRET))
    hooks = WebhookReceiver(sender=sender, inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0")
    hooks.on(ImageryEvent)(told.append)
    player.there.put("o-1", "partial", at(-1))
    async with hooks:
        await Poller(hooks.runtime, player.source, 300, 1_000_000).poll(early=True)
        await until(lambda: len(told) == 3)
    assert sorted((kind(event), event.items) for event in told) == [
        ("ImageryPartlyReady", ()),
        ("ImageryReady", ("o-1/manifest.json",)),
        ("ImageryReady", ("o-1/scene.tif",)),
    ]


async def test_a_result_of_a_subscription_is_an_item_that_is_ready(stage: Stage, tmp_path: Path) -> None:
    player, told = Player(CASES["planet-results"], stage), list[ImageryEvent]()
    sender = polled.planet_subscriptions_polled()
    hooks = WebhookReceiver(sender=sender, inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0")
    hooks.on(ImageryReady)(told.append)
    player.there.put("r-1", "success", at(-1))
    async with hooks:
        await Poller(hooks.runtime, player.source, 300, 1_000_000).poll(early=True)
        await until(lambda: len(told) == 1)
    assert [(event.provider, event.order_id, event.items) for event in told] == [("planet", "s-1", ("item-of-r-1",))]


async def test_two_results_of_one_item_in_a_subscription_of_planet_are_two_events(stage: Stage, tmp_path: Path) -> None:
    player, told = Player(CASES["planet-results"], stage), list[ImageryReady]()
    hooks = WebhookReceiver(
        sender=polled.planet_subscriptions_polled(), inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0"
    )
    hooks.on(ImageryReady)(told.append)
    poller = Poller(hooks.runtime, player.source, 300, 1_000_000)
    async with hooks:
        for id in ("r-1", "r-2"):
            player.there.put(id, "success", at(-1), properties={"item_id": "scene"})
            await poller.poll(early=True)
        assert await poller.poll(early=True, since=NOW - timedelta(hours=1)) == (2, 0, 2, 0)
        await until(lambda: len(told) == 2)
    assert [(event.items, event.document["result"]["id"]) for event in told] == [
        (("scene",), "r-1"),
        (("scene",), "r-2"),
    ]
