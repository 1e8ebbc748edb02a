"""The figures of receivers: what was counted in a span of time, by step, and what comes of that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import NamedTuple

from ..inbox.base import Inbox
from ..inbox.counting import MINUTE
from ..inbox.latency import quantile
from ..inbox.records import LATENCY_BUCKETS
from .site import View
from .wording import NONE

HOUR = 3600.0
_LASTING = 2.0  # seconds for which what was read is shown again: it changes once a minute


class Span(NamedTuple):
    """A span of time up to now, and the steps in which it is shown."""

    name: str
    title: str
    seconds: float
    step: float
    """The length of a step, in seconds."""


SPANS = (
    Span("hour", "Last hour", HOUR, MINUTE),
    Span("day", "Last day", 24 * HOUR, HOUR),
    Span("week", "Last week", 7 * 24 * HOUR, 6 * HOUR),
)


def span_named(name: str) -> Span:
    """Return a span by its name; the first one without a name that is known."""
    return next((each for each in SPANS if each.name == name), SPANS[0])


class Counts:
    """What was counted of one receiver in a span of time.

    Args:
        counts: for each metric of the receiver, the numbers by step.
        steps: the number of steps.
    """

    def __init__(self, counts: Mapping[tuple[str, int | None], Sequence[int]], steps: int) -> None:
        self._counts = counts
        self.steps = steps
        """The number of steps."""

    def by_step(self, what: str) -> list[int]:
        """Return the numbers of a metric by step; of all whose names begin so, if `what` ends in a space or a digit."""
        found = [0] * self.steps
        for (name, _), numbers in self._counts.items():
            if name == what or (what.endswith((" ", *"12345")) and name.startswith(what)):
                found = [have + more for have, more in zip(found, numbers, strict=True)]
        return found

    def total(self, what: str) -> int:
        """Return the sum of `by_step`."""
        return sum(self.by_step(what))

    def by_name(self, kind: str) -> dict[str, int]:
        """Return the sums of what is counted as `kind` and a name, such as "rejected BadSignature", by name."""
        found = defaultdict[str, int](int)
        for (what, _), numbers in self._counts.items():
            first, _, name = what.partition(" ")
            if first == kind and name:
                found[name] += sum(numbers)
        return {name: number for name, number in sorted(found.items(), key=lambda each: -each[1]) if number}

    def quantile(self, whats: Sequence[str], share: float) -> str:
        """Return the latency that a share of what was counted took at most, as far as its buckets tell it."""
        buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        for (what, bucket), numbers in self._counts.items():
            if bucket is not None and what in whats:
                buckets[bucket] += sum(numbers)
        took = quantile(buckets, share)
        if took is None:
            return NONE
        return f"≤ {_told(took.high)}" if isfinite(took.high) else f"> {_told(took.low)}"


def _told(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


Counted = tuple[dict[str, Counts], list[float]]
"""What was counted, by receiver, and when each step began."""


async def counts_of(view: View, span: Span) -> Counted:
    """Return what was counted in a span up to now, by receiver, and when each step began, in Unix seconds."""
    read_at, found = view.inspected.counted.get(span.name, (-inf, None))
    if 0 <= view.now - read_at < _LASTING:
        known: Counted = found
        return known
    read = await _counts(view.inbox, span, view.now)
    view.inspected.counted[span.name] = view.now, read
    return read


async def _counts(inbox: Inbox, span: Span, now: float) -> Counted:
    until = now + MINUTE  # the minute that goes on counts, too
    since = now - span.seconds + span.step
    begin = since // span.step * span.step
    series = await inbox.series(since, until, span.step)
    steps = max((len(each) for each in series.values()), default=0)
    begins = [begin + index * span.step for index in range(steps or int((until - begin) // span.step) + 1)]
    grouped: dict[str, dict[tuple[str, int | None], Sequence[int]]] = {}
    for metric, numbers in series.items():
        grouped.setdefault(metric.receiver, {})[metric.what, metric.bucket] = numbers
    return {receiver: Counts(counts, len(begins)) for receiver, counts in sorted(grouped.items())}, begins
