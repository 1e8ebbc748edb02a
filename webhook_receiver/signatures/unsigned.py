"""The scheme of a sender that signs nothing: the user's word, spelt out, that anyone may deliver."""

from __future__ import annotations

from ..delivery import AnyHeaders, Headers, header_pairs
from ..errors import UnexpectedSignature
from .base import BodyCheck, Verified


class Unsigned:
    """Accepts whatever comes without a signature. UP42 sends unsigned when a webhook has no secret.

    A delivery that does carry a signature is refused: its sender has a secret, and this receiver would
    let everybody in beside it.
    """

    def sign(self, headers: AnyHeaders, body: bytes, now: float) -> Headers:
        """Return the headers as they are."""
        return header_pairs(headers)

    def verify_headers(self, headers: Headers, now: float) -> BodyCheck:
        """Refuse what is signed; see `Scheme`.

        Raises:
            UnexpectedSignature: a header's name speaks of a signature.
        """
        for name, _ in headers:
            if b"signature" in name:
                raise UnexpectedSignature(
                    "the delivery is signed, but the receiver has scheme=Unsigned(): give it the sender's secret"
                )
        return _unverified


def _unverified(body: bytes) -> Verified:
    return Verified(by=None, body=False)
