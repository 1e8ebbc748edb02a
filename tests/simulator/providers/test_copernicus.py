"""The Copernicus Data Space Ecosystem as it is played: subscriptions that are pushed or queued, one at a time."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from tests.simulator.playing import catching
from webhook_receiver.senders.imagery.copernicus_source import copernicus_access, copernicus_production_source
from webhook_receiver.simulator.providers.base import KEY

from .playing import playing

PUSH = {
    "NotificationEpUsername": "me",
    "NotificationEpPassword": "hush-hush",
    "SubscriptionEvent": ["created", "modified", "deleted"],
}


def test_a_subscription_is_told_of_products_alone_and_in_arrays_with_its_credentials() -> None:
    with catching() as (catcher, hook), playing("copernicus") as played:
        made = played.ask("POST", "/Subscriptions", 201, json={**PUSH, "NotificationEndpoint": hook})
        assert (made["Status"], made["NotificationEndpoint"]) == ("running", hook)
        assert "hush-hush" not in str(made)
        id = played.create()
        created = catcher.next()
        assert created.document["SubscriptionEvent"] == "created"
        assert (created.document["ProductId"], created.document["SubscriptionId"]) == (id, made["Id"])
        assert (b"authorization", b"Basic " + b64encode(b"me:hush-hush")) in created.headers
        for status in ("modified", "deleted"):
            played.move(id, status)
            (document,) = catcher.next().document
            assert (document["SubscriptionEvent"], document["ProductId"]) == (status, id)


def test_only_the_events_that_were_asked_for_are_told() -> None:
    with catching() as (catcher, hook), playing("copernicus") as played:
        played.ask("POST", "/Subscriptions", 201, json={"NotificationEndpoint": hook})
        id = played.create()
        assert catcher.next().document["SubscriptionEvent"] == "created"
        played.move(id, "modified")
        assert len(played.ask("GET", "/_simulator/deliveries")) == 1


def test_a_notification_is_tried_again_three_times() -> None:
    with catching(*[503] * 9) as (_, hook), playing("copernicus", webhook=hook) as played:
        played.create()
        (ended,) = played.ended()
        assert (ended.ended, len(ended.attempts)) == ("failed", 4)


def test_one_subscription_runs_at_a_time_and_ten_may_be_there() -> None:
    with playing("copernicus") as played:
        first = played.ask("POST", "/Subscriptions", 201, json={})["Id"]
        played.ask("POST", "/Subscriptions", 400, json={})
        second = played.ask("POST", "/Subscriptions", 201, json={"Status": "paused"})["Id"]
        played.ask("PATCH", f"/Subscriptions({second})", 400, json={"Status": "running"})
        assert played.ask("PATCH", f"/Subscriptions({first})", json={"Status": "paused"})["Status"] == "paused"
        assert played.ask("PATCH", f"/Subscriptions({second})", json={"Status": "running"})["Status"] == "running"
        for _ in range(8):
            played.ask("POST", "/Subscriptions", 201, json={"Status": "paused"})
        played.ask("POST", "/Subscriptions", 400, json={"Status": "paused"})
        assert len(played.ask("GET", "/Subscriptions/Info")) == 10
        played.ask("PATCH", f"/Subscriptions({first})", 204, json={"Status": "cancelled"})
        played.ask("DELETE", f"/Subscriptions({second})", 204)
        for method, more in (("GET", {}), ("DELETE", {}), ("PATCH", {"json": {"Status": "running"}})):
            options: dict[str, Any] = {**more}
            assert "not found" in str(played.ask(method, f"/Subscriptions({second})", 404, **options))


@pytest.mark.parametrize("top", [1, 20])
def test_a_pull_subscription_is_a_queue_and_tells_nobody(top: int) -> None:
    with playing("copernicus", webhook="http://127.0.0.1:9/") as played:
        id = played.ask("POST", "/Subscriptions", 201, json={})["Id"]
        ids = [played.create() for _ in range(3)]
        front = played.ask("GET", f"/Subscriptions({id})/Read", params={"$top": top})
        assert [each["ProductId"] for each in front] == ids[:top]
        acked = played.ask("POST", f"/Subscriptions({id})/Ack", params={"$ackid": front[0]["AckId"]})
        assert (acked["AckMessagesNum"], acked["CurrentQueueLength"]) == (1, 2)
        played.ask("POST", f"/Subscriptions({id})/Ack", 400, params={"$ackid": "another"})
        assert played.ask("GET", "/_simulator/deliveries") == []


def test_nothing_fails_there() -> None:
    with playing("copernicus") as played:
        id = played.create()
        problem = played.ask("POST", f"/_simulator/orders/{id}/status", 409, json={"status": "FAILED_PERMANENTLY"})
        assert problem["error"]["message"] == "nothing fails at copernicus"


ORDER = {"WorkflowName": "card_bs", "InputProductReference": {"Reference": "S1A.SAFE"}, "Name": "mine"}


async def test_a_production_order_advances_and_is_polled_but_tells_nobody() -> None:
    with playing("copernicus", pace=1, webhook="http://127.0.0.1:9/") as played:
        made = played.ask("POST", "/ProductionOrder/OData.CSC.Order", 201, json=ORDER)["value"]
        assert (made["Status"], made["Name"]) == ("queued", "mine")
        url = str(played.client.base_url).rstrip("/")
        access = copernicus_access("me", KEY, token_url=f"{url}/token")
        source = replace(copernicus_production_source(access, url=url), clock=played.clock)
        documents: list[Any] = []
        for _ in range(1000):
            if documents and documents[-1]["Status"] == "completed":
                break
            documents += [json.loads(each) for each in (await source(None)).documents]
        assert {each["Id"] for each in documents} == {made["Id"]}
        assert played.ask("GET", "/_simulator/deliveries") == []
        assert played.waits == [1, 1]


def test_a_production_order_may_fail_and_one_without_a_workflow_is_refused() -> None:
    with playing("copernicus") as played:
        played.ask("POST", "/ProductionOrder/OData.CSC.Order", 422, json={})
        id = played.ask("POST", "/ProductionOrder/OData.CSC.Order", 201, json=ORDER)["value"]["Id"]
        played.move(id, "FAILED_PERMANENTLY")
        assert played.ask("GET", f"/ProductionOrders({id})")["value"]["Status"] == "failed"
        played.ask("GET", "/ProductionOrders(7)", 404)
