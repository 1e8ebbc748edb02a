"""Changes that forms suffer between sender and receiver, and the body as it was before each change."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import NamedTuple, cast
from urllib.parse import parse_qsl

from ..senders.form import MOST_FIELDS
from .trial import Case, Cause

_RAW = "verify the bytes as they came (request.body(), hooks.receive), before anything parses the form"
_SAFE = ("", "~", "*-._", "!'()*~", "/:@!$'()*,;~", "[]", "{}[]\"':,/")
"""The characters beside letters, digits and "_.-~" that several languages leave unescaped in forms."""
_ALWAYS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
"""The bytes that no language escapes."""
_SPACE, _PERCENT = b" %"

Fields = Sequence[tuple[str, str]]

FORM_RESERIALISED = Cause(
    "form-reserialised", "the form was parsed and written again: its escapes or spaces are others", _RAW
)
FORM_UNWRAPPED = Cause(
    "form-unwrapped", "the body is the JSON of a form's field: the form was signed, with its field's name", _RAW
)
FORM_AS_JSON = Cause("form-as-json", "the body is a form that was parsed and written as JSON", _RAW)


def form_before(case: Case) -> Iterator[bytes]:
    """Yield a form as it may have been before it was parsed and written again."""
    if b"=" in case.body and case.body[:1] not in b"{[<":
        yield from _spelt(fields_of(case.body))


def form_around(case: Case) -> Iterator[bytes]:
    """Yield the form that a JSON document may have been taken out of."""
    if case.body[:1] in (b"{", b"["):
        yield from _spelt([("payload", case.body.decode("utf-8", "surrogateescape"))])


def form_of_json(case: Case) -> Iterator[bytes]:
    """Yield the form that may have been written as a JSON object."""
    try:
        document: object = json.loads(case.body)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        fields = [
            (name, each if isinstance(each, str) else json.dumps(each, separators=(",", ":")))
            for name, value in cast("dict[str, object]", document).items()
            for each in (cast("list[object]", value) if isinstance(value, list) else [value])
        ]
        yield from _spelt(fields)


def fields_of(body: bytes) -> Fields:
    """Return the names and values in a form; none if there are too many."""
    text = body.decode("utf-8", "surrogateescape")
    try:
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MOST_FIELDS)
    except ValueError:
        return []


def _spelt(fields: Fields) -> Iterator[bytes]:
    """Yield a form of these fields with the escapes of several languages."""
    if len(fields) > MOST_FIELDS:
        return
    with suppress(UnicodeError):  # half surrogates, which JSON may have and no form has
        parts = [[_Part.of(part) for part in each] for each in fields]
        for space, safe in itertools.product((b"+", b"%20"), _SAFE):
            for unescaped in (safe,) if "~" in safe else (f"{safe}~", safe):
                for form in (b"%%%02X", b"%%%02x"):
                    yield b"&".join(
                        b"=".join(part.escaped(_ALWAYS | {*unescaped.encode()}, form, space) for part in each)
                        for each in parts
                    )


class _Part(NamedTuple):
    """A name or a value of a form."""

    text: bytes
    has: AbstractSet[int]
    """The bytes in it."""

    @classmethod
    def of(cls, part: str) -> _Part:
        text = part.encode("utf-8", "surrogateescape")
        return cls(text, {*text})

    def escaped(self, unescaped: AbstractSet[int], form: bytes, space: bytes) -> bytes:
        """Return the text with its other bytes escaped: one byte after the other, for the speed of `replace`."""
        text = self.text
        # The percent sign is first, since the escapes have it.
        for byte in sorted(self.has - unescaped - {_SPACE}, key=lambda byte: byte != _PERCENT):
            text = text.replace(bytes([byte]), form % byte)
        return text.replace(b" ", space)
