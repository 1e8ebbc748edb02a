"""Receivers of the providers' senders take what is played, and the sources tell the same: nothing is handled twice."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from queue import Queue

import pytest
from starlette.applications import Starlette

from tests.helpers import serving
from tests.working import PATIENCE
from webhook_receiver import Filter, ImageryEvent, ImageryFailed, ImageryReady, WebhookReceiver
from webhook_receiver.runtime.poller import Polled
from webhook_receiver.senders.base import Sender
from webhook_receiver.senders.catalogue import copernicus, ogc_processes, planet_orders, skyfi
from webhook_receiver.senders.imagery.planet_source import planet_orders_source
from webhook_receiver.senders.imagery.skyfi_source import skyfi_orders_source
from webhook_receiver.simulator.providers.base import KEY

from .playing import Played, playing

SECRET = "a-secret-path-for-tests"
PLACES: dict[str, tuple[Sender, str, str]] = {
    "skyfi": (skyfi(SECRET), "/hooks/{token}", f"/hooks/{SECRET}"),
    "planet": (planet_orders(SECRET), "/hooks", "/hooks"),
    "copernicus": (copernicus(SECRET), "/hooks", "/hooks"),
    "ogc": (ogc_processes(SECRET), "/hooks/{job}/{status}/{token}", f"/hooks/{{job}}/{{status}}/{SECRET}"),
}
"""The sender of each provider, the path of its route, and the path in the URL that the provider is told."""
TOLD = {"skyfi": 6, "planet": 2, "copernicus": 1, "ogc": 2}
"""The number of notifications of an order that all goes well with."""


@dataclass
class Received:
    """A receiver of one provider that is served, and what its handlers were told."""

    url: str
    queue: Queue[ImageryEvent] = field(default_factory=Queue[ImageryEvent])

    def next(self, many: int) -> list[ImageryEvent]:
        return [self.queue.get(timeout=PATIENCE) for _ in range(many)]


@contextmanager
def receiving(provider: str, folder: Path) -> Generator[Received]:
    """Serve a receiver of a provider with an inbox."""
    sender, route, path = PLACES[provider]
    hooks = WebhookReceiver(sender=sender, inbox=f"sqlite:///{folder}/hooks.db")
    received = Received("")
    hooks.on(ImageryEvent)(lambda event: received.queue.put(event))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with hooks:
            yield

    credentials = "" if "{token}" in route else f"webhooks:{SECRET}@"
    with serving(Starlette(lifespan=lifespan, routes=[hooks.route(route)])) as url:
        received.url = url.replace("://", f"://{credentials}") + path
        yield received


@pytest.mark.parametrize("provider", PLACES)
def test_a_receiver_takes_what_is_played_at_once_and_each_once(provider: str, tmp_path: Path) -> None:
    with receiving(provider, tmp_path) as received:
        with playing(provider, pace=1, webhook=received.url) as played:
            played.create()
            ended = played.ended(TOLD[provider])
            assert {(each.ended, len(each.attempts)) for each in ended} == {("delivered", 1)}
            for delivery in played.ask("GET", "/_simulator/deliveries"):
                played.ask("POST", f"/_simulator/deliveries/{delivery['id']}/replay", 202)
            assert {each.ended for each in played.ended(TOLD[provider])} == {"delivered"}
        events = received.next(TOLD[provider])
        ready = [each for each in events if isinstance(each, ImageryReady)]
        assert {each.provider for each in ready} == {provider}
        assert len(ready) == (2 if provider == "planet" else 1)
    assert received.queue.empty(), "what came twice was handled once"


@pytest.mark.parametrize("provider", ["skyfi", "ogc"])
def test_what_fails_is_told_as_that(provider: str, tmp_path: Path) -> None:
    with receiving(provider, tmp_path) as received, playing(provider, webhook=received.url) as played:
        played.move(played.create(), "FAILED_PERMANENTLY")
        events = received.next(1 if provider == "ogc" else 2)
        assert [each.provider for each in events if isinstance(each, ImageryFailed)] == [provider]


SOURCES = {"skyfi": skyfi_orders_source, "planet": planet_orders_source}


@pytest.mark.parametrize("pushed_first", [True, False])
@pytest.mark.parametrize("provider", SOURCES)
async def test_what_is_pushed_and_polled_is_one(provider: str, pushed_first: bool, tmp_path: Path) -> None:
    sender, _, path = PLACES[provider]
    pushing, polling = (
        WebhookReceiver(sender=sender, inbox=f"sqlite:///{tmp_path}/hooks.db", work=False) for _ in "12"
    )
    for hooks in (pushing, polling):
        hooks.on(ImageryEvent)(print)
    head = {"authorization": "Basic " + b64encode(f"webhooks:{SECRET}".encode()).decode()}
    with playing(provider) as played:
        source = SOURCES[provider](KEY, url=str(played.client.base_url).rstrip("/"))
        polling.poll_every(timedelta(days=1), replace(source, clock=played.clock))
        pushes = all_pushes(played)
        async with pushing, opened(polling):
            (poller,) = polling.pollers
            if not pushed_first:
                many = 6 if provider == "skyfi" else 1
                assert await poller.poll() == Polled(many, many)
            receipts = [await pushing.receive(head, body, target=path) for body in pushes]
            new = provider != "skyfi" and pushed_first  # SkyFi wants 200 for all
            assert {each.response.status for each in receipts} == {202 if new else 200}
            assert all((each.duplicate_of is None) is pushed_first for each in receipts)
            if pushed_first:
                polled = await poller.poll()
                assert polled is not None
                assert (polled.stored, polled.known) == (0, polled.documents)
            kept = await polling.inbox.find(Filter())
    assert len(kept) == TOLD[provider]


@asynccontextmanager
async def opened(hooks: WebhookReceiver) -> AsyncGenerator[None]:
    """Open the inbox of a receiver, of which no task runs."""
    await hooks.runtime.open()
    try:
        yield
    finally:
        await hooks.inbox.close()


def all_pushes(played: Played) -> list[bytes]:
    """Let an order go through all its statuses; return the notifications of them."""
    api = played.api
    id = api.create()
    api.webhook = "http://127.0.0.1:9/"
    bodies = [json.dumps(each.body).encode() for each in api.notifications(id, api.stages[0])]
    for status in api.way(id)[1:]:
        played.clock.move(60)
        api.put(id, status, api.now)
        bodies += [json.dumps(each.body).encode() for each in api.notifications(id, status)]
    return bodies
