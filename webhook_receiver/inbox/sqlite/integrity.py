"""Checking a SQLite file as a whole, in a thread: a large file takes long, and deliveries need not wait for that."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress

from ...errors import InboxDamaged
from . import staging

logger = logging.getLogger("webhook_receiver")


class IntegrityCheck:
    """One check, which begins at once, on a connection of its own.

    Args:
        connect: opens the connection.
        name: of the file.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], name: object) -> None:
        self._connect = connect
        self._name = name
        self._connection: sqlite3.Connection | None = None
        self._connecting = threading.Lock()
        self._stopped = False
        self._damage: str | None = None
        self._error: sqlite3.Error | None = None
        self._thread = threading.Thread(target=self._run, name="webhook-inbox-check", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for its end, but no longer than this; raise what it found by then."""
        self._thread.join(seconds)
        self.refuse_damaged()
        if self._error is not None:
            raise self._error

    def refuse_damaged(self) -> None:
        """Raise InboxDamaged if damage has been found so far."""
        if self._damage is not None:
            raise InboxDamaged(f"{self._name} is damaged ({self._damage}): bring it back from a copy")

    def stop(self) -> None:
        """End it, wherever it is."""
        with self._connecting:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._check()
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:
                self._damage = str(error)
            elif not self._stopped:
                self._error = error
        except Exception as error:  # whoever writes finds the same, and says so
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
                self._damage = staging.damage(connection) if found == "ok" else found
        finally:
            with self._connecting:
                self._connection = None
            with suppress(sqlite3.Error):
                connection.close()
