"""What is never on a page: headers that may hold a credential, and members of a body that do."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import unquote_plus

from ..delivery import Headers, kept_headers
from ..signatures.scheme import Scheme, secret_headers, secret_members, secret_places
from .wording import MASK

_NAME = (
    r"[^\"\\&=]{0,60}?(?:(?:^|[_.\-]|\b)(?:token|secret|passwd|password|passphrase|signature|authorization|credentials?)"
    r"|[a-z0-9](?:Token|Secret|Password|Signature|ApiKey|AccessKey)|(?:api|access|private|signing)[_\-]?[kK]ey|pwd)"
)
_MEMBER = re.compile(rf'("({_NAME})"\s*:\s*)"((?:[^"\\]|\\.)+)"', re.DOTALL)
"""A member of JSON whose name tells of a credential, and that is a text."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_FIELD = re.compile(rf"((?:^|&)({_NAME})=)([^&]+)")
"""A field of a form of such a name."""
_QUERY = re.compile("([^&=]*)=([^&]*)")
_LONG = 22  # characters of a part of a path that may be a secret, see `Unsigned`


class Header(NamedTuple):
    """A header as it is shown."""

    name: str
    value: str
    is_masked: bool


def shown_headers(headers: Headers, scheme: Scheme | None) -> list[Header]:
    """Return headers as they are shown, with the values masked of those that may hold a secret.

    An inbox stores no such header; what was imported, or written by an older version, may have some.

    Args:
        headers: the headers of a delivery, or of a request.
        scheme: the scheme of its receiver, if that is at hand.
    """
    found: list[Header] = []
    secret = secret_headers(scheme)
    for pair in headers:
        if b"=" in pair[0]:  # a note of ours, which no request can have: `Delivery.tenant` and the like
            continue
        is_kept = bool(kept_headers([pair], secret))
        value = pair[1].decode("utf-8", "backslashreplace")
        found.append(Header(pair[0].decode("latin-1"), value if is_kept else MASK, not is_kept))
    return found


def shown_target(target: str, scheme: Scheme | None) -> str:
    """Return a request's target with what may be a secret masked: where its scheme has one, and what is like one.

    Args:
        target: the path, with the query behind `?` where there is one, as sent.
        scheme: the scheme of its receiver, if that is at hand.
    """
    places = secret_places(scheme)
    path, mark, query = target.partition("?")
    parts = [MASK if len(each) >= _LONG else each for each in path.split("/")]
    for place in places:
        kind, _, where = place.partition(":")
        if kind == "path" and where.lstrip("-").isdigit() and -len(parts) <= int(where) < len(parts):
            parts[int(where)] = MASK
    names = {place.partition(":")[2] for place in places if place.startswith("query:")}

    def masked(found: re.Match[str]) -> str:
        is_secret = unquote_plus(found[1]) in names or len(found[2]) >= _LONG
        return f"{found[1]}={MASK}" if is_secret else found[0]

    return "/".join(parts) + mark + _FIELD.sub(rf"\1{MASK}", _QUERY.sub(masked, query))


def masked_body(body: bytes, kind: str, scheme: Scheme | None) -> bytes:
    """Return a body with the values masked of members whose names tell of a credential.

    Args:
        body: the bytes of the body.
        kind: the value of Content-Type.
        scheme: the scheme of its receiver, if that is at hand.
    """
    members = secret_members(scheme)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return MASK.encode() if members else body
    if members:
        try:
            secrets = {each for place in members for each in _values(json.loads(text), place.split("."))}
        except (ValueError, RecursionError):  # in a form, or in what is no JSON: who knows where
            return MASK.encode()
        text = _STRING.sub(lambda found: f'"{MASK}"' if _is_one(found[0], secrets) else found[0], text)
    if text[:1] in ("{", "["):
        return _MEMBER.sub(rf'\1"{MASK}"', text).encode()
    if kind.startswith("application/x-www-form-urlencoded"):
        return _FIELD.sub(rf"\1{MASK}", text).encode()
    return body


def _values(value: Any, names: Sequence[str]) -> Iterator[str]:
    """Yield the texts at a place of a document; of an array, those of all items."""
    if isinstance(value, list):
        yield from (found for each in cast("Sequence[Any]", value) for found in _values(each, names))
    elif not names:
        if isinstance(value, str):
            yield value
    elif isinstance(value, dict):
        yield from _values(cast("dict[str, Any]", value).get(names[0].removesuffix("[]")), names[1:])


def _is_one(written: str, secrets: Collection[str]) -> bool:
    """Return whether a string of JSON is one of these."""
    try:
        return json.loads(written) in secrets
    except ValueError:
        return False


def is_masked(body: bytes, shown: bytes) -> bool:
    """Return whether something of a body is masked."""
    return body is not shown and body != shown
