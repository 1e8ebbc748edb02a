"""The last deliveries of a SQLite inbox, as a connection that writes holds them in memory; see lookup.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

_BITS = 6  # of a hash say in which part of all it is
PARTS, _REST = 2**_BITS, 64 - _BITS

Found = tuple[int, int]
"""A hash, and the row of a delivery that has it."""
Part = dict[int, tuple[int, ...]]
"""The rows of the deliveries that have a hash."""


def parts() -> list[Part]:
    """Return empty parts."""
    return [{} for _ in range(PARTS)]


class Recent:
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

    def add(self, new: Iterable[Found]) -> None:
        """Let these be found."""
        for hash, seq in new:
            part = self.young[hash >> _REST]
            part[hash] = (*part[hash], seq) if hash in part else (seq,)

    def remove(self, gone: Iterable[Found]) -> Callable[[], None]:
        """Let these not be found any more; return what takes that back."""
        before: list[tuple[Part, int, tuple[int, ...]]] = []
        for hash, seq in gone:
            for parts in (self.young, self.old):
                part = parts[hash >> _REST]
                seqs = part.get(hash, ())
                if seq in seqs:
                    before.append((part, hash, seqs))
                    left = tuple(each for each in seqs if each != seq)
                    del part[hash]
                    part |= {hash: left} if left else {}

        def undo() -> None:
            for part, hash, seqs in reversed(before):
                part[hash] = seqs

        return undo

    def forget(self, until: int) -> None:
        """Let those up to row `until` not be found any more: the file's table has them."""
        kept = [[(hash, seq) for hash, seqs in part.items() for seq in seqs if seq > until] for part in self.young]
        self.young = parts()
        for part in kept:
            self.add(part)
        if self.until <= until:
            self.old, self.part = parts(), PARTS

    def add_ids(self, new: Iterable[str], last: int) -> Callable[[], None]:
        """Remember that these are in the journal, up to row `last`; return what takes that back."""
        marks = [*map(hash, new)]
        self.ids.update(dict.fromkeys(marks, last))
        self.parts_of_journal.append((last, marks))

        def undo() -> None:
            self.parts_of_journal.remove((last, marks))
            self._forget(last, marks)

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
