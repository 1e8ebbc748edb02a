"""The lookup of a SQLite inbox: which kept deliveries one that is put may be a repeat of.

They are found by a hash. Hashes come in no order: to write each at its place in a large table takes a page of the
file for nearly every delivery, the more surely the more is kept. So each connection that writes holds those of the
last deliveries in memory. From there they are merged into the table `lookup` many at a time, one part of all hashes
with each commit, so that many of them share a page. `arrived` says up to which row that table is complete; what came
later is read by whoever connects.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from itertools import chain

from .. import rows
from . import staging
from .connection import WriterConnection
from .dedup_cache import BUCKETS, Bucket, DedupCache, HashEntry, RowsByHash, buckets, grouped

_MANY = 65_536  # deliveries that are held in memory, before they are merged: to read them anew takes some 0.4 s


def refresh(connection: WriterConnection) -> DedupCache:
    """Take in what other connections have put. Before anything is found, added or removed in a transaction."""
    last, merged, flushed = connection.execute("SELECT last, merged, unpacked FROM arrived").fetchone()
    cache = connection.dedup_cache
    if cache is None:
        cache = connection.dedup_cache = DedupCache(merged)
        connection.undo += (partial(setattr, connection, "dedup_cache", None),)
        _load(connection, cache, merged, flushed)
    elif cache.seen < last:
        _load(connection, cache, max(cache.seen, merged), cache.seen)
    if cache.merged < merged:  # by another process
        cache.forget(merged)
    cache.last, cache.merged, cache.flushed, cache.seen = last, merged, flushed, last
    return cache


def _load(connection: WriterConnection, cache: DedupCache, after: int, known: int) -> None:
    """Take in the hashes of what came after row `after`, and the ids of what came after row `known`.

    Ids also of what is in the journal no more: it is back there if that was done by this transaction, which may fail.
    """
    stored = connection.execute(
        "SELECT seq, id, source, event, key, identity FROM delivery WHERE seq > ?", (min(after, known),)
    )
    staged = ((seq, row[0], row[1], *row[3:6]) for seq, row, *_ in staging.read(connection, known))
    ids: list[str] = []
    hashed: list[HashEntry] = []
    last = known
    for last, id, *duplicate_by in chain(stored.fetchall(), staged):
        if last > known:
            ids.append(id)
        if last > after and (found := rows.dedup_hash(*duplicate_by)) is not None:
            hashed.append((found, last))
    cache.add(grouped(hashed))
    cache.add_ids(ids, last)


def candidates(connection: WriterConnection, cache: DedupCache, hashes: Collection[int]) -> list[HashEntry]:
    """Return what has one of these hashes, or had: what was purged may still be among it."""
    wanted = rows.padded(hashes)
    merged = connection.execute(f"SELECT hash, seq FROM lookup WHERE hash IN ({rows.placeholders(wanted)})", wanted)
    return cache.find(hashes) + merged.fetchall()


def add(connection: WriterConnection, cache: DedupCache, new: RowsByHash, last: int) -> None:
    """Let these be found; `last` is the last row that there is now."""
    connection.undo += (cache.snapshot(), partial(cache.remove, new))
    cache.add(new)
    cache.seen = cache.last = last
    if cache.next_bucket == BUCKETS and last - cache.merged >= _MANY:
        cache.old, cache.young, cache.next_bucket, cache.until = cache.young, buckets(), 0, last
    if cache.next_bucket < BUCKETS:
        _merge(connection, cache.old[cache.next_bucket])
        cache.next_bucket += 1
        if cache.next_bucket == BUCKETS:
            cache.old, cache.merged = buckets(), cache.until
            connection.execute("UPDATE arrived SET merged = ?", (cache.merged,))


def _merge(connection: WriterConnection, bucket: Bucket) -> None:
    found = sorted((hash, seq) for hash, seqs in bucket.items() for seq in seqs)
    # Another process may have merged it before. What was purged there meanwhile is never found in `delivery`.
    rows.insert(connection, "lookup", found, otherwise="IGNORE")


def add_older(connection: WriterConnection, new: HashEntry) -> None:
    """Let a delivery be found that counts as older than all there were."""
    connection.execute("INSERT INTO lookup VALUES (?, ?)", new)


def remove(connection: WriterConnection, cache: DedupCache, gone: Sequence[tuple[int | None, int]]) -> None:
    """Let these not be found any more."""
    hashed = [(each, seq) for each, seq in gone if each is not None]
    connection.executemany("DELETE FROM lookup WHERE hash = ? AND seq = ?", hashed)
    connection.undo += (cache.remove(grouped(hashed)),)
