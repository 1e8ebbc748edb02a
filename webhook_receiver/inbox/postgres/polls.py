"""Polls in a PostgreSQL inbox: the lease on a source, its cursor, and the deliveries that are put together with that.

As in `queries`, each function is a request by itself, in a transaction of its own.
"""

from __future__ import annotations

from ..polls import PutAllJob, kept, lost, new_token
from ..records import Duplicate, Poll, PollLease, Stored
from .insert import lock_receiver, put_locked
from .maintenance import APART
from .rows import PostgresConnection, all_unescaped, ask, escaped


def lease(connection: PostgresConnection, receiver: str, source: str, lease: float, now: float) -> PollLease | None:
    """Take the lease on a source for `lease` seconds from `now`; return None if another one is running."""
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
        "WHERE poll.token IS NULL OR poll.until <= excluded.since RETURNING cursor",
        [*place, token, float(now), float(now + lease)],
    ).fetchone()
    return None if taken is None else PollLease(receiver, source, all_unescaped(taken)[0], token)


def renew(connection: PostgresConnection, poll: PollLease, lease: float, now: float) -> bool:
    """Extend a lease to `lease` seconds from `now`; return whether it goes on."""
    return _update(connection, poll, "since = %s, until = %s", now, now + lease)


def release(connection: PostgresConnection, poll: PollLease, now: float, error: str | None) -> bool:
    """End a lease; return whether it had not ended already."""
    said, succeeded = kept(error), None if error is not None else now
    change = "token = NULL, since = NULL, until = NULL, succeeded = coalesce(%s, succeeded), error = %s"
    return _update(connection, poll, change, succeeded, None if said is None else escaped(said))


def put_all(connection: PostgresConnection, job: PutAllJob) -> list[Stored | Duplicate]:
    """Store a page of deliveries and the cursor behind it; return the result of each delivery.

    Raises:
        PollLeaseLost: the lease has ended.
    """
    cursor = None if job.cursor is None else escaped(job.cursor)
    if not _update(connection, job.poll, "cursor = %s", cursor):
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
        "SELECT receiver, source, cursor, token IS NOT NULL, until, succeeded, error FROM poll ORDER BY 1, 2",
    )
    return [Poll(*all_unescaped(row)) for row in found.fetchall()]
