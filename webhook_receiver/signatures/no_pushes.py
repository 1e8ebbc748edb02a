"""The scheme of a sender that does not push, and is only polled: nobody gets in."""

from __future__ import annotations

from typing import NoReturn

from ..delivery import RequestHead
from ..errors import ConfigurationError, MissingSignature


class NoPushes:
    """A scheme that rejects every request, for a sender that does not push: see `WebhookReceiver.poll_every`."""

    secret_count = 1
    """As if there were a secret that nobody has: with none, a scheme lets everybody in."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> NoReturn:
        """Refuse to sign, since nothing that is signed would verify.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("a sender with NoPushes() delivers nothing: it is polled, by poll_every(...)")

    def verify(self, head: RequestHead, now: float) -> NoReturn:
        """Reject a delivery. See `Scheme.verify`.

        Raises:
            MissingSignature: always.
        """
        raise MissingSignature("the sender does not push, says scheme=NoPushes(): nobody can prove that it did")
