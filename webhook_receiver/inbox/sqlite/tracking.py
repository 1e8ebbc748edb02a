"""Deliveries that are not tracked yet: they have no row in `progress`, so they are WAITING and due at once.

A put writes a delivery's row in `delivery`, and nothing else. Its row in `progress` is written when there is something
to say: that it is leased, blocked, dead or finished. The table `position` has the row up to which all deliveries are
tracked, so that the others are found by a range of numbers, however many deliveries there are.

They are tracked in the order of receipt, so that none is found before an older one of its ordering key. Out of turn
only those are that are dead when they are put; before such a one is replayed, all older ones are tracked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from typing import NamedTuple

from .. import rows
from . import schema

AT_ONCE = 1024
"""The largest number of deliveries that one step tracks, which takes some 5 ms."""

_UNTRACKED = (
    "(SELECT seq, source AS receiver, NULL AS line, 'waiting' AS state, 0.0 AS due, NULL AS lease, NULL AS handlers, "
    "NULL AS held, NULL AS reason, NULL AS settled FROM delivery WHERE seq > (SELECT tracked FROM position) "
    "AND NOT EXISTS (SELECT 1 FROM progress WHERE progress.seq = delivery.seq))"
)


def of_all(select: str) -> str:
    """Return a query of tracked and untracked deliveries: a SELECT from `{progress}`, run on both kinds.

    Its arguments are named, since they are there twice.
    """
    return f"{select.replace('{progress}', 'progress')} UNION ALL {select.replace('{progress}', _UNTRACKED)}"


class UntrackedDelivery(NamedTuple):
    """A delivery that is not tracked yet."""

    seq: int
    """The number of its row."""
    receiver: str
    """The name of its receiver."""
    order_key_hash: int | None
    """The hash of its receiver and ordering key; None without an ordering key."""


Wait = tuple[float | None, float, int | None]
"""The `due` time of a delivery, the time when that wait began, both in Unix seconds, and the token of its lease."""


def oldest(connection: Connection, limit: int) -> list[UntrackedDelivery]:
    """Return up to `limit` untracked deliveries, the oldest first."""
    found = connection.execute(
        "SELECT seq, source, order_key FROM delivery WHERE seq > (SELECT tracked FROM position) "
        "AND NOT EXISTS (SELECT 1 FROM progress WHERE progress.seq = delivery.seq) ORDER BY seq LIMIT ?",
        (limit,),
    )
    return [
        UntrackedDelivery(seq, receiver, rows.order_key_hash(receiver, ordering_key))
        for seq, receiver, ordering_key in found.fetchall()
    ]


def track(connection: Connection, deliveries: Sequence[UntrackedDelivery], waits: Mapping[int, Wait]) -> None:
    """Give the oldest untracked deliveries their rows in `progress`.

    Args:
        connection: the connection, inside a transaction.
        deliveries: the deliveries, the oldest first; none that is older is untracked.
        waits: how some of them wait, by row number; all others are due at once.
    """
    # Due at 0 and not now: a clock that is set back must not make a new delivery wait.
    table = [
        (seq, receiver, order_key_hash, "waiting", *waits.get(seq, (0.0, None, None)))
        for seq, receiver, order_key_hash in deliveries
    ]
    rows.insert(connection, "progress (seq, receiver, line, state, due, since, lease)", table)
    if deliveries:
        connection.execute("UPDATE position SET tracked = ?", (deliveries[-1].seq,))


def complete(connection: Connection) -> None:
    """Note that all deliveries are tracked now."""
    connection.execute(f"UPDATE position SET tracked = {schema.LAST} WHERE tracked < {schema.LAST}")


def damage(connection: Connection) -> str | None:
    """Return a sentence about deliveries that no claim would find; None if there are none."""
    found = connection.execute(
        "SELECT 1 FROM delivery WHERE seq <= (SELECT tracked FROM position) "
        "AND NOT EXISTS (SELECT 1 FROM progress WHERE progress.seq = delivery.seq) LIMIT 1"
    ).fetchone()
    return None if found is None else "it has deliveries without progress, which no worker would find"


def track_older(connection: Connection, seq: int) -> None:
    """Track all deliveries that are older than the one in row `seq`."""
    while older := [each for each in oldest(connection, AT_ONCE) if each.seq < seq]:
        track(connection, older, {})
