"""The key pair of a sender that signs with a private key, for one that is played."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer import BadParameter

from ..receiver import WebhookReceiver
from ..senders.catalogue.examples import RSA_KEY
from ..senders.preset import Preset
from ..signatures import Secret

_SHORTEST = 48  # characters of a private key, as base64 of DER


def signs_with_key(preset: Preset) -> bool:
    """Whether a sender signs with a private key, whose public half the receiver has."""
    return _private(preset.example) is not None


def new_key(preset: Preset) -> Secret:
    """Return a new private key, of the kind that a sender has: of RSA for one whose receivers are not given its key."""
    return Secret(_pem(_new_like(_private(RSA_KEY if preset.played is not None else preset.example))))


def key_of_dev(hooks: WebhookReceiver) -> Path | None:
    """Let a receiver trust the key that `dev` signs with, where the sender's own is nobody else's, such as AWS's.

    Returns:
        The file with the key, in the current folder, which is made if it is missing; None for all other senders.
    """
    sign_with = getattr(hooks.sender.scheme, "sign_with", None)
    if sign_with is None:
        return None
    file = Path(f"{hooks.name}.dev.key")
    _keep(file, lambda: Secret(_pem(_new_like(_private(RSA_KEY)))), "MODULE:HOOKS")
    sign_with(Secret.from_file(file))
    return file


def kept_key(preset: Preset, file: Path, option: str = "--secret-file") -> bool:
    """Make a key in a file that is not there yet, which only its owner can read; return whether it was made.

    Args:
        preset: the preset of the sender.
        file: the file.
        option: the option that names the file, for the error.

    Raises:
        BadParameter: the file cannot be written.
    """
    return _keep(file, lambda: new_key(preset), option)


def _keep(file: Path, make: Callable[[], Secret], option: str) -> bool:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise BadParameter(f"cannot write {file}: {error.strerror}", param_hint=option) from None
    with os.fdopen(handle, "w", encoding="ascii") as opened:
        opened.write(make().get_secret_value())
    return True


def public_half(secret: Secret) -> list[str]:
    """Return the public half of a private key as PEM, and one of ed25519 in hex, too; nothing for any other secret."""
    private = _private(secret.get_secret_value())
    if private is None:
        return []
    from cryptography.hazmat.primitives import serialization

    public = private.public_key()
    pem: bytes = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = [public.public_bytes_raw().hex()] if hasattr(public, "public_bytes_raw") else []
    return [pem.decode().strip(), *raw]


def _private(text: str) -> Any:
    """Return the private key in a text; None for any other text, or without the extra, which the sender asks for."""
    if len(text) < _SHORTEST:
        return None
    try:
        from ..signatures.public_keys import private_key
    except ImportError:
        return None
    return private_key(Secret.verbatim(text))


def _new_like(key: Any) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, rsa.RSAPrivateKey):
        return rsa.generate_private_key(65537, key.key_size)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ec.generate_private_key(key.curve)
    return ed25519.Ed25519PrivateKey.generate()


def _pem(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text: bytes = key.private_bytes(serialization.Encoding.PEM, *form)
    return text.decode()
