"""Noticing that a SQLite file was replaced, or its log damaged, from outside.

SQLite takes a write-ahead log that was cut off, changed or removed for one whose end was never committed: it goes
on without what is missing, and says nothing. But unless the last process ended in peace, the wal-index beside it
still tells how much was committed (sqlite.org/walformat.html): if less than that comes back, something is lost.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import NamedTuple

from ..errors import InboxDamaged

_HEADER = Struct("=12xB3xI28x")  # initialised, frames; twice, in the machine's byte order
_SALTS = Struct(">32x2I")  # as they are in the log
_BACKFILLED = Struct("=96xI")
_LOOKS = 1000  # at a header that is just being written, which takes a microsecond

_opened: dict[tuple[int, int], int] = {}
"""The wal-indexes that were looked into, by device and inode. To close one would end the locks that SQLite has on it
in this process, and other processes would wipe it under our hands (sqlite.org/howtocorrupt.html, 2.2)."""
_opening = Lock()


class Committed(NamedTuple):
    """How much of the log was committed, as the wal-index tells."""

    frames: int
    backfilled: int
    """How many of them are in the database itself already."""
    salt: int
    """It counts up by one whenever the log begins anew, which it only does when all of it is in the database."""
    other_salt: int
    file: tuple[int, int]
    """Which wal-index tells it, by device and inode. Whoever ends last in peace removes it: all is in the database."""


def committed(path: Path) -> Committed | None:
    """Read the wal-index of the database at `path`; None if there is none that is whole."""
    try:
        descriptor, index = _open(_beside(path, "-shm"))
    except FileNotFoundError:
        return None
    size = _HEADER.size
    for _ in range(_LOOKS):
        header = os.pread(descriptor, _BACKFILLED.size, 0)
        if len(header) == _BACKFILLED.size and header[:size] == header[size : 2 * size]:
            break
    else:
        return None
    initialised, frames = _HEADER.unpack_from(header)
    (backfilled,) = _BACKFILLED.unpack_from(header)
    salt, other_salt = _SALTS.unpack_from(header)
    return Committed(frames, backfilled, salt, other_salt, index) if initialised else None


def _open(path: Path) -> tuple[int, tuple[int, int]]:
    """Return a descriptor of a file, the same one each time, and which file it is."""
    with _opening:
        for index, descriptor in [*_opened.items()]:
            if not os.fstat(descriptor).st_nlink:  # it was removed, so nobody has a lock on it that matters
                os.close(_opened.pop(index))
        found = path.stat()
        index = (found.st_dev, found.st_ino)
        if index not in _opened:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            found = os.fstat(descriptor)  # it may be another one by now
            index = (found.st_dev, found.st_ino)
            _opened.setdefault(index, descriptor)
        return _opened[index], index


def compare(path: Path, before: Committed | None, after: Committed | None) -> None:
    """Raise InboxDamaged if SQLite, by opening the database, went on with less than was committed before.

    A mark is left beside it, since what SQLite does next makes the loss invisible to whoever opens it then.
    """
    if before is not None and before.backfilled < before.frames and not _goes_on(before, after):
        _beside(path, "-damaged").touch()
    refuse_marked(path)


def refuse_marked(path: Path) -> None:
    """Raise InboxDamaged if the mark is there."""
    mark = _beside(path, "-damaged")
    if mark.exists():
        raise InboxDamaged(
            f"{_beside(path, '-wal')} was damaged or removed: deliveries that had been acknowledged are missing from "
            f"{path.name}. Bring the files back from a copy; or remove {mark} to go on with what is left"
        )


def refuse_replaced(path: Path, inode: int | None) -> None:
    """Raise InboxDamaged if another file, or none, is where that with this inode was."""
    if inode is None:
        return
    try:
        found = path.stat().st_ino
    except FileNotFoundError:
        found = None
    if found != inode:
        raise InboxDamaged(f"{path} was removed or replaced while it was in use: start again")


def _goes_on(before: Committed, after: Committed | None) -> bool:
    if after is None or after.file != before.file:
        return True  # the last other process has ended in peace meanwhile
    if (after.salt, after.other_salt) == (before.salt, before.other_salt):
        return after.frames >= before.frames
    return 0 < (after.salt - before.salt) % 2**32 < 2**20  # another process has begun the log anew meanwhile


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
