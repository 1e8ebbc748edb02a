"""The forms in which senders hide the key of an HMAC in the secret that they show."""

from __future__ import annotations

import hashlib
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

from ..errors import ConfigurationError
from .secrets import Secret


@dataclass(frozen=True)
class KeyForm:
    """The form of a key in its secret, for `HMACBody(key=...)`. The steps are taken in the order of the fields.

    Raises:
        ConfigurationError: a field cannot work.
    """

    encoding: Literal["text", "hex", "base64"] = "text"
    """The encoding of the key: its UTF-8 bytes; hex of either case; base64 or base64url, padded or not."""
    prefix: str | re.Pattern[str] = ""
    """The text in front of the secret that is no part of the key, or a pattern of it; cut off where it is there."""
    nfkd: bool = False
    """Whether the text is brought into the form NFKD (Unicode, annex 15) first."""
    hash: Literal["sha1", "sha256", "sha512"] | None = None
    """The hash function whose digest of these bytes is the key; None for the bytes themselves."""

    def __post_init__(self) -> None:
        if self.encoding not in ("text", "hex", "base64"):
            raise ConfigurationError(f'key is "text", "hex", "base64" or a KeyForm, not {self.encoding!r}')
        if not isinstance(self.prefix, str | re.Pattern):
            raise ConfigurationError(f'prefix of a key is a text such as "whsec_", or a pattern, not {self.prefix!r}')
        if self.hash not in (None, "sha1", "sha256", "sha512"):
            raise ConfigurationError(f"hash of a key is sha1, sha256, sha512 or None, not {self.hash!r}")

    def bytes_of(self, secret: Secret) -> bytes:
        """Return the bytes of the key that a secret holds.

        Raises:
            ConfigurationError: the secret is not in this form, or nothing is left of it.
        """
        text = secret.get_secret_value()
        if isinstance(self.prefix, str):
            text = text.removeprefix(self.prefix)
        elif found := self.prefix.match(text):
            text = text[found.end() :]
        try:
            key = _decoded(normalize("NFKD", text) if self.nfkd else text, self.encoding)
        except (Base64Error, ValueError):  # whose texts may quote the secret
            key = b""
        if not key:
            raise ConfigurationError(
                f"a secret is not {self.encoding}, or nothing stands behind its prefix: give it as the sender shows it"
            )
        return key if self.hash is None else hashlib.new(self.hash, key).digest()


def _decoded(text: str, encoding: str) -> bytes:
    if encoding == "hex":
        return bytes.fromhex(text)
    if encoding == "text":
        return text.encode()
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    return a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
