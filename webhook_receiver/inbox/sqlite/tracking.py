"""Deliveries that are not tracked yet: they have no row in `progress`, so they are WAITING, and due at once.

A put writes a delivery's row in `delivery`, and nothing else. Its row in `progress` is written when there is something
to say: that it is leased, blocked, dead or finished. The table `position` has the row up to which all deliveries are
tracked, so that the others are found by a range of numbers, however many deliveries there are.

An untracked delivery whose owner is alive is under a born lease: see `owners.py`. All others are free. They are tracked
in the order of receipt, so that none is found before an older one of its ordering key. Out of turn only those are that
are dead when they are put; before such a one is replayed, all older ones of its key are tracked. So are born leases of
the key of whatever is to wait anew, for they hold it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from sqlite3 import Connection
from typing import NamedTuple

from .. import rows

AT_ONCE = 1024
"""The largest number of deliveries that one step tracks, which takes some 5 ms."""
MOST_BEHIND = 1024
"""How far behind the last delivery a born lease may be before it is tracked: what is between is looked at again."""

_MANY_BEHIND = 128  # rows by which `position` may be behind, so that not every commit writes to it
IS_UNTRACKED = "NOT EXISTS (SELECT 1 FROM progress WHERE progress.seq = d.seq)"
"""The condition that a delivery, of table alias d, is untracked."""
_WHERE_UNTRACKED = f"WHERE d.seq > (SELECT tracked FROM position) AND {IS_UNTRACKED}"
ALL_UNTRACKED = f"FROM delivery d {_WHERE_UNTRACKED}"
"""Of a query of the untracked deliveries, as table alias d."""
_UNTRACKED = (
    "(SELECT d.seq, d.source AS receiver, NULL AS line, 'waiting' AS state, coalesce(o.until, 0.0) AS due, "
    "o.token AS lease, NULL AS handlers, NULL AS held, NULL AS reason, NULL AS settled, "
    "0 AS body_removed "
    "FROM delivery d LEFT JOIN owner o ON o.token = d.owner "
    f"{_WHERE_UNTRACKED})"
)


def of_all(select: str, condition: str = "1") -> str:
    """Return a query of tracked and untracked deliveries: a SELECT from `{progress}`, run on both kinds.

    Its arguments are named, since they are there twice.

    Args:
        select: the SELECT.
        condition: a condition on tracked deliveries alone, which replaces `{of_tracked}`.
    """
    untracked = select.replace("{progress}", _UNTRACKED).replace("{of_tracked}", "1")
    return f"{of_tracked(select, condition)} UNION ALL {untracked}"


def of_tracked(select: str, condition: str = "1") -> str:
    """Return a query of tracked deliveries, see `of_all`."""
    return select.replace("{progress}", "progress").replace("{of_tracked}", condition)


Wait = tuple[float | None, float | None, int | None]
"""The `due` time of a delivery, the time when that wait began, both in Unix seconds, and the token of its lease."""

_FREE: Wait = (0.0, None, None)  # due at 0 and not now: a clock that is set back must not make a new delivery wait


class UntrackedDelivery(NamedTuple):
    """A delivery that is not tracked yet."""

    seq: int
    """The number of its row."""
    id: str
    """Its id."""
    receiver: str
    """The name of its receiver."""
    order_key_hash: int | None
    """The hash of its receiver and ordering key; None without an ordering key."""
    owner: int | None
    """The token of the owner that it was born to, alive or not; None without one."""
    born: Wait | None
    """How it waits as long as its born lease counts; None without an owner, and once that has ended in good order."""

    def is_leased(self, now: float) -> bool:
        """Return whether its born lease is running at `now`, in Unix seconds."""
        return self.born is not None and self.born[0] is not None and self.born[0] > now


def tracked_until(connection: Connection) -> int:
    """Return the row up to which all deliveries are tracked."""
    (found,) = connection.execute("SELECT tracked FROM position").fetchone()
    return int(found)


def untracked(
    connection: Connection, after: int, limit: int = -1, *, born_or_before: int = 2**63 - 1
) -> list[UntrackedDelivery]:
    """Return the untracked deliveries after row `after`, the oldest first.

    Args:
        connection: the connection.
        after: the row.
        limit: the largest number of them; all if it is negative.
        born_or_before: a row from which on only those with an owner are returned.
    """
    found = connection.execute(
        "SELECT d.seq, d.id, d.source, d.order_key, d.owner, o.until, o.since, o.token "
        "FROM delivery d LEFT JOIN owner o ON o.token = d.owner "
        f"WHERE d.seq > ? AND (d.seq < ? OR d.owner IS NOT NULL) AND {IS_UNTRACKED} ORDER BY d.seq LIMIT ?",
        (after, born_or_before, limit),
    )
    return [
        UntrackedDelivery(
            *(seq, id, receiver, rows.order_key_hash(receiver, ordering_key), owner),
            None if wait[2] is None else tuple(wait),
        )
        for seq, id, receiver, ordering_key, owner, *wait in found.fetchall()
    ]


def track(connection: Connection, deliveries: Iterable[UntrackedDelivery], waits: Mapping[int, Wait] = {}) -> None:
    """Give untracked deliveries their rows in `progress`.

    Args:
        connection: the connection, inside a transaction.
        deliveries: the deliveries.
        waits: how some of them wait, by row number; all others are free, and due at once.
    """
    table = [
        (each.seq, each.receiver, each.order_key_hash, "waiting", *waits.get(each.seq, _FREE)) for each in deliveries
    ]
    rows.insert(connection, "progress (seq, receiver, line, state, due, since, lease)", table)


def track_leased(connection: Connection, born: Collection[UntrackedDelivery]) -> None:
    """Track deliveries under born leases, which go on as any other lease; the table `holder` has their keys now."""
    track(connection, born, {each.seq: each.born for each in born if each.born is not None})
    holders = [(each.order_key_hash, each.seq) for each in born if each.order_key_hash is not None]
    rows.insert(connection, "holder (line, seq)", holders, otherwise="REPLACE")


def advance(connection: Connection, to: int) -> None:
    """Note that all deliveries up to row `to` are tracked, if that is worth a write to the table."""
    connection.execute("UPDATE position SET tracked = ? WHERE tracked < ?", (to, to - _MANY_BEHIND))


def track_out_of_turn(connection: Connection, seqs: Collection[int]) -> None:
    """Track what those of these deliveries that are tracked must not pass when they wait anew: what is untracked before
    them of their ordering keys, and the born leases of these keys.

    Args:
        connection: the connection, inside a transaction.
        seqs: the rows of the deliveries.
    """
    keys: dict[int | None, int] = {}
    for seq in sorted(seqs):
        for receiver, ordering_key in connection.execute(
            f"SELECT source, order_key FROM delivery d WHERE seq = ? AND order_key IS NOT NULL AND NOT {IS_UNTRACKED}",
            (seq,),
        ).fetchall():
            keys[rows.order_key_hash(receiver, ordering_key)] = seq
    if not keys:
        return
    found = untracked(connection, tracked_until(connection), born_or_before=max(keys.values()))
    of_keys = [each for each in found if each.order_key_hash in keys]
    # A born lease whose time is up counts as any other does, until its delivery is claimed or overtaken.
    track_leased(connection, [each for each in of_keys if each.born is not None])
    others = [each for each in of_keys if each.born is None]
    track(connection, [each for each in others if each.owner is not None or each.seq < keys[each.order_key_hash]])


def end_born_lease(connection: Connection, seq: int, now: float) -> bool:
    """Make an untracked delivery due at once, whoever it was born to; return False if that lease is running."""
    (each,) = untracked(connection, seq - 1, 1)
    if each.is_leased(now):
        return False
    if each.owner is not None:
        track(connection, [each])
    return True


def damage(connection: Connection) -> str | None:
    """Return a sentence about deliveries that no claim would find; None if there are none."""
    found = connection.execute(
        f"SELECT 1 FROM delivery d WHERE d.seq <= (SELECT tracked FROM position) AND {IS_UNTRACKED} LIMIT 1"
    ).fetchone()
    return None if found is None else "it has deliveries without progress, which no worker would find"
