"""The schemas of bodies are those of bodies as they come: what a receiver reads as an event fits the schema of it."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator

from tests.schema.receivers import RECEIVERS, Shipped, acme, handled, of_sender
from webhook_receiver import ConfigurationError, OrderFulfilled, UnknownEvent, WebhookReceiver
from webhook_receiver.schema.messages import OTHERS, messages_of
from webhook_receiver.senders.registry import presets
from webhook_receiver.senders.split import Split

PARCEL = {
    "at": "2026-01-01T00:00:00Z",
    "payment": {"kind": "cash", "amount": "7.50"},
    "meta": {"carrier": ["Post"]},
    "box": {"size": [1, 2, 3.5], "inside": [{"size": [1, 1, 1]}]},
}
COMING: dict[str, tuple[Any, dict[str, str]]] = {
    "rich models": ({"event": "parcel.sent", **PARCEL}, {}),
    "a name in a header": (PARCEL, {"x-event": "parcel.sent"}),
    "a name elsewhere": ({**PARCEL, "meta": {"type": "parcel.sent", "carrier": ["Post"]}}, {}),
    "a name of parts": ({**PARCEL, "kind": "parcel.sent"}, {}),
    "a name in the URL": (PARCEL, {"query=topic": "parcel.sent"}),
    "batches": ([{"event": "parcel.sent", **PARCEL}], {}),
    "batches inside": ({"entry": [{"messaging": [{"event": "parcel.sent", **PARCEL}]}]}, {}),
}


def schema_of(hooks: WebhookReceiver, key: str) -> dict[str, Any]:
    document = hooks.openapi()
    content = document["webhooks"][key]["post"]["requestBody"]["content"]
    return {**content["application/json"]["schema"], "components": document["components"]}


@pytest.mark.parametrize("name", COMING)
def test_what_is_read_as_an_event_fits_its_schema_and_what_is_not_does_not(name: str) -> None:
    hooks = RECEIVERS[name]()
    body, headers = COMING[name]
    (event,) = hooks.parse_all(
        json.dumps(body).encode(), [(key.encode(), value.encode()) for key, value in headers.items()]
    )
    assert isinstance(event, Shipped)
    schema = Draft202012Validator(schema_of(hooks, "Shipped"))
    assert [*schema.iter_errors(body)] == []
    text = json.dumps(body)
    assert text.count('"kind": "cash"') == 1
    assert not schema.is_valid(json.loads(text.replace('"kind": "cash"', '"kind": "gold"')))
    assert not schema.is_valid(json.loads(text.replace('"carrier": ["Post"]', '"carrier": []')))


def test_an_event_without_a_docstring_has_none_of_the_class_that_it_is_of() -> None:
    class Paid(Shipped, frozen=True):
        event: Literal["parcel.sent"]

    hooks = WebhookReceiver(secret="KbsDE5kGZoDiPCFd")
    hooks.on(Paid, name="paid")(print)
    hooks.on(Shipped, name="shipped")(print)
    about = {each.key: each.about for each in messages_of(hooks)[0]}
    assert about["Paid"] == ""
    assert about["Shipped"].startswith("A parcel is on its way.")
    assert hooks.openapi()["webhooks"]["Paid"]["post"]["summary"] == "Paid"


def test_an_event_inside_which_the_name_is_is_the_body() -> None:
    hooks = RECEIVERS["a name inside event"]()
    properties = hooks.openapi()["components"]["schemas"]["Shipped"]["properties"]
    assert "event" not in properties
    (_, inside) = schema_of(hooks, "Shipped")["allOf"]
    assert inside["properties"]["event"]["properties"]["type"] == {"enum": ["parcel.sent", "parcel.shipped"]}


@pytest.mark.parametrize("name", [name for name, preset in presets().items() if preset.events and preset.samples])
def test_the_samples_of_a_sender_fit_the_schemas_of_its_events(name: str) -> None:
    preset, hooks = presets()[name], of_sender(name)
    messages = {each.key: each for each in messages_of(hooks)[0]}
    fitted = 0
    for event_name, sample in preset.samples.items():
        header = hooks.sender.event_header
        headers = [] if header is None else [(header.lower().encode(), event_name.encode())]
        (event, *_) = hooks.parse_all(json.dumps(sample).encode(), headers)
        key = type(event).__name__ if type(event).__name__ in messages else OTHERS
        assert isinstance(event, UnknownEvent) == (key == OTHERS)
        if "The body is another document" in messages[key].about or preset.encode is not None:
            continue  # which is said
        assert [*Draft202012Validator(schema_of(hooks, key)).iter_errors(sample)] == [], event_name
        fitted += 1
    assert fitted or "The body is another document" in next(iter(messages.values())).about or preset.encode


def test_a_status_in_the_senders_own_spelling_fits_and_one_that_nobody_knows_is_progress() -> None:
    hooks = WebhookReceiver(secret="KbsDE5kGZoDiPCFd")
    failed = Draft202012Validator(schema_of(hooks, "OrderFailedPermanently"))
    progress = Draft202012Validator(schema_of(hooks, "OrderProgress"))
    for status in ("FAILED_PERMANENTLY", "FAILED PERMANENTLY"):
        assert failed.is_valid({"event": "order.status", "body": {"status": status}})
    assert not failed.is_valid({"event": "order.status", "body": {"status": "FULFILLED"}})
    assert progress.is_valid({"event": "order.status", "body": {"status": "NEVER HEARD OF"}})


def test_what_no_handler_takes_is_left_out_and_without_handlers_nothing_is() -> None:
    hooks = WebhookReceiver(secret="KbsDE5kGZoDiPCFd")
    assert {each.key for each in messages_of(hooks)[0]} > {"OrderFulfilled", "JobStatusChanged"}
    hooks.on(OrderFulfilled)(print)
    assert [each.key for each in messages_of(hooks)[0]] == ["OrderFulfilled"]
    hooks.fallback(repr)
    found = {each.key: [handler.function for handler in each.handlers] for each in messages_of(hooks)[0]}
    assert found["OrderFulfilled"] == [print]
    assert found["JobStatusChanged"] == found[OTHERS] == [repr]


def test_a_handler_of_a_name_is_first_and_those_of_every_event_follow() -> None:
    hooks = handled(WebhookReceiver(sender=acme()))
    found = {each.key: [handler.name.rpartition(".")[2] for handler in each.handlers] for each in messages_of(hooks)[0]}
    assert found == {
        "Shipped": ["follow", "every"],
        "parcel.lost.found": ["named", "every"],
        OTHERS: ["every"],
    }


def test_a_split_that_cannot_work_is_still_an_error_of_its_own() -> None:
    with pytest.raises(ConfigurationError):
        acme(split=Split(""))
