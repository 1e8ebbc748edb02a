"""What metrics are read from when somebody collects: counters that are there anyway, and the figures of the inbox.

Each function yields the values of one metric for one runtime, with their attributes. They are called in the thread of
an exporter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from ..inbox.counters import UNTIMED
from ..inbox.records import LATENCY_BUCKETS, Stats
from . import names
from .figures import Figures, Look
from .names import Bounded
from .observed import Observed

Attributes = Mapping[str, str | int]
Values = Iterator[tuple[float, Attributes]]


AGES = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)
"""The largest age in each bucket but the last one, in seconds."""


class Bounds:
    """The bounded attributes of all metrics of a process."""

    def __init__(self) -> None:
        self.handlers, self.errors, self.secrets, self.sources = Bounded(), Bounded(), Bounded(), Bounded()


class Measured:
    """A runtime that is measured, and the figures of its inbox.

    Args:
        observed: the runtime.
        figures: what is seen of its inbox.
        bounds: the bounds of attributes.
    """

    def __init__(self, observed: Observed, figures: Figures, bounds: Bounds) -> None:
        self.observed = observed
        self.figures = figures
        self.bounds = bounds
        self._ages = [0] * (len(AGES) + 1)

    def count_age(self, seconds: float) -> None:
        """Count the age of a delivery at its receipt; one that is signed ahead of our clock is 0 s old."""
        self._ages[bisect_left(AGES, seconds)] += 1

    @property
    def ages(self) -> Sequence[int]:
        """The numbers of deliveries by their age, in the buckets of `AGES`."""
        return self._ages

    @property
    def own(self) -> dict[str, str | int]:
        """The attributes of what is the receiver's own."""
        return {names.DESTINATION: self.observed.name}

    @property
    def of_inbox(self) -> dict[str, str | int]:
        """The attributes of what is the inbox's."""
        return {names.INBOX: self.observed.inbox.address}

    @property
    def look(self) -> Look | None:
        """What was seen of the inbox lately, by this process."""
        latest = self.figures.latest
        return None if latest is None or latest.is_old else latest


Reading = Callable[[Measured], Values]
"""A function that yields the values of one metric."""


def receipts(of: Measured) -> Values:
    """Yield the answered requests, by the status of the response."""
    for status, number in dict(of.observed.counters.answered).items():
        yield number, {**of.own, names.STATUS: status}


def rejections(of: Measured) -> Values:
    """Yield the rejected requests, by the class of the error; those of this package from 0 on."""
    yield from _by(of, {**_REASONS, **of.observed.rejections.counts}, names.ERROR, of.bounds.errors)


_REASONS = dict.fromkeys(
    (
        *("InboxUnavailable", "InboxDamaged", "InboxError", "KeysUnavailable", "Overloaded"),
        *("BadSignature", "MissingSignature", "MalformedSignature", "StaleSignature", "UnexpectedSignature"),
        *("BodyMismatch", "AddressNotAllowed", "BodyTooLarge", "BodyTooSlow", "BodyIncomplete"),
        *("InvalidContentLength", "UnsupportedEncoding", "MalformedChallenge"),
    ),
    0,
)
"""What alerts are about: a series that begins with 1 would have no increase."""


def verifications(of: Measured) -> Values:
    """Yield the verified requests, by the index of the secret; each from 0 on."""
    secrets = dict.fromkeys(range(of.observed.sender.scheme.secret_count), 0)
    yield from _by(of, {**secrets, **of.observed.secret_usage.counts}, names.SECRET, of.bounds.secrets)


def puts(of: Measured) -> Values:
    """Yield the deliveries that were put, by whether the inbox had them already."""
    counters = of.observed.counters
    for result, numbers in (("stored", counters.stored), ("duplicate", counters.duplicates)):
        yield sum(numbers), {**of.own, names.RESULT: result}


def put_durations(of: Measured) -> Values:
    """Yield the puts that took no longer than each bound."""
    counters = of.observed.counters
    numbers = [one + other for one, other in zip(counters.stored, counters.duplicates, strict=True)]
    yield from _buckets(of, LATENCY_BUCKETS, numbers[:UNTIMED])


def ages(of: Measured) -> Values:
    """Yield the verified requests whose signature was no older than each bound."""
    yield from _buckets(of, AGES, of.ages)


def _buckets(of: Measured, bounds: Sequence[float], numbers: Sequence[int]) -> Values:
    for bound, number in zip([*map(str, bounds), "+Inf"], accumulate(numbers), strict=True):
        yield number, {**of.own, "le": bound}


def attempts(of: Measured) -> Values:
    """Yield the attempts, by handler and outcome."""
    for (outcome, handler), numbers in of.observed.counters.attempts.copy().items():
        yield sum(numbers), {**of.own, names.HANDLER: of.bounds.handlers.of(handler), names.OUTCOME: outcome}


def dead_letters(of: Measured) -> Values:
    """Yield the deliveries that have died."""
    yield of.observed.counters.dead_letters, of.own


def poll_documents(of: Measured) -> Values:
    """Yield the documents of each source, by whether the inbox had them already."""
    for what, number in dict(of.observed.polled).items():
        result, _, source = what.partition(" ")
        if result != "failed":
            yield number, {**of.own, names.SOURCE: of.bounds.sources.of(source), names.RESULT: result}


def poll_failures(of: Measured) -> Values:
    """Yield the failed polls of each source."""
    for what, number in dict(of.observed.polled).items():
        result, _, source = what.partition(" ")
        if result == "failed":
            yield number, {**of.own, names.SOURCE: of.bounds.sources.of(source)}


def poll_lag(of: Measured) -> Values:
    """Yield the seconds since the last poll of each source that has not failed, by any process, or since the start."""
    succeeded = {poll.source: poll.succeeded for poll in of.figures.polls}
    for source in [*of.observed.sources]:
        last = succeeded.get(source)
        seconds = of.observed.clock() - (of.figures.began if last is None else last)
        yield max(0.0, seconds), {**of.own, names.SOURCE: of.bounds.sources.of(source)}


def slots(of: Measured) -> Values:
    """Yield the number of deliveries that the worker handles at once, at most."""
    if of.observed.worker is not None:
        yield of.observed.options.concurrency, of.own


def busy(of: Measured) -> Values:
    """Yield the number of deliveries that the worker is handling."""
    if (worker := of.observed.worker) is not None:
        yield worker.busy, of.own


def stalled(of: Measured) -> Values:
    """Yield 1 if the worker gets nothing from the inbox, else 0."""
    if (worker := of.observed.worker) is not None:
        yield int(worker.problem is not None), of.own


def silence(of: Measured) -> Values:
    """Yield the seconds since the latest push, as far as this process knows."""
    if (found := of.observed.silence) is not None:
        yield found.seconds, of.own


def silence_limit(of: Measured) -> Values:
    """Yield the longest time without a push that is expected, in seconds."""
    if (found := of.observed.silence) is not None:
        yield found.limit, of.own


def up(of: Measured) -> Values:
    """Yield 1 if deliveries can be stored, else 0."""
    if (look := of.look) is not None:
        yield int(look.stats is not None), of.of_inbox


def deliveries(of: Measured) -> Values:
    """Yield the numbers of deliveries, by state."""
    for stats in _stats(of):
        for state, number in stats.counts.items():
            yield number, {**of.of_inbox, names.STATE: str(state)}


def running(of: Measured) -> Values:
    """Yield the number of deliveries under a lease."""
    for stats in _stats(of):
        yield stats.running, of.of_inbox


def oldest_waiting(of: Measured) -> Values:
    """Yield the age of the oldest delivery that waits, 0 if none does."""
    for stats in _stats(of):
        oldest = stats.oldest_waiting
        yield 0.0 if oldest is None else max(0.0, of.observed.clock() - oldest), of.of_inbox


def dead_within_hour(of: Measured) -> Values:
    """Yield the number of deliveries that will be dead within an hour if they go on failing."""
    for stats in _stats(of):
        yield stats.dead_within_hour(of.observed.inbox_clock()), of.of_inbox


def paused(of: Measured) -> Values:
    """Yield the number of paused handlers."""
    for stats in _stats(of):
        yield len(stats.paused), of.of_inbox


def size(of: Measured) -> Values:
    """Yield the bytes of the inbox, if it knows."""
    yield from _extra(of, "bytes")


def disk_free(of: Measured) -> Values:
    """Yield the free bytes of the disk of the inbox, if it has one of its own."""
    yield from _extra(of, "disk_free_bytes")


def _stats(of: Measured) -> Iterator[Stats]:
    if (look := of.look) is not None and look.stats is not None:
        yield look.stats


def _extra(of: Measured, name: str) -> Values:
    for stats in _stats(of):
        if (number := stats.extra.get(name)) is not None:
            yield number, of.of_inbox


def _by(of: Measured, numbers: Mapping[Any, int], attribute: str, bounded: Bounded) -> Values:
    for value, number in dict(numbers).items():
        yield number, {**of.own, attribute: bounded.of(str(value))}
