"""A bounded look through a SQLite inbox: pages of deliveries, their number, and what the dead ones died of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from .. import rows
from ..deaths import Deaths
from ..look import Batch, Look, page_of
from ..records import DeadLetters, DeliverySummary, Filter, Page, State, Total
from . import tracking
from .deaths import grouped, groups_of
from .queries import begins, counts, matching


class SQLiteRows:
    """The rows of the inbox. Fulfils `Rows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tracked = tracking.tracked_until(connection)
        self._receivers: dict[State, list[str]] = {}

    def next(self, low: int, high: int, newest_first: bool) -> tuple[int, float] | None:
        """See `Rows`."""
        found: tuple[int, float] | None = self._connection.execute(
            f"SELECT seq, received FROM delivery WHERE seq BETWEEN ? AND ? ORDER BY seq {_order(newest_first)} LIMIT 1",
            (low, high),
        ).fetchone()
        return found

    def named(self, which: Filter, most: int) -> list[int] | None:
        """See `Rows`."""
        if which.ids is not None:
            select, arguments = matching(Filter(ids=which.ids), "p.seq")
            return [seq for (seq,) in self._connection.execute(select, arguments).fetchall()]
        if which.id_begins is None:
            return None
        found = self._connection.execute(
            f"SELECT seq FROM delivery d WHERE {begins(':begin')} LIMIT :most",
            {"begin": which.id_begins, "most": most + 1},
        ).fetchall()
        return None if len(found) > most else [seq for (seq,) in found]

    def undone(self, which: Filter, low: int, high: int, newest_first: bool, size: int) -> list[int]:
        """See `Rows`."""
        found: list[int] = []
        order = f"ORDER BY seq {_order(newest_first)} LIMIT ?"
        for state in which.states or ():
            for receiver in self._receivers_of(state) if which.receiver is None else [which.receiver]:
                found += self._rows(
                    "SELECT seq FROM progress INDEXED BY unfinished WHERE state = ? AND state <> 'done' "
                    f"AND receiver = ? AND seq BETWEEN ? AND ? {order}",
                    (state, receiver, low, high, size),
                )
            if state is State.WAITING and high > self._tracked:
                found += self._rows(
                    f"SELECT d.seq FROM delivery d WHERE d.seq BETWEEN ? AND ? AND {tracking.IS_UNTRACKED} "
                    f"AND (? IS NULL OR d.source = ?) {order}",
                    (max(low, self._tracked + 1), high, which.receiver, which.receiver, size),
                )
        return sorted(found, reverse=newest_first)[:size]

    def matching(self, which: Filter, columns: str, batch: Batch) -> tuple[str, dict[str, Any]]:
        """Return a query of the rows in a batch that match a filter, and its arguments."""
        tracked = batch.high <= self._tracked
        tables, first = "{progress} p CROSS JOIN delivery d", "p"  # of which SQLite reads the first one first
        by_key = which.ordering_key is not None and which.receiver is None  # else the hash in `progress` tells it
        if tracked and batch.seqs is None and (which.event is not None or by_key):
            tables, first = "delivery d CROSS JOIN progress p", "d"  # few have a row in the other one to be read
        among, seqs = f"{first}.seq BETWEEN :low AND :high", None
        if batch.seqs is not None:
            among, seqs = "p.seq IN (SELECT value FROM json_each(:seqs))", json.dumps([*batch.seqs])
        values = {"low": batch.low, "high": batch.high, "seqs": seqs}
        return matching(which, columns, among, tables=tables, tracked=tracked, **values)

    def _rows(self, select: str, arguments: Sequence[Any]) -> list[int]:
        return [seq for (seq,) in self._connection.execute(select, arguments).fetchall()]

    def _receivers_of(self, state: State) -> list[str]:
        """Return the receivers of the tracked deliveries in a state: one look into the index for each."""
        if state not in self._receivers:
            found: list[str] = []
            asked = "SELECT min(receiver) FROM progress WHERE state = ? AND state <> 'done'"
            (name,) = self._connection.execute(asked, (state,)).fetchone()
            while name is not None:
                found.append(name)
                (name,) = self._connection.execute(f"{asked} AND receiver > ?", (state, name)).fetchone()
            self._receivers[state] = found
        return self._receivers[state]


def _order(newest_first: bool) -> str:
    return "DESC" if newest_first else "ASC"


def page(
    connection: Connection, which: Filter, limit: int, newest_first: bool, after: str | None, seconds: float
) -> Page:
    """Return a page of the deliveries that match a filter. See `InboxReader.page`."""
    there = SQLiteRows(connection)

    def read(batch: Batch, most: int) -> list[tuple[int, DeliverySummary]]:
        select, arguments = there.matching(which, f"{rows.SUMMARY}, p.seq AS place", batch)
        found = connection.execute(
            f"{select} ORDER BY place {_order(newest_first)} LIMIT :limit", arguments | {"limit": most}
        )
        return [(row[-1], rows.summary(row)) for row in found.fetchall()]

    return page_of(Look(there, which, seconds, newest_first=newest_first, after=after), limit, read)


def total(connection: Connection, which: Filter, seconds: float) -> Total:
    """Return the number of the deliveries that match a filter. See `InboxReader.total`."""
    if which._replace(states=None) == Filter():
        counted = counts(connection)
        return Total(sum(counted[state] for state in {*(State if which.states is None else which.states)}), True)
    if (of_order := _of_order(connection, which)) is not None:
        return Total(of_order, True)
    there = SQLiteRows(connection)
    look = Look(there, which, seconds)
    number = 0
    for batch in look:
        select, arguments = there.matching(which, "1", batch)
        number += connection.execute(f"SELECT count(*) FROM ({select})", arguments).fetchone()[0]
    return Total(number, look.is_complete)


def _of_order(connection: Connection, which: Filter) -> int | None:
    """Return the number of deliveries of an ordering key, if that is what a filter asks for, and an index has them."""
    receiver, key = which.receiver, which.ordering_key
    if receiver is None or key is None or which != Filter(receiver=receiver, ordering_key=key):
        return None
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'of_order'").fetchone() is None:
        return None
    counted = "SELECT count(*) FROM delivery WHERE order_key = ? AND source = ?"
    (number,) = connection.execute(counted, (key, receiver)).fetchone()
    return int(number)


def dead_letters(connection: Connection, which: Filter, seconds: float) -> DeadLetters:
    """Return the dead deliveries that match a filter in groups. See `InboxReader.dead_letters`."""
    which = which._replace(states=(State.DEAD,))
    there = SQLiteRows(connection)
    look = Look(there, which, seconds)
    found: list[Deaths] = []
    number = 0
    for batch in look:
        select, arguments = there.matching(which, "p.seq", batch)
        seqs = [seq for (seq,) in connection.execute(select, arguments).fetchall()]
        number += len(seqs)
        found += grouped(connection, seqs, which.handler, which.error)
    return DeadLetters(groups_of(connection, found), number, look.reached())
