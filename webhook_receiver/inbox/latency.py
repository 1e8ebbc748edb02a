"""Latencies, as the counts of an inbox have them: how many took how long, and which latency most do not exceed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf
from typing import NamedTuple

from .records import LATENCY_BUCKETS, Metric


def by_bucket(counts: Mapping[Metric, int], receiver: str, whats: Collection[str]) -> list[int]:
    """Return how many of what was counted took how long: a number for each bucket, of what has one.

    Args:
        counts: what was counted, as `InboxReader.counted` returns it.
        receiver: the name of the receiver.
        whats: the names of the counts that are summed, such as "stored", or "done app:ship" and "retry app:ship".
    """
    numbers = [0] * (len(LATENCY_BUCKETS) + 1)
    for metric, number in counts.items():
        if metric.receiver == receiver and metric.what in whats and metric.bucket is not None:
            numbers[metric.bucket] += number
    return numbers


class Bounds(NamedTuple):
    """The bounds of a latency, in seconds."""

    low: float
    """The latency is above this, or 0."""
    high: float
    """The latency is this at most; infinity for one beyond the last bucket."""


def quantile(numbers: Sequence[int], share: float) -> Bounds | None:
    """Return the bounds of the latency that a share of all do not exceed; None if there are none.

    The median is that of the share 0.5. Nearest-rank: it is the latency of one that was counted.

    Args:
        numbers: how many took how long, by the bucket of `LATENCY_BUCKETS`; see `by_bucket`.
        share: the share, above 0 and 1 at most.
    """
    wanted, seen = sum(numbers) * share, 0
    for bucket, number in enumerate(numbers):
        seen += number
        if number and seen >= wanted:
            return Bounds((0.0, *LATENCY_BUCKETS)[bucket], (*LATENCY_BUCKETS, inf)[bucket])
    return None
