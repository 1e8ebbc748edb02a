"""Queries of a PostgreSQL inbox; each function reads on one connection, and is a request by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from .deaths import died_of
from .rows import BY_INDEX, DELIVERY, SUMMARY, PostgresConnection, all_unescaped, ask, escaped, summary, unescaped


def where_clause(which: Filter) -> tuple[str, list[Any]]:
    """Return the SQL condition of a filter, on table aliases d (delivery) and p (progress), and its arguments."""
    conditions: list[str] = ["true"]
    arguments: list[Any] = []

    def also(condition: str, *values: Any) -> None:
        conditions.append(condition)
        arguments.extend(values)

    if which.ids is not None:
        also("d.id = ANY(%s)", [escaped(each) for each in which.ids])
    if which.states is not None:
        also("p.state = ANY(%s)", [state.value for state in which.states])
        if {*which.states} == {State.WAITING}:
            also("p.open")  # by whose index they are found among those that are finished
    if which.receiver is not None:
        also("p.source = %s", escaped(which.receiver))
    if which.event is not None:
        also("d.event = %s", escaped(which.event))
    if which.since is not None:
        also("d.received >= %s", which.since)
    if which.before is not None:
        also("d.received < %s", which.before)
    if which.due_before is not None:
        also("p.due < %s AND p.state <> 'done'", which.due_before)  # what is done is never due, and in no index
    if which.not_receivers is not None:
        also("p.source <> ALL(%s)", [escaped(each) for each in which.not_receivers])
    if which.id_begins is not None:
        also("d.id >= %s AND d.id < %s", *_begin(which.id_begins))
    if which.ordering_key is not None:
        if which.receiver is not None:  # the row in `progress` tells most others, and is the smaller one to read
            also("p.line = %s", rows.order_key_hash(which.receiver, which.ordering_key))
        also("d.order_key = %s", escaped(which.ordering_key))
    if which.handler is not None and which.handler_states is None:
        also("p.handlers -> %s ->> 0 <> 'done'", which.handler)
    elif which.handler is not None and which.handler_states is not None:
        also("p.handlers -> %s ->> 0 = ANY(%s)", which.handler, [state.value for state in which.handler_states])
    if which.error is not None:
        own = [] if which.handler is None else [which.handler]
        also(died_of(handler=which.handler is not None), *own, escaped(which.error))
    return " AND ".join(conditions), arguments


def _begin(id: str) -> tuple[str, str]:
    begins = escaped(id)
    return begins, f"{begins}\U0010ffff"


def find(
    connection: PostgresConnection, which: Filter, limit: int | None, newest_first: bool, after: str | None
) -> list[DeliverySummary]:
    """Return the summaries of the deliveries that match a filter; `limit` None is all of them.

    Raises:
        InboxError: no delivery has the id `after`.
    """
    where, arguments = where_clause(which)
    if after is not None:
        begin = ask(connection, "SELECT seq FROM delivery WHERE id = %s", [escaped(after)]).fetchone()
        if begin is None:
            raise InboxError(f"there is no delivery {after!r:.80} from which to go on")
        where, arguments = f"{where} AND p.seq {'<' if newest_first else '>'} %s", [*arguments, begin[0]]
    order = "DESC" if newest_first else "ASC"
    found = ask(
        connection,
        f"SELECT {SUMMARY} FROM progress p JOIN delivery d USING (seq) WHERE {where} ORDER BY p.seq {order} LIMIT %s",
        [*arguments, limit],
    )
    return [summary(row) for row in found.fetchall()]


def get(connection: PostgresConnection, beginning: str) -> StoredDelivery | None:
    """Return the stored delivery whose id is `beginning` or the only one to begin so; None if there is none.

    Raises:
        AmbiguousId: several ids begin so.
    """
    begin = _begin(beginning)
    asked = "SELECT seq, id FROM delivery WHERE id >= %s AND id < %s ORDER BY id LIMIT 2"
    found = ask(connection, asked, begin).fetchall()
    if len(found) > 1 and found[0][1] != begin[0]:
        raise AmbiguousId(f"several deliveries have ids that begin with {beginning!r}: give more of it")
    if not found:
        return None
    ((_, _, stored),) = _stored_deliveries(connection, [found[0][0]])
    if isinstance(stored, InboxDamaged):
        raise stored
    return stored


def after(
    connection: PostgresConnection, which: Filter, seq: int | None, limit: int
) -> list[tuple[int, StoredDelivery | DamagedDelivery]]:
    """Return up to `limit` deliveries that match a filter, after row `seq`, each with its row's number."""
    where, arguments = where_clause(which)
    found = ask(
        connection,
        f"SELECT p.seq FROM progress p JOIN delivery d USING (seq) WHERE {where} "
        "AND (%s::bigint IS NULL OR p.seq > %s) ORDER BY p.seq LIMIT %s",
        [*arguments, seq, seq, limit],
    ).fetchall()
    return [
        (seq, _as_far_as_read(id, stored))
        for seq, id, stored in _stored_deliveries(connection, [each for (each,) in found])
    ]


def _as_far_as_read(id: str, stored: StoredDelivery | InboxDamaged) -> StoredDelivery | DamagedDelivery:
    if isinstance(stored, InboxDamaged):
        return DamagedDelivery(id, str(stored))
    return stored if stored.summary.damage is None else DamagedDelivery(id, stored.summary.damage)


def _stored_deliveries(
    connection: PostgresConnection, seqs: Sequence[int]
) -> list[tuple[int, str, StoredDelivery | InboxDamaged]]:
    """Return the number, the id and what is stored of each of these rows, or the error that says how it is damaged."""
    attempts: dict[int, list[FailedAttempt]] = {}
    for seq, *attempt in ask(
        connection,
        "SELECT seq, handler, number, started, seconds, outcome, error, traceback FROM attempt "
        "WHERE seq = ANY(%s) ORDER BY seq, place",
        [[*seqs]],
    ).fetchall():
        attempts.setdefault(seq, []).append(FailedAttempt(*all_unescaped(attempt)))
    found = ask(
        connection,
        f"SELECT {DELIVERY}, {SUMMARY}, seq FROM delivery d JOIN progress p USING (seq) "
        "WHERE seq = ANY(%s) ORDER BY seq",
        [[*seqs]],
    ).fetchall()
    return [
        (row[-1], unescaped(row[0]), _stored_delivery(all_unescaped(row[:-1]), attempts.get(row[-1], [])))
        for row in found
    ]


def _stored_delivery(row: tuple[Any, ...], attempts: Sequence[FailedAttempt]) -> StoredDelivery | InboxDamaged:
    try:
        return StoredDelivery(
            summary=rows.summary(row[len(rows.COLUMNS) :]),
            delivery=rows.delivery(row),
            attempts=attempts,
            key=row[4],
            ordering_key=row[6],
        )
    except InboxDamaged as damage:
        return damage


def paused(connection: PostgresConnection) -> frozenset[str]:
    """Return the names of the paused handlers."""
    return frozenset(unescaped(name) for (name,) in ask(connection, "SELECT handler FROM paused").fetchall())


# The receivers that have rows which may be claimed: one look into the index for each.
_SOURCES = """
    WITH RECURSIVE sources AS (
        (SELECT source FROM progress WHERE open ORDER BY source LIMIT 1)
        UNION ALL SELECT
            (SELECT p.source FROM progress p WHERE p.open AND p.source > s.source ORDER BY p.source LIMIT 1)
        FROM sources s WHERE s.source IS NOT NULL
    )
"""


def counts(connection: PostgresConnection) -> tuple[dict[State, int], int]:
    """Return the number of deliveries in each state, and of those WAITING ones that are under a lease."""
    found: dict[State, int] = dict.fromkeys(State, 0)
    running = 0
    tally = ask(connection, "SELECT state, leased, sum(count)::bigint FROM tally GROUP BY state, leased").fetchall()
    for state, leased, count in tally:
        found[State(state)] += count
        running += count if leased and state == State.WAITING else 0
    return found, running


def stats(connection: PostgresConnection) -> Stats:
    """Return the figures of the inbox, in a time that does not depend on how many deliveries it has."""
    ask(connection, BY_INDEX)
    counted, running = counts(connection)
    (oldest,) = ask(
        connection,
        f"{_SOURCES} SELECT min(d.received) FROM sources s CROSS JOIN LATERAL (SELECT p.seq FROM progress p "
        "WHERE p.source = s.source AND p.open AND p.state = 'waiting' ORDER BY p.seq LIMIT 1) AS first "
        "JOIN delivery d USING (seq)",
    ).fetchone() or (None,)
    dying = ask(
        connection, "SELECT dies FROM progress WHERE dies IS NOT NULL ORDER BY dies LIMIT %s", [MOST_EXPECTED_DEAD]
    )
    (size,) = ask(
        connection,
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint "
        "FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace",
    ).fetchone() or (0,)
    paused_by = ask(connection, "SELECT handler, since FROM paused ORDER BY handler").fetchall()
    return Stats(
        counts=counted,
        running=running,
        oldest_waiting=oldest,
        expected_dead=[expected for (expected,) in dying.fetchall()],
        paused={unescaped(name): since for name, since in paused_by},
        extra={"bytes": size},
    )


def connections_allowed(connection: PostgresConnection) -> int:
    """Return how many connections the server, the database and the role allow at once."""
    asked = """
        SELECT least(current_setting('max_connections')::integer, nullif(rolconnlimit, -1), nullif(datconnlimit, -1))
        FROM pg_roles, pg_database WHERE rolname = session_user AND datname = current_database()
    """
    (found,) = ask(connection, asked).fetchone() or (0,)
    return int(found)


def booted(connection: PostgresConnection, uptime: Callable[[], float]) -> float:
    """Return the Unix time in seconds, by the server's clock, at which `uptime` was 0."""
    asked = uptime()
    found = ask(connection, "SELECT extract(epoch FROM clock_timestamp())::double precision").fetchone()
    assert found is not None  # noqa: S101 - for the type checkers
    return float(found[0]) - (asked + uptime()) / 2


def database(connection: PostgresConnection) -> str:
    """Return a text that only this database of this run of the server has; every role may ask for it."""
    asked = """
        SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), oid) FROM pg_database
        WHERE datname = current_database()
    """
    (found,) = ask(connection, asked).fetchone() or ("",)
    return str(found)
