"""Factories of events for tests: fields that a test does not give get values by their types, the same each time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from math import ceil, inf
from typing import Any, TypeVar, cast
from uuid import UUID

from pydantic import PydanticInvalidForJsonSchema, ValidationError

from ..events import Event, OrderStatusChanged, is_abstract, parsed_paths, wire_names
from ..redaction import reason
from ..senders.up42.events import ORDER_ID_PATHS
from .wire import as_sent

E = TypeVar("E", bound=Event)
Schema = Mapping[str, Any]

_ORDER_ID_PATHS = parsed_paths(ORDER_ID_PATHS)
_START = datetime(2026, 1, 1, tzinfo=UTC)
_FORMATS: dict[str, Callable[[str, int], str]] = {
    "date-time": lambda name, number: (_START + timedelta(seconds=number)).isoformat(),
    "date": lambda name, number: (_START + timedelta(days=number)).date().isoformat(),
    "time": lambda name, number: (_START + timedelta(seconds=number)).time().isoformat(),
    "duration": lambda name, number: f"PT{number}S",
    "uuid": lambda name, number: str(UUID(int=number)),
    "uri": lambda name, number: f"https://example.com/{name}-{number}",
    "email": lambda name, number: f"{name}-{number}@example.com",
    "ipv4": lambda name, number: f"192.0.2.{number % 256}",
    "ipv6": lambda name, number: f"2001:db8::{number:x}",
}
"""A function of a field's name and a number for each format of JSON Schema, as pydantic names these."""


def make(cls: type[E], number: int = 1, /, **values: Any) -> E:
    """Return an event as its sender might send it. Fields that are not given and have no default are filled.

        make(OrderFulfilled, order_id="o-7")
        make(ShipmentCreated, body={"carrier": "DHL"})

    Args:
        cls: the event's class, of this package or your own.
        number: a number that other ids, texts and times come from: another number makes another event.
        values: the values of fields, by their names in the class or in the sender's documents. For a field that is a
            model, a dict with some of its fields. `order_id` is put where UP42's documents are taken to have it; None
            for an order without an id.

    Raises:
        ValueError: a field cannot be filled. The message says which one, and how to give it.
    """
    if is_abstract(cls):
        raise ValueError(f"{cls.__name__} is abstract, and no event is one: make one of its subclasses")
    try:
        schema = cls.model_json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise ValueError(
            f"{cls.__name__} cannot be made: {error.message}; make it of what the sender sends, "
            f"with {cls.__name__}.model_validate({{...}})"
        ) from None
    about_order = issubclass(cls, OrderStatusChanged) and "order_id" not in cls.model_fields
    order_id = values.pop("order_id", _FILL) if about_order else None
    names = {name: str((wire_names(name, info) or [name])[0]) for name, info in cls.model_fields.items()}
    given = {names.get(name, name): as_sent(value) for name, value in values.items()}
    try:
        document = _Filling(schema.get("$defs", {}), number).fill("event", schema, given)
    except RecursionError:
        raise ValueError(f"{cls.__name__} cannot be made: a model needs one of its own kind in itself") from None
    if about_order:
        _put_order_id(document, order_id, number)
    try:
        event = cls.model_validate_json(json.dumps(document))
        if isinstance(event, OrderStatusChanged):
            event.with_order_id_paths(_ORDER_ID_PATHS, "up42")
    except ValidationError as error:
        raise ValueError(_how_to_give(cls, error)) from None
    if about_order and order_id not in (_FILL, None) and cast("OrderStatusChanged", event).order_id != str(order_id):
        raise ValueError(f"where {cls.__name__} has its order's id is not known: give it with the field that holds it")
    return event


class _Fill:
    """The type of the value for a field that is not given."""


_FILL = _Fill()


class _Filling:
    """A generator of plain values that fit a JSON schema.

    Args:
        definitions: the schemas that others refer to, by name.
        number: the number that values come from; another number makes other values.
    """

    def __init__(self, definitions: Mapping[str, Schema], number: int) -> None:
        self._definitions = definitions
        self._number = number

    def fill(self, name: str, schema: Schema, given: Any = _FILL) -> Any:
        """Return a value for a field: the given one, completed if it is an object, else one that fits the schema."""
        schema = self._resolved(schema)
        if "properties" in schema and (given is _FILL or isinstance(given, Mapping)):
            return self._object(schema, {} if given is _FILL else cast("Mapping[str, Any]", given))
        if given is not _FILL:
            return given
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if "enum" in schema:
            return schema["enum"][0]
        match schema.get("type"):
            case "string":
                return self._text(name, schema)
            case "integer" | "number":
                return self._number_in(schema)
            case "array":
                return self._array(name, schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return cast("dict[str, Any]", {})

    def _resolved(self, schema: Schema) -> Schema:
        """Return the schema behind references; of several alternatives, the first that is not null."""
        while True:
            kinds: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
            if "$ref" in schema:
                schema = self._definitions[schema["$ref"].rpartition("/")[2]]
            elif kinds:
                schema = next((kind for kind in kinds if kind.get("type") != "null"), kinds[0])
            else:
                return schema

    def _object(self, schema: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
        properties: Mapping[str, Schema] = schema["properties"]
        wanted = [name for name in properties if name in given or name in schema.get("required", ())]
        filled = {name: self.fill(name, properties[name], given.get(name, _FILL)) for name in wanted}
        return filled | {name: value for name, value in given.items() if name not in properties}

    def _text(self, name: str, schema: Schema) -> str:
        if made := _FORMATS.get(schema.get("format", "")):
            return made(name, self._number)
        text = f"{name}-{self._number}"
        return text.ljust(schema.get("minLength", 0), "-")[: schema.get("maxLength")]

    def _number_in(self, schema: Schema) -> Any:
        """Return the number, or the nearest one that the schema allows."""
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        least = schema.get("minimum", -inf if above is None else above + 1)
        most = schema.get("maximum", inf if below is None else below - 1)
        if least > most and above is not None and below is not None:
            return (above + below) / 2
        value = max(least, min(self._number, most))
        step = schema.get("multipleOf")
        return value if step is None else ceil(value / step) * step

    def _array(self, name: str, schema: Schema) -> list[Any]:
        """Return an array of as few items as the schema allows."""
        first = [self.fill(name, each) for each in schema.get("prefixItems", ())]
        missing = range(schema.get("minItems", 0) - len(first))
        more = [_Filling(self._definitions, self._number + n).fill(name, schema.get("items", {})) for n in missing]
        return first + more


def _put_order_id(document: Any, order_id: Any, number: int) -> None:
    """Set the id of an order at the place that has one already, else at the first place of `ORDER_ID_PATHS`."""
    for *way, key in _ORDER_ID_PATHS:
        holder: Any = document
        try:
            for step in way:
                holder = holder[step]
            holder[key]
        except (KeyError, TypeError):
            continue
        if order_id is not _FILL:
            holder[key] = as_sent(order_id)
        return
    if order_id is not None and isinstance(document.get("body"), dict):
        document["body"]["orderId"] = str(UUID(int=number)) if order_id is _FILL else as_sent(order_id)


def _how_to_give(cls: type[Event], error: ValidationError) -> str:
    """Say which field could not be filled, and how to give it; a validator of the whole model names none."""
    field, *below = error.errors(include_url=False)[0]["loc"] or ("field",)
    value = "..."
    for key in reversed(below):
        value = f"[{value}]" if isinstance(key, int) else f"{{{key!r}: {value}}}"
    field = next((name for name, info in cls.model_fields.items() if field in wire_names(name, info)), field)
    return f"{cls.__name__} cannot be made: {reason(error, cls)}. Give it: make({cls.__name__}, {field}={value})"
