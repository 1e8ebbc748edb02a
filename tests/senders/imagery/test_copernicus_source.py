"""The Copernicus Data Space Ecosystem's sources: nothing leaves the queue before it is stored."""

from __future__ import annotations

import json

import pytest
from starlette.responses import JSONResponse

from webhook_receiver import ApiError

from .stage import CASES, SUBSCRIPTION, Player, Stage, at

QUEUE = CASES["copernicus-queue"]


async def test_notifications_are_those_of_a_push_and_are_acknowledged_by_the_next_call(stage: Stage) -> None:
    player = Player(QUEUE, stage)
    player.there.put("p-1", "created", at(-2))
    player.there.put("p-2", "deleted", at(-1))
    first, second = await player.call()
    assert first == {
        "@odata.context": "$metadata#Notification/$entity",
        "SubscriptionEvent": "created",
        "ProductId": "p-1",
        "ProductName": "p-1.SAFE",
        "SubscriptionId": SUBSCRIPTION,
        "NotificationDate": at(-2),
        "value": {"Id": "p-1", "Name": "p-1.SAFE"},
    }
    assert second["SubscriptionEvent"] == "deleted"
    assert len(player.there.queue) == 2, "what is not stored yet stays in the queue"
    assert not player.more
    assert await player.call() == []
    assert player.there.queue == []
    assert await player.call() == []
    acks = [each for each in player.there.got if each.path.endswith("/Ack")]
    assert [each.query["$ackid"] for each in acks] == ["ack p-2 1+="]


async def test_a_long_queue_is_read_by_twenties(stage: Stage) -> None:
    player = Player(QUEUE, stage)
    for number in range(50):
        player.there.put(f"p-{number}", "created", at(number - 60))
    assert [id for id, _ in await player.told()] == [f"p-{number}" for number in range(50)]
    assert player.calls == 3
    assert await player.told() == []


async def test_what_was_not_stored_is_told_again(stage: Stage) -> None:
    player = Player(QUEUE, stage)
    player.there.put("p-1", "created", at(-2))
    assert await player.told() == [("p-1", "created")]
    player.cursor = None  # as if the first page had never been stored
    assert await player.told() == [("p-1", "created")]


async def test_what_is_acknowledged_already_may_be_acknowledged_again(stage: Stage) -> None:
    player = Player(QUEUE, stage)
    player.there.put("p-1", "created", at(-2))
    await player.call()
    before = player.cursor
    await player.call()
    player.there.put("p-2", "created", at(-1))
    player.cursor = before  # as after a crash between the two
    assert await player.told() == [("p-2", "created")]


async def test_an_acknowledgement_that_does_not_work_is_an_error(stage: Stage) -> None:
    player = Player(QUEUE, stage)
    player.there.put("p-1", "created", at(-2))
    await player.call()
    player.there.answers = [JSONResponse({"detail": {"message": "no"}}, 400)]
    with pytest.raises(ApiError, match="400 Bad Request: no"):
        await player.call()
    player.there.answers = [JSONResponse({}, 500)]
    with pytest.raises(ApiError, match="500"):
        await player.call()
    assert await player.call() == []


async def test_a_subscription_that_is_canceled_is_an_error(stage: Stage) -> None:
    player = Player(QUEUE, stage)
    player.there.subscriptions.clear()
    with pytest.raises(ApiError, match=f"Subscription with id {SUBSCRIPTION} not found") as caught:
        await player.call()
    assert caught.value.status == 404


async def test_a_notification_without_an_id_to_acknowledge_by_is_an_error(stage: Stage) -> None:
    player = Player(QUEUE, stage)
    player.there.put("p-1", "created", at(-2), AckId=None)
    with pytest.raises(ApiError, match="without an AckId"):
        await player.call()


async def test_a_notification_of_more_than_three_days_is_told_without_its_product(stage: Stage) -> None:
    player = Player(QUEUE, stage)
    player.there.put("p-1", "created", at(-9000))
    for name in ("value", "ProductName"):
        del player.there.queue[0][name]
    (document,) = await player.call()
    assert document["ProductId"] == "p-1"
    assert json.loads(player.cursor or "") == {"ack": "ack p-1 0+="}


async def test_a_production_order_may_be_answered_without_its_envelope(stage: Stage) -> None:
    player = Player(CASES["copernicus-production"], stage)
    player.there.put("7", "queued", at(-1))
    player.there.answers = [JSONResponse(player.there.orders["7"])]
    (document,) = await player.source.again("7")
    assert json.loads(document)["Status"] == "queued"
