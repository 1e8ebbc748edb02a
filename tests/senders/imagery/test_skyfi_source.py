"""SkyFi's source: the documents are the bodies of its webhooks, one for each event of an order's history."""

from __future__ import annotations

from datetime import timedelta

from .stage import CASES, Player, Stage, at

SKYFI = CASES["skyfi"]


async def test_all_events_of_an_order_are_told_though_only_the_last_status_was_seen(stage: Stage) -> None:
    player = Player(SKYFI, stage)
    player.there.put("o-1", "CREATED", at(-30))
    assert await player.told() == [("o-1", "CREATED")]
    for minutes, status in enumerate(["STARTED", "PROVIDER_COMPLETE", "DELIVERY_COMPLETED"]):
        player.there.put("o-1", status, at(minutes - 20))
    documents = await player.poll()
    assert [player.place(each)[1] for each in documents] == [
        *("CREATED", "STARTED", "PROVIDER_COMPLETE", "DELIVERY_COMPLETED")
    ]
    assert documents[-1]["event"] == {"status": "DELIVERY_COMPLETED", "timestamp": at(-18), "message": None}
    assert documents[-1]["orderInfo"]["status"] == "DELIVERY_COMPLETED"
    assert documents[-1]["orderInfo"]["downloadImageUrl"].endswith("/orders/o-1/image")
    assert "events" not in documents[-1]["orderInfo"]


async def test_an_order_without_a_history_is_told_by_its_status(stage: Stage) -> None:
    player = Player(SKYFI, stage)
    player.there.put("o-1", "STARTED", at(-1))
    player.there.orders["o-1"]["events"] = []
    (document,) = await player.poll()
    assert document["event"] == {"status": "STARTED", "timestamp": None, "message": None}


async def test_an_order_without_a_bucket_ends_when_it_is_processed(stage: Stage) -> None:
    player = Player(SKYFI, stage)
    player.there.put("o-1", "PROCESSING_COMPLETE", at(-60), deliveryDriver="NONE")
    player.there.put("o-2", "PROCESSING_COMPLETE", at(-50), deliveryDriver="S3")
    player.there.put("o-3", "PROCESSING_COMPLETE", at(-1), deliveryDriver="S3")
    await player.poll()
    player.there.got.clear()
    player.now += timedelta(hours=1)
    assert await player.told() == []
    assert player.there.paths == ["/orders", "/orders/o-2"] or player.there.paths == ["/orders"]


async def test_an_order_that_is_delivered_again_between_two_polls_is_told(stage: Stage) -> None:
    player = Player(SKYFI, stage)
    player.there.put("o-old", "DELIVERY_PENDING", at(-600))
    player.there.put("o-new", "DELIVERY_COMPLETED", at(-1))
    await player.poll()
    player.now += timedelta(minutes=10)
    player.there.put("o-old", "DELIVERY_FAILED", at(4))
    assert (await player.told())[-1] == ("o-old", "DELIVERY_FAILED")
    player.there.put("o-old", "DELIVERY_PENDING", at(14))
    player.there.put("o-old", "DELIVERY_COMPLETED", at(16))
    player.now += timedelta(minutes=10)
    assert (await player.told())[-1] == ("o-old", "DELIVERY_COMPLETED")
    player.now += timedelta(minutes=10)
    assert await player.told() == []
