"""Counters: what a process counts until it adds that to the counts of its inbox."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from ..redaction import storable
from .base import Inbox
from .records import LATENCY_BUCKETS, MOST_COUNTED, OTHER, Metric

UNTIMED = len(LATENCY_BUCKETS) + 1
"""The place, in numbers by bucket, of what took no time that is known."""


def bucket_of(seconds: float) -> int:
    """Return the bucket of a latency."""
    return bisect_left(LATENCY_BUCKETS, seconds)


def _numbers() -> list[int]:
    return [0] * (UNTIMED + 1)


class Counters:
    """Counts what happens in a process with one receiver. Numbers only grow; what is new is written to the inbox.

    Whoever counts adds one to a number, and that is all that it costs.

    Args:
        clock: returns the time in Unix seconds.
        others: further numbers by what they count, and what that is about, such as rejections by reason.
    """

    def __init__(self, clock: Callable[[], float], others: Mapping[str, Mapping[Any, int]] | None = None) -> None:
        self.answered = defaultdict[int, int](int)
        """The number of receipts, by the status of the response."""
        self.stored, self.duplicates = _numbers(), _numbers()
        """The numbers of new deliveries and of duplicates, by the bucket of the time that their put took."""
        self.attempts = defaultdict[tuple[str, str], list[int]](_numbers)
        """The numbers of attempts by their outcome, "done", "retry" or "dead", and the handler; by bucket."""
        self.dead_letters = 0
        """The number of deliveries that have died, at their receipt or when a handler gave up; not written."""
        self._others = others or {}
        self._clock = clock
        self._began = clock()
        """When the last written numbers were read, in Unix seconds."""
        self._written: dict[tuple[str, int | None], int] = {}

    def forget(self) -> None:
        """Write nothing of what was counted until now, as in the child of a fork: it is the parent's to write."""
        self._written, self._began = self._totals(), self._clock()

    def _totals(self) -> dict[tuple[str, int | None], int]:
        # Copies, since another thread may count what was not counted before.
        timed = {"stored": self.stored, "duplicate": self.duplicates}
        timed |= {f"{outcome} {handler}": numbers for (outcome, handler), numbers in self.attempts.copy().items()}
        found: dict[tuple[str, int | None], int] = {}
        for what, numbers in {**self._others, "answered": self.answered}.items():  # the first ones keep their names
            found |= {(f"{what} {of}", None): number for of, number in {**numbers}.items()}
        return found | {
            (what, None if bucket == UNTIMED else bucket): number
            for what, numbers in timed.items()
            for bucket, number in enumerate(numbers)
        }

    async def write(self, inbox: Inbox, receiver: str) -> None:
        """Add what was counted since the last time to the counts of an inbox, in the minute in which that began.

        Args:
            inbox: the inbox.
            receiver: the receiver's name there.

        Raises:
            Exception: whatever the inbox raises; then all that goes to the next minute that is written.
        """
        totals, began = self._totals(), self._began
        self._began = self._clock()
        new = {key: number - self._written.get(key, 0) for key, number in totals.items()}
        if any(new.values()):
            await inbox.count(_bounded(receiver, new), began)
        self._written = totals


def _bounded(receiver: str, new: Mapping[tuple[str, int | None], int]) -> Mapping[Metric, int]:
    """Return what is new, with what goes beyond `MOST_COUNTED` as `OTHER`."""
    named = [*dict.fromkeys(what for (what, _), number in new.items() if number)]
    names = {what: storable(what) for what in named[: MOST_COUNTED - 1]}
    counts = defaultdict[Metric, int](int)
    for (what, bucket), number in new.items():
        if number:
            counts[Metric(receiver, names.get(what, OTHER), bucket)] += number
    return counts
