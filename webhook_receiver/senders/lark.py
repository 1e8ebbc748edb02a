"""The sender Lark, or Feishu: a plain hash with the encrypt key in it, over a body that is encrypted by it."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, cast

from ..delivery import RequestHead
from ..errors import ConfigurationError, needs
from ..responses import Response, ResponseStatuses, as_json
from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Keyring, Secret, Secrets, masked
from .base import Decode, Sender
from .challenge_request import MAX_CHALLENGE, MAX_TOKEN
from .challenges import Challenge
from .page import Page
from .preset import LATE, Preset

_BLOCK = 16  # bytes of AES
_ALWAYS = 0.0  # a time at which no key has ended: what was stored stays readable


def signature(secrets: Secrets) -> HMACBody:
    """Return Lark's scheme (open.larksuite.com, "Encrypt key").

    Args:
        secrets: the app's encrypt key, or several while it is changed.
    """
    return HMACBody(
        secrets,
        signature="x-lark-signature",
        timestamp="x-lark-request-timestamp",
        signed="{timestamp}{header:x-lark-request-nonce}{secret}{body}",
        tolerance=LATE,
    )


def lark(secret: Secrets) -> Sender:
    """Return the sender Lark, or Feishu. Needs the extra `[ed25519]`, whose library decrypts.

    Args:
        secret: the app's encrypt key, or several while it is changed: the body is decrypted by any.

    Raises:
        ConfigurationError: a secret cannot work, or the extra is missing.
    """
    if find_spec("cryptography") is None:
        raise ConfigurationError(needs("Lark", "an extra", "ed25519"))
    keyring = Keyring(masked(secret), _key)
    decode = partial(_decrypted, keyring)
    return Sender(
        name="lark",
        responses=ResponseStatuses(stored=200),
        scheme=signature(secret),
        facts=("lark-oapi 1.7.5 for Python and @larksuiteoapi/node-sdk 1.74.0 for Node, run in November 2026",),
        decode=decode,
        event_name=("header.event_type", "event.type", "type"),
        delivery_id_path="header.event_id",
        challenges=(Challenge(answer=partial(_answer, decode), signed=False, ask=partial(_ask, keyring)),),
    )


def _key(by: int, secret: Secret) -> bytes:
    return sha256(secret.get_secret_value().encode()).digest()


def _decrypted(keyring: Keyring[bytes], body: bytes) -> bytes:
    """Return the document in a body, encrypted by AES-256-CBC behind the 16 bytes of its start; any other unchanged."""
    try:
        document: object = json.loads(body)
        text = cast("dict[str, Any]", document)["encrypt"] if isinstance(document, dict) else None
        data = b64decode(text, validate=True) if isinstance(text, str) else b""
    except (ValueError, KeyError, RecursionError):
        return body
    if len(data) < 2 * _BLOCK or len(data) % _BLOCK:
        return body
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    for key in keyring.at(_ALWAYS):
        decryptor = Cipher(algorithms.AES(key), modes.CBC(data[:_BLOCK])).decryptor()
        unpadder = PKCS7(8 * _BLOCK).unpadder()
        try:
            found = unpadder.update(decryptor.update(data[_BLOCK:]) + decryptor.finalize()) + unpadder.finalize()
            json.loads(found)
        except (ValueError, RecursionError):  # of another key
            continue
        return found
    return body


def _answer(decode: Decode, head: RequestHead, body: bytes, now: float) -> Response | None:
    """Answer `url_verification`, which is not signed, by its challenge if it was encrypted by a key of ours."""
    if len(body) > MAX_CHALLENGE or b"encrypt" not in body:
        return None
    found = decode(body)
    document: object = None if found is body else json.loads(found)
    if not isinstance(document, dict):
        return None
    asked = cast("dict[str, Any]", document)
    token = asked.get("challenge")
    is_token = isinstance(token, str) and 0 < len(token) <= MAX_TOKEN and token.isprintable()
    return as_json({"challenge": token}) if is_token and asked.get("type") == "url_verification" else None


def _ask(keyring: Keyring[bytes], head: RequestHead, token: str) -> tuple[RequestHead, bytes]:
    document = json.dumps({"challenge": token, "token": "a-token", "type": "url_verification"})
    return head, encrypted(keyring.at(_ALWAYS)[0], document.encode())


def encrypted(key: bytes, document: bytes) -> bytes:
    """Return a body as Lark sends a document.

    Args:
        key: the SHA-256 of the encrypt key.
        document: the bytes of the document.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    start, padder = os.urandom(_BLOCK), PKCS7(8 * _BLOCK).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
    data = encryptor.update(padder.update(document) + padder.finalize()) + encryptor.finalize()
    return json.dumps({"encrypt": b64encode(start + data).decode()}).encode()


PRESETS = (
    Preset(
        "lark",
        "Lark, Feishu",
        lark,
        signature,
        ("x-lark-signature", "x-lark-request-timestamp"),
        marks=("x-lark-request-nonce",),
        page=Page(
            trade="chat",
            docs="open.larksuite.com/document/server-docs/event-subscription-guide/overview",
            setup=(
                "In the developer console, the app's Events and Callbacks: the request URL, and an encrypt key, which "
                "is the secret. The receiver has to run when you save."
            ),
            answer="A 200 within 3 seconds.",
            traps=(
                "Without an encrypt key nothing is signed.",
                "The signature is a plain hash with the key in it, over the encrypted body.",
            ),
            verified=("lark-oapi 1.7.5 (Python), @larksuiteoapi/node-sdk 1.74.0 (Node)", "2026-11-29"),
        ),
    ),
)
