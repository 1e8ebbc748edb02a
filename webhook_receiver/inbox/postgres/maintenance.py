"""Operations of a PostgreSQL inbox beside put, claim and settle: pause, replay, purge, load, and waits after a clock
change.

As in `queries`, each function is a request by itself, in a transaction of its own.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg

from ...errors import InboxDamaged
from .. import rows
from ..records import Entry, Filter, State, StoredDelivery
from ..registration import Registration, settled
from . import bodies
from .announcement import ANNOUNCE
from .insert import insert, lock_dedup_hashes
from .leases import insert_attempts
from .queries import where_clause
from .replay import requeue
from .rows import BY_INDEX, PostgresConnection, all_escaped, all_unescaped, ask, columns, delivery_row, escaped

logger = logging.getLogger("webhook_receiver")

APART = 60.0  # seconds by which what two processes know of the server's clock may differ
_REGISTERING = 0x57484B54  # the advisory lock of a registration


def beat(connection: PostgresConnection, requests: Sequence[None]) -> Sequence[None]:
    """Write to the table `heartbeat`, so that there is something to commit, and add the tally up."""
    ask(connection, "UPDATE heartbeat SET beats = beats + 1")
    add_up(connection)
    return requests


def add_up(connection: PostgresConnection) -> None:
    """Replace the rows of the tally by one for each kind of them."""
    ask(
        connection,
        "WITH old AS (DELETE FROM tally RETURNING *) INSERT INTO tally SELECT state, leased, sum(count) FROM old "
        "GROUP BY 1, 2 HAVING sum(count) <> 0",
    )


def register(connection: PostgresConnection, given: Registration) -> Registration:
    """Register a receiver; return the registration that counts."""

    def holds(receiver: str) -> bool:
        statement = "SELECT EXISTS (SELECT 1 FROM progress WHERE source = %s)"
        return ask(connection, statement, [escaped(receiver)]).fetchone() == (True,)

    ask(connection, "SELECT pg_advisory_xact_lock(%s)", [_REGISTERING])
    if given.finds_orders:
        _index_ordering_keys(connection)
        given = given._replace(finds_orders=False)
    stored = ask(connection, "SELECT name, sender, scheme, by_default FROM receiver").fetchall()
    known = [Registration(*all_unescaped(row)) for row in stored]
    found, new = settled(given, {each.receiver: each for each in known}, holds)
    if new is not None:
        ask(
            connection,
            "INSERT INTO receiver VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO UPDATE SET "
            "sender = excluded.sender, scheme = excluded.scheme, by_default = excluded.by_default",
            all_escaped(new[:4]),
        )
    return found


def _index_ordering_keys(connection: PostgresConnection) -> None:
    """Make an index of all ordering keys, unless there is one or the role may not."""
    if ask(connection, "SELECT to_regclass('progress_of_order') IS NULL").fetchone() != (True,):
        return  # asked first, since the next statement waits for all who write
    try:
        with connection.transaction():
            ask(connection, "CREATE INDEX IF NOT EXISTS progress_of_order ON progress (line) WHERE line IS NOT NULL")
    except psycopg.errors.InsufficientPrivilege:
        logger.warning(
            "the inbox finds the items of an order the slower the more deliveries it has: let the owner of its schema "
            "run CREATE INDEX progress_of_order ON progress (line) WHERE line IS NOT NULL"
        )


def pause(connection: PostgresConnection, handler: str, now: float) -> None:
    """Pause a handler; `now` is the Unix time in seconds."""
    ask(connection, "INSERT INTO paused VALUES (%s, %s) ON CONFLICT DO NOTHING", [escaped(handler), now])


def resume(connection: PostgresConnection, handler: str) -> bool:
    """Resume a handler, and make the deliveries that waited for it due; return whether it was paused."""
    name = escaped(handler)
    ended = ask(connection, "DELETE FROM paused WHERE handler = %s", [name]).rowcount
    ask(
        connection,
        f"UPDATE progress SET held = NULL, due = 0 WHERE held = %s AND lease IS NULL RETURNING {ANNOUNCE}",
        [name],
    )
    return ended == 1


def replay(connection: PostgresConnection, ids: Sequence[str], now: float, handler: str | None) -> int:
    """Replay deliveries; return how many."""
    found = ask(connection, "SELECT seq FROM delivery WHERE id = ANY(%s)", [[escaped(each) for each in ids]])
    return requeue(connection, [seq for (seq,) in found.fetchall()], now, handler)


def purge(
    connection: PostgresConnection,
    which: Filter,
    now: float | None,
    limit: int,
    since: float,
    polled_since: float,
    settled_before: float | None = None,
) -> int:
    """Remove deliveries for good; return how many.

    Args:
        connection: the connection, inside a transaction.
        which: the filter.
        now: the time by the clock of the inbox, when a lease may be up; None to spare what is under one.
        limit: the largest number of deliveries.
        since: the Unix time in seconds at which the deduplication window began.
        polled_since: the same for receivers that poll, which have a longer one for what is removed.
        settled_before: a Unix time in seconds; only deliveries that were settled before it.
    """
    bodies.lock(connection)
    where, arguments = where_clause(which)
    where, arguments = f"{where} AND (p.lease IS NULL OR p.due <= %s)", [*arguments, now]
    if settled_before is not None:
        where = f"{where} AND p.settled < %s AND p.body_removed IN (false, true)"  # so that the index serves
        arguments = [*arguments, settled_before]
    found = ask(
        connection,
        f"SELECT p.seq FROM progress p JOIN delivery d USING (seq) WHERE {where} "
        "ORDER BY p.seq LIMIT %s FOR UPDATE OF p",
        [*arguments, limit],
    ).fetchall()
    gone = [seq for (seq,) in found]
    bodies.hand_on(connection, gone)
    return ask(
        connection,
        "WITH gone AS (DELETE FROM delivery WHERE seq = ANY(%s) RETURNING *), known AS (INSERT INTO purged "
        "SELECT seq, id, source, origin, event, key, identity, received FROM gone "
        "WHERE (received >= %s OR (received >= %s AND source IN (SELECT receiver FROM poll))) "
        "AND (key IS NOT NULL OR identity IS NOT NULL)) SELECT 1 FROM gone",
        [gone, since, polled_since],
    ).rowcount


def forget(connection: PostgresConnection, since: float, polled_since: float, limit: int) -> int:
    """Remove what is kept of up to `limit` purged deliveries that were received before a Unix time; return how many."""
    is_polling = "EXISTS (SELECT FROM poll WHERE receiver = r.source)"
    receivers = ask(connection, f"SELECT r.source, {is_polling} FROM ({rows.RECEIVERS_OF_PURGED}) r").fetchall()
    removed = 0
    for receiver, polls in receivers:
        removed += ask(
            connection,
            "DELETE FROM purged WHERE seq IN (SELECT seq FROM purged WHERE source = %s AND received < %s LIMIT %s)",
            [receiver, polled_since if polls else since, limit - removed],
        ).rowcount
    return removed


def restart_waits(connection: PostgresConnection, now: float) -> None:
    """Restart every wait that began in the future, since the clock was set back to `now`, a Unix time in seconds."""
    found = ask(
        connection,
        "SELECT since - %s, handlers::text, seq FROM progress WHERE open AND due > %s AND since > %s "
        "ORDER BY seq FOR UPDATE",
        [now, now, now + APART],
    ).fetchall()
    for shift, text, seq in found:
        with suppress(InboxDamaged):  # the next claim reports it
            handlers = {name: each.moved(shift) for name, each in rows.progress(text).items()}
            text = rows.progress_json(handlers)
        ask(
            connection,
            "UPDATE progress SET due = due - %s, since = %s, handlers = %s::jsonb WHERE seq = %s",
            [shift, now, text, seq],
        )


def load(connection: PostgresConnection, dumped: Sequence[StoredDelivery], now: float, window: float) -> int:
    """Store deliveries that another inbox dumped, before all that are stored already; return how many."""
    bodies.lock(connection)  # which no two loads have at once, either
    lock_dedup_hashes(connection, [_entry(stored) for stored in dumped])
    (first,) = ask(
        connection, "SELECT coalesce(least((SELECT min(seq) FROM delivery), (SELECT min(seq) FROM purged)), 1)"
    ).fetchone() or (1,)
    seq = min(first, 1) - len(dumped) - 1  # rows that are not there leave gaps, which mean nothing
    ask(connection, BY_INDEX)
    apart = _unrelated(connection, dumped)
    _load_all(connection, [(seq + place, stored) for place, stored in enumerate(dumped, 1) if place in apart], now)
    loaded = len(apart)
    for place, stored in enumerate(dumped, 1):
        if place in apart:
            continue
        duplicate = _duplicate_of(connection, stored, window)
        if duplicate is None:
            _load_one(connection, seq + place, stored, now)
            loaded += 1
        elif stored.summary.state is State.WAITING:
            _requeue_dead(connection, duplicate, now)
    return loaded


def _entry(stored: StoredDelivery) -> Entry:
    return Entry(stored.delivery, stored.summary.event, stored.key, stored.summary.identity, stored.ordering_key)


def _unrelated(connection: PostgresConnection, dumped: Sequence[StoredDelivery]) -> set[int]:
    """Return the places, from 1 on, of those that neither the inbox nor the others have to be compared with."""
    requests = [escaped(stored.delivery.request_id) for stored in dumped]
    keys = [(escaped(stored.summary.receiver), stored.key) for stored in dumped]
    found = ask(
        connection,
        "SELECT n.place FROM unnest(%s::text[], %s::text[], %s::bytea[]) WITH ORDINALITY AS n(id, source, key, place) "
        "WHERE (SELECT d.seq FROM delivery d WHERE d.id = n.id) IS NOT NULL OR (SELECT d.seq FROM delivery d "
        # "/" comes next after "."
        """WHERE d.id > n.id || '.' COLLATE "C" AND d.id < n.id || '/' COLLATE "C" LIMIT 1) IS NOT NULL """
        f"OR (SELECT d.seq FROM delivery d WHERE {_HAS_KEY} AND d.current LIMIT 1) IS NOT NULL "
        f"OR (SELECT d.seq FROM delivery d WHERE {_HAS_KEY} AND NOT d.current LIMIT 1) IS NOT NULL",
        [requests, *columns(keys, 2)],
    ).fetchall()
    stored, often, known = {place for (place,) in found}, Counter(requests), Counter(keys)
    return {
        place
        for place, (request, key) in enumerate(zip(requests, keys, strict=True), 1)
        if place not in stored and often[request] == 1 and (key[1] is None or known[key] == 1)
    }


_HAS_KEY = "d.source = n.source AND d.key = n.key"


def _load_all(connection: PostgresConnection, new: Sequence[tuple[int, StoredDelivery]], now: float) -> None:
    """Store deliveries of which nothing is known in their rows, in a few round trips, however many they are."""
    if not new:
        return
    insert(connection, [(delivery_row(_entry(stored)), True) for _, stored in new], at=[seq for seq, _ in new])
    progress = [_progress_row(seq, stored, now) for seq, stored in new]
    ask(
        connection,
        f"INSERT INTO progress ({_PROGRESS}) SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], "
        "%s::double precision[], %s::double precision[], %s::text[]::jsonb[], %s::text[], %s::double precision[], "
        f"%s::boolean[]) RETURNING {ANNOUNCE}",
        columns(progress, 10),
    )
    insert_attempts(connection, ((seq, stored.attempts) for seq, stored in new))


_PROGRESS = "seq, source, line, state, due, since, handlers, reason, settled, body_removed"


def _progress_row(seq: int, stored: StoredDelivery, now: float) -> tuple[Any, ...]:
    summary = stored.summary
    order_key_hash = rows.order_key_hash(summary.receiver, stored.ordering_key)
    # A delivery that was leased, or waited for a paused handler, is to be found at once.
    at_once = summary.leased or summary.paused_by is not None
    at_once = at_once or (summary.state is State.WAITING and summary.due is None)
    due, handlers = 0 if at_once else summary.due, rows.progress_json(summary.handlers)
    row = (seq, summary.receiver, order_key_hash, summary.state.value, due, now, handlers)
    return all_escaped((*row, summary.reason, summary.settled, summary.body_removed))


def _load_one(connection: PostgresConnection, seq: int, stored: StoredDelivery, now: float) -> None:
    summary = stored.summary
    outdated = ask(
        connection,
        "UPDATE delivery SET current = false WHERE source = %s AND key = %s AND current AND received <= %s",
        [escaped(summary.receiver), stored.key, summary.received],
    ).rowcount
    is_known = ask(
        connection,
        "SELECT 1 FROM delivery WHERE source = %s AND key = %s AND current",
        [escaped(summary.receiver), stored.key],
    ).fetchone()
    row, body_of = delivery_row(_entry(stored)), bodies.stored_with(connection, stored.delivery)
    insert(connection, [(row, bool(outdated) or is_known is None)], body_of=body_of, at=[seq])
    ask(
        connection,
        f"INSERT INTO progress ({_PROGRESS}) "
        f"VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s) RETURNING {ANNOUNCE}",
        _progress_row(seq, stored, now),
    )
    insert_attempts(connection, [(seq, stored.attempts)])


def _duplicate_of(connection: PostgresConnection, stored: StoredDelivery, window: float) -> int | None:
    """Return the row of the same delivery, or of one that is a duplicate of it or the reverse, or None."""
    delivery = stored.delivery
    found = ask(
        connection,
        "SELECT seq FROM delivery WHERE id = %s "
        "UNION ALL SELECT d.seq FROM (VALUES (%s::text, %s::bytea)) AS n(source, key) "
        f"JOIN LATERAL (SELECT d.seq, d.received FROM delivery d WHERE {_HAS_KEY} AND d.current "
        f"UNION ALL SELECT d.seq, d.received FROM delivery d WHERE {_HAS_KEY} AND NOT d.current) AS d ON true "
        "WHERE abs(d.received - %s) <= %s LIMIT 1",
        [escaped(delivery.id), escaped(delivery.receiver), stored.key, delivery.received, window],
    ).fetchone()
    return None if found is None else found[0]


def _requeue_dead(connection: PostgresConnection, seq: int, now: float) -> None:
    (state,) = ask(connection, "SELECT state FROM progress WHERE seq = %s", [seq]).fetchone() or (None,)
    if state == State.DEAD:
        requeue(connection, [seq], now)
