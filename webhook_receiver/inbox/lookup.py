"""The lookup of a SQLite inbox: which kept deliveries one that is put may be a repeat of.

They are found by a hash. Hashes come in no order: to write each at its place in a large table takes a page of the
file for nearly every delivery, the more surely the more is kept. So each connection that writes holds those of the
last deliveries in memory, in tables of its own that are rolled back with the others. From there they are merged into
the table `lookup` many at a time, one part of all hashes with each commit, so that many of them share a page. `arrived`
says up to which row that table is complete; what came later is read by whoever connects.
"""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from . import rows

_MANY = 32_768  # deliveries that are held in memory, before they are merged: to read them anew takes some 0.2 s
_PARTS = 64
_WIDTH = 2**64 // _PARTS

Found = tuple[int, int]
"""A hash, and the row of a delivery that has it."""


def found(hashes: Sequence[int]) -> tuple[str, list[Any]]:
    """Return a table of the rows that have one of these hashes, to select `hash` and `seq` from; and its arguments."""
    among = f"WHERE hash IN ({rows.marks(hashes)})"
    table = f"(SELECT hash, seq FROM lookup {among} UNION ALL SELECT hash, seq FROM temp.recent {among})"
    return table, [*hashes, *hashes]


class Memory(NamedTuple):
    """What a connection holds in memory, and how the file stands."""

    last: int
    """The number of the last row that there ever was."""
    merged: int
    """Up to this row, the file's table is complete."""
    seen: int
    """Up to this row, what is not in the file's table is in memory."""
    since: int
    """Up to this row, nothing is in memory any more."""
    part: int | None
    """The part of the hashes that is merged next, while that is done."""
    until: int
    """Up to this row, it is."""


def refresh(connection: Connection) -> Memory:
    """Take in what other connections have put. Before anything is found, added or removed in a transaction."""
    if not connection.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'memory'").fetchone():
        _begin(connection)
    memory = Memory(
        *connection.execute("SELECT last, merged, seen, since, part, until FROM arrived, temp.memory").fetchone()
    )
    if memory.seen < memory.last:
        _take_in(connection, max(memory.seen, memory.merged))
        connection.execute("UPDATE temp.memory SET seen = ?", (memory.last,))
    if memory.since < memory.merged:
        connection.execute("DELETE FROM temp.recent WHERE seq <= ?", (memory.merged,))
        connection.execute("UPDATE temp.memory SET since = ?", (memory.merged,))
    return memory


def _begin(connection: Connection) -> None:
    connection.execute(
        "CREATE TEMP TABLE recent (hash INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (hash, seq)) WITHOUT ROWID"
    )
    connection.execute("CREATE TEMP TABLE memory (seen INTEGER, since INTEGER, part INTEGER, until INTEGER)")
    connection.execute("INSERT INTO temp.memory SELECT merged, merged, NULL, 0 FROM arrived")


def _take_in(connection: Connection, after: int) -> None:
    others = connection.execute("SELECT source, event, key, identity, seq FROM delivery WHERE seq > ?", (after,))
    hashed = [(rows.lookup(*row[:4]), row[4]) for row in others.fetchall()]
    connection.executemany("INSERT INTO temp.recent VALUES (?, ?)", [each for each in hashed if each[0] is not None])


def add(connection: Connection, memory: Memory, new: Sequence[Found], last: int) -> None:
    """Let these be found; `last` is the last row that there is now."""
    if new:
        connection.execute(f"INSERT OR ROLLBACK INTO temp.recent (hash, seq) {rows.values(new)}", rows.flat(new))
    part, until, merged = memory.part, memory.until, memory.merged
    if part is None and last - merged >= _MANY:
        part, until = 0, last
    if part is not None:
        _merge(connection, part, until)
        part += 1
        if part == _PARTS:
            part, merged = None, max(merged, until)
    connection.execute("UPDATE arrived SET last = ?, merged = ?", (last, merged))
    connection.execute("UPDATE temp.memory SET seen = ?, part = ?, until = ?", (last, part, until))


def _merge(connection: Connection, part: int, until: int) -> None:
    lowest = part * _WIDTH - 2**63
    connection.execute(
        # Another process may have merged it before. What was purged there meanwhile is never found in `delivery`.
        "INSERT OR IGNORE INTO lookup SELECT hash, seq FROM temp.recent WHERE hash BETWEEN ? AND ? AND seq <= ?",
        (lowest, lowest + _WIDTH - 1, until),
    )


def add_older(connection: Connection, new: Found) -> None:
    """Let a delivery be found that counts as older than all there were."""
    connection.execute("INSERT INTO lookup VALUES (?, ?)", new)


def remove(connection: Connection, gone: Sequence[tuple[int | None, int]]) -> None:
    """Let these not be found any more. After `refresh`."""
    for table in ("lookup", "temp.recent"):
        connection.executemany(f"DELETE FROM {table} WHERE hash = ? AND seq = ?", gone)
