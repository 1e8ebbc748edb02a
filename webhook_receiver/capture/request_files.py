"""Reading requests saved elsewhere: raw HTTP, and HAR as browsers and proxies write it."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import h11

from ..delivery import Headers, header_pairs

_REQUEST_LINE = re.compile(rb"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+)(?: HTTP/[\d.]{1,3})?[ \t]*(?=\r?\n)")


@dataclass(frozen=True, slots=True)
class SavedRequest:
    """A saved request. The repr shows neither headers nor body."""

    method: str
    target: str
    """The path with its query, or a whole URL, as saved."""
    headers: Headers
    body: bytes
    notes: tuple[str, ...] = ()
    """Sentences about what may differ from the bytes on the wire."""

    @property
    def url(self) -> str | None:
        """The absolute URL that was posted to; None where the target is but a path."""
        return self.target if re.match("https?://", self.target, re.IGNORECASE) else None

    def __repr__(self) -> str:
        return f"<SavedRequest {self.method}, {len(self.headers)} headers, {len(self.body)} bytes>"


def from_http(raw: bytes) -> SavedRequest:
    """Return the request in raw HTTP: a request line, headers, an empty line and the body; lines end in CRLF or LF.

    The body is taken byte for byte. A chunked body is joined; a body longer than its Content-Length is cut there,
    since an editor may have added a newline, and a note says so.

    Raises:
        ValueError: the bytes are not an HTTP request; the message quotes nothing of them.
    """
    first = _REQUEST_LINE.match(raw)
    if first is None:
        raise ValueError("this is no HTTP request: its first line is not of the form  POST /webhooks HTTP/1.1")
    # As HTTP/1.0, which needs no Host: what was saved may lack it, and may have been HTTP/2.
    raw = b"%b %b HTTP/1.0" % first.groups() + raw[first.end() :]
    if not re.search(rb"\n\r?\n", raw):
        raw = raw.rstrip(b"\r\n") + b"\r\n\r\n"  # only a head, saved without its empty line
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(raw) + 1)
    try:
        connection.receive_data(raw)
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise ValueError(f"the request's head cannot be read: {_complaint(error)}{_where(raw)}") from None
    if not isinstance(request, h11.Request):
        raise ValueError("the request's head is not complete")
    headers = list(request.headers)
    rest, _ = connection.trailing_data
    body, notes = _body(connection, headers, rest)
    return SavedRequest(request.method.decode(), request.target.decode("latin-1"), headers, body, notes)


def _body(connection: h11.Connection, headers: Headers, rest: bytes) -> tuple[bytes, tuple[str, ...]]:
    fields = dict(headers)
    if b"transfer-encoding" in fields:
        try:
            return _chunks(connection), ()
        except ValueError:
            return rest, (
                "the head says Transfer-Encoding: chunked, but there are no chunks: the body is taken as it is",
            )
    length = int(fields.get(b"content-length", len(rest)))
    if length < len(rest):
        return rest[:length], (
            f"the file goes on {len(rest) - length} bytes after the {length} of Content-Length: they are left out",
        )
    return rest, (short(len(rest), length),) if length > len(rest) else ()


def short(size: int, length: int) -> str:
    """Return the note that a body is shorter than its Content-Length."""
    return f"the body has {size} bytes, its Content-Length says {length}: some were lost, on the way or in saving"


def _chunks(connection: h11.Connection) -> bytes:
    body = bytearray()
    connection.receive_data(b"")  # nothing more comes
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise ValueError("the chunks have no end")
            body += event.data
    except h11.RemoteProtocolError as error:
        raise ValueError(_complaint(error)) from None
    return bytes(body)


def _complaint(error: h11.RemoteProtocolError) -> str:
    return str(error).partition(":")[0]  # behind it is the line itself


def _where(raw: bytes) -> str:
    """Return which line is not a header, counted from 1, for an error message."""
    head = re.split(rb"\n\r?\n", raw, maxsplit=1)[0].split(b"\n")
    for number, line in enumerate(head[1:], 2):
        if not re.match(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:|[ \t]", line):
            return f": line {number} is not of the form  name: value"
    return ""


def from_har(document: object, number: int | None = None) -> SavedRequest:
    """Return a request of a HAR file, of one of its entries, or of an entry's `request`.

    Args:
        document: the parsed JSON.
        number: the entry's number, counted from 1; needed if there are several. Negative ones count from the end.

    Raises:
        ValueError: there is no such entry, or it lacks a part of the request.
    """
    place = _mapping(document, "a HAR is a JSON object")
    if "log" in place:
        place = _mapping(_entry(place["log"], number), "each entry of a HAR is a JSON object")
    elif number not in (None, 1, -1):
        raise ValueError(f"there is no entry {number}: this is one entry of a HAR, not a whole one")
    if "request" in place:
        place = _mapping(place["request"], "the request of a HAR's entry is a JSON object")
    given = place.get("headers")
    if not isinstance(given, list):
        raise ValueError("this is no HAR: it has no log.entries, no request and no headers")
    pairs = [_pair(each) for each in cast("list[object]", given)]
    headers = header_pairs([(name, value) for name, value in pairs if not name.startswith(":")])  # HTTP/2's own
    body, notes = _posted(place.get("postData"))
    length = dict(headers).get(b"content-length", b"")
    if length.isdigit() and len(length) < 20 and int(length) != len(body):
        notes = (*notes, f"the body has {len(body)} bytes here, its Content-Length says {int(length)}")
    return SavedRequest(_text(place, "method", "POST"), _text(place, "url", "/"), headers, body, notes)


def _entry(log: object, number: int | None) -> object:
    entries = _mapping(log, "the log of a HAR is a JSON object").get("entries")
    if not isinstance(entries, list) or not entries:
        raise ValueError("this HAR has no entries")
    listed = cast("list[object]", entries)
    if number is None and len(listed) > 1:
        raise ValueError(f"this HAR has {len(listed)} entries: say which one, counted from 1")
    index = 1 if number is None else number
    if not 0 < abs(index) <= len(listed):
        raise ValueError(f"there is no entry {index}: this HAR has {len(listed)}, counted from 1")
    return listed[index - 1 if index > 0 else index]


def _posted(posted: object) -> tuple[bytes, tuple[str, ...]]:
    if posted is None:
        return b"", ("the HAR has no postData: an empty body, or one that was not saved",)
    data = _mapping(posted, "postData in a HAR is a JSON object")
    text = data.get("text")
    if text in (None, "") and isinstance(params := data.get("params"), list) and params:
        fields = [_pair(each) for each in cast("list[object]", params)]
        return urlencode(fields, errors="surrogatepass").encode(), (
            "the HAR has the form's fields, not its bytes: its escapes may be others",
        )
    if not isinstance(text, str):
        raise ValueError("postData has no text: the body's bytes are not in this HAR; save them as raw HTTP instead")
    encoding = data.get("encoding") or data.get("_encoding")
    if encoding == "base64":
        try:
            return b64decode(text, validate=True), ()
        except ValueError:
            raise ValueError("postData.text is not base64, although its encoding says so") from None
    body = text.encode("utf-8", "surrogatepass")
    return body, () if body.isascii() else ("a HAR holds text, not bytes: its body is taken as UTF-8",)


def _pair(header: object) -> tuple[str, str]:
    pair = _mapping(header, "each header in a HAR is a JSON object")
    return _text(pair, "name"), _text(pair, "value")


def _text(place: dict[str, Any], key: str, default: str | None = None) -> str:
    value: object = place.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key} in a HAR is a text")
    return value


def _mapping(value: object, complaint: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{complaint}, and this is none")
    return cast("dict[str, Any]", value)


def parse_json(text: bytes) -> object:
    """Return the JSON document in `text`.

    Raises:
        ValueError: the text is not JSON; the message quotes nothing of it.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"this begins as JSON, but is none{where}") from None
