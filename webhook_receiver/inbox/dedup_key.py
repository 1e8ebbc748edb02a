"""The marks by which a delivery is known again: a digest of what was sent, and a line that says what happened."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from urllib.parse import quote

from ..redaction import storable

_is_plain = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
"""Whether `quote` would leave a text as it is, which it takes several times as long to find out."""


def digester(source: str) -> Callable[..., bytes]:
    """Return the digest of parts, each bytes or a text, that no other parts of any source have."""
    begun = hashlib.sha256(_wire(source))

    def digest(*parts: str | bytes) -> bytes:
        whole = begun.copy()
        for part in parts:
            data = part if isinstance(part, bytes) else _wire(part)
            whole.update(b"\0%d\0" % len(data))
            whole.update(data)
        return whole.digest()

    return digest


def line(parts: Sequence[str]) -> str:
    """Return a line of text that no other parts have: quoted, with a space between them."""
    if _is_plain("".join(parts)):
        return " ".join(parts)
    return " ".join([quote(storable(part), safe="") for part in parts])


def _wire(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
