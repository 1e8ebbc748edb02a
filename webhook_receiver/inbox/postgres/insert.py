"""Putting deliveries into a PostgreSQL inbox: new ones are inserted, and duplicates are recognized.

Like every operation of a writer, `put` takes the connection and a list of requests inside a transaction, and returns a
result for each request.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ...delivery import Delivery, new_id
from ...errors import ConfigurationError
from .. import rows
from ..dedup import PUSH, Candidate, PutJob, is_duplicate, put_parts
from ..records import REPLAYED_BY_DUPLICATES, Duplicate, Entry, State, Stored
from . import bodies
from .announcement import ANNOUNCE
from .replay import requeue
from .rows import DELIVERY, PostgresConnection, all_unescaped, ask, columns, delivery_row, escaped, unescaped

_MOST_LOCKS = 256  # for a transaction: all transactions of a server share some thousands
_TYPES = (
    *("text", "text", "text", "text", "bytea", "text", "text"),
    *("double precision", "bytea", "bytea", "integer", "integer", "integer", "text", "bigint"),
)
"""The types of `rows.COLUMNS`, in SQL."""


def put(connection: PostgresConnection, puts: Sequence[PutJob]) -> list[Stored | Duplicate]:
    """Insert the new deliveries, and return a result for each request."""
    return put_parts(puts, partial(_put, connection))


def put_locked(connection: PostgresConnection, puts: Sequence[PutJob]) -> list[Stored | Duplicate]:
    """Insert the new ones of deliveries whose duplicates nobody else can put now; return a result for each."""
    return put_parts(puts, partial(_put_locked, connection))


def _put(connection: PostgresConnection, puts: Sequence[PutJob]) -> list[Stored | Duplicate]:
    lock_dedup_hashes(connection, [each.entry for each in puts])
    return _put_locked(connection, puts)


def _put_locked(connection: PostgresConnection, puts: Sequence[PutJob]) -> list[Stored | Duplicate]:
    while (sorted_out := _sorted_out(connection, puts)) is None:
        pass  # what a duplicate would have replayed was removed meanwhile, or is damaged
    results, new, duplicates, outdated = sorted_out
    if new:
        _outdate(connection, outdated)
        _insert(connection, new)
    _replay(connection, duplicates, results)  # only now: the first ones may be among the new deliveries
    return results


_SortedOut = tuple[list[Stored | Duplicate], list[PutJob], list[tuple[int, PutJob, Candidate]], list[int]]
"""The results, the new ones, the duplicates as `_replay` takes them, and the rows whose keys new ones have."""


def _sorted_out(connection: PostgresConnection, puts: Sequence[PutJob]) -> _SortedOut | None:
    """Tell new deliveries from duplicates; return None if that no longer holds."""
    stored, purged = _known(connection, [each.entry for each in puts])
    known = defaultdict[_Known, dict[int, Candidate]](dict)
    for place, candidate in enumerate([*stored, *purged]):
        for by in _known_by(candidate.receiver, candidate.event, candidate.key, candidate.identity):
            known[by][place] = candidate
    results: list[Stored | Duplicate] = []
    new: list[PutJob] = []
    duplicates: list[tuple[int, PutJob, Candidate]] = []
    replayed: set[int] = set()
    for place, each in enumerate(puts, len(stored) + len(purged)):
        entry, delivery = each.entry, each.entry.delivery
        known_by = [*_known_by(delivery.receiver, entry.event, entry.key, entry.identity)]
        alike = {at: one for by in known_by for at, one in known[by].items() if is_duplicate(each, one)}
        if alike:
            first = alike[min(alike)]
            duplicates.append((len(results), each, first))
            results.append(Duplicate(first.id))
            if delivery.via == PUSH and min(alike) < len(stored):
                replayed.add(first.seq)
            continue
        for by in known_by:
            known[by][place] = Candidate.of(0, entry)
        new.append(each)
        results.append(Stored(entry.delivery.id))
    held = _hold(connection, replayed) if replayed else set[int]()
    if held is None or (held and _unkey_damaged(connection, held)):
        return None
    keys = {(each.entry.delivery.receiver, each.entry.key) for each in new if each.entry.key is not None}
    return results, new, duplicates, [each.seq for each in stored if (each.receiver, each.key) in keys]


def _hold(connection: PostgresConnection, seqs: Collection[int]) -> set[int] | None:
    """Lock those of these rows that a duplicate replays, and return them; None if one was removed by others."""
    found = ask(
        connection,
        # In the order in which a purge locks them. What others replay just now is left to them: see `_replay`.
        "WITH locked AS MATERIALIZED (SELECT seq FROM progress WHERE seq = ANY(%s) AND state = ANY(%s) ORDER BY seq "
        "FOR UPDATE) SELECT asked.seq, l.seq IS NOT NULL FROM unnest(%s::bigint[]) AS asked(seq) "
        "LEFT JOIN progress p USING (seq) LEFT JOIN locked l USING (seq) WHERE p.seq IS NULL OR p.state = ANY(%s)",
        [[*seqs], [*REPLAYED_BY_DUPLICATES]] * 2,
    ).fetchall()
    return {seq for seq, _ in found} if all(locked for _, locked in found) else None


def _unkey_damaged(connection: PostgresConnection, seqs: Collection[int]) -> bool:
    """Have no duplicate of those of these rows any more that are damaged; return whether there are any.

    What came again is whole, and counts as new.
    """
    found = ask(
        connection, f"SELECT {rows.OWN}, d.seq, d.body_of FROM delivery d WHERE d.seq = ANY(%s)", [[*seqs]]
    ).fetchall()
    parts = [row[-2] for row in found if row[-1] is not None]
    shared = bodies.shared(connection, parts) if parts else {}
    whole = (rows.with_body(row, shared[row[-2]]) if row[-2] in shared else row for row in found)
    damaged = rows.damaged(all_unescaped(row[:-1]) for row in whole)
    if damaged:
        ask(connection, "UPDATE delivery SET key = NULL, identity = NULL WHERE seq = ANY(%s)", [damaged])
    return bool(damaged)


_Known = tuple[str, bytes] | tuple[str, str | None, str]


def _known_by(receiver: str, event: str | None, key: bytes | None, identity: str | None) -> Iterator[_Known]:
    """Yield what a delivery is known by to its duplicates."""
    if key is not None:
        yield receiver, key
    if identity is not None:
        yield receiver, event, identity


_ODD = "d'\"\\%\n\u65e5\u672c\U0001f6f0"  # what an encoding or an escape could damage


def check_round_trip(connection: PostgresConnection) -> None:
    """Insert a delivery and read it back, in a transaction that is rolled back: what is stored has to be what was put.

    Where nothing may be written there is nothing to check: a role that reads, or a standby.

    Raises:
        ConfigurationError: something else was read.
    """
    (may_write,) = ask(
        connection,
        "SELECT NOT current_setting('transaction_read_only')::boolean AND has_table_privilege('delivery', 'INSERT')",
    ).fetchone() or (False,)
    if not may_write:
        return
    row = delivery_row(
        Entry(
            Delivery(new_id(), _ODD, ((b"x", bytes(range(11, 256))),), bytes(range(256)), 0.1 + 0.2, 1, True, "http"),
            event=_ODD,
            key=bytes(range(256)),
            identity=_ODD,
            ordering_key="NULL",
        )
    )
    seq = secrets.randbelow(2**62) - 2**63  # where no row is: each process that starts has one of its own
    with connection.transaction(force_rollback=True):
        insert(connection, [(row, True)], at=[seq])
        found = ask(connection, f"SELECT {DELIVERY} FROM delivery d WHERE seq = %s", [seq]).fetchone()
    if found != row:
        read = found or (None,) * len(row)
        names = [name for name, one, other in zip(rows.COLUMNS, row, read, strict=True) if one != other]
        raise ConfigurationError(
            f"what the PostgreSQL server was given to store is not what it gives back (in {', '.join(names)}): "
            "deliveries would be damaged"
        )


def lock_dedup_hashes(connection: PostgresConnection, entries: Iterable[Entry]) -> None:
    """Lock the hashes by which these entries could be duplicates, until the transaction ends.

    The locks are advisory (postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS). Those of the receivers
    are shared, for whoever puts more at once than a server has locks, and takes these alone: see `lock_receiver`.
    """
    receivers, hashes = set[int](), set[int]()
    for each in entries:
        receiver = each.delivery.receiver
        hash = rows.dedup_hash(receiver, each.event, each.key, each.identity)
        if hash is not None:
            receivers.add(rows.receiver_hash(receiver))
            hashes.add(hash)
    if alone := len(hashes) > _MOST_LOCKS:
        hashes.clear()
    if receivers:  # in one order everywhere, so that no two wait for each other
        ask(
            connection,
            "SELECT CASE WHEN shared THEN pg_advisory_xact_lock_shared(hash) ELSE pg_advisory_xact_lock(hash) END "
            "FROM unnest(%s::bigint[], %s::boolean[]) AS locks(hash, shared)",
            [[*sorted(receivers), *sorted(hashes)], [not alone] * len(receivers) + [False] * len(hashes)],
        )


def lock_receiver(connection: PostgresConnection, receiver: str) -> None:
    """Lock all hashes by which deliveries of a receiver could be duplicates, until the transaction ends."""
    ask(connection, "SELECT pg_advisory_xact_lock(%s)", [rows.receiver_hash(receiver)])


def _known(connection: PostgresConnection, entries: Sequence[Entry]) -> tuple[list[Candidate], list[Candidate]]:
    """Return the deliveries that one of these entries may be a duplicate of: those that are stored, and those that were
    purged."""
    keys = [(escaped(each.delivery.receiver), each.key) for each in entries if each.key is not None]
    identities = [
        (escaped(each.delivery.receiver), escaped(each.identity), each.delivery.via != PUSH)
        for each in entries
        if each.identity is not None
    ]
    if not keys and not identities:
        return [], []
    # What is stored, again after a load maybe, goes before what was purged.
    found = ask(
        connection,
        f"{_candidates('delivery', 'AND d.current')} UNION {_candidates('purged')} ORDER BY 1, 2",
        [*columns(keys, 2), *columns(identities, 3)] * 2,
    )
    stored, purged = list[Candidate](), list[Candidate]()
    for table, *row in found.fetchall():
        (stored if table == "delivery" else purged).append(Candidate(*all_unescaped(row)))
    return stored, purged


def _candidates(table: str, also: str = "") -> str:
    columns = f"SELECT '{table}', d.seq, d.id, d.source, d.origin, d.event, d.key, d.identity, d.received "
    return (
        f"{columns} FROM unnest(%s::text[], %s::bytea[]) AS k(source, key) "
        f"JOIN {table} d ON d.source = k.source AND d.key = k.key {also} "
        f"UNION {columns} FROM unnest(%s::text[], %s::text[], %s::boolean[]) AS s(source, identity, asked) "
        # An identity may have a thousand deliveries: most of them are not even read.
        f"JOIN {table} d ON d.source = s.source AND left(d.identity, 200) = left(s.identity, 200) "
        f"AND d.identity = s.identity AND (d.origin <> '{PUSH}' OR s.asked)"
    )


def _replay(
    connection: PostgresConnection,
    duplicates: Sequence[tuple[int, PutJob, Candidate]],
    results: list[Stored | Duplicate],
) -> None:
    """Replay what is to be handled again because of a duplicate: the place of its result, its job, and whose it is."""
    duplicates = [each for each in duplicates if each[1].entry.delivery.via == PUSH]
    if not duplicates:
        return
    found = ask(
        connection,
        # Locked, so that what somebody else replays just now, and leases, is left to him.
        "SELECT d.id, p.seq FROM progress p JOIN delivery d USING (seq) WHERE d.id = ANY(%s) AND p.state = ANY(%s) "
        "ORDER BY p.seq FOR UPDATE OF p",
        [[*{escaped(candidate.id) for _, _, candidate in duplicates}], [*REPLAYED_BY_DUPLICATES]],
    )
    again = {unescaped(id): seq for id, seq in found.fetchall()}
    for index, each, candidate in duplicates:
        seq = again.pop(candidate.id, None)
        if seq is not None:
            requeue(connection, [seq], each.now)
            results[index] = Duplicate(candidate.id, replayed=True)


def _outdate(connection: PostgresConnection, seqs: Sequence[int]) -> None:
    """Mark rows as not `current`, since later deliveries have their deduplication keys."""
    if seqs:
        ask(connection, "UPDATE delivery SET current = false WHERE seq = ANY(%s)", [[*seqs]])


def _insert(connection: PostgresConnection, new: Sequence[PutJob]) -> None:
    checksum = rows.Checksums().of
    seqs = insert(
        connection, [(delivery_row(each.entry, checksum), True) for each in new], [each.shares for each in new]
    )
    progress: list[tuple[Any, ...]] = []
    for seq, (entry, now, *_) in zip(seqs, new, strict=True):
        receiver, dead = entry.delivery.receiver, entry.dead
        state, settled = (State.WAITING, None) if dead is None else (State.DEAD, now)
        order_key_hash = rows.order_key_hash(receiver, entry.ordering_key)
        # Due at 0 and not now: a clock that is set back must not make a new delivery wait.
        progress.append(
            (seq, escaped(receiver), order_key_hash, state, 0.0, now, None if dead is None else escaped(dead), settled)
        )
    ask(
        connection,
        "INSERT INTO progress (seq, source, line, state, due, since, reason, settled) SELECT * FROM unnest("
        "%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::double precision[], %s::double precision[], "
        f"%s::text[], %s::double precision[]) RETURNING {ANNOUNCE}",
        columns(progress, 8),
    )


def insert(
    connection: PostgresConnection,
    new: Sequence[tuple[tuple[Any, ...], bool]],
    shares: Sequence[str | None] = (),
    *,
    body_of: int | None = None,
    at: Sequence[int] | None = None,
) -> list[int]:
    """Insert rows of deliveries; return their row numbers, which are their places in the order of receipt.

    Args:
        connection: the connection, inside a transaction.
        new: the rows, each with whether no later delivery has its deduplication key.
        shares: for each row what all those have that share its body.
        body_of: a row that has the body of all; None if none has.
        at: the numbers of the rows; None to come after all rows that there are.
    """
    if at is None:
        found = ask(
            connection,
            "SELECT nextval(pg_get_serial_sequence('delivery', 'seq')) FROM generate_series(1, %s)",
            [len(new)],
        )
        at = sorted(seq for (seq,) in found.fetchall())
    seqs = [*at]
    others = rows.bodies_of(seqs, shares) if any(shares) else [body_of] * len(new)
    table = [row if other is None else rows.without_body(row) for (row, _), other in zip(new, others, strict=True)]
    placeholders = ", ".join(f"%s::{type}[]" for type in _TYPES)
    ask(
        connection,
        f"INSERT INTO delivery (seq, {', '.join(rows.COLUMNS)}, current, body_of) "
        f"SELECT * FROM unnest(%s::bigint[], {placeholders}, %s::boolean[], %s::bigint[])",
        [seqs, *columns(table, len(rows.COLUMNS)), [current for _, current in new], others],
    )
    return seqs
