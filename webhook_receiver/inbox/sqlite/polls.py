"""Polls in a SQLite inbox: the lease on a source, its cursor, and the deliveries that are put together with that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from ..dedup import PutJob
from ..polls import NOBODY, LeaseJob, PutAllJob, ReleaseJob, lost, new_token
from ..records import Duplicate, Poll, PollLease, Stored
from .connection import WriterConnection
from .insert import put

_AT_ONCE = 1024  # deliveries that are looked up and inserted together: a statement takes a limited number of values
_THIS_LEASE = "receiver = ? AND source = ? AND token = ?"


def lease(connection: WriterConnection, jobs: Sequence[LeaseJob]) -> list[PollLease | None]:
    """Take leases on sources; return for each the lease, or None if another one is running."""
    return [_lease(connection, job) for job in jobs]


def _lease(connection: WriterConnection, job: LeaseJob) -> PollLease | None:
    receiver, source, lease, now, early = job
    connection.execute(
        "UPDATE poll SET until = until - since + ?, since = ? WHERE receiver = ? AND source = ? AND since > ?",
        (now, now, receiver, source, now),  # the clock was set back
    )
    token = new_token()
    taken = connection.execute(
        "INSERT INTO poll (receiver, source, token, since, until) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET token = excluded.token, since = excluded.since, until = excluded.until "
        "WHERE until IS NULL OR until <= excluded.since OR (? AND token IS NULL) RETURNING cursor, failures",
        (receiver, source, token, now, now + lease, early),
    ).fetchone()
    return None if taken is None else PollLease(receiver, source, taken[0], token, taken[1])


def renew(connection: WriterConnection, jobs: Sequence[tuple[PollLease, float, float]]) -> list[bool]:
    """Renew leases; return for each whether it goes on.

    Each job is the lease, its length in seconds, and the time in Unix seconds.
    """
    return [_update(connection, poll, "since = ?, until = ?", now, now + lease) for poll, lease, now in jobs]


def release(connection: WriterConnection, jobs: Sequence[ReleaseJob]) -> list[bool]:
    """End leases; return for each whether it had not ended already."""
    return [_release(connection, job) for job in jobs]


def _release(connection: WriterConnection, job: ReleaseJob) -> bool:
    change, values, error = "token = NULL, since = ?, until = ?", [*job.times], job.outcome.error
    if job.outcome.stopped:
        return _update(connection, job.poll, change, *values)
    change += ", succeeded = coalesce(?, succeeded), error = ?, failures = "
    change += "0" if error is None or job.outcome.partial else "failures + 1"
    return _update(connection, job.poll, change, *values, job.succeeded, error)


def put_all(connection: WriterConnection, jobs: Sequence[PutAllJob]) -> list[list[Stored | Duplicate]]:
    """Store pages of deliveries, each with its cursor; return for each the results of its deliveries.

    Raises:
        PollLeaseLost: a lease has ended; nothing of the batch is stored.
        InboxError: as `insert.put`; nothing of the batch is stored.
    """
    return [_put_all(connection, job) for job in jobs]


def _put_all(connection: WriterConnection, job: PutAllJob) -> list[Stored | Duplicate]:
    place = (job.poll.receiver, job.poll.source, job.poll.token)
    held = connection.execute(f"SELECT cursor FROM poll WHERE {_THIS_LEASE}", place).fetchone()
    if held is None:
        raise lost(job.poll)
    if held[0] != job.cursor:  # where all is known, nothing is written, and the disk is not waited for
        _update(connection, job.poll, "moved = ?, cursor = ?", job.now, job.cursor)
    return [result for some in _steps(job.puts) for result in put(connection, some)]


def _steps(puts: Sequence[PutJob]) -> Iterator[list[PutJob]]:
    step: list[PutJob] = []
    size = 0
    for job in puts:
        step.append(job)
        size += 1 + len(job.entry.parts)
        if size >= _AT_ONCE:
            yield step
            step, size = [], 0
    if step:
        yield step


def _update(connection: WriterConnection, poll: PollLease, change: str, *values: object) -> bool:
    """Change the row of a source if the lease on it has not ended; return whether that is so."""
    arguments = (*values, poll.receiver, poll.source, poll.token)
    return connection.execute(f"UPDATE poll SET {change} WHERE {_THIS_LEASE}", arguments).rowcount == 1


def polls(connection: sqlite3.Connection) -> list[Poll]:
    """Return how it stands with each source."""
    found = connection.execute(
        "SELECT receiver, source, cursor, token IS NOT NULL, until, succeeded, error, failures, moved FROM poll "
        f"WHERE receiver <> '{NOBODY}' ORDER BY 1, 2"
    )
    return [Poll(receiver, source, cursor, bool(leased), *rest) for receiver, source, cursor, leased, *rest in found]
