"""Counts, as the table `counter` of every store of this package has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil

from .records import Metric

MINUTE = 60.0  # seconds
_NO_BUCKET = -1


def rows_of(counts: Mapping[Metric, int], now: float) -> list[tuple[int, str, str, int, int]]:
    """Return the rows that add counts to the minute of a Unix time in seconds: in one order everywhere, so that no two
    processes wait for each other."""
    minute = int(now // MINUTE)
    return sorted(
        (minute, receiver, what, _NO_BUCKET if bucket is None else bucket, number)
        for (receiver, what, bucket), number in counts.items()
    )


def first_minute(since: float) -> int:
    """Return the number of the first minute that does not begin before a Unix time in seconds."""
    return ceil(since / MINUTE)


def sums_of(table: Iterable[tuple[str, str, int, int]]) -> dict[Metric, int]:
    """Return the counts of rows of receiver, what, bucket and sum."""
    return {
        Metric(receiver, what, None if bucket == _NO_BUCKET else bucket): int(number)
        for receiver, what, bucket, number in table
    }
