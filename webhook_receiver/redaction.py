"""Errors in words that repeat nothing of a body, and URLs without their secrets: for responses, logs and the inbox."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, wraps
from itertools import islice
from types import TracebackType
from typing import Any, cast
from urllib.parse import unquote

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


_ROOMS = tuple(f"{__package__}.{room}." for room in ("cli", "runtime", "worker", "routing", "telemetry", "testing"))
"""The packages whose frames stand between the event loop and a user's function."""
_MAX_CHAIN = 1000  # errors of one chain that are looked at


def _or_class_alone(tell: Callable[[BaseException], str]) -> Callable[[BaseException], str]:
    """Have a function return the class of an error alone where it fails: to read an attribute may run a user's code."""

    @wraps(tell)
    def told(error: BaseException) -> str:
        try:
            return tell(error)
        except Exception:
            return type(error).__name__

    return told


def trail_of(error: BaseException) -> tuple[object, ...]:
    """Return the classes of an error and its chain, and the lines that raised them: errors that are alike have one."""
    try:
        return tuple((type(each), _frames_of(each)) for each in chain(error))
    except Exception:
        return (type(error),)


def _frames_of(error: BaseException) -> tuple[tuple[str, int], ...]:
    """Return the file and the line of each frame of an error's own traceback."""
    return tuple((each.filename, each.lineno or 0) for each in traceback.extract_tb(error.__traceback__))


@_or_class_alone
def place_of(error: BaseException) -> str:
    """Return the class of an error, and the file and the line that raised it: what can be told whatever it says."""
    last = traceback.extract_tb(error.__traceback__, limit=-1)[0]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}"


LEFT_OUT = "(message left out: it may repeat the body)"

_QUOTES = ("input_value=", "errors.pydantic.dev")
"""What a ValidationError, and nothing else, writes beside the input that it quotes."""
_LISTS = ("'input'", '"input"')
"""What is beside the input in the list of its errors."""
_MIN_VALUE = 5  # characters; shorter values are in any message
_PIECE = 12  # characters; pydantic cuts what it quotes to a head of 25 and an end of 24
_MAX_MESSAGE = 2000  # characters,
_MAX_ERRORS = 30  # of one ValidationError, and
_MAX_VALUES = 5000  # of each of these: a message with more is left out, since to look through it would take long
_MAX_INPUT = 50_000  # characters of its input


@_or_class_alone
def summary(error: BaseException) -> str:
    """Return the error's class and its `message`."""
    return _summary(error, chain(error))


def _summary(error: BaseException, related: Sequence[BaseException]) -> str:
    said = _message(error, related)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


@_or_class_alone
def message(error: BaseException) -> str:
    """Return the error's message without what a ValidationError, one that it came of or holds, quotes of the body.

    Such an error's own text is replaced by its `reason`. A message that may repeat the body otherwise is left out.
    """
    return _message(error, chain(error))


def _message(error: BaseException, related: Sequence[BaseException]) -> str:
    if isinstance(error, ValidationError):
        return storable(reason(error))
    said = rest = _said(error)
    invalid = [each for each in related if isinstance(each, ValidationError)]
    for each in invalid:
        # Its text is asked for only if it may be there: with a large body it takes long.
        if any(quote in rest for quote in _QUOTES) and each.error_count() <= _MAX_ERRORS:
            text = str(each)
            for quoted in (text, repr(text)[1:-1]):
                said, rest = said.replace(quoted, reason(each)), rest.replace(quoted, "")
    if any(quote in rest for quote in _QUOTES) or any(_may_repeat(rest, each) for each in invalid):
        return LEFT_OUT
    return storable(said)


def _may_repeat(said: str, error: ValidationError) -> bool:
    """Whether a text may repeat what a ValidationError quotes; True in case of doubt."""
    if not said:
        return False
    if len(said) > _MAX_MESSAGE or error.error_count() > _MAX_ERRORS or any(each in said for each in _LISTS):
        return True
    pieces = [said[at : at + _PIECE] for at in range(0, len(said) - _PIECE + 1, _PIECE)]
    seen = set[int]()
    try:
        details = error.errors(include_url=False, include_context=False)
        for detail in details:
            keys = [key for key in detail["loc"] if isinstance(key, str) and not key.isidentifier()]
            words = keys if detail["type"] in _PLAIN else [*keys, detail["msg"]]
            if any(len(word) >= _MIN_VALUE and word in said for word in words):
                return True
            if id(detail["input"]) in seen:  # as each missing field has the whole body
                continue
            seen.add(id(detail["input"]))
            values = list(islice(_values(detail["input"]), _MAX_VALUES))
            if len(values) == _MAX_VALUES or any(value in said for value in values):
                return True
            whole = repr(detail["input"])
            if len(whole) > _MAX_INPUT or any(piece in whole for piece in pieces):
                return True
    except Exception:  # the repr of an object of the user's, or nesting that is too deep
        return True
    return False


def _values(document: object) -> Iterator[str]:
    """Return the values in a document, each as it is written in a text, in Python and in JSON."""
    left = [document]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            left += cast("dict[object, object]", each).values()
        elif isinstance(each, list | tuple | set | frozenset):
            left += cast("Sequence[object]", each)
        elif each is not None and not isinstance(each, bool):
            text = each.decode("utf-8", "replace") if isinstance(each, bytes | bytearray) else str(each)
            if len(text) >= _MIN_VALUE:
                forms = (text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
                yield from dict.fromkeys(forms)


@_or_class_alone
def frames(error: BaseException) -> str:
    """Return the traceback of the error, of those that it came of, and of those in a group.

    Frames of ours are left out. Where one of them is a ValidationError, which quotes the body, each is told by its
    redacted summary.
    """
    leave_own_frames_out(error)
    try:
        if type(error) is ValidationError:
            return storable("".join(traceback.format_tb(error.__traceback__)))
        if not _quotes_body(error):
            return storable("".join(traceback.format_exception(error)))
        related = chain(error)
        told = [f"{''.join(traceback.format_tb(each.__traceback__))}{_summary(each, related)}\n" for each in related]
        return storable("\n".join(reversed(told)))
    except Exception:  # one of them cannot say what it is
        return places(error)


@_or_class_alone
def places(error: BaseException) -> str:
    """Return what `frames` does, with the classes of the errors alone: nothing that any of them says."""
    leave_own_frames_out(error)
    told = (f"{''.join(traceback.format_tb(each.__traceback__))}{type(each).__name__}\n" for each in chain(error))
    return storable("\n".join(reversed([*told])))


def leave_own_frames_out(error: BaseException) -> None:
    """Shorten the tracebacks of an error and its chain by the frames that run a handler, unless all are such."""
    with suppress(Exception):  # what cannot be shortened is told as it is
        for each in chain(error):
            shortened = _shortened(each.__traceback__)
            if shortened is not None:
                BaseException.with_traceback(each, shortened)  # since an error may let nobody set its attributes


def _shortened(frame: TracebackType | None) -> TracebackType | None:
    left: list[TracebackType] = []
    is_ours = False
    while frame is not None:
        room = str(frame.tb_frame.f_globals.get("__name__"))
        is_ours = room.startswith(_ROOMS) or (is_ours and room.startswith("anyio."))  # which runs it in a thread
        if not is_ours:
            left.append(frame)
        frame = frame.tb_next
    shortened = None
    for frame in reversed(left):
        shortened = TracebackType(shortened, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return shortened


def can_be_formatted(error: BaseException) -> bool:
    """Whether Python can format an error, and no ValidationError, whose message quotes the body, has a part in it."""
    try:
        return not _quotes_body(error) and bool(traceback.format_exception(error))
    except Exception:
        return False


def _quotes_body(error: BaseException) -> bool:
    return any(
        isinstance(each, ValidationError) or any(quote in text for text in _texts(each) for quote in _QUOTES)
        for each in chain(error)
    )


def _texts(error: BaseException) -> list[str]:
    notes: object = getattr(error, "__notes__", ())
    return [_said(error), *map(str, cast("Sequence[object]", notes) if isinstance(notes, list | tuple) else [notes])]


def chain(error: BaseException) -> list[BaseException]:
    """Return an error, those that it came of, those that it holds, and those in a group, each once."""
    found: list[BaseException] = []
    left = [error]
    while left and len(found) < _MAX_CHAIN:
        each = left.pop()
        if any(each is known for known in found):
            continue
        found.append(each)
        left += [cause for cause in (each.__cause__, each.__context__) if cause is not None]
        left += _held(each)
    return found


def _held(error: BaseException) -> Iterator[BaseException]:
    """Return the errors among an error's arguments and attributes, and in lists of these."""
    places: list[object] = [*error.args, *vars(error).values()]
    if isinstance(error, BaseExceptionGroup):
        places.append(cast("BaseExceptionGroup[BaseException]", error).exceptions)
    for place in places:
        several = cast("Sequence[object]", place) if isinstance(place, list | tuple) else (place,)
        yield from (each for each in islice(several, _MAX_CHAIN) if isinstance(each, BaseException))


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


_BEGINNING = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PLACE = re.compile(r"(?:[^:/?#\[\]]*|\[[^/?#\[\]]*\])(?::\d*)?")
_SECRETS = ("password", "secret", "token")
"""What the name of a parameter has in it whose value is a secret."""


def without_password(url: str) -> str:
    """Return the URL of an inbox with *** in place of each secret, and in place of all that cannot be told apart.

    As libpq does, it takes what is before an @ for the user and the password, whatever characters these have.
    """
    beginning = _BEGINNING.match(url)
    if beginning is None:  # a path, or what libpq takes, too: host=... password=...
        return "***" if "=" in url or "@" in url else url
    scheme, rest = url[: beginning.end()], url[beginning.end() :]
    if scheme.lower() in ("sqlite://", "memory://") and rest[:1] in ("", "/", "?"):
        return url
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    hosts = re.split("[/?#]", place, maxsplit=1)[0].split(",")
    if not all(map(_PLACE.fullmatch, hosts)):  # a password without its @
        return f"{scheme}***"
    address, mark, query = place.partition("?")
    told: list[str] = []
    for each in query.split("&"):
        parameter, is_given, _ = each.partition("=")
        if any(secret in unquote(parameter).lower() for secret in _SECRETS):
            told.append(f"{parameter}{is_given}***")
            break  # what follows may be the rest of a secret with an & in it
        told.append(each)
    return f"{scheme}{name}{colon and ':***'}{at}{address}{mark}{'&'.join(told)}"
