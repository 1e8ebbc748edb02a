"""The sender for services that sign by HTTP Message Signatures (RFC 9421). Needs the extra `[rfc9421]`."""

from __future__ import annotations

import re
from functools import partial
from typing import cast

from ..delivery import Headers
from ..signatures import Scheme
from ..signatures.any_of import AnyOf
from ..signatures.rfc9421 import Algorithm, HTTPMessageSignature
from ..signatures.secrets import Secrets, masked
from .base import Sender
from .page import Page
from .preset import Make, Preset

_KEY = "key-1"


def signature(secrets: Secrets, key: str = _KEY, algorithm: Algorithm = "hmac-sha256") -> Scheme:
    """Return a scheme of several secrets under one key name, as during a rotation.

    Args:
        secrets: the secrets of an HMAC, or keys as PEM.
        key: the name that the sender's `keyid` gives them.
        algorithm: the algorithm, by its name in RFC 9421, section 6.2.
    """
    return AnyOf(*(HTTPMessageSignature({key: each}, algorithm=algorithm) for each in masked(secrets)))


def http_message(secret: Secrets, *, key: str = _KEY, algorithm: Algorithm = "hmac-sha256") -> Sender:
    """Return a sender that signs by RFC 9421. `dataclasses.replace` gives it its name, or a scheme with options.

    Args:
        secret: the secret of an HMAC or a key as PEM, or several while it is changed.
        key: the name that the sender's `keyid` gives it.
        algorithm: the algorithm, by its name in RFC 9421, section 6.2.

    Raises:
        ConfigurationError: a key cannot work, or the extra is missing.
    """
    return Sender(
        name="http-message",
        scheme=signature(secret, key, algorithm),
        facts=(
            "RFC 9421 and RFC 9530",
            "signatures compared with http-message-signatures for Python, see tests/signatures/test_peers.py",
        ),
    )


def _made_for(headers: Headers) -> Make:
    """Return a function that makes the scheme with the key name and the algorithm that a request states."""
    stated = dict(headers).get(b"signature-input", b"").decode("latin-1")
    key = re.search(r';\s*keyid="([^"\\]{1,200})"', stated)
    algorithm = re.search(r';\s*alg="([^"\\]{1,40})"', stated)
    return partial(
        signature,
        key=key[1] if key else _KEY,
        algorithm=cast("Algorithm", algorithm[1] if algorithm else "hmac-sha256"),
    )


PRESETS = (
    Preset(
        "http-message",
        "HTTP Message Signatures",
        http_message,
        signature,
        ("signature-input", "signature"),
        made_for=_made_for,
        page=Page(
            trade="specifications",
            docs="www.rfc-editor.org/rfc/rfc9421",
            setup="The service says the key, its name (keyid) and the algorithm.",
            traps=("What is signed, each sender chooses: without content-digest the body is not.",),
            verified=("http-message-signatures 3.0.0 (Python)", "2026-11-29"),
        ),
    ),
)
