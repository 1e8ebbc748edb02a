"""What is never on a page: headers that may hold a credential, and members of a body that do."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, cast

from ..delivery import Delivery, kept_headers
from ..signatures.scheme import Scheme, secret_headers, secret_members
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


class Header(NamedTuple):
    """A header as it is shown."""

    name: str
    value: str
    is_masked: bool


def shown_headers(delivery: Delivery, scheme: Scheme | None) -> list[Header]:
    """Return the headers of a delivery, with the values masked of those that may hold a secret.

    An inbox stores no such header; what was imported, or written by an older version, may have some.

    Args:
        delivery: the delivery.
        scheme: the scheme of its receiver, if that is at hand.
    """
    found: list[Header] = []
    secret = secret_headers(scheme)
    for pair in delivery.headers:
        if b"=" in pair[0]:  # a note of ours, which no request can have: `Delivery.tenant` and the like
            continue
        is_kept = bool(kept_headers([pair], secret))
        value = pair[1].decode("utf-8", "backslashreplace")
        found.append(Header(pair[0].decode("latin-1"), value if is_kept else MASK, not is_kept))
    return found


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
