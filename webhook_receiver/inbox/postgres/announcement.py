"""Announcements: who makes a delivery due wakes the workers of all processes, with its commit.

They go by NOTIFY (postgresql.org/docs/current/sql-notify.html), and may be lost, as with a connection: workers also
poll.
"""

from __future__ import annotations

from asyncio import timeout
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256

import psycopg

from .connection import PATIENCE, Server
from .rows import escaped

_CHANNEL = "webhook_receiver"

ANNOUNCE = (
    f"pg_notify('{_CHANNEL}', current_schema() || ' ' || encode(sha256(convert_to(progress.source, 'UTF8')), 'hex'))"
)
"""What a statement returns for each row of `progress` that it makes due; those of one receiver are one announcement."""

# The server ends no session that says nothing: a setting that older servers do not have.
_STAYS = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"


class Listener:
    """A connection that hears of the deliveries of one receiver.

    Args:
        connection: the connection, which listens.
        payload: what an announcement of the receiver says.
    """

    def __init__(self, connection: psycopg.AsyncConnection[object], payload: str) -> None:
        self._connection = connection
        self._payload = payload

    async def wait(self, seconds: float) -> None:
        """Wait for an announcement, or as long as given.

        Raises:
            psycopg.Error: the connection is lost.
        """
        async for found in self._connection.notifies(timeout=seconds):
            if found.payload == self._payload:
                return


@asynccontextmanager
async def listening(server: Server, receiver: str) -> AsyncGenerator[Listener]:
    """Open a connection that listens.

    Args:
        server: the database.
        receiver: the name of the receiver.

    Raises:
        psycopg.Error: the server cannot be reached, or rejects the connection.
        TimeoutError: a pooler has no session for it.
    """
    payload = f"{server.schema} {sha256(escaped(receiver).encode()).hexdigest()}"
    connection = await psycopg.AsyncConnection.connect(server.conninfo, autocommit=True)
    async with connection:
        async with timeout(PATIENCE):
            await connection.execute(_STAYS)
            await connection.execute(f"LISTEN {_CHANNEL}")
        yield Listener(connection, payload)
