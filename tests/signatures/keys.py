"""Keys of every kind, in the form in which a sender shows them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def whsec(text: str) -> str:
    """Return a secret of Standard Webhooks."""
    return "whsec_" + b64encode(text.encode().ljust(24, b".")).decode()


def pem(private: Any) -> str:
    """Return a private key as PEM."""
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text: bytes = private.private_bytes(serialization.Encoding.PEM, *form)
    return text.decode()


def public_pem(private: Any) -> str:
    """Return the public half of a private key as PEM."""
    text: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return text.decode()


ED25519 = [ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(3)]
P256 = [ec.derive_private_key(7 + number, ec.SECP256R1()) for number in range(3)]
P384 = [ec.derive_private_key(7 + number, ec.SECP384R1()) for number in range(3)]
RSA = [rsa.generate_private_key(65537, 2048) for _ in range(2)]

WHSK = ["whsk_" + b64encode(key.private_bytes_raw()).decode() for key in ED25519]
WHPK = ["whpk_" + b64encode(key.public_key().public_bytes_raw()).decode() for key in ED25519]
