"""The repair of JSON that a strict parser rejects: for authentic bodies, which the sender does not send again."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|(?<![\d.eE+-])-?\d{4301,}+[\d.eE+-]*+', re.DOTALL)
"""A string, or a number with more digits than pydantic and Python convert.

A string that is cut off, and the digits of a shorter number, are passed in one step: what is searched again from each
of its characters on takes the square of its length.
"""

_IN_STRING = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # both halves of a surrogate pair
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.|[\x00-\x1f\ud800-\udfff]",
    re.DOTALL,
)


def repaired(body: bytes) -> bytes:
    """Return a body as JSON that a strict parser reads, as far as it can be made that. Nothing of it is left out.

    JSON is UTF-8 without a byte order mark (RFC 8259, section 8.1), and a half of a surrogate pair has no meaning
    (section 8.2). Yet senders cut texts in the middle of an emoji, or write UTF-16. What cannot be a text becomes the
    text of its escape: half an emoji the six characters `\\ud83d`, a byte that is no UTF-8 such as 0xFC `\\udcfc`.
    A control character in a string is escaped, and a number of more than 4,300 digits becomes a text of them.

    Args:
        body: the bytes, in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
    """
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "surrogatepass")
    except UnicodeDecodeError:
        return body
    return _TOKEN.sub(_strict, text).encode(errors="replace")


def parsed(body: bytes) -> Any:
    """Return the value of a body that is JSON, or can be repaired to be; None for any other."""
    with suppress(ValueError, RecursionError):
        return json.loads(repaired(body))
    return None


def _strict(token: re.Match[str]) -> str:
    text = token[0]
    return _IN_STRING.sub(_escaped, text) if text[0] == '"' else f'"{text}"'


def _escaped(found: re.Match[str]) -> str:
    text = found[0]
    if found[1] is not None:
        return f"\\{text}"
    if len(text) > 1:
        return text
    return f"\\u{ord(text):04x}" if text < " " else f"\\\\u{ord(text):04x}"
