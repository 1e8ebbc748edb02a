"""The place of a SQLite file: whether it still is the file that was opened, and whether its disk has room."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from ...errors import ConfigurationError, InboxDamaged, InboxUnavailable


class Place:
    """Where a file is.

    Args:
        path: the file.
        min_free: bytes that its disk must have free.
    """

    def __init__(self, path: Path, min_free: int) -> None:
        self._path = path
        self._min_free = min_free
        self._file: tuple[int, int] | None = None
        self._seen_free = float("-inf")

    def refuse_impossible(self, *, create: bool) -> None:
        """Raise ConfigurationError if there cannot be a file, or it may not be created and is not there."""
        if not create and not self._path.exists():
            raise ConfigurationError(f"there is no inbox at {self._path}")
        if not self._path.parent.is_dir():
            raise ConfigurationError(f"there is no folder {self._path.parent} for the inbox {self._path.name}: make it")

    def remember(self) -> None:
        """Take the file that is there now for the right one."""
        self._file = self._found()

    def forget(self) -> None:
        """Take whatever file is there for the right one, until told to remember."""
        self._file = None

    def refuse_moved(self) -> None:
        """Raise InboxDamaged if another file is there now, or none: what is written to ours would be lost."""
        if self._file is not None and self._found() != self._file:
            raise InboxDamaged(f"{self._path} was removed or replaced while it was in use: start again")

    def refuse_read_only(self) -> None:
        """Raise InboxUnavailable if the file may not be written to: SQLite would open it, and fail later."""
        if not os.access(self._path, os.W_OK):
            raise InboxUnavailable(f"the inbox {self._path} cannot be opened: it is read-only")

    def refuse_full(self, *, at_once: bool = False) -> None:
        """Raise InboxUnavailable before the disk is full; look ten times a second, or `at_once`."""
        now = time.monotonic()
        if now < self._seen_free + 0.1 and not at_once:
            return
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise InboxUnavailable(f"the disk of the inbox cannot be looked at: {error}") from None
        if free < self._min_free:
            raise InboxUnavailable(f"the disk of the inbox has {free} bytes free, less than min_free={self._min_free}")
        self._seen_free = now

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_dev, found.st_ino
