"""HTTP Message Signatures (RFC 9421) with the body's Content-Digest (RFC 9530)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf
from secrets import token_urlsafe
from typing import Any, Literal, NamedTuple

from pydantic import SecretStr

from ..delivery import RequestHead
from ..errors import ConfigurationError, MalformedSignature, StaleSignature, needs
from .encoding import checked_tolerance, only, reject_stale
from .scheme import BodyCheck, Verified
from .secrets import Keyring, masked

_DIGEST = "content-digest"
_MAX_HEADER = 8192  # bytes of a signature header: far more than any sender needs, far less than would cost us

Algorithm = Literal[
    "hmac-sha256", "ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256"
]


class _Key(NamedTuple):
    by: int
    name: str
    public: Any
    private: Any

    def __repr__(self) -> str:
        return f"<key {self.name!r}>"  # a private one is not shown


class HTTPMessageSignature:
    """A scheme that signs and verifies by HTTP Message Signatures (RFC 9421). Needs the extra `[rfc9421]`.

    A signature has to cover `content-digest` (RFC 9530), which has to be the digest of the body. It needs the
    parameters `created` and `keyid`. Of the derived components (RFC 9421, section 2.2), `@method` is that of the
    request; those of the URL (`@target-uri`, `@authority`, `@scheme`, `@path`, `@query`, `@query-param`,
    `@request-target`) are taken from `url`, so a proxy that rewrites the URL does no harm.

    Args:
        keys: the keys, by the name that the sender's `keyid` gives them. A key is the secret of an HMAC, or PEM: a
            public key verifies, a private key signs as well. The first key signs. `Verified.by` is a key's index.
        algorithm: the algorithm of all keys, by its name in RFC 9421, section 6.2. A signature that names another
            algorithm is rejected.
        components: the components that a signature has to cover beside `content-digest`, such as ["@method",
            "@target-uri", "content-type"]. `sign` covers these.
        url: the absolute URL that the sender posts to, as the sender knows it; that of the receiver
            (`WebhookReceiver(public_url=...)`) if left out.
        id: the header with the sender's id of the delivery, which stays the same when the delivery is sent again. It
            has to be covered. Without it, the signature's nonce is the id, which identifies an exact duplicate only.
        nonce: "required" rejects a signature without a nonce, and makes `sign` add one; "optional" does neither.
        tag: the tag that the signature has to have; needed where proxies add signatures of their own.
        tolerance: the number of seconds that `created` may be before or after our time. `expires` has no tolerance.

    Raises:
        ConfigurationError: a key or an option cannot work, or the extra is missing.
    """

    def __init__(
        self,
        keys: Mapping[str, str | SecretStr],
        *,
        algorithm: Algorithm = "hmac-sha256",
        components: Sequence[str] = (),
        url: str | None = None,
        id: str | None = None,
        nonce: Literal["required", "optional"] = "optional",
        tag: str | None = None,
        tolerance: float = 300,
    ) -> None:
        if not isinstance(keys, Mapping) or not all(isinstance(name, str) for name in keys):
            raise ConfigurationError('keys is a mapping of the sender\'s key ids to keys, such as {"key-1": secret}')
        keys = dict(zip(keys, masked(list(keys.values())), strict=True))
        if isinstance(components, str):
            raise ConfigurationError("components is a list of names, not one text")
        if nonce not in ("required", "optional"):
            raise ConfigurationError(f'nonce is "required" or "optional", not {nonce!r}')
        try:
            from . import rfc9421_messages
        except ImportError:
            raise ConfigurationError(needs("RFC 9421", "an extra", "rfc9421")) from None
        kind = rfc9421_messages.algorithm_of(algorithm)
        wanted = [*components, *([] if id is None else [id]), _DIGEST]
        self._messages = rfc9421_messages.Messages(kind, list(dict.fromkeys(wanted)), url, tag)
        self.needs_url = self._messages.needs_url
        """Whether `components` names a part of the URL, and `url` was left out. See `Scheme`."""
        self.covered_headers = frozenset(each.lower().encode() for each in wanted if not each.startswith("@"))
        """The headers that all signatures cover. See `Scheme`."""
        self._keys = rfc9421_messages.Keys
        self._reject_other_body = rfc9421_messages.reject_other_body
        self._id = None if id is None else id.lower().encode()
        self._nonce_required = nonce == "required"
        self.proves_id = id is not None or self._nonce_required
        """Whether every delivery that it verifies has an id that it proves. See `Scheme`."""
        self._tolerance = checked_tolerance(tolerance)
        names = [*keys]
        self._keyring = Keyring(
            [*keys.values()], lambda by, secret: _Key(by, names[by], *rfc9421_messages.key_of(kind, secret))
        )
        self.secret_count = len(self._keyring)

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the headers `content-digest`, `signature-input` and `signature`.

        Raises:
            ConfigurationError: the first key is public, a header that has to be covered is absent, or a part of the URL
                has to be covered and no URL is known.
        """
        key = self._keyring.first(now)
        if key.private is None:
            raise ConfigurationError("cannot sign with a public key: give the private one")
        nonce = token_urlsafe(16) if self._nonce_required else None
        return head.with_headers(*self._messages.sign(head, body, (key.name, key.private), now, nonce))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Verify the signature, then its times; return the check of the body by its digest. See `Scheme.verify`."""
        headers = head.headers
        for name in (b"signature-input", b"signature"):
            if len(only(headers, name)) > _MAX_HEADER:
                raise MalformedSignature(f"{name.decode()} has more than {_MAX_HEADER} bytes")
        keys = {key.name: key for key in self._keyring.at(now)}
        found = self._messages.verify(head, self._keys({name: key.public for name, key in keys.items()}))
        if self._nonce_required and not found.nonce:
            raise MalformedSignature('the signature has no nonce, which nonce="required" asks for')
        signed_at = int(found.parameters["created"])
        reject_stale(signed_at, now, self._tolerance)
        expires = float(found.parameters.get("expires", inf))
        if now > expires:
            raise StaleSignature("the signature has expired, by its own parameter expires")
        id = found.nonce if self._id is None else only(headers, self._id).decode("latin-1")
        by, until = keys[str(found.parameters["keyid"])].by, min(signed_at + self._tolerance, expires)
        verified = Verified(by, body=True, id=id, fresh=True, copies_until=until, signed_at=signed_at)
        return partial(self._check, found, verified)

    def _check(self, found: Any, verified: Verified, body: bytes) -> Verified:
        self._reject_other_body(found, body)
        return verified
