"""Whole orders of providers: who tells how many items there are, and one router for all of them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.test_whole_orders import acme, finished, grouped, item, noting, send, told
from tests.working import AT_ONCE, Clock, durable
from webhook_receiver import (
    Changes,
    ConfigurationError,
    GiveUp,
    ImageryEvent,
    ImageryProgress,
    ImageryReady,
    MemoryInbox,
    OrderFulfilled,
    Router,
    Sender,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.events import Event, WholeOrder, WholeOrderReady
from webhook_receiver.runtime.poller import Poller
from webhook_receiver.runtime.whole_orders import NAME
from webhook_receiver.senders.imagery.airbus import airbus_radar
from webhook_receiver.senders.imagery.arlula import arlula
from webhook_receiver.senders.imagery.copernicus import copernicus
from webhook_receiver.senders.imagery.events import DocumentPlaces
from webhook_receiver.senders.imagery.geopera import geopera
from webhook_receiver.senders.imagery.iceye import iceye
from webhook_receiver.senders.imagery.maxar import maxar, maxar_sns
from webhook_receiver.senders.imagery.nasa import nasa_cmr
from webhook_receiver.senders.imagery.ogc import ogc_processes
from webhook_receiver.senders.imagery.planet import PlanetOrderDelivered, planet_orders, planet_subscriptions
from webhook_receiver.senders.imagery.planet_source import planet_orders_source
from webhook_receiver.senders.imagery.polled import hyp3_jobs, planet_subscriptions_polled, planet_tasking
from webhook_receiver.senders.imagery.schemes import EXAMPLE
from webhook_receiver.senders.imagery.skyfi import skyfi, skyfi_archive
from webhook_receiver.senders.imagery.skywatch import skywatch
from webhook_receiver.senders.registry import presets
from webhook_receiver.senders.up42 import up42
from webhook_receiver.simulator.providers.base import KEY
from webhook_receiver.testing import make

from .stage import CASES, Player, Stage, at

DAY = timedelta(days=1)
ORDERS = CASES["planet-orders"]
BY_ITEM = DocumentPlaces(order_id=("order",), item=("item",), status=("status",))
COUNTED = DocumentPlaces(order_id=("order",), item=("item",), status=("status",), item_count=("count",))


def delivered(name: str, order: str = "o-1", **more: Any) -> dict[str, Any]:
    """Return the document of a call of Planet's about one item."""
    return {"order_id": order, "items": [{"name": name, "delivery": "success"}], **more}


@pytest.mark.parametrize(
    ("sender", "order_items"),
    [
        (up42("secret"), "whole"),
        (geopera("secret"), "whole"),
        (skyfi(EXAMPLE), "whole"),
        (ogc_processes(EXAMPLE), "whole"),
        (arlula(EXAMPLE), "whole"),
        (iceye(EXAMPLE), "whole"),
        (maxar(EXAMPLE), "whole"),
        (skywatch(EXAMPLE), "whole"),
        (hyp3_jobs(), "whole"),
        (planet_tasking(), "whole"),
        (planet_orders("secret", item_count=("query:items",)), "counted"),
        (airbus_radar("secret", item_count=("query:items",)), "counted"),
        (planet_subscriptions(EXAMPLE, places=COUNTED), "counted"),
        (maxar(EXAMPLE, places=COUNTED), "counted"),
        (maxar_sns(presets()["maxar-sns"].example, places=COUNTED), "counted"),
        (planet_orders("secret"), "unknown"),
        (airbus_radar("secret"), "unknown"),
        (planet_subscriptions(EXAMPLE), "unknown"),
        (planet_subscriptions_polled(), "unknown"),
        (maxar(EXAMPLE, places=BY_ITEM), "unknown"),
        (copernicus("secret"), "unknown"),
        (nasa_cmr(EXAMPLE), "unknown"),
        (skyfi_archive(EXAMPLE), "unknown"),
    ],
)
def test_each_provider_says_how_it_tells_the_items_of_an_order(sender: Sender, order_items: str) -> None:
    assert sender.order_items == order_items


async def test_one_router_serves_providers_that_tell_orders_and_one_that_tells_items(tmp_path: Path) -> None:
    images, orders = Router(), list[tuple[str, str | None, tuple[str, ...]]]()

    @images.on(ImageryReady, whole_order=True)
    def ready(image: ImageryReady) -> None:
        orders.append((image.provider, image.order_id, image.items))

    senders = [up42("secret"), planet_orders("secret", item_count=("query:items",)), skyfi(EXAMPLE)]
    receivers = [durable(f"sqlite:///{tmp_path}/{each.name}.db?min_free=0", sender=each) for each in senders]
    for each in receivers:
        each.include(images)
    assert [NAME in [handler.name for handler in each.handlers] for each in receivers] == [False, True, False]
    calls: list[tuple[dict[str, Any], str]] = [
        ({"event": "order.status", "body": {"orderId": "u-1", "status": "FULFILLED"}}, "/webhooks"),
        (delivered("a"), "/webhooks?items=2"),
        ({"orderInfo": {"id": "s-1", "itemId": "i-1"}, "event": {"status": "DELIVERY_COMPLETED"}}, "/webhooks"),
    ]
    async with receivers[0], receivers[1], receivers[2]:
        for hooks, (document, target) in zip(receivers, calls, strict=True):
            await send(hooks, document, target=target)
            await finished(hooks)
        await send(receivers[1], delivered("b"), target="/webhooks?items=2")
        await finished(receivers[1])
    assert orders == [("up42", "u-1", ()), ("skyfi", "s-1", ("i-1",)), ("planet", "o-1", ("a", "b"))]


def test_progress_is_no_whole_order_where_events_are_about_orders() -> None:
    hooks = WebhookReceiver(sender=skyfi(EXAMPLE))
    hooks.on(ImageryEvent, whole_order=True, name="orders")(print)
    names = {"STARTED": list[str](), "DELIVERY_COMPLETED": ["orders"], "DELIVERY_FAILED": ["orders"]}
    for status, expected in names.items():
        event = hooks.parse(json.dumps({"orderInfo": {"id": "o-1"}, "event": {"status": status}}).encode())
        assert [each.name for each in hooks.match(event)] == expected


@pytest.mark.parametrize("is_grouped", [False, True])
async def test_airbus_groups_items_or_not(*, is_grouped: bool) -> None:
    hooks = durable(sender=airbus_radar("secret", item_count=("query:items",)), backoff=AT_ONCE)
    items, orders = noting(hooks)
    features = [
        {"properties": {"orderId": "7", "orderItemId": each, "status": "completed", "lastUpdateTime": at(0)}}
        for each in ("i-1", "i-2", "i-3")
    ]
    calls = [features] if is_grouped else [[each] for each in features]
    async with hooks:
        for call in calls:
            await send(hooks, {"type": "FeatureCollection", "features": call}, target="/webhooks?items=3")
        await finished(hooks)
    assert sorted(items) == ["i-1", "i-2", "i-3"]
    assert told(orders) == [("Ready", ["i-1", "i-2", "i-3"], [], False)]


# planet, by its source


async def test_planets_source_tells_the_number_of_items_behind_them(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    player.source = planet_orders_source(KEY, url=stage.url, whole_orders=True)
    player.there.put("o-1", "success", at(-1))
    player.there.put("o-2", "failed", at(0))
    documents = [json.loads(each) for each in (await player.source(player.source.cursor_at(player.now - DAY)))[0]]
    assert [(len(each["items"]), each.get("item_count"), each["state"]) for each in documents] == [
        (2, None, "success"),
        (0, 2, "success"),
        (0, None, "failed"),
    ]
    hooks = WebhookReceiver(sender=planet_orders("secret"))
    (count,) = hooks.parse_all(json.dumps(documents[1]).encode())
    assert isinstance(count, ImageryProgress)
    assert (count.status, count.item_count, count.items, count.order_id) == ("success", 2, (), "o-1")


@pytest.mark.parametrize("pushed", [(), ("o-1/scene.tif",), ("o-1/manifest.json", "o-1/scene.tif")])
@pytest.mark.parametrize("is_pushed_first", [False, True])
@pytest.mark.parametrize("state", ["success", "partial"])
async def test_planets_items_are_told_by_push_and_poll_and_their_number_by_the_source(
    stage: Stage, pushed: tuple[str, ...], state: str, *, is_pushed_first: bool
) -> None:
    player = Player(ORDERS, stage)
    player.there.put("o-1", state, at(-1))
    source = planet_orders_source(KEY, url=stage.url, whole_orders=True)
    cursor = source.cursor_at(player.now - DAY)

    async def of_yesterday(last: str | None) -> Changes:
        return await source(last or cursor)

    hooks = durable(sender=planet_orders("secret"), clock=time.time, backoff=AT_ONCE)
    items, orders = noting(hooks)
    hooks.poll_every(DAY, Counts())
    poller = Poller(hooks.runtime, of_yesterday, 300, 1_000_000)
    async with hooks:
        for is_push in (is_pushed_first, not is_pushed_first):
            if is_push:
                await send(hooks, *(delivered(each) for each in pushed))
            else:
                await poller.poll(early=True)
            await finished(hooks)
    names = ["o-1/manifest.json", "o-1/scene.tif"]
    assert sorted(items) == names
    assert told(orders) == [("Ready" if state == "success" else "PartlyReady", names, [], False)]
    assert (orders[0].expires_at is None) is (is_pushed_first and len(pushed) == 2)


# misuse


class Counts:
    """A source that tells how many items each order has."""

    name = "counts"
    tells_item_count = True

    async def __call__(self, cursor: str | None) -> Changes:
        return Changes([], cursor or "0")


class Mute(Counts):
    name = "mute"
    tells_item_count = False


def for_orders(hooks: WebhookReceiver) -> WebhookReceiver:
    hooks.on(ImageryReady, whole_order=True, name="orders")(print)
    return hooks


@pytest.mark.parametrize(
    "sender", [planet_orders("secret"), airbus_radar("secret"), copernicus("secret"), planet_subscriptions(EXAMPLE)]
)
async def test_where_nothing_tells_how_many_items_there_are_the_receiver_does_not_start(sender: Sender) -> None:
    hooks = for_orders(WebhookReceiver(sender=sender, inbox=MemoryInbox()))
    said = rf"orders is for whole orders, and nothing tells {sender.name} how many items an order of {sender.name} has"
    with pytest.raises(ConfigurationError, match=f"{said}: poll a source that does"):
        await hooks.__aenter__()
    hooks.poll_every(DAY, Mute())
    with pytest.raises(ConfigurationError, match=said):
        await hooks.__aenter__()
    hooks.poll_every(DAY, Counts())
    async with hooks:
        pass


async def test_without_an_inbox_items_are_not_collected_and_the_receiver_does_not_start() -> None:
    hooks = for_orders(WebhookReceiver(sender=planet_orders("secret", item_count=("query:items",))))
    with pytest.raises(ConfigurationError, match=r'needs an inbox, .* inbox="sqlite:///hooks.db"'):
        await hooks.__aenter__()
    async with for_orders(WebhookReceiver(sender=skyfi(EXAMPLE))) as whole:
        body = json.dumps({"orderInfo": {"id": "o-1"}, "event": {"status": "DELIVERY_COMPLETED"}}).encode()
        head = whole.sender.scheme.sign(RequestHead.of({}), body, time.time())
        assert (await whole.receive(head.headers, body, target=head.target)).response.status == 200


async def test_with_another_ordering_key_the_items_are_not_found_and_the_receiver_does_not_start() -> None:
    sender = planet_orders("secret", item_count=("query:items",))
    hooks = for_orders(WebhookReceiver(sender=sender, inbox=MemoryInbox(), ordering_key=lambda event: event.items))
    with pytest.raises(ConfigurationError, match=r"leave ordering_key=\.\.\. of planet-orders out"):
        await hooks.__aenter__()


@pytest.mark.parametrize(
    ("route", "name"),
    [
        (ImageryProgress, "ImageryProgress"),
        (PlanetOrderDelivered, "PlanetOrderDelivered"),
        (OrderFulfilled, "OrderFulfilled"),
        (Event, "Event"),
        ("planet.order.ready", "planet.order.ready"),
    ],
)
def test_a_whole_order_is_told_by_one_of_four_classes(route: Any, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"whole_order=True is for ImageryReady, .* not for {name}: @hooks"):
        Router().on(route, whole_order=True)


def test_whole_order_is_true_or_false() -> None:
    given: Any = "yes"
    with pytest.raises(ConfigurationError, match=r"whole_order=\.\.\. is True or False, not 'yes'"):
        Router().on(ImageryReady, whole_order=given)


def test_a_sender_tells_its_items_in_one_of_three_ways() -> None:
    wrong: Any = "some"
    with pytest.raises(ConfigurationError, match='order_items of the sender acme is "whole", "counted" or "unknown"'):
        acme(order_items=wrong)


def test_a_router_that_was_not_taken_over_leaves_nothing_behind() -> None:
    hooks, router = WebhookReceiver(sender=acme()), Router()
    hooks.on(ImageryReady, name="orders")(print)
    router.on(ImageryReady, whole_order=True, name="whole")(print)
    router.on(ImageryEvent, name="orders")(max)
    with pytest.raises(ConfigurationError, match="two handlers are named orders"):
        hooks.include(router)
    assert [each.name for each in hooks.handlers] == ["orders"]


def test_a_test_makes_events_of_whole_orders() -> None:
    event = make(WholeOrderReady, body={"order_id": "o-1", "items": ["a", "b"], "item_count": 2})
    assert (event.order_id, event.items, event.item_count, event.late) == ("o-1", ("a", "b"), 2, False)
    assert isinstance(event, ImageryReady)
    assert isinstance(event, WholeOrder)


# links that end


class Again(Counts):
    """A source that tells an order again, with links that end in an hour."""

    def __init__(self, clock: Clock, *names: str) -> None:
        self.clock = clock
        self.names = names

    async def again(self, id: str) -> list[bytes]:
        until = datetime.fromtimestamp(self.clock.now + 3600, UTC).isoformat()
        return [json.dumps(item(each, order=id, until=until, link=f"new {each}")).encode() for each in self.names]


@pytest.mark.parametrize(("names", "links"), [(("a", "b", "c"), {"new a", "new b"}), (("a",), None)])
async def test_the_links_of_a_whole_order_are_asked_for_again(names: tuple[str, ...], links: set[str] | None) -> None:
    clock = Clock()
    hooks = durable(sender=acme(), clock=clock, backoff=AT_ONCE)
    hooks.poll_every(DAY, Again(clock, *names))
    _, orders = noting(hooks)
    async with hooks:
        files = [item(each, until="2001-01-01T00:00:00Z", link="old", count=2) for each in ("a", "b")]
        await send(hooks, *files)
        await finished(hooks)
    (order,) = orders
    if links is None:
        with pytest.raises(GiveUp, match="the provider has no new ones"):
            await hooks.fresh(order)
        return
    again = await hooks.fresh(order)
    assert type(again) is WholeOrderReady
    assert {each["link"] for each in again.document.values()} == links
    assert (again.items, again.identity) == (order.items, order.identity)
    assert again.expires_at is not None
    assert await hooks.fresh(again) is again


def test_a_document_with_several_items_tells_their_number_where_the_places_say() -> None:
    hooks = WebhookReceiver(sender=acme())
    events = hooks.parse_all(json.dumps(grouped("a", "b", count=7)).encode())
    assert [isinstance(each, ImageryEvent) and each.item_count for each in events] == [7, 7]
