"""A SQLite file that two inboxes share, and a look into it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from webhook_receiver import SQLiteInbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hooks.db"


@pytest.fixture
def file(path: Path) -> Iterator[sqlite3.Connection]:
    """A look into the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
async def inboxes(path: Path) -> AsyncIterator[list[SQLiteInbox]]:
    """Two on the same file, as two processes have."""
    async with AsyncExitStack() as stack:
        inboxes = [SQLiteInbox(path, min_free=0), SQLiteInbox(path, min_free=0)]
        for inbox in inboxes:
            await inbox.open()
            stack.push_async_callback(inbox.close)
        yield inboxes
