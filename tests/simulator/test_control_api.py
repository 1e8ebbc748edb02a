"""The control API: orders that are created, moved and walked, what was delivered, and replays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.helpers import NOW
from tests.simulator.playing import Played, catching, playing
from tests.working import PATIENCE, Clock, until
from webhook_receiver.errors import ApiError
from webhook_receiver.events import OrderStatus
from webhook_receiver.simulator import NewOrders, Simulator


def statuses(played: Played) -> dict[str, str]:
    return {each["displayName"]: each["status"] for each in played.ask("GET", "/_simulator/orders")}


def test_it_asks_for_no_token_and_tells_what_there_is() -> None:
    with playing(clock=Clock()) as played, catching() as (_, url):
        played.webhook(url)
        del played.client.headers["authorization"]
        played.create(count=2)
        played.create(status="FULFILLED")
        played.ended()
        told = played.ask("GET", "/_simulator")
        assert (told["webhooks"], told["orders"]) == (1, {"CREATED": 2, "FULFILLED": 1})
        assert told["deliveries"] == {"delivered": 1}


def test_orders_are_listed_newest_first() -> None:
    with playing() as played:
        played.create(count=3)
        played.create(status="FULFILLED", displayName="last")
        assert [*statuses(played)] == ["last", "order 3", "order 2", "order 1"]
        found = played.ask("GET", "/_simulator/orders", params={"status": "CREATED", "limit": 2})
        assert [each["displayName"] for each in found] == ["order 3", "order 2"]


def test_no_body_creates_one_plain_order() -> None:
    with playing() as played:
        (made,) = played.ask("POST", "/_simulator/orders")
        assert (made["status"], made["type"], made["displayName"]) == ("CREATED", "ARCHIVE", "order 1")


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"count": 0}, "count: "),
        ({"count": 10_001}, "count: "),
        ({"type": "OTHER"}, "type: Input should be 'ARCHIVE' or 'TASKING'"),
        ({"name": "x"}, "name: Extra inputs are not permitted"),
        ({"displayName": "x" * 257}, "displayName: "),
    ],
)
def test_orders_that_cannot_be_are_rejected(wanted: dict[str, Any], complaint: str) -> None:
    with playing() as played:
        told = played.ask("POST", "/_simulator/orders", status=400, json=wanted)
        assert told["error"]["message"].startswith(complaint)
        assert statuses(played) == {}


def test_an_order_moves_until_it_is_where_none_leaves() -> None:
    with playing() as played, catching() as (catcher, url):
        played.webhook(url)
        (made,) = played.create()
        assert played.move(made["id"], "PLACED")["status"] == "PLACED"
        assert played.move(made["id"], "FAILED_PERMANENTLY")["status"] == "FAILED_PERMANENTLY"
        assert catcher.next().document["body"]["status"] == "FAILED_PERMANENTLY"
        path = f"/_simulator/orders/{made['id']}"
        rejected = played.ask("POST", f"{path}/status", status=409, json={"status": "PLACED"})["error"]
        assert rejected["message"] == "the order is FAILED_PERMANENTLY, and no order leaves that"
        played.ask("POST", f"{path}/walk", status=409)
        assert catcher.got.empty()
        assert played.ask("POST", "/_simulator/orders/x/status", status=404, json={"status": "PLACED"})
        assert played.ask("POST", f"{path}/status", status=400, json={})["error"]["message"] == "status: Field required"


@pytest.mark.parametrize(
    ("start", "to", "way"),
    [
        ("CREATED", "FULFILLED", ["BEING_PLACED", "PLACED", "BEING_FULFILLED", "DOWNLOADED", "FULFILLED"]),
        ("CREATED", "FAILED_PERMANENTLY", ["BEING_PLACED", "PLACED", "BEING_FULFILLED", "FAILED_PERMANENTLY"]),
        ("CREATED", "PLACED", ["BEING_PLACED", "PLACED"]),
        ("PLACED", "FULFILLED", ["BEING_FULFILLED", "DOWNLOADED", "FULFILLED"]),
        ("DOWNLOADED", "FULFILLED", ["FULFILLED"]),
        ("DOWNLOADED", "FAILED_PERMANENTLY", ["FAILED_PERMANENTLY"]),
        ("PLACEMENT_FAILED", "PLACED", ["BEING_PLACED", "PLACED"]),
    ],
)
def test_an_order_walks_through_the_statuses_on_its_way_at_a_pace(start: str, to: str, way: list[str]) -> None:
    clock = Clock()
    with playing(clock=clock, every_status=True) as played, catching() as (catcher, url):
        (made,) = played.create(status=start)
        played.webhook(url)
        path = f"/_simulator/orders/{made['id']}/walk"
        assert played.ask("POST", path, status=202, json={"to": to, "pace": 60}) == way
        told = sorted((catcher.next().document["body"] for _ in way), key=lambda body: str(body["updatedAt"]))
        assert [body["status"] for body in told] == way
        assert played.waits == [60] * len(way)
        assert clock.now == NOW + 60 * len(way)


@pytest.mark.parametrize(("start", "to"), [("CREATED", "CREATED"), ("DOWNLOADED", "PLACED")])
def test_no_order_walks_back(start: str, to: str) -> None:
    with playing() as played:
        (made,) = played.create(status=start)
        rejected = played.ask("POST", f"/_simulator/orders/{made['id']}/walk", status=409, json={"to": to})["error"]
        assert rejected["message"] == f"the order is {start}, and {to} is not ahead of it"
        assert statuses(played) == {"order 1": start}


async def test_a_walk_ends_when_somebody_else_moves_the_order() -> None:
    turn, go = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        turn.set()
        await go.wait()

    simulator = Simulator(sleep=sleep)
    async with simulator, asyncio.timeout(PATIENCE):
        (order,) = simulator.create()
        simulator.walk(order.id)
        await turn.wait()
        simulator.move(order.id, OrderStatus.PLACEMENT_FAILED)
        go.set()
        await until(lambda: not simulator._walks)
    assert simulator.order(order.id).order.status is OrderStatus.PLACEMENT_FAILED


async def test_a_walk_ends_with_the_simulator() -> None:
    simulator = Simulator()
    async with simulator:
        (order,) = simulator.create(NewOrders(display_name="slow"))
        simulator.walk(order.id, pace=1e6)
    assert simulator.order(order.id).order.status is OrderStatus.CREATED


def test_deliveries_are_listed_newest_first_and_by_order() -> None:
    with playing(clock=Clock()) as played, catching() as (_, url):
        played.webhook(url)
        ids = [each["id"] for each in played.create(count=3, status="FULFILLED")]
        played.ended(3)
        found = played.ask("GET", "/_simulator/deliveries", params={"limit": 2})
        assert [each["orderId"] for each in found] == [ids[2], ids[1]]
        assert [each["number"] for each in found] == [3, 2]
        (only,) = played.ask("GET", "/_simulator/deliveries", params={"orderId": ids[0]})
        assert only["orderId"] == ids[0]


def test_a_replay_is_the_same_body_as_a_delivery_of_its_own() -> None:
    with playing(clock=Clock(), retry=()) as played, catching(500) as (catcher, url):
        played.webhook(url)
        played.create(status="FULFILLED")
        (failed,) = played.ended()
        again = played.ask("POST", f"/_simulator/deliveries/{failed.id}/replay", status=202)
        (delivered,) = played.ended()
        assert (delivered.id, delivered.number, delivered.ended) == (again["id"], 2, "delivered")
        assert catcher.next().body == catcher.next().body
        told = played.ask("POST", "/_simulator/deliveries/x/replay", status=404)
        assert told["error"]["message"] == "there is no delivery 'x'"


def test_in_code_what_is_not_there_is_told_in_the_same_words() -> None:
    with pytest.raises(ApiError, match="there is no order 'x'") as rejected:
        Simulator().move("x", OrderStatus.FULFILLED)
    assert rejected.value.status == 404
