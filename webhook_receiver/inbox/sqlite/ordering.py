"""Ordering keys in a SQLite inbox: deliveries of one receiver and ordering key are handled one at a time.

The delivery that is claimed first holds its ordering key until it is done, dead or unhandled; the table `holder` has
the row of the holder of each key, under the hash of the receiver and the key. Other deliveries of the key that are
found due meanwhile are blocked: they lose their `due` time, so that no claim looks at them again until the holder
releases the key. To put a delivery writes nothing about its ordering key, and to claim costs the same however many
deliveries wait for a key.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import rows
from ..records import State, reset_for_replay
from . import tracking
from .connection import WriterConnection

DueDelivery = tuple[int, int | None]
"""The row of a delivery that is due, and the hash of its ordering key (None without one)."""


def acquire(connection: WriterConnection, due: Sequence[DueDelivery], now: float) -> list[int]:
    """Return the rows that may be claimed now, with their ordering keys acquired; block the others.

    Args:
        connection: the connection, inside a transaction.
        due: the deliveries that are due, the oldest first.
        now: the time in Unix seconds.
    """
    holders = _holders(connection, {order_key_hash for _, order_key_hash in due if order_key_hash is not None}, now)
    acquired = [seq for seq, order_key_hash in due if order_key_hash is None]
    blocked: list[int] = []
    new: dict[int, int] = {}
    for seq, order_key_hash in due:
        if order_key_hash is None:
            continue
        holder, leased = holders.get(order_key_hash, (None, False))
        if holder is None or (seq < holder and not leased):  # an older one was replayed meanwhile
            holders[order_key_hash] = seq, False
            new[order_key_hash] = seq
            blocked += [] if holder is None else [holder]
        elif seq != holder:
            blocked.append(seq)
    acquired += [seq for seq, order_key_hash in due if order_key_hash is not None and holders[order_key_hash][0] == seq]
    if new:
        rows.insert(connection, "holder (line, seq)", [*new.items()], otherwise="REPLACE")
    if blocked:
        block(connection, blocked)
    return acquired


def _holders(connection: WriterConnection, order_key_hashes: set[int], now: float) -> dict[int, tuple[int, bool]]:
    """Return the holder of each of these ordering keys, and whether a lease on it is running."""
    return {
        order_key_hash: (seq, bool(leased))
        for asked in rows.steps(order_key_hashes)
        for order_key_hash, seq, leased in connection.execute(
            "SELECT h.line, h.seq, p.lease IS NOT NULL AND p.due > ? FROM holder h JOIN progress p ON p.seq = h.seq "
            f"WHERE h.line IN ({rows.placeholders(asked)})",
            [now, *asked],
        ).fetchall()
    }


def block(connection: WriterConnection, seqs: Sequence[int]) -> None:
    """Block deliveries until the holder of their ordering key releases it; a lease whose time is up ends."""
    for some in rows.steps(seqs):
        connection.execute(
            # A lease whose time is up ends here: only the holder of the ordering key may have one.
            "UPDATE OR ROLLBACK progress SET due = NULL, held = NULL, lease = NULL, "
            f"crashes = crashes + (lease IS NOT NULL) WHERE seq IN ({rows.placeholders(some)})",
            some,
        )


def release(connection: WriterConnection, released: Sequence[int]) -> None:
    """Release the ordering keys that these rows hold, and make the next delivery of each key due."""
    for some in rows.steps(released):
        among = f"({rows.placeholders(some)})"
        found = connection.execute(f"SELECT line FROM holder WHERE seq IN {among}", some).fetchall()
        if found:
            connection.execute(f"DELETE FROM holder WHERE seq IN {among}", some)
            unblock_next(connection, [order_key_hash for (order_key_hash,) in found])


def yield_to_older(connection: WriterConnection, seq: int) -> bool:
    """Yield an ordering key to an older delivery that has become due for it; return whether there was one.

    The holder in row `seq` is not being handled now; it is blocked, and the oldest blocked delivery becomes due.
    """
    found = connection.execute(
        "SELECT h.line FROM holder h WHERE h.seq = ? AND EXISTS (SELECT 1 FROM progress p "
        "WHERE p.line = h.line AND p.state = 'waiting' AND p.due IS NULL AND p.held IS NULL AND p.seq < ?)",
        (seq, seq),
    ).fetchone()
    if found is None:
        return False
    block(connection, [seq])
    release(connection, [seq])
    return True


def unblock_next(connection: WriterConnection, order_key_hashes: Sequence[int]) -> None:
    """Make the oldest blocked delivery of each of these ordering keys due."""
    for some in rows.steps(order_key_hashes):
        unblocked = connection.execute(  # the index gives the first one at once: a key may have thousands that wait
            "UPDATE OR ROLLBACK progress SET due = 0 WHERE seq IN (SELECT (SELECT p.seq FROM progress p "
            "WHERE p.line = o.line AND p.state = 'waiting' AND p.line IS NOT NULL AND p.due IS NULL AND p.held IS NULL "
            f"ORDER BY p.seq LIMIT 1) FROM {rows.as_table(('line',), [(each,) for each in some])} AS o)",
            some,
        )
        if unblocked.rowcount:
            connection.made_due()


def requeue(connection: WriterConnection, seq: int, now: float, handler: str | None = None) -> bool:
    """Make a stored delivery WAITING again, as `Inbox.replay` says; return False if it is just being handled, or has no
    body any more.

    `tracking.track_out_of_turn` comes first.
    """
    found = connection.execute(
        "SELECT state, handlers, body_removed, lease IS NOT NULL AND due > ? FROM progress WHERE seq = ?", (now, seq)
    ).fetchone()
    if found is None:  # it waits, and is due unless it is born leased
        return tracking.end_born_lease(connection, seq, now)
    state, text, body_removed, leased = found
    if body_removed or (state == State.WAITING and leased):
        return False  # there is nothing to handle any more, or it is being handled just now
    handlers = reset_for_replay(State(state), rows.known_progress(text), handler)
    connection.execute(
        "UPDATE progress SET state = 'waiting', due = 0, since = ?, lease = NULL, crashes = 0, handlers = ?, "
        "held = NULL, reason = NULL, settled = NULL WHERE seq = ?",
        (now, rows.progress_json(handlers), seq),
    )
    connection.made_due()
    return True


def bury(connection: WriterConnection, seq: int, reason: str, unix: float) -> None:
    """Make a delivery DEAD for good: no claim finds it, and its ordering key is released.

    Args:
        connection: the connection, inside a transaction.
        seq: the row of the delivery.
        reason: why it is dead.
        unix: the time in Unix seconds.
    """
    connection.execute(
        "UPDATE progress SET state = 'dead', due = NULL, lease = NULL, held = NULL, handlers = NULL, dies = NULL, "
        "reason = ?, settled = ? WHERE seq = ?",
        (reason, unix, seq),
    )
    release(connection, [seq])
