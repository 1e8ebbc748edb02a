"""The base class of providers' events, and the reading by which a provider's document becomes one.

What differs between providers is where their documents have the status, the order, the items and the end of a link. A
`Reading` is told these places, and makes the same document of all of them, with the provider's own one in it.
"""

from __future__ import annotations

import json
import re
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, cast

from pydantic import BaseModel, Field
from pydantic_core import from_json, to_json

from ...delivery import Headers
from ...errors import NotAnEvent
from ...events import Event, ImageryEvent
from ...json_repair import parsed
from ...signatures import Scheme
from ..base import OrderItems, Sender
from ..event_names import Place, place_of
from ..split import Split
from .statuses import Outcome, Statuses

_EACH = Split("*")
_PLACES = ("status", "order_id", "item", "expires_at", "item_count")

Places = tuple[str, ...]
"""Places of a value, in a document or beside it, such as ("orderInfo.id", "query:order"): the first that has one
counts. They are written as those of `Sender.event_name`."""


@dataclass(frozen=True, kw_only=True)
class DocumentPlaces:
    """The places of values in documents that nobody has published, for whoever has seen some.

    Until then the URL says it: `https://example.com/webhooks/SECRET?order=7&status=complete`.
    """

    status: Places = ("query:status",)
    """The places of the status; without one it is empty, and the event is progress."""
    order_id: Places = ("query:order",)
    """The places of the order's id."""
    item: Places = ()
    """The places of the item's id or name."""
    expires_at: Places = ()
    """The places of the time at which a download link ends, by RFC 3339."""
    item_count: Places = ()
    """The places of the number of items of the whole order."""


URL_PLACES = DocumentPlaces()
"""The places in the URL."""


class Imagery(BaseModel, frozen=True, hide_input_in_errors=True):
    """What a provider's document says, in the words of all providers."""

    order_id: str | None = None
    items: tuple[str, ...] = ()
    status: str = ""
    expires_at: datetime | None = None
    item_count: int | None = None
    """The number of items of the whole order; None where the document does not tell it."""
    id: str | None = None
    """The provider's id of this news, the same when it is sent again; None without one."""
    document: Any = Field(default=None, repr=False)
    """The provider's document, which may have links that let anybody download."""


class ProviderEvent(ImageryEvent, ABC, frozen=True):
    """The base class of the events of providers that are read by a `Reading`. Their names begin with the provider's."""

    body: Imagery = Imagery()

    @property
    def provider(self) -> str:
        """The provider's name, such as "planet"."""
        return self.event.partition(".")[0]

    @property
    def order_id(self) -> str | None:
        """The provider's id of the order, as text; None where the document has none."""
        return self.body.order_id

    @property
    def items(self) -> tuple[str, ...]:
        """The ids or names of the items of the order that the event is about; empty where the document has none."""
        return self.body.items

    @property
    def status(self) -> str:
        """The provider's own word for what happened; empty where the document has none."""
        return self.body.status

    @property
    def document(self) -> Mapping[str, Any]:
        """The provider's document about it, as JSON; of one with several items, the part about this one."""
        found: object = self.body.document
        return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {"body": found}

    @property
    def expires_at(self) -> datetime | None:
        """The time at which the document's download link ends; None where it does not say."""
        return self.body.expires_at

    @property
    def item_count(self) -> int | None:
        """The number of items of the whole order; None where the document does not tell it."""
        return self.body.item_count

    @property
    def delivery_id(self) -> str | None:
        """The provider's id of the news; None without one."""
        return self.body.id

    @property
    def identity(self) -> tuple[str, ...] | None:
        """The id of the news; without one the order, its items and the status; None without any of these.

        The same status of a thing at two times is news twice, where the id has the time.
        """
        body = self.body
        if body.id is not None:
            return (body.id,)
        if body.order_id is None and not body.items:
            return None
        return (body.order_id or "", body.status.casefold(), *body.items)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The function of a body that returns the document of a `ProviderEvent`, or an array of them.

    It is a sender's `envelope`, or its `decode` if no place is beside the document: `sender` makes such a sender. A
    body that is no object is left as it is, and so is a part that is none.

    Raises:
        ConfigurationError: a place cannot work.
    """

    event: str
    """The first part of the events' names, such as "planet.order"."""
    statuses: Statuses
    """The statuses, by which the last part of a name is told."""
    status: Places = ()
    """The places of the status; without one it is empty, and the event is progress."""
    order_id: Places = ()
    """The places of the order's id."""
    item: Places = ()
    """The places of the item's id or name."""
    expires_at: Places = ()
    """The places of the time at which a download link ends, by RFC 3339."""
    item_count: Places = ()
    """The places of the number of items of the whole order."""
    id: tuple[Places, ...] = ()
    """The places whose values together are the id of the news; one that is not there, and there is no id."""
    parts: Split | None = None
    """The place of the items, for a provider that puts several into one document: the result is an array then."""
    where: tuple[str, str] | None = None
    """A place and the value there of the documents that are read; others are left as they are. None for all."""
    reads_all: bool = False
    """Whether a body that is no object is read as well."""

    def __post_init__(self) -> None:
        for text in self._texts():
            place_of(text)

    def __call__(self, body: bytes, headers: Headers = ()) -> bytes:
        """Return the document, or the array of documents, that a body becomes."""
        if self.parts is None:
            document: object = _parsed(body)
            if not self._is_read(document, headers):
                return body
            return _written(self.read(document, headers))
        try:
            wholes = _EACH.parts(body)
            # Without items it is an event as well, and not without news.
            parts = [part for whole in wholes for part in self.parts.parts(whole) or [whole]]
        except NotAnEvent:
            return body  # which is none
        found = [_parsed(part) for part in parts]
        if found == [None]:
            return body
        return _written([self.read(each, headers) if self._is_read(each, headers) else each for each in found])

    def read(self, document: Any, headers: Headers) -> dict[str, Any]:
        """Return the document of the event that a document of the provider, or a part of one, becomes."""
        status = self._text("status", document, headers) or ""
        item = self._text("item", document, headers)
        expires_at = _time(self._text("expires_at", document, headers))
        told = {
            "order_id": self._text("order_id", document, headers),
            "items": [] if item is None else [item],
            "status": status,
            "expires_at": None if expires_at is None else expires_at.isoformat(),
            "id": self._id(document, headers),
            "document": document,
        }
        item_count = _count(self._text("item_count", document, headers))
        if item_count is not None:  # else the document stays what it was in earlier versions, of which it is the key
            told["item_count"] = item_count
        return {"event": f"{self.event}.{self.outcome(status, document)}", "body": told}

    def outcome(self, status: str, document: Any) -> Outcome:
        """Return what a status means, in a document."""
        return self.statuses.outcome(status)

    def name_places(self, event: str) -> list[tuple[str, str]]:
        """Return the place of the status, and a word there that makes an event of a name; none for any other name."""
        kind, _, outcome = event.rpartition(".")
        if kind != self.event or outcome not in [*Outcome] or not self.status:
            return []
        words = [word for word, means in self.statuses.words() if means == outcome]
        words += [Outcome.PROGRESS.value] if outcome == Outcome.PROGRESS else []  # as any word is that is not known
        return [(self.status[0], word) for word in words[:1]]

    def document_of(self, event: Event) -> object:
        """Return a document that becomes an event, as its provider may send it; None if none does.

        What is beside documents, as in the URL, is not in it.
        """
        if not isinstance(event, ProviderEvent):
            return None
        body = event.body
        if body.document is not None:
            return body.document
        word = next((word for _, word in self.name_places(event.event)), "")
        values = {
            "status": body.status or word,
            "order_id": body.order_id,
            "item": next(iter(body.items), None),
            "expires_at": None if body.expires_at is None else body.expires_at.isoformat(),
        }
        found = [(places[0], values.get(name)) for name, places in self._places.items() if places]
        document: dict[str, Any] = {}
        for place, value in [*found, *([] if self._where is None else [self._where])]:
            if value and place.kind == "":
                *way, last = map(str, place.path)
                holder = document
                for step in way:
                    holder = holder.setdefault(step, {})
                holder[last] = value
        return document

    def sender(self, name: str, scheme: Scheme, events: tuple[type[Event], ...], **parts: Any) -> Sender:
        """Return the sender whose bodies are read so.

        Args:
            name: the sender's name.
            scheme: the sender's scheme.
            events: the classes of its events.
            parts: the other parts of `Sender`, such as `facts`; `order_items` is told by the places if it is left out.

        Raises:
            ConfigurationError: a part cannot work.
        """
        places = {text: place_of(text) for text in self._texts()}
        parts.setdefault("order_items", self.order_items)
        beside = any(place.kind != "" for place in places.values())
        return Sender(
            name=name,
            scheme=scheme,
            events=events,
            decode=None if beside else self,
            envelope=self if beside else None,
            url_places=tuple(text for text, place in places.items() if place.kind in ("query", "path")),
            split=None if self.parts is None else _EACH,
            **parts,
        )

    @property
    def order_items(self) -> OrderItems:
        """How the items of an order are told, as the places show: see `Sender.order_items`."""
        if self.item_count:
            return "counted"
        return "whole" if self.order_id and not self.item and self.parts is None else "unknown"

    def _texts(self) -> list[str]:
        where = [] if self.where is None else [self.where[0]]
        ids = [text for places in self.id for text in places]
        return [*self.status, *self.order_id, *self.item, *self.expires_at, *self.item_count, *ids, *where]

    def _is_read(self, document: Any, headers: Headers) -> bool:
        if not isinstance(document, dict):
            return self.reads_all
        return self._where is None or self._where[0].value(document, headers) == self._where[1]

    def _id(self, document: Any, headers: Headers) -> str | None:
        found: list[str | None] = []
        for texts, places in zip(self.id, self._id_places, strict=True):
            value = _first(places, document, headers)
            # A push and an API may spell a status in two ways.
            is_status = not {*texts}.isdisjoint(self.status)
            found.append(value if value is None or not is_status else value.casefold())
        return id_of(found)

    def _text(self, name: str, document: Any, headers: Headers) -> str | None:
        return _first(self._places[name], document, headers)

    @cached_property
    def _where(self) -> tuple[Place, str] | None:
        return None if self.where is None else (place_of(self.where[0]), self.where[1])

    @cached_property
    def _places(self) -> Mapping[str, Sequence[Place]]:
        texts = {name: getattr(self, name) for name in _PLACES}
        return {name: [*map(place_of, given)] for name, given in texts.items()}

    @cached_property
    def _id_places(self) -> Sequence[Sequence[Place]]:
        return [[*map(place_of, given)] for given in self.id]


def _parsed(body: bytes) -> Any:
    """Return the value of a body that is JSON, or can be repaired to be; None for any other."""
    try:
        return from_json(body, cache_strings="keys")
    except ValueError:
        return parsed(body)


def _written(value: object) -> bytes:
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError:  # it is nested too deep
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _first(places: Sequence[Place], document: Any, headers: Headers) -> str | None:
    return next((found for place in places if (found := place.value(document, headers)) is not None), None)


def _time(text: str | None) -> datetime | None:
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)


def _count(text: str | None) -> int | None:
    """Return a number of items, from 1 on; None for any other text."""
    found = int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else 0
    return found or None


def _same_time(text: str) -> str:
    """Return a time by RFC 3339 in one spelling, since a push and an API may use two; any other text as it is.

    One of them may tell microseconds, and the other one none beyond milliseconds.
    """
    time = _time(text) if _IS_TIME.match(text) else None
    try:
        return text if time is None else time.astimezone(UTC).isoformat(timespec="milliseconds")
    except OverflowError:  # at an end of the calendar
        return text


_IS_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")


def id_of(values: Sequence[str | None]) -> str | None:
    """Return the id that several values are together, unlike that of any others; None if one is missing."""
    found = [_same_time(value) for value in values if value is not None]
    if not found or len(found) < len(values):
        return None
    return found[0] if len(found) == 1 else json.dumps(found, ensure_ascii=False)
