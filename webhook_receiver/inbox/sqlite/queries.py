"""Queries of a SQLite inbox: reads on a connection of their own, which never delay a write (sqlite.org/wal.html)."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from ...errors import AmbiguousId, InboxDamaged, InboxError
from .. import rows
from ..records import (
    MOST_EXPECTED_DEAD,
    DamagedDelivery,
    DeliverySummary,
    FailedAttempt,
    Filter,
    State,
    Stats,
    StoredDelivery,
)

_MOST_IDS = 30_000  # a statement of SQLite's may have 32,766 arguments, and more only where it was built so


def where_clause(which: Filter) -> tuple[str, list[Any]]:
    """Return the SQL condition of a filter, on table aliases d (delivery) and p (progress), and its arguments.

    Raises:
        InboxError: the filter has too many ids.
    """
    conditions: list[str] = ["1"]
    arguments: list[Any] = []

    def also(condition: str, *values: Any) -> None:
        conditions.append(condition)
        arguments.extend(values)

    if which.ids is not None:
        if len(which.ids) > _MOST_IDS:
            raise InboxError(f"the inbox looks for {_MOST_IDS:,} ids at once, not for {len(which.ids):,}: ask in parts")
        also(f"d.id IN ({rows.placeholders(which.ids)})", *which.ids)
    if which.states is not None:
        also(f"p.state IN ({rows.placeholders(which.states)})", *which.states)
    if which.receiver is not None:
        also("p.source = ?", which.receiver)
    if which.event is not None:
        also("d.event = ?", which.event)
    if which.since is not None:
        also("d.received >= ?", which.since)
    if which.before is not None:
        also("d.received < ?", which.before)
    if which.handler is not None:
        also(
            "EXISTS (SELECT 1 FROM json_each(p.handlers) WHERE key = ? AND json_extract(value, '$[0]') <> 'done')",
            which.handler,
        )
    return " AND ".join(conditions), arguments


def find(connection: Connection, which: Filter, limit: int | None, newest_first: bool) -> list[DeliverySummary]:
    """Return the summaries of the deliveries that match a filter; `limit` None is all of them."""
    where, arguments = where_clause(which)
    order = "DESC" if newest_first else "ASC"
    found = connection.execute(
        f"SELECT {rows.SUMMARY} FROM progress p JOIN delivery d USING (seq) WHERE {where} "
        f"ORDER BY p.seq {order} LIMIT ?",
        [*arguments, -1 if limit is None else limit],
    )
    return [rows.summary(row) for row in found.fetchall()]


def get(connection: Connection, beginning: str) -> StoredDelivery | None:
    """Return the stored delivery whose id is `beginning` or the only one to begin so; None if there is none.

    Raises:
        AmbiguousId: several ids begin so.
    """
    found = connection.execute(
        # Not LIKE, which takes "A" for "a" and would read the whole table.
        "SELECT seq, id FROM delivery WHERE id >= ? AND id < ? || char(0x10FFFF) ORDER BY id LIMIT 2",
        (beginning, beginning),
    ).fetchall()
    if len(found) > 1 and found[0][1] != beginning:
        raise AmbiguousId(f"several deliveries have ids that begin with {beginning!r}: give more of it")
    return _stored_delivery(connection, found[0][0]) if found else None


def after(
    connection: Connection, which: Filter, seq: int | None, limit: int
) -> list[tuple[int, StoredDelivery | DamagedDelivery]]:
    """Return up to `limit` deliveries that match a filter, after row `seq`, each with its row's number."""
    where, arguments = where_clause(which)
    found = connection.execute(
        f"SELECT p.seq FROM progress p JOIN delivery d USING (seq) WHERE {where} AND (? IS NULL OR p.seq > ?) "
        "ORDER BY p.seq LIMIT ?",
        [*arguments, seq, seq, limit],
    ).fetchall()
    return [(each, _as_far_as_read(connection, each)) for (each,) in found]


def _as_far_as_read(connection: Connection, seq: int) -> StoredDelivery | DamagedDelivery:
    try:
        return _stored_delivery(connection, seq)
    except InboxDamaged as damage:
        (id,) = connection.execute("SELECT id FROM delivery WHERE seq = ?", (seq,)).fetchone()
        return DamagedDelivery(id, str(damage))


def _stored_delivery(connection: Connection, seq: int) -> StoredDelivery:
    row = connection.execute(
        f"SELECT {rows.DELIVERY}, {rows.SUMMARY} FROM delivery d JOIN progress p USING (seq) WHERE seq = ?",
        (seq,),
    ).fetchone()
    width = len(rows.COLUMNS)
    attempts = connection.execute(
        "SELECT handler, number, started, seconds, outcome, error, traceback FROM attempt WHERE seq = ? ORDER BY place",
        (seq,),
    ).fetchall()
    return StoredDelivery(
        summary=rows.summary(row[width:]),
        delivery=rows.delivery(row),
        attempts=[FailedAttempt(*attempt) for attempt in attempts],
        key=row[4],
        ordering_key=row[6],
    )


def paused(connection: Connection) -> frozenset[str]:
    """Return the names of the paused handlers."""
    return frozenset(name for (name,) in connection.execute("SELECT handler FROM paused").fetchall())


def stats(connection: Connection) -> Stats:
    """Return the figures of the inbox."""
    unfinished: Sequence[tuple[str, int]] = connection.execute(
        "SELECT state, count(*) FROM progress WHERE state <> 'done' GROUP BY state"
    ).fetchall()
    counts = {State(state): count for state, count in unfinished}
    (everything,) = connection.execute("SELECT count(*) FROM delivery").fetchone()
    (running,) = connection.execute(
        "SELECT count(*) FROM progress WHERE state = 'waiting' AND due IS NOT NULL AND lease IS NOT NULL"
    ).fetchone()
    (oldest,) = connection.execute(
        "SELECT received FROM delivery WHERE seq = (SELECT min(seq) FROM progress WHERE state = 'waiting')"
    ).fetchone() or (None,)
    dying = connection.execute(  # "<> 'done'" lets SQLite use the index
        "SELECT min(json_extract(h.value, '$[5]')) AS expected FROM progress p, "
        "json_each(CASE WHEN json_valid(p.handlers) THEN p.handlers END) h "
        "WHERE p.state = 'waiting' AND p.state <> 'done' AND p.held IS NULL "
        "AND json_extract(h.value, '$[0]') = 'waiting' GROUP BY p.seq HAVING expected IS NOT NULL "
        "ORDER BY expected LIMIT ?",
        (MOST_EXPECTED_DEAD,),
    )
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return Stats(
        counts={state: counts.get(state, 0) for state in State} | {State.DONE: everything - sum(counts.values())},
        running=running,
        oldest_waiting=oldest,
        expected_dead=[expected for (expected,) in dying.fetchall()],
        paused=dict(connection.execute("SELECT handler, since FROM paused ORDER BY handler").fetchall()),
        extra={"bytes": pages * size, "free_bytes": free * size},
    )
