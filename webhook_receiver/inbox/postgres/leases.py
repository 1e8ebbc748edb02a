"""Leases in a PostgreSQL inbox: deliveries are claimed, renewed, released and settled.

As in `insert`, every function does a batch of requests inside a transaction.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import InboxDamaged
from ...logs import fields
from .. import rows
from ..records import Claim, HandlerState, Settlement, State
from .rows import DELIVERY, PostgresConnection, all_escaped, all_unescaped, ask, columns, escaped, unescaped


def renew(connection: PostgresConnection, renewals: Sequence[tuple[Sequence[Claim], float, float]]) -> list[None]:
    """Extend leases; the requests are the arguments of `Inbox.renew`."""
    for claims, lease, now in renewals:
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
        ask(
            connection,
            "UPDATE progress SET due = 0, lease = NULL FROM unnest(%s::bigint[], %s::bigint[]) AS mine(seq, token) "
            "WHERE progress.seq = mine.seq AND progress.lease = mine.token",
            columns(leases_of(claims), 2),
        )
    return [None] * len(releases)


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
    """Settle claimed deliveries; return for each whether its lease still counted."""
    paused = _paused(connection, {each.paused_by for each, _ in settlements if each.paused_by is not None})
    table: dict[Lease, tuple[Any, ...]] = {}
    by_lease: dict[Lease, Settlement] = {}
    for settlement, now in settlements:
        (lease,) = leases_of([settlement.claim])
        if lease in by_lease:
            continue  # of two under one lease the first one counts
        paused_by = settlement.paused_by if settlement.paused_by in paused else None
        due = 0.0 if settlement.paused_by is not None and paused_by is None else settlement.due
        finished = None if settlement.state is State.WAITING else now
        handlers = rows.progress_json(settlement.handlers)
        values = all_escaped((settlement.state.value, due, now, handlers, paused_by, settlement.reason, finished))
        by_lease[lease], table[lease] = settlement, (*lease, *values)
    found = ask(
        connection,
        "UPDATE progress SET state = o.state, due = o.due, since = o.now, lease = NULL, "
        "handlers = o.handlers::jsonb, crashes = CASE o.state WHEN 'waiting' THEN crashes ELSE 0 END, "
        "held = o.held, reason = o.reason, settled = coalesce(o.settled, progress.settled) "
        "FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::double precision[], %s::double precision[], "
        "%s::text[], %s::text[], %s::text[], %s::double precision[]) "
        "AS o(seq, token, state, due, now, handlers, held, reason, settled) "
        "WHERE progress.seq = o.seq AND progress.lease = o.token RETURNING o.seq, o.token",
        columns([*table.values()], 9),
    )
    ended = {Lease(*row) for row in found.fetchall()}
    insert_attempts(connection, {lease.seq: by_lease[lease].attempts for lease in ended if by_lease[lease].attempts})
    results: list[bool] = []
    for settlement, _ in settlements:
        (lease,) = leases_of([settlement.claim])
        results.append(lease in ended and by_lease[lease] is settlement)
    return results


def _paused(connection: PostgresConnection, handlers: set[str]) -> set[str]:
    if not handlers:
        return set()
    # Shared, so that a resume meanwhile waits for this transaction, and then finds the waiting deliveries.
    found = ask(
        connection,
        "SELECT handler FROM paused WHERE handler = ANY(%s) FOR SHARE",
        [[escaped(each) for each in handlers]],
    )
    return {unescaped(name) for (name,) in found.fetchall()}


def insert_attempts(connection: PostgresConnection, attempts: Mapping[int, Sequence[Sequence[object]]]) -> None:
    """Store failed attempts by the rows of their deliveries, after those that are stored already."""
    table = [
        (seq, place, *all_escaped(attempt))
        for seq, several in attempts.items()
        for place, attempt in enumerate(several, 1)
    ]
    if table:
        ask(
            connection,
            "INSERT INTO attempt SELECT n.seq, n.place + (SELECT coalesce(max(a.place), 0) FROM attempt a "
            "WHERE a.seq = n.seq), n.handler, n.number, n.started, n.seconds, n.outcome, n.error, n.traceback "
            "FROM unnest(%s::bigint[], %s::integer[], %s::text[], %s::bigint[], %s::double precision[], "
            "%s::double precision[], %s::text[], %s::text[], %s::text[]) "
            "AS n(seq, place, handler, number, started, seconds, outcome, error, traceback)",
            columns(table, 9),
        )


logger = logging.getLogger("webhook_receiver")

NEVER = float("inf")

# Whether no delivery of its ordering key goes before a delivery p, at the time of the argument: an older one that
# waits, or a younger one that is just being handled.
_ITS_TURN = (
    "(p.state = 'dead' OR p.line IS NULL OR NOT EXISTS (SELECT 1 FROM progress o WHERE o.line = p.line "
    "AND o.state = 'waiting' AND (o.seq < p.seq OR (o.seq > p.seq AND o.lease IS NOT NULL AND o.due > %s))))"
)
_OPEN = "p.state IN ('waiting', 'dead') AND p.due <= %s"


class ClaimJob(NamedTuple):
    """A call of `Inbox.claim`; `lease` is in seconds, `now` in Unix seconds."""

    receiver: str
    limit: int
    lease: float
    now: float


class ClaimForJob(NamedTuple):
    """A call of `PostgresInbox.claim_for_job`."""

    seq: int
    job: int
    lease: float
    now: float


class NotYet(NamedTuple):
    """The answer to a job whose delivery cannot be claimed yet."""

    due: float
    """Unix time in seconds at which to try again; NEVER: not until the job is replaced."""
    needs_own_lock: bool = False
    """Whether another delivery of the key goes first although its job comes later: this job must not keep the lock."""


class Lease(NamedTuple):
    """A lease: the row of the delivery, and the fencing token that `progress.lease` holds while the lease counts."""

    seq: int
    token: int


def claim(connection: PostgresConnection, requests: Sequence[ClaimJob]) -> list[list[Claim]]:
    """Claim the deliveries that are due; return the claims for each request."""
    return [_claim(connection, request) for request in requests]


def _claim(connection: PostgresConnection, request: ClaimJob) -> list[Claim]:
    claims: list[Claim] = []
    while (limit := request.limit - len(claims)) > 0:
        found = ask(
            connection,
            f"SELECT p.seq FROM progress p WHERE p.source = %s AND p.state <> 'done' AND {_OPEN} AND {_ITS_TURN} "
            "ORDER BY p.seq LIMIT %s",
            [escaped(request.receiver), request.now, request.now, limit],
        ).fetchall()
        taken, damaged = _lease(connection, [seq for (seq,) in found], request.lease, request.now)
        claims += taken.values()
        if len(found) < limit and not damaged:
            break  # else others took some of them meanwhile, or those behind are free now
    return claims


def claim_for_job(connection: PostgresConnection, requests: Sequence[ClaimForJob]) -> list[Claim | NotYet | None]:
    """Claim the deliveries of jobs; return for each a claim, or until when to wait, or None for a needless job."""
    claims: dict[int, Claim] = {}
    named = {request.seq: request.job for request in requests}
    now = max(request.now for request in requests)  # all together, for they were asked for within moments
    for lease in {request.lease for request in requests}:
        seqs = [request.seq for request in requests if request.lease == lease]
        claims |= _lease(connection, seqs, lease, now, named)[0]
    results: list[Claim | NotYet | None] = []
    for request in requests:
        claimed = claims.pop(request.seq, None)
        results.append(claimed if claimed is not None else _not_yet(connection, request))
    return results


def _not_yet(connection: PostgresConnection, request: ClaimForJob) -> NotYet | None:
    found = ask(
        connection,
        f"SELECT p.job, p.state, p.due, {_ITS_TURN} FROM progress p WHERE p.seq = %s",
        [request.now, request.seq],
    ).fetchone()
    if found is None:
        return None
    job, state, due, its_turn = found
    if job != request.job or (due is None and state != State.WAITING) or state in (State.DONE, State.UNHANDLED):
        return None
    return NotYet(NEVER if due is None else due, needs_own_lock=not its_turn)


def _lease(
    connection: PostgresConnection, seqs: Sequence[int], lease: float, now: float, jobs: Mapping[int, int] | None = None
) -> tuple[dict[int, Claim], bool]:
    """Lease these rows, as far as they are free; return the claims by row, and whether a row was damaged."""
    if not seqs:
        return {}, False
    lock_ordering_keys(connection, seqs)
    token, until = secrets.randbits(62), now + lease
    found = ask(
        connection,
        # The former holder of the ordering key, whose lease is up, loses its lease.
        "WITH mine AS MATERIALIZED (SELECT p.seq, p.line, p.state FROM progress p "
        "LEFT JOIN unnest(%s::bigint[], %s::bigint[]) AS t(seq, job) ON t.seq = p.seq "
        f"WHERE p.seq = ANY(%s) AND (t.job IS NULL OR t.job = p.job) AND {_OPEN} AND {_ITS_TURN}), "
        "ended AS (UPDATE progress o SET due = 0, lease = NULL, crashes = o.crashes + 1 FROM mine "
        "WHERE o.line = mine.line AND mine.state = 'waiting' AND o.state = 'waiting' AND o.lease IS NOT NULL "
        "AND o.seq <> mine.seq) "
        # A lease that is still there was never settled: its worker died, or was too slow.
        "UPDATE progress p SET crashes = p.crashes + (p.lease IS NOT NULL)::integer, lease = %s, due = %s, since = %s "
        f"FROM mine, delivery d WHERE p.seq = mine.seq AND d.seq = mine.seq AND {_OPEN} "
        f"RETURNING {DELIVERY}, p.state, p.handlers::text, p.crashes, p.reason, p.seq",
        [*columns([*(jobs or {}).items()], 2), [*seqs], now, now, token, until, now, now],
    )
    claims: dict[int, Claim] = {}
    damaged = False
    for row in sorted(found.fetchall(), key=lambda row: row[-1]):
        state, handlers, crashes, reason, seq = row[-5:]
        try:
            delivery, progress = rows.delivery(all_unescaped(row[:-5])), rows.progress(handlers)
        except InboxDamaged as damage:
            damaged = True
            extra = fields(delivery_id=row[0], reason=str(damage))
            logger.error("delivery %s is dead: %s", row[0], damage, extra=extra)
            _bury(connection, seq, str(damage), now)
            continue
        reason = None if reason is None else unescaped(reason)
        claims[seq] = Claim(delivery, State(state), progress, crashes, reason, Lease(seq, token))
    return claims, damaged


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


def _bury(connection: PostgresConnection, seq: int, reason: str, now: float) -> None:
    """Make a delivery DEAD for good: no claim finds it."""
    ask(
        connection,
        "UPDATE progress SET state = 'dead', due = NULL, lease = NULL, held = NULL, handlers = NULL, reason = %s, "
        "settled = %s WHERE seq = %s",
        [escaped(reason), now, seq],
    )


def leases_of(claims: Sequence[Claim]) -> list[Lease]:
    """Return the leases of these claims, which this inbox has given."""
    leases = [claim.lease for claim in claims]
    assert all(isinstance(lease, Lease) for lease in leases), "a claim of another inbox"  # noqa: S101
    return [lease for lease in leases if isinstance(lease, Lease)]
