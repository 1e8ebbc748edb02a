"""The scheme of a sender that signs nothing: anyone may deliver, or whoever knows an unguessable URL."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from ..delivery import RequestHead
from ..errors import (
    BadSignature,
    ConfigurationError,
    MissingSignature,
    UnexpectedSignature,
)
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, masked

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{22,}")  # 128 bits in base64url


class Unsigned:
    """Accepts whatever comes without a signature. UP42 sends unsigned when a webhook has no secret.

    A delivery that does carry a signature is rejected: its sender has a secret, and this receiver would
    let everybody in beside it.

    Args:
        token_in_path: the last part of the URL that the sender was given, which nobody can guess; several for
            rotation. Route it as `hooks.route("/webhooks/{token}")`. Whoever reads a log of URLs knows it, and it
            proves nothing of the body: it is for a sender that can do no better.

    Raises:
        ConfigurationError: a token is short, or would not stay as it is in a URL.
    """

    def __init__(self, *, token_in_path: Secrets | None = None) -> None:
        token_in_path = None if token_in_path is None else masked(token_in_path)
        self._keyring = None if token_in_path is None else Keyring(token_in_path, _key)
        self.secret_count = 0 if self._keyring is None else len(self._keyring)

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head as it is or, if there is a token, with a target whose path ends in the first.

        A token of ours at the path's end is replaced, so that the URL that the sender was given may be signed again.

        Raises:
            ConfigurationError: every token has expired.
        """
        if self._keyring is None:
            return head
        token = _bytes(self._keyring.first(now)[1])
        path, mark, query = head.target.partition(b"?")
        base, _, last = path.rstrip(b"/").rpartition(b"/")
        if self._index_of(self._keyring, last, now) is None:
            base = path.rstrip(b"/")
        return head._replace(target=b"%b/%b%b%b" % (base, token, mark, query))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Reject a delivery that is signed, or whose path ends in no token of ours; see `Scheme`.

        Raises:
            UnexpectedSignature: a header's name speaks of a signature.
            MissingSignature: the path is empty, and has no token.
            BadSignature: the path ends otherwise than in a token of ours.
        """
        for name, _ in head.headers:
            if b"signature" in name or b"hmac" in name:
                raise UnexpectedSignature(
                    "the delivery is signed, but the receiver has scheme=Unsigned(): give it the sender's secret"
                )
        return _unverified if self._keyring is None else self._check_token(self._keyring, head, now)

    def _check_token(self, keyring: Keyring[tuple[int, Secret]], head: RequestHead, now: float) -> BodyCheck:
        claimed = head.path.rstrip(b"/").rpartition(b"/")[2]
        if not claimed:
            raise MissingSignature(
                "the path has no token at its end; without ASGI, the receiver has to be told the path: "
                "receive(..., target=...)"
            )
        by = self._index_of(keyring, claimed, now)
        if by is None:
            raise BadSignature("the path ends in no token of ours")
        verified = Verified(by, body=False)
        return lambda body: verified

    @staticmethod
    def _index_of(keyring: Keyring[tuple[int, Secret]], claimed: bytes, now: float) -> int | None:
        """Return which token the last part of a path is, maybe percent-encoded (RFC 3986, section 6.2.2.2)."""
        claimed = unquote_to_bytes(claimed)
        return next((by for by, token in keyring.at(now) if is_same(_bytes(token), claimed)), None)


def _unverified(body: bytes) -> Verified:
    return Verified(by=None, body=False)


def _key(by: int, secret: Secret) -> tuple[int, Secret]:
    if not _TOKEN.fullmatch(secret.get_secret_value()):
        raise ConfigurationError(
            "token_in_path is at least 22 letters, digits, '-', '_', '.' or '~', for anyone who guesses it gets in; "
            "`python -c 'import secrets; print(secrets.token_urlsafe())'` makes one"
        )
    return by, secret


def _bytes(token: Secret) -> bytes:
    return token.get_secret_value().encode()
