"""Claims in a PostgreSQL inbox: deliveries are leased, those that are due or the one that a job is for.

As in `arrivals`, every function does a batch of requests inside a transaction.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...errors import InboxDamaged
from .. import rows
from ..records import Claim, State
from .rows import DELIVERY, Connection, all_unstored, ask, columns, stored, unstored

logger = logging.getLogger("webhook_receiver")

NEVER = float("inf")

# Whether nobody of its line goes before a delivery p that waits, or is just being handled, at the time of the argument.
_ITS_TURN = (
    "(p.state = 'dead' OR p.line IS NULL OR NOT EXISTS (SELECT 1 FROM progress o WHERE o.line = p.line "
    "AND o.state = 'waiting' AND (o.seq < p.seq OR (o.seq > p.seq AND o.lease IS NOT NULL AND o.due > %s))))"
)
_OPEN = "p.state IN ('waiting', 'dead') AND p.due <= %s"


class Take(NamedTuple):
    """Deliveries to claim."""

    source: str
    limit: int
    lease: float
    now: float


class Ticket(NamedTuple):
    """One delivery to claim for its job."""

    seq: int
    job: int
    lease: float
    now: float


class Later(NamedTuple):
    """What a ticket is good for just now: nothing, until then."""

    due: float
    """In Unix seconds; NEVER: until it is withdrawn."""
    alone: bool = False
    """Whether another one of its line goes first, although its job comes later."""


class Lease(NamedTuple):
    """Which row is leased, and the mark of the lease."""

    seq: int
    token: int


def claim(connection: Connection, takes: Sequence[Take]) -> list[list[Claim]]:
    """Lease what is due."""
    return [_claim(connection, take) for take in takes]


def _claim(connection: Connection, take: Take) -> list[Claim]:
    claims: list[Claim] = []
    while (limit := take.limit - len(claims)) > 0:
        found = ask(
            connection,
            f"SELECT p.seq FROM progress p WHERE p.source = %s AND p.state <> 'done' AND {_OPEN} AND {_ITS_TURN} "
            "ORDER BY p.seq LIMIT %s",
            [stored(take.source), take.now, take.now, limit],
        ).fetchall()
        taken, damaged = _lease(connection, [seq for (seq,) in found], take.lease, take.now)
        claims += taken.values()
        if len(found) < limit and not damaged:
            break  # else others took some of them meanwhile, or those behind are free now
    return claims


def take(connection: Connection, tickets: Sequence[Ticket]) -> list[Claim | Later | None]:
    """Lease the deliveries of these jobs; None for a job that has nothing left to do."""
    claims: dict[int, Claim] = {}
    named = {ticket.seq: ticket.job for ticket in tickets}
    now = max(ticket.now for ticket in tickets)  # all together, for they were asked for within moments
    for lease in {ticket.lease for ticket in tickets}:
        seqs = [ticket.seq for ticket in tickets if ticket.lease == lease]
        claims |= _lease(connection, seqs, lease, now, named)[0]
    results: list[Claim | Later | None] = []
    for ticket in tickets:
        claimed = claims.pop(ticket.seq, None)
        results.append(claimed if claimed is not None else _later(connection, ticket))
    return results


def _later(connection: Connection, ticket: Ticket) -> Later | None:
    found = ask(
        connection,
        f"SELECT p.job, p.state, p.due, {_ITS_TURN} FROM progress p WHERE p.seq = %s",
        [ticket.now, ticket.seq],
    ).fetchone()
    if found is None:
        return None
    job, state, due, its_turn = found
    if job != ticket.job or (due is None and state != State.WAITING) or state in (State.DONE, State.UNHANDLED):
        return None
    return Later(NEVER if due is None else due, alone=not its_turn)


def _lease(
    connection: Connection, seqs: Sequence[int], lease: float, now: float, jobs: Mapping[int, int] | None = None
) -> tuple[dict[int, Claim], bool]:
    """Lease these, as far as they are free, by their rows; and whether one of them was damaged."""
    if not seqs:
        return {}, False
    alone(connection, seqs)
    token, until = secrets.randbits(62), now + lease
    found = ask(
        connection,
        # Whoever had the line before, and whose lease is up, has it no more.
        "WITH mine AS MATERIALIZED (SELECT p.seq, p.line, p.state FROM progress p "
        "LEFT JOIN unnest(%s::bigint[], %s::bigint[]) AS t(seq, job) ON t.seq = p.seq "
        f"WHERE p.seq = ANY(%s) AND (t.job IS NULL OR t.job = p.job) AND {_OPEN} AND {_ITS_TURN}), "
        "ended AS (UPDATE progress o SET due = 0, lease = NULL, crashes = o.crashes + 1 FROM mine "
        "WHERE o.line = mine.line AND mine.state = 'waiting' AND o.state = 'waiting' AND o.lease IS NOT NULL "
        "AND o.seq <> mine.seq) "
        # A lease that is still there was never settled: whoever had it died, or was too slow.
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
            delivery, progress = rows.delivery(all_unstored(row[:-5])), rows.progress(handlers)
        except InboxDamaged as damage:
            damaged = True
            logger.error("delivery %s is dead: %s", row[0], damage)
            _bury(connection, seq, str(damage), now)
            continue
        reason = None if reason is None else unstored(reason)
        claims[seq] = Claim(delivery, State(state), progress, crashes, reason, Lease(seq, token))
    return claims, damaged


def alone(connection: Connection, seqs: Sequence[int]) -> None:
    """Wait until nobody else claims or renews in the lines of these, and let others wait for us."""
    ask(
        connection,  # in one order everywhere, so that no two wait for each other
        "SELECT pg_advisory_xact_lock(line) FROM (SELECT DISTINCT line FROM progress WHERE seq = ANY(%s) "
        "AND line IS NOT NULL ORDER BY line) AS lines",
        [[*seqs]],
    )


def _bury(connection: Connection, seq: int, reason: str, now: float) -> None:
    """Let a delivery be dead, and let nobody claim it."""
    ask(
        connection,
        "UPDATE progress SET state = 'dead', due = NULL, lease = NULL, held = NULL, handlers = NULL, reason = %s, "
        "settled = %s WHERE seq = %s",
        [stored(reason), now, seq],
    )


def leases_of(claims: Sequence[Claim]) -> list[Lease]:
    """Return the leases of these claims, which this inbox has given."""
    leases = [claim.lease for claim in claims]
    assert all(isinstance(lease, Lease) for lease in leases), "a claim of another inbox"  # noqa: S101
    return [lease for lease in leases if isinstance(lease, Lease)]
