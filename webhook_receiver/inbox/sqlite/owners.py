"""Born leases in a SQLite inbox: what a worker's own process puts is its own from the commit on, without a claim.

The row of such a delivery names its owner for ever. As long as the owner's sign of life, in the table `owner`, has not
ended, a delivery without progress is under its lease; afterwards it is free. Once there is a row in `progress`, that
alone counts.

A born lease of an ordering key holds it without a row in `holder`. So whoever is about to give the key to another
delivery tracks the born lease first, which gives it that row: see `tracking.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from .. import rows
from ..clock import LeaseTime
from ..dedup import PutJob
from ..owner import Owner
from ..records import Claim, Entry, State
from . import schema, tracking
from .connection import WriterConnection

_MOST_LOOKED_AT = 4096  # untracked deliveries among which one of the same ordering key is looked for
_COLUMNS = ("seq", "token", "line", "state", "due", "since", "lease", "handlers", "held", "reason", "settled")


class BornLease(NamedTuple):
    """A lease that a delivery was born with; its token is the owner's."""

    seq: int
    token: int
    order_key_hash: int | None


class OwnJob(NamedTuple):
    """A call of `DirectInbox.own`."""

    owner: Owner
    time: LeaseTime


def own(connection: WriterConnection, jobs: Sequence[OwnJob]) -> list[bool]:
    """Begin or renew signs of life; return for each whether it goes on."""
    return [_own(connection, owner, *time.begun()[:2]) for owner, time in jobs]


def _own(connection: WriterConnection, owner: Owner, now: float, lease: float) -> bool:
    (last,) = connection.execute(f"SELECT {schema.LAST} FROM position").fetchone()
    if owner.seen is None:
        connection.execute("DELETE FROM owner WHERE until <= ?", (now,))
        connection.execute("INSERT INTO owner VALUES (?, ?, ?)", (owner.token, now, now + lease))
    else:
        renewed = connection.execute(
            "UPDATE owner SET since = ?, until = ? WHERE token = ? AND until > ?", (now, now + lease, owner.token, now)
        )
        if renewed.rowcount == 0:
            connection.execute("DELETE FROM owner WHERE token = ?", (owner.token,))
            return False
        _look_after(connection, owner, owner.seen, frozenset(owner.in_hand))

    def committed(acknowledged: bool) -> None:
        owner.seen = last

    connection.after_commit += (committed,)
    return True


def _look_after(connection: Connection, owner: Owner, after: int, held: Collection[str]) -> None:
    """Track the deliveries of an owner that were put after row `after`: those that it holds as leased, others as free.

    What it does not hold was committed by a put that failed all the same, or the worker has let go of it.
    """
    found = [each for each in tracking.untracked(connection, after) if each.born and each.born[2] == owner.token]
    tracking.track_leased(connection, [each for each in found if each.id in held])
    tracking.track(connection, [each for each in found if each.id not in held])


def tokens(connection: Connection) -> list[int]:
    """Return the tokens of all owners."""
    return [token for (token,) in connection.execute("SELECT token FROM owner").fetchall()]


def remove(connection: Connection, tokens: Sequence[int]) -> None:
    """Remove owners that are known to have ended; a statement of its own, outside a transaction."""
    if tokens:
        connection.execute(f"DELETE FROM owner WHERE token IN ({rows.placeholders(tokens)})", tokens)


def disown(connection: WriterConnection, jobs: Sequence[tuple[Owner, Collection[str]]]) -> list[None]:
    """End signs of life; what is held all the same keeps its lease until that ends by itself."""
    for owner, held in jobs:
        if owner.seen is not None:
            _look_after(connection, owner, owner.seen, held)
        connection.execute("DELETE FROM owner WHERE token = ?", (owner.token,))
    return [None] * len(jobs)


def nothing_is_free(connection: WriterConnection, until: int) -> None:
    """Remember that no untracked delivery up to row `until` is free, until the transaction is rolled back."""
    before = connection.nothing_free_until
    connection.undo += (lambda: setattr(connection, "nothing_free_until", before),)
    connection.nothing_free_until = until


def call_next(connection: WriterConnection) -> None:
    """Have the workers look, if one of those that are free may wait for an ordering key that a born lease held."""
    (last,) = connection.execute(f"SELECT {schema.LAST} FROM position").fetchone()
    if connection.nothing_free_until < last:
        connection.made_due()


def born(connection: WriterConnection, new: Sequence[PutJob], last: int) -> list[Owner | None]:
    """Return for each new delivery the owner that it is born to, or None; `last` is the last row that there is.

    None is born to anybody while an older one is free, which would have to wait for it.
    """
    rooms: dict[Owner, int] = {}
    for job in new if connection.nothing_free_until == last else ():
        if job.owner is not None and job.owner not in rooms:
            now = job.owner.clock()
            alive = connection.execute(
                "SELECT 1 FROM owner WHERE token = ? AND until > ? "
                "AND NOT EXISTS (SELECT 1 FROM progress WHERE receiver = ? AND due <= ?)",
                (job.owner.token, now, job.owner.receiver, now),
            ).fetchone()
            rooms[job.owner] = 0 if alive is None else job.owner.room()
    if not any(rooms.values()):
        return [None] * len(new)
    hashes = [rows.order_key_hash(job.entry.delivery.receiver, job.entry.ordering_key) for job in new]
    busy = _busy(connection, {each for each in hashes if each is not None}, last)
    owners: list[Owner | None] = []
    for job, order_key_hash in zip(new, hashes, strict=True):
        owner = job.owner if job.entry.dead is None and order_key_hash not in busy else None
        if owner is not None and rooms[owner] > 0:
            rooms[owner] -= 1
            owners.append(owner)
        else:
            owners.append(None)
        if order_key_hash is not None:
            busy.add(order_key_hash)
    if None not in owners:
        nothing_is_free(connection, last + len(new))
    return owners


def _busy(connection: WriterConnection, order_key_hashes: set[int], last: int) -> set[int]:
    """Return those of the ordering keys for which a delivery is waiting, or may be."""
    if not order_key_hashes:
        return set()
    tracked = tracking.tracked_until(connection)
    if last - tracked > _MOST_LOOKED_AT:
        return order_key_hashes
    waiting = set[int]()
    for asked in rows.steps(order_key_hashes):
        found = connection.execute(  # one look into the index for each: a key may have thousands that wait
            f"SELECT o.line FROM {rows.as_table(('line',), [(each,) for each in asked])} AS o WHERE EXISTS "
            "(SELECT 1 FROM progress p WHERE p.line = o.line AND p.state = 'waiting' AND p.line IS NOT NULL)",
            asked,
        )
        waiting |= {line for (line,) in found.fetchall()}
    untracked = tracking.untracked(connection, tracked)
    # So that the next put looks at few: where all are born leased, hardly any claim does it.
    tracking.advance(connection, untracked[0].seq - 1 if untracked else last)
    return waiting | {each.order_key_hash for each in untracked if each.order_key_hash}


def hand_over(connection: WriterConnection, owner: Owner, new: Sequence[tuple[int, Entry]]) -> None:
    """Hand deliveries over to their owner once they are committed: the number of the row and the entry of each."""
    claims = [
        Claim(
            entry.delivery,
            State.WAITING,
            {},
            0,
            None,
            BornLease(seq, owner.token, rows.order_key_hash(entry.delivery.receiver, entry.ordering_key)),
            entry.parsed,
        )
        for seq, entry in new
    ]

    def committed(acknowledged: bool) -> None:
        if acknowledged:
            owner.hand_over(claims)
        else:
            owner.give_up(claims)

    connection.undo += (owner.expect(claims),)  # at once, since a renewal may share the commit
    connection.after_commit += (committed,)


def insert(connection: Connection, table: Sequence[Sequence[Any]]) -> set[int]:
    """Insert progress of born leases, where that is left to their owner; return the rows where it was.

    Args:
        connection: the connection, inside a transaction.
        table: of each the number of its row, the owner's token, the hash of the ordering key, and then the values of
            `state`, `due`, `since`, `lease`, `handlers`, `held`, `reason` and `settled`.
    """
    found = set[int]()
    for some in rows.steps(table):
        inserted = connection.execute(
            "INSERT INTO progress (seq, receiver, line, state, due, since, lease, handlers, held, reason, settled) "
            "SELECT o.seq, d.source, o.line, o.state, o.due, o.since, o.lease, o.handlers, o.held, o.reason, o.settled "
            f"FROM {rows.as_table(_COLUMNS, some)} AS o CROSS JOIN delivery d ON d.seq = o.seq AND d.owner = o.token "
            "WHERE true ON CONFLICT DO NOTHING RETURNING seq",
            rows.flat(some),
        )
        found |= {seq for (seq,) in inserted.fetchall()}
    # What goes on waiting goes on holding its ordering key.
    held = [(row[2], row[0]) for row in table if row[0] in found and row[2] is not None and row[3] == State.WAITING]
    rows.insert(connection, "holder (line, seq)", held, otherwise="IGNORE")
    return found
