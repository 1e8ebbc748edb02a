"""The metrics of a process: a table of what is read when somebody collects, and the durations of handlers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from ..inbox.commits import COMMITS, CommitCounter
from . import names, readings
from .readings import Attributes, Bounds, Measured, Reading

_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 900, 3600)
"""Seconds: the boundaries of the semantic conventions, and beyond, since handlers may take long."""
_PREFIX = f"{names.SCOPE}."

COUNTERS: Mapping[str, tuple[Reading, str, str]] = {
    "receipts": (readings.receipts, "{request}", "Requests, by the status of the response."),
    "rejections": (readings.rejections, "{request}", "Rejected requests, by the class of the error."),
    "verifications": (readings.verifications, "{request}", "Verified requests, by the index of the secret."),
    "puts": (readings.puts, "{delivery}", "Deliveries that were put, by whether the inbox had them already."),
    "put.duration_seconds.bucket": (readings.put_durations, "", "Puts that took no longer than `le` seconds."),
    "receipt.age_seconds.bucket": (readings.ages, "", "Requests that were signed no longer than `le` seconds ago."),
    "attempts": (readings.attempts, "{attempt}", "Attempts, by handler and outcome: done, retry or dead."),
    "dead_letters": (readings.dead_letters, "{delivery}", "Deliveries that have died."),
    "poll.documents": (readings.poll_documents, "{document}", "Documents of a source, by whether they were known."),
    "poll.failures": (readings.poll_failures, "{poll}", "Polls of a source that failed."),
}
"""What each process counts, by the last part of its name: how it is read, its unit, and a description.

Two are the buckets of a histogram, which OpenTelemetry can only record one value at a time, at the cost of a tenth of a
delivery each. `histogram_quantile` of Prometheus takes them as they are.
"""

GAUGES: Mapping[str, tuple[Reading, str, str]] = {
    "poll.lag": (readings.poll_lag, "s", "Time since the last poll of a source that has not failed."),
    "silence": (readings.silence, "s", "Time since the latest push that this process knows of."),
    "silence.limit": (readings.silence_limit, "s", "Longest time without a push that is expected."),
    "worker.slots": (readings.slots, "{delivery}", "Deliveries that the worker handles at once, at most."),
    "worker.busy": (readings.busy, "{delivery}", "Deliveries that the worker is handling."),
    "worker.stalled": (readings.stalled, "1", "1 if the worker gets nothing from the inbox, else 0."),
}
"""What each process tells of itself."""

INBOX_GAUGES: Mapping[str, tuple[Reading, str, str]] = {
    "inbox.up": (readings.up, "1", "1 if deliveries can be stored, else 0."),
    "inbox.deliveries": (readings.deliveries, "{delivery}", "Deliveries, by state."),
    "inbox.running": (readings.running, "{delivery}", "Deliveries under a lease."),
    "inbox.oldest_waiting": (readings.oldest_waiting, "s", "Age of the oldest delivery that waits."),
    "inbox.dead_within_hour": (readings.dead_within_hour, "{delivery}", "Deliveries that are expected to die soon."),
    "inbox.paused_handlers": (readings.paused, "{handler}", "Handlers that are paused."),
    "inbox.size": (readings.size, "By", "Size of the inbox."),
    "inbox.disk_free": (readings.disk_free, "By", "Free space of the disk of the inbox."),
}
"""What one of all the processes on an inbox tells of it."""

COMMIT_COUNTERS: Mapping[str, tuple[Callable[[CommitCounter], int], str, str]] = {
    "inbox.commits": (lambda of: of.commits, "{commit}", "Commits to inboxes."),
    "inbox.operations": (lambda of: of.operations, "{operation}", "Operations of all kinds that shared these commits."),
    "inbox.put_commits": (lambda of: of.put_commits, "{commit}", "Commits that had puts of pushed deliveries."),
    "inbox.put_operations": (lambda of: of.put_operations, "{operation}", "Puts that shared these commits."),
}
"""What the commits to all inboxes of a process are counted by. Operations by commits are the size of a batch; puts by
the commits that had some, that of a batch of puts."""


def _total(count: Callable[[CommitCounter], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(count(COMMITS))]


class Instruments:
    """The metrics of all receivers of this process, by one provider.

    Args:
        meter: the meter.
    """

    def __init__(self, meter: Meter) -> None:
        self.bounds = Bounds()
        """The bounds of attributes."""
        self._measured: WeakSet[Measured] = WeakSet()
        self._using = threading.Lock()
        self._attributes: dict[tuple[str, str, str | None], Attributes] = {}
        self._nothing = Context()
        """A context without a span: an exemplar would cost as much as all else, and Prometheus gets none."""
        self._process = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of an attempt of a handler.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        for name, (reading, unit, description) in COUNTERS.items():
            meter.create_observable_counter(_PREFIX + name, [self._callback(reading)], unit, description)
        for name, (reading, unit, description) in {**GAUGES, **INBOX_GAUGES}.items():
            meter.create_observable_gauge(_PREFIX + name, [self._callback(reading)], unit, description)
        for name, (count, unit, description) in COMMIT_COUNTERS.items():
            meter.create_observable_counter(_PREFIX + name, [_total(count)], unit, description)

    def add(self, measured: Measured) -> None:
        """Read these metrics from one more runtime, as long as somebody holds this object."""
        with self._using:
            self._measured.add(measured)

    def _callback(self, reading: Reading) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            with self._using:
                measured = [*self._measured]
            return [Observation(value, attributes) for each in measured for value, attributes in reading(each)]

        return observe

    def attempt(self, receiver: str, handler: str, error: str | None, seconds: float) -> None:
        """Record how long an attempt took, and the class of the error with which it failed."""
        handler = self.bounds.handlers.of(handler)
        error = None if error is None else self.bounds.errors.of(error)
        attributes = self._attributes.get((receiver, handler, error))
        if attributes is None:
            attributes = {
                names.SYSTEM: names.SCOPE,
                names.OPERATION: "process",
                names.DESTINATION: receiver,
                names.HANDLER: handler,
            }
            if error is not None:
                attributes[names.ERROR] = error
            self._attributes[receiver, handler, error] = attributes
        self._process.record(seconds, attributes, self._nothing)
