"""The orders API: one order, pages of them with every filter, and cancelling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.playing import WORKSPACE, Played, playing
from tests.working import Clock
from webhook_receiver.senders.up42.models import CANCELLATION, ORDERS, Order, Page


@pytest.fixture
def played() -> Iterator[Played]:
    with playing(clock=Clock()) as played:
        yield played


def names(played: Played, **query: Any) -> list[str]:
    page = Page[Order].model_validate(played.ask("GET", ORDERS, params=query))
    return [order.display_name for order in page.content]


def test_an_order_is_bare_and_has_what_the_sdk_reads(played: Played) -> None:
    (made,) = played.create(displayName="harbour", tags=["a"])
    order = played.ask("GET", f"{ORDERS}/{made['id']}")
    assert order == made
    assert (order["status"], order["workspaceId"], order["tags"]) == ("CREATED", WORKSPACE, ["a"])
    assert order["createdAt"] == order["updatedAt"] == "2025-12-11T06:03:32Z"
    assert "aoi" in order["orderDetails"]
    assert played.ask("GET", f"{ORDERS}/nothing", status=404)["error"]["message"] == "there is no order 'nothing'"


def test_orders_come_in_pages_newest_first(played: Played) -> None:
    for _ in range(23):
        played.create()
        assert played.clock
        played.clock.move(1)
    first = played.ask("GET", ORDERS)
    assert {name: first[name] for name in ("totalPages", "totalElements", "size", "number")} == {
        "totalPages": 2,
        "totalElements": 23,
        "size": 20,
        "number": 0,
    }
    assert [each["displayName"] for each in first["content"]] == [f"order {number}" for number in range(23, 3, -1)]
    assert names(played, page=1) == ["order 3", "order 2", "order 1"]
    assert names(played, page=2) == []
    assert names(played, page=7, size=3) == ["order 2", "order 1"]
    assert names(played, size=2, sort="createdAt,asc") == ["order 1", "order 2"]


def test_no_orders_are_no_pages(played: Played) -> None:
    page = played.ask("GET", ORDERS)
    assert (page["content"], page["totalPages"], page["totalElements"]) == ([], 0, 0)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "FULFILLED"}, "b"),
        ({"status": "FAILED PERMANENTLY"}, "c"),
        ({"status": ["FULFILLED", "CREATED"]}, "abd"),
        ({"type": "TASKING"}, "cd"),
        ({"type": "TASKING", "status": ["CREATED"]}, "d"),
        ({"subStatus": ["QUOTATION_ACCEPTED", "QUOTATION_REJECTED"]}, "d"),
        ({"displayName": "B"}, "b"),
        ({"tags": ["x", "y"]}, "ab"),
        ({"tags": "y"}, "b"),
        ({"workspaceId": WORKSPACE}, "abcd"),
        ({"workspaceId": "elsewhere"}, ""),
        ({"orderIds": "one,two"}, ""),
        ({"sort": "status,desc"}, "badc"),
    ],
)
def test_every_filter_is_heeded(played: Played, query: dict[str, Any], found: str) -> None:
    played.create(displayName="a", tags=["x"])
    played.create(displayName="b", tags=["x", "y"], status="FULFILLED")
    played.create(displayName="c", type="TASKING", status="FAILED_PERMANENTLY")
    played.create(displayName="d", type="TASKING", subStatus="QUOTATION_ACCEPTED")
    assert sorted(names(played, **query)) == sorted(found)


def test_orders_are_found_by_their_ids(played: Played) -> None:
    made = played.create(count=3)
    assert sorted(names(played, orderIds=f"{made[0]['id']},{made[2]['id']}")) == ["order 1", "order 3"]


@pytest.mark.parametrize(
    ("sort", "first"), [("updatedAt,desc", "a"), ("updatedAt", "b"), ("type,desc", "b"), ("status,asc", "b")]
)
def test_orders_are_sorted_as_asked(played: Played, sort: str, first: str) -> None:
    (made,) = played.create(displayName="a")
    assert played.clock
    played.clock.move(5)
    played.create(displayName="b", type="TASKING")
    played.clock.move(5)
    played.move(made["id"], "PLACED")
    assert names(played, sort=sort)[0] == first


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"size": 0}, "size: Input should be greater than or equal to 1"),
        ({"size": 10_000}, "size: Input should be less than or equal to 1000"),
        ({"page": -1}, "page: "),
        ({"page": "one"}, "page: Input should be a valid integer"),
        ({"sort": "displayName,asc"}, "sort: it is one of createdAt, updatedAt, type, status, followed by"),
        ({"sort": "createdAt,up"}, "sort: "),
    ],
)
def test_a_page_that_cannot_be_is_rejected(played: Played, query: dict[str, Any], complaint: str) -> None:
    played.create()
    assert played.ask("GET", ORDERS, status=400, params=query)["error"]["message"].startswith(complaint)


@pytest.mark.parametrize("status", ["CREATED", "PLACEMENT_FAILED"])
def test_an_order_is_cancelled_while_it_can_be(played: Played, status: str) -> None:
    (made,) = played.create(status=status)
    path = CANCELLATION.format(order_id=made["id"])
    assert played.ask("POST", path) == {"orderId": made["id"], "status": "CANCELED"}
    assert played.ask("GET", f"{ORDERS}/{made['id']}")["status"] == "CANCELED"
    complaint = played.ask("POST", path, status=400)["error"]["message"]
    assert complaint == "an order can be cancelled while CREATED or PLACEMENT_FAILED; this one is CANCELED"
