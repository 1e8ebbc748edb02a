"""The cache of the latest deliveries of a SQLite inbox, which each connection that writes holds; see dedup_index.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

_BITS = 6  # of a hash say in which part of all it is
BUCKETS, _REST = 2**_BITS, 64 - _BITS

HashEntry = tuple[int, int]
"""A hash, and the row of a delivery that has it."""
Bucket = dict[int, tuple[int, ...]]
"""The rows of the deliveries that have each hash, for the hashes of one bucket."""
RowsByHash = Mapping[int, Sequence[int]]
"""The rows of the deliveries that have each hash."""


def buckets() -> list[Bucket]:
    """Return empty buckets, one for each value of a hash's first bits."""
    return [{} for _ in range(BUCKETS)]


def grouped(found: Iterable[HashEntry]) -> RowsByHash:
    """Return the rows grouped by their hashes."""
    groups = defaultdict[int, list[int]](list)
    for hash, seq in found:
        groups[hash].append(seq)
    return groups


class DedupCache:
    """The hashes of the latest deliveries.

    Args:
        merged: the last row that the table `lookup` has.
    """

    def __init__(self, merged: int) -> None:
        self.last = merged
        """The number of the last row that there ever was."""
        self.merged = merged
        """The row up to which the table `lookup` is complete."""
        self.seen = merged
        """The row up to which this cache has what the table `lookup` lacks."""
        self.young, self.old = buckets(), buckets()
        """Two generations of buckets: new hashes go to the young ones; the old ones are being merged into the table."""
        self.next_bucket, self.until = BUCKETS, merged
        """The number of the old bucket that is merged next, and the last row in the old ones."""

    def find(self, hashes: Iterable[int]) -> list[HashEntry]:
        """Return the entries that have one of these hashes."""
        return [
            (hash, seq)
            for hash in hashes
            for buckets in (self.old, self.young)
            if hash in (bucket := buckets[hash >> _REST])
            for seq in bucket[hash]
        ]

    def add(self, new: RowsByHash) -> None:
        """Add entries."""
        for hash, seqs in new.items():
            bucket = self.young[hash >> _REST]
            bucket[hash] = (*bucket[hash], *seqs) if hash in bucket else tuple(seqs)

    def remove(self, gone: RowsByHash) -> Callable[[], None]:
        """Remove entries; return a function that takes that back."""
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
        """Drop the entries up to row `until`, which the table `lookup` has now."""
        before, self.young = self.young, buckets()
        for bucket in before:
            remaining = {hash: [seq for seq in seqs if seq > until] for hash, seqs in bucket.items()}
            self.add({hash: seqs for hash, seqs in remaining.items() if seqs})
        if self.until <= until:
            self.old, self.next_bucket = buckets(), BUCKETS

    def snapshot(self) -> Callable[[], None]:
        """Return a function that restores all attributes, but not the contents of the buckets."""
        before = {**vars(self)}
        return lambda: vars(self).update(before)
