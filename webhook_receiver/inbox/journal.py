"""The journal of a SQLite inbox: what was put lately, all that shared a commit in one row.

To keep a delivery in a row of its own costs several times as much as all else that is done before it is answered. So
it is written here first, and unpacked when somebody wants to claim it, look at it or change it, many at a time.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from sqlite3 import Connection
from typing import Any, NamedTuple
from zlib import crc32

from ..errors import InboxDamaged
from . import rows
from .records import State
from .repeats import Put

MOST = 65_536
"""Deliveries that are in the journal before each put unpacks as many as it brings: to read them takes some 0.2 s."""

_STEP = 1024  # deliveries
_DAMAGE = "what is kept in its journal is not what was put"


class Fresh(NamedTuple):
    """A delivery from the journal."""

    seq: int
    row: tuple[Any, ...]
    """The values of rows.COLUMNS."""
    line: int | None
    dead: str | None
    """Why it is dead already."""
    kept: float
    """When it was put."""


def append(connection: Connection, new: Sequence[Put], last: int) -> None:
    """Keep deliveries in one row; `last` is the number of the last of them.

    Raises:
        UnicodeEncodeError: no row of its own could hold one of their texts.
    """
    values = [(*rows.values_of(job.entry), job.entry.dead) for job in new]
    packed = pickle.dumps(values, 5)
    if b"\xed" in packed:  # with which half characters begin, but others, too
        "".join([text for each in values for text in each if isinstance(text, str)]).encode()
    connection.execute(
        "INSERT OR ROLLBACK INTO journal (last, kept, packed, checksum) VALUES (?, ?, ?, ?)",
        (last, new[-1].now, packed, crc32(packed)),
    )


def read(connection: Connection, after: int | None = None) -> Iterator[Fresh]:
    """Yield what is in the journal, the oldest first, or what is there behind row `after`.

    Raises:
        InboxDamaged: it is not what was written.
    """
    unpacked: tuple[int] = connection.execute("SELECT unpacked FROM arrived").fetchone()
    first = unpacked[0] if after is None else max(after, unpacked[0])
    for last, kept, packed, checksum in connection.execute(
        "SELECT last, kept, packed, checksum FROM journal WHERE last > ? ORDER BY last", (first,)
    ):
        if crc32(packed) != checksum:
            raise InboxDamaged(f"the inbox is damaged: {_DAMAGE}")
        found = _Unpickler(BytesIO(packed)).load()
        for seq, values in enumerate(found, last - len(found) + 1):
            if seq > first:
                row = values[:-1]
                yield Fresh(seq, (*row, rows.checksum(row)), rows.line(row[1], row[6]), values[-1], kept)


def damage(connection: Connection) -> str | None:
    """Return what is wrong with it, None if nothing is."""
    found = connection.execute("SELECT packed, checksum FROM journal")
    return None if all(crc32(packed) == checksum for packed, checksum in found) else _DAMAGE


class _Unpickler(pickle.Unpickler):
    """Takes plain values, and nothing that would import or run anything, whoever has written it."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise InboxDamaged(f"the inbox is damaged: {_DAMAGE}")


def take(connection: Connection, limit: int) -> list[Fresh]:
    """Remove the oldest deliveries, up to `limit`, to be given rows of their own."""
    fresh = [*islice(read(connection), limit)]
    if fresh:
        connection.execute("DELETE FROM journal WHERE last <= ?", (fresh[-1].seq,))
        connection.execute("UPDATE arrived SET unpacked = ?1, last = max(last, ?1)", (fresh[-1].seq,))
    return fresh


def unpack(connection: Connection, limit: int) -> int:
    """Give up to `limit` deliveries, the oldest, rows of their own; return how many."""
    fresh = take(connection, limit)
    keep(connection, fresh, {})
    return len(fresh)


def unpack_all(connection: Connection) -> None:
    """Give all deliveries rows of their own."""
    while unpack(connection, _STEP):
        pass


def last(connection: Connection) -> int | None:
    """Return the last row in the journal, None if it is empty."""
    found: tuple[int | None] = connection.execute("SELECT max(last) FROM journal").fetchone()
    return found[0]


def unpack_until(connection: Connection, jobs: Sequence[int]) -> list[bool]:
    """Take a step of giving all deliveries up to these rows rows of their own; whether others are left."""
    unpack(connection, _STEP)
    (unpacked,) = connection.execute("SELECT unpacked FROM arrived").fetchone()
    return [unpacked < job for job in jobs]


Wait = tuple[float | None, float, int | None]
"""When a delivery is due, since when it waits, and the mark of its lease."""


def keep(connection: Connection, fresh: Sequence[Fresh], waits: Mapping[int, Wait]) -> None:
    """Write rows of deliveries, and of their progress: of some it is given how they wait, all others are due."""
    progress: list[tuple[Any, ...]] = []
    for seq, row, line, dead, kept in fresh:
        state, settled = (State.WAITING, None) if dead is None else (State.DEAD, kept)
        # Due at 0 and not now: a clock that is set back must not make a new delivery wait.
        due, since, lease = waits.get(seq) or (0.0, kept, None)
        progress.append((seq, row[1], line, state, due, since, lease, dead, settled))
    rows.insert(connection, f"delivery (seq, {', '.join(rows.COLUMNS)})", [(each.seq, *each.row) for each in fresh])
    rows.insert(connection, "progress (seq, source, line, state, due, since, lease, reason, settled)", progress)
