"""The bodies and headers of deliveries, genuine and forged, and posting them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast
from uuid import uuid4

import httpx

from ..delivery import Headers, RequestHead
from ..senders.up42.signature import UP42Signature
from ..signatures import Scheme

Document = dict[str, Any]
"""A JSON object to deliver."""

JSON = {"content-type": "application/json"}

_LONGEST_RESPONSE = 65_536  # bytes


def document(event: str, status: str, order_id: str | None = None, *, now: float) -> Document:
    """Return a document like UP42's. Only `event` and `body.status` are certain; the rest is modelled.

    Args:
        event: the event's name, such as "order.status".
        status: the new status of the order, or of the job.
        order_id: the order's id; a new one if None.
        now: the time of the event, in Unix seconds.
    """
    updated = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
    return {"event": event, "body": {"orderId": order_id or str(uuid4()), "status": status, "updatedAt": updated}}


def put(document: Document, path: str, value: object) -> None:
    """Set the value at a dotted path, such as "body.order.id", and create the objects on the way.

    Raises:
        ValueError: a key is empty, or a value on the way is not an object.
    """
    *way, last = path.split(".")
    if not all([*way, last]):
        raise ValueError(f"{path!r} is not a path such as body.order.id")
    place = document
    for key in way:
        below: object = place.setdefault(key, {})
        if not isinstance(below, dict):
            raise ValueError(f"{key!r} in {path!r} is not an object, so nothing can be put into it")
        place = cast("Document", below)
    place[last] = value


def dump(document: Document) -> bytes:
    """Return the bytes of a document, as they are signed and sent."""
    return json.dumps(document, separators=(",", ":")).encode()


def signed(body: bytes, scheme: Scheme, *, now: float, url: str | None = None) -> RequestHead:
    """Return the head of the request that delivers `body`.

    Args:
        body: the bytes that are sent.
        scheme: the scheme that signs.
        now: the time of signing, in Unix seconds.
        url: the absolute URL that is posted to, for a scheme that signs the URL or has a token in it.
    """
    return scheme.sign(unsigned(url), body, now)


def forged(body: bytes, *, now: float, url: str | None = None) -> RequestHead:
    """Return a head as `signed` does, made by somebody who does not know the secret."""
    return UP42Signature(secrets.token_urlsafe()).sign(unsigned(url), body, now)


def unsigned(url: str | None = None) -> RequestHead:
    """Return the head of a request of a sender that has no secret."""
    return RequestHead.of(JSON, target=b"/" if url is None else httpx.URL(url).raw_path, url=url)


def url_of(head: RequestHead, url: str) -> str:
    """Return the URL to post to: the host of `url`, and the target that the scheme gave the head."""
    return str(httpx.URL(url).copy_with(raw_path=head.target))


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one request to a receiver."""

    seconds: float
    """Seconds until the response, or until there was none to expect."""
    status: int | None = None
    """The response's status; None when there was no response."""
    reason: str = ""
    """The receiver's reason for its response, or why there was no response."""
    location: str | None = None
    """The target of a redirect."""

    @property
    def ok(self) -> bool:
        """Whether the receiver accepted the delivery: a status from 200 to 299."""
        return self.status is not None and 200 <= self.status <= 299

    @property
    def label(self) -> str:
        """The status with its phrase, such as "204 No Content", or the reason why there is none."""
        if self.status is None:
            return self.reason
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else ""
        return f"{self.status} {phrase}".rstrip()


async def post(client: httpx.AsyncClient, url: str, headers: Headers, body: bytes | AsyncIterable[bytes]) -> Result:
    """Post a body once and return the result; redirects are not followed, and a failed connection is a result, too."""
    result, _ = await exchange(client, "POST", url, headers, body)
    return result


async def exchange(
    client: httpx.AsyncClient, method: str, url: str, headers: Headers, body: bytes | AsyncIterable[bytes]
) -> tuple[Result, bytes]:
    """Send a request as `post` does; return the result, and the beginning of the response's body."""
    start = time.perf_counter()
    try:
        async with client.stream(method, url, headers=list(headers), content=body, follow_redirects=False) as response:
            said = await _beginning(response)
    except httpx.RequestError as error:
        return Result(time.perf_counter() - start, reason=f"no response: {str(error) or type(error).__name__}"), b""
    seconds = time.perf_counter() - start
    return Result(seconds, response.status_code, _reason(said), response.headers.get("location")), said


async def _beginning(response: httpx.Response) -> bytes:
    """Return the first `_LONGEST_RESPONSE` bytes of the response's body."""
    said = b""
    async for chunk in response.aiter_bytes():
        said += chunk
        if len(said) > _LONGEST_RESPONSE:
            break
    return said[:_LONGEST_RESPONSE]


def _reason(said: bytes) -> str:
    """Return the title and detail of a problem document (RFC 9457), or an empty text."""
    try:
        problem: object = json.loads(said)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(problem, dict):
        return ""
    reasons = [str(value) for key in ("title", "detail") if (value := cast("Document", problem).get(key))]
    return ": ".join(reasons)
