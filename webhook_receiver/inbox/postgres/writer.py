"""A thread with its own connection to PostgreSQL: requests that are submitted during a commit share the next commit."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import psycopg

from ...errors import ConfigurationError, InboxUnavailable
from ..commits import COMMITS
from ..futures import resolve
from .connection import MOST_CONNECTIONS, NoConnection, Server, cut, has_ended, translated
from .insert import put
from .rows import PostgresConnection, PostgresOperation, Request, Result

logger = logging.getLogger("webhook_receiver")

_SECONDS_BETWEEN_TRIES = 30.0  # to get a connection where none was left
_TRIES = 5  # of a transaction that others got in the way of
_IN_THE_WAY = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,  # by a lock_timeout
    psycopg.errors.SerializationFailure,
)


@dataclass(frozen=True, slots=True)
class _Submitted:
    operation: PostgresOperation[Any, Any]
    request: Any
    future: asyncio.Future[Any]


class Writer:
    """A thread that runs operations on its own connection, in batches that are committed as one.

    Args:
        name: the name of the thread.
        server: what it connects to, and again after an error that has ended the connection.
        most: the largest number of requests in one transaction.
        patience: seconds for a transaction; when the server takes longer, the connection is given up.
        at_once: the operations that are a transaction by themselves, and get none around them.
        connection: a connection that is open already.
    """

    def __init__(
        self,
        name: str,
        server: Server,
        most: int,
        patience: float,
        at_once: Collection[PostgresOperation[Any, Any]] = (),
        connection: PostgresConnection | None = None,
    ) -> None:
        self._server = server
        self._at_once = () if server.pooling == "transaction" else at_once
        self._most = most
        self._patience = patience
        self._connection = connection
        self._began: float | None = None
        """The monotonic time at which the transaction under way began, in seconds; None between transactions."""
        self._submitted: SimpleQueue[_Submitted | None] = SimpleQueue()
        self.others: Sequence[Writer] = ()
        """The writers whose connections this one may use while it gets none of its own."""
        self._using = threading.Lock()
        self._borrowed: Writer | None = None
        """The writer whose connection this one used lately."""
        self._connects_again = float("-inf")
        """The monotonic time before which no connection is asked for, since there was none."""
        self._rejection = ""
        """What the server said then."""
        self._closed = False
        self._closing = threading.Lock()
        self._cutting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def submit(self, operation: PostgresOperation[Request, Result], request: Request) -> Result:
        """Submit a request, and return its result once it is committed.

        Args:
            operation: the function that does the request.
            request: the argument of the operation.

        Raises:
            InboxUnavailable: the server is away, or too slow; then the request may yet happen, whole.
            InboxError: the server does not take a value of the request.
        """
        return await self.result_of(self.enqueue(operation, request))

    def enqueue(self, operation: PostgresOperation[Request, Result], request: Request) -> asyncio.Future[Result]:
        """Submit a request; the future that is returned has its result once it is committed.

        A request whose future is cancelled before it begins is left out; after that it may happen all the same.

        Args:
            operation: the function that does the request.
            request: the argument of the operation.

        Raises:
            InboxUnavailable: the inbox is closed; nothing happens.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        with self._closing:  # what is submitted after the end of the queue would never have a result
            if self._closed:
                raise InboxUnavailable("the inbox is closed")
            self._submitted.put(_Submitted(operation, request, future))
        return future

    async def result_of(self, future: asyncio.Future[Result]) -> Result:
        """Return the result of a request, or cancel the future of one that takes too long; see `submit`."""
        try:
            async with asyncio.timeout(2 * self._patience):  # another one may be under way
                return await future
        except TimeoutError:
            (self._borrowed or self)._cut(self._patience)
            raise InboxUnavailable(f"the PostgreSQL server did not answer within {2 * self._patience:g} s") from None

    async def close(self) -> None:
        """Commit the submitted requests, then end the thread and close the connection."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._submitted.put(None)
        while self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, self._patience)
            (self._borrowed or self)._cut(self._patience)

    def _cut(self, patience: float) -> None:
        """Shut down a connection whose transaction takes too long; the thread gets an error then."""
        with self._cutting:
            began, connection = self._began, self._connection
            if began is None or connection is None or time.monotonic() - began < patience:
                return
            cut(connection)

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch: list[_Submitted] = []
            submitted = self._submitted.get()
            while submitted is not None:
                batch.append(submitted)
                if self._submitted.empty() or len(batch) >= self._most:
                    break
                submitted = self._submitted.get()
            going_on = submitted is not None
            groups: dict[PostgresOperation[Any, Any], list[_Submitted]] = {}
            for each in batch:
                groups.setdefault(each.operation, []).append(each)
            for operation, group in groups.items():
                wanted = [each for each in group if not each.future.done()]  # otherwise its caller has given up
                if wanted:
                    results = self._run_group(operation, [each.request for each in wanted])
                    resolve(zip((each.future for each in wanted), results, strict=True))
        with self._using:
            self._disconnect()

    def _run_group(self, operation: PostgresOperation[Any, Any], requests: list[Any]) -> list[Any]:
        """Return a result or an exception for each request; a request that fails must not fail the others."""
        try:
            return self._try(operation, requests)
        except Exception as error:
            found = translated(error)
            too_many = isinstance(error, psycopg.errors.OutOfMemory)  # as of locks: fewer at once may do
            if len(requests) == 1 or (isinstance(found, InboxUnavailable) and not too_many):
                return [found] * len(requests)
            return [result for each in requests for result in self._run_group(operation, [each])]

    def _try(self, operation: PostgresOperation[Any, Any], requests: list[Any]) -> list[Any]:
        for left in reversed(range(_TRIES)):
            try:
                return self._somewhere(operation, requests)
            except _IN_THE_WAY:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _somewhere(self, operation: PostgresOperation[Any, Any], requests: list[Any]) -> list[Any]:
        """Run a transaction on a connection of its own, or of another writer where the server has no more."""
        try:
            found = self._transaction(operation, requests)
        except NoConnection as error:
            for other in self.others:
                if other._connection is not None:
                    if time.monotonic() >= self._connects_again:
                        self._rejection, self._connects_again = str(error), time.monotonic() + _SECONDS_BETWEEN_TRIES
                    if self._borrowed is None:
                        said = "no connection is left for %s, which shares another one: a process takes up to %d (%s)"
                        logger.warning(said, self._thread.name, MOST_CONNECTIONS, error)
                    self._borrowed = other
                    return other._transaction(operation, requests)
            raise
        self._borrowed = None
        return found

    def _transaction(self, operation: PostgresOperation[Any, Any], requests: list[Any]) -> list[Any]:
        with self._using:
            found: list[Any] = self._commit(operation, requests)
        return found

    def _commit(self, operation: PostgresOperation[Any, Any], requests: list[Any]) -> list[Any]:
        self._began = time.monotonic()
        try:
            if self._connection is not None and has_ended(self._connection):  # nothing was asked of it yet
                self._disconnect()
            connection = self._connection
            if connection is None:
                connection = self._connection = self._connected()
                self._began = time.monotonic()
            with nullcontext() if operation in self._at_once else self._server.transaction(connection):
                results = [*operation(connection, requests)]
        except BaseException as error:
            self._began = None
            if isinstance(translated(error) if isinstance(error, Exception) else error, InboxUnavailable):
                self._disconnect()  # maybe to another server, now; a new connection is whole
            raise
        self._began = None
        COMMITS.add(len(requests), len(requests) if operation is put else 0)
        return results

    def _connected(self) -> PostgresConnection:
        if time.monotonic() < self._connects_again and any(other._connection for other in self.others):
            raise NoConnection(self._rejection)
        try:
            return self._server.connect()
        except ConfigurationError as error:  # it was right when the inbox was opened, and may be again
            raise InboxUnavailable(str(error)) from None

    def _disconnect(self) -> None:
        with self._cutting:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(psycopg.Error):
                    connection.close()
