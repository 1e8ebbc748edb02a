"""The parser: the events in a body, by the rules of a sender."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from ..delivery import Headers, is_of_order
from ..errors import NotAnEvent
from ..event_registry import EventRegistry, NoEventName
from ..events import WHOLE_ORDER_EVENTS, Event, UnknownEvent
from ..json_repair import parsed
from ..senders import Sender, Split
from ..senders.event_names import EventNames, decoded

_MOST_BODIES = 4  # whose parts are remembered


class Parser:
    """The parser of the bodies of one receiver.

    Args:
        sender: the sender, whose rules these are.
        names: the rule by which its events get their names.
        registry: the classes of events.
        match: a function that returns the handlers of an event. What is no event is one without a name if it has any.
    """

    def __init__(
        self,
        sender: Sender,
        names: EventNames,
        registry: EventRegistry,
        match: Callable[[Event], Sequence[object]],
    ) -> None:
        self._name = sender.name
        self._decode, self._envelope = sender.decode, sender.envelope
        self._split = sender.split
        self._names = names
        self._registry = registry
        self._match = match
        self._latest = deque[tuple[bytes, Headers | None, list[bytes]]](maxlen=_MOST_BODIES)
        """The latest bodies that were split, and their parts: a worker reads one part after the other."""

    def parse(self, body: bytes, headers: Headers, part: int = 0) -> Event:
        """Return one event in a body. See `WebhookReceiver.parse`."""
        if is_of_order(headers):
            return _whole_order(body)
        if self._split is None and part:
            raise NotAnEvent(f"a delivery from {self._name} is one event: there is no part {part} of it")
        parts = None if self._split is None else self._parts(body, headers, self._split)
        if parts is None:
            return self._whole(body, headers)
        if not 0 <= part < len(parts):
            raise NotAnEvent(f"the body has no part {part}: the number of its events is {len(parts)}")
        return self._event(parts[part], headers)

    def parse_all(self, body: bytes, headers: Headers) -> list[Event | Exception]:
        """Return all events in a body, in order; for a part that is none the error with which `parse` would end."""
        if is_of_order(headers):
            return [_caught(self.parse, body, headers)]
        try:
            parts = None if self._split is None else self._parts(body, headers, self._split)
        except NotAnEvent as error:
            return [error.with_traceback(None)]
        if parts is None:
            return [_caught(self._whole, body, headers)]
        return [_caught(self._event, part, headers) for part in parts]

    def number_of_events(self, body: bytes, headers: Headers) -> int:
        """Return the number of events in a body; see `WebhookReceiver.number_of_events`."""
        if is_of_order(headers):
            return 1
        try:
            parts = None if self._split is None else self._parts(body, headers, self._split)
        except NotAnEvent:
            return 1
        return 1 if parts is None else len(parts)

    def _parts(self, body: bytes, headers: Headers, split: Split) -> list[bytes] | None:
        """Return the parts of a body; None if it has no document.

        Raises:
            NotAnEvent: there are too many.
        """
        proven = None if self._envelope is None else headers
        for of, by, parts in [*self._latest]:  # another thread may add one
            if of == body and by == proven:
                return parts
        try:
            parts = split.parts(decoded(body, self._decode, self._envelope, headers))
        except NoEventName:
            return None
        if len(parts) > 1:
            self._latest.append((body, proven, parts))
        return parts

    def _whole(self, body: bytes, headers: Headers) -> Event:
        try:
            document = decoded(body, self._decode, self._envelope, headers)
        except NoEventName as error:
            why = str(error)
        else:
            return self._event(document, headers)
        return self._unnamed(body, why)

    def _event(self, document: bytes, headers: Headers) -> Event:
        try:
            return self._registry.parse(self._names.named(document, headers))
        except NoEventName as error:
            why = str(error)
        # Out here, where no other error is the context of its own.
        return self._unnamed(document, why, headers)

    def _unnamed(self, document: bytes, why: str, headers: Headers = ()) -> Event:
        """Return the event of a document that has no name as it is: the one in a text of JSON, or one without a name.

        Raises:
            NotAnEvent: no handler takes events without a name.
        """
        inner = found = parsed(document)
        while isinstance(inner, str) and inner.lstrip()[:1] in ("{", '"'):
            document = inner.encode(errors="surrogatepass")
            inner = parsed(document)
        if inner is not found and isinstance(inner, dict):
            return self._event(document, headers)
        unnamed = UnknownEvent(event="", body=found)
        if self._match(unnamed):
            return unnamed
        raise NotAnEvent(why)


def _whole_order(body: bytes) -> Event:
    """Return the event of a whole order, whose body is the receiver's own.

    Raises:
        NotAnEvent: somebody has changed it.
    """
    try:
        document: object = json.loads(body)
        named = cast("Mapping[str, object]", document).get("event") if isinstance(document, dict) else None
        cls = next((each for each in WHOLE_ORDER_EVENTS if each.model_fields["event"].default == named), None)
        event = None if cls is None else cls.model_validate(document)
    except (ValueError, RecursionError):
        event = None
    if event is None:
        raise NotAnEvent("the delivery is about a whole order, and its body is not what the receiver wrote")
    return event


def _caught(parse: Callable[[bytes, Headers], Event], body: bytes, headers: Headers) -> Event | Exception:
    try:
        return parse(body, headers)
    except NotAnEvent as error:
        return error.with_traceback(None)
    except Exception as error:  # in a user's validator
        return error
