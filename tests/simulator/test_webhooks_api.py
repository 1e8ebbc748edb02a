"""The webhooks API over HTTP: what it answers, and what it rejects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.helpers import NOW, SECRET
from tests.simulator.playing import HOOKS, Played, catching, playing
from tests.working import Clock
from webhook_receiver.senders.up42.models import Webhook, WebhookTests

GIVEN = {"name": "images", "url": "https://example.com/hooks", "events": ["order.status"], "secret": SECRET}


@pytest.fixture
def played() -> Iterator[Played]:
    with playing(clock=Clock()) as played:
        yield played


def test_the_events_are_listed(played: Played) -> None:
    answer = played.ask("GET", "/webhooks/events")
    assert [each["name"] for each in answer["data"]] == ["order.status", "job.status"]
    assert answer["error"] is None
    assert {*answer["data"][0]} == {"name", "title", "category", "description", "documentation"}


def test_a_webhook_is_created_read_replaced_and_deleted(played: Played) -> None:
    made = played.ask("POST", HOOKS, json=GIVEN)["data"]
    assert UUID(made.pop("id"))
    assert made == GIVEN | {
        "active": False,
        "createdAt": "2025-12-11T06:03:32Z",
        "updatedAt": "2025-12-11T06:03:32Z",
    }
    (listed,) = played.ask("GET", HOOKS)["data"]
    path = f"{HOOKS}/{listed['id']}"
    assert played.ask("GET", path)["data"] == listed

    assert played.clock
    played.clock.move(60)
    replaced = played.ask("PUT", path, json={**GIVEN, "name": "other", "secret": None, "active": True})["data"]
    assert replaced == listed | {"name": "other", "secret": None, "active": True, "updatedAt": "2025-12-11T06:04:32Z"}
    assert played.ask("GET", path)["data"] == replaced
    assert Webhook.model_validate(replaced).secret is None

    assert played.ask("DELETE", path) == {"data": None, "error": None}
    assert played.ask("GET", HOOKS)["data"] == []
    error = played.ask("GET", path, status=404)["error"]
    assert (error["code"], error["message"]) == ("NOT_FOUND", f"there is no webhook '{listed['id']}'")


def test_what_was_read_can_be_sent_back_without_changing_what_the_server_decides(played: Played) -> None:
    made = played.ask("POST", HOOKS, json=GIVEN | {"id": "mine", "createdAt": "2001-01-01T00:00:00Z"})["data"]
    assert made["id"] != "mine"
    again = played.ask("PUT", f"{HOOKS}/{made['id']}", json=made | {"id": "mine", "createdAt": "2001-01-01T00:00:00Z"})
    assert again["data"] == made


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "n" * 20_000}, "name: String should have at most 256 characters"),
        ({"name": ""}, "name: String should have at least 1 character"),
        ({"url": "http://example.com/hooks"}, "url: it begins with https://, or with http:// and a loopback address"),
        ({"url": "ftp://127.0.0.1/"}, "url: it begins with https://"),
        ({"url": "https:///hooks"}, "url: it "),
        ({"url": "https://example.com:99999/"}, "url: it "),
        ({"url": "https://example.com/" + "x" * 2048}, "url: String should have at most 2048 characters"),
        ({"events": ["order.status,job.status"]}, "events: there is no event 'order.status,job.status'; there are"),
        ({"events": [{"name": "order.status"}]}, "events.0: Input should be a valid string"),
        ({"events": []}, "events: "),
        ({"secret": "s" * 257}, "secret: it has at most 256 characters"),
        ({"active": "perhaps"}, "active: Input should be a valid boolean"),
    ],
)
def test_what_a_webhook_cannot_be_is_rejected_by_field(played: Played, change: dict[str, Any], complaint: str) -> None:
    kept = played.ask("POST", HOOKS, json=GIVEN)["data"]
    for method, path in (("POST", HOOKS), ("PUT", f"{HOOKS}/{kept['id']}")):
        error = played.ask(method, path, json=GIVEN | change, status=400)["error"]
        assert error["code"] == "BAD_REQUEST"
        assert error["message"].startswith(complaint)
        assert SECRET not in str(error)
    assert played.ask("GET", HOOKS)["data"] == [kept]


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/", "http://127.7.7.7/x", "http://[::1]:1/", "https://a.example"]
)
def test_https_and_the_loopback_may_be_delivered_to(played: Played, url: str) -> None:
    assert played.ask("POST", HOOKS, json=GIVEN | {"url": url})["data"]["url"] == url


def test_a_body_that_is_none_or_too_long_is_rejected(played: Played) -> None:
    assert played.ask("POST", HOOKS, content=b"", status=400)["error"]["message"].startswith("body: Invalid JSON")
    assert "name: Field required; url: Field required" in str(played.ask("POST", HOOKS, json={}, status=400))
    long = played.ask("POST", HOOKS, content=b" " * (1 << 21), status=413)
    assert long["error"]["message"] == "a body may have 1048576 bytes, and this one has more"


def test_another_workspace_another_path_and_another_method_are_rejected_in_the_envelope(played: Played) -> None:
    error = played.ask("GET", "/workspaces/elsewhere/webhooks", status=404)["error"]
    assert error["message"].startswith("there is no such workspace: this simulator has one, 0000")
    assert played.ask("GET", "/nothing", status=404)["error"]["code"] == "NOT_FOUND"
    assert played.ask("PATCH", HOOKS, status=405)["error"]["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("active", [True, False])
def test_a_test_delivers_each_event_once_and_tells_what_was_answered(played: Played, active: bool) -> None:
    with catching(204, 500) as (catcher, url):
        hook = played.webhook(url, events=["order.status", "job.status"], active=active)
        told = played.ask("POST", f"{HOOKS}/{hook['id']}/tests")["data"]
        first, second = catcher.next(), catcher.next()
    assert [first.document["event"], second.document["event"]] == ["order.status", "job.status"]
    assert told["startedAt"] == "2025-12-11T06:03:32Z"
    tests = WebhookTests.model_validate(told)
    assert (tests.tests_run, tests.tests_succeeded, tests.tests_failed) == (2, 1, 1)
    assert [(test.event, test.succeeded, test.status, test.error) for test in tests.tests] == [
        ("order.status", True, 204, None),
        ("job.status", False, 500, "the response was 500"),
    ]
    assert played.waits == []
    assert catcher.got.empty()
    assert [len(each["attempts"]) for each in played.deliveries()] == [1, 1]
    assert played.deliveries()[0]["created"] == NOW


def test_a_test_of_one_event_delivers_no_other(played: Played) -> None:
    with catching() as (catcher, url):
        tests = f"{HOOKS}/{played.webhook(url, events=['order.status', 'job.status'])['id']}/tests"
        told = played.ask("POST", f"{tests}?event=job.status")["data"]
        assert [each["event"] for each in told["tests"]] == ["job.status"]
        assert catcher.next().document["event"] == "job.status"
        rejected = played.ask("POST", f"{tests}?event=storage.full", status=400)["error"]
        assert rejected["message"] == "event: the webhook is not subscribed to 'storage.full'"
        assert catcher.got.empty()


def test_a_test_of_an_address_that_nobody_listens_at_is_a_failed_one(played: Played) -> None:
    with catching() as (_, url):
        pass
    hook = played.webhook(url)
    (test,) = played.ask("POST", f"{HOOKS}/{hook['id']}/tests")["data"]["tests"]
    assert (test["succeeded"], test["status"]) == (False, None)
    assert test["error"].startswith("no response: ")
