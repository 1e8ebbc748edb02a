"""A connection to a SQLite inbox, and what one that writes holds in memory beside it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from .. import rows
from .dedup_cache import Recent


class Connection(sqlite3.Connection):
    """A connection that writes, and what it holds in memory."""

    recent: Recent | None = None
    undo: tuple[Callable[[], object], ...] = ()
    """What takes back, the last one first, what the transaction under way has changed in memory."""

    def committed(self) -> None:
        """Let what is in memory be as it is."""
        self.undo = ()
        if self.recent is not None:
            self.recent.forget_ids()

    def rolled_back(self) -> None:
        """Let memory be as it was before the transaction."""
        for undo in reversed(self.undo):
            undo()
        self.undo = ()
        if self.recent is not None:
            self.recent.unpacked = -(2**63)  # until the next refresh reads it, nothing is forgotten


def connect(path: str | os.PathLike[str], timeout: float = 0) -> Connection:
    """Return a connection to a file; it waits for `timeout` seconds when another one writes."""
    connection = sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=512, factory=Connection
    )
    connection.text_factory = rows.text
    try:
        connection.execute("PRAGMA synchronous = FULL")  # each commit survives the loss of power
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA temp_store = MEMORY")  # what a statement needs for a moment
        connection.execute("PRAGMA cache_size = -8192")  # KiB: a part of the lookup is merged without reading it twice
    except BaseException:
        connection.close()
        raise
    return connection
