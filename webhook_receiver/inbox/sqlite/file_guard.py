"""The place of a SQLite file: whether it still is the file that was opened, and whether its disk has room."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from ...errors import ConfigurationError, InboxDamaged, InboxUnavailable
from . import staging


class FileGuard:
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

    def check_path(self, *, create: bool) -> None:
        """Raise ConfigurationError if there cannot be a file, or it may not be created and is not there."""
        if not create and not self._path.exists():
            raise ConfigurationError(f"there is no inbox at {self._path}")
        if not self._path.parent.is_dir():
            raise ConfigurationError(f"there is no folder {self._path.parent} for the inbox {self._path.name}: make it")

    def remember(self) -> None:
        """Take the file that is there now for the right one."""
        self._file = self._inode()

    def forget(self) -> None:
        """Take whatever file is there for the right one, until told to remember."""
        self._file = None

    def check_not_replaced(self) -> None:
        """Raise InboxDamaged if another file is there now, or none: what is written to ours would be lost."""
        if self._file is not None and self._inode() != self._file:
            raise InboxDamaged(f"{self._path} was removed or replaced while it was in use: start again")

    def check_writable(self) -> None:
        """Raise InboxUnavailable if the file may not be written to: SQLite would open it, and fail later."""
        if not os.access(self._path, os.W_OK):
            raise InboxUnavailable(f"the inbox {self._path} cannot be opened: it is read-only")

    def check_free_space(self, *, at_once: bool = False) -> None:
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

    def _inode(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_dev, found.st_ino


_HEADER = Struct("=12xB3xI28x")  # initialised, frames; twice, in the machine's byte order
_SALTS = Struct(">32x2I")  # as they are in the log
_BACKFILLED = Struct("=96xI")
_FIRST = 128  # the byte that each process on the database has locked ("DMS" in SQLite's os_unix.c)


class Committed(NamedTuple):
    """How much of the log was committed, as the wal-index tells."""

    frames: int
    backfilled: int
    """How many of them are in the database itself already."""
    salt: int
    """It counts up by one whenever the log begins anew, which it only does when all of it is in the database."""
    other_salt: int


@contextmanager
def opening(path: Path, *, alone: bool) -> Generator[Callable[[], None]]:
    """Have SQLite open the database at `path` inside this, then call what it yields, which raises InboxDamaged.

    It is `alone` if nothing else of this process has the database open, and only then is the wal-index looked at: to
    close a file that SQLite has locked ends the locks of the whole process (sqlite.org/howtocorrupt.html, 2.2).
    """
    index = _index_of_nobody(path) if alone else None
    try:
        before = None if index is None else _committed(index)
        yield lambda: _compare(path, before, None if index is None else _committed(index))
    finally:
        if index is not None:
            os.close(index)


def _index_of_nobody(path: Path) -> int | None:
    """Open the wal-index and lock it as the first process on it; None if there is none, or somebody uses it."""
    if sys.platform == "win32":
        return None  # its locks are of another kind
    import fcntl

    try:
        index = os.open(_beside(path, "-shm"), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None  # whatever keeps us from it is SQLite's to complain about
    try:
        fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _FIRST)
    except OSError:
        os.close(index)
        return None
    return index


def _committed(index: int) -> Committed | None:
    """Read the wal-index; None if it is empty."""
    header = os.pread(index, _BACKFILLED.size, 0)
    size = _HEADER.size
    if len(header) < _BACKFILLED.size or header[:size] != header[size : 2 * size]:
        return None
    initialised, frames = _HEADER.unpack_from(header)
    (backfilled,) = _BACKFILLED.unpack_from(header)
    salt, other_salt = _SALTS.unpack_from(header)
    return Committed(frames, backfilled, salt, other_salt) if initialised else None


def _compare(path: Path, before: Committed | None, after: Committed | None) -> None:
    """Raise InboxDamaged if SQLite, by opening the database, went on with less than was committed before.

    A mark is left beside it, since what SQLite does next makes the loss invisible to whoever opens it then.
    """
    if before is not None and before.backfilled < before.frames and not _continues(before, after):
        _beside(path, "-damaged").touch()
    marker = _beside(path, "-damaged")
    if marker.exists():
        raise InboxDamaged(
            f"{_beside(path, '-wal')} was damaged or removed: deliveries that had been acknowledged are missing from "
            f"{path.name}. Bring the files back from a copy; or remove {marker} to go on with what is left"
        )


def _continues(before: Committed, after: Committed | None) -> bool:
    if after is None:
        return False
    if (after.salt, after.other_salt) == (before.salt, before.other_salt):
        return after.frames >= before.frames
    return 0 < (after.salt - before.salt) % 2**32 < 2**20  # another process has begun the log anew meanwhile


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


logger = logging.getLogger("webhook_receiver")


class IntegrityCheck:
    """One check, which begins at once, on a connection of its own.

    Args:
        connect: opens the connection.
        name: of the file.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], name: object) -> None:
        self._connect = connect
        self._name = name
        self._connection: sqlite3.Connection | None = None
        self._connecting = threading.Lock()
        self._stopped = False
        self._damage: str | None = None
        self._error: sqlite3.Error | None = None
        self._thread = threading.Thread(target=self._run, name="webhook-inbox-check", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for its end, but no longer than this; raise what it found by then."""
        self._thread.join(seconds)
        self.check_undamaged()
        if self._error is not None:
            raise self._error

    def check_undamaged(self) -> None:
        """Raise InboxDamaged if damage has been found so far."""
        if self._damage is not None:
            raise InboxDamaged(f"{self._name} is damaged ({self._damage}): bring it back from a copy")

    def stop(self) -> None:
        """End it, wherever it is."""
        with self._connecting:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._check()
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:
                self._damage = str(error)
            elif not self._stopped:
                self._error = error
        except Exception as error:  # whoever writes finds the same, and says so
            logger.error("%s cannot be checked: %s", self._name, error)
        if self._damage is not None:
            logger.error("%s is damaged: %s", self._name, self._damage)

    def _check(self) -> None:
        connection = self._connect()
        try:
            with self._connecting:
                self._connection = connection
            if not self._stopped:
                (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                self._damage = staging.damage(connection) if found == "ok" else found
        finally:
            with self._connecting:
                self._connection = None
            with suppress(sqlite3.Error):
                connection.close()
