"""Events: what a delivery's body says, as frozen pydantic models that keep all the sender sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, Self, cast
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from .errors import ConfigurationError

Key = str | int
Path = tuple[Key, ...]
"""The keys that lead from the top of a JSON document to a value."""

_IDS = (str, int, UUID)
"""What an order's id may be in JSON, or where a class declares it."""


class OrderStatus(StrEnum):
    """The statuses of an order that are known; any other text is a member of its own, equal to that text.

    A sender that spells one otherwise says so in its `Sender.statuses`. FAILED and the four that no notification
    was seen with are here all the same, since a receiver must not be surprised by them.
    """

    CREATED = "CREATED"
    BEING_PLACED = "BEING_PLACED"
    PLACEMENT_FAILED = "PLACEMENT_FAILED"
    PLACED = "PLACED"
    BEING_FULFILLED = "BEING_FULFILLED"
    DELIVERY_INITIALIZATION_FAILED = "DELIVERY_INITIALIZATION_FAILED"
    DOWNLOAD_FAILED = "DOWNLOAD_FAILED"
    DOWNLOADED = "DOWNLOADED"
    FULFILLED = "FULFILLED"
    FAILED_PERMANENTLY = "FAILED_PERMANENTLY"
    CANCELED = "CANCELED"
    FAILED = "FAILED"

    @classmethod
    def _missing_(cls, value: object) -> OrderStatus | None:
        if not isinstance(value, str):
            return None
        # Not stored in the enum: a sender that invents statuses must not fill our memory.
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member


class Event(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """Base of all events. A subclass says by literals which documents are its own:

        class ShipmentCreated(Event, frozen=True):
            event: Literal["shipment.created"]
            body: Shipment

    Fields that the class does not declare are kept, in `model_extra` and as attributes.
    """

    event: str
    """The event's name. A sender that calls it otherwise is met with `Field(alias="type")`."""

    @property
    def identity(self) -> tuple[str, ...] | None:
        """What happened to what: two events of one name and identity tell the same news. None: nobody can tell.

        A delivery whose event has one is known when the sender repeats it. A class of your own may say it:
        `return (self.body.number, self.body.state)`.
        """
        return None


class UnknownEvent(Event, frozen=True):
    """An event whose name no known class claims; never an error. Goes to the fallback handler."""

    body: Any = None


class OrderBody(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """The body of `order.status`. Only `status` is certain; whatever else was sent is in `model_extra`."""

    status: OrderStatus

    @field_validator("status", mode="before")
    @classmethod
    def _known(cls, status: object, info: ValidationInfo) -> object:
        # Before pydantic compares it with the literals of a class that narrows it.
        spellings: Mapping[object, OrderStatus] | None = info.context
        return spellings.get(status, status) if spellings and isinstance(status, str) else status


class OrderStatusChanged(Event, frozen=True):
    """`order.status`: an order has another status, be it known or not."""

    event: Literal["order.status"]
    body: OrderBody

    @property
    def status(self) -> OrderStatus:
        """The order's new status."""
        return self.body.status

    @property
    def order_id(self) -> str | None:
        """The order's id: a text, a whole number or a UUID at the first of the sender's places that holds one, or None.

        The places are those of `Sender.order_id_paths`: an event that no receiver has parsed, and that
        `webhook_receiver.testing.make` has not made, has none.
        """
        for path in vars(self).get("_order_id_paths", ()):
            found = _value_at(self, path)
            if isinstance(found, _IDS) and not isinstance(found, bool) and found != "":
                return str(found)
        return None

    @property
    def identity(self) -> tuple[str, ...] | None:
        """The order's id and its new status; None without an id."""
        order_id = self.order_id
        return None if order_id is None else (order_id, self.body.status)

    def with_order_id_paths(self, paths: Sequence[Path]) -> Self:
        """Return this event, its order's id looked for at `paths` from now on: the keys that lead to it, for each."""
        vars(self)["_order_id_paths"] = paths  # no field, but copied and pickled with the fields
        return self


class FulfilledBody(OrderBody, frozen=True):
    """The body of `order.status` with the status FULFILLED."""

    status: Literal[OrderStatus.FULFILLED]


class OrderFulfilled(OrderStatusChanged, frozen=True):
    """`order.status` FULFILLED: every image of the order is in storage, ready to be downloaded."""

    body: FulfilledBody


class FailedPermanentlyBody(OrderBody, frozen=True):
    """The body of `order.status` with the status FAILED_PERMANENTLY, in either spelling."""

    status: Literal[OrderStatus.FAILED_PERMANENTLY]


class OrderFailedPermanently(OrderStatusChanged, frozen=True):
    """`order.status` FAILED_PERMANENTLY: the order has failed for good, or was cancelled."""

    body: FailedPermanentlyBody


ORDER_EVENTS: tuple[type[Event], ...] = (OrderStatusChanged, OrderFulfilled, OrderFailedPermanently)
"""The core's own events, which any sender of orders may have."""


def order_id_of(event: Event) -> str | None:
    """Return the id of the order that an event is about: the default ordering key. None for other events."""
    return event.order_id if isinstance(event, OrderStatusChanged) else None


def identity_of(event: Event) -> Sequence[str] | None:
    """Return what the event's class says of its identity, see `Event.identity`."""
    return event.identity


def parsed_paths(dotted: Sequence[str]) -> tuple[Path, ...]:
    """Return the places that texts such as "body.orderId" and "items.0.id" name.

    Raises:
        ConfigurationError: one of them is no such text.
    """
    if isinstance(dotted, str) or not all(isinstance(path, str) and all(path.split(".")) for path in dotted):
        raise ConfigurationError(f'order_id_paths is a list such as ["body.orderId", "body.id"], not {dotted!r}')
    return tuple(tuple(int(key) if key.isdecimal() else key for key in path.split(".")) for path in dotted)


def _value_at(value: Any, path: Path) -> Any:
    """Return what the sender's document holds at `path`, or None."""
    for key in path:
        if getattr(value, "__pydantic_fields__", None) is not None:  # isinstance(value, BaseModel) takes a microsecond
            model: BaseModel = value
            name = _declared(type(model), key)
            value = getattr(model, name) if name is not None else (model.__pydantic_extra__ or {}).get(str(key))
        elif isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(str(key))
        elif isinstance(value, list) and isinstance(key, int):
            value = next(iter(cast("Sequence[Any]", value)[key : key + 1]), None)
        else:
            return None
    return value


@lru_cache(maxsize=1024)
def _declared(model: type[BaseModel], key: Key) -> str | None:
    """Return the name of the field that the model declares for what the sender calls `key`."""
    return next((name for name, info in model.model_fields.items() if key in wire_names(name, info)), None)


def wire_names(name: str, info: FieldInfo) -> list[Key]:
    """Return what the sender may call a field; a path that leads elsewhere is no name of it."""
    alias = info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
    return [choice for choice in choices if isinstance(choice, str)]
