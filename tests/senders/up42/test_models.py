"""The models of the API: what is sent is read, what is not declared is kept, and no secret shows."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from webhook_receiver import OrderStatus
from webhook_receiver.senders.up42.models import Hosts, Order, Page, Webhook, WebhookInput, WebhookTests

WEBHOOK = {
    "id": "00000000-0000-4000-8000-000000000001",
    "name": "images",
    "url": "https://example.com/webhooks",
    "events": ["order.status"],
    "secret": "QWZTFnMEXhqZKNmu",
    "active": True,
    "createdAt": "2022-06-20T04:05:31.755744Z",
    "updatedAt": "2022-06-20T04:05:31.755744Z",
}
ORDER = {
    "id": "o-1",
    "displayName": "harbour",
    "status": "FULFILLED",
    "workspaceId": "w-1",
    "accountId": "a-1",
    "type": "ARCHIVE",
    "createdAt": "2022-06-20T04:05:31.755744Z",
    "updatedAt": "2022-06-20T04:05:31.755744Z",
}


def test_a_webhook_is_read_and_written_as_it_came() -> None:
    assert Webhook.model_validate(WEBHOOK).as_json() == WEBHOOK


def test_a_webhook_shows_no_secret_in_its_repr() -> None:
    assert "QWZTFnMEXhqZKNmu" not in repr(Webhook.model_validate(WEBHOOK))


def test_a_rejected_webhook_shows_no_secret_either() -> None:
    with pytest.raises(ValidationError) as rejected:
        Webhook.model_validate(WEBHOOK | {"secret": ["QWZTFnMEXhqZKNmu"]})
    assert "QWZTFnMEXhqZKNmu" not in str(rejected.value)


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_secret_is_none(nothing: str | None) -> None:
    assert Webhook.model_validate(WEBHOOK | {"secret": nothing}).secret is None


@pytest.mark.parametrize(
    ("events", "read"),
    [
        ("job.status, order.status", ("job.status", "order.status")),
        ("order.status", ("order.status",)),
        (["job.status, order.status"], ("job.status", "order.status")),
        ([" order.status ", "order.status"], ("order.status",)),
        ("", ()),
        (None, ()),
        ([], ()),
    ],
)
def test_events_are_read_in_every_form_that_the_api_may_have_for_them(events: object, read: tuple[str, ...]) -> None:
    webhook = Webhook.model_validate(WEBHOOK | {"events": events})
    assert webhook.events == read
    assert webhook.as_json()["events"] == [*read]


@pytest.mark.parametrize("events", [7, {"order.status": True}, ["order.status", 7], [None]])
def test_events_that_are_no_names_are_an_error(events: object) -> None:
    with pytest.raises(ValidationError, match="events"):
        Webhook.model_validate(WEBHOOK | {"events": events})


def test_what_is_sent_is_a_list_of_names_and_nothing_else() -> None:
    with pytest.raises(ValidationError, match="events"):
        WebhookInput.model_validate({"name": "images", "url": "https://e.com/", "events": "job.status, order.status"})


def test_an_input_is_made_with_python_names_and_sent_with_the_senders() -> None:
    made = WebhookInput(name="images", url="https://example.com/", events=("order.status",))
    assert made.as_json() == {
        "name": "images",
        "url": "https://example.com/",
        "events": ["order.status"],
        "secret": None,
        "active": False,
    }


def test_unknown_fields_are_kept_and_sent_back() -> None:
    assert Webhook.model_validate(WEBHOOK | {"retryPolicy": {"tries": 3}}).as_json()["retryPolicy"] == {"tries": 3}


def test_failed_tests_are_counted_where_the_sender_does_not_say() -> None:
    said = {"startedAt": "2022-06-20T04:05:31.755744Z", "testsRun": 3, "testsSucceeded": 1}
    assert WebhookTests.model_validate(said).tests_failed == 2
    assert WebhookTests.model_validate(said | {"testsFailed": 5}).tests_failed == 5


def test_a_summary_without_its_numbers_is_rejected() -> None:
    with pytest.raises(ValidationError, match="testsRun"):
        WebhookTests.model_validate({"startedAt": "2022-06-20T04:05:31.755744Z", "testsSucceeded": 1})


@pytest.mark.parametrize(
    ("status", "terminal"),
    [("FULFILLED", True), ("FAILED PERMANENTLY", True), ("CANCELED", True), ("PLACED", False), ("NEW ONE", False)],
)
def test_an_order_knows_whether_more_will_become_of_it(status: str, terminal: bool) -> None:
    order = Order.model_validate(ORDER | {"status": status})
    assert order.is_terminal is terminal
    assert order.status == OrderStatus(status.replace("FAILED ", "FAILED_"))


@pytest.mark.parametrize("odd", [None, 7.5, ["a"], {"a": 1}], ids=repr)
@pytest.mark.parametrize(
    "name", [*ORDER.keys() - {"id", "status", "updatedAt"}, "dataProductId", "tags", "orderDetails"]
)
def test_an_order_is_read_whatever_is_in_the_fields_that_nothing_needs(name: str, odd: object) -> None:
    order = Order.model_validate(ORDER | {name: odd})
    assert (order.id, order.status) == ("o-1", "FULFILLED")
    assert Order.model_validate(order.as_json()) == order


def test_tags_of_an_order_are_those_that_are_texts() -> None:
    assert Order.model_validate(ORDER | {"tags": [None, "a", 7]}).tags == ("a",)


@pytest.mark.parametrize("name", ["id", "status", "updatedAt"])
@pytest.mark.parametrize("odd", [None, [], {}], ids=repr)
def test_an_order_without_what_is_needed_is_none(name: str, odd: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Order.model_validate(ORDER | {name: odd})


def test_a_page_holds_what_it_is_a_page_of() -> None:
    page = Page[Order].model_validate({"content": [ORDER], "totalPages": 1})
    assert page.content[0].display_name == "harbour"


def test_a_region_has_its_hosts_and_a_local_server_is_both() -> None:
    assert Hosts.of("sa") == Hosts("https://api.sa.up42.com", "https://auth.sa.up42.com")
    assert Hosts.at("http://127.0.0.1:8042/") == Hosts("http://127.0.0.1:8042", "http://127.0.0.1:8042")
