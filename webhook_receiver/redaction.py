"""Errors in words that repeat nothing of a body: for responses, logs and the inbox."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from functools import lru_cache
from types import TracebackType
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
"""The types of pydantic's errors whose message quotes the model, never the document."""


def reason(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Return where and why a document does not fit; only keys that `model` declares are named."""
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
    """Return the keys that the model and its nested models declare."""
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


_ROOMS = tuple(f"{__package__}.{room}." for room in ("worker", "routing", "testing"))
"""The packages whose frames stand between the event loop and a user's function."""
_MAX_CHAIN = 1000  # errors of one chain that are looked at


def frames_of(error: BaseException) -> tuple[tuple[str, int], ...]:
    """Return the file and the line of each frame of an error's own traceback."""
    return tuple((each.filename, each.lineno or 0) for each in traceback.extract_tb(error.__traceback__))


def summary(error: BaseException) -> str:
    """Return the error's class and its `message`."""
    said = message(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def message(error: BaseException) -> str:
    """Return the error's message, redacted where it is a ValidationError, or repeats one that it came of."""
    if isinstance(error, ValidationError):
        return storable(reason(error))
    said = _said(error)
    for each in chain(error):
        if isinstance(each, ValidationError):
            for quoted in (str(each), repr(str(each))[1:-1]):
                said = said.replace(quoted, reason(each))
    return storable(said)


def frames(error: BaseException) -> str:
    """Return the traceback of the error, of those that it came of, and of those in a group.

    Frames of ours are left out. Where one of them is a ValidationError, which quotes the body, each is told by its
    redacted summary.
    """
    leave_own_frames_out(error)
    if type(error) is ValidationError:
        return storable("".join(traceback.format_tb(error.__traceback__)))
    if quotes_body(error):
        told = [f"{''.join(traceback.format_tb(each.__traceback__))}{summary(each)}\n" for each in chain(error)]
        return storable("\n".join(reversed(told)))
    return storable("".join(traceback.format_exception(error)))


def leave_own_frames_out(error: BaseException) -> None:
    """Shorten the tracebacks of an error and its chain by the frames that run a handler, unless all are such."""
    for each in chain(error):
        left: list[TracebackType] = []
        is_ours = False
        frame = each.__traceback__
        while frame is not None:
            room = frame.tb_frame.f_globals.get("__name__", "")
            is_ours = room.startswith(_ROOMS) or (is_ours and room.startswith("anyio."))  # which runs it in a thread
            if not is_ours:
                left.append(frame)
            frame = frame.tb_next
        shortened = None
        for frame in reversed(left):
            shortened = TracebackType(shortened, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
        if shortened is not None:
            each.__traceback__ = shortened


def quotes_body(error: BaseException) -> bool:
    """Whether a ValidationError, whose message quotes the body, has a part in an error."""
    return any(isinstance(each, ValidationError) for each in chain(error))


def chain(error: BaseException) -> list[BaseException]:
    """Return an error, those that it came of, and those in a group, each once."""
    found: list[BaseException] = []
    left = [error]
    while left and len(found) < _MAX_CHAIN:
        each = left.pop()
        if any(each is known for known in found):
            continue
        found.append(each)
        left += [cause for cause in (each.__cause__, each.__context__) if cause is not None]
        if isinstance(each, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", each).exceptions
    return found


def storable(text: str) -> str:
    """Return a text with lone surrogates escaped, since no inbox can store them; names of files may hold some."""
    if type(text) is str and text.isascii():  # as nearly every one is
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"(it cannot say what it is: {type(failure).__name__})"
