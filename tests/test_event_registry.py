from __future__ import annotations

import copy
import json
import pickle
from abc import ABC
from contextlib import suppress
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, Optional
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, Field, field_validator
from typing_extensions import TypeAliasType

from tests.helpers import order, up42_registry
from webhook_receiver import (
    ConfigurationError,
    Event,
    JobStatusChanged,
    NotAnEvent,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderProgress,
    OrderStatus,
    OrderStatusChanged,
    UnknownEvent,
)
from webhook_receiver.events import OrderBody


class Shipped(Event, frozen=True):
    event: Literal["shipment"]


class Kind(BaseModel, frozen=True):
    kind: Literal["fast", "slow"]


class KindOfShipment(Shipped, frozen=True):
    body: Kind


class PlacedBody(OrderBody, frozen=True):
    status: Literal[OrderStatus.PLACED]
    by: str


class OrderPlaced(OrderStatusChanged, frozen=True):
    body: PlacedBody


class Typed(Event, frozen=True):
    event: Literal["parcel"] = Field(alias="type")


class Deep(Event, frozen=True):
    event: Literal["deep"] = Field(validation_alias=AliasPath("meta", "name"))


def parse(document: object, *classes: type[Event]) -> Event:
    return up42_registry(*classes).parse(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        ("FULFILLED", OrderFulfilled),
        ("FAILED_PERMANENTLY", OrderFailedPermanently),
        ("FAILED PERMANENTLY", OrderFailedPermanently),
        ("PLACED", OrderProgress),
        ("NEVER HEARD OF", OrderProgress),
    ],
)
def test_an_order_becomes_the_class_of_its_status(status: str, cls: type[OrderStatusChanged]) -> None:
    event = up42_registry().parse(order(status))
    assert type(event) is cls
    assert isinstance(event, OrderStatusChanged)
    assert event.status == OrderStatus(status.replace("FAILED ", "FAILED_"))
    assert event.order_id == "o-1"


def test_the_smallest_document_is_an_event() -> None:
    assert type(parse({"event": "order.status", "body": {"status": "FULFILLED"}})) is OrderFulfilled
    assert type(parse({"event": "job.status", "body": {"status": "SUCCEEDED"}})) is JobStatusChanged


def test_an_unknown_event_is_kept_whole() -> None:
    event = parse({"event": "storage.cleaned", "body": [1], "id": "e-1"})
    assert type(event) is UnknownEvent
    assert (event.event, event.body, event.model_extra) == ("storage.cleaned", [1], {"id": "e-1"})


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"event": "order.status", "body": {}}, "body.status: Field required (read as OrderStatusChanged)"),
        ({"event": "order.status"}, "body: Field required (read as OrderStatusChanged)"),
        ({"event": "order.status", "body": {"status": None}}, "body.status: Input should be"),
        ({"event": "order.status", "body": ["FULFILLED"]}, "body: Input should be an object"),
        ({"event": "job.status", "body": {"status": 5}}, "body.status: Input should be a valid string"),
        ({"body": {"status": "FULFILLED"}}, "event: Field required"),
        ({"event": 5}, "event: Input should be a valid string"),
        ([], "Input should be an object"),
        (None, "Input should be an object"),
    ],
)
def test_what_is_no_event_is_rejected_saying_which_field(document: object, reason: str) -> None:
    with pytest.raises(NotAnEvent) as rejected:
        parse(document)
    assert reason in str(rejected.value)


@pytest.mark.parametrize("body", [b"", b"<xml/>", b"\xff\xfe", b"\xff\xfe{", b"[" * 10_000, b"{'event': 'x'}"])
def test_what_is_not_json_is_rejected(body: bytes) -> None:
    with pytest.raises(NotAnEvent, match="Invalid JSON"):
        up42_registry().parse(body)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["event", "body", "status"]) | st.text(), inner)
        ),
    ).map(lambda document: json.dumps(document).encode())
    | st.fixed_dictionaries(
        {"event": st.sampled_from(["order.status", "job.status", "x"]) | st.integers()},
        optional={"body": st.dictionaries(st.just("status"), st.text() | st.none() | st.just("FULFILLED"))},
    ).map(lambda document: json.dumps(document).encode())
)
@example(b'{"event": "order.status", "body": {"status": "\\ud800"}}')
@example(b'{"event": "x", "n": ' + b"9" * 5000 + b"}")
@example(b'{"event": "x", "n": NaN, "m": -Infinity, "o": 1e999}')
@example(b'{"event": "x", "event": "order.status"}')
def test_any_bytes_become_an_event_or_not_an_event(body: bytes) -> None:
    with suppress(NotAnEvent):
        assert isinstance(CATALOG.parse(body), Event)


CATALOG = up42_registry()


def test_a_class_of_the_users_is_found_by_its_literals_however_deep() -> None:
    classes = (Shipped, KindOfShipment, OrderPlaced)
    assert type(parse({"event": "shipment"}, *classes)) is Shipped
    assert type(parse({"event": "shipment", "body": {"kind": "fast"}}, *classes)) is KindOfShipment
    assert type(parse({"event": "shipment", "body": {"kind": "other"}}, *classes)) is Shipped
    assert type(parse({"event": "order.status", "body": {"status": "PLACED", "by": "me"}}, *classes)) is OrderPlaced


def test_a_users_class_for_a_status_takes_both_of_its_spellings() -> None:
    class OnItsWay(OrderBody, frozen=True):
        status: Literal[OrderStatus.BEING_FULFILLED]

    class OrderOnItsWay(OrderStatusChanged, frozen=True):
        body: OnItsWay

    for status in ("BEING_FULFILLED", "BEING FULFILLED"):
        event = parse({"event": "order.status", "body": {"status": status}}, OrderOnItsWay)
        assert isinstance(event, OrderOnItsWay)
        assert event.status is OrderStatus.BEING_FULFILLED


def test_a_status_in_the_senders_spelling_is_understood_where_a_class_has_it_elsewhere() -> None:
    class Elsewhere(OrderStatusChanged, frozen=True):
        event: Literal["order.moved"]  # type: ignore[assignment]
        body: OrderBody = Field(alias="data")

    event = up42_registry(Elsewhere).parse(b'{"event": "order.moved", "data": {"status": "BEING PLACED", "id": 7}}')
    assert type(event) is Elsewhere
    assert event.status is OrderStatus.BEING_PLACED
    assert event.body.model_extra == {"id": 7}


def test_literals_in_a_list_are_found_by_their_place() -> None:
    class First(Event, frozen=True):
        event: Literal["first"] = Field(validation_alias=AliasPath("events", 0, "name"))

    assert type(parse({"events": [{"name": "first"}]}, First)) is First
    assert parse({"events": [{"name": "other"}]}, First).event == "other"


def test_a_document_that_a_class_claims_but_does_not_fit_is_no_event_of_another_class() -> None:
    with pytest.raises(NotAnEvent, match=r"body\.by: Field required \(read as OrderPlaced\)"):
        parse({"event": "order.status", "body": {"status": "PLACED"}}, OrderPlaced)


@pytest.mark.parametrize(
    ("document", "cls"),
    [
        ({"type": "parcel"}, Typed),
        ({"meta": {"name": "deep"}}, Deep),
        ({"event": "order.status", "body": {"status": "FULFILLED"}}, OrderFulfilled),
        ({"type": "lost"}, UnknownEvent),
        ({"event": "lost"}, UnknownEvent),
        ({"type": "lost", "event": {"an": "object"}}, UnknownEvent),
        ({"meta": {"name": "lost"}}, UnknownEvent),
        ({"type": 5, "meta": {"name": {}}, "event": "lost"}, UnknownEvent),
    ],
)
def test_the_name_of_an_event_may_be_elsewhere(document: object, cls: type[Event]) -> None:
    event = parse(document, Typed, Deep)
    assert isinstance(event, cls)
    assert event.event in ("parcel", "deep", "order.status", "lost")


def test_a_subclass_stands_for_its_parent_where_both_claim_the_same() -> None:
    class MyFulfilled(OrderFulfilled, frozen=True):
        pass

    class Mine(MyFulfilled, frozen=True):
        pass

    assert type(up42_registry(MyFulfilled).parse(order())) is MyFulfilled
    assert type(up42_registry(Mine, MyFulfilled).parse(order())) is Mine


def test_two_classes_that_claim_the_same_documents_are_rejected() -> None:
    class Other(Event, frozen=True):
        event: Literal["shipment", "another"]

    with pytest.raises(ConfigurationError, match=r"Other and Shipped claim the same documents .* literal at event$"):
        up42_registry(Shipped, Other)

    class Left(Shipped, frozen=True):
        left: Literal[1]

    class Right(Shipped, frozen=True):
        right: Literal[1]

    with pytest.raises(ConfigurationError, match="Right and Left"):
        up42_registry(Shipped, Left, Right)


def test_classes_that_some_literal_tells_apart_are_not_rejected() -> None:
    class One(Event, frozen=True):
        event: Literal["numbered"]
        number: Literal[1]

    class Two(Event, frozen=True):
        event: Literal["numbered"]
        number: Literal[2]

    assert type(parse({"event": "numbered", "number": 2}, One, Two)) is Two
    assert type(parse({"event": "numbered", "number": 3}, One, Two)) is UnknownEvent


def test_a_literal_with_a_default_need_not_be_sent() -> None:
    class Versioned(Event, frozen=True):
        event: Literal["versioned"] = "versioned"
        version: Literal["1"] = "1"

    assert type(parse({"event": "versioned"}, Versioned)) is Versioned
    with pytest.raises(NotAnEvent, match="read as Versioned"):
        parse({"event": "versioned", "version": "2"}, Versioned)


def test_a_class_without_a_literal_name_is_rejected() -> None:
    class Nameless(Event, frozen=True):
        body: Kind

    with pytest.raises(ConfigurationError, match="Nameless does not say which events are its own"):
        up42_registry(Nameless)


class Kinds(Enum):
    PAID = "paid"


Paid = TypeAliasType("Paid", Literal["paid"])


def test_an_abstract_class_claims_nothing_and_needs_no_name() -> None:
    class Moved(Event, ABC, frozen=True):
        pass

    class ShipMoved(Moved, frozen=True):
        event: Literal["ship.moved"]

    class TrainMoved(Moved, frozen=True):
        event: Literal["train.moved"]

    registry = up42_registry(Moved, ShipMoved, TrainMoved)
    assert type(registry.parse(b'{"event": "ship.moved"}')) is ShipMoved
    assert type(registry.parse(b'{"event": "train.moved"}')) is TrainMoved
    assert type(registry.parse(b'{"event": "car.moved"}')) is UnknownEvent


def test_a_subclass_of_an_abstract_class_is_none_itself() -> None:
    class Moved(Event, ABC, frozen=True):
        pass

    class Nameless(Moved, frozen=True):
        pass

    with pytest.raises(ConfigurationError, match="Nameless does not say which events are its own"):
        up42_registry(Nameless)


def test_a_literal_of_a_plain_enum_is_rejected_since_no_document_has_its_member() -> None:
    class PaidEvent(Event, frozen=True):
        event: Literal[Kinds.PAID]  # type: ignore[assignment]

    class PaidKind(BaseModel, frozen=True):
        kind: Literal[Kinds.PAID]

    class PaidBelow(Event, frozen=True):
        event: Literal["below"]
        body: PaidKind

    for cls, field in ((PaidEvent, "PaidEvent.event"), (PaidBelow, "PaidKind.kind")):
        with pytest.raises(ConfigurationError, match=rf"^{field} is a literal of <Kinds.PAID.*make Kinds a StrEnum"):
            up42_registry(cls)


@pytest.mark.filterwarnings("ignore:.*marked as final")
@pytest.mark.parametrize("annotation", [Final, Final[str], ClassVar[str]])
def test_an_event_that_is_no_field_is_rejected(annotation: Any) -> None:
    fields = {"__annotations__": {"event": annotation}, "event": "sent", "__module__": __name__}
    with pytest.raises(ConfigurationError, match=r'^Sent.event is no field of the document: write `event: Literal\["'):
        up42_registry(type("Sent", (Event,), fields))


def test_a_literal_is_found_through_an_alias_and_a_union() -> None:
    class PaidEvent(Event, frozen=True):
        event: Paid

    class Either(Event, frozen=True):
        event: Literal["sent"] | Literal["lost"]
        size: Annotated[Literal["s"], "small"] | Literal["m"]

    assert type(parse({"event": "paid"}, PaidEvent, Either)) is PaidEvent
    assert type(parse({"event": "lost", "size": "m"}, PaidEvent, Either)) is Either
    assert type(parse({"event": "lost", "size": "xl"}, PaidEvent, Either)) is UnknownEvent


def test_booleans_tell_classes_apart() -> None:
    class Live(Event, frozen=True):
        event: Literal["charged"]
        livemode: Literal[True]

    class Test(Event, frozen=True):
        event: Literal["charged"]
        livemode: Literal[False]

    class Either(Event, frozen=True):
        event: Literal["refunded"]
        livemode: Literal[True, None]

    assert type(parse({"event": "charged", "livemode": True}, Live, Test)) is Live
    assert type(parse({"event": "charged", "livemode": False}, Live, Test)) is Test
    assert type(parse({"event": "charged", "livemode": "yes"}, Live, Test)) is UnknownEvent
    assert type(parse({"event": "refunded", "livemode": None}, Either)) is Either


def test_a_name_has_a_class_or_handlers_by_name_and_not_both() -> None:
    made = up42_registry()
    with pytest.raises(ConfigurationError, match="of the class OrderStatusChanged"):
        made.add_name("order.status")
    made.add_name("shipment")
    with pytest.raises(
        ConfigurationError, match="Shipped claims 'shipment', for which a handler was registered by name"
    ):
        made.add(Shipped)


def test_literals_of_enums_and_optional_ones_and_recursive_models_are_understood() -> None:
    class Size(StrEnum):
        VERY_LARGE = "VERY_LARGE"

    class Node(BaseModel, frozen=True):
        below: Optional[Node] = None  # noqa: UP045
        itself: Loop | None = None
        flag: Literal[True]

    class Loop(BaseModel, frozen=True):
        node: Node

    class Number(IntEnum):
        ONE = 1

    class Sized(Event, frozen=True):
        event: Literal["sized"]
        size: Literal[Size.VERY_LARGE]
        number: Literal[Number.ONE]
        flag: Literal[True, None] = None
        place: Literal["here"] = Field("here", validation_alias=AliasChoices("place", "where"))
        loop: Loop | None = None

    Node.model_rebuild(_types_namespace={"Node": Node, "Loop": Loop})
    assert type(parse({"event": "sized", "size": "VERY_LARGE", "number": 1}, Sized)) is Sized
    assert type(parse({"event": "sized", "size": "VERY LARGE", "number": 1}, Sized)) is UnknownEvent
    assert type(parse({"event": "sized", "size": "VERY_LARGE", "number": 2}, Sized)) is UnknownEvent


def test_order_ids_are_looked_for_where_the_receiver_says() -> None:
    made = up42_registry(OrderPlaced, order_id_paths=["number", "body.by"])
    event = made.parse(order("PLACED", by="me"))
    assert isinstance(event, OrderPlaced)
    assert event.order_id == "me"
    assert OrderPlaced.model_validate_json(order("PLACED", by="me")).order_id is None
    assert type(event) is OrderPlaced
    assert event == OrderPlaced.model_validate_json(order("PLACED", by="me"))
    copies = (copy.copy(event), copy.deepcopy(event), event.model_copy(), pickle.loads(pickle.dumps(event)))
    assert all(each == event and each.order_id == "me" for each in copies)
    assert event.model_dump() == OrderPlaced.model_validate_json(order("PLACED", by="me")).model_dump()
    assert "order_id" not in event.model_dump_json()


class Closed(Event, frozen=True, extra="forbid"):
    event: Literal["closed"]
    id: UUID


def test_a_rejection_quotes_nothing_that_was_sent() -> None:
    class Picky(Event, frozen=True):
        event: Literal["picky"]
        numbers: dict[str, int]
        word: str

        @field_validator("word")
        @classmethod
        def reject(cls, value: str) -> str:
            raise ValueError(f"{value} is not a word")

    with pytest.raises(NotAnEvent) as rejected:
        parse({"event": "picky", "numbers": {"se cret": "tok\nen"}, "word": "hush"}, Picky)
    assert str(rejected.value).startswith("numbers.?: Input should be a valid integer")
    assert rejected.value.__context__ is None
    assert "word: value_error" in str(rejected.value)
    assert not any(text in str(rejected.value) for text in ("se cret", "tok", "hush"))
    with pytest.raises(NotAnEvent, match=r"^id: uuid_parsing; \?: Extra inputs are not permitted"):
        parse({"event": "closed", "id": "tok\nen", "se cret": 1}, Closed)


def test_many_complaints_are_counted_not_listed() -> None:
    class Wide(Event, frozen=True):
        event: Literal["wide"]
        a: int
        b: int
        c: int
        d: int
        e: int

    with pytest.raises(NotAnEvent, match="and 2 more"):
        parse({"event": "wide"}, Wide)


def test_a_class_that_names_one_that_is_nowhere_is_rejected() -> None:
    class Unfinished(Event, frozen=True):
        event: Literal["unfinished"]
        body: "NotThere"  # type: ignore  # noqa: F821, UP037

    with pytest.raises(ConfigurationError, match="Unfinished is not fully defined: name 'NotThere'"):
        up42_registry(Unfinished)


def test_a_status_in_the_senders_spelling_goes_through_the_validators_of_its_class() -> None:
    class Picky(OrderFailedPermanently, frozen=True):
        price: int

        @field_validator("price", mode="before")
        @classmethod
        def _odd(cls, price: object) -> object:
            raise KeyError("price")

    registry = up42_registry(Picky)
    for status in ("FAILED PERMANENTLY", "FAILED_PERMANENTLY"):
        with pytest.raises(KeyError):
            registry.parse(order(status)[:-1] + b', "price": 1}')


def test_a_repaired_document_has_its_class_and_a_status_in_the_senders_spelling() -> None:
    for odd in (r'"half \ud83d"', "[" * 300 + "]" * 300, "9" * 5000):
        body = order("FAILED PERMANENTLY")[:-1] + f', "odd": {odd}}}'.encode()
        event = up42_registry().parse(body)
        assert isinstance(event, OrderFailedPermanently)
        assert event.order_id == "o-1"


def test_a_repaired_document_is_read_as_json_in_which_a_strict_model_takes_texts_for_dates() -> None:
    class Dated(Event, frozen=True, strict=True):
        event: Literal["dated"]
        at: datetime

    event = up42_registry(Dated).parse(rb'{"event": "dated", "at": "2026-11-28T12:00:00Z", "title": "\ud83d"}')
    assert isinstance(event, Dated)
    assert event.at.year == 2026


def test_a_repaired_document_that_does_not_fit_says_so() -> None:
    with pytest.raises(NotAnEvent, match="read as OrderStatusChanged") as rejected:
        up42_registry().parse(b"\xef\xbb\xbf" + b'{"event": "order.status", "body": {}}')
    assert rejected.value.__context__ is None


def test_a_document_that_is_nested_too_deep_for_everybody_is_no_event() -> None:
    for depth in (100_000, 500_000):
        with pytest.raises(NotAnEvent, match="recursion limit"):
            up42_registry().parse(b'{"event": "x", "deep": ' + b"[" * depth + b"]" * depth + b"}")


def test_a_status_in_the_senders_spelling_is_not_told_as_what_is_wrong() -> None:
    class Priced(OrderFailedPermanently, frozen=True):
        price: int

    with pytest.raises(NotAnEvent) as rejected:
        up42_registry(Priced).parse(order("FAILED PERMANENTLY"))
    assert str(rejected.value) == "price: Field required (read as Priced)"


def test_any_event_with_the_body_of_an_order_has_its_status_in_our_spelling() -> None:
    class Shelved(Event, frozen=True):
        event: Literal["order.shelved"]
        body: OrderBody

    event = up42_registry(Shelved).parse(b'{"event": "order.shelved", "body": {"status": "BEING FULFILLED"}}')
    assert isinstance(event, Shelved)
    assert event.body.status is OrderStatus.BEING_FULFILLED
