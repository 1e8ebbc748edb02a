"""Queries of a SQLite inbox: reads on a connection of their own, which never delay a write (sqlite.org/wal.html)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage
from sqlite3 import Connection
from typing import Any

from ...errors import AmbiguousId, InboxDamaged, InboxError
from .. import rows
from ..records import (
    MOST_EXPECTED_DEAD,
    DamagedDelivery,
    DeliverySummary,
    FailedAttempt,
    Filter,
    State,
    Stats,
    StoredDelivery,
)
from . import deaths, tracking

_OPEN = (State.WAITING, State.DEAD)
"""The states of a handler that `Filter.handler` is about where it names none."""
_MOST_LOOKED_AT = 4096  # untracked deliveries, the oldest ones, among which born leases are counted

# The receivers whose tracked deliveries wait: one look into the index for each. "<> 'done'" lets SQLite use it.
_RECEIVERS = """
    WITH RECURSIVE receivers AS (
        SELECT min(receiver) AS name FROM progress WHERE state = 'waiting' AND state <> 'done'
        UNION ALL SELECT (
            SELECT min(receiver) FROM progress WHERE state = 'waiting' AND state <> 'done' AND receiver > name
        ) FROM receivers WHERE name IS NOT NULL
    )
"""


def matching(
    which: Filter,
    columns: str,
    condition: str = "1",
    *,
    tables: str = "{progress} p JOIN delivery d",
    tracked: bool = False,
    **values: Any,
) -> tuple[str, dict[str, Any]]:
    """Return a query of the deliveries that match a filter and a condition, and its arguments.

    Args:
        which: the filter.
        columns: what is selected, of table aliases d (delivery) and p (progress).
        condition: what else they match, as SQL with named arguments.
        tables: how the tables are joined.
        tracked: whether only tracked deliveries are meant.
        values: these arguments.
    """
    conditions: list[str] = [condition, "{of_tracked}"]
    of_tracked = "1"
    arguments = {**values}

    def named(value: Any) -> str:
        name = f"v{len(arguments)}"
        arguments[name] = value
        return f":{name}"

    def all_named(values: Iterable[Any]) -> str:
        return ",".join(map(named, values))

    if which.ids is not None:
        # As one argument: a statement may have 32,766, and SQLite takes the longer for each the more there are. But its
        # functions for JSON end a text at a zero byte.
        plain, others = [[id for id in which.ids if ("\0" in id) is odd] for odd in (False, True)]
        found = f"d.id IN (SELECT value FROM json_each({named(json.dumps(plain))}))"
        conditions.append(f"({found} OR d.id IN ({all_named(others)}))" if others else found)
    if which.states is not None:
        conditions.append(f"p.state IN ({all_named(which.states)})")
    if which.receiver is not None:
        conditions.append(f"p.receiver = {named(which.receiver)}")
    if which.event is not None:
        conditions.append(f"d.event = {named(which.event)}")
    if which.since is not None:
        conditions.append(f"d.received >= {named(which.since)}")
    if which.before is not None:
        conditions.append(f"d.received < {named(which.before)}")
    if which.due_before is not None:
        conditions.append(f"p.due < {named(which.due_before)}")
    if which.not_receivers is not None:
        conditions.append(f"p.receiver NOT IN ({all_named(which.not_receivers)})")
    if which.id_begins is not None:
        conditions.append(begins(named(which.id_begins)))
    if which.ordering_key is not None:
        if which.receiver is not None:  # the row in `progress` tells most others, and is the smaller one to read
            of_tracked = f"p.line = {named(rows.order_key_hash(which.receiver, which.ordering_key))}"
            if which.states is not None and {*which.states} == {State.WAITING}:
                of_tracked += " AND p.state = 'waiting'"  # said like this, they are in the index `in_line`
        conditions.append(f"d.order_key = {named(which.ordering_key)}")
    handler = None if which.handler is None else named(which.handler)
    if handler is not None:
        states = _OPEN if which.handler_states is None else which.handler_states
        # Most have no handler in these states, which is seen at once in the text.
        seen = " OR ".join(f"instr(p.handlers, '\"{state.value}\"')" for state in states) or "0"
        conditions.append(
            f"({seen}) AND EXISTS (SELECT 1 FROM {deaths.HANDLERS} h "
            f"WHERE h.key = {handler} AND {deaths.STATE} IN ({all_named(states)}))"
        )
    if which.error is not None:
        conditions.append(deaths.died_of(named(which.error), handler))
    select = f"SELECT {columns} FROM {tables} USING (seq) WHERE {' AND '.join(conditions)}"
    tracked = tracked or which.handler is not None or which.error is not None
    if tracked or (which.states is not None and State.WAITING not in which.states):
        return tracking.of_tracked(select, of_tracked), arguments  # no untracked delivery matches
    return tracking.of_all(select, of_tracked), arguments


def begins(begin: str) -> str:
    """Return the condition that the id of a table alias d begins as an argument says."""
    # Not LIKE, which takes "A" for "a" and would read the whole table.
    return f"d.id >= {begin} AND d.id < {begin} || char(0x10FFFF)"


def find(
    connection: Connection, which: Filter, limit: int | None, newest_first: bool, after: str | None
) -> list[DeliverySummary]:
    """Return the summaries of the deliveries that match a filter; `limit` None is all of them.

    Raises:
        InboxError: no delivery has the id `after`.
    """
    columns = f"{rows.SUMMARY}, p.seq AS place"
    if after is None:
        select, arguments = matching(which, columns)
    else:
        begin = connection.execute("SELECT seq FROM delivery WHERE id = ?", (after,)).fetchone()
        if begin is None:
            raise InboxError(f"there is no delivery {after!r:.80} from which to go on")
        select, arguments = matching(which, columns, f"p.seq {'<' if newest_first else '>'} :begin", begin=begin[0])
    order = "DESC" if newest_first else "ASC"
    if which.due_before is not None:  # read what is due by its index, not all there is in the order of the result
        select, order = f"SELECT * FROM ({select})", f"+ 0 {order}"
    found = connection.execute(
        f"{select} ORDER BY place {order} LIMIT :limit", arguments | {"limit": -1 if limit is None else limit}
    )
    return [rows.summary(row) for row in found.fetchall()]


def get(connection: Connection, beginning: str) -> StoredDelivery | None:
    """Return the stored delivery whose id is `beginning` or the only one to begin so; None if there is none.

    Raises:
        AmbiguousId: several ids begin so.
    """
    found = connection.execute(
        f"SELECT seq, id FROM delivery d WHERE {begins(':begin')} ORDER BY id LIMIT 2",
        {"begin": beginning},
    ).fetchall()
    if len(found) > 1 and found[0][1] != beginning:
        raise AmbiguousId(f"several deliveries have ids that begin with {beginning!r}: give more of it")
    return _stored_delivery(connection, found[0][0]) if found else None


def after(
    connection: Connection, which: Filter, seq: int, limit: int
) -> list[tuple[int, StoredDelivery | DamagedDelivery]]:
    """Return up to `limit` deliveries that match a filter, after row `seq`, each with its row's number."""
    select, arguments = matching(which, "p.seq AS place", "p.seq > :after", after=seq)
    found = connection.execute(f"{select} ORDER BY place LIMIT :limit", arguments | {"limit": limit})
    return [(each, _as_far_as_read(connection, each)) for (each,) in found.fetchall()]


def _as_far_as_read(connection: Connection, seq: int) -> StoredDelivery | DamagedDelivery:
    try:
        stored = _stored_delivery(connection, seq)
    except InboxDamaged as damage:
        (id,) = connection.execute("SELECT id FROM delivery WHERE seq = ?", (seq,)).fetchone()
        return DamagedDelivery(id, str(damage))
    summary = stored.summary
    return stored if summary.damage is None else DamagedDelivery(summary.id, summary.damage)


def _stored_delivery(connection: Connection, seq: int) -> StoredDelivery:
    row = connection.execute(
        tracking.of_all(
            f"SELECT {rows.DELIVERY}, {rows.SUMMARY} FROM {{progress}} p JOIN delivery d USING (seq) WHERE p.seq = :seq"
        ),
        {"seq": seq},
    ).fetchone()
    width = len(rows.COLUMNS)
    attempts = connection.execute(
        "SELECT handler, number, started, seconds, outcome, error, traceback FROM attempt WHERE seq = ? ORDER BY place",
        (seq,),
    ).fetchall()
    return StoredDelivery(
        summary=rows.summary(row[width:]),
        delivery=rows.delivery(row),
        attempts=[FailedAttempt(*attempt) for attempt in attempts],
        key=row[4],
        ordering_key=row[6],
    )


def paused(connection: Connection) -> frozenset[str]:
    """Return the names of the paused handlers."""
    return frozenset(name for (name,) in connection.execute("SELECT handler FROM paused").fetchall())


def check_tally(connection: Connection) -> None:
    """Check that what is counted is what is there; this reads the indexes.

    Raises:
        InboxDamaged: it is not.
    """
    counted: dict[str, int] = dict(connection.execute("SELECT what, count FROM tally").fetchall())
    found = connection.execute("SELECT state, count(*) FROM progress WHERE state <> 'done' GROUP BY state").fetchall()
    found += connection.execute("SELECT 'done', count(*) FROM progress WHERE state = 'done'").fetchall()
    found += connection.execute("SELECT 'stored', count(*) FROM delivery").fetchall()
    there = {what: count for what, count in found if what != State.WAITING}
    if counted != dict.fromkeys(("done", "unhandled", "dead", "stored"), 0) | there:
        raise InboxDamaged("the inbox is damaged: its counts of deliveries are not those of what is there")


def counts(connection: Connection) -> dict[State, int]:
    """Return the number of deliveries in each state.

    Raises:
        InboxDamaged: one of the counts that are kept cannot be.
    """
    tally: dict[str, int] = dict(connection.execute("SELECT what, count FROM tally").fetchall())
    found = {state: tally.get(state, 0) for state in State}
    found[State.WAITING] = tally.get("stored", -1) - sum(found.values())
    if min(found.values()) < 0:
        raise InboxDamaged("the inbox is damaged: its counts of deliveries cannot be")
    return found


def stats(connection: Connection) -> Stats:
    """Return the figures of the inbox, in a time that does not depend on how many deliveries it has.

    Raises:
        InboxDamaged: one of the counts that are kept cannot be.
    """
    (running,) = connection.execute(
        "SELECT (SELECT count(*) FROM progress INDEXED BY leased "
        "WHERE lease IS NOT NULL AND state = 'waiting' AND due IS NOT NULL) + (SELECT count(*) FROM "
        f"(SELECT d.owner {tracking.ALL_UNTRACKED} ORDER BY d.seq LIMIT {_MOST_LOOKED_AT}) JOIN owner o "
        "ON o.token = owner)"
    ).fetchone()
    (oldest,) = connection.execute(
        f"{_RECEIVERS} SELECT received FROM delivery WHERE seq = (SELECT min(place) FROM ("
        "SELECT min((SELECT min(p.seq) FROM progress p WHERE p.state = 'waiting' AND p.state <> 'done' "
        "AND p.receiver = name)) AS place FROM receivers "
        f"UNION ALL SELECT * FROM (SELECT d.seq {tracking.ALL_UNTRACKED} ORDER BY d.seq LIMIT 1)))"
    ).fetchone() or (None,)
    dying = connection.execute(
        "SELECT dies FROM progress INDEXED BY dying "
        "WHERE dies IS NOT NULL AND held IS NULL AND state = 'waiting' ORDER BY dies LIMIT ?",
        (MOST_EXPECTED_DEAD,),
    )
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    extra = {"bytes": pages * size, "free_bytes": free * size}
    _, _, file = connection.execute("PRAGMA database_list").fetchone()
    if file:
        with suppress(OSError):
            extra["disk_free_bytes"] = disk_usage(Path(file).parent).free
    return Stats(
        counts=counts(connection),
        running=running,
        oldest_waiting=oldest,
        expected_dead=[expected for (expected,) in dying.fetchall()],
        paused=dict(connection.execute("SELECT handler, since FROM paused ORDER BY handler").fetchall()),
        extra=extra,
    )
