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
from .connection import Connection
from .dedup_cache import PARTS, DedupCache, Found, Grouped, Part, grouped, parts

_MANY = 65_536  # deliveries that are held in memory, before they are merged: to read them anew takes some 0.4 s


def refresh(connection: Connection) -> DedupCache:
    """Take in what other connections have put. Before anything is found, added or removed in a transaction."""
    last, merged, unpacked = connection.execute("SELECT last, merged, unpacked FROM arrived").fetchone()
    recent = connection.recent
    if recent is None:
        recent = connection.recent = DedupCache(merged)
        connection.undo += (partial(setattr, connection, "recent", None),)
        _take_in(connection, recent, merged, unpacked)
    elif recent.seen < last:
        _take_in(connection, recent, max(recent.seen, merged), recent.seen)
    if recent.merged < merged:  # by another process
        recent.forget(merged)
    recent.last, recent.merged, recent.unpacked, recent.seen = last, merged, unpacked, last
    return recent


def _take_in(connection: Connection, recent: DedupCache, after: int, known: int) -> None:
    """Take in the hashes of what came after row `after`, and the ids of what came after row `known`.

    Ids also of what is in the journal no more: it is back there if that was done by this transaction, which may fail.
    """
    kept = connection.execute(
        "SELECT seq, id, source, event, key, identity FROM delivery WHERE seq > ?", (min(after, known),)
    )
    fresh = ((seq, row[0], row[1], *row[3:6]) for seq, row, *_ in staging.read(connection, known))
    ids: list[str] = []
    hashed: list[Found] = []
    last = known
    for last, id, *said in chain(kept.fetchall(), fresh):
        if last > known:
            ids.append(id)
        if last > after and (found := rows.lookup(*said)) is not None:
            hashed.append((found, last))
    recent.add(grouped(hashed))
    recent.add_ids(ids, last)


def candidates(connection: Connection, recent: DedupCache, hashes: Collection[int]) -> list[Found]:
    """Return what has one of these hashes, or had: what was purged may still be among it."""
    wanted = rows.rounded(hashes)
    merged = connection.execute(f"SELECT hash, seq FROM lookup WHERE hash IN ({rows.marks(wanted)})", wanted)
    return recent.find(hashes) + merged.fetchall()


def add(connection: Connection, recent: DedupCache, new: Grouped, last: int) -> None:
    """Let these be found; `last` is the last row that there is now."""
    connection.undo += (recent.snapshot(), partial(recent.remove, new))
    recent.add(new)
    recent.seen = recent.last = last
    if recent.part == PARTS and last - recent.merged >= _MANY:
        recent.old, recent.young, recent.part, recent.until = recent.young, parts(), 0, last
    if recent.part < PARTS:
        _merge(connection, recent.old[recent.part])
        recent.part += 1
        if recent.part == PARTS:
            recent.old, recent.merged = parts(), recent.until
            connection.execute("UPDATE arrived SET merged = ?", (recent.merged,))


def _merge(connection: Connection, part: Part) -> None:
    found = sorted((hash, seq) for hash, seqs in part.items() for seq in seqs)
    # Another process may have merged it before. What was purged there meanwhile is never found in `delivery`.
    rows.insert(connection, "lookup", found, otherwise="IGNORE")


def add_older(connection: Connection, new: Found) -> None:
    """Let a delivery be found that counts as older than all there were."""
    connection.execute("INSERT INTO lookup VALUES (?, ?)", new)


def remove(connection: Connection, recent: DedupCache, gone: Sequence[tuple[int | None, int]]) -> None:
    """Let these not be found any more."""
    hashed = [(each, seq) for each, seq in gone if each is not None]
    connection.executemany("DELETE FROM lookup WHERE hash = ? AND seq = ?", hashed)
    connection.undo += (recent.remove(grouped(hashed)),)
