"""The copy of an inbox's file while it is in use, by SQLite's online backup (sqlite.org/backup.html)."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

from ...errors import ConfigurationError, InboxDamaged, InboxUnavailable
from ..whole_file import whole_file
from .file_guard import FileGuard, beside
from .schema import APPLICATION, MIGRATIONS

logger = logging.getLogger("webhook_receiver")

_PAGES = 256  # copied between two calls of `progress`: a MiB
_LOGS = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database in use, and takes up with the next one

_COPY_NAME = re.compile(r"(.+)\.schema-\d+\.bak")  # see `before_migration`


def before_migration(connect: Callable[[], sqlite3.Connection], path: Path, guard: FileGuard, version: int) -> None:
    """Copy an inbox's file before its tables change from those of this version.

    Args:
        connect: returns a new connection to the file.
        path: the file.
        guard: the guard of the file.
        version: the version of its schema.

    Raises:
        InboxUnavailable: there is no room for the copy, or it cannot be written.
    """
    copy = copy_before_migration(path, guard, version)
    backup(connect, copy)
    logger.info("%s has the schema %d and gets a newer one; a copy of it is %s", path, version, copy)


def copy_before_migration(path: Path, guard: FileGuard, version: int) -> Path:
    """Return the path of the copy that is made of an inbox's file before its tables change.

    Args:
        path: the file.
        guard: the guard of the file.
        version: the version of its schema.

    Raises:
        InboxUnavailable: there is no room for the copy.
    """
    copy = beside(path, f".schema-{version}.bak")
    guard.check_room(path.stat().st_size, copy.name)
    return copy


def check_is_no_copy(path: Path) -> None:
    """Check that a file whose tables are about to change is no copy that was made before they change.

    Raises:
        ConfigurationError: it is, by its name.
    """
    of = _COPY_NAME.fullmatch(path.name)
    if of is not None:
        raise ConfigurationError(
            f"{path} is the copy of {of[1]} that was made before its tables changed, and to open it here would change "
            f"them, too. To look into it, copy it under another name first:  cp {path} look.db. To go back to it, stop "
            f"what uses {of[1]}, move that with its -wal and -shm away, copy this one to {of[1]}, and install the "
            "version of webhook-receiver that you had then"
        )


async def in_thread(
    connect: Callable[[], sqlite3.Connection], file: Path, progress: Callable[[int, int], None]
) -> None:
    """Do `backup` in a thread, which leaves nothing of the copy and ends soon if this is cancelled."""
    is_left = Event()

    def copying(copied: int, pages: int) -> None:
        progress(copied, pages)
        if is_left.is_set():
            raise asyncio.CancelledError

    try:
        await asyncio.to_thread(backup, connect, file, copying)
    finally:
        is_left.set()


def backup(
    connect: Callable[[], sqlite3.Connection],
    file: Path,
    progress: Callable[[int, int], None] = lambda copied, pages: None,
) -> None:
    """Copy all that is committed now to a file of its own, which replaces what has its name.

    Args:
        connect: returns a connection to the inbox's file.
        file: the copy.
        progress: called with the number of pages that are copied, and of all pages.

    Raises:
        ConfigurationError: the copy cannot have this name; see `check_target`.
        InboxUnavailable: the inbox cannot be read, or the copy not written.
        InboxDamaged: SQLite finds the inbox damaged.
    """
    try:
        connection = connect()
    except (sqlite3.OperationalError, OSError) as error:
        raise InboxUnavailable(f"the inbox cannot be read: {error}") from None
    with closing(connection):
        _backup(connection, file, progress)


def _backup(connection: sqlite3.Connection, file: Path, progress: Callable[[int, int], None]) -> None:
    (source,) = [name for _, schema, name in connection.execute("PRAGMA database_list") if schema == "main"]
    check_target(Path(source), file)
    try:
        with whole_file(file) as temporary, closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
            # Inside a transaction the copy is of one moment; else it begins anew whenever another connection commits.
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
            try:
                connection.backup(copy, pages=_PAGES, progress=lambda _, left, pages: progress(pages - left, pages))
            finally:
                connection.execute("ROLLBACK")
            check_target(Path(source), file)  # again: somebody may use it by now
    except OSError as error:
        raise InboxUnavailable(f"the copy {file} cannot be written: {error.strerror}") from None
    except sqlite3.OperationalError as error:
        raise InboxUnavailable(f"the inbox cannot be copied to {file}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise InboxDamaged(f"the inbox is damaged: {error}") from None


def check_target(source: Path, file: Path) -> None:
    """Check that a copy of the inbox at `source` may take the name `file`.

    A database in use must not be replaced: what its log has is lost, and the log of the one destroys the other
    (sqlite.org/howtocorrupt.html, sections 1.4 and 2.4).

    Raises:
        ConfigurationError: it is the inbox itself, a folder, or a database in use, or a log is left beside it.
        InboxUnavailable: it cannot be looked at.
    """
    try:
        _check_target(source, file)
    except OSError as error:
        raise InboxUnavailable(f"the copy {file} cannot be written: {error.strerror}") from None


def _check_target(source: Path, file: Path) -> None:
    if file.is_dir():
        raise ConfigurationError(f"{file} is a folder: name a file in it for the copy")
    if file.exists() and file.samefile(source):
        raise ConfigurationError(f"{file} is the inbox itself: choose another name for the copy")
    real = file.resolve()  # SQLite's log is beside the file, not beside a link to it
    names = dict.fromkeys([file.absolute(), real])
    logs = [f"{each.name}{ending}" for each in names for ending in _LOGS if beside(each, ending).exists()]
    if logs or _is_open(real):
        why = f"has {' and '.join(logs)} beside it" if logs else "is open in a process"
        raise ConfigurationError(
            f"{file} {why}, as a database in use, so no copy may replace it. Is the order right? The inbox comes "
            f"first, then its copy. To have the copy by this name, stop what uses the file, and move {real.name}, "
            f"{real.name}-wal and {real.name}-shm away together"
        )


def _is_open(file: Path) -> bool:
    """Whether the file is a database that a connection has open, of this process or another."""
    # Not by open(): to close a file that this process has open in SQLite ends its locks.
    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)) as one:
            one.execute("PRAGMA locking_mode = EXCLUSIVE")  # without it, a reader in WAL mode is not noticed
            one.execute("BEGIN EXCLUSIVE")
            one.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    except sqlite3.DatabaseError:
        pass  # no database
    return False


def vacuum(connect: Callable[[], sqlite3.Connection]) -> None:
    """Rewrite an inbox's file without the space of removed deliveries.

    Args:
        connect: returns a connection to it.

    Raises:
        InboxUnavailable: the file cannot be written to, or there is no room for the copy that this makes.
    """
    try:
        with closing(connect()) as connection:
            connection.execute("PRAGMA temp_store = FILE")  # the copy is as large as the inbox
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        room = ": SQLITE_TMPDIR may name a folder with room for a copy" if "full" in str(error) else ""
        raise InboxUnavailable(f"the inbox cannot be vacuumed: {error}{room}") from None


def contents(file: Path) -> str | None:
    """Return in words what the file is, if it is a SQLite database: an inbox with its number of deliveries, or another
    one; None if it is none.

    Args:
        file: a file that nobody has open; what a log beside it has is not looked at.
    """
    count: int | None = None
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?immutable=1", uri=True)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            if application == APPLICATION and version == len(MIGRATIONS):  # an older one has some in a journal
                with suppress(sqlite3.Error):
                    (count,) = connection.execute("SELECT count(*) FROM delivery").fetchone()
    except sqlite3.Error:
        return None
    if not pages:
        return None
    if application != APPLICATION:
        return "a SQLite database"
    return "an inbox" if count is None else f"an inbox with {count} {'delivery' if count == 1 else 'deliveries'}"
