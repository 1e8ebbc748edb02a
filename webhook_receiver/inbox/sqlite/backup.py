"""The copy of an inbox's file while it is in use, by SQLite's online backup (sqlite.org/backup.html)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ...errors import ConfigurationError, InboxDamaged, InboxUnavailable
from ..whole_file import whole_file

_PAGES = 256  # copied between two calls of `progress`: a MiB


def backup(connection: sqlite3.Connection, file: Path, progress: Callable[[int, int], None]) -> None:
    """Copy all that is committed now to a file of its own, which replaces what has its name.

    Args:
        connection: a connection to the inbox's file.
        file: the copy.
        progress: called with the number of pages that are copied, and of all pages.

    Raises:
        ConfigurationError: the copy would be the inbox itself.
        InboxUnavailable: the inbox cannot be read, or the copy not written.
        InboxDamaged: SQLite finds the inbox damaged.
    """
    (source,) = [name for _, schema, name in connection.execute("PRAGMA database_list") if schema == "main"]
    if file.exists() and file.samefile(source):
        raise ConfigurationError(f"{file} is the inbox itself: choose another name for the copy")
    try:
        with whole_file(file) as temporary, closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
            # Inside a transaction the copy is of one moment; else it begins anew whenever another connection commits.
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
            try:
                connection.backup(copy, pages=_PAGES, progress=lambda _, left, pages: progress(pages - left, pages))
            finally:
                connection.execute("ROLLBACK")
    except OSError as error:
        raise InboxUnavailable(f"the copy {file} cannot be written: {error.strerror}") from None
    except sqlite3.OperationalError as error:
        raise InboxUnavailable(f"the inbox cannot be copied to {file}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise InboxDamaged(f"the inbox is damaged: {error}") from None
