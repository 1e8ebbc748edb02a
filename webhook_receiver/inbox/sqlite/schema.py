"""The tables of a SQLite inbox, and how a file gets them: migrations go forward only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

from ...errors import ConfigurationError
from . import journal

APPLICATION = 0x57484B52  # "WHKR", by which a file is known as ours (sqlite.org/pragma.html#pragma_application_id)

# The table that never changes, delivery, is not the one that does, progress: to settle must not write the body again.
FIRST = """
CREATE TABLE delivery (
    seq INTEGER PRIMARY KEY,  -- the order of receipt
    id TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    origin TEXT NOT NULL,
    event TEXT,
    key BLOB,
    identity TEXT,
    order_key TEXT,
    received REAL NOT NULL,
    headers BLOB NOT NULL,
    body BLOB NOT NULL,
    verified_by INTEGER,
    body_verified INTEGER NOT NULL,
    checksum INTEGER NOT NULL  -- over all of the above but seq
) STRICT;

CREATE TABLE progress (
    seq INTEGER PRIMARY KEY REFERENCES delivery,
    source TEXT NOT NULL,
    line INTEGER,  -- a 64-bit hash of receiver and ordering key; keys with one hash wait for each other
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'unhandled', 'dead')),
    due REAL,      -- when it may be claimed, or its lease ends; null: not by time
    since REAL,    -- when that wait began: a wait that began in the future cannot be measured
    lease INTEGER,
    crashes INTEGER NOT NULL DEFAULT 0,
    handlers TEXT, -- JSON: the state of each
    held TEXT,
    reason TEXT,
    settled REAL
) STRICT;
CREATE INDEX ready ON progress (source, due) WHERE due IS NOT NULL;
CREATE INDEX behind ON progress (line, seq) WHERE state = 'waiting' AND due IS NULL;
CREATE INDEX unfinished ON progress (state, source) WHERE state <> 'done';
CREATE INDEX finished ON progress (settled) WHERE state = 'done';
CREATE INDEX held ON progress (held) WHERE held IS NOT NULL;

CREATE TABLE holder (line INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE INDEX holder_seq ON holder (seq);

-- The 64-bit hashes by which duplicates of a delivery are looked up. A hit is compared in full.
CREATE TABLE lookup (hash INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (hash, seq)) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    seq INTEGER NOT NULL,
    place INTEGER NOT NULL,  -- the first, second, ... of its delivery
    handler TEXT NOT NULL,
    number INTEGER NOT NULL,
    started REAL NOT NULL,
    seconds REAL NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    PRIMARY KEY (seq, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE paused (handler TEXT PRIMARY KEY, since REAL NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE heartbeat (one INTEGER PRIMARY KEY CHECK (one = 1), beats INTEGER NOT NULL) STRICT;
INSERT INTO heartbeat VALUES (1, 0);
"""

# The latest deliveries are not in `lookup`: see dedup_index.py.
SECOND = """
CREATE TABLE arrived (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL,   -- the last row of `delivery` that there ever was: a number is never used again
    merged INTEGER NOT NULL  -- up to this row, `lookup` is complete
) STRICT;
INSERT INTO arrived SELECT 1, max(0, coalesce(max(seq), 0)), max(0, coalesce(max(seq), 0)) FROM delivery;
"""

# What was put lately was in no other table: see journal.py.
THIRD = """
CREATE TABLE journal (
    last INTEGER PRIMARY KEY,  -- the `seq` of the last of its deliveries, which the others come before
    kept REAL NOT NULL,
    packed BLOB NOT NULL,      -- a pickle of tuples of plain values: of the columns of each delivery
    checksum INTEGER NOT NULL
) STRICT;
ALTER TABLE arrived ADD COLUMN unpacked INTEGER NOT NULL DEFAULT 0;  -- up to this row, none is staged any more
UPDATE arrived SET unpacked = last;
"""

FOURTH = """
CREATE TABLE receiver (
    name TEXT PRIMARY KEY,
    sender TEXT NOT NULL,
    scheme TEXT NOT NULL,
    by_default INTEGER NOT NULL  -- the name is the default of this sender's receivers
) STRICT, WITHOUT ROWID;
"""

# A program of before fails at `journal` and `arrived` when it puts, and at `source` when it claims: what it would write
# nobody would read. It can still settle what it has claimed.
FIFTH = """
CREATE TABLE position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL,    -- no delivery that was removed had a higher number: none is used again
    merged INTEGER NOT NULL,  -- up to this row, `lookup` is complete
    tracked INTEGER NOT NULL  -- up to this row, each delivery has a row in `progress`: see tracking.py
) STRICT;
INSERT INTO position SELECT 1, last, merged, unpacked FROM arrived;
-- What duplicates of purged deliveries are known by, until the window has passed them.
CREATE TABLE purged (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    origin TEXT NOT NULL,
    event TEXT,
    key BLOB,
    identity TEXT,
    received REAL NOT NULL
) STRICT;
CREATE INDEX purged_received ON purged (received);
DROP INDEX finished;
CREATE INDEX finished ON progress (state, settled) WHERE settled IS NOT NULL;
DROP TABLE arrived;
DROP TABLE journal;
ALTER TABLE progress RENAME COLUMN source TO receiver;
"""

_DIES = """UPDATE progress SET dies = (
        SELECT min(json_extract(CASE h.type WHEN 'array' THEN h.value END, '$[5]'))
        FROM json_each(CASE WHEN json_valid(NEW.handlers) THEN NEW.handlers END) h
        WHERE json_extract(CASE h.type WHEN 'array' THEN h.value END, '$[0]') = 'waiting'
        AND json_type(CASE h.type WHEN 'array' THEN h.value END, '$[5]') IN ('real', 'integer')
    ) WHERE seq = NEW.seq;"""

SIXTH = f"""
CREATE TABLE owner (
    token INTEGER PRIMARY KEY,
    since REAL NOT NULL,  -- when its sign of life was renewed last
    until REAL NOT NULL   -- when that ends
) STRICT;
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot TEXT NOT NULL,   -- the id of the boot of the machine
    booted REAL NOT NULL  -- when that was, in Unix seconds, by the first process that opened the file since
) STRICT;
ALTER TABLE delivery ADD COLUMN owner INTEGER;  -- the worker that it was born to, which counts until it has progress
DROP INDEX behind;
CREATE INDEX in_line ON progress (line, seq) WHERE state = 'waiting' AND line IS NOT NULL;
CREATE TABLE poll (
    receiver TEXT NOT NULL,
    source TEXT NOT NULL,
    cursor TEXT,
    token INTEGER,   -- of the lease that is running, or was not released; else null
    since REAL,      -- when that was given or renewed last: a lease that began in the future cannot be measured
    until REAL,      -- when it ends
    succeeded REAL,  -- when a poll ended without an error last
    error TEXT,      -- of the poll that ended last
    PRIMARY KEY (receiver, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (
    minute INTEGER NOT NULL,  -- its begin, in Unix seconds by 60
    receiver TEXT NOT NULL,
    what TEXT NOT NULL,
    bucket INTEGER NOT NULL,  -- of a latency; -1 for what has none
    count INTEGER NOT NULL,
    PRIMARY KEY (minute, receiver, what, bucket)
) STRICT, WITHOUT ROWID;
ALTER TABLE delivery ADD COLUMN part INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN context TEXT;
ALTER TABLE delivery ADD COLUMN body_of INTEGER;  -- the row that has its headers and body; null: this one
CREATE INDEX shared ON delivery (body_of) WHERE body_of IS NOT NULL;
ALTER TABLE progress ADD COLUMN body_removed INTEGER NOT NULL DEFAULT 0;
DROP INDEX finished;
CREATE INDEX finished ON progress (state, body_removed, settled) WHERE settled IS NOT NULL;
CREATE INDEX leased ON progress (seq) WHERE lease IS NOT NULL;

-- How many deliveries are stored, and how many are finished, by state: all others wait.
CREATE TABLE tally (what TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO tally SELECT 'stored', count(*) FROM delivery UNION ALL SELECT 'done', count(*) FROM progress
    WHERE state = 'done' UNION ALL SELECT 'unhandled', count(*) FROM progress WHERE state = 'unhandled'
    UNION ALL SELECT 'dead', count(*) FROM progress WHERE state = 'dead';
CREATE TRIGGER stored AFTER INSERT ON delivery BEGIN
    UPDATE tally SET count = count + 1 WHERE what = 'stored';
END;
CREATE TRIGGER removed AFTER DELETE ON delivery BEGIN
    UPDATE tally SET count = count - 1 WHERE what = 'stored';
END;
CREATE TRIGGER finished_at_once AFTER INSERT ON progress WHEN NEW.state <> 'waiting' BEGIN
    UPDATE tally SET count = count + 1 WHERE what = NEW.state;
END;
CREATE TRIGGER forgotten AFTER DELETE ON progress WHEN OLD.state <> 'waiting' BEGIN
    UPDATE tally SET count = count - 1 WHERE what = OLD.state;
END;
CREATE TRIGGER changed AFTER UPDATE OF state ON progress WHEN NEW.state <> OLD.state BEGIN
    UPDATE tally SET count = count + (what = NEW.state) - (what = OLD.state) WHERE what IN (NEW.state, OLD.state);
END;

-- When the first of the handlers that wait is expected to be dead. With CASE, what is damaged is passed over.
ALTER TABLE progress ADD COLUMN dies REAL;
CREATE INDEX dying ON progress (dies) WHERE dies IS NOT NULL AND held IS NULL AND state = 'waiting';
CREATE TRIGGER waits AFTER INSERT ON progress WHEN NEW.state = 'waiting' AND NEW.handlers IS NOT NULL BEGIN
    {_DIES}
END;
CREATE TRIGGER waits_on AFTER UPDATE OF handlers, state ON progress
WHEN NEW.state = 'waiting' AND coalesce(NEW.handlers, OLD.handlers) IS NOT NULL BEGIN
    {_DIES}
END;
UPDATE progress SET handlers = handlers WHERE state = 'waiting' AND handlers IS NOT NULL;
"""

SEVENTH = """
ALTER TABLE poll ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;  -- in a row, up to now
ALTER TABLE poll ADD COLUMN moved REAL;  -- when the cursor became another one
"""

EIGHTH = """
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    parameters TEXT NOT NULL,  -- JSON
    deliveries INTEGER,
    done INTEGER
) STRICT;
CREATE INDEX audit_at ON audit (at);
DROP INDEX purged_received;
CREATE INDEX purged_received ON purged (source, received);
-- The sums of `counter`, so that a week is read as fast as an hour.
CREATE TABLE counter_hour (
    hour INTEGER NOT NULL,  -- its begin, in Unix seconds by 3600
    receiver TEXT NOT NULL,
    what TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (hour, receiver, what, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO counter_hour SELECT minute / 60, receiver, what, bucket, sum(count) FROM counter GROUP BY 1, 2, 3, 4;
"""

LAST = "max(last, coalesce((SELECT max(seq) FROM delivery), 0))"
"""The number of the last delivery that there ever was, as an expression on the table `position`."""

_MIGRATES = 120  # seconds to wait for another process that migrates the file

MIGRATIONS = (FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH)
"""The scripts, each of which migrates a file from the version that is its index. Released ones never change."""


def migrate(connection: sqlite3.Connection, path: str, copy: Callable[[int], None] | None = None) -> None:
    """Bring the file to the newest version; if several processes call this at once, one of them does each step.

    Args:
        connection: a connection to the file, outside a transaction.
        path: the file's name, for messages.
        copy: called with the version of an older file before it is changed, while nobody can write to it.

    Raises:
        ConfigurationError: see `version_of`.
        sqlite3.DatabaseError: the file's tables and indexes are not those of its version.
    """
    version = version_of(connection, path)  # another program's file must not change even so much
    if 0 < version < len(MIGRATIONS):  # another process may be at it, which copies the whole file first
        connection.execute(f"PRAGMA busy_timeout = {_MIGRATES * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection, path)
        check_definitions(connection, MIGRATIONS[:version])
        if version == len(MIGRATIONS):
            return
        if version and copy is not None:
            copy(version)
        for script in MIGRATIONS[version:]:
            if script is FIFTH:
                journal.move(connection)
            execute(connection, script)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """Return the version of the file's schema, 0 for a new file; the file is not changed.

    Raises:
        ConfigurationError: the file belongs to another program, or was written by a newer version of this one.
    """
    application, version, objects = connection.execute(  # in one statement, so of one moment
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application != APPLICATION and (application or version or objects):
        raise ConfigurationError(f"{path} is a database of another program: choose another file")
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"{path} was written by a newer webhook-receiver (schema {version}, this one knows {len(MIGRATIONS)}): "
            "install that version again"
        )
    return int(version)


_HEADER = 100  # bytes of a database (sqlite.org/fileformat2.html, section 1.3)


def older_version(file: Path) -> int | None:
    """Return the version of an inbox's file whose tables are older than these; None for any other file.

    It is read from the header, without SQLite: to open the file would take up its log. A file that this process has
    open in SQLite must not be asked for: to close it ends the locks.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as opened:
        header = opened.read(_HEADER)
    version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    return version if application == APPLICATION and 0 < version < len(MIGRATIONS) else None


def check_definitions(connection: sqlite3.Connection, scripts: tuple[str, ...]) -> None:
    """Check that each table, index and trigger of these scripts is defined in the file as they have defined it.

    SQLite does not check their text beyond its grammar, so a changed byte in it is another name or another condition.
    The text stays as it was given, in every version of SQLite (sqlite.org/schematab.html). Others' are left alone.

    Raises:
        sqlite3.DatabaseError: one is missing, or another.
    """
    for name in sorted(dict(definitions_of(scripts) - definitions(connection))):
        raise sqlite3.DatabaseError(f"the definition of its table, index or trigger {name!r} is not what was written")


@cache
def definitions_of(scripts: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """Return the name and the text of each table, index and trigger that scripts define."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in scripts:
            execute(connection, script)
        return definitions(connection)


def definitions(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    return frozenset(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


def execute(connection: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script one by one, since executescript would commit the transaction under way."""
    for statement in statements(script):
        connection.execute(statement)


def statements(script: str) -> list[str]:
    """Return the statements of a script, without their comments."""
    found: list[str] = []
    pending = ""
    for line in script.splitlines():
        pending += line.partition("--")[0] + "\n"
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    return found
