"""Putting deliveries into a SQLite inbox: new deliveries are staged, and duplicates are recognized.

Like every operation of the writer, `put` takes the connection and a list of jobs inside a transaction, and returns a
result for each job. The statements take all rows of a batch together: each call of SQLite releases Python's global
lock, and to get it back from a busy event loop can take longer than the work itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ...errors import InboxError
from .. import rows
from ..dedup import Candidate, PutJob, is_duplicate
from ..records import REPLAYED_BY_DUPLICATES, Duplicate, State, Stored
from . import dedup_index, ordering, staging
from .connection import WriterConnection
from .dedup_cache import DedupCache, HashEntry

_AT_ONCE = 1024  # candidates to look at with one statement


def put(connection: WriterConnection, jobs: Sequence[PutJob]) -> list[Stored | Duplicate]:
    """Stage the new deliveries, and return a result for each job.

    Raises:
        InboxError: an id that is stored already, or a value that no file can hold; nothing of the batch is stored.
    """
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
    if new:
        _stage(connection, cache, new, last)
        dedup_index.add(connection, cache, hashes_of_new, last)
    for index, job, candidate in duplicates:  # only now: the first ones may be among the new deliveries
        results[index] = _duplicate(connection, cache, job, candidate)
    return results


def _known(
    connection: WriterConnection, cache: DedupCache, jobs: Sequence[PutJob], hashes: set[int]
) -> dict[int, list[Candidate]]:
    """Return the stored deliveries under these hashes, by hash, that one of the jobs may be a duplicate of."""
    candidates = [*dict.fromkeys(dedup_index.candidates(connection, cache, hashes))]
    # An identity may have a thousand deliveries: most of them are not even read.
    keys = None if any(job.entry.delivery.via == "backfill" for job in jobs) else {job.entry.key for job in jobs}
    known: dict[int, list[Candidate]] = {}
    flushed = [each for each in candidates if each[1] <= cache.flushed]
    for start in range(0, len(flushed), _AT_ONCE):
        for hash, *row in _flushed(connection, flushed[start : start + _AT_ONCE], keys):
            known.setdefault(hash, []).append(Candidate(*row))
    hashes_of = {seq: hash for hash, seq in candidates if seq > cache.flushed}
    for seq, values in staging.find(connection, hashes_of):
        found = Candidate._make((seq, *values[:6], values[7]))
        if keys is None or found.key in keys or found.via == "backfill":
            known.setdefault(hashes_of[seq], []).append(found)
    return known


def _flushed(
    connection: WriterConnection, candidates: Sequence[HashEntry], keys: Collection[bytes | None] | None
) -> list[tuple[Any, ...]]:
    candidates, asked = rows.padded(candidates), rows.padded(keys or ())
    may_repeat = "1" if keys is None else f"(d.key IN ({rows.placeholders(asked)}) OR d.origin = 'backfill')"
    return connection.execute(
        "SELECT hash, d.seq, d.id, d.source, d.origin, d.event, d.key, d.identity, d.received "
        # CROSS, for SQLite would read the whole table instead.
        f"FROM {rows.as_table(('hash', 'seq'), candidates)} CROSS JOIN delivery d USING (seq) WHERE {may_repeat}",
        [*rows.flat(candidates), *asked],
    ).fetchall()


def _stage(connection: WriterConnection, cache: DedupCache, new: Sequence[PutJob], last: int) -> None:
    ids = [job.entry.delivery.id for job in new]
    asked = rows.padded(ids)
    stored = connection.execute(f"SELECT id FROM delivery WHERE id IN ({rows.placeholders(asked)})", asked).fetchone()
    staged_ids = {each.row[0] for each in staging.read(connection)} if cache.may_be_staged(ids) else set[str]()
    if stored is not None or not staged_ids.isdisjoint(ids) or len({*ids}) < len(ids):
        raise InboxError("the inbox has a delivery with this id already")
    staging.append(connection, new, last)
    if last - cache.flushed > staging.MOST_STAGED:
        staging.flush(connection, len(new))
        (cache.flushed,) = connection.execute("SELECT unpacked FROM arrived").fetchone()
    connection.undo += (cache.add_ids(ids, last),)


def _duplicate(connection: WriterConnection, cache: DedupCache, job: PutJob, candidate: Candidate) -> Duplicate:
    by_backfill = job.entry.delivery.via == "backfill"
    if candidate.seq > cache.flushed:
        ((_, values),) = staging.find(connection, [candidate.seq])
        if values[-1] is None or by_backfill:
            return Duplicate(candidate.id)
        staging.requeue(connection, candidate.seq)
        return Duplicate(candidate.id, replayed=True)
    (state,) = connection.execute("SELECT state FROM progress WHERE seq = ?", (candidate.seq,)).fetchone()
    if State(state) not in REPLAYED_BY_DUPLICATES or by_backfill:
        return Duplicate(candidate.id)
    ordering.requeue(connection, candidate.seq, job.now)
    return Duplicate(candidate.id, replayed=True)
