"""The guard of a SQLite file: whether it still is the file that was opened, is whole, and has room on its disk."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from ...errors import ConfigurationError, InboxDamaged, InboxUnavailable
from . import tracking
from .connection import Files, Inode, WriterConnection
from .mounts import mount_of
from .mounts import mounts as mounts_now

logger = logging.getLogger("webhook_receiver")

_ENDINGS = ("", "-wal", "-shm")


class FileGuard:
    """A guard of the files of one inbox.

    Args:
        path: the database, without symbolic links.
        min_free: bytes that its disk must have free.
    """

    def __init__(self, path: Path, min_free: int) -> None:
        self.path = path
        """The database."""
        self._min_free = min_free
        self._names = [str(beside(path, ending)) for ending in _ENDINGS]
        self._file: Inode | None = None
        self._lost: Sequence[str] = ()
        """The names of the files that were removed or replaced under a connection."""
        self._ours: Files | None = None
        """The files of that connection."""
        self._seen_free = float("-inf")
        self._last = 0

    def check_path(self, *, create: bool) -> None:
        """Check that the file exists or may be created, and that SQLite's log will be where the file is; warn of a file
        system of the network.

        The log is beside the file, by the name that the file was opened by. So a file that was mounted alone loses its
        log with the container, and one of two names loses what the other has (sqlite.org/howtocorrupt.html, 2.5).

        Raises:
            ConfigurationError: it is a folder, its folder does not exist, or `create` is False and the file does not
                exist; the file is mounted by itself, or has a second name.
        """
        if not create and not self.path.exists():
            raise ConfigurationError(f"there is no inbox at {self.path}")
        if self.path.is_dir():
            raise ConfigurationError(f"{self.path} is a folder: name the inbox's file in it")
        if not self.path.parent.is_dir():
            raise ConfigurationError(f"there is no folder {self.path.parent} for the inbox {self.path.name}: make it")
        mounts = mounts_now()
        for name in (each for each in self._names if mount_of(mounts, each).is_alone):
            raise ConfigurationError(
                f"{name} is mounted by itself, so the log beside it, which has the latest deliveries, is not kept with "
                f"it: mount its folder instead, such as -v ./data:{self.path.parent}"
            )
        if self.path.is_file() and self.path.stat().st_nlink > 1:
            raise ConfigurationError(
                f"{self.path} has a second name (a hard link), and each name has a log of its own: what is written by "
                "the one destroys what the other has. Remove one name; to have a copy:  inbox backup"
            )
        mount = mount_of(mounts, self._names[0])
        if mount.is_network:
            logger.warning(
                "%s is on a file system of the network (%s), where SQLite's locks and its log cannot be relied on "
                "(sqlite.org/wal.html): put it on a local disk, or take PostgreSQL for several machines",
                self.path,
                mount.kind,
            )

    def make_private(self) -> None:
        """Create the file if there is none, so that nobody but its owner reads it; warn of one that all may read.

        SQLite gives its log the mode of the file. The mode of a file that is there was chosen by somebody, and is left.

        Raises:
            OSError: the file cannot be created.
            InboxUnavailable: the file or its folder is read-only.
        """
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        self.check_writable()
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & stat.S_IROTH and os.name == "posix":
            logger.warning(
                "%s may be read by every user (mode %04o), with all bodies in it; its mode is left as it is:  "
                "chmod 600 %s*  makes it private",
                self.path,
                mode,
                self.path,
            )

    def remember(self) -> None:
        """Remember the file that is there now as the right one, by its device and inode."""
        self._file = _inode(self._names[0])

    @property
    def remembered(self) -> Inode | None:
        """The device and the inode of the remembered file; None without one."""
        return self._file

    def forget(self) -> None:
        """Forget the remembered file, so that any file is the right one."""
        self._file, self._lost = None, ()

    def files(self) -> Files:
        """Return the files that are there now, by their names."""
        database, log, index = map(_inode, self._names)
        return database, log, index

    def check_not_replaced(self) -> None:
        """Check that the remembered file is still there: what is written to one that was replaced would be lost.

        Raises:
            InboxDamaged: another file is there now, or none; or `check_open_files` has raised it before, unless all
                files were away together and were put back since, as with a folder that is renamed.
        """
        if self._file is not None and _inode(self._names[0]) != self._file:
            raise self._replaced(self._names[:1])
        if self._lost:
            # Who had found a part of them there may have gone on with that.
            if len(self._lost) < len(self._names) or self.files() != self._ours:
                raise self._replaced(self._lost)
            self._lost = ()

    def check_open_files(self, files: Files) -> None:
        """Check that the files that a connection has open are there by their names.

        Raises:
            InboxDamaged: one was removed or replaced.
        """
        there = self.files()
        if there != files or None in files:
            pairs = zip(self._names, files, there, strict=True)
            self._lost = [name for name, ours, now in pairs if ours is None or ours != now]
            self._ours = files
            raise self._replaced(self._lost)

    def _replaced(self, names: Sequence[str]) -> InboxDamaged:
        was, it_was = ("was", "it was") if len(names) == 1 else ("were", "they were")
        return InboxDamaged(
            f"{' and '.join(names)} {was} removed or replaced while {it_was} in use: stop everything that uses "
            f"{self.path.name}, and start again"
        )

    def rescue(self, connection: WriterConnection) -> None:
        """Bring what is in a log that was removed, and that only open connections still have, into the database.

        Nothing is done if other files are there by now: another process works with them.
        """
        ours, there = connection.files, self.files()
        if ours and ours[0] == there[0] and all(now in (None, before) for before, now in zip(ours, there, strict=True)):
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint").fetchall()

    def has_log(self) -> bool:
        """Return whether there is a log; SQLite removes it with the last connection, once all is in the database."""
        return _inode(self._names[1]) is not None

    def note_last(self, last: int) -> None:
        """Note at the file itself which delivery was committed last, before it is acknowledged.

        That is the only place that lasts when the log and all else beside the file are removed. It costs 2 us and is
        not flushed to the disk, so after the loss of power it may be behind. Where a file system or an operating
        system has no extended attributes (xattr(7)), nothing is noted.

        Args:
            last: the number of the delivery's row.
        """
        if last != self._last:
            self._last = last
            if sys.platform == "linux":
                with suppress(OSError):
                    os.setxattr(self.path, _LAST, b"%d" % last)

    def noted_last(self) -> int:
        """Return what `note_last` has noted, in any process; 0 if nothing is noted."""
        if sys.platform == "linux":
            with suppress(OSError, ValueError):
                return int(os.getxattr(self.path, _LAST))
        return 0

    def forget_last(self) -> None:
        """Remove the note."""
        self._last = 0
        if sys.platform == "linux":
            with suppress(OSError):
                os.removexattr(self.path, _LAST)

    def check_last(self, noted: int, last: int) -> None:
        """Check that the database has the delivery that was noted before SQLite opened it.

        Args:
            noted: what `noted_last` has returned.
            last: the number of the last row that there ever was, by the database.

        Raises:
            InboxDamaged: the database has not come so far.
        """
        if last < noted:
            raise _missing(self.path)

    def check_writable(self) -> None:
        """Check that the file and its folder may be written to: SQLite would open a read-only file, and fail later.

        Raises:
            InboxUnavailable: one is read-only.
        """
        if not os.access(self.path, os.W_OK):
            raise InboxUnavailable(f"the inbox {self.path} cannot be opened: it is read-only")
        if not os.access(self.path.parent, os.W_OK):
            raise InboxUnavailable(
                f"the inbox {self.path} cannot be opened: its folder is read-only, and the log is written beside it"
            )

    def check_free_space(self, *, at_once: bool = False) -> None:
        """Check that the disk has room, at most ten times a second unless `at_once`.

        Raises:
            InboxUnavailable: less than `min_free` bytes are free, or the disk cannot be looked at.
        """
        now = time.monotonic()
        if now < self._seen_free + 0.1 and not at_once:
            return
        free = self._free()
        if free < self._min_free:
            raise InboxUnavailable(f"the disk of the inbox has {free} bytes free, less than min_free={self._min_free}")
        self._seen_free = now

    def check_room(self, size: int, copy: str) -> None:
        """Check that the disk has room for a copy of `size` bytes, named `copy`, and `min_free` besides.

        Raises:
            InboxUnavailable: it has not, or the disk cannot be looked at.
        """
        free = self._free()
        if free < size + self._min_free:
            raise InboxUnavailable(
                f"the disk has no room for the copy {copy}: {free} bytes are free, it takes {size}, and "
                f"min_free={self._min_free} are to be left; make room, or run  inbox migrate ... --no-backup"
            )

    def _free(self) -> int:
        try:
            return shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise InboxUnavailable(f"the disk of the inbox cannot be looked at: {error}") from None


_LAST = b"user.webhook_receiver.last"


def _inode(name: str) -> Inode | None:
    try:
        found = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


_HEADER = Struct("=8xIB3xI28x")  # transactions, initialised, frames; twice, in the machine's byte order
_SALTS = Struct(">32x2I")  # as they are in the log
_BACKFILLED = Struct("=96xI")
_FIRST = 128  # the byte that each process on the database has locked ("DMS" in SQLite's os_unix.c)


class Committed(NamedTuple):
    """The committed part of the write-ahead log, as the wal-index says (sqlite.org/walformat.html)."""

    frames: int
    """The number of committed frames in the log."""
    backfilled: int
    """The number of these frames that are in the database already."""
    salt: int
    """The first salt, which grows by one when the log begins anew; by then all of it is in the database."""
    other_salt: int


class Opening(NamedTuple):
    """What is known of a database while SQLite opens it."""

    check_nothing_lost: Callable[[], None]
    """Raises InboxDamaged if SQLite has gone on with less than was committed before."""
    writers_have_ended: Callable[[], bool]
    """Returns whether everybody who has written what the body has read until then is known to have ended: nobody else
    had the database open, and nobody has committed since. Called while the body's connection is open."""


@contextmanager
def opening(path: Path, *, alone: bool) -> Generator[Opening]:
    """Detect the loss of committed data while SQLite opens the database at `path` in the body of this context.

    The body lets SQLite open the database, then calls the functions that it was given. It closes all its connections.

    Args:
        path: the database.
        alone: whether nothing else of this process has the database open. Only then is the wal-index read: to close a
            file that SQLite has locked ends the locks of the whole process (sqlite.org/howtocorrupt.html, section 2.2).

    Yields:
        The functions to call.
    """
    has_index = beside(path, "-shm").exists()
    index = _index_of_nobody(path) if alone else None
    is_first = alone and (index is not None or not has_index)
    with ExitStack() as files:
        if index is not None:
            files.callback(os.close, index)
        before = None if index is None else _committed(index)

        def writers_have_ended() -> bool:
            if not is_first or (now := _index(path)) is None:
                return False
            files.callback(os.close, now)  # not before SQLite has closed it
            return _is_new(now)  # the one that SQLite has; the last process may have removed what was there before

        yield Opening(lambda: _compare(path, before, None if index is None else _committed(index)), writers_have_ended)


def _index_of_nobody(path: Path) -> int | None:
    """Open the wal-index and lock it as the first process on it; return None if there is none, or a process uses it."""
    if sys.platform == "win32" or (index := _index(path)) is None:
        return None
    import fcntl

    try:
        fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _FIRST)
    except OSError:
        os.close(index)
        return None
    return index


def _index(path: Path) -> int | None:
    """Open the wal-index; return None if there is none."""
    if sys.platform == "win32":
        return None  # its locks are of another kind
    try:
        return os.open(beside(path, "-shm"), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None  # SQLite reports whatever is wrong with it


def _is_new(index: int) -> bool:
    """Return whether nobody has committed since the first process on the database made the wal-index anew.

    It counts the transactions from then on. Who comes after the first one finds it made.
    """
    header = os.pread(index, 2 * _HEADER.size, 0)
    if len(header) < 2 * _HEADER.size or header[: _HEADER.size] != header[_HEADER.size :]:
        return False  # somebody commits just now
    transactions, initialised, _ = _HEADER.unpack_from(header)
    return bool(initialised) and transactions == 0


def _committed(index: int) -> Committed | None:
    """Return the committed part of the log from the wal-index; None if that is empty."""
    header = os.pread(index, _BACKFILLED.size, 0)
    size = _HEADER.size
    if len(header) < _BACKFILLED.size or header[:size] != header[size : 2 * size]:
        return None
    _, initialised, frames = _HEADER.unpack_from(header)
    (backfilled,) = _BACKFILLED.unpack_from(header)
    salt, other_salt = _SALTS.unpack_from(header)
    return Committed(frames, backfilled, salt, other_salt) if initialised else None


def _compare(path: Path, before: Committed | None, after: Committed | None) -> None:
    """Raise InboxDamaged if SQLite, by opening the database, went on with less than was committed before.

    A marker file is left beside the database, since what SQLite does next makes the loss invisible to later openings.
    """
    if before is not None and before.backfilled < before.frames and not _continues(before, after):
        raise _missing(path)
    if beside(path, "-damaged").exists():
        raise _missing(path)


def _missing(path: Path) -> InboxDamaged:
    """Leave the marker, and return the error."""
    marker = beside(path, "-damaged")
    marker.touch()
    return InboxDamaged(
        f"{beside(path, '-wal')} was damaged or removed, or an older {path.name} was put in place: deliveries that had "
        f"been acknowledged are missing from {path.name}. Bring the files back from a copy; or remove {marker} to go "
        "on with what is left"
    )


def _continues(before: Committed, after: Committed | None) -> bool:
    if after is None:
        return False
    if (after.salt, after.other_salt) == (before.salt, before.other_salt):
        return after.frames >= before.frames
    return 0 < (after.salt - before.salt) % 2**32 < 2**20  # another process has begun the log anew meanwhile


def beside(path: Path, ending: str) -> Path:
    """Return the path of a file beside the database, whose name has an ending more."""
    return path.with_name(path.name + ending)


class IntegrityCheck:
    """A check of the whole file (sqlite.org/pragma.html#pragma_integrity_check), which starts at once in its own
    thread.

    Args:
        connect: opens the connection of the check.
        name: the file's name, for messages.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], name: object) -> None:
        self._connect = connect
        self._name = name
        self._connection: sqlite3.Connection | None = None
        self._connecting = threading.Lock()
        self._damage: str | None = None
        self._error: sqlite3.Error | None = None
        self._start()

    def _start(self) -> None:
        self._stopped = self._ended = False
        self._thread = threading.Thread(target=self._run, name="webhook-inbox-check", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None) -> None:
        """Wait until the check has ended, but no longer than `seconds` if that is given.

        Raises:
            InboxDamaged: the check has found damage by then.
            sqlite3.Error: the check has failed by then.
        """
        self._thread.join(seconds)
        self.check_undamaged()
        if self._error is not None:
            raise self._error

    def check_undamaged(self) -> None:
        """Check that no damage has been found so far.

        Raises:
            InboxDamaged: the check has found damage.
        """
        if self._damage is not None:
            raise InboxDamaged(f"{self._name} is damaged ({self._damage}): bring it back from a copy")

    def stop(self) -> None:
        """Stop the check, however far it is, and wait for its thread."""
        with self._connecting:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()
        self._thread.join()

    def resume(self) -> None:
        """Check again from the start, if `stop` came before the end."""
        if not self._ended:
            self._start()

    def _run(self) -> None:
        try:
            self._check()
            self._ended = not self._stopped
        except sqlite3.Error as error:
            self._ended = not self._stopped
            if type(error) is sqlite3.DatabaseError:
                self._damage = str(error)
            elif not self._stopped:
                self._error = error
        except Exception as error:  # the next write finds the same, and reports it
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
                self._damage = tracking.damage(connection) if found == "ok" else ": ".join(found.splitlines())
        finally:
            with self._connecting:
                self._connection = None
            with suppress(sqlite3.Error):
                connection.close()
