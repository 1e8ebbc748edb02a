"""The staging table of a SQLite inbox: deliveries that were put lately, those of one commit in one row.

The table is called `journal`. To write a delivery to rows of its own costs several times as much as everything else
before it is answered. So it is staged here first, and flushed to its rows, many at a time, before it is claimed, listed
or changed.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from math import isnan
from sqlite3 import Connection
from types import NoneType
from typing import Any, NamedTuple
from zlib import crc32

from ...errors import InboxDamaged, InboxError
from .. import rows
from ..dedup import PutJob
from ..records import State

FLUSH_STEP = 1024
"""The largest number of deliveries that one step flushes, which takes some 20 ms."""
MOST_STAGED = 65_536
"""The number of staged deliveries above which each put flushes as many as it brings; to read them takes some 0.2 s."""

_LARGE = 2**20  # bytes of bodies in one row of the table, or flushed in one step
_DAMAGE = "what is kept in its journal is not what was put"
_RECEIVED, _BODY, _BY = (rows.COLUMNS.index(column) for column in ("received", "body", "verified_by"))
_TEXT, _TEXT_OR_NONE = {str}, {str, NoneType}
_KINDS: Sequence[set[Any]] = (
    *(_TEXT, _TEXT, _TEXT, _TEXT_OR_NONE, {bytes, NoneType}, _TEXT_OR_NONE, _TEXT_OR_NONE),
    *({float}, {bytes}, {bytes}, {int, NoneType}, {int}, _TEXT_OR_NONE),
)
"""The types of the staged values: those of `rows.COLUMNS` but for the checksum, and of the reason for being DEAD."""


class StagedDelivery(NamedTuple):
    """A delivery from the staging table."""

    seq: int
    """The number that its row will have."""
    row: tuple[Any, ...]
    """The values of `rows.COLUMNS`."""
    order_key_hash: int | None
    """The hash of its receiver and ordering key; None without an ordering key."""
    dead: str | None
    """The reason why it is DEAD already; None if it is WAITING."""
    put_at: float
    """The Unix time at which it was put, in seconds."""


def append(connection: Connection, new: Sequence[PutJob], last: int) -> None:
    """Stage deliveries; `last` is the row number of the last of them.

    Raises:
        InboxError: a value is of a type or size that no row could hold.
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    values = _plain([(*rows.values_of(job.entry), job.entry.dead) for job in new])
    seq = last - len(values)
    for batch in _batches(values):
        seq += len(batch)
        packed = pickle.dumps(batch, 5)
        if b"\xed" in packed:  # with which half characters begin, but others, too
            "".join([text for each in batch for text in each if isinstance(text, str)]).encode()
        connection.execute(
            "INSERT OR ROLLBACK INTO journal (last, kept, packed, checksum) VALUES (?, ?, ?, ?)",
            (seq, new[-1].now, packed, crc32(packed)),
        )
    connection.execute("UPDATE arrived SET last = ?", (last,))


def _batches(values: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the deliveries in batches whose bodies are small enough to be held in memory."""
    start = size = 0
    for place, each in enumerate(values):
        size += len(each[_BODY])
        if size > _LARGE:
            yield values[start : place + 1]
            start, size = place + 1, 0
    if start < len(values):
        yield values[start:]


def _plain(table: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows with plain values, as a file gives them back: no members of enums."""
    if not _are_plain(table):
        table = [tuple(map(_plain_value, row)) for row in table]
        if not _are_plain(table):
            raise InboxError("the inbox does not take it: one of its values is of a kind that no delivery has")
    if any(isnan(row[_RECEIVED]) or not -(2**63) < (row[_BY] or 0) < 2**63 for row in table):
        raise InboxError("the inbox does not take it: one of its numbers is none that a file can hold")
    return table


def _plain_value(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else int(value) if isinstance(value, int) else value


def _are_plain(table: list[tuple[Any, ...]]) -> bool:
    columns = zip(*table, strict=True)
    return all(kinds.issuperset(map(type, column)) for kinds, column in zip(_KINDS, columns, strict=True))


def read(connection: Connection, after: int | None = None) -> Iterator[StagedDelivery]:
    """Yield the staged deliveries, the oldest first; only those after row `after` if that is given.

    Raises:
        InboxDamaged: a row of the table does not match its checksum.
    """
    flushed: tuple[int] = connection.execute("SELECT unpacked FROM arrived").fetchone()
    first = flushed[0] if after is None else max(after, flushed[0])
    for row in connection.execute(
        "SELECT last, kept, packed, checksum FROM journal WHERE last > ? ORDER BY last", (first,)
    ):
        for seq, values, put_at in _loaded(*row):
            if seq > first:
                yield _staged(seq, values, put_at)


def find(connection: Connection, seqs: Iterable[int]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the staged deliveries with these row numbers: each number, and the values that `append` has staged."""
    loaded: dict[int, tuple[Any, ...]] = {}
    for seq in sorted(seqs):
        if seq not in loaded:
            loaded = _row_of(connection, seq)
        if seq in loaded:
            yield seq, loaded[seq]


def requeue(connection: Connection, seq: int) -> None:
    """Make a staged delivery WAITING that was DEAD."""
    loaded = _row_of(connection, seq)
    loaded[seq] = (*loaded[seq][:-1], None)
    packed = pickle.dumps([*loaded.values()], 5)
    connection.execute(
        "UPDATE OR ROLLBACK journal SET packed = ?, checksum = ? WHERE last = ?", (packed, crc32(packed), max(loaded))
    )


def _row_of(connection: Connection, seq: int) -> dict[int, tuple[Any, ...]]:
    """Return all deliveries that share a row of the table with this one, by number; empty if it is not staged."""
    row = connection.execute(
        "SELECT last, kept, packed, checksum FROM journal WHERE last >= ? ORDER BY last LIMIT 1", (seq,)
    ).fetchone()
    return {found: values for found, values, _ in _loaded(*row)} if row else {}


def _loaded(last: int, put_at: float, packed: bytes, checksum: int) -> list[tuple[int, tuple[Any, ...], float]]:
    try:
        if crc32(packed) == checksum:
            found = _Unpickler(BytesIO(packed)).load()
            if {len(each) for each in found} == {len(_KINDS)}:
                return [(seq, values, put_at) for seq, values in enumerate(found, last - len(found) + 1)]
    except Exception:  # noqa: S110 - whatever it is, it was never put
        pass
    raise InboxDamaged(f"the inbox is damaged: {_DAMAGE}")


def _staged(seq: int, values: tuple[Any, ...], put_at: float) -> StagedDelivery:
    row = values[:-1]
    return StagedDelivery(seq, (*row, rows.checksum(row)), rows.order_key_hash(row[1], row[6]), values[-1], put_at)


class _Unpickler(pickle.Unpickler):
    """An unpickler of plain values, which never imports or runs anything.

    See docs.python.org/3/library/pickle.html#restricting-globals.
    """

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError


def damage(connection: Connection) -> str | None:
    """Return a sentence about the damage of the table; None if every row matches its checksum."""
    found = connection.execute("SELECT packed, checksum FROM journal")
    return None if all(crc32(packed) == checksum for packed, checksum in found) else _DAMAGE


def remove_oldest(connection: Connection, limit: int, receiver: str | None = None) -> list[StagedDelivery]:
    """Remove the oldest deliveries from the table, so that they are given rows of their own; return them.

    That is one step, too short to delay other writers: it ends with `limit` deliveries, of `receiver` if that is given,
    or with as many as one step may take.
    """
    staged: list[StagedDelivery] = []
    size = 0
    for each in read(connection):
        staged.append(each)
        size += len(each.row[_BODY])
        limit -= receiver is None or each.row[1] == receiver
        if not limit or len(staged) == FLUSH_STEP or size > _LARGE:
            break
    if staged:
        connection.execute("DELETE FROM journal WHERE last <= ?", (staged[-1].seq,))
        connection.execute("UPDATE arrived SET unpacked = ?", (staged[-1].seq,))
    return staged


def flush(connection: Connection, limit: int) -> int:
    """Flush up to `limit` deliveries, the oldest, to rows of their own; return how many, 0 if none is staged."""
    staged = remove_oldest(connection, limit)
    insert_rows(connection, staged, {})
    return len(staged)


def flush_all(connection: Connection) -> None:
    """Flush all deliveries to rows of their own."""
    while flush(connection, FLUSH_STEP):
        pass


def last_seq(connection: Connection) -> int | None:
    """Return the row number of the last staged delivery; None if none is staged."""
    found: tuple[int | None] = connection.execute("SELECT max(last) FROM journal").fetchone()
    return found[0]


def flush_until(connection: Connection, jobs: Sequence[int]) -> list[bool]:
    """Flush one step of deliveries; return for each job, a row number, whether deliveries up to it are left."""
    flush(connection, FLUSH_STEP)
    (flushed,) = connection.execute("SELECT unpacked FROM arrived").fetchone()
    return [flushed < job for job in jobs]


Wait = tuple[float | None, float, int | None]
"""The `due` time of a delivery, the time when that wait began, both in Unix seconds, and the token of its lease."""


def insert_rows(connection: Connection, staged: Sequence[StagedDelivery], waits: Mapping[int, Wait]) -> None:
    """Insert the rows of deliveries and of their progress.

    Args:
        connection: the connection, inside a transaction.
        staged: the deliveries.
        waits: how some of them wait, by row number; all others are due at once.
    """
    progress: list[tuple[Any, ...]] = []
    for seq, row, order_key_hash, dead, put_at in staged:
        state, settled = (State.WAITING, None) if dead is None else (State.DEAD, put_at)
        # Due at 0 and not now: a clock that is set back must not make a new delivery wait.
        due, since, lease = waits.get(seq) or (0.0, put_at, None)
        progress.append((seq, row[1], order_key_hash, state, due, since, lease, dead, settled))
    rows.insert(connection, f"delivery (seq, {', '.join(rows.COLUMNS)})", [(each.seq, *each.row) for each in staged])
    rows.insert(connection, "progress (seq, source, line, state, due, since, lease, reason, settled)", progress)
