"""Secrets, the keyring that a scheme makes of them, and the HMAC that most keys are for."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from hmac import compare_digest
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar
from unicodedata import category

from pydantic import SecretStr

from ..errors import BadSignature, ConfigurationError

logger = logging.getLogger("webhook_receiver")

K = TypeVar("K")
Stamp = tuple[int, int, int] | None

_UNSEEN = (-1, -1, -1)

RELOAD_INTERVAL = 1.0  # seconds between two looks at a secret's file


class Keyring(Generic[K]):
    """The keys of a scheme: each is made once of its secret, and again when the secret's file has changed.

    Args:
        secrets: one secret or several.
        make: a function of a secret's index and the secret that returns the key.

    Raises:
        ConfigurationError: there is no secret, or `make` rejects one.
    """

    def __init__(self, secrets: Secrets, make: Callable[[int, Secret], K]) -> None:
        self._entries = [_Entry(by, secret, make) for by, secret in enumerate(masked(secrets))]
        self._keys: Sequence[K] = [entry.key for entry in self._entries]
        lasting = all(entry.until == math.inf and entry.file is None for entry in self._entries)
        self._from, self._to = (-math.inf, math.inf) if lasting else (math.inf, -math.inf)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def secrets(self) -> Sequence[Secret]:
        """The secrets, also those that have expired, in their order."""
        return [entry.secret for entry in self._entries]

    def has(self, secret: Secret) -> bool:
        """Return whether a secret is one of these."""
        return any(entry.is_of(secret) for entry in self._entries)

    def at(self, now: float) -> Sequence[K]:
        """Return the keys that have not expired at `now`, in Unix seconds, in the order of their secrets."""
        if not self._from <= now < self._to:
            self._look(now)
        return self._keys

    def first(self, now: float) -> K:
        """Return the first key that has not expired at `now`, in Unix seconds: the key to sign with.

        Raises:
            ConfigurationError: every key has expired.
        """
        for key in self.at(now):
            return key
        raise ConfigurationError("cannot sign: every secret has expired")

    def mismatch(self, now: float) -> BadSignature:
        """Return the error for a signature that no key gives at `now`, in Unix seconds."""
        if not self.at(now):
            return BadSignature("every secret has expired: the one that the sender signs with now is missing")
        return BadSignature("no secret gives this signature: another secret, or what it covers was changed on the way")

    def _look(self, now: float) -> None:
        """Set the keys that have not expired, and the span of time in which these are the ones."""
        for entry in self._entries:
            entry.reload()
        held = [entry for entry in self._entries if now < entry.until or entry.until == math.inf]
        again = now + RELOAD_INTERVAL if any(entry.file for entry in self._entries) else math.inf
        self._keys = [entry.key for entry in held]
        self._from, self._to = now, min([again, *(entry.until for entry in held)])


class _Entry(Generic[K]):
    """A secret and its key."""

    def __init__(self, by: int, secret: Secret, make: Callable[[int, Secret], K]) -> None:
        self.file = secret.file
        self.until = math.inf if secret.until is None else secret.until.timestamp()
        self.key = make(by, secret)
        self._make = make
        self._by = by
        self.secret: Secret = secret
        self._stamp: Stamp = _UNSEEN  # it may have changed since the secret was read
        self._is_broken = False

    def is_of(self, secret: Secret) -> bool:
        """Return whether the key is made of a secret, or of the same file."""
        return secret == self.secret or (secret.file is not None and secret.file == self.file)

    def reload(self) -> None:
        """Make the key again if the file has changed; log once, and go on with the old key, while it cannot be read."""
        if self.file is None or (stamp := _stamp(self.file)) == self._stamp:
            return
        self._stamp = stamp  # taken first: what is written from now on changes it again
        try:
            secret = Secret.from_file(self.file)
            self.key = self._make(self._by, secret)
        except ConfigurationError as error:
            if not self._is_broken:
                logger.warning("secret %d stays what it was: %s", self._by, error)
            self._is_broken = True
            return
        if self._is_broken or secret != self.secret:
            logger.info("secret %d was read again from %s", self._by, self.file)
        self._is_broken, self.secret = False, secret


def _stamp(file: Path | None) -> Stamp:
    """Return a stamp of a file that changes when the file does; None without a file."""
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _Hash(Protocol):
    """A hash object of `hashlib`."""

    @property
    def block_size(self) -> int: ...
    def copy(self) -> _Hash: ...
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


def mac(key: bytes, name: str = "sha256") -> Callable[[bytes], bytes]:
    """Return HMAC (RFC 2104) with a key, as a function of the message that returns the digest.

    The key is hashed once, here, so a message takes half the time that it takes with the `hmac` module.

    Args:
        key: the bytes of the key, of any length.
        name: the hash function, by its name in `hashlib`.
    """
    new: Callable[[bytes], _Hash] = getattr(hashlib, name)
    block_size = new(b"").block_size
    block = (new(key).digest() if len(key) > block_size else key).ljust(block_size, b"\0")
    inner_key = new(bytes(byte ^ 0x36 for byte in block))
    outer_key = new(bytes(byte ^ 0x5C for byte in block))

    def digest(message: bytes) -> bytes:
        inner, outer = inner_key.copy(), outer_key.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    return digest


class Secret(SecretStr):
    """A webhook's secret. Its repr is masked.

    Invisible characters at its ends are taken off, with a warning in the log: white space, newlines, a byte order mark,
    zero-width characters and the like, which a file, a shell or a copy has added. A newline at the end of a file, or
    of a key of several lines, is no reason to warn.

    Args:
        secret_value: the secret as the sender has it.
        until: the time from which on the secret verifies nothing, with a time zone; None for no end.

    Raises:
        ConfigurationError: the secret is no text, or is blank; or `until` is no time, or has no time zone.
    """

    file: Path | None = None
    """The file that the secret was read from, and is read from again when that changes; None without one."""

    def __init__(self, secret_value: str, *, until: datetime | None = None) -> None:
        if not isinstance(secret_value, str):
            raise ConfigurationError(f"a secret is a text, not {type(secret_value).__name__}")
        secret_value = _visible(secret_value, "a secret")
        if until is not None and (not isinstance(until, datetime) or until.tzinfo is None):
            raise ConfigurationError(
                f"a secret's until=... is a datetime with a time zone, such as datetime(2030, 1, 31, tzinfo=UTC), "
                f"not {until!r}"
            )
        super().__init__(secret_value)
        self.until = until

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, until: datetime | None = None) -> Self:
        """Read a secret from a file, such as a mounted secret of Docker, without what is invisible at its ends.

        A scheme looks at the file again at most once a second while deliveries come, and then uses its new content.
        While the file is missing, blank or unreadable, the scheme goes on with the last secret, and logs a warning.

        Args:
            path: the path of the file.
            until: the time from which on the secret verifies nothing; see `Secret`.

        Raises:
            ConfigurationError: the file cannot be read, is not UTF-8, or is blank.
        """
        try:
            text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
            secret = cls(_visible(text.rstrip("\r\n"), f"the file {os.fspath(path)}"), until=until)
        except OSError as error:
            raise ConfigurationError(f"cannot read a secret from {os.fspath(path)}: {error.strerror}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"in the file {os.fspath(path)}: {error}") from None
        secret.file = Path(path)
        return secret

    @classmethod
    def from_env(cls, name: str, *, until: datetime | None = None) -> Self:
        """Read a secret from an environment variable, without what is invisible around it.

        Args:
            name: the name of the variable.
            until: the time from which on the secret verifies nothing; see `Secret`.

        Raises:
            ConfigurationError: the variable is not set, or is blank, or `name` is no name of one.
        """
        given: object = name
        if not isinstance(given, str) or not given:
            raise ConfigurationError(
                'from_env(...) takes the name of an environment variable, such as "WEBHOOK_SECRET", not '
                + ("an empty text" if given == "" else type(given).__name__)
            )
        try:
            return cls(_visible(os.environ[name], f"the environment variable {name}"), until=until)
        except KeyError:
            raise ConfigurationError(
                f"the environment variable {name} is not set: put the webhook's secret into it"
            ) from None
        except ConfigurationError as error:
            raise ConfigurationError(f"in the environment variable {name}: {error}") from None

    @classmethod
    def verbatim(cls, text: str) -> Self:
        """Return a secret of just this text, whatever is at its ends: one that a sender may have by mistake."""
        secret = cls("-")
        SecretStr.__init__(secret, text)
        return secret


_BLANK = re.compile(
    "[\u2800\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2060-\u206f\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Characters that are invisible although they are letters or marks, or none yet: an empty braille cell, and those of
Default_Ignorable_Code_Point (unicode.org/Public/14.0.0/ucd/DerivedCoreProperties.txt) that are in no category below."""
_INVISIBLE = frozenset(("Cc", "Cf", "Zl", "Zp", "Zs"))
"""The categories of control and format characters and of separators (Unicode, section 4.5)."""


def _is_invisible(char: str) -> bool:
    return category(char) in _INVISIBLE or _BLANK.match(char) is not None


def _visible(text: str, where: str) -> str:
    """Return a secret without invisible characters at its ends; log which they were.

    Raises:
        ConfigurationError: nothing is left, or the text cannot be encoded.
    """
    if not is_utf8(text):
        raise ConfigurationError("a secret is a text in UTF-8, and this one is not")
    begin, end = 0, len(text)
    while begin < end and _is_invisible(text[begin]):
        begin += 1
    while begin < end and _is_invisible(text[end - 1]):
        end -= 1
    if begin == end:
        blank = " or blank" if text else ""
        raise ConfigurationError(f"a secret must not be empty{blank}: anyone could sign with it")
    visible = text[begin:end]
    gone = text[:begin] + (text[end:].strip("\r\n") if "\n" in visible else text[end:])
    if gone:
        logger.warning(
            "%s: what is invisible at the ends of the secret was taken off (%s): give it without",
            where,
            ", ".join(f"U+{ord(char):04X}" for char in gone[:8]),
        )
    return visible


def is_utf8(text: str) -> bool:
    """Return whether UTF-8 can encode a text; lone surrogates it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:  # holds the whole text, so it must not become any other error's context
        return False
    return True


Secrets = str | SecretStr | Sequence[str | SecretStr]
"""One secret or several, for rotation: the first signs, any verifies."""


def masked(secrets: Secrets) -> list[Secret]:
    """Return secrets as a list of `Secret`, which a traceback that shows local variables does not show.

    Raises:
        ConfigurationError: the list is empty, or a secret is empty or no text.
    """
    listed = list(secrets) if isinstance(secrets, Sequence) and not isinstance(secrets, str | bytes) else [secrets]
    if not listed:
        raise ConfigurationError("the list of secrets is empty: give at least one")
    return [each if isinstance(each, Secret) else _secret(each) for each in listed]


def _secret(given: str | SecretStr) -> Secret:
    return Secret(given.get_secret_value() if isinstance(given, SecretStr) else given)


def is_same(expected: bytes, claimed: bytes) -> bool:
    """Compare two values in constant time: the time of a comparison must not tell how much of a guess was right."""
    return compare_digest(expected, claimed)
