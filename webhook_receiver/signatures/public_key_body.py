"""The scheme of senders that sign by a private key, and publish the public one: ed25519, RSA or ECDSA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

from ..errors import ConfigurationError, needs
from .body_forms import BodyForm
from .content_scheme import (
    ContentKey,
    ContentKeyring,
    ContentParts,
    ContentScheme,
    EncodingName,
    TimeFormatName,
    check_choice,
)
from .encoding import Encoding
from .jwks import JWK, JWKS, JWKSKeyring
from .keys_by_id import KeysById, KeysByIdKeyring
from .places import ItemSeparator
from .secrets import Keyring, Secret, Secrets, masked

Algorithm = Literal["ed25519", "rsa-v1_5-sha256", "rsa-v1_5-sha512", "ecdsa-p256-sha256", "ecdsa-p384-sha384"]


class PublicKeyBody(ContentScheme):
    """A scheme that signs by a private key, and verifies by the public one. Needs the extra `[ed25519]`.

    A key is PEM: a public key, a certificate (X.509), or a private key, which signs as well. Or it is DER, in hex or
    base64; for ed25519 also the 32 bytes of the public key (RFC 8032), in hex or base64. Of a certificate only the key
    is taken: neither its dates nor who signed it count.

    Args:
        keys: one key or several; the first signs, any verifies. Or a `JWKS`, the URL of the sender's keys, or
            `KeysById`, which fetches the one that `key_id` names.
        algorithm: the algorithm of all keys: "ed25519" (RFC 8032); "rsa-v1_5-sha256" or "rsa-v1_5-sha512" (PKCS 1 v1.5,
            RFC 8017), with 2048 bits or more; "ecdsa-p256-sha256" or "ecdsa-p384-sha384" (FIPS 186-5), whose signature
            is ASN.1. No request can choose another one.
        signature: the place of the signature, or several; see `HMACBody` for this and all options below.
        prefix: the text in front of the signature.
        encoding: the encoding of the signature.
        item_separator: the text that parts the items of a header.
        signed: the template of the signed content, or a list of templates. {secret} is not among its fields.
        joined_by: the text between the templates of a list.
        timestamp: the place of the time of signing.
        timestamp_format: the format of that time.
        id: the place of the sender's id of the delivery.
        key_id: the place of the id of the key that the sender signed with; that key alone verifies.
        key_ids: the ids of the keys, in their order; none for a JWKS and `KeysById`, which have them themselves.
        body_form: a function of the body that returns the bytes to sign in its place.
        tolerance: the number of seconds that the sender's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a key or an option cannot work, or the extra is missing.
    """

    def __init__(
        self,
        keys: Secrets | JWKS | KeysById,
        *,
        algorithm: Algorithm,
        signature: str | Sequence[str],
        prefix: str = "",
        encoding: EncodingName = "base64",
        item_separator: ItemSeparator = ",",
        signed: str | Sequence[str] = "{body}",
        joined_by: str = "",
        timestamp: str | None = None,
        timestamp_format: TimeFormatName = "seconds",
        id: str | None = None,
        key_id: str | None = None,
        key_ids: Sequence[str] = (),
        body_form: BodyForm | None = None,
        tolerance: float = 300,
    ) -> None:
        check_choice("algorithm", algorithm, get_args(Algorithm))
        super().__init__(
            keys if isinstance(keys, JWKS | KeysById) else masked(keys),
            partial(_keyring, algorithm),
            signature=signature,
            prefix=prefix,
            encoding=encoding,
            item_separator=item_separator,
            signed=signed,
            joined_by=joined_by,
            timestamp=timestamp,
            timestamp_format=timestamp_format,
            id=id,
            key_id=key_id,
            key_ids=key_ids,
            body_form=body_form,
            tolerance=tolerance,
        )


_NAMES = {
    "ed25519": ("EdDSA", "Ed25519"),
    "rsa-v1_5-sha256": ("RS256",),
    "rsa-v1_5-sha512": ("RS512",),
    "ecdsa-p256-sha256": ("ES256",),
    "ecdsa-p384-sha384": ("ES384",),
}
"""The names of the algorithms in a JWKS (RFC 7518, section 3.1; RFC 9864)."""


def _keyring(
    algorithm: Algorithm, keys: list[Secret] | JWKS | KeysById, encoding: Encoding, prefix: bytes, has_secret: bool
) -> ContentKeyring:
    if has_secret:
        raise ConfigurationError("signed=... has {secret}, and a public key is none")
    try:
        from . import public_keys
    except ImportError:
        raise ConfigurationError(needs("a public key", "an extra", "ed25519")) from None

    def of_secret(by: int, secret: Secret) -> ContentKey:
        public, private = public_keys.pair_of(secret, algorithm)
        signs = None if private is None else _signer(public_keys.signer_of(private, algorithm), encoding, prefix)
        return ContentKey(by, signs, _verifier(public_keys.verifier_of(public, algorithm), encoding, prefix))

    def of_jwk(jwk: JWK) -> ContentKey | None:
        if jwk.alg not in (None, *_NAMES[algorithm]) or public_keys.complaint(jwk.key, algorithm):
            return None
        return ContentKey(0, None, _verifier(public_keys.verifier_of(jwk.key, algorithm), encoding, prefix))

    if isinstance(keys, KeysById):
        return KeysByIdKeyring(keys, of_jwk)
    return JWKSKeyring(keys, of_jwk) if isinstance(keys, JWKS) else Keyring(keys, of_secret)


def _signer(private: Callable[[bytes], bytes], encoding: Encoding, prefix: bytes) -> Callable[[ContentParts], bytes]:
    return lambda parts: prefix + encoding.encode(private(parts[0] or b""))


def _verifier(
    verify: Callable[[bytes, bytes], bool], encoding: Encoding, prefix: bytes
) -> Callable[[ContentParts, list[bytes]], bool]:
    def verifies(parts: ContentParts, claimed: list[bytes]) -> bool:
        return any(_is_right(each, parts[0] or b"") for each in claimed)

    def _is_right(claimed: bytes, content: bytes) -> bool:
        if not claimed.startswith(prefix):
            return False
        text = claimed[len(prefix) :]
        signature = encoding.decode(text)
        # In its one spelling: base64 has unused bits.
        return signature is not None and encoding.encode(signature) == text and verify(signature, content)

    return verifies
