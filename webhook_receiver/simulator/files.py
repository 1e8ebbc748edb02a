"""The bytes of images, derived from their ids, and their download: whole or a range of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

_BLOCK = 65_536  # bytes generated at a time


def file_response(request: Request, id: str, size: int, content_type: str = "application/octet-stream") -> Response:
    """Return the bytes of a file, always the same ones, or a range of them (RFC 9110 section 14).

    Args:
        request: the request, with its `Range` and `If-Range`.
        id: the id of the file, which its bytes are derived from.
        size: the number of bytes.
        content_type: the media type.
    """
    tag = f'"{hashlib.sha256(id.encode()).hexdigest()[:32]}-{size}"'
    headers = {"accept-ranges": "bytes", "etag": tag, "content-type": content_type}
    wanted = request.headers.get("range", "")
    start, end = 0, size
    status = 200
    if wanted and request.method == "GET" and request.headers.get("if-range", tag) == tag:
        found = _range(wanted, size)
        if found is not None:
            start, end = found
            if start >= end:
                headers["content-range"] = f"bytes */{size}"
                return Response(status_code=416, headers=headers)
            status = 206
            headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(content(id, start, end), status, headers)


def content(id: str, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of a file from offset `start` up to `end`; they are derived from its id."""
    for number in range(start // _BLOCK, -(-end // _BLOCK)):
        block = hashlib.shake_128(f"{id}/{number}".encode()).digest(_BLOCK)
        at = number * _BLOCK
        yield block[max(0, start - at) : end - at]


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """Return the range's first offset and the one after its last; None if the whole file is to be sent."""
    found = re.fullmatch(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", wanted, re.ASCII)
    if found is None:
        return None  # several ranges, another unit, nonsense: a server may ignore those
    first, final, suffix = found.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    if final is not None and int(final) < int(first):
        return None
    return int(first), size if final is None else min(size, int(final) + 1)
