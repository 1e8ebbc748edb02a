"""The one connection that reads a SQLite file: what it reads in several steps is of one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from ...errors import InboxDamaged, InboxError, InboxUnavailable

R = TypeVar("R")


class Reader:
    """Reads, from whichever thread asks.

    Args:
        connect: opens the connection.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._reading = Lock()

    def ask(self, ask: Callable[[sqlite3.Connection], R]) -> R:
        """Return what `ask` reads.

        Raises:
            InboxUnavailable: it cannot be read.
            InboxDamaged: SQLite finds the file damaged.
            InboxError: it is asked for what no file can hold.
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

    def close(self) -> None:
        """Close the connection; then nothing is read any more."""
        with self._reading:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
