"""What all signature schemes share: secrets, the protocol of a scheme, and what a check yields."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self, runtime_checkable

from pydantic import SecretStr

from ..delivery import AnyHeaders, Headers
from ..errors import ConfigurationError


class Secret(SecretStr):
    """A webhook's secret; its repr is masked, and an empty one is refused.

    Args:
        secret_value: the secret as it was given to the sender; used as its UTF-8 bytes, undecoded.

    Raises:
        ConfigurationError: the secret is no text, or empty.
    """

    def __init__(self, secret_value: str) -> None:
        if not isinstance(secret_value, str):
            raise ConfigurationError(f"a secret is a text, not {type(secret_value).__name__}")
        if not secret_value:
            raise ConfigurationError("a secret must not be empty: anyone could sign with it")
        if not is_utf8(secret_value):
            raise ConfigurationError("a secret is a text that UTF-8 can hold; this one has half characters in it")
        super().__init__(secret_value)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Read the secret from a file, such as a mounted Docker or Kubernetes secret, without its last newline.

        Raises:
            ConfigurationError: the file cannot be read, is not UTF-8, or is empty.
        """
        try:
            text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
            return cls(text.rstrip("\r\n"))
        except OSError as error:
            raise ConfigurationError(f"cannot read a secret from {os.fspath(path)}: {error.strerror}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"in the file {os.fspath(path)}: {error}") from None

    @classmethod
    def from_env(cls, name: str) -> Self:
        """Read the secret from the environment variable `name`.

        Raises:
            ConfigurationError: the variable is not set, or empty.
        """
        try:
            return cls(os.environ[name])
        except KeyError:
            raise ConfigurationError(f"the environment variable {name} is not set: it has no secret") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"in the environment variable {name}: {error}") from None


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can hold a text; half characters it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:  # holds the whole text, so it must not become any other error's context
        return False
    return True


Secrets = str | SecretStr | Sequence[str | SecretStr]
"""One secret or several, for rotation: the first signs, any verifies."""


def masked(secrets: Secrets) -> list[Secret]:
    """Return the secrets as such, for whoever holds them on may end up in a traceback that shows its locals.

    Raises:
        ConfigurationError: there is none, one is empty, or one is no text.
    """
    listed = list(secrets) if isinstance(secrets, Sequence) and not isinstance(secrets, str | bytes) else [secrets]
    if not listed:
        raise ConfigurationError("the list of secrets is empty: give at least one")
    return [Secret(each.get_secret_value() if isinstance(each, SecretStr) else each) for each in listed]


class Verified(NamedTuple):
    """What a check found out about a delivery."""

    by: int | None
    """The index of the secret that verified it; None when it came unsigned."""
    body: bool
    """Whether the signature covers the body."""
    id: str | None = None
    """The sender's id of the delivery, the same when it is sent again, if the scheme has one and verified it."""


BodyCheck = Callable[[bytes], Verified]
"""Takes the body's bytes; returns what is verified, or raises a VerificationError."""


@runtime_checkable
class Scheme(Protocol):
    """A way to sign and verify a delivery. It does no I/O and reads no clock: `now` is in Unix seconds."""

    def sign(self, headers: AnyHeaders, body: bytes, now: float) -> Headers:
        """Return `headers` and, behind them, those that prove the delivery, made with the first secret."""
        ...

    def verify_headers(self, headers: Headers, now: float) -> BodyCheck:
        """Verify all that can be verified before the body is read, so that a stranger costs next to nothing.

        Raises:
            VerificationError: and nothing else, whatever the headers hold.
        """
        ...
