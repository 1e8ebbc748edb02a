"""Public and private keys in the forms in which senders show them. Imported on use, for it needs `cryptography`."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from ..errors import ConfigurationError
from .secrets import Secret

_MIN_RSA = 2048  # bits, by NIST SP 800-131A
_KINDS: dict[str, tuple[type[Any], type[Any], tuple[Any, ...], str]] = {
    "ed25519": (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey, (), ""),
    "rsa-v1_5-sha256": (rsa.RSAPublicKey, rsa.RSAPrivateKey, (padding.PKCS1v15(), hashes.SHA256()), ""),
    "rsa-v1_5-sha512": (rsa.RSAPublicKey, rsa.RSAPrivateKey, (padding.PKCS1v15(), hashes.SHA512()), ""),
    "ecdsa-p256-sha256": (
        ec.EllipticCurvePublicKey,
        ec.EllipticCurvePrivateKey,
        (ec.ECDSA(hashes.SHA256(), deterministic_signing=True),),
        "secp256r1",
    ),
    "ecdsa-p384-sha384": (
        ec.EllipticCurvePublicKey,
        ec.EllipticCurvePrivateKey,
        (ec.ECDSA(hashes.SHA384(), deterministic_signing=True),),
        "secp384r1",
    ),
}
"""The classes of the public and the private key, the arguments of signing, and the curve, by algorithm."""


def new_keys() -> Iterator[str]:
    """Yield a new private key of each kind, in PEM; that of RSA, which takes longest, is the last."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    yield ed25519.Ed25519PrivateKey.generate().private_bytes(*form).decode()
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        yield ec.generate_private_key(curve).private_bytes(*form).decode()
    yield rsa.generate_private_key(65537, _MIN_RSA).private_bytes(*form).decode()


def pair_of(secret: Secret, algorithm: str) -> tuple[Any, Any]:
    """Return the public key in a secret, and the private one or None.

    Args:
        secret: the key as PEM, or as DER or the bytes of ed25519 in hex or base64.
        algorithm: one of the algorithms of `PublicKeyBody`.

    Raises:
        ConfigurationError: the text is no key, or one for another algorithm, or a short one.
    """
    key = _loaded(secret.get_secret_value(), algorithm == "ed25519")
    private = key if isinstance(key, _KINDS[algorithm][1]) else None
    public = key if private is None else private.public_key()
    if wrong := complaint(public, algorithm):
        raise ConfigurationError(f"a key {wrong}")
    return public, private


def complaint(public: object, algorithm: str) -> str | None:
    """Return why an object is no public key of an algorithm, as a predicate; None if it is one."""
    kind, _, _, curve = _KINDS[algorithm]
    if not isinstance(public, kind) or (curve and public.curve.name != curve):  # pyright: ignore
        return f"is no key of {algorithm}, or cannot be read: give PEM, or DER in hex or base64"
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < _MIN_RSA:
        return f"of RSA has {public.key_size} bits; a safe one has {_MIN_RSA} or more"
    return None


def signer_of(private: Any, algorithm: str) -> Callable[[bytes], bytes]:
    """Return the function that signs a content by a private key."""
    arguments = _KINDS[algorithm][2]

    def sign(content: bytes) -> bytes:
        signature: bytes = private.sign(content, *arguments)
        return signature

    return sign


def verifier_of(public: Any, algorithm: str) -> Callable[[bytes, bytes], bool]:
    """Return the function that verifies a signature of a content by a public key."""
    arguments = _KINDS[algorithm][2]

    def verify(signature: bytes, content: bytes) -> bool:
        try:
            public.verify(signature, content, *arguments)
        except InvalidSignature:
            return False
        return True

    return verify


def private_key(secret: Secret) -> Any:
    """Return the private key in a secret, as PEM, or as DER in hex or base64; None for any other secret."""
    key = _loaded(secret.get_secret_value(), False)
    return key if hasattr(key, "private_bytes") else None


def _loaded(text: str, is_ed25519: bool) -> Any:
    """Return the key in a text; None for a text that is none."""
    is_pem = text.startswith("-----BEGIN")
    if is_pem:  # in one line, as variables of the environment have it; no PEM has a backslash
        text = text.replace("\\r", "").replace("\\n", "\n")
    data = text.encode()
    if not is_pem:
        data = _decoded("".join(text.split()))
        if is_ed25519 and len(data) == 32:
            return ed25519.Ed25519PublicKey.from_public_bytes(data)
    for load in _PEM if is_pem else _DER:
        try:
            return load(data)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # whose texts may quote the key
            continue
    return None


def _pem_certificate(data: bytes) -> Any:
    return x509.load_pem_x509_certificate(data).public_key()


def _der_certificate(data: bytes) -> Any:
    return x509.load_der_x509_certificate(data).public_key()


def _pem_private_key(data: bytes) -> Any:
    return serialization.load_pem_private_key(data, password=None)


def _der_private_key(data: bytes) -> Any:
    return serialization.load_der_private_key(data, password=None)


_PEM: tuple[Callable[[bytes], Any], ...] = (serialization.load_pem_public_key, _pem_certificate, _pem_private_key)
_DER: tuple[Callable[[bytes], Any], ...] = (serialization.load_der_public_key, _der_certificate, _der_private_key)


def _decoded(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except (Base64Error, ValueError):
        return b""
