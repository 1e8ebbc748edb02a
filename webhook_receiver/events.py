"""Events: the documents in deliveries' bodies, as frozen pydantic models. Fields that are not declared stay in them."""

from __future__ import annotations

import json
from abc import ABC
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal, Self, cast
from uuid import UUID

from pydantic import AliasChoices, BaseModel, Field
from pydantic.fields import FieldInfo

from .errors import ConfigurationError

Key = str | int
Path = tuple[Key, ...]
"""The place of a value in a JSON document: the keys and indices that lead to it from the top."""

_IDS = (str, int, UUID)
"""The types that an order's id may have in JSON, or in the class of an event."""


class OrderStatus(StrEnum):
    """The known statuses of an order. Any other text is accepted as a status, too, and is equal to that text.

    `Sender.statuses` has a sender's other spellings. Some were never seen in a notification, and are members so that a
    receiver knows them if one comes.
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
    """The base class of events. A subclass says by literals which documents become its events:

        class ShipmentCreated(Event, frozen=True):
            event: Literal["shipment.created"]
            body: Shipment

    Fields of the document that the class does not declare are in `model_extra`, and are attributes, too.

    An abstract class has no documents of its own, and needs no literals: `class Shipment(Event, ABC, frozen=True)`. A
    handler of it gets the events of its subclasses.
    """

    event: str
    """The event's name. Where the sender's documents have it under another name: `Field(alias="type")`."""

    @property
    def delivery_id(self) -> str | None:
        """The sender's own id of the event or the delivery, the same when it is sent again; None for an event without.

        Two pushes with the same id are one, sent twice, whatever else differs between their bodies. A class of your own
        may return one that is in its documents: `return self.id`.
        """
        return None

    @property
    def identity(self) -> tuple[str, ...] | None:
        """The texts that two events of one name share if they report the same fact; None for an event without any.

        By it a push and a polled delivery tell the same news, so that one of them is a duplicate. Of two pushes
        neither is, unless they have the same `delivery_id`, or equal bodies: a second notice of the same fact with
        another body is news. A class of your own may return one: `return (self.body.number, self.body.state)`.
        """
        return None


class UnknownEvent(Event, frozen=True):
    """An event whose name belongs to no registered class. It goes to the fallback handler, and is no error.

    An authentic body that is no event becomes one, too, if there is a fallback or a handler of `UnknownEvent`, which
    can read the bytes in `attempt.delivery.body`. Its name is empty.
    """

    body: Any = None
    """The document's `body`; of an event without a name the whole document, decoded; None if it is no JSON."""


class ImageryEvent(Event, ABC, frozen=True):
    """An event about images that were ordered, in the words of all providers of images: the base class of four others.

    Abstract, as these four are: `on(ImageryReady)` gets the events of every provider that is one.
    """

    @property
    def provider(self) -> str:
        """The provider's name, such as "planet"."""
        return ""

    @property
    def order_id(self) -> str | None:
        """The provider's id of the order, as text; None where the document has none."""
        return None

    @property
    def items(self) -> tuple[str, ...]:
        """The ids or names of the items of the order that the event is about; empty where the document has none."""
        return ()

    @property
    def status(self) -> str:
        """The provider's own word for what happened, such as "DELIVERY_COMPLETED"; empty where it has none."""
        return ""

    @property
    def document(self) -> Mapping[str, Any]:
        """The provider's document about it, as JSON; of one with several items, the part about this one."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @property
    def expires_at(self) -> datetime | None:
        """The time at which the first of the document's download links ends; None where it does not say."""
        return None

    @property
    def item_count(self) -> int | None:
        """The number of items of the whole order; None where the document does not tell it."""
        return None

    @property
    def failed_items(self) -> tuple[str, ...]:
        """The ids or names of the items of a whole order that have failed; empty for the event of an item."""
        return ()

    @property
    def late(self) -> bool:
        """Whether it tells a whole order again, since an item came, or ended in another way, after it was told."""
        return False


class ImageryReady(ImageryEvent, ABC, frozen=True):
    """What was ordered, or the items of it that the event names, is ready to be downloaded."""


class ImageryPartlyReady(ImageryEvent, ABC, frozen=True):
    """A part of what was ordered is ready, and the provider does not say that the rest will be."""


class ImageryFailed(ImageryEvent, ABC, frozen=True):
    """What was ordered, or the items of it that the event names, has failed for good."""


class ImageryProgress(ImageryEvent, ABC, frozen=True):
    """Any other news of an order, also in a word that is not known: `status` has it."""


class WholeOrderBody(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """The body of the event of a whole order."""

    provider: str = ""
    order_id: str
    items: tuple[str, ...] = ()
    failed_items: tuple[str, ...] = ()
    item_count: int | None = None
    status: str = ""
    late: bool = False
    expires_at: datetime | None = None
    documents: Mapping[str, Any] = Field(default={}, repr=False)
    """The document of each item, by its id or name; empty if they are too large together. They may have links that let
    anybody download."""


class WholeOrder(ImageryEvent, ABC, frozen=True):
    """An event about a whole order, which a receiver makes of the events of its items: see `on(..., whole_order=True)`.

    Of one that is ready `items` are all items; of one that is partly ready those that are, and `failed_items` the
    others that have ended; of one that has failed the items that have.
    """

    event: str = ""
    body: WholeOrderBody

    @property
    def provider(self) -> str:
        """The provider's name, such as "planet"."""
        return self.body.provider

    @property
    def order_id(self) -> str:
        """The provider's id of the order, as text."""
        return self.body.order_id

    @property
    def items(self) -> tuple[str, ...]:
        """The ids or names of the items of the order, in the order in which they ended."""
        return self.body.items

    @property
    def failed_items(self) -> tuple[str, ...]:
        """The ids or names of the items that have failed."""
        return self.body.failed_items

    @property
    def item_count(self) -> int | None:
        """The number of items of the order, as it was told last; None if the order has ended without one."""
        return self.body.item_count

    @property
    def status(self) -> str:
        """The provider's own word for how the order ended, or its last item."""
        return self.body.status

    @property
    def late(self) -> bool:
        """Whether it tells the order again, since an item came, or ended in another way, after it was told."""
        return self.body.late

    @property
    def document(self) -> Mapping[str, Any]:
        """The provider's document about each item, by the item's id or name; empty if they are too large together."""
        return self.body.documents

    @property
    def expires_at(self) -> datetime | None:
        """The time at which the first of the items' download links ends; None where no document says."""
        return self.body.expires_at

    @property
    def identity(self) -> tuple[str, ...]:
        """The order's id, and a digest of its items and of how they ended."""
        ends = [self.event, sorted(self.body.items), sorted(self.body.failed_items)]
        return (self.body.order_id, sha256(json.dumps(ends).encode()).hexdigest()[:32])


class WholeOrderReady(WholeOrder, ImageryReady, frozen=True):
    """All that was ordered is ready to be downloaded."""

    event: Literal["imagery.order.ready"] = "imagery.order.ready"


class WholeOrderPartlyReady(WholeOrder, ImageryPartlyReady, frozen=True):
    """An order has ended, and a part of what was ordered is ready."""

    event: Literal["imagery.order.partly-ready"] = "imagery.order.partly-ready"


class WholeOrderFailed(WholeOrder, ImageryFailed, frozen=True):
    """An order has ended, and nothing of it is ready."""

    event: Literal["imagery.order.failed"] = "imagery.order.failed"


WHOLE_ORDER_EVENTS: tuple[type[WholeOrder], ...] = (WholeOrderReady, WholeOrderPartlyReady, WholeOrderFailed)
"""The events of whole orders."""


class OrderBody(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """The body of `order.status`. Only `status` is certain; other fields are in `model_extra`."""

    status: OrderStatus


class OrderStatusChanged(Event, frozen=True):
    """The event `order.status`: an order has a new status, of `OrderStatus` or any other."""

    event: Literal["order.status"]
    body: OrderBody

    @property
    def provider(self) -> str:
        """The name of the sender, if a receiver or `webhook_receiver.testing.make` made the event; else empty."""
        return str(vars(self).get("_provider", ""))

    @property
    def status(self) -> OrderStatus:
        """The order's new status."""
        return self.body.status

    @property
    def order_id(self) -> str | None:
        """The order's id, as text: a text, a whole number or a UUID at the first place that has one; None without one.

        The places are those of `Sender.order_id_paths`. An event has them if a receiver parsed it, or
        `webhook_receiver.testing.make` made it; one from `model_validate` has none, and so no id.
        """
        for path in vars(self).get("_order_id_paths", ()):
            found = value_at(self, path)
            if isinstance(found, _IDS) and not isinstance(found, bool) and found != "":
                return str(found)
        return None

    @property
    def identity(self) -> tuple[str, ...] | None:
        """The order's id and its new status; None without an id."""
        order_id = self.order_id
        return None if order_id is None else (order_id, self.body.status)

    def with_order_id_paths(self, paths: Sequence[Path], provider: str = "") -> Self:
        """Set the places of the order's id and the sender's name, and return the event itself.

        Args:
            paths: the places, as keys and indices; the first that has an id counts.
            provider: the name of the sender.
        """
        vars(self)["_order_id_paths"] = paths  # no field, but copied and pickled with the fields
        vars(self)["_provider"] = provider
        return self


class FulfilledBody(OrderBody, frozen=True):
    """The body of `order.status` with the status FULFILLED."""

    status: Literal[OrderStatus.FULFILLED]


class OrderFulfilled(OrderStatusChanged, ImageryReady, frozen=True):
    """The event `order.status` with the status FULFILLED: all that was ordered is ready to be downloaded."""

    body: FulfilledBody


class FailedPermanentlyBody(OrderBody, frozen=True):
    """The body of `order.status` with the status FAILED_PERMANENTLY."""

    status: Literal[OrderStatus.FAILED_PERMANENTLY]


class OrderFailedPermanently(OrderStatusChanged, ImageryFailed, frozen=True):
    """The event `order.status` with the status FAILED_PERMANENTLY: the order has failed for good, or was cancelled."""

    body: FailedPermanentlyBody


class OrderProgress(OrderStatusChanged, ImageryProgress, frozen=True):
    """The event `order.status` with any other status that no class claims. Every such event is one."""


ORDER_EVENTS: tuple[type[Event], ...] = (OrderStatusChanged, OrderFulfilled, OrderFailedPermanently)
"""The events that any sender of orders may have."""


def order_id_of(event: Event) -> str | None:
    """Return the id of an event's order, the default ordering key; None for an event about anything else."""
    return cast("ImageryEvent", event).order_id if _is_about_order(type(event)) else None


@lru_cache(maxsize=1024)
def _is_about_order(cls: type[Event]) -> bool:
    return issubclass(cls, OrderStatusChanged | ImageryEvent)


def identity_of(event: Event) -> Sequence[str] | None:
    """Return the identity of an event by its class. See `Event.identity`."""
    return event.identity


def has_own_id(cls: type[Event]) -> bool:
    """Return whether a class of events says which id of the sender's its events have."""
    return cls.delivery_id is not Event.delivery_id


def is_abstract(cls: type[Event]) -> bool:
    """Return whether a class of events has no documents of its own, as it says by `ABC` among its bases."""
    return ABC in cls.__bases__


def parsed_paths(dotted: Sequence[str]) -> tuple[Path, ...]:
    """Return places that are given as texts, such as "order.number" or "items.0.id".

    Raises:
        ConfigurationError: a text is no such place, or a single text is given in place of a list.
    """
    given: object = dotted
    if not isinstance(given, Sequence) or isinstance(dotted, str) or not all(map(_is_place, dotted)):
        raise ConfigurationError(f'order_id_paths is a list such as ["order.number", "items.0.id"], not {dotted!r}')
    return tuple(tuple(int(key) if key.isdecimal() else key for key in path.split(".")) for path in dotted)


def _is_place(path: object) -> bool:
    return isinstance(path, str) and all(path.split("."))


def value_at(value: Any, path: Path) -> Any:
    """Return the value at a place in the sender's document; None without one."""
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
    """Return the name of the model's field for a key of the sender's document; None without one."""
    return next((name for name, info in model.model_fields.items() if key in wire_names(name, info)), None)


def wire_names(name: str, info: FieldInfo) -> list[Key]:
    """Return the keys that a field may have in the sender's document. An alias that is a path is no key."""
    alias = info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
    return [choice for choice in choices if isinstance(choice, str)]
