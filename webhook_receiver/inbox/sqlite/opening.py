"""Opening the file of a SQLite inbox: it is created, checked, and migrated to the newest schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

from ...errors import ConfigurationError, InboxDamaged
from ..clock import InboxClock, boot_id
from . import backup, file_guard, maintenance, owners
from .connection import WriterConnection
from .schema import LAST, MIGRATIONS, migrate, version_of


def make_ready(
    guard: file_guard.FileGuard,
    connect: Callable[[], WriterConnection],
    clock: InboxClock,
    *,
    create: bool,
    backs_up: bool,
    alone: bool,
) -> None:
    """Make the file of an inbox ready for use.

    Args:
        guard: watches over the file.
        connect: opens a connection to it.
        clock: the clock of the inbox, which is set.
        create: whether an empty file is made an inbox.
        backs_up: whether a file of an older version is copied before its tables change.
        alone: whether this process has not opened the file already.

    Raises:
        ConfigurationError, InboxDamaged, sqlite3.Error, OSError: see `Inbox.open`.
    """
    with file_guard.opening(guard.path, alone=alone) as opening:
        guard.forget()
        noted = guard.noted_last()
        size = 0 if guard.has_log() else guard.path.stat().st_size
        with closing(connect()) as connection:
            guard.check_writable()
            version = version_of(connection, str(guard.path))  # with this, SQLite takes up the log
            if not version and not create:
                raise ConfigurationError(f"{guard.path} is empty, and no inbox")
            if version < len(MIGRATIONS):
                backup.check_is_no_copy(guard.path)
            found = owners.tokens(connection) if version == len(MIGRATIONS) else []
            dead = found if found and opening.writers_have_ended() else []  # asked after they were read
            if size % connection.execute("PRAGMA page_size").fetchone()[0]:
                raise sqlite3.DatabaseError("it ends within a page")  # of which SQLite would take the rest for zeros

            def copy(version: int) -> None:
                backup.before_migration(connect, guard.path, guard, version)

            try:
                opening.check_nothing_lost()
                migrate(connection, str(guard.path), copy if backs_up else None)
                owners.remove(connection, dead)
                clock.booted = maintenance.booted(connection, boot_id(), clock.booted)
                guard.check_last(noted, *connection.execute(f"SELECT {LAST} FROM position").fetchone())
            except InboxDamaged:
                guard.forget_last()  # from now on, the marker tells
                raise
            guard.remember()


def confirm(guard: file_guard.FileGuard, connection: WriterConnection) -> None:
    """Let a commit be acknowledged, if it was to the files that are there by their names.

    Raises:
        InboxDamaged: it was not.
    """
    if connection.files is None:
        return
    try:
        guard.check_open_files(connection.files)
    except InboxDamaged:
        guard.rescue(connection)
        raise
    if connection.dedup_cache is not None:
        guard.note_last(connection.dedup_cache.last)
