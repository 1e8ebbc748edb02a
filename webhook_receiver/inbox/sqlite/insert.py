"""Putting deliveries into a SQLite inbox: each is written to the table `delivery` once, and duplicates are recognized.

Like every operation of the writer, `put` takes the connection and a list of jobs inside a transaction, and returns a
result for each job. The statements take all rows of a batch together: each call of SQLite releases Python's global
lock, and to get it back from a busy event loop can take longer than the work itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from math import isnan
from types import NoneType
from typing import Any

from ...errors import InboxError
from .. import rows
from ..dedup import PUSH, Candidate, PutJob, is_duplicate, put_parts
from ..owner import Owner
from ..records import REPLAYED_BY_DUPLICATES, Duplicate, State, Stored
from . import bodies, dedup_index, ordering, tracking
from .connection import WriterConnection
from .dedup_cache import DedupCache, HashEntry
from .owners import born, hand_over

_AT_ONCE = 1024  # candidates to look at with one statement
_MOST_KEYS = 16_384  # to ask for beside them: SQLite takes 32,766 arguments
_BODIES_AT_ONCE = 64  # deliveries to read whole
_RECEIVED, _BY, _PART, _CONTEXT = map(rows.COLUMNS.index, ("received", "verified_by", "part", "context"))
_COMMON = ", ".join(("seq", *rows.COLUMNS[:_PART], "checksum", "owner"))
"""The columns of all deliveries; the others are left out where none of a batch has a value, which saves a twentieth."""
_TEXT, _TEXT_OR_NONE = {str}, {str, NoneType}
_KINDS: Sequence[set[Any]] = (
    *(_TEXT, _TEXT, _TEXT, _TEXT_OR_NONE, {bytes, NoneType}, _TEXT_OR_NONE, _TEXT_OR_NONE),
    *({float}, {bytes}, {bytes}, {int, NoneType}, {int}, {int}, _TEXT_OR_NONE),
)
"""The types of the values of `rows.COLUMNS` but for the checksum; SQLite would convert others."""


def put(connection: WriterConnection, jobs: Sequence[PutJob]) -> list[Stored | Duplicate]:
    """Store the new deliveries, and return a result for each job.

    Raises:
        InboxError: an id that is stored already, or a value that no file can hold; nothing of the batch is stored.
    """
    return put_parts(jobs, partial(_put, connection))


def _put(connection: WriterConnection, jobs: Sequence[PutJob]) -> list[Stored | Duplicate]:
    hashes = [
        rows.dedup_hash(job.entry.delivery.receiver, job.entry.event, job.entry.key, job.entry.identity) for job in jobs
    ]
    cache = dedup_index.refresh(connection)
    before = last = cache.last
    known = _known(connection, cache, jobs, {each for each in hashes if each is not None})
    results: list[Stored | Duplicate] = []
    new: list[PutJob] = []
    hashes_of_new: dict[int, list[int]] = {}
    duplicates: list[tuple[int, PutJob, Candidate]] = []
    for job, found in zip(jobs, hashes, strict=True):
        if found is not None and (found in known or found in hashes_of_new):
            among_new = [Candidate.of(seq, new[seq - before - 1].entry) for seq in hashes_of_new.get(found, ())]
            duplicate = next(
                (candidate for candidate in (*known.get(found, ()), *among_new) if is_duplicate(job, candidate)), None
            )
            if duplicate is not None:
                duplicates.append((len(results), job, duplicate))
                results.append(Duplicate(duplicate.id))
                continue
        last += 1
        new.append(job)
        if found is not None:
            hashes_of_new.setdefault(found, []).append(last)
        results.append(Stored(job.entry.delivery.id))
    replayed = [each for _, job, each in duplicates if job.entry.delivery.via == PUSH and each.seq <= before]
    if replayed and _unkey_damaged(connection, cache, replayed):
        return _put(connection, jobs)
    if new:
        owners = born(connection, new, before)
        _insert(connection, new, before + 1, owners)
        dedup_index.add(connection, cache, hashes_of_new, last)
        leased = {job.entry.delivery.id for job, owner in zip(new, owners, strict=True) if owner is not None}
        results = [
            Stored(each.id, leased=True) if isinstance(each, Stored) and each.id in leased else each for each in results
        ]
    _replay(connection, duplicates, results)  # only now: the first ones may be among the new deliveries
    return results


def _known(
    connection: WriterConnection, cache: DedupCache, jobs: Sequence[PutJob], hashes: set[int]
) -> dict[int, list[Candidate]]:
    """Return the stored deliveries under these hashes, by hash, that one of the jobs may be a duplicate of."""
    candidates = [*dict.fromkeys(dedup_index.candidates(connection, cache, hashes))]
    # An identity may have a thousand deliveries: most of them are not even read.
    keys = None if any(job.entry.delivery.via != PUSH for job in jobs) else {job.entry.key for job in jobs}
    if keys is not None and len(keys) > _MOST_KEYS:
        keys = None
    known: dict[int, list[Candidate]] = {}
    for start in range(0, len(candidates), _AT_ONCE):
        for hash, *row in _stored(connection, candidates[start : start + _AT_ONCE], keys):
            known.setdefault(hash, []).append(Candidate(*row))
    return known


def _stored(
    connection: WriterConnection, candidates: Sequence[HashEntry], keys: Collection[bytes | None] | None
) -> list[tuple[Any, ...]]:
    candidates, asked = rows.padded(candidates), rows.padded(keys or ())
    may_repeat = "1" if keys is None else f"(d.key IN ({rows.placeholders(asked)}) OR d.origin <> '{PUSH}')"
    arguments = [*rows.flat(candidates), *asked]
    found: list[tuple[Any, ...]] = []
    for table in ("delivery", "purged"):  # what is stored again by a load goes before what was purged
        found += connection.execute(
            "SELECT hash, d.seq, d.id, d.source, d.origin, d.event, d.key, d.identity, d.received "
            # CROSS, for SQLite would read the whole table instead.
            f"FROM {rows.as_table(('hash', 'seq'), candidates)} CROSS JOIN {table} d USING (seq) WHERE {may_repeat}",
            arguments,
        ).fetchall()
    return found


def _unkey_damaged(connection: WriterConnection, cache: DedupCache, stored: Collection[Candidate]) -> bool:
    """Have no duplicate of those that a duplicate replays any more if they are damaged; return whether there are any.

    What came again is whole, and counts as new.
    """
    by_seq = {each.seq: each for each in stored}
    damaged = rows.damaged(_replayed(connection, [*by_seq]))
    gone = [by_seq[seq] for seq in damaged]
    hashes = [(rows.dedup_hash(each.receiver, each.event, each.key, each.identity), each.seq) for each in gone]
    dedup_index.remove(connection, cache, hashes)
    connection.executemany("UPDATE delivery SET key = NULL, identity = NULL WHERE seq = ?", [(seq,) for seq in damaged])
    return bool(damaged)


def _replayed(connection: WriterConnection, seqs: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield `rows.COLUMNS` and the numbers of those of these rows that a duplicate replays."""
    for start in range(0, len(seqs), _BODIES_AT_ONCE):
        asked = rows.padded(seqs[start : start + _BODIES_AT_ONCE])
        found = connection.execute(
            f"SELECT {rows.OWN}, d.seq, d.body_of FROM progress p JOIN delivery d USING (seq) "
            f"WHERE p.seq IN ({rows.placeholders(asked)}) AND p.state IN ({rows.placeholders(REPLAYED_BY_DUPLICATES)})",
            [*asked, *REPLAYED_BY_DUPLICATES],
        ).fetchall()
        shared = bodies.shared(connection, [row[-1] for row in found])
        for *row, holder in found:
            yield rows.with_body(tuple(row), shared[holder]) if holder in shared else tuple(row)


def _insert(connection: WriterConnection, new: Sequence[PutJob], first: int, owners: Sequence[Owner | None]) -> None:
    """Insert the rows of deliveries; `first` is the number of the first of them, `owners` what each is born to.

    Raises:
        InboxError: an id is stored already, or a value is of a type or size that no row could hold.
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    numbered = [*enumerate(_plain([rows.values_of(job.entry) for job in new]), first)]
    checksum = rows.Checksums().of
    columns, table = (
        _COMMON,
        [
            (seq, *row[:_PART], checksum(row), None if owner is None else owner.token)
            for (seq, row), owner in zip(numbered, owners, strict=True)
        ],
    )
    if any([row[_PART] or row[_CONTEXT] is not None for _, row in numbered]):  # noqa: C419 - a generator takes longer
        others = rows.bodies_of([seq for seq, _ in numbered], [job.shares for job in new])
        columns, table = (
            f"{_COMMON}, part, context, body_of",
            [
                (*(row if other is None else (row[0], *rows.without_body(row[1:]))), *values[_PART:], other)
                for row, (_, values), other in zip(table, numbered, others, strict=True)
            ],
        )
    try:
        rows.insert(connection, f"delivery ({columns})", table)
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        raise InboxError("the inbox has a delivery with this id already") from None
    dead = [
        (seq, row[1], rows.order_key_hash(row[1], row[6]), State.DEAD, 0.0, job.now, job.entry.dead, job.now)
        for (seq, row), job in zip(numbered, new, strict=True)
        if job.entry.dead is not None
    ]
    rows.insert(connection, "progress (seq, receiver, line, state, due, since, reason, settled)", dead)
    for owner in {owner for owner in owners if owner is not None}:
        own = [(seq, job.entry) for seq, (job, its) in enumerate(zip(new, owners, strict=True), first) if its is owner]
        hand_over(connection, owner, own)


def _plain(table: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows with plain values, as a file gives them back: no members of enums."""
    if not _are_plain(table):
        table = [tuple(map(_plain_value, row)) for row in table]
        if not _are_plain(table):
            raise InboxError("the inbox does not take it: one of its values is of a kind that no delivery has")
    if any(isnan(row[_RECEIVED]) or not -(2**63) < (row[_BY] or 0) < 2**63 for row in table):
        raise InboxError("the inbox does not take it: one of its numbers is none that a file can hold")
    return table


def _plain_value(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else int(value) if isinstance(value, int) else value


def _are_plain(table: list[tuple[Any, ...]]) -> bool:
    columns = zip(*table, strict=True)
    return all(kinds.issuperset(map(type, column)) for kinds, column in zip(_KINDS, columns, strict=True))


def _replay(
    connection: WriterConnection, duplicates: Sequence[tuple[int, PutJob, Candidate]], results: list[Stored | Duplicate]
) -> None:
    """Replay what is to be handled again because of a duplicate: the place of its result, its job, and whose it is."""
    duplicates = [each for each in duplicates if each[1].entry.delivery.via == PUSH]
    if not duplicates:
        return
    again = set[int]()
    for asked in rows.steps({candidate.seq for _, _, candidate in duplicates}):
        found = connection.execute(f"SELECT seq, state FROM progress WHERE seq IN ({rows.placeholders(asked)})", asked)
        again |= {seq for seq, state in found.fetchall() if State(state) in REPLAYED_BY_DUPLICATES}
    for index, job, candidate in duplicates:
        if candidate.seq in again:
            again.remove(candidate.seq)
            tracking.track_out_of_turn(connection, [candidate.seq])
            ordering.requeue(connection, candidate.seq, job.now)
            results[index] = Duplicate(candidate.id, replayed=True)
