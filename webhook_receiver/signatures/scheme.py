"""What all signature schemes share: secrets, the protocol of a scheme, and what a check yields."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from ..delivery import AnyHeaders, Headers


class Verified(NamedTuple):
    """What a check found out about a delivery."""

    by: int | None
    """The index of the secret that verified it; None when it came unsigned."""
    body: bool
    """Whether the signature covers the body."""
    id: str | None = None
    """The sender's id of the delivery, the same when it is sent again, if the scheme has one and verified it."""


BodyCheck = Callable[[bytes], Verified]
"""Takes the body's bytes; returns what is verified, or raises a VerificationError."""


@runtime_checkable
class Scheme(Protocol):
    """A way to sign and verify a delivery. It does no I/O and reads no clock: `now` is in Unix seconds.

    Two attributes may say more of it. `secret_count`, 1 if left out: how many secrets `Verified.by` is an index of.
    `reads_path`, False if left out: whether the receiver is to put the request's path among the headers, as the
    last one and under HTTP/2's name for it, `:path`. What proves a delivery by its path puts it there when it signs.
    """

    def sign(self, headers: AnyHeaders, body: bytes, now: float) -> Headers:
        """Return `headers` and, behind them, those that prove the delivery, made with the first secret."""
        ...

    def verify_headers(self, headers: Headers, now: float) -> BodyCheck:
        """Verify all that can be verified before the body is read, so that a stranger costs next to nothing.

        Raises:
            VerificationError: and nothing else, whatever the headers hold.
        """
        ...
