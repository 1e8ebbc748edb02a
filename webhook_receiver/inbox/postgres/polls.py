"""Polls in a PostgreSQL inbox: the lease on a source, its cursor, and the deliveries that are put together with that.

As in `queries`, each function is a request by itself, in a transaction of its own.
"""

from __future__ import annotations

from ..polls import NOBODY, LeaseJob, PutAllJob, ReleaseJob, lost, new_token
from ..records import Duplicate, Poll, PollLease, Stored
from .insert import lock_receiver, put_locked
from .maintenance import APART
from .rows import PostgresConnection, all_unescaped, ask, escaped


def lease(connection: PostgresConnection, job: LeaseJob) -> PollLease | None:
    """Take the lease on a source; return None if another one is running, or the wait after that is not over."""
    receiver, source, lease, now, early = job
    place, token = [escaped(receiver), escaped(source)], new_token()
    ask(
        connection,
        "UPDATE poll SET until = until - since + %s, since = %s WHERE receiver = %s AND source = %s AND since > %s",
        [now, now, *place, now + APART],  # the clock was set back
    )
    taken = ask(
        connection,
        "INSERT INTO poll (receiver, source, token, since, until) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (receiver, source) DO UPDATE "
        "SET token = excluded.token, since = excluded.since, until = excluded.until "
        "WHERE poll.until IS NULL OR poll.until <= excluded.since OR (%s AND poll.token IS NULL) "
        "RETURNING cursor, failures",
        [*place, token, float(now), float(now + lease), early],
    ).fetchone()
    if taken is None:
        return None
    cursor, failures = all_unescaped(taken)
    return PollLease(receiver, source, cursor, token, failures)


def renew(connection: PostgresConnection, poll: PollLease, lease: float, now: float) -> bool:
    """Extend a lease to `lease` seconds from `now`; return whether it goes on."""
    return _update(connection, poll, "since = %s, until = %s", now, now + lease)


def release(connection: PostgresConnection, job: ReleaseJob) -> bool:
    """End a lease; return whether it had not ended already."""
    change, values, error = "token = NULL, since = %s, until = %s", [*job.times], job.outcome.error
    if job.outcome.stopped:
        return _update(connection, job.poll, change, *values)
    change += ", succeeded = coalesce(%s, succeeded), error = %s, failures = "
    change += "0" if error is None or job.outcome.partial else "failures + 1"
    return _update(connection, job.poll, change, *values, job.succeeded, None if error is None else escaped(error))


def put_all(connection: PostgresConnection, job: PutAllJob) -> list[Stored | Duplicate]:
    """Store a page of deliveries and the cursor behind it; return the result of each delivery.

    Raises:
        PollLeaseLost: the lease has ended.
    """
    cursor = None if job.cursor is None else escaped(job.cursor)
    change = "moved = CASE WHEN cursor IS DISTINCT FROM %s THEN %s ELSE moved END, cursor = %s"
    if not _update(connection, job.poll, change, cursor, float(job.now), cursor):
        raise lost(job.poll)
    lock_receiver(connection, job.poll.receiver)
    return put_locked(connection, job.puts)


def _update(connection: PostgresConnection, poll: PollLease, change: str, *values: object) -> bool:
    """Change the row of a source if the lease on it has not ended; return whether that is so.

    Until the transaction ends no other lease on it is given.
    """
    return (
        ask(
            connection,
            f"UPDATE poll SET {change} WHERE receiver = %s AND source = %s AND token = %s",
            [*values, escaped(poll.receiver), escaped(poll.source), poll.token],
        ).rowcount
        == 1
    )


def polls(connection: PostgresConnection) -> list[Poll]:
    """Return how it stands with each source."""
    found = ask(
        connection,
        "SELECT receiver, source, cursor, token IS NOT NULL, until, succeeded, error, failures, moved FROM poll "
        f"WHERE receiver <> '{NOBODY}' ORDER BY 1, 2",
    )
    return [Poll(*all_unescaped(row)) for row in found.fetchall()]
