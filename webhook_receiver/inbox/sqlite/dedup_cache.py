"""The last deliveries of a SQLite inbox, as a connection that writes holds them in memory; see lookup.py."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence

_BITS = 6  # of a hash say in which part of all it is
BUCKETS, _REST = 2**_BITS, 64 - _BITS

HashEntry = tuple[int, int]
"""A hash, and the row of a delivery that has it."""
Bucket = dict[int, tuple[int, ...]]
"""The rows of the deliveries that have a hash."""
RowsByHash = Mapping[int, Sequence[int]]
"""The same, of any number of them."""


def buckets() -> list[Bucket]:
    """Return empty parts."""
    return [{} for _ in range(BUCKETS)]


def grouped(found: Iterable[HashEntry]) -> RowsByHash:
    """Return the rows by their hashes."""
    groups = defaultdict[int, list[int]](list)
    for hash, seq in found:
        groups[hash].append(seq)
    return groups


class DedupCache:
    """The hashes of the last deliveries, and marks of the ids of those that may be in the journal."""

    def __init__(self, merged: int) -> None:
        self.last = merged
        """The number of the last row that there ever was."""
        self.merged = merged
        """Up to this row, the file's table is complete."""
        self.seen = merged
        """Up to this row, what is not in the file's table is in memory."""
        self.young, self.old = buckets(), buckets()
        """The old ones are being merged, while that is done."""
        self.next_bucket, self.until = BUCKETS, merged
        """The part of the old ones that is merged next, and the last row among them."""
        self.flushed = merged
        """Up to this row, none is in the journal any more."""
        self.ids: dict[int, int] = {}
        """Marks of ids, and up to which row they were put last: one that was purged may be put again."""
        self.staged_batches: deque[tuple[int, list[int]]] = deque()

    def find(self, hashes: Iterable[int]) -> list[HashEntry]:
        """Return what has one of these hashes."""
        return [
            (hash, seq)
            for hash in hashes
            for buckets in (self.old, self.young)
            if hash in (bucket := buckets[hash >> _REST])
            for seq in bucket[hash]
        ]

    def add(self, new: RowsByHash) -> None:
        """Let these be found."""
        for hash, seqs in new.items():
            bucket = self.young[hash >> _REST]
            bucket[hash] = (*bucket[hash], *seqs) if hash in bucket else tuple(seqs)

    def remove(self, gone: RowsByHash) -> Callable[[], None]:
        """Let these not be found any more; return what takes that back."""
        before: list[tuple[Bucket, int, tuple[int, ...]]] = []
        for hash, seqs in gone.items():
            leaving = {*seqs}
            for buckets in (self.young, self.old):
                bucket = buckets[hash >> _REST]
                found = bucket.get(hash, ())
                left = tuple([seq for seq in found if seq not in leaving])
                if len(left) < len(found):
                    before.append((bucket, hash, found))
                    bucket[hash] = left

        def undo() -> None:
            for bucket, hash, seqs in before:
                bucket[hash] = seqs

        return undo

    def forget(self, until: int) -> None:
        """Let those up to row `until` not be found any more: the file's table has them."""
        before, self.young = self.young, buckets()
        for bucket in before:
            remaining = {hash: [seq for seq in seqs if seq > until] for hash, seqs in bucket.items()}
            self.add({hash: seqs for hash, seqs in remaining.items() if seqs})
        if self.until <= until:
            self.old, self.next_bucket = buckets(), BUCKETS

    def add_ids(self, new: Iterable[str], last: int) -> Callable[[], None]:
        """Remember that these are in the journal, up to row `last`; return what takes that back."""
        id_hashes = [*map(hash, new)]
        before = {id_hash: self.ids[id_hash] for id_hash in id_hashes if id_hash in self.ids}
        self.ids.update(dict.fromkeys(id_hashes, last))
        self.staged_batches.append((last, id_hashes))

        def undo() -> None:
            self.staged_batches.remove((last, id_hashes))
            self._forget(last, id_hashes)
            self.ids.update(before)

        return undo

    def forget_ids(self) -> None:
        """Forget those that are in the journal no more, now that this is committed."""
        while self.staged_batches and self.staged_batches[0][0] <= self.flushed:
            self._forget(*self.staged_batches.popleft())

    def _forget(self, last: int, id_hashes: Iterable[int]) -> None:
        for id_hash in id_hashes:
            if self.ids.get(id_hash) == last:
                del self.ids[id_hash]

    def may_be_staged(self, ids: Iterable[str]) -> bool:
        """Whether one of these ids may be in the journal."""
        return not self.ids.keys().isdisjoint(map(hash, ids))

    def snapshot(self) -> Callable[[], None]:
        """Return what restores all but what is in the parts."""
        before = {**vars(self)}
        return lambda: vars(self).update(before)
