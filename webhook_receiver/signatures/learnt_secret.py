"""A secret that a sender tells when it is registered: kept in a file, and taken only while the user waits for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import mkstemp
from typing import Self

from pydantic import SecretStr

from ..errors import ConfigurationError
from .secrets import Secret, Secrets, is_same


class LearntSecret:
    """A secret that a sender tells when it is registered, such as Asana by `X-Hook-Secret`, kept in a file.

    Give `secret` to a scheme, `keep` to a challenge by `learn`, and register within `open`:

        learnt = LearntSecret("asana.secret")
        scheme = HMACBody(learnt.secret, signature="x-hook-signature")
        challenges = (learn("header:x-hook-secret", learnt.keep),)

        with learnt.open(60):
            ...  # call the sender's API, which tells the secret before it answers

    Several registrations at one URL, each with a secret of its own, are several files: the scheme gets all secrets, and
    there is a challenge for each.

    Anybody could tell a secret. So one is taken only while it is open, and only one: that closes it. It is open for all
    processes on the file, by a second file beside it that ends in ".open". What was learnt stays until it is opened
    again; the sender's call fails if a stranger was faster.

    Args:
        path: the path of the file. Its folder must exist; only the user of this process can read the file.
        clock: a function that returns the time in Unix seconds: that of the receiver.

    Raises:
        ConfigurationError: there is no such folder, or the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path)
        if not self._path.parent.is_dir():
            raise ConfigurationError(
                f"a secret cannot be kept in {os.fspath(path)}: there is no folder {self._path.parent}"
            )
        self._open = self._path.with_name(self._path.name + ".open")
        self._clock = clock
        self.secret = Secret.from_file(path) if self._path.exists() else Secret(token_hex(32))
        """The secret, for a scheme. Before one is learnt it is random, so that nothing verifies."""
        self.secret.file = self._path

    def __repr__(self) -> str:
        return f"<LearntSecret in {self._path}>"

    def open(self, seconds: float) -> AbstractContextManager[Self]:
        """Take the next secret that is told within some seconds. Return a context manager that closes at its end.

        Raises:
            ConfigurationError: `seconds` is no number above 0.
            OSError: the file cannot be written.
        """
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < float("inf"):
            raise ConfigurationError(f"open(seconds) takes a number of seconds above 0, not {seconds!r}")
        _write(self._open, f"{self._clock() + seconds}")
        return closing(self)

    def close(self) -> None:
        """Take no secret from now on."""
        self._open.unlink(missing_ok=True)

    def keep(self, secret: Secret, now: float) -> bool:
        """Keep a secret that a sender tells, if it is open. See `webhook_receiver.senders.challenges.learn`.

        Args:
            secret: the secret.
            now: the time, in Unix seconds.

        Returns:
            Whether it is the secret that is kept: now, or already.

        Raises:
            OSError: the file cannot be written.
        """
        told = secret.get_secret_value()
        if self._is_kept(told):
            return True  # the sender tells it again, since our answer was lost
        try:
            until = float(self._open.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return False
        if not now < until:
            return False
        with suppress(FileNotFoundError):
            _write(self._path, told, before=self._open.unlink)  # of several at once, only one can take it away
            return True
        return False

    def _is_kept(self, told: str) -> bool:
        try:
            kept = self._path.read_bytes()
        except OSError:
            return False
        return bool(kept) and is_same(kept, told.encode())


ToldSecrets = Secrets | LearntSecret | Sequence[str | SecretStr | LearntSecret]
"""The secrets of a sender that tells them: a `LearntSecret`, a secret that was told before, or several of both."""


def _write(path: Path, text: str, before: Callable[[], None] | None = None) -> None:
    """Write a file, whole or not at all, which only the user of this process can read.

    Args:
        path: the file's path.
        text: its text.
        before: a function that is called once the text is safe, before it is the file's. If it raises, the old file
            stays.
    """
    number, temporary = mkstemp(prefix=f".{path.name}.", dir=path.parent)  # with the mode 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            before()
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
