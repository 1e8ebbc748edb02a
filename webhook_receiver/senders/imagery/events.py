"""The base class of providers' events, and the reading by which a provider's document becomes one.

What differs between providers is where their documents have the status, the order, the items and the end of a link. A
`Reading` is told these places, and makes the same document of all of them, with the provider's own one in it.
"""

from __future__ import annotations

import json
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import BaseModel

from ...errors import NotAnEvent
from ...events import ImageryEvent, parsed_paths, value_at
from ...json_repair import parsed
from ..split import Split
from .statuses import Outcome, Statuses

_EACH = Split("*")

Places = tuple[str, ...]
"""Places of a value in a document, such as ("orderInfo.id", "id"): the first that has one counts."""


class Imagery(BaseModel, frozen=True, hide_input_in_errors=True):
    """What a provider's document says, in the words of all providers."""

    order_id: str | None = None
    items: tuple[str, ...] = ()
    status: str = ""
    expires_at: datetime | None = None
    id: str | None = None
    """The provider's id of this news, the same when it is sent again; None without one."""
    document: Any = None
    """The provider's document."""


class ProviderEvent(ImageryEvent, ABC, frozen=True):
    """The base class of the events of providers that are read by a `Reading`. Their names begin with the provider's."""

    body: Imagery

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
    def delivery_id(self) -> str | None:
        """The provider's id of the news; None without one."""
        return self.body.id

    @property
    def identity(self) -> tuple[str, ...] | None:
        """The order, its items and the status; None without an order and items."""
        body = self.body
        if body.order_id is None and not body.items:
            return None
        return (body.order_id or "", body.status, *body.items)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The function of a body that returns the document of a `ProviderEvent`, or an array of them: `Sender.decode`.

    A body that is no object is left as it is, and so is a part that is none.
    """

    event: str
    """The first part of the events' names, such as "planet.order"."""
    statuses: Statuses
    """The statuses, by which the last part of a name is told."""
    status: Places
    """The places of the status; without one it is empty, and the event is progress."""
    order_id: Places
    """The places of the order's id."""
    item: Places = ()
    """The places of the item's id or name."""
    expires_at: Places = ()
    """The places of the time at which a download link ends, by RFC 3339."""
    id: Places = ()
    """The places whose values together are the id of the news; one that is not there, and there is no id."""
    parts: Split | None = None
    """The place of the items, for a provider that puts several into one document: the result is an array then.

    Raises:
        ConfigurationError: a place cannot work.
    """

    def __post_init__(self) -> None:
        for places in (self.status, self.order_id, self.item, self.expires_at, self.id):
            parsed_paths(places)

    def __call__(self, body: bytes) -> bytes:
        """Return the document, or the array of documents, that a body becomes."""
        if self.parts is None:
            document: object = parsed(body)
            return _written(self.read(document)) if isinstance(document, dict) else body
        try:
            wholes = _EACH.parts(body)
            # Without items it is an event as well, and not without news.
            parts = [part for whole in wholes for part in self.parts.parts(whole) or [whole]]
        except NotAnEvent:
            return body  # which is none
        found = [parsed(part) for part in parts]
        if found == [None]:
            return body
        return _written([self.read(each) if isinstance(each, dict) else each for each in found])

    def read(self, document: Any) -> dict[str, Any]:
        """Return the document of the event that a document of the provider, or a part of one, becomes."""
        status = _text(document, self.status) or ""
        item = _text(document, self.item)
        expires_at = _time(_text(document, self.expires_at))
        told = {
            "order_id": _text(document, self.order_id),
            "items": [] if item is None else [item],
            "status": status,
            "expires_at": None if expires_at is None else expires_at.isoformat(),
            "id": _id([_text(document, (place,)) for place in self.id]),
            "document": document,
        }
        return {"event": f"{self.event}.{self.outcome(status, document)}", "body": told}

    def outcome(self, status: str, document: Any) -> Outcome:
        """Return what a status means, in a document."""
        return self.statuses.outcome(status)


def _written(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _text(document: Any, places: Places) -> str | None:
    for path in parsed_paths(places):
        found = value_at(document, path)
        if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
            return str(found)
    return None


def _time(text: str | None) -> datetime | None:
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)


def _id(values: Sequence[str | None]) -> str | None:
    """Return the id that several values are together, unlike that of any others; None if one is missing."""
    found = [value for value in values if value is not None]
    if not found or len(found) < len(values):
        return None
    return found[0] if len(found) == 1 else json.dumps(found, ensure_ascii=False)
