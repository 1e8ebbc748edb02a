"""Planet Orders as it is played: a notification for each item or for the order, Basic from the URL, links that end."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.simulator.playing import catching
from webhook_receiver.simulator.files import content

from .playing import playing

ORDERS = "/compute/ops/orders/v2"
PRODUCTS = [{"item_ids": ["i-7"], "item_type": "PSScene", "product_bundle": "analytic"}]


@pytest.mark.parametrize(("per_order", "calls"), [(False, 2), (True, 1)])
def test_items_are_told_one_by_one_or_all_at_once(per_order: bool, calls: int) -> None:
    with catching() as (catcher, hook), playing("planet") as played:
        webhook = {"url": hook.replace("http://", "http://planet:hush-hush@"), "per_order": per_order}
        order = {"name": "mine", "products": PRODUCTS, "notifications": {"webhook": webhook}}
        id = played.ask("POST", ORDERS, 202, json=order)["id"]
        played.move(id, "running")
        played.move(id)
        got = [catcher.next() for _ in range(calls)]
        items = [item for each in got for item in each.document["items"]]
        assert {each.document["order_id"] for each in got} == {id}
        assert sorted(each["name"] for each in items) == [f"{id}/manifest.json", f"{id}/scene.tif"]
        assert {each["delivery"] for each in items} == {"success"}
        basic = b"Basic " + b64encode(b"planet:hush-hush")
        assert all((b"authorization", basic) in each.headers for each in got)
        assert len(played.ended(calls)) == calls
        assert "hush-hush" not in str(played.ask("GET", "/_simulator/deliveries"))


@pytest.mark.parametrize("status", ["failed", "cancelled", "running"])
def test_an_order_without_items_tells_nothing(status: str) -> None:
    with playing("planet", webhook="http://127.0.0.1:9/") as played:
        id = played.create()
        played.move(id, status)
        assert played.ask("GET", f"{ORDERS}/{id}")["state"] == status
        assert played.ask("GET", "/_simulator/deliveries") == []


def test_a_notification_is_not_tried_again() -> None:
    with catching(500) as (_, hook), playing("planet", webhook=hook) as played:
        id = played.create()
        played.move(id)
        assert sorted(len(each.attempts) for each in played.ended(2)) == [1, 1]


def test_an_order_walks_by_itself_and_has_as_many_images_as_were_wanted() -> None:
    with catching() as (catcher, hook), playing("planet", pace=5, webhook=hook) as played:
        id = played.create(assets=3)
        names = {catcher.next().document["items"][0]["name"] for _ in range(4)}
        assert names == {f"{id}/{name}" for name in ("scene.tif", "scene_2.tif", "scene_3.tif", "manifest.json")}
        assert played.waits == [5, 5]


def test_links_end_and_are_new_when_the_order_is_asked_for_again() -> None:
    with playing("planet") as played:
        id = played.create(assetSize=500)
        played.move(id)
        (listed,) = played.ask("GET", ORDERS)["orders"]
        assert "results" not in listed["_links"]
        item = played.ask("GET", f"{ORDERS}/{id}")["_links"]["results"][0]
        whole = b"".join(content(f"{id}/scene.tif", 0, 500))
        assert played.client.get(item["location"], headers={"authorization": ""}).content == whole
        played.clock.move(86_401)
        assert played.client.get(item["location"]).status_code == 403
        again = played.ask("GET", f"{ORDERS}/{id}")["_links"]["results"][0]
        assert again["expires_at"] > item["expires_at"]
        assert played.client.get(again["location"]).content == whole


def test_an_order_without_what_it_needs_is_refused_and_so_is_who_has_no_key() -> None:
    with playing("planet") as played:
        assert "products" in played.ask("POST", ORDERS, 400, json={"name": "mine"})["field"]
        played.ask("GET", ORDERS, 401, headers={"authorization": "api-key another"})
        assert played.simulator.orders == {}
