"""The scheme of Standard Webhooks (standardwebhooks.com), and of Svix, which differs by the names of its headers."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple
from uuid import uuid4

from ..delivery import Headers, RequestHead
from ..errors import ConfigurationError, MalformedSignature, MissingSignature, needs
from .content_scheme import check_choice
from .encoding import checked_tolerance, is_base64, only, reject_stale, seconds, to_base64
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, mac, masked

_PREFIXES = ("whsec", "whpk", "whsk", "")
_MAX_SIGNATURES = 16  # in one header; each may cost us an ed25519 check
_FAMILIES = ("webhook", "svix")
_TIME_IN_ID = re.compile(rb"\.[0-9]{10,12}(?:\.|\Z)")


class _Key(NamedTuple):
    by: int
    version: bytes
    sign: Callable[[bytes], bytes] | None
    """A function of the content that returns the base64 of its signature; None for a public key."""
    verifies: Callable[[bytes, bytes], bool]
    """A function of the content and of a signature in base64 that returns whether the signature is right."""


class StandardWebhooks:
    """A scheme that signs and verifies by the specification of Standard Webhooks, version 1.0.0.

    As the libraries standardwebhooks 1.1.0 and svix 2.9.1 it takes headers of either prefix, secrets with any padding
    or none, and ids with full stops.

    The signed content is `id.timestamp.body`. An id that holds a time between full stops is rejected, since it could
    be a part of another content. `Verified.id` is the header `webhook-id`, the sender's id of the delivery: it stays
    the same when the delivery is sent again.

    Args:
        secrets: one secret or several, as the sender shows them: base64 behind `whsec_` or no prefix (HMAC-SHA256,
            `v1`), behind `whpk_` (an ed25519 public key, `v1a`) or `whsk_` (a private one). ed25519 needs the
            extra `[ed25519]`.
        headers: the prefix of the three headers that it signs with and reads first: "webhook" or "svix". One that is
            absent is read with the other prefix.
        key: the form of the keys in the secrets: "base64"; "text" for the UTF-8 bytes of the whole secret, as of
            Increase and Polar; or "prefixed" for base64 behind a prefix and else for the text, as of OpenAI.
        tolerance: the number of seconds that the sender's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a secret or an option cannot work.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        headers: Literal["webhook", "svix"] = "webhook",
        key: Literal["base64", "text", "prefixed"] = "base64",
        tolerance: float = 300,
    ) -> None:
        secrets = masked(secrets)
        check_choice("headers", headers, _FAMILIES)
        check_choice("key", key, ("base64", "text", "prefixed"))
        families = sorted(_FAMILIES, key=lambda each: each != headers)
        self._ids, self._timestamps, self._signatures = (
            [f"{each}-{part}".encode() for each in families] for part in ("id", "timestamp", "signature")
        )
        self._tolerance = checked_tolerance(tolerance)
        self._keyring = Keyring(secrets, partial(_key, key))
        self.secret_count = len(self._keyring)
        self.proves_id = True
        """The scheme has an id for each. See `Scheme`."""
        self.covered_headers = frozenset[bytes]()
        """No header: a signature covers other things. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the three headers of the scheme. Its id stays; without one, a random id is added.

        Raises:
            ConfigurationError: the first secret is a public key, or the id is empty or holds a time.
        """
        key = self._keyring.first(now)
        if key.sign is None:
            raise ConfigurationError("cannot sign with a public key: give the private one, whsk_...")
        name = self._ids[0]
        id = dict(head.headers).get(name)
        if id is None:
            id = b"msg_" + uuid4().hex.encode()
            head = head.with_headers((name, id))
        if not id or _TIME_IN_ID.search(id):
            raise ConfigurationError(f"cannot sign: {name.decode()} is empty or holds a time between full stops")
        signature = b"%b,%b" % (key.version, key.sign(b"%b.%d.%b" % (id, int(now), body)))
        return head.with_headers((self._timestamps[0], b"%d" % int(now)), (self._signatures[0], signature))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Read the three headers; return the check of the signature, which covers the body. See `Scheme.verify`."""
        headers = head.headers
        id = _value(headers, self._ids)
        time = _value(headers, self._timestamps)
        signatures = _value(headers, self._signatures).split(b" ", _MAX_SIGNATURES)
        if not id or (b"." in id and _TIME_IN_ID.search(id)):
            raise MalformedSignature(f"{self._ids[0].decode()} is empty or holds a time between full stops")
        signed_at = seconds(time, self._timestamps[0].decode())
        if len(signatures) > _MAX_SIGNATURES:
            raise MalformedSignature(f"more than {_MAX_SIGNATURES} signatures")
        claims = [(version, claimed) for version, _, claimed in (each.partition(b",") for each in signatures)]
        if not any(version in (b"v1", b"v1a") and is_base64(claimed) for version, claimed in claims):
            raise MalformedSignature(f"{self._signatures[0].decode()} holds no v1,base64 and no v1a,base64")
        return partial(self._check, id, time, signed_at, claims, now)

    def _check(
        self, id: bytes, time: bytes, signed_at: int, claims: list[tuple[bytes, bytes]], now: float, body: bytes
    ) -> Verified:
        content = b"%b.%b.%b" % (id, time, body)
        for key in self._keyring.at(now):
            for version, claimed in claims:
                if version == key.version and key.verifies(content, claimed):
                    reject_stale(signed_at, now, self._tolerance)
                    until = signed_at + self._tolerance
                    return Verified(
                        key.by, body=True, id=id.decode("latin-1"), fresh=True, copies_until=until, signed_at=signed_at
                    )
        raise self._keyring.mismatch(now)


def _value(headers: Headers, names: Sequence[bytes]) -> bytes:
    """Return the value of a header that must be there once, by the first of its names that is there."""
    try:
        return only(headers, names[0])
    except MissingSignature:
        if not any(name == names[1] for name, _ in headers):
            raise
    return only(headers, names[1])


def _key(form: str, by: int, secret: Secret) -> _Key:
    prefix, _, _ = secret.get_secret_value().rpartition("_")
    is_text = form == "text" or (form == "prefixed" and (not prefix or prefix not in _PREFIXES))
    if prefix in ("whsk", "whpk") and not is_text:
        return _ed25519_key(by, secret, is_private=prefix == "whsk")
    digest = mac(secret.get_secret_value().encode() if is_text else _decoded(secret))

    def sign(content: bytes) -> bytes:
        return to_base64(digest(content))

    def verifies(content: bytes, claimed: bytes) -> bool:
        return is_same(sign(content), claimed)

    return _Key(by, b"v1", sign, verifies)


def _decoded(secret: Secret) -> bytes:
    """Return the bytes that a secret is the base64 of, with or without prefix and padding."""
    prefix, _, encoded = secret.get_secret_value().rpartition("_")
    try:
        decoded = a2b_base64(_padded(encoded), strict_mode=True) if prefix in _PREFIXES else b""
    except (Base64Error, ValueError):
        decoded = b""
    if not decoded:
        raise ConfigurationError(
            "a secret of Standard Webhooks is base64, behind whsec_, whpk_, whsk_ or no prefix; this one is not: "
            "are there quotes or white space around it? For a sender that signs with its text there is the option key"
        )
    return decoded


def _padded(text: str) -> str:
    return text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)


def _ed25519_key(by: int, secret: Secret, *, is_private: bool) -> _Key:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    except ImportError:
        raise ConfigurationError(needs("an ed25519 key", "an extra", "ed25519")) from None
    try:
        if is_private:  # some write the public key behind it
            private = Ed25519PrivateKey.from_private_bytes(_decoded(secret)[:32])
            public = private.public_key()
        else:
            private, public = None, Ed25519PublicKey.from_public_bytes(_decoded(secret))
    except ValueError:
        raise ConfigurationError("an ed25519 key has 32 bytes; this one has not") from None

    def sign(content: bytes) -> bytes:
        assert private is not None  # noqa: S101 - for the type checkers
        return to_base64(private.sign(content))

    def verifies(content: bytes, claimed: bytes) -> bool:
        try:
            signature = a2b_base64(claimed, strict_mode=True)
            public.verify(signature, content)
        except (Base64Error, InvalidSignature):
            return False
        return is_same(to_base64(signature), claimed)  # in its one spelling

    return _Key(by, b"v1a", sign if is_private else None, verifies)
