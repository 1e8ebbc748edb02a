"""The signed content of a request: a template of parts, such as "{timestamp}.{body}", and its bytes for one request.

A stranger who holds a signed request must not be able to read the same content in another way, such as with an id that
takes over a part of the body. So each part whose length is open has to have a separator on the side of the body, which
its value may not contain, or the secret as its neighbour, whose place nobody else knows.

Where a sender has no such separator, the border of the body itself has to be known: beside an optional part, and where
an open part stands beside a time or the URL. There the body has to begin with a mark, one of `{["<` and their
counterparts, and no part between has one: so in all readings the body begins at the first mark. Behind the body it is
the other way round. A time begins and ends at a known place: its format has no time that begins or ends another one
within the tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from string import Formatter
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from ..delivery import RequestHead
from ..errors import ConfigurationError, MalformedSignature, MissingSignature
from .encoding import only

_BODIES = ("body", "form")
_CLOSED = ("timestamp", "url", "secret")
"""The parts whose borders are known whatever stands beside them."""
_ALWAYS = (*_BODIES, "timestamp", "id", "secret")
"""The parts that are always signed."""
_OPEN = ("id", "header", "method", "path", "query", "target")
"""The parts that a stranger could end elsewhere."""
_KNOWN = (*_BODIES, *_CLOSED, *_OPEN)
_MAX_FIELDS = 1000  # of a form
_MARK = re.compile(rb'[{}\[\]<>"]')
"""What a document in JSON or XML begins and ends with, and ids, nonces and paths do not have."""
_NO_FORM = re.compile(rb'[\x00-\x20"{}\x7f-\xff]')
"""What a form has escaped (URL Living Standard, section 5.2); other characters some senders leave as they are."""


class Part(NamedTuple):
    """A part of the template: a literal, or a field such as {header:x-nonce?}."""

    name: str
    """The field's name; an empty text for a literal."""
    literal: bytes = b""
    header: bytes = b""
    optional: bool = False
    separator: bytes = b""
    """The text on the side of the body that the value may not contain; empty where the border is known without."""
    is_before_body: bool = False
    is_vague: bool = False
    """Whether nothing but a mark tells the body from the value."""

    def __str__(self) -> str:
        return "{" + self.name + (f":{self.header.decode()}" if self.header else "") + "}"


class Content(NamedTuple):
    """The signed content of a request without its body; None stands for the secret. Its repr shows nothing of it."""

    before: list[bytes | None]
    after: list[bytes | None]

    def __repr__(self) -> str:
        return f"<Content of {len(self.before) + len(self.after)} parts>"


_NOTHING = Content([], [])
_Parts = list[bytes | Part]


class Template:
    """The template of the signed content, read once.

    Args:
        signed: one template, or several: an item with an optional part is left out where that is absent.
        joined_by: the text between the items.
        given: the names of "timestamp" and "id" that have a place.

    Raises:
        ConfigurationError: the template cannot work, or would leave open where a part ends.
    """

    def __init__(self, signed: str | Sequence[str], joined_by: str, given: set[str]) -> None:
        texts = [signed] if isinstance(signed, str) else list(signed)
        items = [list(_parsed(text)) for text in texts]
        fields = [part.name for item in items for part in item if part.name]
        if sum(fields.count(name) for name in _BODIES) != 1:
            raise ConfigurationError(
                "signed=... needs {body} exactly once, or {form}: otherwise the signature would not prove the body"
            )
        if lacking := next((name for name in ("timestamp", "id") if name in fields and name not in given), None):
            raise ConfigurationError(f"signed=... has {{{lacking}}}, so name its header: {lacking}=...")
        if "id" in given and "id" not in fields:
            raise ConfigurationError(
                "an id that is not signed proves nothing: put {id} into signed=..., or say Sender(delivery_id=...)"
            )
        if "timestamp" in given and "timestamp" not in fields:
            raise ConfigurationError("a timestamp that is not signed proves nothing: put {timestamp} into signed=...")
        for item in items:
            if any(part.optional for part in item) and any(part.name in _ALWAYS for part in item):
                raise ConfigurationError(
                    "an optional part of signed=... stands in an item of a list, without the body, the time, the id "
                    'and the secret, which would be left out with it: signed=["{header:x-nonce?}", "{body}"]'
                )
        self._joined_by = joined_by.encode()
        self._items = _delimited(items, self._joined_by)
        has_optional = any(part.optional for item in items for part in item)
        self._layout = None if has_optional else _layout(self._items, self._joined_by)
        self.is_body_alone = self._layout == ([], []) and fields == ["body"]
        """Whether nothing but the body's bytes is signed."""
        flat = [part for item in self._items for part in item]
        self._is_vague_before = any(part.is_vague and part.is_before_body for part in flat)
        self._is_vague_behind = any(part.is_vague and not part.is_before_body for part in flat)
        self.is_vague = self._is_vague_before or self._is_vague_behind
        """Whether a mark at its border has to tell the body from its neighbours."""
        optional = [item for item in items if any(part.optional for part in item)]
        self.headers = frozenset(
            part.header for item in items if item not in optional or len(optional) == 1 for part in item if part.header
        )
        """The names of the signed headers. Of several optional ones none: the value of one could be that of another."""
        self.has_bare_time = _has_bare_time(items, self._joined_by)
        """Whether a time stands beside something else than a text of the template."""
        self.is_form = "form" in fields
        """Whether the fields of a form are signed in place of the body's bytes."""
        self.has_secret = "secret" in fields
        """Whether the secret is a part of the content, which is hashed without a key."""
        self.needs_url = "url" in fields
        """Whether the URL that the sender posts to is signed."""

    def read(self, head: RequestHead, timestamp: bytes, id: bytes) -> Content:
        """Return the content of a request without its body.

        Args:
            head: the head of the request.
            timestamp: the value of the time of signing.
            id: the value of the sender's id.

        Raises:
            MissingSignature: a signed header, the query or the URL is absent.
            MalformedSignature: a header is there more than once, or a part contains its separator.
        """
        if self.is_body_alone:
            return _NOTHING
        before, after = self._layout or _layout(
            [item for item in self._items if not any(_is_absent(part, head) for part in item)], self._joined_by
        )
        return Content(
            [part if isinstance(part, bytes) else _value(part, head, timestamp, id) for part in before],
            [part if isinstance(part, bytes) else _value(part, head, timestamp, id) for part in after],
        )

    def check_border(self, body: bytes) -> None:
        """Reject a body that its neighbours could begin or end, if nothing but a mark tells it from them.

        Args:
            body: the body as it is signed.

        Raises:
            MalformedSignature: the body has no mark at its border.
        """
        for is_vague, end in ((self._is_vague_before, body[:1]), (self._is_vague_behind, body[-1:])):
            if is_vague and end and not _MARK.match(end):
                raise MalformedSignature(
                    "the body is neither JSON nor XML from its first byte to its last, and signed=... has no separator "
                    "that tells where another one begins and ends"
                )


def _layout(items: list[list[Part]], joined_by: bytes) -> tuple[_Parts, _Parts]:
    """Return the parts in front of the body, and those behind it: the text of a literal, or a field."""
    parts: list[Part] = []
    for item in items:
        parts += [Part("", joined_by), *item] if parts and joined_by else item
    body = next(at for at, part in enumerate(parts) if part.name in _BODIES)
    bare: _Parts = [part if part.name else part.literal for part in parts]
    return bare[:body], bare[body + 1 :]


def _is_absent(part: Part, head: RequestHead) -> bool:
    if not part.optional:
        return False
    return b"?" not in head.target if part.name == "query" else all(name != part.header for name, _ in head.headers)


def _parsed(text: str) -> Iterator[Part]:
    """Yield the parts of a template.

    Raises:
        ConfigurationError: it cannot be read, or has an unknown field.
    """
    try:
        cut = [*Formatter().parse(text)]
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"signed={text!r} cannot be read: {error}") from None
    for literal, field, spec, conversion in cut:
        if literal:
            yield Part("", literal.encode())
        if field is None:
            continue
        name, spec = field.removesuffix("?"), spec or ""
        header = spec.removesuffix("?").strip().lower()
        if name not in _KNOWN:
            known = ", ".join("{" + each + "}" for each in _KNOWN)
            raise ConfigurationError(f"signed=... knows {known} and {{header:NAME}}, not {field!r}")
        if conversion or (name == "header") != bool(header) or not header.isascii():
            raise ConfigurationError(
                f"signed={text!r} has a field with a format: write {{body}}, {{timestamp}} and {{id}} without one, "
                "and a header as {header:x-nonce}"
            )
        optional = field.endswith("?") or spec.endswith("?")
        if optional and name not in ("query", "header"):
            raise ConfigurationError(f"signed=... has {{{field}}}, but only a header and the query can be absent")
        yield Part(name, header=header.encode(), optional=optional)


def _flat(items: list[list[Part]], joined_by: bytes) -> list[tuple[int, Part]]:
    """Return all parts in their order, each with the number of its item; -1 for the text between two items."""
    flat: list[tuple[int, Part]] = []
    for number, item in enumerate(items):
        if flat and joined_by:
            flat.append((-1, Part("", joined_by)))
        flat += [(number, part) for part in item]
    return flat


def _delimited(items: list[list[Part]], joined_by: bytes) -> list[list[Part]]:
    """Return the items with the separator of each part whose length is open, or the note that a mark has to do.

    Raises:
        ConfigurationError: such a part can have neither.
    """
    flat = _flat(items, joined_by)
    optional = {number for number, item in enumerate(items) if any(part.optional for part in item)}
    body = next(at for at, (_, part) in enumerate(flat) if part.name in _BODIES)
    delimited: list[list[Part]] = [[] for _ in items]
    vague: list[int] = []
    for at, (number, part) in enumerate(flat):
        if number in optional:
            vague.append(at)
        if part.name in _OPEN:
            beside, other = flat[at + 1 if at < body else at - 1]
            is_method = part.name == "method" and at < body and other.name in ("path", "target", "url")
            if (beside != number and beside in optional) or not (other.literal or other.name in _CLOSED or is_method):
                raise ConfigurationError(
                    f"signed=... needs a separator {'behind' if at < body else 'in front of'} {part}, such as a full "
                    "stop: without one, where its value ends is open"
                )
            if other.name in ("timestamp", "url") and not is_method:
                vague.append(at)
            part = part._replace(separator=other.literal)
        flat[at] = number, part._replace(is_before_body=at < body)
    if vague and flat[body][1].name == "form":
        raise ConfigurationError("signed=... has {form}: all parts beside it have to be there, with a separator")
    for at, (number, part) in enumerate(flat):
        if min([*vague, body]) <= at <= max([*vague, body]) and at != body:
            if _MARK.search(part.literal):
                raise ConfigurationError(
                    'signed=... has one of {}[]<>" between an optional part, or one without a separator, and the body: '
                    "such a mark has to tell where the body begins"
                )
            part = part._replace(is_vague=True)
        if number >= 0:
            delimited[number].append(part)
    _check_order(flat, optional)
    return delimited


def _check_order(flat: list[tuple[int, Part]], optional: set[int]) -> None:
    """Reject a time or an id of which a stranger could choose another value by leaving out an optional part.

    Raises:
        ConfigurationError: it stands between two optional parts, or between two parts without a separator.
    """
    body = next(at for at, (_, part) in enumerate(flat) if part.name in _BODIES)
    for at, (_, part) in enumerate(flat):
        if part.name not in ("timestamp", "id"):
            continue
        side = range(body) if at < body else range(body + 1, len(flat))
        is_between = all(
            any(flat[each][0] in optional for each in side if (each < at) is left) for left in (True, False)
        )
        beside = [flat[each][1] for each in (at - 1, at + 1) if each in side]
        if is_between or (part.name == "timestamp" and sum(each.name in _OPEN for each in beside) > 1):
            raise ConfigurationError(
                f"signed=... has {part} between two parts that could begin or end elsewhere: so could it"
            )


def _has_bare_time(items: list[list[Part]], joined_by: bytes) -> bool:
    parts = [part for _, part in _flat(items, joined_by)]
    at = next((at for at, part in enumerate(parts) if part.name == "timestamp"), None)
    return at is not None and any(part.name for part in (*parts[max(at - 1, 0) : at], *parts[at + 1 : at + 2]))


def _value(part: Part, head: RequestHead, timestamp: bytes, id: bytes) -> bytes | None:
    """Return the value of a field in a request; None for the secret."""
    if part.name == "timestamp":
        return timestamp
    if part.name == "secret":
        return None
    if part.name == "url":
        if head.url is None:
            raise MissingSignature(
                "the signature covers the URL that the sender posts to, and none is known: say "
                'WebhookReceiver(public_url="https://example.com/webhooks")'
            )
        return head.url.encode("utf-8", "surrogatepass")
    if part.name == "id":
        value = id
    elif part.name == "header":
        value = only(head.headers, part.header)
    elif part.name == "method":
        value = head.method.encode("utf-8", "surrogatepass")
        if not value.isalpha():
            raise MalformedSignature("the method of the request is none")
    else:
        value = _of_url(part.name, head)
    if part.separator and not _is_delimited(value, part):
        side = "behind" if part.is_before_body else "in front of"
        raise MalformedSignature(f"the value of {part} contains the separator that stands {side} {part} in signed=...")
    if part.is_vague and _MARK.search(value):
        raise MalformedSignature(f'the value of {part} has one of {{}}[]<>", by which the body is told from it')
    return value


def _of_url(name: str, head: RequestHead) -> bytes:
    path, mark, query = head.target.partition(b"?")
    if name == "query":
        if not mark:
            raise MissingSignature("the query of the URL is signed, and the request has none")
        return query
    if head.url is not None:
        path = _path(head.url)
    return path if name == "path" else path + mark + query


@lru_cache(maxsize=64)
def _path(url: str) -> bytes:
    return (urlsplit(url).path or "/").encode("utf-8", "surrogatepass")


def _is_delimited(value: bytes, part: Part) -> bool:
    """Return whether the separator, read from the far side of the body, is met at the value's end and not before."""
    if part.is_before_body:
        return (value + part.separator).find(part.separator) == len(value)
    return (part.separator + value).rfind(part.separator) == 0


def form_fields(body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the names and values of a form's fields (application/x-www-form-urlencoded), in their order.

    What no form has as it stands is rejected: with the borders between names and values open, a genuine form could be
    sent again as JSON with the same content.

    Raises:
        ValueError: the body is no form, or one of more than 1000 fields.
    """
    if body and (b"=" not in body or _NO_FORM.search(body)):
        raise ValueError("the body is no form: it has no name with a value, or characters that a form has escaped")
    fields = body.split(b"&", _MAX_FIELDS)
    if len(fields) > _MAX_FIELDS:
        raise ValueError(f"the form has more than {_MAX_FIELDS} fields")
    pairs = (field.partition(b"=") for field in fields if field)
    return [(_unescaped(name), _unescaped(value)) for name, _, value in pairs]


def _unescaped(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
