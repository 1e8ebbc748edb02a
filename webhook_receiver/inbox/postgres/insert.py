"""Putting deliveries into a PostgreSQL inbox: what is new is kept with its job, and what is a repeat is known.

As everything that is done inside a transaction, `put` takes the connection and a list of requests, and returns a
result for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .. import rows
from ..dedup import Candidate, PutJob, repeats
from ..records import Duplicate, Entry, State, Stored
from . import jobs
from .replay import requeue
from .rows import Connection, all_unstored, ask, columns, delivery_row, stored

_TYPES = (
    *("text", "text", "text", "text", "bytea", "text", "text"),
    *("double precision", "bytea", "bytea", "integer", "integer", "bigint"),
)
"""The types of `rows.COLUMNS`."""


def put(connection: Connection, puts: Sequence[PutJob]) -> list[Stored | Duplicate]:
    """Keep what is new; find out what is not."""
    alone(connection, [each.entry for each in puts])
    known = _known(connection, [each.entry for each in puts])
    results: list[Stored | Duplicate] = []
    new: list[PutJob] = []
    again: list[tuple[int, PutJob, Candidate]] = []
    for each in puts:
        repeated = next((kept for kept in known if repeats(each, kept)), None)
        if repeated is not None:
            again.append((len(results), each, repeated))
            results.append(Duplicate(repeated.id))
            continue
        entry, delivery = each.entry, each.entry.delivery
        if entry.key is not None or entry.identity is not None:
            known.append(Candidate.of(0, entry))
        new.append(each)
        results.append(Stored(delivery.id))
    if new:
        keys = {(each.entry.delivery.receiver, each.entry.key) for each in new}
        _outdate(connection, [kept.seq for kept in known if kept.seq and (kept.receiver, kept.key) in keys])
        _insert(connection, new)
    for index, each, kept in again:  # only now, for what they repeat may be among the new ones
        results[index] = _duplicate(connection, each, kept)
    return results


def alone(connection: Connection, entries: Iterable[Entry]) -> None:
    """Wait until nobody else puts what may be a repeat of these, and let others wait for us."""
    hashes = {rows.lookup(each.delivery.receiver, each.event, each.key, each.identity) for each in entries} - {None}
    if hashes:  # in one order everywhere, so that no two wait for each other
        ask(
            connection,
            "SELECT pg_advisory_xact_lock(hash) FROM unnest(%s::bigint[]) AS hash",
            [sorted(filter(None, hashes))],
        )


def _known(connection: Connection, entries: Sequence[Entry]) -> list[Candidate]:
    """Return what is kept that one of these may repeat."""
    keys = [(stored(each.delivery.receiver), each.key) for each in entries if each.key is not None]
    said = [
        (stored(each.delivery.receiver), stored(each.identity), each.delivery.via == "backfill")
        for each in entries
        if each.identity is not None
    ]
    if not keys and not said:
        return []
    found = ask(
        connection,
        "SELECT d.seq, d.id, d.source, d.origin, d.event, d.key, d.identity, d.received "
        "FROM unnest(%s::text[], %s::bytea[]) AS k(source, key) "
        "JOIN delivery d ON d.source = k.source AND d.key = k.key AND d.current "
        "UNION SELECT d.seq, d.id, d.source, d.origin, d.event, d.key, d.identity, d.received "
        "FROM unnest(%s::text[], %s::text[], %s::boolean[]) AS s(source, identity, backfill) "
        # An order may have been told the same a thousand times: most of that is not even looked at.
        "JOIN delivery d ON d.source = s.source AND left(d.identity, 200) = left(s.identity, 200) "
        "AND d.identity = s.identity AND (d.origin = 'backfill' OR s.backfill) "
        "ORDER BY 1",
        [*columns(keys, 2), *columns(said, 3)],
    )
    return [Candidate(*all_unstored(row)) for row in found.fetchall()]


def _duplicate(connection: Connection, each: PutJob, kept: Candidate) -> Duplicate:
    found = ask(
        connection,
        "SELECT p.seq, p.state FROM progress p JOIN delivery d USING (seq) WHERE d.id = %s",
        [stored(kept.id)],
    )
    seq, state = found.fetchone() or (0, State.DONE)
    if state != State.DEAD or each.entry.delivery.via == "backfill":
        return Duplicate(kept.id)
    requeue(connection, [seq], each.now)
    return Duplicate(kept.id, replayed=True)


def _outdate(connection: Connection, seqs: Sequence[int]) -> None:
    """Let these have their keys no more, since later ones have them."""
    if seqs:
        ask(connection, "UPDATE delivery SET current = false WHERE seq = ANY(%s)", [[*seqs]])


def _insert(connection: Connection, new: Sequence[PutJob]) -> None:
    seqs = insert(connection, [(delivery_row(each.entry), True) for each in new])
    progress: list[tuple[Any, ...]] = []
    orders: list[jobs.NewJob] = []
    for seq, (entry, now, _) in zip(seqs, new, strict=True):
        receiver, dead = entry.delivery.receiver, entry.dead
        state, settled = (State.WAITING, None) if dead is None else (State.DEAD, now)
        line = rows.line(receiver, entry.ordering_key)
        orders.append(jobs.NewJob(seq, receiver, line, state))
        # Due at 0 and not now: a clock that is set back must not make a new delivery wait.
        progress.append((seq, stored(receiver), line, state, 0.0, now, None if dead is None else stored(dead), settled))
    made = jobs.make(connection, orders)
    ask(
        connection,
        "INSERT INTO progress (seq, source, line, state, due, since, reason, settled, job) SELECT * FROM unnest("
        "%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::double precision[], %s::double precision[], "
        "%s::text[], %s::double precision[], %s::bigint[])",
        [*columns(progress, 8), made],
    )


def insert(connection: Connection, new: Sequence[tuple[tuple[Any, ...], bool]], first: int | None = None) -> list[int]:
    """Insert rows of deliveries, each with whether no later one has its key; return their places in the order.

    They are the last in it, or begin with `first`.
    """
    if first is None:
        found = ask(
            connection,
            "SELECT nextval(pg_get_serial_sequence('delivery', 'seq')) FROM generate_series(1, %s)",
            [len(new)],
        )
        seqs: list[int] = sorted(seq for (seq,) in found.fetchall())
    else:
        seqs = [*range(first, first + len(new))]
    # Bodies and headers as they are (%b), not as hexadecimal text.
    kinds = ["%b" if column in ("headers", "body") else "%s" for column in rows.COLUMNS]
    marks = ", ".join(f"{kind}::{type}[]" for kind, type in zip(kinds, _TYPES, strict=True))
    ask(
        connection,
        f"INSERT INTO delivery (seq, {', '.join(rows.COLUMNS)}, current) "
        f"SELECT * FROM unnest(%s::bigint[], {marks}, %s::boolean[])",
        [seqs, *columns([row for row, _ in new], len(rows.COLUMNS)), [current for _, current in new]],
    )
    return seqs
