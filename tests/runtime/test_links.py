"""Download links that end: who handles an event later gets new ones, or is told that there are none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from starlette.responses import JSONResponse

from tests.helpers import NOW
from tests.senders.imagery.stage import CASES, Player, at, staging
from tests.working import AT_ONCE, Clock, deliver, durable, settled, until
from webhook_receiver import ApiError, Changes, ConfigurationError, Event, Filter, GiveUp, State, WebhookReceiver
from webhook_receiver.events import ImageryReady
from webhook_receiver.senders.imagery.planet import planet_orders
from webhook_receiver.senders.imagery.polled import openeo_jobs

HOUR = 3600.0


class Scene(Event, frozen=True):
    event: Literal["scene.ready"]
    order_id: str
    link: str
    expires_at: datetime

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.order_id,)


def body(link: str, ends: float, order: str = "o-1") -> bytes:
    moment = datetime.fromtimestamp(ends, UTC).isoformat()
    text = f'{{"event": "scene.ready", "order_id": "{order}", "link": "{link}", "expires_at": "{moment}"}}'
    return text.encode()


class Api:
    """An API that tells an order again, with a link for the next hour."""

    name = "scenes"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[str] = []
        self.documents: list[bytes] | None = None
        self.error: Exception | None = None

    async def __call__(self, cursor: str | None) -> Changes:
        return Changes([], cursor or "0")

    async def again(self, id: str) -> Sequence[bytes]:
        self.asked.append(id)
        if self.error is not None:
            raise self.error
        if self.documents is not None:
            return self.documents
        return [body("another", self.clock.now + HOUR, "o-2"), body(f"new-{len(self.asked)}", self.clock.now + HOUR)]


class Mute:
    """A source that cannot tell an order again."""

    name = "mute"

    async def __call__(self, cursor: str | None) -> Changes:
        return Changes([], cursor or "0")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def receiving(clock: Clock, *sources: Any) -> tuple[WebhookReceiver, list[str]]:
    """Return a receiver that polls these sources, and the links that its handler has downloaded from."""
    hooks, links = durable(clock=clock, backoff=AT_ONCE), list[str]()

    @hooks.on(Scene)
    async def download(scene: Scene) -> None:
        links.append((await hooks.fresh(scene)).link)

    for each in sources:
        hooks.poll_every(timedelta(days=1), each)
    return hooks, links


async def test_a_replay_after_the_end_of_the_links_asks_the_provider_again(clock: Clock) -> None:
    api = Api(clock)
    hooks, links = receiving(clock, Mute(), api)
    async with hooks:
        id = await deliver(hooks, body("first", clock.now + 60))
        await settled(hooks, id)
        assert api.asked == []
        clock.move(60)
        await hooks.inbox.replay([id], clock.now)
        await settled(hooks, id)
    assert (links, api.asked) == (["first", "new-1"], ["o-1"])


@pytest.mark.parametrize(
    ("sources", "reason"),
    [([], "no source of up42 can be asked"), ([Mute()], "no source of up42 can be asked")],
)
async def test_where_no_source_can_be_asked_the_delivery_is_dead_and_says_so(
    clock: Clock, sources: list[Any], reason: str
) -> None:
    hooks, links = receiving(clock, *sources)
    async with hooks:
        id = await deliver(hooks, body("old", clock.now - 1))
        kept = await settled(hooks, id, State.DEAD)
    assert links == []
    assert reason in (kept.summary.reason or "")
    assert "its download links ended at 2" in (kept.summary.reason or "")


@pytest.mark.parametrize("status", [404, 410])
async def test_an_order_that_is_gone_has_no_new_links(clock: Clock, status: int) -> None:
    api = Api(clock)
    api.error = ApiError("there is no such order", status=status)
    hooks, _ = receiving(clock, api)
    with pytest.raises(GiveUp, match="the provider has no new ones"):
        await hooks.fresh(Scene.model_validate_json(body("old", clock.now - 1)))


@pytest.mark.parametrize("case", ["others", "ended, too", "none", "no orders"])
async def test_what_is_told_again_has_to_be_the_same_news_with_links_that_last(clock: Clock, case: str) -> None:
    api = Api(clock)
    if case == "no orders":
        api.error = ConfigurationError("the source cannot ask for one of its documents again")
    else:
        told = {"others": [body("x", clock.now + HOUR, "o-2")], "ended, too": [body("x", clock.now - 1)], "none": []}
        api.documents = told[case]
    hooks, _ = receiving(clock, api)
    with pytest.raises(GiveUp, match="the provider has no new ones"):
        await hooks.fresh(Scene.model_validate_json(body("old", clock.now - 1)))


async def test_a_job_of_openeo_whose_results_are_gone_has_no_new_links() -> None:
    with staging() as stage:
        player = Player(CASES["openeo"], stage)
        player.there.put("j-1", "finished", at(-1))
        hooks = durable(sender=openeo_jobs(), clock=lambda: player.now.timestamp(), work=False)
        hooks.poll_every(timedelta(days=1), player.source)
        (document,) = await player.source.again("j-1")
        (event,) = hooks.parse_all(document)
        assert isinstance(event, ImageryReady)
        assert await hooks.fresh(event) is event
        player.now += timedelta(days=2)
        player.there.answers = [None, JSONResponse({"code": "ResultLinkExpired"}, 410)]
        with pytest.raises(GiveUp, match="the provider has no new ones"):
            await hooks.fresh(event)


async def test_an_api_that_fails_has_the_handler_run_again(clock: Clock) -> None:
    api = Api(clock)
    api.error = ApiError("busy", status=503)
    hooks, _ = receiving(clock, api)
    with pytest.raises(ApiError, match="busy"):
        await hooks.fresh(Scene.model_validate_json(body("old", clock.now - 1)))


async def test_a_source_that_fails_does_not_hide_another_one_that_has_the_order(clock: Clock) -> None:
    first, second = Api(clock), Api(clock)
    first.error, second.name = ApiError("no such key", status=401), "second"
    hooks, _ = receiving(clock, first, second)
    old = Scene.model_validate_json(body("old", clock.now - 1))
    assert (await hooks.fresh(old)).link == "new-1"
    second.error = ApiError("busy", status=503)
    with pytest.raises(ApiError, match="no such key"):
        await hooks.fresh(old)
    second.error = ApiError("there is no such order", status=404)
    with pytest.raises(ApiError, match="no such key"):
        await hooks.fresh(old)
    second.error, second.documents = None, [body("old", clock.now - 1)]
    with pytest.raises(GiveUp, match="the provider has no new ones"):
        await hooks.fresh(old)


async def test_an_event_whose_links_last_or_that_says_nothing_of_it_is_returned_as_it_is(clock: Clock) -> None:
    api = Api(clock)
    hooks, _ = receiving(clock, api)
    lasting, silent = Scene.model_validate_json(body("good", NOW + 1)), Event(event="anything")
    assert await hooks.fresh(lasting) is lasting
    assert await hooks.fresh(silent) is silent
    assert api.asked == []


async def test_the_links_of_planets_orders_are_asked_for_again_at_their_end() -> None:
    with staging() as stage:
        player = Player(CASES["planet-orders"], stage)
        player.there.put("o-1", "success", at(-1))
        hooks = durable(sender=planet_orders("x" * 32), clock=lambda: player.now.timestamp(), backoff=AT_ONCE)
        ends: list[datetime | None] = []

        @hooks.on(ImageryReady)
        async def download(ready: ImageryReady) -> None:
            ends.append((await hooks.fresh(ready)).expires_at)

        hooks.poll_every(timedelta(days=1), player.source)
        async with hooks:
            await until(lambda: len(ends) == 2)
            first = [*ends]
            ids = [each.id for each in await hooks.inbox.find(Filter())]
            for id in ids:
                await settled(hooks, id)
            player.now += timedelta(days=2)
            await hooks.inbox.replay(ids, player.now.timestamp())
            await until(lambda: len(ends) == 4)
    assert all(end is not None and end < player.now for end in first)
    assert all(end is not None and end > player.now for end in ends[2:])


@pytest.mark.parametrize("ends", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_an_end_beyond_the_calendar_is_one_as_any_other(ends: str) -> None:
    hooks = durable(sender=planet_orders("secret"), work=False)
    hooks.poll_every(timedelta(minutes=5), Api(Clock()))
    item = {"name": "a", "delivery": "success", "expires_at": ends}
    async with hooks:
        (event,) = hooks.parse_all(json.dumps({"order_id": "o-1", "items": [item]}).encode())
        assert isinstance(event, ImageryReady)
        if ends.startswith("9999"):
            assert await hooks.fresh(event) is event
        else:
            with pytest.raises(GiveUp, match="ended at a time that is in no calendar"):
                await hooks.fresh(event)
