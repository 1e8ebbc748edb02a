"""Planet's sources: the documents are those of notifications, and nothing is missed that changes meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse

from webhook_receiver import ApiError, ConfigurationError
from webhook_receiver.senders.imagery.planet_source import planet_subscription_results_source
from webhook_receiver.simulator.providers.base import Got

from .stage import CASES, Player, Stage, at

ORDERS, RESULTS = CASES["planet-orders"], CASES["planet-results"]


async def test_an_order_that_is_ready_has_its_items_as_a_notification_has_them(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    player.there.put("o-1", "success", at(-1))
    (document,) = await player.poll()
    assert document["order_id"] == "o-1"
    assert document["items"] == player.there.things["o-1"]["_links"]["results"]
    assert [each["name"] for each in document["items"]] == ["o-1/scene.tif", "o-1/manifest.json"]
    assert {(each["delivery"], each["expires_at"]) for each in document["items"]} == {("success", at(1439))}
    assert document["state"] == document["order"]["state"] == "success"


async def test_a_partial_order_is_told_with_its_items_and_as_a_whole(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    player.there.put("o-1", "partial", at(-1))
    items, whole = await player.poll()
    assert [len(items["items"]), len(whole["items"])] == [2, 0]
    assert items["state"] == whole["state"] == "partial"


@pytest.mark.parametrize("state", ["queued", "running", "failed", "cancelled"])
async def test_an_order_without_items_is_told_by_its_state_and_asks_for_no_more(stage: Stage, state: str) -> None:
    player = Player(ORDERS, stage)
    player.there.put("o-1", state, at(-1))
    (document,) = await player.poll()
    assert (document["items"], document["state"]) == ([], state)
    assert len(player.there.got) == 1


async def test_an_order_that_is_gone_when_it_is_asked_for_is_told_as_it_was_listed(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    player.there.put("o-1", "success", at(-1))
    player.there.answers = [None, JSONResponse({}, 404)]
    (document,) = await player.poll()
    assert (document["order_id"], document["state"], document["items"]) == ("o-1", "success", [])


async def test_a_failure_of_one_order_tells_the_others_and_loses_none(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    for number in range(3):
        player.there.put(f"o-{number}", "success", at(number - 9))
    player.there.answers = [None, None, JSONResponse({}, 500)]
    assert [id for id, _ in await player.told(player.call)] == ["o-0"]
    assert [id for id, _ in await player.told(player.call)] == ["o-2"]
    with pytest.raises(ApiError, match="500"):
        await player.call()
    player.now += timedelta(minutes=1)
    assert [id for id, _ in await player.told()] == ["o-1"]


async def test_what_changes_while_the_pages_are_read_hides_nothing(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    for number in range(8):
        player.there.put(f"o-{number}", "running", at(number - 20))

    def move(got: Got) -> None:
        """The oldest orders end, and move from the front of the listing to its end."""
        number = player.there.paths.count("/compute/ops/orders/v2") - 2
        if got.query and 0 <= number < 3:
            player.there.put(f"o-{number}", "failed", at(-1 + number / 10))

    player.there.meanwhile = move
    told = await player.told()
    assert {id for id, _ in told} == {f"o-{number}" for number in range(8)}
    assert {id for id, state in told if state == "failed"} == {"o-0", "o-1", "o-2"}


async def test_all_pages_are_read_of_a_listing_that_is_not_sorted(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    player.there.page_size = 4
    minutes = [3, 1, 8, 2, 7, 5, 6, 4, 9, 0]
    for number, minute in enumerate(minutes):
        player.there.put(f"o-{number}", "running", at(minute - 20))
    things, player.there.things = player.there.things, {}

    def shuffled(got: Got) -> None:
        first = int(got.query.get("page_marker", 0))
        page: dict[str, object] = {"orders": list(things.values())[first : first + 4], "_links": {}}
        if first + 4 < len(things):
            page["_links"] = {"next": f"/compute/ops/orders/v2?page_marker={first + 4}"}
        player.there.answers = [JSONResponse(page)]

    player.there.meanwhile = shuffled
    assert {id for id, _ in await player.told()} == {f"o-{number}" for number in range(10)}


async def test_what_has_one_time_is_read_to_its_end_by_several_calls(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    player.there.page_size = 1
    for number in range(101):
        player.there.put(f"o-{number}", "running", at(-1))
    assert sorted(await player.told()) == sorted((f"o-{number}", "running") for number in range(101))
    assert player.calls > 10
    assert await player.told() == []


async def test_results_on_more_than_a_hundred_pages_are_all_told(stage: Stage) -> None:
    player = Player(RESULTS, stage)
    player.there.page_size = 20
    for number in range(2500):
        player.there.put(f"r-{number}", "success", at(-number / 10))
    sizes: list[int] = []
    told: set[str] = set()
    while not sizes or player.more:
        found = await player.told(player.call)
        sizes.append(len(found))
        told |= {id for id, _ in found}
    assert told == {f"r-{number}" for number in range(2500)}
    assert sizes[:3] == [200, 200, 200], "what was found is stored by and by"
    player.now += timedelta(minutes=10)
    player.there.put("r-new", "success", at(9))
    assert ("r-new", "success") in await player.told()


async def test_results_that_were_read_are_kept_where_a_further_page_fails(stage: Stage) -> None:
    player = Player(RESULTS, stage)
    player.there.page_size = 1
    for number in range(5):
        player.there.put(f"r-{number}", "success", at(number - 9))
    player.there.answers = [None, None, None, JSONResponse({}, 500)]
    assert len(await player.told(player.call)) == 3
    with pytest.raises(ApiError, match="500"):
        await player.call()
    player.now += timedelta(minutes=10)
    assert [id for id, _ in await player.told()] == ["r-0", "r-1"]


async def test_links_that_have_ended_are_new_when_an_order_is_asked_for_again(stage: Stage) -> None:
    player = Player(ORDERS, stage)
    player.there.put("o-1", "success", at(-1))
    await player.poll()
    player.now += timedelta(days=2)
    (document,) = await player.source.again("o-1")
    assert at(3 * 1440).encode() in document


async def test_a_subscription_that_goes_on_is_told_with_each_new_status(stage: Stage) -> None:
    player = Player(CASES["planet-subscriptions"], stage)
    for minutes, status in enumerate(["pending", "running", "suspended", "completed"]):
        player.now += timedelta(minutes=1)
        player.there.put("s-1", status, at(minutes))
        assert await player.told() == [("s-1", status)]


async def test_old_tasking_orders_are_not_listed_again_and_again(stage: Stage) -> None:
    player = Player(CASES["planet-tasking"], stage)
    player.there.page_size = 2
    player.there.put("o-open", "PENDING", at(-1000))
    for number in range(10):
        player.there.put(f"o-{number}", "FULFILLED", at(number - 900))
    player.there.put("o-new", "FULFILLED", at(-1))
    await player.poll()
    player.there.got.clear()
    assert await player.told() == []
    assert player.there.paths == ["/tasking/v2/orders/", "/tasking/v2/orders/o-open"]


@pytest.mark.parametrize("id", ["", " s-1", 7, None])
def test_results_are_those_of_one_subscription(id: Any) -> None:
    with pytest.raises(ConfigurationError, match="subscription_id is the id of a subscription"):
        planet_subscription_results_source("a-key", id)
