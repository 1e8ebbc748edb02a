"""Counters: what a process counts until it adds that to the counts of its inbox."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from ..redaction import storable
from .base import Inbox
from .records import LATENCY_BUCKETS, MOST_COUNTED, OTHER, Metric

Counted = tuple[str, str | int, int | None]
"""The two parts of `Metric.what`, and `Metric.bucket`: no text is built when something is counted."""


def bucket_of(seconds: float) -> int:
    """Return the bucket of a latency."""
    return bisect_left(LATENCY_BUCKETS, seconds)


class Counters:
    """Counts what happens in a process with one receiver, within bounds, until it is written to the inbox.

    Args:
        clock: returns the time in Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Begin anew, as in the child of a fork: what was counted is the parent's to write."""
        self._counts: dict[Counted, int] = {}
        self._known: set[tuple[str, str | int]] = set()
        """What was counted since the begin, whatever the bucket."""
        self._began = self._clock()

    def add(self, what: str, of: str | int = "", bucket: int | None = None) -> None:
        """Count something once.

        Args:
            what: what it is, in a word.
            of: what it is about, such as the name of a handler.
            bucket: the bucket of the time that it took; None if it takes none.
        """
        counted = what, of, bucket
        if counted in self._counts:
            self._counts[counted] += 1
        else:
            self._add(counted, 1)

    def _add(self, counted: Counted, number: int) -> None:
        what, of, bucket = counted
        if (what, of) not in self._known:
            if len(self._known) < MOST_COUNTED - 1:
                self._known.add((what, of))
            else:
                counted = OTHER, "", bucket
        self._counts[counted] = self._counts.get(counted, 0) + number

    async def write(self, inbox: Inbox, receiver: str) -> None:
        """Add what was counted to the counts of an inbox, in the minute in which that began; then begin anew.

        Args:
            inbox: the inbox.
            receiver: the receiver's name there.

        Raises:
            Exception: whatever the inbox raises; then the counts are kept, and go to the next minute that is written.
        """
        counts, began = self._counts, self._began
        self.clear()
        if not counts:
            return
        try:
            await inbox.count(
                {
                    Metric(receiver, storable(f"{what} {of}") if of != "" else what, bucket): number
                    for (what, of, bucket), number in counts.items()
                },
                began,
            )
        except BaseException:  # a cancellation, too
            for counted, number in counts.items():
                self._add(counted, number)
            raise
