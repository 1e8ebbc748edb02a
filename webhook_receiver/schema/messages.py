"""The messages that a receiver takes: what can come, by what schema, and which handlers it has."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..event_registry import event_names_of
from ..events import Event, UnknownEvent
from ..routing import Handler
from ..senders import Sender
from ..senders.event_names import Place, templates_of
from ..senders.form import form_document
from ..senders.split import Split
from ..signatures.body_forms import gunzipped
from .models import Schema, at, key_of, schemas_of

_READ = "The schema is that of the event as handlers get it. The body is another document, which the receiver reads."
OTHERS = "OtherEvents"
"""The key of the message that is any event without a class."""


class Documented(Protocol):
    """A receiver, as a document of it needs it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def sender(self) -> Sender:
        """Its sender."""
        ...

    @property
    def public_url(self) -> str | None:
        """The URL that the sender posts to; None if it is not known."""
        ...

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All its handlers, fallbacks last."""
        ...

    @property
    def fallbacks(self) -> tuple[Handler, ...]:
        """The handlers of what no other one takes."""
        ...

    @property
    def known_events(self) -> tuple[type[Event], ...]:
        """The event classes that documents become."""
        ...


class Message(NamedTuple):
    """A kind of event that can come."""

    key: str
    """Its name among the messages."""
    names: tuple[str, ...]
    """The sender's names of such events; empty for any."""
    about: str
    """What it is, in sentences."""
    payload: Schema
    """The schema of a body with it."""
    headers: Mapping[str, Schema]
    """The schemas of the headers that tell its name."""
    handlers: tuple[Handler, ...]
    """The handlers that get it, in the order in which they run."""


def messages_of(hooks: Documented) -> tuple[list[Message], dict[str, Schema]]:
    """Return what a receiver can take that has a handler, and the schemas of the event classes.

    A receiver without handlers can take all that it knows.
    """
    sender = hooks.sender
    routed = hooks.handlers[: len(hooks.handlers) - len(hooks.fallbacks)]
    classes = [cls for cls in hooks.known_events if not hooks.handlers or _handlers_of(cls, routed, hooks.fallbacks)]
    names, schemas = schemas_of(classes, sender.statuses)
    wire = _Wire(sender)
    found = [
        Message(
            names[cls],
            event_names_of(cls),
            wire.about(inspect.cleandoc(cls.__doc__ or "")),  # its own: that of a base is not about it
            wire.payload(names[cls], event_names_of(cls)),
            wire.headers(event_names_of(cls)),
            _handlers_of(cls, routed, hooks.fallbacks),
        )
        for cls in classes
    ]
    for cls in classes:
        wire.take_name_out(schemas[names[cls]])
    others = _handlers_of(UnknownEvent, routed, hooks.fallbacks)
    for name in dict.fromkeys(each.route for each in routed if isinstance(each.route, str)):
        handlers = tuple(each for each in routed if each.route == name)
        found.append(
            Message(
                key_of(name),
                (name,),
                "",
                wire.payload(None, (name,)),
                wire.headers((name,)),
                (*handlers, *_plain(others, hooks.fallbacks)),
            )
        )
    if others:
        found.append(
            Message(OTHERS, (), "Any event that has no class here.", wire.payload(None, ()), wire.headers(()), others)
        )
    return found, schemas


def _handlers_of(cls: type[Event], routed: Sequence[Handler], fallbacks: Sequence[Handler]) -> tuple[Handler, ...]:
    """Return the handlers of the events of a class, as they would be matched; `where=` is not asked."""
    matching = [each for above in cls.__mro__ for each in routed if each.route is above]
    return tuple(matching or fallbacks)


def _plain(handlers: Sequence[Handler], fallbacks: Sequence[Handler]) -> list[Handler]:
    return [each for each in handlers if each not in fallbacks]


class _Wire:
    """How a sender's documents differ from what event classes declare: where the name is, and how several are one.

    Args:
        sender: the sender.
    """

    def __init__(self, sender: Sender) -> None:
        self._split = sender.split
        header = None if sender.event_header is None else f"header:{sender.event_header}"
        self._templates = templates_of(header or sender.event_name)
        self._is_rewritten = sender.decode not in (None, form_document, gunzipped) or sender.envelope is not None
        if self._is_rewritten:
            self._templates, self._split = [], None  # of what is read, the schema is that of the class
        first = self._templates[0] if self._templates else []
        self._place = first[0] if len(first) == 1 and len(self._templates) == 1 else None
        """The only place of the name; None if the documents have it as `event`, or at one of several places."""

    def about(self, text: str) -> str:
        """Return what an event is, and how its body differs from the schema, if that is of what handlers get."""
        return "\n\n".join(filter(None, (text, _READ if self._is_rewritten else "")))

    def payload(self, schema: str | None, names: Sequence[str]) -> Schema:
        """Return the schema of a body.

        Args:
            schema: the name of the schema of the event; None for an event without a class.
            names: the event's names.
        """
        parts: list[Schema] = [] if schema is None else [{"$ref": f"#/components/schemas/{schema}"}]
        place = Place("", "event", path=("event",)) if not self._templates else self._place
        if place is not None and place.kind == "" and names and (self._templates or schema is None):
            parts.append(at(place.path, _literal(names)))
        elif place is not None and place.kind == "has":
            parts.append(at(place.path, {}))
        event = parts[0] if len(parts) == 1 else {"allOf": parts} if parts else {"type": "object"}
        return event if self._split is None else _split(event, self._split)

    def headers(self, names: Sequence[str]) -> dict[str, Schema]:
        """Return the schemas of the headers that tell an event's name."""
        headers = [each for template in self._templates for each in template if each.kind == "header"]
        whole = self._place is not None and self._place.kind == "header" and bool(names)
        return {each.name: _literal(names) if whole else {"type": "string"} for each in headers}

    def take_name_out(self, schema: Schema) -> None:
        """Take the name out of the schema of an event class, where the documents have it elsewhere."""
        is_there = self._place is not None and self._place.path == ("event",)
        if not self._templates or is_there or "event" not in schema.get("properties", {}):
            return
        paths = [each.path for template in self._templates for each in template]
        # As the receiver reads it: see `Sender.event_name`.
        is_body = any(path[:1] == ("event",) and len(path) > 1 for path in paths)
        _rename(schema, "body" if is_body else "event", "event" if is_body else None)


def _rename(schema: Schema, name: str, other: str | None) -> None:
    properties: dict[str, Any] = schema["properties"]
    required = [each for each in schema.get("required", []) if each not in (name, other or "event")]
    was_required = name in schema.get("required", [])
    moved = properties.pop(name, None)
    properties.pop("event", None)
    if other is not None and moved is not None:
        properties[other] = moved
        required += [other] if was_required else []
    schema.pop("required", None)
    if required:
        schema["required"] = required


def _literal(names: Sequence[str]) -> Schema:
    return {"const": names[0]} if len(names) == 1 else {"enum": [*names]}


def _split(event: Schema, split: Split) -> Schema:
    """Return the schema of a body with several events."""
    schema: Schema = event
    for step in reversed(split.place.split(".")):
        if step == "*":
            schema = {"type": "array", "items": schema}
        else:
            properties: Schema = dict.fromkeys(step.split("|"), schema)
            schema = {"type": "object", "properties": properties}
    return {"anyOf": [schema, event]} if split.place.startswith("*") else schema


def described(handler: Handler) -> str:
    """Return what a handler says of itself: its docstring; empty without one."""
    return inspect.getdoc(handler.function) or "" if inspect.isroutine(handler.function) else ""


def first_line(text: str) -> str:
    """Return the first sentence of a docstring, without the full stop."""
    return next(iter(text.splitlines()), "").rstrip(".")


def handlers_of(messages: Sequence[Message]) -> Iterator[tuple[Handler, list[Message]]]:
    """Yield each handler once, with the messages that it gets."""
    found: dict[str, tuple[Handler, list[Message]]] = {}
    for message in messages:
        for handler in message.handlers:
            found.setdefault(handler.name, (handler, []))[1].append(message)
    yield from found.values()
