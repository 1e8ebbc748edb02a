"""A request that a receiver has rejected, as the local loop keeps it, and its way from one process to another."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Self

from ..delivery import Headers

MOST_OF_A_BODY = 2 * 1024 * 1024
"""Bytes of a body that are kept; a receiver reads 1 MiB by default."""


class RejectedRequest(NamedTuple):
    """A request that a receiver has rejected, and its answer. The repr shows nothing of it."""

    receiver: str
    """The receiver's name."""
    at: float
    """The time of its receipt, in Unix seconds."""
    method: str
    target: str
    """The path and the query, as sent."""
    client: str | None
    """The address of the peer."""
    headers: Headers
    body: bytes
    """The bytes of the body, as far as they were read."""
    is_whole: bool
    """Whether that is all of the body."""
    error: str
    """The name of the receiver's error, such as "BadSignature"."""
    said: str
    """The message of that error."""
    status: int
    """The status of the response."""
    place: int = -1
    """The place of the receiver among those of its app, from 0: another one may have its name. -1 if it has none."""

    def __repr__(self) -> str:
        return f"<RejectedRequest {self.error}, {len(self.headers)} headers, {len(self.body)} bytes>"

    def as_bytes(self) -> bytes:
        """Return it as one line of JSON and the bytes of the body."""
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers]
        return json.dumps([*self[:5], headers, *self[7:]]).encode() + b"\n" + self.body

    @classmethod
    def from_bytes(cls, message: bytes) -> Self:
        """Return what `as_bytes` made.

        Raises:
            ValueError: it is not whole.
        """
        line, _, body = message.partition(b"\n")
        try:
            receiver, at, method, target, client, pairs, *rest = json.loads(line)
            headers: Any = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)
            is_whole, error, said, status, place = rest
        except (TypeError, AttributeError):
            raise ValueError("this is no rejected request") from None
        return cls(receiver, at, method, target, client, headers, body, is_whole, error, said, status, place)
