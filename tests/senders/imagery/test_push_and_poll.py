"""A change that is pushed and polled runs a handler once, although the two documents differ as the providers' do."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from webhook_receiver import Filter, ImageryEvent, Sender, WebhookReceiver
from webhook_receiver.runtime.poller import Poller
from webhook_receiver.senders.catalogue import copernicus, planet_orders, skyfi
from webhook_receiver.senders.source import Changes

from .stage import CASES, Player, Stage, at

PATH = "a-secret-path-for-tests"
BASIC = {"authorization": "Basic " + b64encode(b"webhooks:secret").decode()}


class Pair(NamedTuple):
    """One change, as it is pushed and as it is polled."""

    sender: Sender
    pushed: Any
    polled: Any


def skyfi_pair(status: str, at: str, polled_at: str, **only_polled: Any) -> Pair:
    info = {"id": "o-1", "orderId": "order-1", "status": status}
    return Pair(
        skyfi(PATH),
        {"orderInfo": info, "event": {"status": status, "timestamp": at}},
        {
            "orderInfo": {**info, "createdAt": "2026-01-01T00:00:00Z", **only_polled},
            "event": {"status": status, "timestamp": polled_at, "message": None},
        },
    )


def copernicus_pair(event: str, **value: str) -> Pair:
    told = {"SubscriptionEvent": event, "ProductId": "p-1", "ProductName": "S2A.SAFE", "value": value}
    pushed = {**told, "SubscriptionId": "push", "NotificationDate": "2026-01-01T00:00:00.100Z"}
    polled = {**told, "SubscriptionId": "pull", "NotificationDate": "2026-01-01T00:00:01.300Z"}
    return Pair(copernicus("secret"), pushed, polled)


ITEMS = [{"name": name, "delivery": "success", "location": f"https://x/{name}"} for name in ("a.tif", "b.tif")]
SECOND, MILLI, MICRO = (f"2026-01-01T00:00:00{each}Z" for each in ("", ".123", ".123456"))
PAIRS = {
    "skyfi-spelling-of-a-time": skyfi_pair("STARTED", SECOND, "2026-01-01T00:00:00.000+00:00"),
    "skyfi-microseconds": skyfi_pair("DELIVERY_COMPLETED", MILLI, MICRO),
    "skyfi-bucket-told-by-the-api": skyfi_pair("PROCESSING_COMPLETE", MILLI, MILLI, deliveryDriver="S3"),
    "planet-orders": Pair(
        planet_orders("secret"),
        {"order_id": "o-1", "items": ITEMS},
        {"order_id": "o-1", "items": ITEMS, "state": "success", "order": {"id": "o-1"}},
    ),
    "planet-orders-case": Pair(
        planet_orders("secret"),
        {"order_id": "o-1", "items": [{**each, "delivery": "SUCCESS"} for each in ITEMS]},
        {"order_id": "o-1", "items": ITEMS, "state": "success", "order": {"id": "o-1"}},
    ),
    "copernicus": copernicus_pair("created"),
    "copernicus-modified": copernicus_pair("modified", ModificationDate="2026-01-01T00:00:00.000Z"),
}


@pytest.mark.parametrize("push_first", [True, False], ids=["pushed first", "polled first"])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
async def test_what_is_pushed_and_polled_runs_once(pair: Pair, push_first: bool, tmp_path: Path) -> None:
    hooks = WebhookReceiver(sender=pair.sender, inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0", work=False)
    hooks.on(ImageryEvent)(print)

    async def source(cursor: str | None) -> Changes:
        return Changes([json.dumps(pair.polled).encode()], "1")

    async def push() -> None:
        target = f"/webhooks/{PATH}"
        receipt = await hooks.receive(BASIC, json.dumps(pair.pushed).encode(), target=target)
        assert 200 <= receipt.response.status <= 299, receipt.error

    async with hooks:
        poller = Poller(hooks.runtime, source, 300, 1_000_000)
        if push_first:
            await push()
            await poller.poll(early=True)
        else:
            await poller.poll(early=True)
            await push()
        found = await hooks.inbox.find(Filter())
    expected = len(hooks.parse_all(json.dumps(pair.pushed).encode()))
    assert len(found) == expected


async def test_an_order_of_planet_whose_results_are_gone_is_progress(stage: Stage) -> None:
    player = Player(CASES["planet-orders"], stage)
    player.there.put("o-1", "success", at(-1))
    player.there.things["o-1"]["_links"]["results"] = None
    (document,) = await player.poll()
    (event,) = WebhookReceiver(sender=planet_orders("secret")).parse_all(json.dumps(document).encode())
    assert isinstance(event, ImageryEvent)
    assert (event.event, event.items, event.status) == ("planet.order.progress", (), "success")


async def test_an_order_with_many_items_is_told_in_parts_that_a_receiver_takes(stage: Stage) -> None:
    player = Player(CASES["planet-orders"], stage)
    player.there.put("o-1", "success", at(-1))
    items = [
        {"name": f"o-1/{number}.tif", "delivery": "success", "location": "https://x/" + "e" * 900, "expires_at": at(60)}
        for number in range(2500)
    ]
    player.there.things["o-1"]["_links"]["results"] = items
    documents, _, _ = await player.source(None)
    assert max(map(len, documents)) < 512 * 1024
    told = [json.loads(each) for each in documents]
    assert [each["name"] for document in told for each in document["items"]] == [each["name"] for each in items]
    assert all(each["order"]["_links"]["results"] is None for each in told)


async def test_the_order_of_an_event_of_skyfi_can_be_asked_for_again(stage: Stage) -> None:
    player = Player(CASES["skyfi"], stage)
    player.there.put("o-1", "DELIVERY_COMPLETED", at(-1))
    (document, *_) = await player.poll()
    (event,) = WebhookReceiver(sender=skyfi(PATH)).parse_all(json.dumps(document).encode())
    assert isinstance(event, ImageryEvent)
    assert event.order_id is not None
    assert [json.loads(each) for each in await player.source.again(event.order_id)] == [document]
