"""Leases in a PostgreSQL inbox: they are renewed, released, and end with what became of the deliveries.

As in `arrivals`, every function does a batch of requests inside a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import rows
from ..records import Claim, Outcome, Progress, State
from .lease_rows import Lease, alone, leases_of
from .rows import Connection, all_stored, ask, columns, stored, unstored


def renew(connection: Connection, renewals: Sequence[tuple[Sequence[Claim], float, float]]) -> list[None]:
    """Let leases end later."""
    for claims, lease, now in renewals:
        leases = leases_of(claims)
        alone(connection, [each.seq for each in leases])
        ask(
            connection,
            "UPDATE progress SET due = %s, since = %s FROM unnest(%s::bigint[], %s::bigint[]) AS mine(seq, token) "
            "WHERE progress.seq = mine.seq AND progress.lease = mine.token",
            [now + lease, now, *columns(leases, 2)],
        )
    return [None] * len(renewals)


def release(connection: Connection, releases: Sequence[Sequence[Claim]]) -> list[None]:
    """End leases as if they had never been."""
    for claims in releases:
        ask(
            connection,
            "UPDATE progress SET due = 0, lease = NULL FROM unnest(%s::bigint[], %s::bigint[]) AS mine(seq, token) "
            "WHERE progress.seq = mine.seq AND progress.lease = mine.token",
            columns(leases_of(claims), 2),
        )
    return [None] * len(releases)


def note(connection: Connection, notes: Sequence[tuple[Claim, Mapping[str, Progress]]]) -> list[bool]:
    """Keep how far the handlers are while the lease goes on."""
    return [
        ask(
            connection,
            "UPDATE progress SET handlers = %s WHERE seq = %s AND lease = %s",
            [rows.progress_json(handlers), *lease],
        ).rowcount
        == 1
        for claim, handlers in notes
        for lease in leases_of([claim])
    ]


def settle(connection: Connection, settlements: Sequence[tuple[Outcome, float]]) -> list[bool]:
    """End leases with what became of the deliveries."""
    paused = _paused(connection, {outcome.held for outcome, _ in settlements if outcome.held is not None})
    table: dict[Lease, tuple[Any, ...]] = {}
    outcomes: dict[Lease, Outcome] = {}
    for outcome, now in settlements:
        (lease,) = leases_of([outcome.claim])
        if lease in outcomes:
            continue  # of two under one lease the first one counts
        held = outcome.held if outcome.held in paused else None
        due = 0.0 if outcome.held is not None and held is None else outcome.due
        finished = None if outcome.state is State.WAITING else now
        handlers = rows.progress_json(outcome.handlers)
        said = all_stored((outcome.state.value, due, now, handlers, held, outcome.reason, finished))
        outcomes[lease], table[lease] = outcome, (*lease, *said)
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
    keep_attempts(connection, {lease.seq: outcomes[lease].attempts for lease in ended if outcomes[lease].attempts})
    results: list[bool] = []
    for outcome, _ in settlements:
        (lease,) = leases_of([outcome.claim])
        results.append(lease in ended and outcomes[lease] is outcome)
    return results


def _paused(connection: Connection, handlers: set[str]) -> set[str]:
    if not handlers:
        return set()
    # Shared, so that who resumes one meanwhile waits for us, and then finds what is held.
    found = ask(
        connection,
        "SELECT handler FROM paused WHERE handler = ANY(%s) FOR SHARE",
        [[stored(each) for each in handlers]],
    )
    return {unstored(name) for (name,) in found.fetchall()}


def keep_attempts(connection: Connection, attempts: Mapping[int, Sequence[Sequence[object]]]) -> None:
    """Keep failed attempts by the rows of their deliveries, behind those that are kept already."""
    table = [
        (seq, place, *all_stored(attempt))
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
