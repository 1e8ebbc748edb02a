"""The registry of event classes, and the parser that builds an event of the right class in one pass over a body.

A class claims documents by its literal fields, the discriminators: `OrderFulfilled` claims those whose `event` is
`order.status` and whose `body.status` is `FULFILLED`. All classes become one pydantic validator (a tagged union) that
looks these values up, so a thousand classes cost what one costs. A document that a class claims but that does not fit
the class is an error; a document that no class claims becomes an `UnknownEvent`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import (
    AliasPath,
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from .errors import ConfigurationError, NotAnEvent
from .events import (
    ORDER_EVENTS,
    Event,
    OrderBody,
    OrderProgress,
    OrderStatus,
    OrderStatusChanged,
    Path,
    UnknownEvent,
    is_abstract,
    wire_names,
)
from .json_repair import repaired
from .redaction import reason

Value = str | int
_NO_FIELD = FieldInfo()
_NO_STATUSES: Mapping[str, OrderStatus] = MappingProxyType({})
Discriminators = Mapping[Path, frozenset[Value]]
"""The values that a class claims, for each place in the document."""


class EventRegistry:
    """The event classes that a receiver knows, and the parser of bodies.

    Args:
        events: the classes that are registered from the start.
        order_id_paths: the places of an order's id in the sender's documents; the first that has one counts.
        statuses: the sender's spellings of order statuses, where they differ from `OrderStatus`.
        provider: the sender's name, which events of orders tell.

    Raises:
        ConfigurationError: as from `add`.
    """

    def __init__(
        self,
        events: Sequence[type[Event]] = ORDER_EVENTS,
        order_id_paths: Sequence[Path] = (),
        statuses: Mapping[str, OrderStatus] = _NO_STATUSES,
        provider: str = "",
    ) -> None:
        self.order_id_paths = order_id_paths
        self._provider = provider
        self._statuses = dict(statuses)
        self._discriminators: dict[type[Event], Discriminators] = {}
        self._owners: dict[Value, list[type[Event]]] = {}
        self._names: set[str] = set()
        self._about_orders: set[type[Event]] = set()
        """The classes of events with the body of an order; isinstance() of a pydantic class would cost too much."""
        self._validator: SchemaValidator | None = None
        for cls in events:
            self.add(cls)
        if statuses:
            self.add(OrderStatusChanged)  # which has a status in any spelling

    def add(self, cls: type[Event]) -> None:
        """Register a class, so that the documents that it claims become its events. An abstract one claims none.

        Raises:
            ConfigurationError: the class is not fully defined or has no literal `event`, or a class or name that is
                registered already claims the same documents.
        """
        if cls is OrderProgress:
            cls = OrderStatusChanged  # whose events it has, see `_validator`
        if cls in self._discriminators or cls in (Event, UnknownEvent) or is_abstract(cls):
            return
        try:
            cls.model_rebuild()  # nothing, unless it was declared before a class that it names
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise ConfigurationError(f"{cls.__name__} is not fully defined: {error.message}") from None
        if "event" not in cls.model_fields:  # annotated Final or ClassVar, or not at all
            raise ConfigurationError(
                f'{cls.__name__}.event is no field of the document: write `event: Literal["shipment.created"]`, '
                "with the name of its events"
            )
        discriminators = _discriminators(cls)
        name = discriminators.get(_name_path(cls))
        if name is None:
            raise ConfigurationError(
                f"{cls.__name__} does not say which events are its own: "
                f'give it a literal name, such as `event: Literal["shipment.created"]`'
            )
        for other in [owner for value in name for owner in self._owners.get(value, [])]:
            if _overlap(cls, discriminators, other, self._discriminators[other]):
                raise ConfigurationError(
                    f"{cls.__name__} and {other.__name__} claim the same documents ({_describe(discriminators)}): "
                    f"make one a subclass of the other, or tell them apart by another literal at "
                    f"{' or '.join(sorted(_dotted(path) for path in self._discriminators[other]))}"
                )
        if taken := self._names & name:
            raise ConfigurationError(
                f"{cls.__name__} claims {taken.pop()!r}, for which a handler was registered by name"
            )
        self._discriminators[cls] = discriminators
        if isinstance(body := cls.model_fields.get("body", _NO_FIELD).annotation, type) and issubclass(body, OrderBody):
            self._about_orders.add(OrderProgress if cls is OrderStatusChanged else cls)
        for value in name:
            self._owners.setdefault(value, []).append(cls)
        self._validator = None

    def add_name(self, name: str) -> None:
        """Register a name of events that have no class, and become `UnknownEvent`.

        Raises:
            ConfigurationError: a registered class claims events of this name.
        """
        if owners := self._owners.get(name):
            cls = owners[0].__name__
            raise ConfigurationError(f"the events named {name!r} are of the class {cls}: register for {cls} instead")
        self._names.add(name)

    @property
    def classes(self) -> tuple[type[Event], ...]:
        """The classes that documents become, in the order of registration; `UnknownEvent` is none of them."""
        return tuple(OrderProgress if cls is OrderStatusChanged else cls for cls in self._discriminators)

    @property
    def names(self) -> frozenset[str]:
        """The names of events that have no class, and that a handler is registered for."""
        return frozenset(self._names)

    def build(self) -> SchemaValidator:
        """Build the validator of all classes. A receiver does so at its start, so that no delivery waits for it."""
        if self._validator is None:
            self._validator = _validator(self._discriminators)
        return self._validator

    def parse(self, body: bytes) -> Event:
        """Return the event in a body, by one pass over it. Only a body that fails is repaired and read again.

        Args:
            body: the bytes of a JSON document.

        Raises:
            NoEventName: the body is no JSON, or has no event name.
            NotAnEvent: the body does not fit the class that claims it.
        """
        why = ""
        try:
            event: Event | None = (self._validator or self.build()).validate_json(body)
        except ValidationError as error:
            event, why = None, reason(error)
        if event is None:
            body = repaired(body)
            event = self._read(body)
        if event is None:  # out here, where no other error with the body in it is the context of this one
            raise NoEventName(why)
        if type(event) in self._about_orders:
            fields: Any = event.__dict__
            if fields["body"].status in self._statuses:
                event = self._respelt(body, cast("OrderStatusChanged", event))
                fields = vars(event)
            fields["_order_id_paths"] = self.order_id_paths  # see `with_order_id_paths`
            fields["_provider"] = self._provider
        return event

    def _read(self, body: bytes) -> Event | None:
        """Return the event in a body, which may be nested deeper than pydantic parses; None without an event name."""
        event: Event | None = None
        try:
            event = self.build().validate_json(body)
        except ValidationError:
            with suppress(ValueError, RecursionError):  # a ValidationError is a ValueError
                event = self.build().validate_python(json.loads(body))
        return event

    def _respelt(self, body: bytes, event: OrderStatusChanged) -> Event:
        """Return the event with the status in our spelling: it is of the class that claims that.

        The body is parsed twice, so that all others are spared a validator in Python: few statuses are spelt otherwise.
        """
        status = self._statuses[event.body.status]
        try:
            document: dict[str, Any] = json.loads(body)
            document["body"]["status"] = status.value
            respelt = json.dumps(document).encode()
        except (LookupError, TypeError, ValueError, RecursionError):  # of a class that has its status elsewhere
            return event.model_copy(update={"body": event.body.model_copy(update={"status": status})})
        return cast("Event", self._read(respelt))  # a claimed document, now as before


class NoEventName(NotAnEvent):
    """The error for a body that no class can claim: it is no JSON object, or has no event name."""


def _reject(cls: type[Event], document: object) -> None:
    """Raise the reason why a document does not fit the class that claims it, by validating it for that class alone."""
    try:
        cls.model_validate_json(json.dumps(document))
        why = f"rejected by {cls.__name__}"
    except ValidationError as error:
        why = f"{reason(error, cls)} (read as {cls.__name__})"
    raise (NoEventName if cls is UnknownEvent else NotAnEvent)(why)  # no ValueError, which a union would catch


def _validator(discriminators: Mapping[type[Event], Discriminators]) -> SchemaValidator:
    *unknown_elsewhere, unknown = _unknown_events(discriminators)

    class AnyEvent:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
            choices = {event: _or_rejected(event, handler) for event in [*discriminators, unknown]}
            if OrderStatusChanged in choices:  # an event that is of no class below it is progress
                choices[OrderStatusChanged] = _or_rejected(OrderStatusChanged, handler, OrderProgress)
            known = [_tree(choices, discriminators, list(discriminators), frozenset())] if discriminators else []
            others = [handler.generate_schema(event) for event in unknown_elsewhere]
            return core_schema.union_schema([*known, *others, choices[unknown]], mode="left_to_right")

    from pydantic import TypeAdapter  # slow to import, and needed when the receiver starts

    adapter: TypeAdapter[Any] = TypeAdapter(AnyEvent)
    return cast("SchemaValidator", adapter.validator)


def _or_rejected(cls: type[Event], handler: GetCoreSchemaHandler, becomes: type[Event] | None = None) -> CoreSchema:
    rejection = core_schema.no_info_plain_validator_function(partial(_reject, cls))
    return core_schema.union_schema([handler.generate_schema(becomes or cls), rejection], mode="left_to_right")


def _tree(
    choices: Mapping[type[Event], CoreSchema],
    discriminators: Mapping[type[Event], Discriminators],
    classes: list[type[Event]],
    spent: frozenset[Path],
) -> CoreSchema:
    """Return a schema that distinguishes classes by one place after the other; those without one more come last."""
    options: list[CoreSchema | tuple[CoreSchema, str]] = []
    while classes:
        path = next((path for cls in classes for path in discriminators[cls] if path not in spent), None)
        if path is None:
            # They overlap, so each is a subclass of another: the narrowest stands for all.
            options.append(choices[max(classes, key=lambda cls: len(cls.__mro__))])
            break
        by_value: dict[Value, list[type[Event]]] = {}
        for cls in classes:
            for value in discriminators[cls].get(path, ()):
                by_value.setdefault(value, []).append(cls)
        branches: dict[Hashable, CoreSchema] = {
            value: _tree(choices, discriminators, owners, spent | {path}) for value, owners in by_value.items()
        }
        options.append(core_schema.tagged_union_schema(branches, discriminator=[[*path]]))
        classes = [cls for cls in classes if path not in discriminators[cls]]
    return core_schema.union_schema(options, mode="left_to_right")


def _unknown_events(discriminators: Mapping[type[Event], Discriminators]) -> list[type[UnknownEvent]]:
    """Return the classes of unknown events: one for each place where a class has its name, UnknownEvent itself last."""
    from pydantic import create_model  # as above

    places = {_name_path(cls): None for cls in discriminators} | {("event",): None}
    return [
        create_model(
            "UnknownEvent",
            __base__=UnknownEvent,
            __module__=UnknownEvent.__module__,
            event=(str, Field(validation_alias=AliasPath(str(path[0]), *path[1:]))),
        )
        for path in places
        if path != ("event",)
    ] + [UnknownEvent]


def event_names_of(cls: type[Event]) -> tuple[str, ...]:
    """Return the names of the events of a class, which is not abstract."""
    return tuple(sorted(map(str, _discriminators(cls).get(_name_path(cls), ()))))


def _discriminators(model: type[BaseModel], above: tuple[type[BaseModel], ...] = ()) -> Discriminators:
    """Return the literal values that a document of a model must have, by place."""
    found: dict[Path, frozenset[Value]] = {}
    for name, info in model.model_fields.items():
        path = _wire_path(name, info)
        if path is None or not (info.is_required() or name == "event"):
            continue
        if (literals := _literals(info.annotation)) and None not in literals:
            found[path] = frozenset(_wire_value(value, f"{model.__name__}.{name}") for value in literals)
        elif isinstance(below := info.annotation, type) and issubclass(below, BaseModel) and below not in above:
            found |= {path + rest: values for rest, values in _discriminators(below, (*above, model)).items()}
    return found


def _literals(annotation: Any) -> list[object]:
    """Return the values that an annotation allows, through aliases and unions; none unless all are literals."""
    origin = get_origin(annotation)
    if origin is Literal:
        return [*get_args(annotation)]
    if origin is Annotated:
        return _literals(get_args(annotation)[0])
    if origin in (Union, UnionType):
        parts = [_literals(each) for each in get_args(annotation)]
        return [value for part in parts for value in part] if all(parts) else []
    alias = getattr(annotation, "__value__", None)  # of `type Name = Literal[...]`
    return [] if alias is None else _literals(alias)


def _wire_value(value: object, field: str) -> Value:
    """Return the value that stands for a literal in JSON.

    Raises:
        ConfigurationError: no document has such a value, since pydantic takes only the member of the enum itself.
    """
    if isinstance(value, str | int):
        return value.value if isinstance(value, Enum) else value
    raise ConfigurationError(
        f"{field} is a literal of {value!r}, which no JSON document has: make {type(value).__name__} a StrEnum "
        "(or an IntEnum), or write the value itself"
    )


def _name_path(cls: type[Event]) -> Path:
    return _wire_path("event", cls.model_fields["event"]) or ("event",)


def _wire_path(name: str, info: FieldInfo) -> Path | None:
    """Return the place of a field in the sender's document; None if it may be at several."""
    if isinstance(info.validation_alias, AliasPath):
        return tuple(info.validation_alias.path)
    names = wire_names(name, info)
    return (names[0],) if len(names) == 1 else None


def _overlap(one: type[Event], one_values: Discriminators, two: type[Event], two_values: Discriminators) -> bool:
    """Return whether two classes may claim the same document, and neither is a subclass of the other."""
    if issubclass(one, two) or issubclass(two, one) or _name_path(one) != _name_path(two):
        return False
    return all(one_values[path] & two_values[path] for path in one_values.keys() & two_values.keys())


def _describe(discriminators: Discriminators) -> str:
    """Return discriminators as text, such as `event: order.status, body.status: FULFILLED or DONE`."""
    return ", ".join(
        f"{_dotted(path)}: {' or '.join(sorted(map(str, values)))}" for path, values in discriminators.items()
    )


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
