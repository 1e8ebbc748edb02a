"""The deduplication index of a SQLite inbox: the stored deliveries that a new one may be a duplicate of, by hash.

Hashes come in no order: to write each one at its place in a large table takes a page of the file for nearly every
delivery, the more surely the more is stored. So each connection that writes caches the hashes of the latest deliveries.
From there they are merged into the table `lookup` many at a time, one bucket with each commit, so that many of them
share a page. The table `position` says up to which row `lookup` is complete; the hashes of later rows are read by each
new connection.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from .. import rows
from . import schema
from .connection import WriterConnection
from .dedup_cache import BUCKETS, Bucket, DedupCache, HashEntry, RowsByHash, buckets, grouped

_MANY = 32_768  # deliveries that are held in memory, before they are merged: to read them anew takes some 0.2 s
_AT_ONCE = 4096  # deliveries to read anew at once


def refresh(connection: WriterConnection) -> DedupCache:
    """Return the cache, with what other connections have put; call it first in each transaction that uses the index."""
    last, merged = connection.execute(f"SELECT {schema.LAST}, merged FROM position").fetchone()
    cache = connection.dedup_cache
    if cache is None:
        cache = connection.dedup_cache = DedupCache(merged)
        connection.undo += (partial(setattr, connection, "dedup_cache", None),)
        _load(connection, cache, merged)
    elif cache.seen < last:
        _load(connection, cache, max(cache.seen, merged))
    if cache.merged < merged:  # by another process
        cache.forget(merged)
    cache.last, cache.merged, cache.seen = last, merged, last
    return cache


def _load(connection: WriterConnection, cache: DedupCache, after: int) -> None:
    """Add the hashes of the deliveries after row `after`, and of those of them that were purged and are still known."""
    stored = connection.execute(
        "SELECT seq, source, event, key, identity FROM delivery WHERE seq > :after "
        "UNION ALL SELECT seq, source, event, key, identity FROM purged WHERE seq > :after",
        {"after": after},
    )
    while some := stored.fetchmany(_AT_ONCE):
        hashed = ((rows.dedup_hash(*duplicate_by), seq) for seq, *duplicate_by in some)
        cache.add(grouped((hash, seq) for hash, seq in hashed if hash is not None))


def candidates(connection: WriterConnection, cache: DedupCache, hashes: Collection[int]) -> list[HashEntry]:
    """Return the entries that have one of these hashes; deliveries that were purged may still be among them."""
    found = cache.find(hashes)
    for some in rows.steps(hashes):
        merged = f"SELECT hash, seq FROM lookup WHERE hash IN ({rows.placeholders(some)})"
        found += connection.execute(merged, some).fetchall()
    return found


def add(connection: WriterConnection, cache: DedupCache, new: RowsByHash, last: int) -> None:
    """Add the entries of new deliveries, and merge one bucket; `last` is the last row that there is now."""
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
            connection.execute("UPDATE position SET merged = ?", (cache.merged,))


def _merge(connection: WriterConnection, bucket: Bucket) -> None:
    found = sorted((hash, seq) for hash, seqs in bucket.items() for seq in seqs)
    # Another process may have merged it before. What was purged there meanwhile is never found in `delivery`.
    rows.insert(connection, "lookup", found, otherwise="IGNORE")


def add_older(connection: WriterConnection, new: HashEntry) -> None:
    """Add the entry of a delivery that counts as older than all others."""
    connection.execute("INSERT INTO lookup VALUES (?, ?)", new)


def remove(connection: WriterConnection, cache: DedupCache, gone: Sequence[tuple[int | None, int]]) -> None:
    """Remove the entries of deliveries; a delivery without a hash has none."""
    hashed = [(each, seq) for each, seq in gone if each is not None]
    connection.executemany("DELETE FROM lookup WHERE hash = ? AND seq = ?", hashed)
    connection.undo += (cache.remove(grouped(hashed)),)
