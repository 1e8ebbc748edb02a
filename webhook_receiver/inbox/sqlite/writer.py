"""The thread that writes to a SQLite file: jobs that are submitted during a commit share the next commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from ...errors import InboxDamaged, InboxError, InboxUnavailable
from ..commits import COMMITS
from ..futures import resolve
from .connection import WriterConnection
from .insert import put

Job = TypeVar("Job")
Result = TypeVar("Result")
SQLiteOperation = Callable[[WriterConnection, Sequence[Job]], Sequence[Result]]
"""A function that does a batch of jobs inside a transaction, and returns a result or an exception for each of them."""

_LARGEST_BATCH = 256  # jobs: more in one transaction would only let other processes wait
_PATIENCE = 0.005  # seconds for which the jobs of one turn of the loop after the other are gathered


class _Submitted(NamedTuple):
    operation: SQLiteOperation[Any, Any]
    job: Any
    future: asyncio.Future[Any]


class Writer:
    """A thread that runs operations on its own connection, in batches that are committed as one.

    Args:
        connect: opens the connection; called again after an error that may have left it unusable.
        guard: called before each transaction; raises an InboxError when nothing may be written now.
        confirm: called after each commit, with the connection; raises an InboxError when it must not be acknowledged.
    """

    def __init__(
        self,
        connect: Callable[[], WriterConnection],
        guard: Callable[[], None],
        confirm: Callable[[WriterConnection], None],
    ) -> None:
        self._connect = connect
        self._guard = guard
        self._confirm = confirm
        self._connection: WriterConnection | None = None
        self._submitted: SimpleQueue[list[_Submitted] | None] = SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Submitted]] = {}
        """The jobs that were submitted in each event loop, and are handed to the thread soon."""
        self._after_commit: list[Callable[[], object]] = []
        """What is left to do for the transactions that were committed and may be acknowledged."""
        self._closed = False
        self._closing = threading.Lock()
        self._working = threading.Lock()
        """Held during a transaction."""
        self._thread = threading.Thread(target=self._run, name="webhook-inbox-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: SQLiteOperation[Job, Result], job: Job) -> asyncio.Future[Result]:
        """Submit a job; the future that is returned has its result once the job is committed.

        Args:
            operation: the function that does the job.
            job: the argument of the operation.

        Raises:
            InboxUnavailable: the job could not be committed; nothing of it has happened. Like the next one, it is
                raised when the future is awaited, if not at once.
            InboxDamaged: SQLite finds the file damaged.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        with self._closing:  # what is submitted after the end of the queue would never have a result
            if self._closed:
                raise InboxUnavailable("the inbox is closed")
            gathered = self._gathered.get(loop)
            if gathered is None:
                gathered = self._gathered[loop] = []
                loop.call_soon(self._hand_over, loop, 0, loop.time() + _PATIENCE)
            gathered.append(_Submitted(operation, job, future))
            if len(gathered) == _LARGEST_BATCH:
                self._submitted.put(self._gathered.pop(loop))
        return future

    def _hand_over(self, loop: asyncio.AbstractEventLoop, before: int, until: float) -> None:
        """Hand the gathered jobs to the thread, once a turn of the loop has brought no more or `until` has come.

        A commit costs the same however many jobs it has, and so does waking a thread.
        """
        with self._closing:
            number = len(self._gathered.get(loop, ()))
            if before < number and loop.time() < until:
                loop.call_soon(self._hand_over, loop, number, until)
            elif number:
                self._submitted.put(self._gathered.pop(loop))

    async def close(self) -> None:
        """Commit the submitted jobs, then end the thread and close the connection."""
        with self._closing:
            if not self._closed:
                self._closed = True
                for gathered in self._gathered.values():
                    self._submitted.put(gathered)
                self._gathered.clear()
                self._submitted.put(None)
        await asyncio.to_thread(self._thread.join)

    def suspend(self, *, disconnect: bool = True) -> None:
        """Wait for the end of the transaction under way, and begin no other one until `resume` is called.

        Args:
            disconnect: whether to close the connection; the next transaction opens another one.
        """
        self._closing.acquire()
        self._working.acquire()
        if disconnect:
            self._disconnect()

    def resume(self) -> None:
        """Go on after `suspend`."""
        self._working.release()
        self._closing.release()

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch: list[_Submitted] = []
            submitted = self._submitted.get()
            while submitted is not None:
                batch += submitted
                if self._submitted.empty() or len(batch) >= _LARGEST_BATCH:
                    break
                submitted = self._submitted.get()
            going_on = submitted is not None
            with self._working:
                results = self._run_batch(batch)
            resolve(zip((each.future for each in batch), results, strict=True))
            after_commit, self._after_commit = self._after_commit, []
            for each in after_commit:
                each()
        self._disconnect()

    def _run_batch(self, batch: list[_Submitted]) -> list[Any]:
        """Return a result or an exception for each job; a job that fails must not fail the others."""
        if not batch:
            return []
        try:
            return self._transaction(batch)
        except InboxUnavailable as error:
            return [error] * len(batch)
        except Exception as error:
            if len(batch) == 1:
                return [_translated(error)]
            return [result for each in batch for result in self._run_batch([each])]

    def _transaction(self, batch: list[_Submitted]) -> list[Any]:
        groups: dict[SQLiteOperation[Any, Any], list[int]] = defaultdict(list)
        for index, each in enumerate(batch):
            groups[each.operation].append(index)
        results: list[Any] = [None] * len(batch)
        connection = self._begin()
        try:
            for operation, indexes in groups.items():
                returned = operation(connection, [batch[index].job for index in indexes])
                for index, result in zip(indexes, returned, strict=True):
                    results[index] = result
            connection.execute("COMMIT")
            connection.committed()
            COMMITS.add(len(batch), len(groups.get(put, ())))
        except BaseException as error:
            if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
                self._disconnect()  # it rolls back, too; the next one starts with a connection that is whole
                connection.rolled_back()  # not all of what a transaction changes in memory goes with its connection
                if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                    raise _translated(error) from None
            else:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.rolled_back()
            raise
        try:
            self._confirm(connection)
        except BaseException:
            self._leave(connection, acknowledged=False)
            raise
        self._leave(connection, acknowledged=True)
        return results

    def _leave(self, connection: WriterConnection, *, acknowledged: bool) -> None:
        """Leave what is to be done after a commit until its results are set."""
        self._after_commit += [partial(each, acknowledged) for each in connection.after_commit]
        connection.after_commit = ()

    def _begin(self) -> WriterConnection:
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


def _translated(error: Exception) -> Exception:
    """Return the InboxError that an error of SQLite means; any other error as it is."""
    if isinstance(error, sqlite3.OperationalError | OSError):
        return InboxUnavailable(f"the inbox cannot be written to: {error}")
    if type(error) is sqlite3.DatabaseError:
        return InboxDamaged(f"the inbox is damaged: {error}")
    if isinstance(error, sqlite3.Error | UnicodeError | OverflowError):
        return InboxError(f"the inbox does not take it: {error}")
    return error
