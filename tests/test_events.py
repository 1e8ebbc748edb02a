from __future__ import annotations

import copy
import json
import pickle
from typing import Any, cast
from uuid import UUID

import pytest
from pydantic import AliasChoices, AliasPath, Field, ValidationError, create_model

from tests.helpers import order, up42_registry
from webhook_receiver import (
    Event,
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryProgress,
    ImageryReady,
    JobStatusChanged,
    OrderFulfilled,
    OrderProgress,
    OrderStatus,
    OrderStatusChanged,
    UnknownEvent,
    WebhookReceiver,
)
from webhook_receiver.events import OrderBody
from webhook_receiver.senders.up42.events import STATUSES


def changed(**body: Any) -> OrderStatusChanged:
    document = {"event": "order.status", "body": {"status": "PLACED", **body}}
    event = up42_registry().parse(json.dumps(document).encode())
    assert isinstance(event, OrderStatusChanged)
    return event


def test_an_event_keeps_whatever_was_sent_and_cannot_be_changed() -> None:
    event = OrderFulfilled.model_validate_json(order(assets=["a", "b"], updatedAt="today"))
    assert event.body.model_extra == {"orderId": "o-1", "assets": ["a", "b"], "updatedAt": "today"}
    assert Event.model_validate({"event": "e", "top": {"deep": 1}}).model_extra == {"top": {"deep": 1}}
    with pytest.raises(ValidationError):
        event.event = "another"  # type: ignore


@pytest.mark.parametrize(
    ("body", "order_id"),
    [
        ({"orderId": "a", "id": "b", "order": {"id": "c"}}, "a"),
        ({"id": "b", "order": {"id": "c"}}, "b"),
        ({"order": {"id": "c"}}, "c"),
        ({"orderId": None, "id": "b"}, "b"),
        ({"orderId": "", "id": "b"}, "b"),
        ({"orderId": {"not": "an id"}, "id": True, "order": {"id": 12}}, "12"),
        ({"order": "no object"}, None),
        ({"order": ["no object"]}, None),
        ({}, None),
    ],
)
def test_the_order_id_is_at_the_first_place_that_holds_one(body: dict[str, Any], order_id: str | None) -> None:
    assert changed(**body).order_id == order_id


def test_a_senders_names_do_not_hide_ours() -> None:
    document = {"event": "order.status", "body": {"status": "PLACED", "id": "b"}}
    event = up42_registry().parse(json.dumps(document | {"status": "theirs", "order_id": "theirs"}).encode())
    assert isinstance(event, OrderStatusChanged)
    assert (event.status, event.order_id) == (OrderStatus.PLACED, "b")
    assert event.model_extra == {"status": "theirs", "order_id": "theirs"}


def test_a_status_with_spaces_is_the_one_with_underscores_for_a_sender_that_spells_it_so() -> None:
    assert STATUSES["FAILED PERMANENTLY"] is OrderStatus.FAILED_PERMANENTLY
    assert changed(status="BEING FULFILLED").status is OrderStatus.BEING_FULFILLED
    assert (
        OrderStatusChanged.model_validate({"event": "order.status", "body": {"status": "BEING FULFILLED"}}).status
        == "BEING FULFILLED"
    )


def test_an_unknown_status_is_a_member_that_is_equal_to_its_text_and_is_not_kept() -> None:
    unknown = OrderStatus("ON_THE MOON")
    assert isinstance(unknown, OrderStatus)
    assert unknown == "ON_THE MOON"
    assert unknown.value == unknown.name == "ON_THE MOON"
    assert unknown == OrderStatus("ON_THE MOON")
    assert unknown not in list(OrderStatus)
    assert hash(unknown) == hash("ON_THE MOON")
    assert pickle.loads(pickle.dumps(unknown)) == copy.deepcopy(unknown) == unknown
    assert changed(status="ON_THE MOON").status == unknown


def test_a_status_that_is_no_text_is_rejected() -> None:
    with pytest.raises(ValueError, match="5 is not a valid OrderStatus"):
        OrderStatus(cast(str, 5))


def test_an_event_that_no_sender_has_parsed_knows_no_place_for_an_id() -> None:
    assert OrderStatusChanged.model_validate_json(order()).order_id is None


def test_a_job_has_a_status_of_its_own() -> None:
    job = JobStatusChanged.model_validate({"event": "job.status", "body": {"status": "NOT STARTED"}})
    assert job.status == "NOT STARTED"


UUID_OF_ORDER = "95e60af5-658c-40cb-8f9e-0bec3898d190"


@pytest.mark.parametrize(
    "number",
    [
        (str, Field(alias="orderId")),
        (UUID, Field(validation_alias="orderId")),
        (str, Field(validation_alias=AliasChoices("number", AliasPath("not", "here"), "orderId"))),
    ],
)
def test_a_body_that_names_and_types_its_id_otherwise_still_has_one(number: Any) -> None:
    body = create_model("Body", __base__=OrderBody, number=number)
    cls: type[OrderStatusChanged] = create_model("Changed", __base__=OrderStatusChanged, body=(body, ...))
    event = cls.model_validate_json(order("PLACED", orderId=UUID_OF_ORDER))
    assert event.with_order_id_paths([("body", "orderId")]).order_id == UUID_OF_ORDER


def test_an_id_that_is_declared_as_a_uuid_is_one() -> None:
    body = create_model("Body", __base__=OrderBody, orderId=(UUID, ...))
    cls: type[OrderStatusChanged] = create_model("Changed", __base__=OrderStatusChanged, body=(body, ...))
    event = cls.model_validate_json(order("PLACED", orderId=UUID_OF_ORDER))
    assert event.with_order_id_paths([("body", "orderId")]).order_id == UUID_OF_ORDER


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        ("FULFILLED", ImageryReady),
        ("FAILED_PERMANENTLY", ImageryFailed),
        ("FAILED PERMANENTLY", ImageryFailed),
        ("PLACED", ImageryProgress),
        ("BEING FULFILLED", ImageryProgress),
        ("CANCELED", ImageryProgress),
        ("A WORD OF TOMORROW", ImageryProgress),
    ],
)
def test_an_order_is_told_in_the_words_of_all_providers(status: str, cls: type[ImageryEvent]) -> None:
    event = up42_registry().parse(order(status))
    assert isinstance(event, OrderStatusChanged)
    assert [each for each in OUTCOMES if isinstance(event, each)] == [cls]
    assert isinstance(event, ImageryEvent)
    assert event.status == STATUSES.get(status, status)
    assert (event.order_id, event.items, event.expires_at) == ("o-1", (), None)
    assert event.document["body"]["orderId"] == "o-1"
    assert set(event.document) == {"event", "body"}


OUTCOMES = (ImageryReady, ImageryPartlyReady, ImageryFailed, ImageryProgress)


@pytest.mark.parametrize("cls", [ImageryProgress, OrderProgress, OrderStatusChanged])
def test_a_status_of_no_class_reaches_the_handlers_of_progress(cls: type[Event]) -> None:
    hooks = WebhookReceiver(secret="secret")
    got: list[Event] = []
    hooks.on(cls)(got.append)
    for status in ("PLACED", "FULFILLED"):
        event = hooks.parse(order(status))
        matching = [handler.function for handler in hooks.match(event)]
        assert matching == ([got.append] if isinstance(event, cls) else [])


def test_an_order_tells_its_sender_and_one_that_nobody_received_tells_none() -> None:
    event = WebhookReceiver(secret="secret").parse(order())
    assert isinstance(event, ImageryReady)
    assert event.provider == "up42"
    assert copy.copy(event).provider == "up42"
    assert pickle.loads(pickle.dumps(event)).provider == "up42"
    assert OrderFulfilled.model_validate_json(order()).provider == ""


def test_words_for_all_providers_have_no_documents_of_their_own() -> None:
    registry = up42_registry(ImageryEvent, *OUTCOMES)
    assert type(registry.parse(b'{"event": "ImageryReady", "body": {}}')) is UnknownEvent
