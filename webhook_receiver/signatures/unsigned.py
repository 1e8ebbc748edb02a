"""The scheme of a sender that signs nothing: anyone may deliver, or whoever knows an unguessable URL."""

from __future__ import annotations

import re

from ..delivery import AnyHeaders, Headers, header_pairs
from ..errors import (
    BadSignature,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    UnexpectedSignature,
)
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, masked

PATH = b":path"
"""The name of the request's path among the headers: HTTP/2's, which no header of a request can have."""

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{22,}")  # 128 bits in base64url


class Unsigned:
    """Accepts whatever comes without a signature. UP42 sends unsigned when a webhook has no secret.

    A delivery that does carry a signature is refused: its sender has a secret, and this receiver would
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
        self.reads_path = self._keyring is not None
        self.secret_count = 0 if self._keyring is None else len(self._keyring)

    def sign(self, headers: AnyHeaders, body: bytes, now: float) -> Headers:
        """Return the headers as they are, and behind them, if there is a token, a path that ends in the first."""
        pairs = header_pairs(headers)
        return pairs if self._keyring is None else [*pairs, (PATH, b"/" + _bytes(self._keyring.first(now)[1]))]

    def verify_headers(self, headers: Headers, now: float) -> BodyCheck:
        """Refuse what is signed, or has another token; see `Scheme`.

        Raises:
            UnexpectedSignature: a header's name speaks of a signature.
            MissingSignature: the path has no token.
            BadSignature: it is another one.
        """
        for name, _ in headers:
            if b"signature" in name or b"hmac" in name:
                raise UnexpectedSignature(
                    "the delivery is signed, but the receiver has scheme=Unsigned(): give it the sender's secret"
                )
        return _unverified if self._keyring is None else self._check_token(self._keyring, headers, now)

    def _check_token(self, keyring: Keyring[tuple[int, Secret]], headers: Headers, now: float) -> BodyCheck:
        paths = [value for name, value in headers if name == PATH]
        if len(paths) != 1:
            raise (
                MalformedSignature("there is a header of the name that the path has")
                if paths
                else MissingSignature(
                    "the receiver was not told the path, which ends in the token: receive(..., path=...)"
                )
            )
        claimed = paths[0].rstrip(b"/").rpartition(b"/")[2]
        for by, token in keyring.at(now):
            if is_same(_bytes(token), claimed):
                verified = Verified(by, body=False)
                return lambda body: verified
        raise BadSignature("the path ends in no token of ours")


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
