"""Putting deliveries into a SQLite inbox: what is new is kept, and what is a repeat is known.

As everything that is done inside a transaction, `put` takes the connection and a list of jobs, and returns a result
for each job. The statements take all rows of a batch together: each call of SQLite lets go of Python's lock, and
taking it back from a busy event loop can take longer than the work itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from . import lines, lookup, rows
from .records import Duplicate, State, Stored
from .repeats import Known, Put, repeats


def put(connection: Connection, jobs: Sequence[Put]) -> list[Stored | Duplicate]:
    """Keep what is new; find out what is not."""
    hashes = [
        rows.lookup(job.entry.delivery.source, job.entry.event, job.entry.key, job.entry.identity) for job in jobs
    ]
    memory = lookup.refresh(connection)
    last = memory.last
    known = _known(connection, jobs, {each for each in hashes if each is not None})
    results: list[Stored | Duplicate] = []
    new: list[tuple[int, Put]] = []
    looked_up: list[lookup.Found] = []
    again: list[tuple[int, Put, Known]] = []
    for job, found in zip(jobs, hashes, strict=True):
        entry = job.entry
        repeated = None if found is None else next((kept for kept in known.get(found, ()) if repeats(job, kept)), None)
        if repeated is not None:
            again.append((len(results), job, repeated))
            results.append(Duplicate(repeated.id))
            continue
        last += 1
        new.append((last, job))
        if found is not None:
            looked_up.append((found, last))
            known.setdefault(found, []).append(Known.of(last, entry))
        results.append(Stored(entry.delivery.id))
    if new:
        _insert(connection, new)
        lookup.add(connection, memory, looked_up, last)
    for index, job, kept in again:  # only now, for what they repeat may be among the new ones
        results[index] = _duplicate(connection, job, kept)
    return results


def _known(connection: Connection, jobs: Sequence[Put], hashes: set[int]) -> dict[int, list[Known]]:
    """Return what is kept under these hashes, as far as one of the jobs may repeat it."""
    if not hashes:
        return {}
    table, arguments = lookup.found([*hashes])
    may_repeat = "1"
    if all(job.entry.delivery.origin != "backfill" for job in jobs):
        # An order may have been told the same a thousand times: most of that is not even looked at.
        keys = [job.entry.key for job in jobs]
        may_repeat = f"(d.key IN ({rows.marks(keys)}) OR d.origin = 'backfill')"
        arguments += keys
    found: dict[int, list[Known]] = {}
    for row in connection.execute(
        "SELECT hash, d.seq, d.id, d.source, d.origin, d.event, d.key, d.identity, d.received "
        f"FROM {table} JOIN delivery d USING (seq) WHERE {may_repeat}",
        arguments,
    ).fetchall():
        found.setdefault(row[0], []).append(Known(*row[1:]))
    return found


def _duplicate(connection: Connection, job: Put, kept: Known) -> Duplicate:
    (state,) = connection.execute("SELECT state FROM progress WHERE seq = ?", (kept.seq,)).fetchone()
    if state != State.DEAD or job.entry.delivery.origin == "backfill":
        return Duplicate(kept.id)
    lines.revive(connection, kept.seq, job.now)
    return Duplicate(kept.id, replayed=True)


def _insert(connection: Connection, new: Sequence[tuple[int, Put]]) -> None:
    deliveries = [(seq, *rows.delivery_row(job.entry)) for seq, job in new]
    connection.execute(
        f"INSERT OR ROLLBACK INTO delivery (seq, {', '.join(rows.COLUMNS)}) {rows.values(deliveries)}",
        rows.flat(deliveries),
    )
    progress: list[tuple[Any, ...]] = []
    for seq, job in new:
        source, dead = job.entry.delivery.source, job.entry.dead
        state, settled = (State.WAITING, None) if dead is None else (State.DEAD, job.now)
        # Due at 0 and not now: a clock that is set back must not make a new delivery wait.
        progress.append((seq, source, rows.line(source, job.entry.order_key), state, 0.0, job.now, dead, settled))
    connection.execute(
        f"INSERT OR ROLLBACK INTO progress (seq, source, line, state, due, since, reason, settled) "
        f"{rows.values(progress)}",
        rows.flat(progress),
    )
