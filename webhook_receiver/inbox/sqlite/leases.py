"""Leases in a SQLite inbox: deliveries are claimed, renewed, released and settled.

As in `insert`, every function does a batch of jobs inside a transaction.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from ...errors import InboxDamaged, InboxUnavailable
from ...logs import fields
from .. import rows
from ..clock import LeaseTime
from ..owner import Owner
from ..records import Claim, HandlerState, Settlement, State
from . import bodies, ordering, owners, schema, tracking
from .connection import WriterConnection
from .owners import BornLease
from .tracking import UntrackedDelivery
from .writer import Writer

logger = logging.getLogger("webhook_receiver")

_STEPS = 8  # of untracked deliveries with one claim: other processes wait meanwhile
_FEWEST = 256  # untracked deliveries to look at with one step


class ClaimJob(NamedTuple):
    """A call of `Inbox.claim`."""

    receiver: str
    limit: int
    time: LeaseTime
    unix: float
    """The time of the call in Unix seconds."""
    owner: Owner | None = None
    """Who claims, if what is put may be born to it."""
    counted: int = 0
    """How many were handed to the owner, or claimed, when it asked: what came since has taken some of the room."""


class Lease(NamedTuple):
    """A lease: the row of the delivery, and the fencing token that `progress.lease` holds while the lease counts."""

    seq: int
    token: int


class OneByOne(Exception):
    """Raised when a batch cannot be done as one: the writer then does each of its jobs by itself."""


async def claimed(writer: Writer, job: ClaimJob) -> Sequence[Claim]:
    """Claim by a writer. What is claimed for a caller that is cancelled meanwhile is given back: nobody has it."""

    def give_back(asked: asyncio.Future[tuple[list[Claim], bool]]) -> None:
        if asked.cancelled() or asked.exception() is not None:
            return
        claims, _ = asked.result()
        if job.owner is not None:
            job.owner.taken += len(claims)
        with suppress(InboxUnavailable):  # then the leases end by themselves
            writer.submit(release, claims).add_done_callback(lambda released: released.exception())

    look_again = True
    claims: list[Claim] = []
    while look_again:
        asked = writer.submit(claim, job)
        try:
            claims, look_again = await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(give_back)
            raise
    if job.owner is not None:
        job.owner.taken += len(claims)
    return claims


def claim(connection: WriterConnection, jobs: Sequence[ClaimJob]) -> list[tuple[list[Claim], bool]]:
    """Claim the deliveries that are due, and then untracked ones, which are younger.

    Returns:
        For each job its claims, and whether to call again at once, since there may be more.
    """
    results: list[tuple[list[Claim], bool]] = []
    for job in jobs:
        came = 0 if job.owner is None else job.owner.handed - job.counted
        job = job._replace(limit=max(0, job.limit - came), time=job.time.begun())
        claims, look_again = _claim_both(connection, job)
        if job.owner is not None:
            undo = job.owner.count(len(claims))
            connection.undo += (undo,)
            connection.after_commit += (partial(_unless_acknowledged, undo),)
        results.append((claims, look_again))
    return results


def _unless_acknowledged(undo: Callable[[], None], acknowledged: bool) -> None:
    if not acknowledged:
        undo()


def _claim_both(connection: WriterConnection, job: ClaimJob) -> tuple[list[Claim], bool]:
    claims = _claim(connection, job)
    after = tracking.tracked_until(connection)
    born: list[UntrackedDelivery] = []  # which go on without being tracked
    try:
        for _ in range(_STEPS):
            wanted = job.limit - len(claims)
            if not wanted:
                return claims, False
            asked = min(max(wanted, _FEWEST), tracking.AT_ONCE)
            found = tracking.untracked(connection, after, asked)
            taken = _first(found, job, wanted)
            claims += _claim_untracked(connection, job, taken, born)
            if len(taken) == len(found) < asked:
                (after,) = connection.execute(f"SELECT {schema.LAST} FROM position").fetchone()
                owners.nothing_is_free(connection, after)
                return claims, False
            after = taken[-1].seq
            # If that was not enough, some were of other receivers, or wait for an older delivery.
        if not claims:  # so that the next look begins behind them
            tracking.track_leased(connection, born)
            born = []
        return claims, not claims
    finally:
        behind = [each for each in born if each.seq < after - tracking.MOST_BEHIND]
        tracking.track_leased(connection, behind)
        first = next((each.seq for each in born[len(behind) :]), after + 1)
        tracking.advance(connection, min(after, first - 1))


def _claim(connection: WriterConnection, job: ClaimJob) -> list[Claim]:
    acquired: list[int] = []
    # Blocked deliveries are not found again, so that another query finds others.
    while len(acquired) < job.limit:
        found: list[tuple[int, int | None, bool]] = connection.execute(
            "SELECT seq, CASE state WHEN 'waiting' THEN line END, lease IS NOT NULL FROM progress "
            "WHERE receiver = ? AND due <= ? ORDER BY due, seq LIMIT ?",
            (job.receiver, job.time.now, job.limit),
        ).fetchall()
        if any(
            ordering.yield_to_older(connection, seq)
            for seq, order_key_hash, leased in found
            if leased and order_key_hash is not None
        ):
            continue  # a lease has ended by itself, and an older one of its ordering key became due meanwhile
        due: list[ordering.DueDelivery] = [(seq, order_key_hash) for seq, order_key_hash, _ in found]
        acquired = ordering.acquire(connection, due, job.time.now)
        if len(due) < job.limit:
            break
    return _lease(connection, job, acquired) if acquired else []


def _lease(connection: WriterConnection, job: ClaimJob, seqs: Sequence[int]) -> list[Claim]:
    token, until = secrets.randbits(62), job.time.now + job.time.lease
    for some in rows.steps(seqs):
        connection.execute(
            # A lease that is still there was never settled: its worker died, or was too slow.
            "UPDATE OR ROLLBACK progress SET crashes = crashes + (lease IS NOT NULL), lease = ?, due = ?, since = ? "
            f"WHERE seq IN ({rows.placeholders(some)})",
            (token, until, job.time.now, *some),
        )
    return _claims(connection, job, seqs, token)


def _claims(connection: WriterConnection, job: ClaimJob, seqs: Sequence[int], token: int) -> list[Claim]:
    """Return the claims of deliveries that have this lease now; those that turn out to be damaged become DEAD."""
    return [claim for some in rows.steps(sorted(seqs)) for claim in _claims_of(connection, job, some, token)]


def _claims_of(connection: WriterConnection, job: ClaimJob, seqs: Sequence[int], token: int) -> list[Claim]:
    claims: list[Claim] = []
    found: list[tuple[Any, ...]] = connection.execute(
        f"SELECT {rows.OWN}, p.state, p.handlers, p.crashes, p.reason, p.seq, d.body_of "
        "FROM progress p JOIN delivery d USING (seq) "
        f"WHERE p.seq IN ({rows.placeholders(seqs)}) ORDER BY p.seq",
        seqs,
    ).fetchall()
    shared = bodies.shared(connection, [row[-1] for row in found])  # once in memory for all parts of a request
    checksum = rows.Checksums().of
    for row in found:
        state, handlers, crashes, reason, seq, holder = row[-6:]
        try:
            whole = rows.with_body(row, shared[holder]) if holder in shared else row
            delivery, progress = rows.delivery(whole, checksum), rows.progress(handlers)
        except InboxDamaged as damage:
            _bury(connection, seq, row[0], damage, job.unix)
            continue
        claims.append(Claim(delivery, State(state), progress, crashes, reason, Lease(seq, token)))
    return claims


def _first(found: Sequence[UntrackedDelivery], job: ClaimJob, wanted: int) -> Sequence[UntrackedDelivery]:
    """Return the first deliveries, of which no more than `wanted` can be claimed: one of each ordering key."""
    ordered: set[int] = set()
    for place, each in enumerate(found):
        if each.receiver == job.receiver and each.order_key_hash not in ordered and not each.is_leased(job.time.now):
            if not wanted:
                return found[:place]
            wanted -= 1
            if each.order_key_hash is not None:
                ordered.add(each.order_key_hash)
    return found


def _claim_untracked(
    connection: WriterConnection, job: ClaimJob, taken: Sequence[UntrackedDelivery], born: list[UntrackedDelivery]
) -> list[Claim]:
    """Claim untracked deliveries, which are tracked with their leases; those of other receivers are tracked, too.

    Args:
        connection: the connection, inside a transaction.
        job: the call.
        taken: the deliveries, the oldest first.
        born: those before them that are under born leases; it is brought up to date.
    """
    free = [each for each in taken if not each.is_leased(job.time.now)]
    born += [each for each in taken if each.is_leased(job.time.now)]
    if not free:
        return []
    keys = {each.order_key_hash for each in free if each.order_key_hash is not None}
    holding = [each for each in born if each.order_key_hash in keys]
    if holding:
        tracking.track_leased(connection, holding)
        born[:] = [each for each in born if each.order_key_hash not in keys]
    due: list[ordering.DueDelivery] = [
        (each.seq, each.order_key_hash) for each in free if each.receiver == job.receiver
    ]
    acquired = {*ordering.acquire(connection, due, job.time.now)}
    token = secrets.randbits(62)
    leased: tracking.Wait = (job.time.now + job.time.lease, job.time.now, token)
    blocked: tracking.Wait = (None, job.time.now, None)
    tracking.track(connection, free, {seq: leased if seq in acquired else blocked for seq, _ in due})
    if others := [each.seq for each in free if each.receiver != job.receiver]:
        _bury_damaged(connection, others, job.unix)
    return _claims(connection, job, [*acquired], token) if acquired else []


def _bury_damaged(connection: WriterConnection, seqs: Sequence[int], unix: float) -> None:
    """Make those of these deliveries DEAD that are damaged: no receiver may have the name that such a one has now."""
    some = rows.padded(seqs)
    for *row, seq in connection.execute(
        f"SELECT {rows.DELIVERY}, d.seq FROM delivery d WHERE d.seq IN ({rows.placeholders(some)})", some
    ).fetchall():
        try:
            rows.delivery(tuple(row))
        except InboxDamaged as damage:
            _bury(connection, seq, row[0], damage, unix)


def _bury(connection: WriterConnection, seq: int, delivery_id: str, damage: InboxDamaged, unix: float) -> None:
    logger.error(
        "delivery %s is dead: %s", delivery_id, damage, extra=fields(delivery_id=delivery_id, reason=str(damage))
    )
    ordering.bury(connection, seq, str(damage), unix)


def renew(connection: WriterConnection, jobs: Sequence[tuple[Sequence[Claim], LeaseTime]]) -> list[None]:
    """Extend leases; the jobs are the claims, and what they get."""
    for claims, time in jobs:
        now, lease, _ = time.begun()
        found = [_lease_of(claim) for claim in claims]
        until = (State.WAITING, now + lease, now)
        born = [(*each, *until, each.token, None, None, None, None) for each in found if isinstance(each, BornLease)]
        owners.insert(connection, born)
        for leases in rows.steps([each[:2] for each in found]):
            connection.execute(
                f"UPDATE progress SET due = ?, since = ? FROM {rows.as_table(Lease._fields, leases)} AS mine "
                "WHERE progress.seq = mine.seq AND progress.lease = mine.token",
                [now + lease, now, *rows.flat(leases)],
            )
    return [None] * len(jobs)


def release(connection: WriterConnection, jobs: Sequence[Sequence[Claim]]) -> list[None]:
    """End leases as if they had never been given; the jobs are the arguments of `Inbox.release`."""
    for claims in jobs:
        leases = [_lease_of(claim) for claim in claims]
        freed = (State.WAITING, 0.0, None, None, None, None, None, None)
        owners.insert(connection, [(*each, *freed) for each in leases if isinstance(each, BornLease)])
        for some in rows.steps([each[:2] for each in leases]):
            connection.execute(
                f"UPDATE progress SET due = 0, lease = NULL FROM {rows.as_table(Lease._fields, some)} AS mine "
                "WHERE progress.seq = mine.seq AND progress.lease = mine.token",
                rows.flat(some),
            )
        for lease in leases:
            ordering.yield_to_older(connection, lease.seq)
        connection.made_due()
    return [None] * len(jobs)


def save_progress(
    connection: WriterConnection, jobs: Sequence[tuple[Claim, Mapping[str, HandlerState], float]]
) -> list[bool]:
    """Store the states of the handlers of claimed deliveries; return for each whether its lease still counts."""
    return [_save_progress(connection, _lease_of(claim), handlers, now) for claim, handlers, now in jobs]


def _save_progress(
    connection: WriterConnection, lease: Lease | BornLease, handlers: Mapping[str, HandlerState], now: float
) -> bool:
    if isinstance(lease, BornLease):
        until, since = connection.execute(
            "SELECT until, since FROM owner WHERE token = ?", (lease.token,)
        ).fetchone() or (now, now)
        noted = (State.WAITING, until, since, lease.token, None, None, None, None)
        owners.insert(connection, [(*lease, *noted)])
    saved = connection.execute(
        "UPDATE progress SET handlers = ? WHERE seq = ? AND lease = ?", (rows.progress_json(handlers), *lease[:2])
    )
    return saved.rowcount == 1


def settle(connection: WriterConnection, jobs: Sequence[tuple[Settlement, float]]) -> list[bool]:
    """Settle claimed deliveries; return for each whether its lease still counted.

    Raises:
        OneByOne: one lease of several has ended, or two settlements have the same lease.
    """
    paused = _paused(connection, {settlement.paused_by for settlement, _ in jobs if settlement.paused_by is not None})
    table: list[tuple[Any, ...]] = []
    born: list[tuple[Any, ...]] = []
    for (claim, state, progress, due, paused_by, reason, _, finished), now in jobs:
        if paused_by is not None and paused_by not in paused:
            due, paused_by = 0.0, None
        finished = None if state is State.WAITING else finished or now
        lease, handlers = _lease_of(claim), rows.progress_json(progress)
        table.append((*lease[:2], state, due, now, handlers, paused_by, reason, finished))
        if isinstance(lease, BornLease):
            born.append((*lease, state, due, now, None, handlers, paused_by, reason, finished))
    inserted = owners.insert(connection, born)
    rest = [row for row in table if row[0] not in inserted] if inserted else table
    if len(inserted) + _update(connection, rest) < len(jobs):
        if len(jobs) > 1:
            raise OneByOne
        return [False]
    _insert_attempts(connection, [settlement for settlement, _ in jobs if settlement.attempts])
    ordering.release(connection, [row[0] for row in rest if row[2] is not State.WAITING])
    for row in rest:
        if row[2] is State.WAITING:
            ordering.yield_to_older(connection, row[0])
    if any(row[2] is not None and row[0] in inserted and row[3] is not State.WAITING for row in born):
        owners.call_next(connection)
    return [True] * len(jobs)


def _update(connection: WriterConnection, table: Sequence[tuple[Any, ...]]) -> int:
    """End leases with what became of the deliveries; return how many of them still counted."""
    if not table:
        return 0
    columns = ("seq", "token", "state", "due", "now", "handlers", "held", "reason", "settled")
    return connection.execute(
        "UPDATE OR ROLLBACK progress SET state = o.state, due = o.due, since = o.now, lease = NULL, "
        "handlers = o.handlers, crashes = CASE o.state WHEN 'waiting' THEN crashes ELSE 0 END, "
        "held = o.held, reason = o.reason, settled = coalesce(o.settled, progress.settled) "
        f"FROM {rows.as_table(columns, rows.padded(table))} AS o "
        "WHERE progress.seq = o.seq AND progress.lease = o.token",
        rows.flat(rows.padded(table)),
    ).rowcount


def _paused(connection: WriterConnection, handlers: set[str]) -> set[str]:
    if not handlers:
        return set()
    found = connection.execute(
        f"SELECT handler FROM paused WHERE handler IN ({rows.placeholders(handlers)})", list(handlers)
    )
    return {name for (name,) in found.fetchall()}


def _insert_attempts(connection: WriterConnection, settlements: Iterable[Settlement]) -> None:
    for settlement in settlements:
        insert_attempts(connection, _lease_of(settlement.claim).seq, settlement.attempts)


def insert_attempts(connection: WriterConnection, seq: int, attempts: Iterable[Sequence[object]]) -> None:
    """Store failed attempts of the delivery in row `seq`, after those that are stored already."""
    for attempt in attempts:
        connection.execute(
            "INSERT INTO attempt SELECT ?, (SELECT coalesce(max(place), 0) + 1 FROM attempt WHERE seq = ?), "
            "?, ?, ?, ?, ?, ?, ?",
            (seq, seq, *attempt),
        )


def _lease_of(claim: Claim) -> Lease | BornLease:
    lease = claim.lease
    assert isinstance(lease, Lease | BornLease), "a claim of another inbox"  # noqa: S101
    return lease
