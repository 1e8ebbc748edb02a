"""The requests that are challenges: which values they have in which places, and where a token is in one.

A place is a text: "query:hub.challenge", "header:x-hook-secret", "form:ssl_check" of a form in the body, or
"body:payload.plainToken" of the JSON in it. In an array of one item, "0" is the item, as in "body:0.data.code"; an
array of several is no challenge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, quote_plus, urlencode

from ..delivery import RequestHead
from ..errors import ConfigurationError, MalformedChallenge
from ..signatures.secrets import Secret

__all__ = ["Where"]

Where = Mapping[str, str | int]
"""Places, and the values that a request must have there."""

MAX_TOKEN = 4096
"""The number of characters that a token may have; a challenge with a longer one is malformed."""
MAX_CHALLENGE = 16 * 1024
"""The number of bytes that the body and the query of a challenge may have."""

_UNESCAPED = re.compile(r"[A-Za-z0-9_.-]+")
_PLACES = ("query", "header", "body", "form")
_IN_BODY = ("body", "form")
_Place = tuple[str, tuple[str, ...]]
_ODD = object()
"""What stands in a place and is no text or whole number, or is there more than once."""


class Tells(NamedTuple):
    """What a challenge tells to whoever asks: the HMACs of tokens."""

    secrets: Sequence[Secret]
    """The secrets of the HMACs."""
    is_token: Callable[[str], object]
    """A function of a text that returns whether it is a token, by what is true of it."""

    def have(self, contents: Sequence[bytes]) -> bool:
        """Return whether one of signed contents is a token: anybody can have been told its HMAC."""
        return any(len(each) <= MAX_TOKEN and self.is_token(each.decode("latin-1")) for each in contents)


class ChallengeRequest:
    """What a request must have to be a challenge: values in some places, and a token in one.

    Args:
        place: the place of the token; None without one.
        where: the places of the values.
        only: the members of the JSON object, or the fields of the form, that the body may have: it has one of them at
            least, and no others. None for any.

    Raises:
        ConfigurationError: a place is none, or a value is no text or number.
    """

    def __init__(self, place: str | None, where: Where | None = None, only: Sequence[str] | None = None) -> None:
        given: object = where
        if where is not None and not isinstance(given, Mapping):
            raise ConfigurationError(
                f'where is a mapping of places to values, such as {{"body:type": 1}}, not {given!r}'
            )
        self._where = [(_parsed(each), value) for each, value in (where or {}).items()]
        if any(isinstance(value, bool) or not isinstance(value, str | int) for _, value in self._where):
            raise ConfigurationError("where has texts and whole numbers as values")
        self._place = None if place is None else _parsed(place)
        self._only = None if only is None else _members(only)
        # Each delivery is asked whether it is a challenge: most are known by this not to be one, unparsed.
        texts = [each for (kind, keys), value in self._where if kind in _IN_BODY for each in (keys[-1], value)]
        texts += self._place[1] if self._place is not None and self._place[0] in _IN_BODY else []
        self._in_body = [
            each.encode()
            for each in texts
            if isinstance(each, str) and _UNESCAPED.fullmatch(each) and not each.isdigit()
        ]

    def matches(self, head: RequestHead, body: bytes) -> bool:
        """Return whether the values are in their places, and the body has no member that it may not have."""
        return len(body) <= MAX_CHALLENGE and self._fits(head, body)

    def _fits(self, head: RequestHead, body: bytes) -> bool:
        if not all(each in body for each in self._in_body):
            return False
        if self._only is not None:
            kind, members = self._only
            found = {name for name, _ in _pairs(body)} if kind == "form" else set(_object(body))
            if not found or not found <= members:
                return False
        return all(_value_at(each, head, body) == value for each, value in self._where)

    def token(self, head: RequestHead, body: bytes) -> str | None:
        """Return the token; None for a request that is no challenge.

        A challenge with another token than could be sent back is no delivery, either, however it is proven.

        By POST, a token in the query or a header counts only with an empty body or `{}`. One in the body counts,
        without `where` and `only`, only where the body has nothing else.

        Raises:
            MalformedChallenge: the token is no text, too long, not printable, or there more than once.
        """
        if self._place is None or not self._fits(head, body):
            return None
        if head.method == "POST":
            kind, path = self._place
            if kind not in _IN_BODY:
                if body.strip() not in (b"", b"{}"):
                    return None
            elif not self._where and self._only is None:
                members = _pairs(body) if kind == "form" else _object(body)
                if len(path) > 1 or len(members) > 1:
                    return None
        found = _value_at(self._place, head, body)
        if found is None:
            return None
        if not isinstance(found, str) or not 0 < len(found) <= MAX_TOKEN or not found.isprintable():
            raise MalformedChallenge("the token of the challenge is no text, too long or not printable")
        return found

    def ask(self, head: RequestHead, token: str) -> tuple[RequestHead, bytes]:
        """Return a head with the values and a token in their places, and the body with them. See `Ask`."""
        values = [*self._where, *([] if self._place is None else [(self._place, token)])]
        if not values and self._only is not None:
            kind, members = self._only
            values = [((kind, (min(members),)), token)]
        document: dict[str, Any] = {}
        pairs: dict[str, list[tuple[str, str]]] = {"query": [], "form": [], "header": []}
        for (kind, (*way, name)), value in values:
            if kind == "body":
                inner = document
                for key in way:
                    inner = inner.setdefault(key, {})
                inner[name] = value
            else:
                pairs[kind].append((name, str(value)))
        target = head.target
        if pairs["query"]:
            target += (b"&" if b"?" in target else b"?") + urlencode(pairs["query"]).encode()
        head = head._replace(target=target).with_headers(
            *((name.encode(), value.encode()) for name, value in pairs["header"])
        )
        if pairs["form"]:
            return head, urlencode(pairs["form"]).encode()
        return head, json.dumps(_with_arrays(document)).encode() if document else b""


def _parsed(text: str) -> _Place:
    """Return a place as its kind and the keys that lead to it.

    Raises:
        ConfigurationError: the text is no place.
    """
    kind, _, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    keys = tuple(name.split(".")) if kind == "body" else (name.lower() if kind == "header" else name,)
    if kind not in _PLACES or not all(keys):
        raise ConfigurationError(
            f'a place is such as "query:token", "header:x-token", "form:token" or "body:a.token", not {text!r}'
        )
    return kind, keys


def _members(only: Sequence[str]) -> tuple[str, frozenset[str]]:
    """Return the kind of body, and the names that it may have.

    Raises:
        ConfigurationError: the places are none, or not all of one body.
    """
    if isinstance(only, str) or not isinstance(only, Sequence) or not only:
        raise ConfigurationError(f'only is a tuple of places such as ("form:webhook_id",), not {only!r}')
    places = [_parsed(each) for each in only]
    kinds = {kind for kind, _ in places}
    if len(kinds) > 1 or not kinds <= set(_IN_BODY) or any(len(keys) > 1 for _, keys in places):
        raise ConfigurationError(
            f"only has members of one JSON object, or fields of one form, such as form:id; not {only!r}"
        )
    return kinds.pop(), frozenset(keys[0] for _, keys in places)


def _with_arrays(value: object) -> object:
    """Return a JSON value in which each object with "0" alone is an array of one item."""
    if not isinstance(value, dict):
        return value
    inner = {key: _with_arrays(each) for key, each in cast("dict[str, Any]", value).items()}
    return [inner["0"]] if inner.keys() == {"0"} else inner


def _value_at(place: _Place, head: RequestHead, body: bytes) -> object:
    """Return the value in a place: a text, a whole number, or `_ODD`; None if there is none."""
    kind, keys = place
    if kind == "body":
        value: Any = _document(body)
        for key in keys:
            if isinstance(value, list):
                items = cast("Sequence[Any]", value)
                value = items[0] if key == "0" and len(items) == 1 else None
            else:
                value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
        return value if value is None or (isinstance(value, str | int) and not isinstance(value, bool)) else _ODD
    if kind == "header":
        name = keys[0].encode("latin-1", "replace")
        found = [value.decode("latin-1") for each, value in head.headers if each == name]
    else:
        encoded = body if kind == "form" else head.target.partition(b"?")[2]
        if kind == "query" and len(encoded) > MAX_CHALLENGE:
            return _ODD if quote_plus(keys[0]).encode() in encoded else None
        found = [value for each, value in _pairs(encoded) if each == keys[0]]
    return None if not found else found[0] if len(found) == 1 else _ODD


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query or a form, with half surrogates for what is no text."""
    return parse_qsl(encoded.decode("ascii", "surrogateescape"), keep_blank_values=True, errors="surrogateescape")


def _document(body: bytes) -> object:
    """Return the JSON document in a body; None for any other body."""
    if len(body) > 2:
        with suppress(ValueError, RecursionError):
            return json.loads(body)
    return None


def _object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a body; an empty one for any other body."""
    document = _document(body)
    return cast("Mapping[str, Any]", document) if isinstance(document, dict) else {}
