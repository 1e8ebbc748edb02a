"""Noticing that a SQLite file's log was damaged from outside.

SQLite takes a write-ahead log that was cut off, changed or removed for one whose end was never committed: it goes
on without what is missing, and says nothing. But unless the last process ended in peace, the wal-index beside it
still tells how much was committed (sqlite.org/walformat.html): if less than that comes back, something is lost.

Only the first process that opens the file can tell, and only while it is alone with it: another one that came and
went in peace meanwhile would look the same. So the lock is taken by which SQLite itself knows who is first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from ...errors import InboxDamaged

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
    if before is not None and before.backfilled < before.frames and not _goes_on(before, after):
        _beside(path, "-damaged").touch()
    mark = _beside(path, "-damaged")
    if mark.exists():
        raise InboxDamaged(
            f"{_beside(path, '-wal')} was damaged or removed: deliveries that had been acknowledged are missing from "
            f"{path.name}. Bring the files back from a copy; or remove {mark} to go on with what is left"
        )


def _goes_on(before: Committed, after: Committed | None) -> bool:
    if after is None:
        return False
    if (after.salt, after.other_salt) == (before.salt, before.other_salt):
        return after.frames >= before.frames
    return 0 < (after.salt - before.salt) % 2**32 < 2**20  # another process has begun the log anew meanwhile


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
