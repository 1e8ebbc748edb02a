"""The event's name of a sender that puts it into a header instead of the body, as GitHub does."""

from __future__ import annotations

import json

from .delivery import Headers
from .errors import NotAnEvent

_SPACE = b" \t\r\n"  # what JSON takes for space


def named(body: bytes, headers: Headers, header: bytes) -> bytes:
    """Return `body` with the header's value as its `event`, in the place of any that it has itself.

    The document is not parsed for that, which the catalog does: the name becomes its last member, and the last counts.

    Raises:
        NotAnEvent: there is no such header, or the body is no JSON object.
    """
    name = next((value for key, value in headers if key == header), None)
    if not name:
        raise NotAnEvent(f"there is no header {header.decode()} with the event's name")
    document = body.strip(_SPACE)
    if document[:1] != b"{" or document[-1:] != b"}":
        raise NotAnEvent("the body is no JSON object")
    members = document[1:-1]
    comma = b"," if members.strip(_SPACE) else b""
    return b'{%b%b"event":%b}' % (members, comma, json.dumps(name.decode("latin-1")).encode())
