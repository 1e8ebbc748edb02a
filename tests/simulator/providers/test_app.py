"""The control API beside a provider: orders, walks, answers in place of the API, faults and deliveries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.playing import catching
from webhook_receiver import ApiError, ConfigurationError
from webhook_receiver.simulator import ProviderSimulator
from webhook_receiver.simulator.providers.simulator import PROVIDERS

from .playing import playing

ALL = pytest.mark.parametrize("provider", PROVIDERS)


@ALL
def test_orders_are_created_listed_moved_and_counted(provider: str) -> None:
    with playing(provider) as played:
        first, second = played.create(), played.create(status="FULFILLED")
        ready = played.api.way(second)[-1]
        listed = played.ask("GET", "/_simulator/orders")
        assert [(each["id"], each["status"]) for each in listed] == [(second, ready), (first, played.api.stages[0])]
        assert {each["type"] for each in listed} == {provider}
        assert played.ask("GET", "/_simulator/orders", params={"status": "another"}) == []
        seen = played.ask("GET", "/_simulator")
        assert (seen["provider"], sum(seen["orders"].values())) == (provider, 2)


@ALL
def test_what_is_not_there_is_told_in_a_sentence(provider: str) -> None:
    with playing(provider) as played:
        for path, body in (
            ("orders/o-9/status", {"status": "x"}),
            ("orders/o-9/walk", {}),
            ("deliveries/9/replay", {}),
        ):
            problem = played.ask("POST", f"/_simulator/{path}", 404, json=body)
            assert "there is no " in problem["error"]["message"]
        assert played.client.get("/nothing/here").status_code == 404


@pytest.mark.parametrize(
    ("wanted", "way"),
    [({}, ["running", "success"]), ({"to": "running"}, ["running"]), ({"to": "partial"}, ["running", "partial"])],
)
def test_a_walk_goes_through_the_statuses_at_its_pace(wanted: dict[str, Any], way: list[str]) -> None:
    with catching() as (_, hook), playing("planet", webhook=hook) as played:
        id = played.create()
        assert played.ask("POST", f"/_simulator/orders/{id}/walk", 202, json={**wanted, "pace": 3}) == way
        if way[-1] != "running":
            played.ended(2)
            assert played.waits == [3, 3]
        problem = played.ask("POST", f"/_simulator/orders/{id}/walk", 409, json={"to": "queued"})
        assert "queued is not ahead of it" in problem["error"]["message"]


def test_a_walk_ends_where_the_order_is_moved_from_elsewhere() -> None:
    with playing("planet", pace=1) as played:
        id = played.create(status="failed")
        assert played.ask("GET", "/_simulator/orders")[0]["status"] == "failed"
        assert played.ask("GET", f"/compute/ops/orders/v2/{id}")["state"] == "failed"


def test_the_next_requests_are_answered_as_it_was_told() -> None:
    with playing("skyfi") as played:
        wanted = {"status": 429, "headers": {"Retry-After": "7"}, "count": 2}
        assert played.ask("POST", "/_simulator/answers", 202, json=wanted) == {"waiting": 2}
        for _ in range(2):
            assert played.client.get("/orders").headers["retry-after"] == "7"
        played.ask("GET", "/orders")


def test_deliveries_have_faults_that_are_about_no_signature() -> None:
    with catching() as (catcher, hook), playing("skyfi", webhook=hook) as played:
        played.ask("PUT", "/_simulator/faults", json={"copies": 2})
        played.create()
        assert catcher.next().body == catcher.next().body
        for fault in ({"forged": True}, {"wrongSecret": True}, {"late": 9}, {"rotateAfter": 1, "rotateTo": "x"}):
            problem = played.ask("PUT", "/_simulator/faults", 400, json=fault)
            assert problem["error"]["message"].startswith("skyfi signs nothing: ")
        assert played.ask("GET", "/_simulator/faults")["copies"] == 2


def test_a_delivery_is_made_again() -> None:
    with catching(200, 200) as (catcher, hook), playing("skyfi", webhook=hook) as played:
        played.create()
        played.ended()
        (made,) = played.ask("GET", "/_simulator/deliveries")
        played.ask("POST", f"/_simulator/deliveries/{made['id']}/replay", 202)
        assert catcher.next().body == catcher.next().body


@ALL
def test_a_body_that_is_too_large_is_refused(provider: str) -> None:
    with playing(provider) as played:
        assert played.client.post("/orders", content=b"x" * ((1 << 20) + 1)).status_code == 413


def test_the_order_that_nobody_knows_has_no_status() -> None:
    with playing("ogc") as played, pytest.raises(ApiError, match="there is no order 'o-9'"):
        played.simulator.status("o-9")


ORDERS_WITH: dict[str, tuple[str, dict[str, Any], tuple[str, ...], int]] = {
    "skyfi": ("/order-archive", {"aoi": "POLYGON EMPTY", "archiveId": "a"}, ("webhookUrl",), 422),
    "planet": ("/compute/ops/orders/v2", {"name": "n", "products": []}, ("notifications", "webhook", "url"), 400),
    "copernicus": ("/Subscriptions", {}, ("NotificationEndpoint",), 400),
    "ogc": ("/processes/image/execution", {}, ("subscriber", "successUri"), 400),
}
"""Where an order goes, what it has to have, the place of its URL, and the answer to one with a wrong URL."""


@ALL
@pytest.mark.parametrize("url", ["http://example.com/hooks", "ftp://127.0.0.1/", "nonsense", "http://[", 7, ["x"]])
def test_an_order_with_a_url_that_is_not_delivered_to_is_refused(provider: str, url: object) -> None:
    path, body, place, status = ORDERS_WITH[provider]
    nested: Any = url
    for name in reversed(place[1:]):
        nested = {name: nested}
    with playing(provider) as played:
        answer = played.client.post(path, json={**body, place[0]: nested})
        assert answer.status_code == status, answer.text
        assert played.simulator.orders == {}


def test_a_default_url_that_is_not_delivered_to_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="begins with https://, or with http:// and a loopback address"):
        ProviderSimulator("skyfi", webhook="http://example.com/")


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("skyfi", "/orders?pageNumber=x"),
        ("skyfi", "/orders?pageSize=-1"),
        ("planet", "/compute/ops/orders/v2?page_marker=x"),
        ("planet", "/compute/ops/orders/v2?last_modified=yesterday/.."),
    ],
)
def test_a_query_that_is_none_is_refused(provider: str, path: str) -> None:
    with playing(provider) as played:
        assert played.client.get(path).status_code == 422


def test_a_provider_that_is_not_played_is_told_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="no player of 'maxar'; there are copernicus, ogc, planet, skyfi"):
        ProviderSimulator("maxar")
