"""What all signature schemes share: secrets, the protocol of a scheme, and what a check yields."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from hmac import compare_digest
from pathlib import Path
from typing import NamedTuple, Protocol, Self, runtime_checkable

from pydantic import SecretStr

from ..delivery import AnyHeaders, Headers
from ..errors import ConfigurationError


class Secret(SecretStr):
    """A webhook's secret; its repr is masked, and an empty one is refused.

    Args:
        secret_value: the secret as it was given to the sender; used as its UTF-8 bytes, undecoded.
        until: from when on it verifies nothing, with its time zone; None for ever.

    Raises:
        ConfigurationError: the secret is no text, or empty; or `until` is no time, or has no zone.
    """

    file: Path | None = None
    """Where it was read from, and is read again when that changes."""

    def __init__(self, secret_value: str, *, until: datetime | None = None) -> None:
        if not isinstance(secret_value, str):
            raise ConfigurationError(f"a secret is a text, not {type(secret_value).__name__}")
        if not secret_value:
            raise ConfigurationError("a secret must not be empty: anyone could sign with it")
        if not is_utf8(secret_value):
            raise ConfigurationError("a secret is a text that UTF-8 can hold; this one has half characters in it")
        if until is not None and (not isinstance(until, datetime) or until.tzinfo is None):
            raise ConfigurationError(
                f"a secret's until=... is a datetime with a time zone, such as datetime(2030, 1, 31, tzinfo=UTC), "
                f"not {until!r}"
            )
        super().__init__(secret_value)
        self.until = until

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, until: datetime | None = None) -> Self:
        """Read the secret from a file, such as a mounted Docker or Kubernetes secret, without its last newline.

        A scheme looks at the file again at most once a second while deliveries come, and takes over what it has
        become. While it is missing, empty or unreadable, what it was last is kept, with a warning.

        Raises:
            ConfigurationError: the file cannot be read, is not UTF-8, or is empty.
        """
        try:
            text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
            secret = cls(text.rstrip("\r\n"), until=until)
        except OSError as error:
            raise ConfigurationError(f"cannot read a secret from {os.fspath(path)}: {error.strerror}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"in the file {os.fspath(path)}: {error}") from None
        secret.file = Path(path)
        return secret

    @classmethod
    def from_env(cls, name: str, *, until: datetime | None = None) -> Self:
        """Read the secret from the environment variable `name`.

        Raises:
            ConfigurationError: the variable is not set, or empty.
        """
        try:
            return cls(os.environ[name], until=until)
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
    return [each if isinstance(each, Secret) else _secret(each) for each in listed]


def _secret(given: str | SecretStr) -> Secret:
    return Secret(given.get_secret_value() if isinstance(given, SecretStr) else given)


def is_same(expected: bytes, claimed: bytes) -> bool:
    """Compare in constant time: nobody may learn from our haste how much of a guess was right."""
    return compare_digest(expected, claimed)


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
    """A way to sign and verify a delivery. It does no I/O and reads no clock: `now` is in Unix seconds.

    Two attributes may say more of it. `secret_count`, 1 if left out: how many secrets `Verified.by` is an index of.
    `reads_path`, False if left out: whether the receiver is to put the request's path among the headers, as the
    last one and under HTTP/2's name for it, `:path`. What proves a delivery by its path puts it there when it signs.
    """

    def sign(self, headers: AnyHeaders, body: bytes, now: float) -> Headers:
        """Return `headers` and, behind them, those that prove the delivery, made with the first secret."""
        ...

    def verify_headers(self, headers: Headers, now: float) -> BodyCheck:
        """Verify all that can be verified before the body is read, so that a stranger costs next to nothing.

        Raises:
            VerificationError: and nothing else, whatever the headers hold.
        """
        ...
