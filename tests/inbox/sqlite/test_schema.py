from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from webhook_receiver import ConfigurationError, SQLiteInbox
from webhook_receiver.inbox import Duplicate, Stored, rows
from webhook_receiver.inbox.sqlite import schema
from webhook_receiver.testing.inbox_suite import claim, entry, put

TABLES = [
    "attempt",
    "audit",
    "clock",
    "counter",
    "counter_hour",
    "delivery",
    "heartbeat",
    "holder",
    "lookup",
    "owner",
    "paused",
    "poll",
    "position",
    "progress",
    "purged",
    "receiver",
    "tally",
]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "hooks.db", isolation_level=None)) as connection:
        yield connection


def tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    return [name for (name,) in found]


def test_a_new_file_gets_all_tables_and_is_known_as_ours(connection: sqlite3.Connection) -> None:
    assert schema.version_of(connection, "hooks.db") == 0
    schema.migrate(connection, "hooks.db")
    assert tables(connection) == TABLES
    assert schema.version_of(connection, "hooks.db") == len(schema.MIGRATIONS)
    assert connection.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION,)
    assert not connection.in_transaction


def test_a_file_of_this_version_is_left_alone(connection: sqlite3.Connection) -> None:
    schema.migrate(connection, "hooks.db")
    before = connection.total_changes
    schema.migrate(connection, "hooks.db")
    assert connection.total_changes == before
    assert not connection.in_transaction


def test_an_older_file_takes_only_the_steps_that_it_lacks(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.migrate(connection, "hooks.db")
    connection.execute("INSERT INTO paused VALUES ('module:handler', 1)")
    steps = ("CREATE TABLE second (a);", "CREATE TABLE third (a); -- a comment\nINSERT INTO third\nVALUES (1);")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, *steps))
    schema.migrate(connection, "hooks.db")
    assert tables(connection) == sorted([*TABLES, "second", "third"])
    assert connection.execute("SELECT handler FROM paused").fetchall() == [("module:handler",)]
    assert connection.execute("SELECT a FROM third").fetchall() == [(1,)]
    assert schema.version_of(connection, "hooks.db") == len(schema.MIGRATIONS)


def test_who_finds_an_older_file_waits_long_for_another_process_that_migrates_it(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        schema.migrate(connection, "hooks.db")
    for waits in (120_000, 0):  # the first finds an older file, and the second does not
        connection.execute("PRAGMA busy_timeout = 0")
        schema.migrate(connection, "hooks.db")
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (waits,)


def test_the_counts_of_a_file_of_before_are_there_by_the_hour(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:7])
        schema.migrate(connection, "hooks.db")
    counts = [
        (119, "a", "stored", 2, 1),
        (120, "a", "stored", 2, 2),
        (179, "a", "stored", 2, 4),
        (180, "a", "x", -1, 8),
    ]
    connection.executemany("INSERT INTO counter VALUES (?, ?, ?, ?, ?)", counts)
    schema.migrate(connection, "hooks.db")
    found = connection.execute("SELECT hour, what, bucket, count FROM counter_hour ORDER BY 1, 2").fetchall()
    assert found == [(1, "stored", 2, 1), (2, "stored", 2, 6), (3, "x", -1, 8)]
    assert connection.execute("SELECT count(*) FROM counter").fetchone() == (4,)


def test_a_step_that_fails_leaves_the_file_as_it_was(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.migrate(connection, "hooks.db")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE second (a);", "CREATE nonsense;"))
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection, "hooks.db")
    assert tables(connection) == TABLES
    assert schema.version_of(connection, "hooks.db") == len(schema.MIGRATIONS)
    assert not connection.in_transaction


def test_a_newer_file_is_rejected_and_left_as_it_is(connection: sqlite3.Connection) -> None:
    schema.migrate(connection, "hooks.db")
    newer = len(schema.MIGRATIONS) + 1
    connection.execute(f"PRAGMA user_version = {newer}")
    for reject in (schema.migrate, schema.version_of):
        with pytest.raises(ConfigurationError, match=rf"hooks\.db was written by a newer .*schema {newer}.*install"):
            reject(connection, "hooks.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (newer,)
    assert not connection.in_transaction


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (a)", "PRAGMA user_version = 1", "PRAGMA application_id = 1"]
)
def test_a_database_of_another_program_is_rejected(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)
    for reject in (schema.migrate, schema.version_of):
        with pytest.raises(ConfigurationError, match="another program: choose another file"):
            reject(connection, "hooks.db")


async def test_a_database_of_another_program_is_not_changed_in_any_byte(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another program"):
        await SQLiteInbox(path).open()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["theirs.db"]


async def test_a_file_of_the_first_version_keeps_its_deliveries_and_knows_their_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hooks.db"
    old = entry("d-1", key=b"k-1", identity="o-1")
    hashed = rows.dedup_hash(old.delivery.receiver, old.event, old.key, old.identity)
    with monkeypatch.context() as patched, closing(sqlite3.connect(path, isolation_level=None)) as first:
        patched.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        schema.migrate(first, "hooks.db")
        row = dict(zip(rows.COLUMNS, rows.delivery_row(old), strict=True))
        del row["part"], row["context"]
        values = (1, *row.values())
        first.execute(f"INSERT INTO delivery (seq, {', '.join(row)}) {rows.values([values])}", values)
        first.execute("INSERT INTO progress (seq, source, state, due) VALUES (1, 'hooks', 'waiting', 0)")
        first.execute("INSERT INTO lookup VALUES (?, 1)", (hashed,))
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert await put(inbox, "d-2", key=b"k-1", identity="o-1") == [Duplicate("d-1")]
    assert await put(inbox, "d-3", key=b"k-3") == [Stored("d-3")]
    assert [*await claim(inbox)] == ["d-1", "d-3"]
    await inbox.close()


def test_a_script_is_cut_into_its_statements() -> None:
    script = "CREATE TABLE a (\n  b,  -- with; a comment\n  c\n);\n\n-- nothing\nINSERT INTO a VALUES (1, ';');\n"
    first, second = schema.statements(script)
    assert first.split() == ["CREATE", "TABLE", "a", "(", "b,", "c", ");"]
    assert second == "INSERT INTO a VALUES (1, ';');"
