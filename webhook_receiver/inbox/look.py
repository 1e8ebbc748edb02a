"""A bounded look through the deliveries of a store: which rows to read next, until the time is up.

Theory of operation
-------------------

A store has rows in the order of receipt, and indexes for a few questions only, since each index would make every put
slower. So a look reads rows in order, a batch at a time: small ones first, larger ones as far as the time allows. Where
it has come to is a row number, and that is the cursor with which the next look goes on.

What it need not read, it leaves out. Of ids, and of states but DONE, an index gives the rows. Of a span of time the
rows are found by bisection, since times of receipt grow with the rows; but for loaded deliveries, whose numbers are
below 1, and which are all read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import NamedTuple, Protocol

from ..errors import InboxError
from .records import OUT_OF_ORDER, DeliverySummary, Filter, Page, State

_FIRST, _LAST = -(2**63), 2**63 - 1
_FEWEST = 500  # rows in the first batch
_MOST = 50_000  # rows in a batch
_FEW = 4096  # rows that are found by an index at once


class Batch(NamedTuple):
    """Rows to read next."""

    low: int
    """The lowest row number."""
    high: int
    """The highest one."""
    seqs: Sequence[int] | None
    """The rows between them; None for all that there are."""


class Rows(Protocol):
    """The rows of a store, by their numbers in the order of receipt."""

    def next(self, low: int, high: int, newest_first: bool) -> tuple[int, float] | None:
        """Return the number and the time of receipt, in Unix seconds, of the first row in a range; None without one."""
        ...

    def named(self, which: Filter, most: int) -> list[int] | None:
        """Return the rows of the ids that a filter names, or whose beginning; None if it does neither, or they are more
        than `most`."""
        ...

    def undone(self, which: Filter, low: int, high: int, newest_first: bool, size: int) -> list[int]:
        """Return the first `size` rows in a range that are in the states of a filter, among which DONE is not.

        If the filter has a receiver, they are that one's.
        """
        ...


class Look:
    """A look through the rows that may match a filter, in order: an iterator of batches.

    Args:
        rows: the rows of the store.
        which: the filter.
        seconds: how long it takes, about; there is one batch at least.
        newest_first: whether the rows come in reverse order.
        after: the cursor behind which it begins; None to begin at the end.

    Raises:
        InboxError: `after` is no cursor.
    """

    def __init__(
        self, rows: Rows, which: Filter, seconds: float, *, newest_first: bool = True, after: str | None = None
    ) -> None:
        self._rows, self._which, self._seconds, self._newest_first = rows, which, seconds, newest_first
        self._after = None if after is None else _row(after)
        named = rows.named(which, _FEW)
        self._named = None if named is None else sorted(named)
        self._by_state = which.states is not None and State.DONE not in which.states
        self.first: int | None = None
        """The first row that was looked at; None before that."""
        self.last: int | None = None
        """The last row that was looked at, or a number between that and the next one; None before that."""
        self.is_complete = False
        """Whether there is nothing more to look at."""

    def __iter__(self) -> Iterator[Batch]:
        sizes = _sizes(self._seconds)
        size: int | None = next(sizes)
        for low, high in self._spans():
            while low <= high:
                if size is None:
                    return
                batch = self._next(low, high, size)
                if batch is None:
                    break
                if self.first is None:
                    self.first = batch.high if self._newest_first else batch.low
                self.last = batch.low if self._newest_first else batch.high
                yield batch
                size = next(sizes, None)
                low, high = (low, batch.low - 1) if self._newest_first else (batch.high + 1, high)
        self.is_complete = True

    def reached(self) -> float | None:
        """Return the time of receipt of the last row that was looked at, in Unix seconds; None if all were."""
        if self.is_complete or self.last is None:
            return None
        found = self._rows.next(
            *((self.last, _LAST, False) if self._newest_first else (_FIRST, self.last, True))
        )  # it may be a number between two rows
        return None if found is None else found[1]

    def _next(self, low: int, high: int, size: int) -> Batch | None:
        seqs: Sequence[int] | None = None
        if self._named is not None:
            among = self._named[bisect_left(self._named, low) : bisect_right(self._named, high)]
            seqs = among[-size:] if self._newest_first else among[:size]
        elif self._by_state:
            seqs = sorted(self._rows.undone(self._which, low, high, self._newest_first, size))
        if seqs is not None:
            if not seqs:
                return None
            is_full = len(seqs) == size
            if self._newest_first:
                return Batch(seqs[0] if is_full else low, seqs[-1], seqs)
            return Batch(seqs[0], seqs[-1] if is_full else high, seqs)
        found = self._rows.next(low, high, self._newest_first)
        if found is None:
            return None
        if self._newest_first:
            return Batch(max(low, found[0] - size + 1), found[0], None)
        return Batch(found[0], min(high, found[0] + size - 1), None)

    def _spans(self) -> list[tuple[int, int]]:
        """Return the ranges of rows to look through, in the order in which they come."""
        low, high = _FIRST, _LAST
        if self._after is not None:
            low, high = (low, self._after - 1) if self._newest_first else (self._after + 1, high)
        loaded, put = (low, min(high, 0)), (max(low, 1), high)
        if self._which.since is not None:
            put = (self._bisect(*put, self._which.since - OUT_OF_ORDER), put[1])
        if self._which.before is not None:
            put = (put[0], self._bisect(*put, self._which.before + OUT_OF_ORDER) - 1)
        return [put, loaded] if self._newest_first else [loaded, put]

    def _bisect(self, low: int, high: int, moment: float) -> int:
        """Return the number from which on the rows in a range were received at a Unix time in seconds or later."""
        last = self._rows.next(low, high, True)
        if last is None:
            return low
        end = last[0] + 1
        while low < end:
            middle = (low + end) // 2
            found = self._rows.next(middle, high, False)
            if found is None or found[1] >= moment:
                end = middle
            else:
                low = found[0] + 1
        return low


def _row(cursor: str) -> int:
    try:
        row = int(cursor)
    except ValueError:
        row = _LAST + 1
    if not (cursor.isascii() and _FIRST < row < _LAST):
        raise InboxError(f"{cursor!r:.80} is no cursor of a page")
    return row


def _sizes(seconds: float) -> Iterator[int]:
    """Yield the size of one batch after the other, as the time that they take allows."""
    end = perf_counter() + seconds
    size = _FEWEST
    while True:
        began = perf_counter()
        yield size
        now = perf_counter()
        left, took = end - now, now - began
        if left <= 0:
            return
        size = max(_FEWEST, min(2 * size, int(size * left / max(took, 1e-6)), _MOST))


def page_of(look: Look, limit: int, read: Callable[[Batch, int], Sequence[tuple[int, DeliverySummary]]]) -> Page:
    """Return the page that a look finds.

    Args:
        look: the look.
        limit: the largest number of deliveries.
        read: returns those of a batch that match, in order, up to a number, each with its row.
    """
    if limit < 1:
        raise InboxError(f"a page has at least one delivery, not {limit}")
    found: list[tuple[int, DeliverySummary]] = []
    for batch in look:
        found += read(batch, limit + 1 - len(found))
        if len(found) > limit:  # one more says that there is a next page
            break
    previous = None if look.first is None else str(look.first)
    if len(found) > limit:
        (row, last), rest = found[limit - 1], found[:limit]
        return Page([each for _, each in rest], str(row), previous, last.received)
    goes_on = not look.is_complete and look.last is not None
    return Page([each for _, each in found], str(look.last) if goes_on else None, previous, look.reached())
