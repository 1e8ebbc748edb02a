"""What a PostgreSQL inbox does beside the way of a delivery: pause, replay, purge, load, and setting waits right.

As in `reading`, one request at a time, each in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ...errors import InboxDamaged
from .. import rows
from ..records import Entry, Filter, State, StoredDelivery
from . import jobs
from .insert import alone, insert
from .leases import keep_attempts
from .queries import chosen
from .replay import requeue
from .rows import Connection, all_stored, ask, delivery_row, stored

_APART = 60.0  # seconds by which the clocks of machines that share an inbox may differ
_MENDED = 1000  # deliveries at a time
_LOADING = 0x57484B53  # the advisory lock of who loads


def beat(connection: Connection, requests: Sequence[None]) -> Sequence[None]:
    """Commit something that means nothing."""
    ask(connection, "UPDATE heartbeat SET beats = beats + 1")
    return requests


def pause(connection: Connection, handler: str, now: float) -> None:
    """Keep a handler from running."""
    ask(connection, "INSERT INTO paused VALUES (%s, %s) ON CONFLICT DO NOTHING", [stored(handler), now])


def resume(connection: Connection, handler: str) -> bool:
    """Let a handler run again, and be due what was held for it."""
    name = stored(handler)
    ended = ask(connection, "DELETE FROM paused WHERE handler = %s", [name]).rowcount
    found = ask(
        connection,
        "UPDATE progress SET held = NULL, due = 0 WHERE held = %s AND lease IS NULL RETURNING seq",
        [name],
    )
    jobs.renew(connection, [seq for (seq,) in found.fetchall()])
    return ended == 1


def replay(connection: Connection, ids: Sequence[str], now: float, handler: str | None) -> int:
    """Let deliveries be handled again."""
    found = ask(connection, "SELECT seq FROM delivery WHERE id = ANY(%s)", [[stored(each) for each in ids]])
    return requeue(connection, [seq for (seq,) in found.fetchall()], now, handler)


def purge(connection: Connection, which: Filter, now: float, limit: int) -> int:
    """Remove deliveries for good."""
    where, arguments = chosen(which)
    return _remove(
        connection, f"{where} AND (p.lease IS NULL OR p.due IS NULL OR p.due <= %s)", [*arguments, now], limit
    )


def expire(connection: Connection, settled_before: float, limit: int) -> int:
    """Remove what was done before then."""
    return _remove(connection, "p.state = 'done' AND p.settled < %s", [settled_before], limit)


def _remove(connection: Connection, where: str, arguments: Sequence[object], limit: int) -> int:
    found = ask(
        connection,
        f"SELECT p.seq, p.job, p.state FROM progress p JOIN delivery d USING (seq) WHERE {where} "
        "ORDER BY p.seq LIMIT %s FOR UPDATE OF p",
        [*arguments, limit],
    ).fetchall()
    jobs.withdraw(connection, [job for _, job, state in found if state != State.DONE])
    return ask(connection, "DELETE FROM delivery WHERE seq = ANY(%s)", [[seq for seq, _, _ in found]]).rowcount


def remeasure(connection: Connection, now: float) -> None:
    """Let every wait that began in the future begin anew: the clock was set back, `now` is what it shows."""
    found = ask(
        connection,
        "SELECT since - %s, handlers::text, seq FROM progress WHERE state <> 'done' AND due > %s AND since > %s "
        "ORDER BY seq FOR UPDATE",
        [now, now, now + _APART],
    ).fetchall()
    for shift, text, seq in found:
        with suppress(InboxDamaged):  # whoever claims it says so
            handlers = {name: each._replace(due=each.due - shift) for name, each in rows.progress(text).items()}
            text = rows.progress_json(handlers)
        ask(
            connection,
            "UPDATE progress SET due = due - %s, since = %s, handlers = %s WHERE seq = %s",
            [shift, now, text, seq],
        )
    jobs.renew(connection, [seq for _, _, seq in found])


def mend(connection: Connection, receiver: str, now: float) -> int:
    """Give jobs to those of a source that are due for long and have none, whoever lost it; return how many."""
    found = ask(
        connection,
        "SELECT p.seq FROM progress p WHERE p.source = %s AND p.state <> 'done' AND p.due <= %s AND NOT EXISTS "
        "(SELECT 1 FROM procrastinate_jobs j WHERE j.id = p.job AND j.status IN ('todo', 'doing')) "
        "ORDER BY p.seq LIMIT %s FOR UPDATE OF p SKIP LOCKED",
        [stored(receiver), now - _APART, _MENDED],
    ).fetchall()
    jobs.renew(connection, [seq for (seq,) in found])
    return len(found)


def load(connection: Connection, dumped: Sequence[StoredDelivery], now: float, window: float) -> int:
    """Keep what another inbox dumped, before all that is kept already."""
    ask(connection, "SELECT pg_advisory_xact_lock(%s)", [_LOADING])
    alone(connection, [_entry(kept) for kept in dumped])
    (first,) = ask(connection, "SELECT coalesce(min(seq), 1) FROM delivery").fetchone() or (1,)
    seq = min(first, 1) - len(dumped) - 1  # rows that are not there leave gaps, which mean nothing
    loaded = 0
    again: list[int] = []
    for kept in dumped:
        seq += 1
        repeated = _repeated(connection, kept, window)
        if repeated is None:
            _load_one(connection, seq, kept, now)
            loaded += 1
            if kept.summary.state is State.WAITING or (
                kept.summary.state is State.DEAD and kept.summary.due is not None
            ):
                again.append(seq)
        elif kept.summary.state is State.WAITING:
            _revive_dead(connection, repeated, now)
    jobs.renew(connection, again)
    return loaded


def _entry(kept: StoredDelivery) -> Entry:
    return Entry(kept.delivery, kept.summary.event, kept.key, kept.summary.identity, kept.ordering_key)


def _load_one(connection: Connection, seq: int, kept: StoredDelivery, now: float) -> None:
    record = kept.summary
    outdated = ask(
        connection,
        "UPDATE delivery SET current = false WHERE source = %s AND key = %s AND current AND received <= %s",
        [stored(record.receiver), kept.key, record.received],
    ).rowcount
    is_known = ask(
        connection,
        "SELECT 1 FROM delivery WHERE source = %s AND key = %s AND current",
        [stored(record.receiver), kept.key],
    ).fetchone()
    insert(connection, [(delivery_row(_entry(kept)), bool(outdated) or is_known is None)], seq)
    # What waited for a paused handler is to be found at once, as what was leased.
    at_once = record.leased or (record.state is State.WAITING and record.due is None)
    ask(
        connection,
        "INSERT INTO progress (seq, source, line, state, due, since, handlers, reason, settled) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        all_stored(
            (
                *(seq, record.receiver, rows.line(record.receiver, kept.ordering_key), record.state.value),
                *(0 if at_once else record.due, now, rows.progress_json(record.handlers)),
                *(record.reason, record.settled),
            )
        ),
    )
    keep_attempts(connection, {seq: kept.attempts})


def _repeated(connection: Connection, kept: StoredDelivery, window: float) -> int | None:
    """Return the row of the same delivery, or of one that it repeats or is repeated by."""
    delivery = kept.delivery
    found = ask(
        connection,
        "SELECT seq FROM delivery WHERE id = %s "
        "UNION ALL SELECT seq FROM delivery WHERE source = %s AND key = %s AND abs(received - %s) <= %s LIMIT 1",
        [stored(delivery.id), stored(delivery.receiver), kept.key, delivery.received, window],
    ).fetchone()
    return None if found is None else found[0]


def _revive_dead(connection: Connection, seq: int, now: float) -> None:
    (state,) = ask(connection, "SELECT state FROM progress WHERE seq = %s", [seq]).fetchone() or (None,)
    if state == State.DEAD:
        requeue(connection, [seq], now)
