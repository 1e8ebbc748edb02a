"""Connections to the SQLite file of an inbox: one that writes, with its data in memory, and one that reads."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from ...errors import InboxDamaged, InboxError, InboxUnavailable
from .. import rows
from .dedup_cache import DedupCache

_BETWEEN_TRIES = 0.05  # seconds

Inode = tuple[int, int]
"""The device and the inode number of a file."""
Files = tuple[Inode | None, Inode | None, Inode | None]
"""A database, its log and its wal-index; None for one that is not there."""


class WriterConnection(sqlite3.Connection):
    """A connection that writes, with the deduplication cache and the undo functions of its transaction."""

    dedup_cache: DedupCache | None = None
    """The cache of the latest deliveries; None until a transaction needs it."""
    nothing_free_until: int = -(2**63)
    """The row up to which no untracked delivery was free when it was looked at last, by this connection."""
    files: Files | None = None
    """The files that it has open; None if it is in memory."""
    undo: tuple[Callable[[], object], ...] = ()
    """Functions that take back, the last one first, what the transaction under way has changed in memory."""

    after_commit: tuple[Callable[[bool], object], ...] = ()
    """Functions to call once the transaction under way is committed, with whether that may be acknowledged."""
    announce: Callable[[bool], object] | None = None
    """What has the workers of this process look for deliveries, if anybody is to: one of `after_commit`."""

    def made_due(self) -> None:
        """Have the workers of this process look once the transaction is committed, since a delivery became due."""
        if self.announce is not None and self.announce not in self.after_commit:
            self.after_commit += (self.announce,)

    def committed(self) -> None:
        """Keep what the transaction changed in memory, now that it is committed."""
        self.undo = ()

    def rolled_back(self) -> None:
        """Take back what the transaction changed in memory, now that it is rolled back."""
        for undo in reversed(self.undo):
            undo()
        self.undo = self.after_commit = ()


def connect(path: str | os.PathLike[str], timeout: float = 0) -> WriterConnection:
    """Return a connection to an inbox's file, set up so that each commit survives the loss of power.

    Args:
        path: the file, or ":memory:".
        timeout: seconds to wait for another connection that writes.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    connection = sqlite3.connect(
        path,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        factory=WriterConnection,
    )
    connection.text_factory = rows.text
    try:
        connection.execute("PRAGMA synchronous = FULL")  # each commit survives the loss of power
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA temp_store = MEMORY")  # what a statement needs for a moment
        connection.execute("PRAGMA cache_size = -3072")  # KiB: a bucket of 9,000,000 is read but once
    except BaseException:
        connection.close()
        raise
    return connection


def takes_several_writers(version: tuple[int, ...]) -> bool:
    """Return whether a version of SQLite has the fix of the bug by which two connections that write to a file, or
    checkpoint it, at the same instant may damage it (sqlite.org/wal.html#walresetbug)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


R = TypeVar("R")


def patiently(call: Callable[[], R], seconds: float) -> R:
    """Call a function, and again while it finds the file locked, for up to so many seconds.

    SQLite waits for most locks by itself, but not for those of a process that opens, recovers or leaves the file
    (sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode).

    Raises:
        sqlite3.OperationalError: it is locked still, or something else is wrong.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_BETWEEN_TRIES)


class Reader:
    """A read-only connection that any thread may use; the calls come one after the other.

    Args:
        connect: opens the connection, on first use.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._reading = Lock()

    def ask(self, ask: Callable[[sqlite3.Connection], R]) -> R:
        """Return the result of a function that reads, run inside a transaction on the connection.

        Args:
            ask: the function; it takes the connection.

        Raises:
            InboxUnavailable: the file cannot be read, or the reader is closed.
            InboxDamaged: SQLite finds the file damaged.
            InboxError: an argument of the query is a value that no file can hold.
        """
        with self._reading:
            if self._closed:
                raise InboxUnavailable("the inbox is not open")
            try:
                if self._connection is None:
                    self._connection = self._connect()
                    self._connection.execute("PRAGMA query_only = 1")
                with self._connection:
                    self._connection.execute("BEGIN")
                    return ask(self._connection)
            except (sqlite3.OperationalError, OSError) as error:
                raise InboxUnavailable(f"the inbox cannot be read: {error}") from None
            except sqlite3.DatabaseError as error:
                raise InboxDamaged(f"the inbox is damaged: {error}") from None
            except (UnicodeError, OverflowError) as error:
                raise InboxError(f"the inbox cannot look for that: {error}") from None

    def suspend(self) -> None:
        """Wait for the call under way, close the connection, and let every other call wait until `resume` is called."""
        self._reading.acquire()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def resume(self) -> None:
        """Go on after `suspend`."""
        self._reading.release()

    def close(self) -> None:
        """Close the connection; every later call of `ask` raises InboxUnavailable."""
        with self._reading:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
