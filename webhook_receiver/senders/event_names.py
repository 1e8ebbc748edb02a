"""The names of events: where a sender has them, in a document or beside it, and how a document gets its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Formatter
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, quote, unquote

from pydantic_core import from_json

from ..delivery import Headers, RequestHead, kept_headers
from ..errors import ConfigurationError, NotAnEvent
from ..event_registry import NoEventName
from ..events import Path, parsed_paths, value_at
from ..json_repair import parsed, repaired
from ..logs import log_failure
from ..signatures import Scheme
from ..signatures.scheme import secret_places
from .split import Split

MOST_OF_A_VALUE = 256
"""The number of characters of a value in a URL that may be a part of a name."""

_SPACE = b" \t\r\n"  # the white space of JSON (RFC 8259, section 2)
_EVENT = Split("event")
_OWN_EVENT = "own_event"  # where an `event` that is not the name stays
_KINDS = ("header", "query", "path", "text", "has")


class Place(NamedTuple):
    """The place of a value that is a name, or a part of one. See `place_of`."""

    kind: str
    """One of `_KINDS`, or "" for a member of the document."""
    name: str
    header: bytes = b""
    """The header that has it: of a query or a path, the one by which it is stored with the delivery."""
    path: Path = ()
    from_end: int = 0

    def value(self, document: Any, headers: Headers) -> str | None:
        """Return the value at the place, as text; None if there is none."""
        if self.kind == "":
            found = value_at(document, self.path)
            return str(found) if isinstance(found, str | int) and not isinstance(found, bool) and found != "" else None
        if self.kind == "text":
            return self.name
        if self.kind == "has":
            return None if value_at(document, self.path) is None else self.name
        found = next((value for key, value in headers if key == self.header), b"")
        return found.decode("latin-1" if self.kind == "header" else "utf-8", "replace") or None

    def in_url(self, head: RequestHead) -> str | None:
        """Return the value at a place in the URL; None if there is none, or too long a one."""
        path, _, query = head.target.partition(b"?")
        if self.kind == "query":
            try:
                pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True)
            except ValueError:
                return None
            found = [value for name, value in pairs if name == self.name]
        else:
            found = [unquote(each) for each in path.decode("latin-1").rstrip("/").split("/")[self.from_end :][:1]]
        is_name = len(found) == 1 and 0 < len(found[0]) <= MOST_OF_A_VALUE and found[0].isprintable()
        return found[0] if is_name else None


class EventNames:
    """The rule by which the events of a sender get their names.

    Args:
        event_name: the places of the name, see `Sender.event_name`.
        event_header: the header with the name; None if another place has it.
        event_members: the members by which a document tells its event, see `Sender.event_members`.
        url_places: further places in the URL whose values are kept, see `Sender.url_places`.

    Raises:
        ConfigurationError: a place cannot work.
    """

    def __init__(
        self,
        event_name: str | Sequence[str] = (),
        event_header: str | None = None,
        event_members: Mapping[str, frozenset[str]] | None = None,
        url_places: Sequence[str] = (),
    ) -> None:
        if event_header is not None:
            event_name = f"header:{event_header}"
        self._templates = templates_of(event_name)
        self._members = event_members or {}
        self._where = " or ".join(filter(None, (_described(each) for each in self._templates)))
        places = {each for template in self._templates for each in template}
        kept = [each for each in map(place_of, url_places) if each not in places]
        self._in_url = [each for each in (*places, *kept) if each.kind in ("query", "path")]
        self.url_places = frozenset(f"{each.kind}:{each.name}" for each in self._in_url)
        """The places in the URL, such as "query:topic"."""
        self.are_in_body = all(each.kind in ("", "text", "has") for each in places)
        """Whether the body alone has the names, so that a signature over it covers them."""
        self._may_contradict = not self.are_in_body and not any(each.path == ("event",) for each in places)

    def headers(self, head: RequestHead) -> Headers:
        """Return the headers of a delivery: those of its request, and what of its URL is a part of a name.

        That is a header such as "query=topic", which no request can have (RFC 9110, section 5.6.2).
        """
        if not self._in_url:
            return head.headers
        found = [(each.header, each.in_url(head)) for each in self._in_url]
        own = {header for header, _ in found}
        kept = [(header, value.encode()) for header, value in found if value is not None]
        return [*(pair for pair in head.headers if pair[0] not in own), *kept]

    def named(self, body: bytes, headers: Headers) -> bytes:
        """Return a document with its event's name in it, as its `event`.

        The name becomes its last member, and of members with the same name the last counts. An `event` of its own that
        is an object or an array becomes the `body`, unless it has one; any other one, but null, its `own_event`.

        Args:
            body: the bytes of the document.
            headers: the headers of the delivery.

        Raises:
            NoEventName: there is no name, or the document is no JSON object.
            NotAnEvent: the document tells another event than the header.
        """
        if not self._templates:
            return body
        document = _object(body)
        name = self._name(document, headers)
        if name is None:
            raise NoEventName(f"there is no {self._where} with the event's name")
        named = body if document.get("event") == name else _with_name(body, document, name)
        if self._may_contradict:
            self._check(document, name)
        return named

    def _name(self, document: dict[str, object], headers: Headers) -> str | None:
        for template in self._templates:
            values = [place.value(document, headers) for place in template]
            if None not in values:
                return "".join(map(str, values))
        return None

    def _check(self, document: dict[str, object], name: str) -> None:
        """Reject a name in a header or URL, which few signatures cover, if the document tells another one.

        Raises:
            NotAnEvent: it does. The error does not quote the name, which may be a stranger's.
        """
        members = self._members
        if members:
            told = next((each for each in members.values() if each and each <= document.keys()), None)
            contradicts = told is not None and members.get(name, told) != told
        else:
            own = document.get("event")
            contradicts = isinstance(own, str) and own != name
        if contradicts:
            raise NotAnEvent(f"the body tells another event than the {self._where}, which no signature covers")


def templates_of(event_name: str | Sequence[str]) -> list[list[Place]]:
    """Return the places of names: those that are joined, for each of the ways of which the first that is there counts.

    Raises:
        ConfigurationError: a place cannot work.
    """
    return [[*_template(each)] for each in ((event_name,) if isinstance(event_name, str) else event_name)]


def check_event_name(event_name: object, scheme: Scheme, url_places: object = ()) -> None:
    """Reject places of names, and others in the URL, that cannot work, or where the secret of the scheme is.

    Raises:
        ConfigurationError: a place is of the wrong form, no inbox stores what is there, or it is the scheme's.
    """
    if not isinstance(event_name, str | tuple) or not all(
        isinstance(each, str) for each in cast("tuple[object, ...]", event_name)
    ):
        raise ConfigurationError(
            f'event_name is a place such as "type" or "query:topic", or a tuple of some, not {event_name!r}'
        )
    if not isinstance(url_places, tuple) or not all(
        isinstance(each, str) and each.partition(":")[0] in ("query", "path")
        for each in cast("tuple[object, ...]", url_places)
    ):
        raise ConfigurationError(f'url_places is a tuple of places such as "query:order", not {url_places!r}')
    names = EventNames(cast("str | tuple[str, ...]", event_name), url_places=cast("tuple[str, ...]", url_places))
    if found := names.url_places & secret_places(scheme):
        raise ConfigurationError(f"{min(found)!r} cannot be read: the secret is there, and no inbox stores it")


def _template(text: str) -> Iterator[Place]:
    """Yield the places of a name: one, or those in the braces of a template and the text between them.

    Raises:
        ConfigurationError: a place is of the wrong form, or no inbox stores what is there.
    """
    if "{" not in text and "}" not in text:
        yield place_of(text)
        return
    try:
        cut = [*Formatter().parse(text)]
    except ValueError as error:
        raise ConfigurationError(f"event_name={text!r} cannot be read: {error}") from None
    for literal, name, spec, conversion in cut:
        if literal:
            yield Place("text", literal)
        if conversion:
            raise ConfigurationError(f'event_name={text!r} has a "!" in braces, where only a place may be')
        if name is not None:
            yield place_of(f"{name}:{spec}" if spec else name)


def _described(template: Sequence[Place]) -> str:
    """Return a template in words, such as "header x-github-event"."""
    kinds = {"": "member", "has": "member"}
    found = [f"{kinds.get(each.kind, each.kind)} {each.name}".lower() for each in template if each.kind != "text"]
    return " and ".join(found)


def place_of(text: str) -> Place:
    """Return the place that a text names, such as "meta.event_name" or "query:topic". See `Sender.event_name`.

    Raises:
        ConfigurationError: the text is of the wrong form, or no inbox stores what is there.
    """
    kind, colon, name = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not colon:
        (path,) = parsed_paths([text])
        return Place("", text, path=path)
    if kind not in _KINDS or not name:
        raise ConfigurationError(
            'event_name is a place such as "meta.event_name", "header:x-topic", "query:topic", "path:-1", '
            f'"has:postback" for the name of a member, or "text:ping" for one name, not {text!r}'
        )
    if kind == "text":
        return Place(kind, name)
    if kind == "has":
        (path,) = parsed_paths([name])
        return Place(kind, name, path=path)
    from_end = 0
    if kind == "path":
        if not (name[:1] == "-" and name[1:].isdecimal() and int(name) < 0):
            raise ConfigurationError(f'a place in the path is counted from its end, as "path:-1", not {text!r}')
        from_end = int(name)
    elif not kept_headers([(name.lower().encode("utf-8", "replace"), b"")]):
        raise ConfigurationError(
            f"event_name={text!r} cannot work: an inbox stores nothing of that name, since it may be a credential"
        )
    header = name.lower() if kind == "header" else f"{kind}={quote(name, safe='-')}"
    return Place(kind, name, header.encode("latin-1", "replace"), from_end=from_end)


def decoded(
    body: bytes,
    decode: Callable[[bytes], bytes] | None,
    envelope: Callable[[bytes, Headers], bytes] | None = None,
    headers: Headers = (),
) -> bytes:
    """Return the document in a body.

    Args:
        body: the bytes of the body, as received.
        decode: the sender's function, see `Sender.decode`; None if the body is the document.
        envelope: the sender's function, see `Sender.envelope`; None if the headers add nothing.
        headers: the headers of the delivery.

    Raises:
        NoEventName: `decode` or `envelope` failed.
    """
    if decode is None and envelope is None:
        return body
    what = "decode"
    try:
        found: object = body if decode is None else decode(body)
        if isinstance(found, bytes) and envelope is not None:
            what, found = "envelope", envelope(found, headers)
    except Exception as error:
        log_failure(f"the sender's {what} failed", error)
        found = error
    if isinstance(found, bytes):
        return found
    raise NoEventName(f"the sender's {what} gave no bytes, but {type(found).__name__}")


def _with_name(body: bytes, document: dict[str, object], name: str) -> bytes:
    """Return a document whose `event` is a name. Another `event` that it had gets another place; only the end is new.

    Raises:
        NoEventName: the body is no JSON object.
    """
    text = body.strip(_SPACE)
    if not _is_object(text):
        text = repaired(body).strip(_SPACE)
        if not _is_object(text):
            raise NoEventName("the body is no JSON object")
    members = text[1:-1]
    comma = b"," if members.strip(_SPACE) else b""
    moved, own = b"", document.get("event")
    if isinstance(own, dict | list) and "body" not in document:
        moved = b',"body":' + _EVENT.parts(text)[0]
    elif own is not None and own != name:
        place = _OWN_EVENT
        while place in document:
            place = f"own_{place}"
        moved = b',"%b":%b' % (place.encode(), json.dumps(own).encode())
    return b'{%b%b"event":%b%b}' % (members, comma, json.dumps(name).encode(), moved)


def _object(body: bytes) -> dict[str, object]:
    """Return the JSON object in a body; an empty one for any other body, which is no event anyway."""
    try:
        found = from_json(body, cache_strings="keys")
    except ValueError:
        found = parsed(body)
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _is_object(document: bytes) -> bool:
    return document[:1] == b"{" and document[-1:] == b"}"
