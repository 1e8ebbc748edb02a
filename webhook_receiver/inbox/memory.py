"""An inbox in memory, for tests: its deliveries are gone when its process ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from .sqlite import DAY, SQLiteInbox
from .sqlite.connection import WriterConnection, connect
from .sqlite.schema import migrate

R = TypeVar("R")


class MemoryInbox(SQLiteInbox):
    """An inbox in memory, with the rules and the code of `SQLiteInbox`. Fulfils `Inbox`.

    Args:
        window: seconds for which a duplicate of a delivery is recognized.
        retention: seconds for which a done delivery is kept; at least `window`.
        unhandled_retention: seconds for which an unhandled one is kept; None for ever.
        dead_retention: seconds for which a dead one is kept; None for ever.
        keep_body: seconds for which the headers and the body of a done one are kept; None for as long as the delivery.

    Raises:
        ConfigurationError: the settings cannot work.
    """

    _lasts = False

    def __init__(
        self,
        *,
        window: float = 7 * DAY,
        retention: float = 30 * DAY,
        unhandled_retention: float | None = 30 * DAY,
        dead_retention: float | None = None,
        keep_body: float | None = None,
    ) -> None:
        super().__init__(
            ":memory:",
            window=window,
            retention=retention,
            unhandled_retention=unhandled_retention,
            dead_retention=dead_retention,
            keep_body=keep_body,
            min_free=0,
        )

    def __repr__(self) -> str:
        return "<MemoryInbox>"

    @property
    def address(self) -> str:
        """See `Inbox`."""
        return f"memory {id(self)}"

    def _open(self) -> None:
        pass

    def _connect(self) -> WriterConnection:
        connection = connect(":memory:")
        migrate(connection, ":memory:")
        return connection

    def _connect_writer(self) -> WriterConnection:
        connection = self._connect()
        connection.announce = self._watchers.wake
        return connection

    async def _read(self, ask: Callable[[sqlite3.Connection], R]) -> R:
        return await self._write(lambda connection, jobs: [ask(connection) for _ in jobs], None)
