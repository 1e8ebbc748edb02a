"""How procrastinate's worker reaches the server: it waits while that is away, and looks when it is worth it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, LiteralString, TypeVar

import psycopg
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from ..inbox.postgres.connection import PREPARE, Server, told

logger = logging.getLogger("webhook_receiver")

R = TypeVar("R")

_CONNECTIONS = 4
_PAUSE = 1.0  # seconds between two tries, at most, while the server is away
_LISTENING = 5.0  # seconds after which it is seen whether the connection that listens still is one
_NEXT_JOB_BY_INDEX = "; ".join(
    f"SET enable_{way} = off" for way in ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "sort", "material")
)
"""Else all jobs are looked at to find the next one, as long as the server has no statistics of them: much slower."""
_WORTH_IT = json.dumps({"type": "job_inserted", "job_id": 0})


class PatientConnector(PsycopgConnector):
    """Does what procrastinate's worker asks for, again and again while the server is away.

    Args:
        server: where the jobs are.
        source: the receiver's name, for what is logged.
        stopping: set when nothing is worth waiting for any more.
    """

    def __init__(self, server: Server, source: str, stopping: asyncio.Event) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._server = server
        self._source = source
        self._stopping = stopping
        self._is_away = False
        self._has_ended = False
        self._notify: Notify | None = None
        self._channel = ""
        self._wakes = 0
        self._waking: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Open the connections."""
        pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]] = AsyncConnectionPool(
            self._server.conninfo,
            kwargs={"autocommit": True},
            configure=self._configure,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_LISTENING,
            open=False,
        )
        await pool.open()
        await self.open_async(pool)

    async def end(self) -> None:
        """Close them; who still waits for the server gets its error."""
        self._has_ended = True
        await self.pool.close()

    async def _configure(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute(PREPARE, [self._server.schema])
        # What becomes of a job need not survive a crash of the server: what became of the delivery does, and a job
        # that is run again finds that out.
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(_NEXT_JOB_BY_INDEX.encode())

    def wake(self) -> None:
        """Let the worker look for a job at once."""
        self._wakes += 1
        if self._notify is not None:
            task = asyncio.ensure_future(self._tell(self._notify))
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)

    async def _tell(self, notify: Notify) -> None:
        await notify(channel=self._channel, payload=_WORTH_IT)

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """See `PsycopgConnector`."""
        execute = super().execute_query_async
        try:
            await self._patiently(lambda: execute(query, **arguments))
        except ConnectorException as error:
            # The job is no longer ours, since it was rescued or withdrawn, or it is left for others to rescue. So be
            # it, for what the store keeps decides; nobody would see the error but asyncio, which prints it.
            if not (self._is_over or isinstance(error.__cause__, psycopg.errors.RaiseException)):
                raise
        self.wake()  # a job has ended, and maybe lets another one of its lock go on

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        """See `PsycopgConnector`."""
        execute = super().execute_query_one_async
        wakes = self._wakes
        found: dict[str, Any] = await self._patiently(lambda: execute(query, **arguments))
        if self._wakes != wakes:  # the worker forgets what it was told while it fetches
            asyncio.get_running_loop().call_soon(self.wake)
        return found

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        """See `PsycopgConnector`."""
        execute = super().execute_query_all_async
        return await self._patiently(lambda: execute(query, **arguments))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """See `PsycopgConnector`."""
        names = [*channels]
        self._notify, self._channel = on_notification, names[0]
        try:
            while True:
                with suppress(psycopg.Error):
                    await self._listen(on_notification, names)
                await asyncio.sleep(_PAUSE)
        finally:
            self._notify = None

    async def _listen(self, on_notification: Notify, channels: list[str]) -> None:
        connection = await psycopg.AsyncConnection.connect(self._server.conninfo, autocommit=True)
        async with connection:
            for channel in channels:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            while True:
                async for found in connection.notifies(timeout=_LISTENING):
                    self._wakes += 1
                    await on_notification(channel=found.channel, payload=found.payload)
                await connection.execute("SELECT 1")

    @property
    def _is_over(self) -> bool:
        """Whether nothing is worth waiting for any more."""
        return self._stopping.is_set() or self._has_ended

    async def _patiently(self, do: Callable[[], Awaitable[R]]) -> R:
        pause = 0.05
        while True:
            try:
                found = await do()
            except ConnectorException as error:
                if self._is_over or not isinstance(error.__cause__, psycopg.OperationalError):
                    raise
                if not self._is_away and pause > 0.05:
                    self._is_away = True
                    logger.error("%s: %s", self._source, told(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
                pause = min(2 * pause, _PAUSE)
            else:
                if self._is_away:
                    self._is_away = False
                    logger.info("%s: the inbox works again", self._source)
                return found
