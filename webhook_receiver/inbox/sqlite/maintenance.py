"""Operations of a SQLite inbox beside put, claim and settle: pause, replay, purge, load, and waits after a clock
change.

As in `insert`, every function does a batch of jobs inside a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from sqlite3 import OperationalError
from typing import Any, NamedTuple

from ...errors import InboxDamaged
from .. import rows
from ..records import Entry, Filter, State, StoredDelivery
from ..registration import Registration, settled
from . import bodies, dedup_index, ordering, schema, tracking
from .connection import WriterConnection
from .dedup_cache import DedupCache
from .leases import insert_attempts
from .queries import matching


class ReplayJob(NamedTuple):
    """A call of `Inbox.replay`."""

    ids: Sequence[str]
    now: float
    handler: str | None


class PurgeJob(NamedTuple):
    """A call of `Inbox.purge`, or of `Inbox.expire` if `settled_before` is given, a Unix time in seconds."""

    which: Filter
    now: float | None
    """The time by the clock of the inbox, when a lease may be up; None to spare what is under one."""
    limit: int
    since: float
    """The Unix time in seconds at which the deduplication window began."""
    polled_since: float
    """The same for receivers that poll, which have a longer one for what is removed."""
    settled_before: float | None = None


def beat(connection: WriterConnection, jobs: Sequence[None]) -> Sequence[None]:
    """Write to the table `heartbeat`, so that there is something to commit."""
    connection.execute("UPDATE heartbeat SET beats = beats + 1")
    return jobs


def register(connection: WriterConnection, jobs: Sequence[Registration]) -> list[Registration]:
    """Register receivers; return for each the registration that counts."""
    return [_register(connection, given) for given in jobs]


def _register(connection: WriterConnection, given: Registration) -> Registration:
    if given.finds_orders:
        connection.execute(
            "CREATE INDEX IF NOT EXISTS of_order ON delivery (order_key, source) WHERE order_key IS NOT NULL"
        )
        given = given._replace(finds_orders=False)

    def holds(receiver: str) -> bool:
        stored = connection.execute(
            tracking.of_all("SELECT 1 FROM {progress} p WHERE p.receiver = :receiver") + " LIMIT 1",
            {"receiver": receiver},
        )
        return stored.fetchone() is not None

    known = [
        Registration(name, sender, scheme, bool(by_default))
        for name, sender, scheme, by_default in connection.execute(
            "SELECT name, sender, scheme, by_default FROM receiver"
        ).fetchall()
    ]
    found, new = settled(given, {each.receiver: each for each in known}, holds)
    if new is not None:
        connection.execute("INSERT OR REPLACE INTO receiver VALUES (?, ?, ?, ?)", new[:4])
    return found


def pause(connection: WriterConnection, jobs: Sequence[tuple[str, float]]) -> list[None]:
    """Pause handlers; each job is a handler's name and the time in Unix seconds."""
    connection.executemany("INSERT OR IGNORE INTO paused VALUES (?, ?)", jobs)
    return [None] * len(jobs)


def resume(connection: WriterConnection, jobs: Sequence[str]) -> list[bool]:
    """Resume handlers, and make the deliveries that waited for them due; return for each whether it was paused."""
    return [_resume(connection, handler) for handler in jobs]


def _resume(connection: WriterConnection, handler: str) -> bool:
    ended = connection.execute("DELETE FROM paused WHERE handler = ?", (handler,)).rowcount
    connection.execute("UPDATE progress SET held = NULL, due = 0 WHERE held = ? AND lease IS NULL", (handler,))
    connection.made_due()
    return ended == 1


def replay(connection: WriterConnection, jobs: Sequence[ReplayJob]) -> list[int]:
    """Replay deliveries; return the number of them for each job."""
    return [_replay(connection, job) for job in jobs]


def _replay(connection: WriterConnection, job: ReplayJob) -> int:
    seqs = [
        seq
        for identifier in dict.fromkeys(job.ids)
        for (seq,) in connection.execute("SELECT seq FROM delivery WHERE id = ?", (identifier,)).fetchall()
    ]
    tracking.track_out_of_turn(connection, seqs)
    return sum(ordering.requeue(connection, seq, job.now, job.handler) for seq in seqs)


def purge(connection: WriterConnection, jobs: Sequence[PurgeJob]) -> list[int]:
    """Remove deliveries for good; return the number of them for each job."""
    return [_purge(connection, job) for job in jobs]


def _purge(connection: WriterConnection, job: PurgeJob) -> int:
    columns = "d.seq, d.source, d.event, d.key, d.identity, p.line, d.received"
    condition = "(p.lease IS NULL OR p.due <= :now)"
    if job.settled_before is not None:
        condition += " AND p.settled < :end AND p.body_removed IN (0, 1)"  # so that the index serves
    select, arguments = matching(job.which, columns, condition, now=job.now, end=job.settled_before)
    found = connection.execute(f"{select} LIMIT :limit", arguments | {"limit": job.limit}).fetchall()
    cache = dedup_index.refresh(connection)
    polling = _polling(connection)
    begins = [job.polled_since if row[1] in polling else job.since for row in found]
    hashes = [(rows.dedup_hash(*row[1:5]), row[0], row[6] >= begin) for row, begin in zip(found, begins, strict=True)]
    dedup_index.remove(connection, cache, [(hash, seq) for hash, seq, is_known in hashes if not is_known])
    connection.executemany(
        "INSERT INTO purged SELECT seq, id, source, origin, event, key, identity, received FROM delivery WHERE seq = ?",
        [(seq,) for hash, seq, is_known in hashes if is_known and hash is not None],
    )
    gone = [row[0] for row in found]
    if gone:
        connection.execute(f"UPDATE position SET last = {schema.LAST}")
    bodies.hand_on(connection, gone)
    for table in ("attempt", "progress", "delivery"):
        connection.executemany(f"DELETE FROM {table} WHERE seq = ?", [(seq,) for seq in gone])
    ordering.release(connection, gone)
    ordering.unblock_next(
        connection, [row[5] for row in found if row[5] is not None]
    )  # as well, for deliveries that were unblocked, but not claimed
    return len(gone)


def _polling(connection: WriterConnection) -> set[str]:
    """Return the names of the receivers that poll."""
    return {receiver for (receiver,) in connection.execute("SELECT DISTINCT receiver FROM poll")}


def forget(connection: WriterConnection, jobs: Sequence[tuple[float, float, int]]) -> list[int]:
    """Remove what is kept of purged deliveries that the window has passed; return the number of them for each job.

    Each job is the Unix time in seconds at which the window began, the same for receivers that poll, and the largest
    number to remove.
    """
    return [_forget(connection, *job) for job in jobs]


def _forget(connection: WriterConnection, since: float, polled_since: float, limit: int) -> int:
    polling, found = _polling(connection), list[tuple[Any, ...]]()
    for (receiver,) in connection.execute(rows.RECEIVERS_OF_PURGED).fetchall():
        begin = polled_since if receiver in polling else since
        found += connection.execute(
            "SELECT seq, source, event, key, identity FROM purged WHERE source = ? AND received < ? LIMIT ?",
            (receiver, begin, limit - len(found)),
        ).fetchall()
    cache = dedup_index.refresh(connection)
    dedup_index.remove(connection, cache, [(rows.dedup_hash(*row[1:]), row[0]) for row in found])
    connection.executemany("DELETE FROM purged WHERE seq = ?", [(row[0],) for row in found])
    return len(found)


def booted(connection: WriterConnection, boot: str | None, now: float) -> float:
    """Return the Unix time in seconds at which the machine has booted, as the first process says that asks.

    Args:
        connection: the connection, outside a transaction.
        boot: the id of this boot, None if it is unknown: then every process has its own opinion.
        now: when that was by the system's clock of now.
    """
    if boot is None:
        return now
    asked = "SELECT booted FROM clock WHERE boot = ?"
    found = connection.execute(asked, (boot,)).fetchone()
    if found is None:
        with suppress(OperationalError):  # what cannot be written to is only read
            connection.execute(
                "INSERT INTO clock VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET boot = excluded.boot, "
                "booted = excluded.booted WHERE boot <> excluded.boot",
                (boot, now),
            )
        found = connection.execute(asked, (boot,)).fetchone()
    return now if found is None else float(found[0])


def restart_waits(connection: WriterConnection, jobs: Sequence[float]) -> list[None]:
    """Restart every wait that began in the future, since the clock was set back; a job is a Unix time in seconds."""
    for now in jobs:
        connection.execute("UPDATE owner SET until = until - since + ?, since = ? WHERE since > ?", (now, now, now))
        found = connection.execute(
            "SELECT since - ?, handlers, seq FROM progress WHERE due > ? AND since > ?", (now, now, now)
        ).fetchall()
        for shift, text, seq in found:
            with suppress(InboxDamaged):  # the next claim reports it
                handlers = {name: each.moved(shift) for name, each in rows.progress(text).items()}
                text = rows.progress_json(handlers)
            connection.execute(
                "UPDATE progress SET due = due - ?, since = ?, handlers = ? WHERE seq = ?", (shift, now, text, seq)
            )
    return [None] * len(jobs)


def load(connection: WriterConnection, jobs: Sequence[tuple[Sequence[StoredDelivery], float, float]]) -> list[int]:
    """Store deliveries that another inbox dumped, before all that are stored already; return their number for each job.

    Each job is the deliveries, the time in Unix seconds, and the deduplication window in seconds.
    """
    return [_load(connection, stored, now, window) for stored, now, window in jobs]


def _load(connection: WriterConnection, dumped: Sequence[StoredDelivery], now: float, window: float) -> int:
    # Rows that are not there leave gaps, which mean nothing.
    cache = dedup_index.refresh(connection)
    (first,) = connection.execute(
        "SELECT coalesce(min(seq), 1) FROM (SELECT min(seq) AS seq FROM delivery UNION ALL SELECT min(seq) FROM purged)"
    ).fetchone()
    seq = min(first, 1) - len(dumped) - 1
    loaded, new = 0, list[int]()
    for stored in dumped:
        seq += 1
        duplicate = _duplicate_of(connection, cache, stored, window)
        if duplicate is None:
            _load_one(connection, seq, stored, now)
            loaded += 1
            new.append(seq)
        elif stored.summary.state is State.WAITING:
            _requeue_dead(connection, duplicate, now)
    tracking.track_out_of_turn(connection, new)
    return loaded


def _load_one(connection: WriterConnection, seq: int, stored: StoredDelivery, now: float) -> None:
    summary, key = stored.summary, stored.key
    entry = Entry(stored.delivery, summary.event, key, summary.identity, stored.ordering_key)
    values = rows.delivery_row(entry)
    body_of = bodies.stored_with(connection, stored.delivery)
    row = (seq, *(values if body_of is None else rows.without_body(values)), body_of)
    connection.execute(f"INSERT INTO delivery (seq, {', '.join(rows.COLUMNS)}, body_of) {rows.values([row])}", row)
    found = rows.dedup_hash(summary.receiver, summary.event, key, summary.identity)
    if found is not None:
        dedup_index.add_older(connection, (found, seq))
    order_key_hash = rows.order_key_hash(summary.receiver, stored.ordering_key)
    # A WAITING delivery with an ordering key is to be found at once, whatever its `due`, so that no younger one passes
    # it. Its handlers still have their times.
    at_once = summary.leased or summary.paused_by is not None
    at_once = at_once or (summary.state is State.WAITING and (summary.due is None or order_key_hash is not None))
    progress = (
        *(seq, summary.receiver, order_key_hash, summary.state, 0 if at_once else summary.due, now),
        *(rows.progress_json(summary.handlers), summary.reason, summary.settled, summary.body_removed),
    )
    connection.execute(
        "INSERT INTO progress (seq, receiver, line, state, due, since, handlers, reason, settled, body_removed) "
        f"{rows.values([progress])}",
        progress,
    )
    insert_attempts(connection, seq, stored.attempts)


def _duplicate_of(connection: WriterConnection, cache: DedupCache, stored: StoredDelivery, window: float) -> int | None:
    """Return the row of the same delivery, or of one that is a duplicate of it or the reverse, or None."""
    delivery, summary = stored.delivery, stored.summary
    wanted = rows.dedup_hash(delivery.receiver, summary.event, stored.key, summary.identity)
    candidates = [] if wanted is None else dedup_index.candidates(connection, cache, [wanted])
    found: tuple[int] | None = (
        connection.execute("SELECT seq FROM delivery WHERE id = ?", (delivery.id,)).fetchone()
        or connection.execute(
            "SELECT seq FROM delivery WHERE seq IN (SELECT value FROM json_each(?)) "
            "AND source = ? AND key = ? AND abs(received - ?) <= ?",
            (json.dumps([seq for _, seq in candidates]), delivery.receiver, stored.key, delivery.received, window),
        ).fetchone()
    )
    return None if found is None else found[0]


def _requeue_dead(connection: WriterConnection, seq: int, now: float) -> None:
    found = connection.execute("SELECT state FROM progress WHERE seq = ?", (seq,)).fetchone()
    if found == (State.DEAD,):
        tracking.track_out_of_turn(connection, [seq])
        ordering.requeue(connection, seq, now)
