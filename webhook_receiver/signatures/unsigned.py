"""The scheme of a sender that signs nothing: anybody may deliver, or only who knows an unguessable URL."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from ..delivery import Headers, RequestHead
from ..errors import (
    BadSignature,
    ConfigurationError,
    MissingSignature,
    UnexpectedSignature,
)
from .encoding import header_name, only
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, masked

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{22,}")  # 128 bits in base64url


class Unsigned:
    """A scheme that accepts deliveries without a signature. UP42 sends these when a webhook has no secret.

    A delivery with a signature is rejected: its sender has a secret, so a receiver that lets everybody in is a mistake.

    Args:
        token_in_path: the last part of the URL that the sender posts to, which nobody can guess; several tokens for
            rotation. Its route is `hooks.route("/webhooks/{token}")`. A token is weaker than a signature: who reads a
            log of URLs knows it, and it does not prove the body. It is for a sender that can do no better.
        id: the header with the sender's id of the delivery, the same when it is sent again: two deliveries with the
            same id are one, whatever else differs. A delivery without it, or with an empty one, has none. Who is let in
            can write any id, also that of a delivery to come, which is then a duplicate.

    Raises:
        ConfigurationError: a token has less than 22 characters, or one that would be escaped in a URL (RFC 3986); or
            `id` is no name of a header.
    """

    def __init__(self, *, token_in_path: Secrets | None = None, id: str | None = None) -> None:
        token_in_path = None if token_in_path is None else masked(token_in_path)
        self._keyring = None if token_in_path is None else Keyring(token_in_path, _key)
        self.secret_count = 0 if self._keyring is None else len(self._keyring)
        self.covered_headers = None
        """It covers nothing of a request. See `Scheme`."""
        self.secret_places = frozenset[str]() if self._keyring is None else frozenset({"path:-1"})
        """The place in the URL that holds the token. See `Scheme`."""
        self._id = None if id is None else header_name("id", id)

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head unchanged; with tokens, a head whose path ends in the first one.

        A token that the path ends in already is replaced, so a signed head may be signed again.

        Raises:
            ConfigurationError: every token has expired.
        """
        if self._keyring is None:
            return head
        token = _bytes(self._keyring.first(now)[1])
        path, separator, query = head.target.partition(b"?")
        base, _, last = path.rstrip(b"/").rpartition(b"/")
        if self._index_of(self._keyring, last, now) is None:
            base = path.rstrip(b"/")
        return head._replace(target=b"%b/%b%b%b" % (base, token, separator, query))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Reject a delivery that is signed, or whose path does not end in a token. See `Scheme.verify`.

        Raises:
            UnexpectedSignature: the name of a header contains "signature" or "hmac".
            MissingSignature: the path has no last part.
            BadSignature: the last part of the path is no token of the receiver's.
            MalformedSignature: the header `id` is there more than once.
        """
        for name, _ in head.headers:
            if b"signature" in name or b"hmac" in name:
                raise UnexpectedSignature(
                    "the delivery is signed, but the receiver has scheme=Unsigned(): give it the sender's secret"
                )
        by = None if self._keyring is None else self._check_token(self._keyring, head, now)
        verified = Verified(by, body=False, id=self._sent_id(head.headers))
        return lambda body: verified

    def _sent_id(self, headers: Headers) -> str | None:
        """Return the sender's id of a delivery; None without one.

        Raises:
            MalformedSignature: the header is there more than once.
        """
        if self._id is None or not any(name == self._id for name, _ in headers):
            return None
        return only(headers, self._id).decode("latin-1") or None

    def _check_token(self, keyring: Keyring[tuple[int, Secret]], head: RequestHead, now: float) -> int:
        claimed = head.path.rstrip(b"/").rpartition(b"/")[2]
        if not claimed:
            raise MissingSignature(
                "the path has no token at its end; without ASGI, pass the path: receive(..., target=...)"
            )
        by = self._index_of(keyring, claimed, now)
        if by is None:
            raise BadSignature("the path does not end in a token of the receiver's")
        return by

    @staticmethod
    def _index_of(keyring: Keyring[tuple[int, Secret]], claimed: bytes, now: float) -> int | None:
        """Return the index of a token, which may be percent-encoded (RFC 3986, section 6.2.2.2); None for no token."""
        claimed = unquote_to_bytes(claimed)
        return next((by for by, token in keyring.at(now) if is_same(_bytes(token), claimed)), None)


def _key(by: int, secret: Secret) -> tuple[int, Secret]:
    if not _TOKEN.fullmatch(secret.get_secret_value()):
        raise ConfigurationError(
            "token_in_path is at least 22 letters, digits, '-', '_', '.' or '~', for anyone who guesses it gets in; "
            "`python -c 'import secrets; print(secrets.token_urlsafe())'` makes one"
        )
    return by, secret


def _bytes(token: Secret) -> bytes:
    return token.get_secret_value().encode()
