"""Leases in a PostgreSQL inbox: deliveries are claimed, renewed, released and settled.

As in `insert`, every function does a batch of requests inside a transaction.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg

from ...errors import InboxDamaged, InboxUnavailable
from ...logs import fields
from .. import rows
from ..clock import LeaseTime
from ..records import Claim, HandlerState, Settlement, State
from . import bodies
from .rows import (
    BY_INDEX,
    PostgresConnection,
    PostgresOperation,
    all_escaped,
    all_unescaped,
    ask,
    columns,
    escaped,
    unescaped,
)
from .writer import Writer


def renew(connection: PostgresConnection, renewals: Sequence[tuple[Sequence[Claim], LeaseTime]]) -> list[None]:
    """Extend leases; the requests are the claims, and what they get."""
    for claims, time in renewals:
        now, lease, _ = time.begun()
        leases = leases_of(claims)
        lock_ordering_keys(connection, [each.seq for each in leases])
        ask(
            connection,
            "UPDATE progress SET due = %s, since = %s FROM unnest(%s::bigint[], %s::bigint[]) AS mine(seq, token) "
            "WHERE progress.seq = mine.seq AND progress.lease = mine.token",
            [now + lease, now, *columns(leases, 2)],
        )
    return [None] * len(renewals)


def release(connection: PostgresConnection, releases: Sequence[Sequence[Claim]]) -> list[None]:
    """End leases as if they had never been given; the requests are the arguments of `Inbox.release`."""
    for claims in releases:
        _release(connection, leases_of(claims))
    return [None] * len(releases)


def _release(connection: PostgresConnection, leases: Sequence[Lease]) -> None:
    ask(
        connection,
        "UPDATE progress SET due = 0, lease = NULL FROM unnest(%s::bigint[], %s::bigint[]) AS mine(seq, token) "
        "WHERE progress.seq = mine.seq AND progress.lease = mine.token",
        columns(leases, 2),
    )


def save_progress(
    connection: PostgresConnection, updates: Sequence[tuple[Claim, Mapping[str, HandlerState]]]
) -> list[bool]:
    """Store the states of the handlers of claimed deliveries; return for each whether its lease still counts."""
    return [
        ask(
            connection,
            "UPDATE progress SET handlers = %s::jsonb WHERE seq = %s AND lease = %s",
            [rows.progress_json(handlers), *lease],
        ).rowcount
        == 1
        for claim, handlers in updates
        for lease in leases_of([claim])
    ]


def settle(connection: PostgresConnection, settlements: Sequence[tuple[Settlement, float]]) -> list[bool]:
    """Settle claimed deliveries by one statement; return for each whether its lease still counted."""
    table: dict[Lease, tuple[Any, ...]] = {}
    by_lease: dict[Lease, Settlement] = {}
    attempts: list[tuple[Any, ...]] = []
    for settlement, now in settlements:
        (lease,) = leases_of([settlement.claim])
        if lease in by_lease:
            continue  # of two under one lease the first one counts
        finished = None if settlement.state is State.WAITING else settlement.finished or now
        handlers = rows.progress_json(settlement.handlers)
        values = (settlement.state.value, settlement.due, now, handlers, settlement.paused_by, settlement.reason)
        by_lease[lease], table[lease] = settlement, (*lease, *all_escaped(values), finished)
        attempts += _attempt_rows(lease.seq, settlement.attempts)
    found = ask(
        connection,
        # Shared, so that a resume meanwhile waits for this transaction, and then finds the waiting deliveries.
        "WITH stopped AS MATERIALIZED (SELECT handler FROM paused WHERE handler = ANY(%s) FOR SHARE), "
        "o AS (SELECT n.*, s.handler AS held FROM unnest(%s::bigint[], %s::bigint[], %s::text[], "
        "%s::double precision[], %s::double precision[], %s::text[], %s::text[], %s::text[], %s::double precision[]) "
        "AS n(seq, token, state, due, now, handlers, paused_by, reason, settled) "
        "LEFT JOIN stopped s ON s.handler = n.paused_by), "
        "ended AS (UPDATE progress SET state = o.state, lease = NULL, since = o.now, "
        "due = CASE WHEN o.paused_by IS NOT NULL AND o.held IS NULL THEN 0 ELSE o.due END, "
        "handlers = o.handlers::jsonb, crashes = CASE o.state WHEN 'waiting' THEN crashes ELSE 0 END, "
        "held = o.held, reason = o.reason, settled = coalesce(o.settled, progress.settled) "
        "FROM o WHERE progress.seq = o.seq AND progress.lease = o.token RETURNING o.seq, o.token), "
        f"failed AS ({_INSERT_ATTEMPTS} JOIN ended USING (seq)) "
        "SELECT seq, token FROM ended",
        [
            [*{row[6] for row in table.values()} - {None}],
            *columns([*table.values()], 9),
            *columns(attempts, 9),
        ],
    )
    ended = {Lease(*row) for row in found.fetchall()}
    results: list[bool] = []
    for settlement, _ in settlements:
        (lease,) = leases_of([settlement.claim])
        results.append(lease in ended and by_lease[lease] is settlement)
    return results


_INSERT_ATTEMPTS = (
    "INSERT INTO attempt SELECT n.seq, n.place + (SELECT coalesce(max(a.place), 0) FROM attempt a "
    "WHERE a.seq = n.seq), n.handler, n.number, n.started, n.seconds, n.outcome, n.error, n.traceback "
    "FROM unnest(%s::bigint[], %s::integer[], %s::text[], %s::bigint[], %s::double precision[], "
    "%s::double precision[], %s::text[], %s::text[], %s::text[]) "
    "AS n(seq, place, handler, number, started, seconds, outcome, error, traceback)"
)


def _attempt_rows(seq: int, attempts: Sequence[Sequence[object]]) -> list[tuple[Any, ...]]:
    return [(seq, place, *all_escaped(attempt)) for place, attempt in enumerate(attempts, 1)]


def insert_attempts(connection: PostgresConnection, attempts: Iterable[tuple[int, Sequence[Sequence[object]]]]) -> None:
    """Store failed attempts of the deliveries in some rows, after those that are stored already."""
    table = [row for seq, some in attempts for row in _attempt_rows(seq, some)]
    if table:
        ask(connection, _INSERT_ATTEMPTS, columns(table, 9))


logger = logging.getLogger("webhook_receiver")

_FREE = "webhook_receiver.free"
"""The setting by which the first statement of a claim tells the second one which rows it found."""

# Whether no delivery of its ordering key goes before a delivery p, at the time of the argument: an older one that
# waits, or a younger one that is just being handled. By subqueries that are asked for one delivery after the other: a
# join would read all that wait. The first one is LATERAL, so that it is asked once for each key of which many wait
# (postgresql.org/docs/current/runtime-config-query.html#GUC-ENABLE-MEMOIZE), if the statistics tell of that.
_FIRST = (
    "LEFT JOIN LATERAL (SELECT o.seq FROM progress o WHERE o.line = p.line AND o.state = 'waiting' "
    "ORDER BY o.seq LIMIT 1) AS first ON true"
)
_ITS_TURN = (
    "(p.state = 'dead' OR p.line IS NULL OR (p.seq = first.seq AND (SELECT o.seq FROM progress o WHERE o.line = p.line "
    "AND o.state = 'waiting' AND o.seq > p.seq AND o.lease IS NOT NULL AND o.due > %s LIMIT 1) IS NULL))"
)
_OPEN = "p.open AND p.due <= %s"


class ClaimJob(NamedTuple):
    """A call of `Inbox.claim`."""

    receiver: str
    limit: int
    time: LeaseTime
    unix: float
    """The time of the call in Unix seconds."""
    leases: list[Lease]
    """The leases that it gets: none at first, all of them before they are committed."""


class Lease(NamedTuple):
    """A lease: the row of the delivery, and the fencing token that `progress.lease` holds while the lease counts."""

    seq: int
    token: int


async def claimed(writer: Writer, job: ClaimJob) -> Sequence[Claim]:
    """Claim by a writer. What is leased for a caller that has gone, or is told of an error, is given back."""
    asked = writer.enqueue(claim, job)
    try:
        return await writer.result_of(asked)
    except (asyncio.CancelledError, InboxUnavailable):
        if asked.cancelled() or job.leases:  # it may be under way, or committed
            with suppress(InboxUnavailable):  # then the leases end by themselves
                writer.enqueue(give_back, job).add_done_callback(lambda given_back: given_back.exception())
        raise


def give_back(connection: PostgresConnection, jobs: Sequence[ClaimJob]) -> list[None]:
    """Release the leases of claims of which nobody knows whether they were committed; the requests are the claims."""
    leases = [lease for job in jobs for lease in job.leases]
    if leases:
        # The server ends a commit whose connection was lost, and until then shows nobody these leases.
        ask(
            connection,
            "SELECT seq FROM progress WHERE seq = ANY(%s) ORDER BY seq FOR UPDATE",
            [[lease.seq for lease in leases]],
        )
        _release(connection, leases)
    return [None] * len(jobs)


def claim(connection: PostgresConnection, requests: Sequence[ClaimJob], again: int = 3) -> list[list[Claim]]:
    """Claim the deliveries that are due; return the claims for each request.

    The first statement finds them and locks their ordering keys, and the second one sees what is true under the locks.
    They go to the server together, as one transaction, which the end of the pipeline commits
    (postgresql.org/docs/current/libpq-pipeline-mode.html#LIBPQ-PIPELINE-SENDING).
    """
    requests = [request._replace(time=request.time.begun()) for request in requests]
    with connection.pipeline():
        ask(connection, BY_INDEX)
        leased = [_lease(connection, request) for request in requests]
        found = [sorted(cursor.fetchall(), key=lambda row: row[-3]) for cursor in leased]
        for request, taken in zip(requests, found, strict=True):
            request.leases.extend(Lease(*row[-3:-1]) for row in taken)
    parts = [row[-3] for taken in found for row in taken if row[-1] is not None]
    shared = bodies.shared(connection, parts) if parts else {}
    results = [_claims(connection, request, taken, shared) for request, taken in zip(requests, found, strict=True)]
    if again and any(len(claims) < len(taken) for claims, taken in zip(results, found, strict=True)):
        rest = [each._replace(limit=each.limit - len(claims)) for each, claims in zip(requests, results, strict=True)]
        more = claim(connection, rest, again - 1)  # those behind a damaged one are free now
        results = [claims + others for claims, others in zip(results, more, strict=True)]
    return results


def _lease(connection: PostgresConnection, request: ClaimJob) -> psycopg.Cursor[tuple[Any, ...]]:
    now, token = request.time.now, secrets.randbits(62)
    ask(
        connection,
        f"WITH free AS MATERIALIZED (SELECT p.seq, p.line FROM progress p {_FIRST} WHERE p.source = %s "
        f"AND {_OPEN} AND {_ITS_TURN} ORDER BY p.seq LIMIT %s FOR UPDATE OF p SKIP LOCKED), "
        # In one order everywhere, so that no two wait for each other.
        "locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(line) FROM (SELECT DISTINCT line FROM free "
        "WHERE line IS NOT NULL ORDER BY line) AS lines) "
        f"SELECT set_config('{_FREE}', (SELECT coalesce(array_agg(seq), '{{}}')::text FROM free), true), "
        "(SELECT count(*) FROM locked)",
        [escaped(request.receiver), now, now, request.limit],
    )
    return ask(
        connection,
        f"WITH mine AS MATERIALIZED (SELECT p.seq, p.line, p.state FROM progress p {_FIRST} "
        f"WHERE p.seq = ANY(current_setting('{_FREE}')::bigint[]) AND {_OPEN} AND {_ITS_TURN}), "
        # The former holder of the ordering key, whose lease is up, loses its lease.
        "ended AS (UPDATE progress o SET due = 0, lease = NULL, crashes = o.crashes + 1 FROM mine "
        "WHERE o.line = mine.line AND mine.state = 'waiting' AND o.state = 'waiting' AND o.lease IS NOT NULL "
        "AND o.seq <> mine.seq) "
        # A lease that is still there was never settled: its worker died, or was too slow.
        "UPDATE progress p SET crashes = p.crashes + (p.lease IS NOT NULL)::integer, lease = %s, due = %s, since = %s "
        f"FROM mine, delivery d WHERE p.seq = mine.seq AND d.seq = mine.seq "
        f"RETURNING {rows.OWN}, p.state, p.handlers::text, p.crashes, p.reason, p.seq, p.lease, d.body_of",
        [now, now, token, now + request.time.lease, now],
    )


def _claims(
    connection: PostgresConnection,
    request: ClaimJob,
    found: Sequence[tuple[Any, ...]],
    shared: Mapping[int, tuple[bytes, bytes]],
) -> list[Claim]:
    """Return the claims of leased rows; a damaged one is DEAD instead."""
    claims: list[Claim] = []
    checksum = rows.Checksums().of
    for row in found:
        state, handlers, crashes, reason, *lease, _ = row[-7:]
        try:
            whole = rows.with_body(row, shared[lease[0]]) if lease[0] in shared else row
            delivery, progress = rows.delivery(all_unescaped(whole[:-7]), checksum), rows.progress(handlers)
        except InboxDamaged as damage:
            extra = fields(delivery_id=row[0], reason=str(damage))
            logger.error("delivery %s is dead: %s", row[0], damage, extra=extra)
            _bury(connection, lease[0], str(damage), request.unix)
            continue
        reason = None if reason is None else unescaped(reason)
        claims.append(Claim(delivery, State(state), progress, crashes, reason, Lease(*lease)))
    return claims


def lock_ordering_keys(connection: PostgresConnection, seqs: Sequence[int]) -> None:
    """Lock the ordering keys of these rows against other claims and renewals, until the transaction ends.

    The locks are advisory (postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS).
    """
    ask(
        connection,  # in one order everywhere, so that no two wait for each other
        "SELECT pg_advisory_xact_lock(line) FROM (SELECT DISTINCT line FROM progress WHERE seq = ANY(%s) "
        "AND line IS NOT NULL ORDER BY line) AS lines",
        [[*seqs]],
    )


def _bury(connection: PostgresConnection, seq: int, reason: str, unix: float) -> None:
    """Make a delivery DEAD for good: no claim finds it."""
    ask(
        connection,
        "UPDATE progress SET state = 'dead', due = NULL, lease = NULL, held = NULL, handlers = NULL, reason = %s, "
        "settled = %s WHERE seq = %s",
        [escaped(reason), unix, seq],
    )


def leases_of(claims: Sequence[Claim]) -> list[Lease]:
    """Return the leases of these claims, which this inbox has given."""
    leases = [claim.lease for claim in claims]
    assert all(isinstance(lease, Lease) for lease in leases), "a claim of another inbox"  # noqa: S101
    return [lease for lease in leases if isinstance(lease, Lease)]


AT_ONCE: Collection[PostgresOperation[Any, Any]] = (claim, settle)
"""The operations that need no transaction around them, being one: each goes to the server in one turn."""
