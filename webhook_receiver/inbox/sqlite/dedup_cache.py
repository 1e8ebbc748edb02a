"""The last deliveries of a SQLite inbox, as a connection that writes holds them in memory; see lookup.py."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence

_BITS = 6  # of a hash say in which part of all it is
PARTS, _REST = 2**_BITS, 64 - _BITS

Found = tuple[int, int]
"""A hash, and the row of a delivery that has it."""
Part = dict[int, tuple[int, ...]]
"""The rows of the deliveries that have a hash."""
Grouped = Mapping[int, Sequence[int]]
"""The same, of any number of them."""


def parts() -> list[Part]:
    """Return empty parts."""
    return [{} for _ in range(PARTS)]


def grouped(found: Iterable[Found]) -> Grouped:
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
        self.young, self.old = parts(), parts()
        """The old ones are being merged, while that is done."""
        self.part, self.until = PARTS, merged
        """The part of the old ones that is merged next, and the last row among them."""
        self.unpacked = merged
        """Up to this row, none is in the journal any more."""
        self.ids: dict[int, int] = {}
        """Marks of ids, and up to which row they were put last: one that was purged may be put again."""
        self.parts_of_journal: deque[tuple[int, list[int]]] = deque()

    def find(self, hashes: Iterable[int]) -> list[Found]:
        """Return what has one of these hashes."""
        return [
            (hash, seq)
            for hash in hashes
            for parts in (self.old, self.young)
            if hash in (part := parts[hash >> _REST])
            for seq in part[hash]
        ]

    def add(self, new: Grouped) -> None:
        """Let these be found."""
        for hash, seqs in new.items():
            part = self.young[hash >> _REST]
            part[hash] = (*part[hash], *seqs) if hash in part else tuple(seqs)

    def remove(self, gone: Grouped) -> Callable[[], None]:
        """Let these not be found any more; return what takes that back."""
        before: list[tuple[Part, int, tuple[int, ...]]] = []
        for hash, seqs in gone.items():
            leaving = {*seqs}
            for parts in (self.young, self.old):
                part = parts[hash >> _REST]
                found = part.get(hash, ())
                left = tuple([seq for seq in found if seq not in leaving])
                if len(left) < len(found):
                    before.append((part, hash, found))
                    part[hash] = left

        def undo() -> None:
            for part, hash, seqs in before:
                part[hash] = seqs

        return undo

    def forget(self, until: int) -> None:
        """Let those up to row `until` not be found any more: the file's table has them."""
        before, self.young = self.young, parts()
        for part in before:
            kept = {hash: [seq for seq in seqs if seq > until] for hash, seqs in part.items()}
            self.add({hash: seqs for hash, seqs in kept.items() if seqs})
        if self.until <= until:
            self.old, self.part = parts(), PARTS

    def add_ids(self, new: Iterable[str], last: int) -> Callable[[], None]:
        """Remember that these are in the journal, up to row `last`; return what takes that back."""
        marks = [*map(hash, new)]
        before = {mark: self.ids[mark] for mark in marks if mark in self.ids}
        self.ids.update(dict.fromkeys(marks, last))
        self.parts_of_journal.append((last, marks))

        def undo() -> None:
            self.parts_of_journal.remove((last, marks))
            self._forget(last, marks)
            self.ids.update(before)

        return undo

    def forget_ids(self) -> None:
        """Forget those that are in the journal no more, now that this is committed."""
        while self.parts_of_journal and self.parts_of_journal[0][0] <= self.unpacked:
            self._forget(*self.parts_of_journal.popleft())

    def _forget(self, last: int, marks: Iterable[int]) -> None:
        for mark in marks:
            if self.ids.get(mark) == last:
                del self.ids[mark]

    def may_be_in_journal(self, ids: Iterable[str]) -> bool:
        """Whether one of these ids may be in the journal."""
        return not self.ids.keys().isdisjoint(map(hash, ids))

    def snapshot(self) -> Callable[[], None]:
        """Return what restores all but what is in the parts."""
        before = {**vars(self)}
        return lambda: vars(self).update(before)
