from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal, Optional, Self
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, Field, StrictInt, field_validator, model_validator

from webhook_receiver import (
    Event,
    JobStatusChanged,
    OrderBody,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderStatus,
    OrderStatusChanged,
    UnknownEvent,
    WebhookReceiver,
)
from webhook_receiver.testing import encode, make

HOOKS = WebhookReceiver(secret="s")


class Size(Enum):
    SMALL = "S"
    LARGE = "L"


class Box(BaseModel):
    kind: Literal["box"]
    size: Size


class Tube(BaseModel):
    kind: Literal["tube"]


class Everything(BaseModel, frozen=True):
    text: str
    long: str = Field(min_length=12)
    short: str = Field(max_length=3)
    whole: int
    strict: StrictInt
    more: int = Field(ge=5)
    above: int = Field(gt=5)
    less: int = Field(le=-5)
    below: float = Field(lt=0.5)
    between: float = Field(gt=0, lt=1)
    steps: int = Field(multiple_of=12, gt=12)
    price: Annotated[Decimal, Field(gt=0, decimal_places=2)]
    yes: bool
    at: datetime
    on: date
    clock: time
    lasts: timedelta
    id: UUID
    url: AnyUrl
    v4: IPv4Address
    v6: IPv6Address
    size: Size
    package: Box | Tube = Field(discriminator="kind")
    maybe: Optional[Box]  # noqa: UP045 - as many write it
    nothing: None
    boxes: list[Box] = Field(min_length=2)
    tubes: list[Tube]
    pair: tuple[int, str]
    unique: set[int] = Field(min_length=3)
    labels: dict[str, str]
    anything: Any
    left_out: str = "default"
    renamed: int = Field(alias="called")


class EverythingHappened(Event, frozen=True):
    event: Literal["everything"] = Field(alias="type")
    body: Everything


@pytest.mark.parametrize(
    "cls", [OrderFulfilled, OrderFailedPermanently, OrderStatusChanged, JobStatusChanged, UnknownEvent, Event]
)
def test_every_class_of_ours_can_be_made(cls: type[Event]) -> None:
    assert type(make(cls)) is cls


@pytest.mark.parametrize("cls", [OrderFulfilled, OrderFailedPermanently, JobStatusChanged])
def test_what_is_sent_of_it_is_parsed_into_the_same(cls: type[Event]) -> None:
    assert HOOKS.parse(encode(make(cls))) == make(cls)


def test_a_class_of_the_users_is_filled_from_types_and_constraints() -> None:
    body = make(EverythingHappened).body
    assert (body.text, body.long, body.short) == ("text-1", "long-1------", "sho")
    assert (body.whole, body.more, body.above, body.less, body.between, body.steps) == (1, 5, 6, -5, 0.5, 24)
    assert body.below < 0.5
    assert body.at == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert (body.size, body.package) == (Size.SMALL, Box(kind="box", size=Size.SMALL))
    assert (len(body.boxes), body.tubes, len(body.unique), body.left_out) == (2, [], 3, "default")


def test_it_is_the_same_each_time_and_another_number_makes_another_one() -> None:
    assert make(EverythingHappened) == make(EverythingHappened)
    other = make(EverythingHappened, 7)
    assert (other.body.text, other.body.id) == ("text-7", UUID(int=7))
    assert make(OrderFulfilled).identity != make(OrderFulfilled, 2).identity


def test_what_is_given_goes_first_by_either_name() -> None:
    assert make(UnknownEvent, event="parcel.lost", body=[1], where="at sea").model_dump() == {
        "event": "parcel.lost",
        "body": [1],
        "where": "at sea",
    }
    assert make(EverythingHappened, type="everything").event == "everything"


def test_a_model_below_is_given_in_part_or_as_itself() -> None:
    partly = make(EverythingHappened, body={"text": "mine", "called": 7})
    assert (partly.body.text, partly.body.renamed, partly.body.whole) == ("mine", 7, 1)
    changed = make(OrderStatusChanged, body=OrderBody(status=OrderStatus.PLACED))
    assert (changed.status, changed.order_id) == (OrderStatus.PLACED, str(UUID(int=1)))


def test_an_order_has_the_id_that_it_is_given() -> None:
    assert make(OrderFulfilled, order_id="o-7").order_id == "o-7"
    assert make(OrderFulfilled, order_id=UUID(int=9)).order_id == str(UUID(int=9))
    assert make(OrderFulfilled, body={"id": "o-8"}).order_id == "o-8"
    assert make(OrderFulfilled, order_id="o-9", body={"id": "o-8"}).order_id == "o-9"


def test_an_order_may_have_no_id() -> None:
    assert make(OrderFulfilled, order_id=None).order_id is None


class OwnBody(OrderBody, frozen=True):
    id: UUID


class OwnOrder(OrderStatusChanged, frozen=True):
    body: OwnBody


def test_an_order_whose_class_says_where_its_id_is_has_it_there() -> None:
    assert make(OwnOrder).order_id == str(UUID(int=1))
    assert "orderId" not in (make(OwnOrder).body.model_extra or {})
    assert make(OwnOrder, order_id=UUID(int=3)).body.id == UUID(int=3)


class RenamedOrder(OrderStatusChanged, frozen=True):
    body: OrderBody = Field(alias="data")


def test_an_order_whose_class_has_its_id_elsewhere_is_given_it_there() -> None:
    with pytest.raises(ValueError, match="where RenamedOrder has its order's id is not known"):
        make(RenamedOrder, order_id="o-7")
    assert make(RenamedOrder, body={"orderId": "o-7"}).body.model_extra == {"orderId": "o-7"}


class Numbered(BaseModel):
    number: str = Field(pattern=r"^P\d+$")


class Shipped(Event, frozen=True):
    event: Literal["shipped"] = Field(alias="type")
    parcels: list[Numbered] = Field(alias="data", min_length=1)


class Checked(Event, frozen=True):
    event: Literal["checked"]

    @field_validator("event")
    @classmethod
    def reject(cls, event: str) -> str:
        raise ValueError("never")


class Whole(Event, frozen=True):
    event: Literal["whole"]

    @model_validator(mode="after")
    def reject(self) -> Self:
        raise ValueError("never")


class Strange:
    pass


class HoldsStrange(Event, frozen=True, arbitrary_types_allowed=True):
    event: Literal["strange"]
    strange: Strange
    call: Callable[[], int]


class Node(BaseModel):
    below: Node


class Endless(Event, frozen=True):
    event: Literal["endless"]
    node: Node


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Shipped, r"make(Shipped, parcels=[{'number': ...}])"),
        (Checked, "make(Checked, event=...)"),
        (Whole, "make(Whole, field=...)"),
        (HoldsStrange, "HoldsStrange.model_validate({...})"),
        (Endless, "one of its own kind in itself"),
    ],
)
def test_what_cannot_be_filled_is_named_with_how_to_give_it(cls: type[Event], said: str) -> None:
    with pytest.raises(ValueError, match=f"{cls.__name__} cannot be made: ") as raised:
        make(cls)
    assert said in str(raised.value)


def test_and_it_can_be_given_so() -> None:
    assert make(Shipped, parcels=[{"number": "P7"}]).parcels == [Numbered(number="P7")]
