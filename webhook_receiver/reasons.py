"""What is wrong with a body, in words that hold nothing the sender wrote."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel, ValidationError

_PLAIN = frozenset(
    {
        *("missing", "json_invalid", "enum", "literal_error", "extra_forbidden", "none_required"),
        *("string_type", "int_type", "float_type", "bool_type", "list_type", "dict_type", "model_type"),
        *("model_attributes_type", "int_parsing", "float_parsing", "bool_parsing", "int_from_float", "finite_number"),
        *("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"),
        *("string_too_short", "string_too_long", "string_pattern_mismatch", "too_short", "too_long"),
    }
)
"""The kinds of pydantic's complaints whose message quotes the model, never the document."""


def reason(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Say what is wrong and where; only keys that `model` declares are named."""
    declared = _declared(model) if model else frozenset[str]()
    found = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = [
        _place(detail["loc"], declared) + (detail["msg"] if detail["type"] in _PLAIN else detail["type"])
        for detail in found[:3]
    ]
    more = [f"and {len(found) - 3} more"] if len(found) > 3 else []
    return "; ".join(reasons + more)


def _place(loc: tuple[int | str, ...], declared: frozenset[str]) -> str:
    keys = [str(key) if isinstance(key, int) or key in declared else "?" for key in loc]
    return ".".join(keys) + ": " if keys else ""


@lru_cache(maxsize=256)
def _declared(model: type[BaseModel]) -> frozenset[str]:
    """Return the keys that the model and those below it declare."""
    try:
        return frozenset(_properties(model.model_json_schema()))
    except Exception:  # a type that JSON schema does not know
        return frozenset()


def _properties(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        node = cast("dict[str, Any]", schema)
        yield from node.get("properties", {})
        schema = list(node.values())
    if isinstance(schema, list):
        for each in cast("list[object]", schema):
            yield from _properties(each)
