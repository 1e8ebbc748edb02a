"""What a SQLite inbox does beside the way of a delivery: pause, replay, purge, load, and setting waits right.

As in `arrivals`, every function does a batch of jobs inside a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from ...errors import InboxDamaged
from .. import rows
from ..records import Entry, Filter, State, StoredDelivery
from . import dedup_index, ordering, staging
from .connection import Connection
from .dedup_cache import DedupCache
from .leases import keep_attempts
from .queries import chosen


class ReplayJob(NamedTuple):
    """Kept deliveries to be handled again."""

    ids: Sequence[str]
    now: float
    handler: str | None


class PurgeJob(NamedTuple):
    """Kept deliveries to be removed; `settled_before` is for those that are done."""

    which: Filter
    now: float
    limit: int
    settled_before: float | None = None


def beat(connection: Connection, jobs: Sequence[None]) -> Sequence[None]:
    """Commit something that means nothing."""
    connection.execute("UPDATE heartbeat SET beats = beats + 1")
    return jobs


def pause(connection: Connection, jobs: Sequence[tuple[str, float]]) -> list[None]:
    """Keep handlers from running."""
    connection.executemany("INSERT OR IGNORE INTO paused VALUES (?, ?)", jobs)
    return [None] * len(jobs)


def resume(connection: Connection, jobs: Sequence[str]) -> list[bool]:
    """Let handlers run again, and be due what was held for them."""
    return [_resume(connection, handler) for handler in jobs]


def _resume(connection: Connection, handler: str) -> bool:
    ended = connection.execute("DELETE FROM paused WHERE handler = ?", (handler,)).rowcount
    connection.execute("UPDATE progress SET held = NULL, due = 0 WHERE held = ? AND lease IS NULL", (handler,))
    return ended == 1


def replay(connection: Connection, jobs: Sequence[ReplayJob]) -> list[int]:
    """Let deliveries be handled again."""
    staging.unpack_all(connection)
    return [
        sum(
            ordering.requeue(connection, seq, job.now, job.handler)
            for identifier in dict.fromkeys(job.ids)
            for (seq,) in connection.execute("SELECT seq FROM delivery WHERE id = ?", (identifier,)).fetchall()
        )
        for job in jobs
    ]


def purge(connection: Connection, jobs: Sequence[PurgeJob]) -> list[int]:
    """Remove deliveries for good."""
    return [_purge(connection, job) for job in jobs]


def _purge(connection: Connection, job: PurgeJob) -> int:
    if job.settled_before is None:
        where, arguments = chosen(job.which)
        where += " AND (p.lease IS NULL OR p.due IS NULL OR p.due <= ?)"
        arguments.append(job.now)
    else:
        where, arguments = "p.state = 'done' AND p.settled < ?", [job.settled_before]
    found = connection.execute(
        "SELECT d.seq, d.source, d.event, d.key, d.identity, p.line FROM progress p JOIN delivery d USING (seq) "
        f"WHERE {where} LIMIT ?",
        [*arguments, job.limit],
    ).fetchall()
    recent = dedup_index.refresh(connection)
    dedup_index.remove(connection, recent, [(rows.lookup(*row[1:5]), row[0]) for row in found])
    gone = [row[0] for row in found]
    for table in ("attempt", "progress", "delivery"):
        connection.executemany(f"DELETE FROM {table} WHERE seq = ?", [(seq,) for seq in gone])
    ordering.leave(connection, gone)
    ordering.call(
        connection, [row[5] for row in found if row[5] is not None]
    )  # for who was let through, but not claimed
    return len(gone)


def remeasure(connection: Connection, jobs: Sequence[float]) -> list[None]:
    """Let every wait that began in the future begin anew: the clock was set back, `now` is what it shows."""
    for now in jobs:
        found = connection.execute(
            "SELECT since - ?1, handlers, seq FROM progress WHERE due > ?1 AND since > ?1", (now,)
        ).fetchall()
        for shift, text, seq in found:
            with suppress(InboxDamaged):  # whoever claims it says so
                handlers = {name: each._replace(due=each.due - shift) for name, each in rows.progress(text).items()}
                text = rows.progress_json(handlers)
            connection.execute(
                "UPDATE progress SET due = due - ?, since = ?, handlers = ? WHERE seq = ?", (shift, now, text, seq)
            )
    return [None] * len(jobs)


def load(connection: Connection, jobs: Sequence[tuple[Sequence[StoredDelivery], float, float]]) -> list[int]:
    """Keep what another inbox dumped, before all that is kept already; each job ends with the window of repeats."""
    return [_load(connection, kept, now, window) for kept, now, window in jobs]


def _load(connection: Connection, dumped: Sequence[StoredDelivery], now: float, window: float) -> int:
    # Rows that are not there leave gaps, which mean nothing.
    staging.unpack_all(connection)
    recent = dedup_index.refresh(connection)
    (first,) = connection.execute("SELECT coalesce(min(seq), 1) FROM delivery").fetchone()
    seq = min(first, 1) - len(dumped) - 1
    loaded = 0
    for kept in dumped:
        seq += 1
        repeated = _repeated(connection, recent, kept, window)
        if repeated is None:
            _load_one(connection, seq, kept, now)
            loaded += 1
        elif kept.summary.state is State.WAITING:
            _revive_dead(connection, repeated, now)
    return loaded


def _load_one(connection: Connection, seq: int, kept: StoredDelivery, now: float) -> None:
    record, key = kept.summary, kept.key
    entry = Entry(kept.delivery, record.event, key, record.identity, kept.ordering_key)
    row = (seq, *rows.delivery_row(entry))
    connection.execute(f"INSERT INTO delivery (seq, {', '.join(rows.COLUMNS)}) {rows.values([row])}", row)
    found = rows.lookup(record.receiver, record.event, key, record.identity)
    if found is not None:
        dedup_index.add_older(connection, (found, seq))
    line = rows.line(record.receiver, kept.ordering_key)
    # One that waits in a line is to be found at once, whatever its due, so that nobody passes it. Its handlers still
    # have their times.
    at_once = record.leased or (record.state is State.WAITING and (record.due is None or line is not None))
    progress = (
        *(seq, record.receiver, line, record.state, 0 if at_once else record.due, now),
        *(rows.progress_json(record.handlers), record.reason, record.settled),
    )
    connection.execute(
        "INSERT INTO progress (seq, source, line, state, due, since, handlers, reason, settled) "
        f"{rows.values([progress])}",
        progress,
    )
    keep_attempts(connection, seq, kept.attempts)


def _repeated(connection: Connection, recent: DedupCache, kept: StoredDelivery, window: float) -> int | None:
    """Return the row of the same delivery, or of one that it repeats or is repeated by."""
    delivery, record = kept.delivery, kept.summary
    repeated_by = rows.lookup(delivery.receiver, record.event, kept.key, record.identity)
    candidates = [] if repeated_by is None else dedup_index.candidates(connection, recent, [repeated_by])
    found: tuple[int] | None = (
        connection.execute("SELECT seq FROM delivery WHERE id = ?", (delivery.id,)).fetchone()
        or connection.execute(
            f"SELECT seq FROM delivery WHERE seq IN ({rows.marks(candidates)}) "
            "AND source = ? AND key = ? AND abs(received - ?) <= ?",
            (*(seq for _, seq in candidates), delivery.receiver, kept.key, delivery.received, window),
        ).fetchone()
    )
    return None if found is None else found[0]


def _revive_dead(connection: Connection, seq: int, now: float) -> None:
    (state,) = connection.execute("SELECT state FROM progress WHERE seq = ?", (seq,)).fetchone()
    if state == State.DEAD:
        ordering.requeue(connection, seq, now)
