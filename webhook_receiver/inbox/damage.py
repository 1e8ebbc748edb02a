"""Noticing that a SQLite file was replaced, or its log damaged, from outside.

SQLite takes a write-ahead log that was cut off, changed or removed for one whose end was never committed: it goes
on without what is missing, and says nothing. But unless the last process ended in peace, the wal-index beside it
still tells how much was committed (sqlite.org/walformat.html): if less than that comes back, something is lost.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import NamedTuple

from ..errors import InboxDamaged

_HEADER = Struct("=12xB3xI28x")  # initialised, frames; twice, in the machine's byte order
_SALTS = Struct(">32x2I")  # as they are in the log
_BACKFILLED = Struct("=96xI")


class Committed(NamedTuple):
    """How much of the log was committed, as the wal-index tells."""

    frames: int
    backfilled: int
    """How many of them are in the database itself already."""
    salt: int
    """It counts up by one whenever the log begins anew, which it only does when all of it is in the database."""
    other_salt: int


def committed(path: Path) -> Committed | None:
    """Read the wal-index of the database at `path`; None if there is none, or it is just being written."""
    try:
        with _beside(path, "-shm").open("rb") as index:
            header = index.read(_BACKFILLED.size)
    except FileNotFoundError:
        return None
    size = _HEADER.size
    if len(header) < _BACKFILLED.size or header[:size] != header[size : 2 * size]:
        return None
    initialised, frames = _HEADER.unpack_from(header)
    (backfilled,) = _BACKFILLED.unpack_from(header)
    salt, other_salt = _SALTS.unpack_from(header)
    return Committed(frames, backfilled, salt, other_salt) if initialised else None


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
    if after is None:
        return False
    if (after.salt, after.other_salt) == (before.salt, before.other_salt):
        return after.frames >= before.frames
    return 0 < (after.salt - before.salt) % 2**32 < 2**20  # another process has begun the log anew meanwhile


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
