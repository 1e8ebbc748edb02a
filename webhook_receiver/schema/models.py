"""JSON Schemas of event classes, as the documents of a sender are before they are parsed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, cast

from pydantic import AliasPath, BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from ..events import Event, OrderStatus

Schema = dict[str, Any]
REFERENCE = "#/components/schemas/{model}"
_OTHER = re.compile(r"[^a-zA-Z0-9._-]+")


def key_of(text: str) -> str:
    """Return a text as the key of a component may be, of letters, digits, ".", "-" and "_"."""
    return _OTHER.sub(".", text.replace("<", "").replace(">", "")).strip(".") or "event"


def schemas_of(
    classes: Sequence[type[Event]], statuses: Mapping[str, OrderStatus]
) -> tuple[dict[type[Event], str], dict[str, Schema]]:
    """Return the names of the schemas of event classes, and all schemas by name.

    Args:
        classes: the event classes.
        statuses: the sender's spellings of order statuses, which its documents have in place of ours.
    """

    class Generator(_Generator):
        spellings = statuses

    # By our own places: in the order of the classes, so that names are the same each time.
    found, document = models_json_schema(
        [(cls, "validation") for cls in classes], ref_template=REFERENCE, schema_generator=Generator
    )
    names = {cls: found[cls, "validation"]["$ref"].rpartition("/")[2] for cls in classes}
    definitions: dict[str, Schema] = document.get("$defs", {})
    keys = {name: key_of(name) for name in definitions}
    schemas = {keys[name]: cast("Schema", with_references(schema, keys)) for name, schema in definitions.items()}
    return {cls: keys[name] for cls, name in names.items()}, schemas


def with_references(value: object, names: Mapping[str, str]) -> object:
    """Return a document whose references to schemas have other names."""
    if isinstance(value, dict):
        given = cast("dict[str, object]", value)
        return {key: with_references(each, names) for key, each in given.items()}
    if isinstance(value, list):
        return [with_references(each, names) for each in cast("list[object]", value)]
    if isinstance(value, str) and value.startswith(_BEGIN):  # a "$ref", or in the mapping of a discriminator
        return _BEGIN + names.get(value.removeprefix(_BEGIN), value.removeprefix(_BEGIN))
    return value


_BEGIN = REFERENCE.format(model="")


def merged(known: dict[str, Schema], schemas: Mapping[str, Schema]) -> dict[str, str]:
    """Add schemas to those that are known, and return their names: new ones where others have them."""
    others = [{key: each for key, each in known.items() if each != schema} for schema in schemas.values()]
    names = {name: free_key(name, taken) for name, taken in zip(schemas, others, strict=True)}
    for name, schema in schemas.items():
        known[names[name]] = cast("Schema", with_references(schema, names))
    return names


def free_key(name: str, taken: Mapping[str, object]) -> str:
    """Return a key that is not taken: itself, or itself with a number."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


_NO_OTHERS: Any = Enum._missing_


class _Generator(GenerateJsonSchema):
    """The generator of pydantic, for what a receiver takes besides: nested places, spellings, words not yet known."""

    spellings: Mapping[str, OrderStatus] = {}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return the schema of a model, with fields that are at a path where that is."""
        made = super().model_schema(schema)
        cls: type[BaseModel] = schema["cls"]
        for name, field in cls.model_fields.items():
            alias = field.validation_alias
            if isinstance(alias, AliasPath) and len(alias.path) > 1 and name in made.get("properties", {}):
                _move(made, name, [*alias.path])
        return made

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """Return the schema of an enum: of one that takes other values, too, its members are examples."""
        made = super().enum_schema(schema)
        missing: Any = schema["cls"]._missing_
        if missing.__func__ is not _NO_OTHERS.__func__ and "enum" in made:
            made["examples"] = made.pop("enum")
        return made

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        """Return the schema of literals, with the sender's own spellings of a status beside ours."""
        expected: list[Any] = [*schema["expected"]]
        spelt = [text for text, status in self.spellings.items() if status in expected and text not in expected]
        return super().literal_schema({**schema, "expected": [*expected, *spelt]})


def _move(schema: Schema, name: str, path: Sequence[str | int]) -> None:
    """Move a property of a schema to a path."""
    moved = schema["properties"].pop(name)
    is_required = name in schema.get("required", [])
    schema["required"] = [each for each in schema.get("required", []) if each != name]
    if not schema["required"]:
        del schema["required"]
    nested = at(path, moved, is_required=is_required)
    schema.setdefault("allOf", []).append(nested)


def at(path: Sequence[str | int], schema: Schema, *, is_required: bool = True) -> Schema:
    """Return the schema of a document that has a value by a schema at a path."""
    for step in reversed(path):
        if isinstance(step, int):
            schema = {"type": "array", "prefixItems": [*[{}] * step, schema], "minItems": step + 1}
        else:
            schema = {"type": "object", "properties": {step: schema}, **({"required": [step]} if is_required else {})}
    return schema
