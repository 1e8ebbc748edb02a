"""The one thread that writes to a SQLite file: whatever is asked for while it commits shares the next commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from ...errors import InboxDamaged, InboxError, InboxUnavailable
from ..futures import tell
from .connection import Connection

Job = TypeVar("Job")
Result = TypeVar("Result")
Operation = Callable[[Connection, Sequence[Job]], Sequence[Result]]
"""Does a batch of jobs inside a transaction, and returns a result, or the error that it is, for each."""

_LARGEST_BATCH = 256  # jobs: more in one transaction would only let other processes wait
_PATIENCE = 0.005  # seconds for what comes in one turn of the loop after the other to be gathered


class _Asked(NamedTuple):
    operation: Operation[Any, Any]
    job: Any
    answer: asyncio.Future[Any]


class Writer:
    """Runs operations on a connection of its own, in batches that are committed as one.

    Args:
        connect: opens the connection; called again after an error that may have left it unusable.
        guard: called before each transaction; raises an InboxError when nothing may be written now.
    """

    def __init__(self, connect: Callable[[], Connection], guard: Callable[[], None]) -> None:
        self._connect = connect
        self._guard = guard
        self._connection: Connection | None = None
        self._asked: SimpleQueue[list[_Asked] | None] = SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Asked]] = {}
        """What was asked for in a loop, and is handed over soon."""
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="webhook-inbox-writer", daemon=True)
        self._thread.start()

    def do(self, operation: Operation[Job, Result], job: Job) -> asyncio.Future[Result]:
        """Have a job done; what is returned is answered once it is committed.

        Raises:
            InboxUnavailable: it could not be committed; nothing of it has happened. Like the next one, it is raised
                when that is awaited, if not at once.
            InboxDamaged: SQLite finds the file damaged.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        with self._closing:  # what is asked for behind the end of the queue would never be answered
            if self._closed:
                raise InboxUnavailable("the inbox is closed")
            gathered = self._gathered.get(loop)
            if gathered is None:
                gathered = self._gathered[loop] = []
                loop.call_soon(self._hand_over, loop, 0, loop.time() + _PATIENCE)
            gathered.append(_Asked(operation, job, answer))
            if len(gathered) == _LARGEST_BATCH:
                self._asked.put(self._gathered.pop(loop))
        return answer

    def _hand_over(self, loop: asyncio.AbstractEventLoop, before: int, until: float) -> None:
        """Let the thread have what was gathered, once a turn of the loop has brought no more or it is late.

        A commit costs the same whatever is in it, and so does it to wake a thread.
        """
        with self._closing:
            number = len(self._gathered.get(loop, ()))
            if before < number and loop.time() < until:
                loop.call_soon(self._hand_over, loop, number, until)
            elif number:
                self._asked.put(self._gathered.pop(loop))

    async def close(self) -> None:
        """Commit what was asked for, then end the thread and close the connection."""
        with self._closing:
            if not self._closed:
                self._closed = True
                for gathered in self._gathered.values():
                    self._asked.put(gathered)
                self._gathered.clear()
                self._asked.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch: list[_Asked] = []
            asked = self._asked.get()
            while asked is not None:
                batch += asked
                if self._asked.empty() or len(batch) >= _LARGEST_BATCH:
                    break
                asked = self._asked.get()
            going_on = asked is not None
            tell(zip((each.answer for each in batch), self._do(batch), strict=True))
        self._disconnect()

    def _do(self, batch: list[_Asked]) -> list[Any]:
        """Return a result or an exception for each; one that fails must not fail the others."""
        if not batch:
            return []
        try:
            return self._transaction(batch)
        except InboxUnavailable as error:
            return [error] * len(batch)
        except Exception as error:
            if len(batch) == 1:
                return [_told(error)]
            return [outcome for each in batch for outcome in self._do([each])]

    def _transaction(self, batch: list[_Asked]) -> list[Any]:
        groups: dict[Operation[Any, Any], list[int]] = defaultdict(list)
        for index, each in enumerate(batch):
            groups[each.operation].append(index)
        results: list[Any] = [None] * len(batch)
        connection = self._begin()
        try:
            for operation, indexes in groups.items():
                found = operation(connection, [batch[index].job for index in indexes])
                for index, result in zip(indexes, found, strict=True):
                    results[index] = result
            connection.execute("COMMIT")
            connection.committed()
        except BaseException as error:
            if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
                self._disconnect()  # it rolls back, too; the next one starts with a connection that is whole
                if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                    raise _told(error) from None
            else:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.rolled_back()
            raise
        return results

    def _begin(self) -> Connection:
        try:
            self._guard()
            if self._connection is None:
                self._connection = self._connect()
            self._connection.execute("BEGIN IMMEDIATE")
        except (sqlite3.OperationalError, OSError) as error:
            self._disconnect()
            raise InboxUnavailable(f"the inbox cannot be written to: {error}") from None
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _told(error: Exception) -> Exception:
    """Return an error of SQLite's as one of ours, any other as it is."""
    if isinstance(error, sqlite3.OperationalError | OSError):
        return InboxUnavailable(f"the inbox cannot be written to: {error}")
    if type(error) is sqlite3.DatabaseError:
        return InboxDamaged(f"the inbox is damaged: {error}")
    if isinstance(error, sqlite3.Error | UnicodeError | OverflowError):
        return InboxError(f"the inbox does not take it: {error}")
    return error
