"""Putting deliveries into a SQLite inbox: what is new is kept, and what is a repeat is known.

As everything that is done inside a transaction, `put` takes the connection and a list of jobs, and returns a result
for each job. The statements take all rows of a batch together: each call of SQLite lets go of Python's lock, and
taking it back from a busy event loop can take longer than the work itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ...errors import InboxError
from .. import rows
from ..dedup import Candidate, PutJob, repeats
from ..records import Duplicate, State, Stored
from . import dedup_index, ordering, staging
from .connection import Connection
from .dedup_cache import DedupCache, Found

_AT_ONCE = 1024  # candidates to look at with one statement


def put(connection: Connection, jobs: Sequence[PutJob]) -> list[Stored | Duplicate]:
    """Keep what is new; find out what is not."""
    hashes = [
        rows.lookup(job.entry.delivery.receiver, job.entry.event, job.entry.key, job.entry.identity) for job in jobs
    ]
    recent = dedup_index.refresh(connection)
    before = last = recent.last
    known = _known(connection, recent, jobs, {each for each in hashes if each is not None})
    results: list[Stored | Duplicate] = []
    new: list[PutJob] = []
    looked_up: dict[int, list[int]] = {}
    again: list[tuple[int, PutJob, Candidate]] = []
    for job, found in zip(jobs, hashes, strict=True):
        if found is not None and (found in known or found in looked_up):
            among_new = [Candidate.of(seq, new[seq - before - 1].entry) for seq in looked_up.get(found, ())]
            repeated = next((kept for kept in (*known.get(found, ()), *among_new) if repeats(job, kept)), None)
            if repeated is not None:
                again.append((len(results), job, repeated))
                results.append(Duplicate(repeated.id))
                continue
        last += 1
        new.append(job)
        if found is not None:
            looked_up.setdefault(found, []).append(last)
        results.append(Stored(job.entry.delivery.id))
    if new:
        _keep(connection, recent, new, last)
        dedup_index.add(connection, recent, looked_up, last)
    for index, job, kept in again:  # only now, for what they repeat may be among the new ones
        results[index] = _duplicate(connection, recent, job, kept)
    return results


def _known(
    connection: Connection, recent: DedupCache, jobs: Sequence[PutJob], hashes: set[int]
) -> dict[int, list[Candidate]]:
    """Return what is kept under these hashes, as far as one of the jobs may repeat it."""
    candidates = [*dict.fromkeys(dedup_index.candidates(connection, recent, hashes))]
    # An order may have been told the same a thousand times: most of that is not even looked at.
    keys = None if any(job.entry.delivery.via == "backfill" for job in jobs) else {job.entry.key for job in jobs}
    known: dict[int, list[Candidate]] = {}
    unpacked = [each for each in candidates if each[1] <= recent.unpacked]
    for start in range(0, len(unpacked), _AT_ONCE):
        for hash, *row in _unpacked(connection, unpacked[start : start + _AT_ONCE], keys):
            known.setdefault(hash, []).append(Candidate(*row))
    hashes_of = {seq: hash for hash, seq in candidates if seq > recent.unpacked}
    for seq, values in staging.find(connection, hashes_of):
        found = Candidate._make((seq, *values[:6], values[7]))
        if keys is None or found.key in keys or found.via == "backfill":
            known.setdefault(hashes_of[seq], []).append(found)
    return known


def _unpacked(
    connection: Connection, candidates: Sequence[Found], keys: Collection[bytes | None] | None
) -> list[tuple[Any, ...]]:
    candidates, asked = rows.rounded(candidates), rows.rounded(keys or ())
    may_repeat = "1" if keys is None else f"(d.key IN ({rows.marks(asked)}) OR d.origin = 'backfill')"
    return connection.execute(
        "SELECT hash, d.seq, d.id, d.source, d.origin, d.event, d.key, d.identity, d.received "
        # CROSS, for SQLite would read the whole table instead.
        f"FROM {rows.as_table(('hash', 'seq'), candidates)} CROSS JOIN delivery d USING (seq) WHERE {may_repeat}",
        [*rows.flat(candidates), *asked],
    ).fetchall()


def _keep(connection: Connection, recent: DedupCache, new: Sequence[PutJob], last: int) -> None:
    ids = [job.entry.delivery.id for job in new]
    asked = rows.rounded(ids)
    kept = connection.execute(f"SELECT id FROM delivery WHERE id IN ({rows.marks(asked)})", asked).fetchone()
    fresh = {each.row[0] for each in staging.read(connection)} if recent.may_be_in_journal(ids) else set[str]()
    if kept is not None or not fresh.isdisjoint(ids) or len({*ids}) < len(ids):
        raise InboxError("the inbox has a delivery with this id already")
    staging.append(connection, new, last)
    if last - recent.unpacked > staging.MOST:
        staging.unpack(connection, len(new))
        (recent.unpacked,) = connection.execute("SELECT unpacked FROM arrived").fetchone()
    connection.undo += (recent.add_ids(ids, last),)


def _duplicate(connection: Connection, recent: DedupCache, job: PutJob, kept: Candidate) -> Duplicate:
    by_backfill = job.entry.delivery.via == "backfill"
    if kept.seq > recent.unpacked:
        ((_, values),) = staging.find(connection, [kept.seq])
        if values[-1] is None or by_backfill:
            return Duplicate(kept.id)
        staging.requeue(connection, kept.seq)
        return Duplicate(kept.id, replayed=True)
    (state,) = connection.execute("SELECT state FROM progress WHERE seq = ?", (kept.seq,)).fetchone()
    if state != State.DEAD or by_backfill:
        return Duplicate(kept.id)
    ordering.requeue(connection, kept.seq, job.now)
    return Duplicate(kept.id, replayed=True)
