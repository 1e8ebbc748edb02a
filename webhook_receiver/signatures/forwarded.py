"""The addresses that proxies report in a header, from the last one on: X-Forwarded-For, or Forwarded (RFC 7239)."""

from __future__ import annotations

import gc
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

from ..delivery import Headers
from .scheme import Scheme, has_networks

logger = logging.getLogger("webhook_receiver")

MAX_PROXIES = 16
"""The number of proxies one behind the other; what is before the last so many is not looked at."""
_MAX_ELEMENT = 512  # characters, of one proxy
_MAX_COMMAS = 16  # in the quoted texts of one

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = r'[^\s",;\\]+|"(?:[^"\\]|\\.)*"'  # with the colons and brackets that some proxies do not quote
_PAIR = re.compile(rf"[ \t]*({_NAME})=({_VALUE})[ \t]*(?:;|$)")
_ESCAPED = re.compile(r"\\(.)")


def reported(headers: Headers, name: bytes) -> Iterator[str | None]:
    """Yield what proxies report, from the last on: a text that may be an address, or None for what cannot be one.

    Args:
        headers: the headers of a request. Several of the name are one, joined by commas.
        name: the header's name, in lower case: `forwarded` is read by RFC 7239, any other as a list with commas.
    """
    value = b",".join([each for key, each in headers if key == name]).decode("latin-1")
    if not value:
        return
    if name != b"forwarded":
        for each in reversed(value.rsplit(",", MAX_PROXIES)):
            yield each.strip(" \t") if len(each) <= _MAX_ELEMENT else None
        return
    end = len(value)
    for _ in range(MAX_PROXIES):
        node, end = _last_node(value, end)
        yield node
        if end < 0:
            return
    yield None


def _last_node(value: str, end: int) -> tuple[str | None, int]:
    """Return the node in the last element before an index, None for none, and the index of the comma before it, or -1.

    The elements before it are a stranger's, maybe, and may open a quotation mark that they never close. So it is read
    from its end: it is the shortest end of the value, from a comma on, that is an element. A comma in a quoted text
    begins none, since an odd number of quotation marks is behind it.
    """
    comma, first = end, max(0, end - _MAX_ELEMENT)
    for _ in range(_MAX_COMMAS):
        comma = value.rfind(",", first, comma)
        if comma == -1 and first > 0:
            break
        pairs = _pairs(value[comma + 1 : end])
        if pairs is not None:
            nodes = [text for key, text in pairs if key == "for"]
            return (nodes[0] if len(nodes) == 1 else None), comma
        if comma == -1:
            break
    return None, -1


def _pairs(element: str) -> list[tuple[str, str]] | None:
    """Return the names, in lower case, and the values of a forwarded-element; None for a text that is none."""
    at, found = 0, list[tuple[str, str]]()
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            return None
        key, text = pair.groups()
        found.append((key.lower(), _ESCAPED.sub(r"\1", text[1:-1]) if text[0] == '"' else text))
        at = pair.end()
    return found or None


def warn_of_proxy_headers(scheme: Scheme) -> None:
    """Log a warning if a scheme lets in by the peer's address, and uvicorn in this process tells another.

    uvicorn takes it from X-Forwarded-For unless it is told not to, and a stranger may have written that.
    """
    module = sys.modules.get("uvicorn.middleware.proxy_headers")
    if module is None or not has_networks(scheme):
        return
    middleware: Any = getattr(module, "ProxyHeadersMiddleware", None)
    found = [each for each in gc.get_objects() if type(each) is middleware]  # no app is told what wraps it
    if any("127.0.0.1" in each.trusted_hosts for each in found):
        logger.warning(
            "uvicorn takes the peer's address from X-Forwarded-For, so a stranger may choose what AllowFrom(...) sees: "
            "run it with --no-proxy-headers, and say trusted_proxies=[...] for your own proxies"
        )
