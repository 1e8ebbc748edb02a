"""A bounded look through a PostgreSQL inbox: pages of deliveries, their number, and what the dead ones died of.

As in `queries`, each function is a request by itself, in a transaction of its own.
"""

from __future__ import annotations

from typing import Any

from .. import rows
from ..deaths import Deaths
from ..look import Batch, Look, page_of
from ..records import DeadLetters, DeliverySummary, Filter, Page, State, Total
from .deaths import grouped, groups_of
from .queries import counts, where_clause
from .rows import BY_INDEX, SUMMARY, PostgresConnection, ask, escaped, summary

# The receivers that have rows in a state: one look into the index for each.
_SOURCES = """
    WITH RECURSIVE sources AS (
        (SELECT source FROM progress WHERE {rows} ORDER BY source LIMIT 1)
        UNION ALL SELECT
            (SELECT p.source FROM progress p WHERE {rows} AND p.source > s.source ORDER BY p.source LIMIT 1)
        FROM sources s WHERE s.source IS NOT NULL
    ) SELECT source FROM sources WHERE source IS NOT NULL
"""
_OF_STATE = {
    State.WAITING: "open AND state = 'waiting'",
    State.DEAD: "state = 'dead'",
    State.UNHANDLED: "state = 'unhandled'",
}
"""The rows of a state, in words by which an index is found."""


class PostgresRows:
    """The rows of the inbox. Fulfils `Rows`."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._receivers: dict[State, list[str]] = {}
        ask(connection, BY_INDEX)

    def next(self, low: int, high: int, newest_first: bool) -> tuple[int, float] | None:
        """See `Rows`."""
        found: tuple[Any, ...] | None = ask(
            self._connection,
            "SELECT seq, received FROM delivery WHERE seq BETWEEN %s AND %s "
            f"ORDER BY seq {_order(newest_first)} LIMIT 1",
            [low, high],
        ).fetchone()
        return None if found is None else (found[0], found[1])

    def named(self, which: Filter, most: int) -> list[int] | None:
        """See `Rows`."""
        if which.ids is None and which.id_begins is None:
            return None
        named = Filter(ids=which.ids) if which.ids is not None else Filter(id_begins=which.id_begins)
        where, arguments = where_clause(named)
        limit = None if which.ids is not None else most + 1
        found = self._rows(f"SELECT seq FROM delivery d WHERE {where} LIMIT %s", *arguments, limit)
        return None if limit is not None and len(found) > most else found

    def undone(self, which: Filter, low: int, high: int, newest_first: bool, size: int) -> list[int]:
        """See `Rows`."""
        found: list[int] = []
        for state in which.states or ():
            for receiver in self._receivers_of(state) if which.receiver is None else [escaped(which.receiver)]:
                found += self._rows(
                    f"SELECT seq FROM progress WHERE {_OF_STATE[state]} AND source = %s AND seq BETWEEN %s AND %s "
                    f"ORDER BY seq {_order(newest_first)} LIMIT %s",
                    *(receiver, low, high, size),
                )
        return sorted(found, reverse=newest_first)[:size]

    def _rows(self, select: str, *arguments: Any) -> list[int]:
        return [seq for (seq,) in ask(self._connection, select, arguments).fetchall()]

    def _receivers_of(self, state: State) -> list[str]:
        if state not in self._receivers:
            found = ask(self._connection, _SOURCES.format(rows=_OF_STATE[state]))
            self._receivers[state] = [name for (name,) in found.fetchall()]
        return self._receivers[state]


def _order(newest_first: bool) -> str:
    return "DESC" if newest_first else "ASC"


def _in_batch(which: Filter, batch: Batch) -> tuple[str, list[Any]]:
    begin = which.id_begins
    if batch.seqs is None and begin is not None:  # as most do: not by the index of ids
        which = which._replace(id_begins=None)
    where, arguments = where_clause(which)
    if batch.seqs is None:
        if begin is not None:
            where, arguments = f"{where} AND left(d.id, %s) = %s", [*arguments, len(escaped(begin)), escaped(begin)]
        by_key = which.ordering_key is not None and which.receiver is None  # else the hash in `progress` tells it
        if which.event is not None or by_key:  # few have a row in `progress` to be read
            where, arguments = f"{where} AND d.seq BETWEEN %s AND %s", [*arguments, batch.low, batch.high]
        return f"{where} AND p.seq BETWEEN %s AND %s", [*arguments, batch.low, batch.high]
    return f"{where} AND p.seq = ANY(%s)", [*arguments, [*batch.seqs]]


_FROM = "FROM progress p JOIN delivery d USING (seq)"


def page(
    connection: PostgresConnection, which: Filter, limit: int, newest_first: bool, after: str | None, seconds: float
) -> Page:
    """Return a page of the deliveries that match a filter. See `InboxReader.page`."""

    def read(batch: Batch, most: int) -> list[tuple[int, DeliverySummary]]:
        where, arguments = _in_batch(which, batch)
        found = ask(
            connection,
            f"SELECT {SUMMARY}, p.seq {_FROM} WHERE {where} ORDER BY p.seq {_order(newest_first)} LIMIT %s",
            [*arguments, most],
        )
        return [(row[-1], summary(row)) for row in found.fetchall()]

    look = Look(PostgresRows(connection), which, seconds, newest_first=newest_first, after=after)
    return page_of(look, limit, read)


def total(connection: PostgresConnection, which: Filter, seconds: float) -> Total:
    """Return the number of the deliveries that match a filter. See `InboxReader.total`."""
    if which._replace(states=None) == Filter():
        counted, _ = counts(connection)
        return Total(sum(counted[state] for state in {*(State if which.states is None else which.states)}), True)
    if (of_order := _of_order(connection, which)) is not None:
        return Total(of_order, True)
    look = Look(PostgresRows(connection), which, seconds)
    number = 0
    for batch in look:
        where, arguments = _in_batch(which, batch)
        (found,) = ask(connection, f"SELECT count(*) {_FROM} WHERE {where}", arguments).fetchone() or (0,)
        number += found
    return Total(number, look.is_complete)


def _of_order(connection: PostgresConnection, which: Filter) -> int | None:
    """Return the number of deliveries of an ordering key, if that is what a filter asks for, and an index has them."""
    receiver, key = which.receiver, which.ordering_key
    if receiver is None or key is None or which != Filter(receiver=receiver, ordering_key=key):
        return None
    if ask(connection, "SELECT to_regclass('progress_of_order') IS NULL").fetchone() == (True,):
        return None
    ask(connection, BY_INDEX)
    # By the hash alone, as leases go: to read the key of each, too, takes ten times as long.
    counted = "SELECT count(*) FROM progress WHERE line = %s AND source = %s"
    (number,) = ask(connection, counted, [rows.order_key_hash(receiver, key), escaped(receiver)]).fetchone() or (0,)
    return int(number)


def dead_letters(connection: PostgresConnection, which: Filter, seconds: float) -> DeadLetters:
    """Return the dead deliveries that match a filter in groups. See `InboxReader.dead_letters`."""
    which = which._replace(states=(State.DEAD,))
    error = None if which.error is None else escaped(which.error)
    look = Look(PostgresRows(connection), which, seconds)
    found: list[Deaths] = []
    number = 0
    for batch in look:
        where, arguments = _in_batch(which, batch)
        seqs = [seq for (seq,) in ask(connection, f"SELECT p.seq {_FROM} WHERE {where}", arguments).fetchall()]
        number += len(seqs)
        found += grouped(connection, seqs, which.handler, error)
    return DeadLetters(groups_of(connection, found), number, look.reached())
