"""Counts, as the tables `counter` and `counter_hour` of every store of this package have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from ..errors import InboxError
from .records import MOST_POINTS, Metric

MINUTE = 60.0  # seconds
HOUR = 3600.0
_NO_BUCKET = -1


def rows_of(counts: Mapping[Metric, int], now: float, span: float = MINUTE) -> list[tuple[int, str, str, int, int]]:
    """Return the rows that add counts to the minute of a Unix time in seconds, or to its hour: in one order everywhere,
    so that no two processes wait for each other."""
    minute = int(now // span)
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


class Steps(NamedTuple):
    """The steps of a series, and where they are read."""

    table: str
    """The table that has their counts."""
    column: str
    """Its column that says when its rows begin."""
    first: int
    """The first row that is read, as that column has it."""
    end: int
    """The first row behind them that is not."""
    size: int
    """The number of these of each step."""
    number: int
    """The number of steps."""


def steps_of(since: float, until: float, step: float) -> Steps:
    """Return the steps of `InboxReader.series`.

    Raises:
        InboxError: they cannot be.
    """
    if step <= 0 or step % MINUTE:
        raise InboxError(f"a step of a series is one or more whole minutes, not {step!r} s")
    first = since // step * step
    number = max(0, ceil((until - first) / step))
    if number > MOST_POINTS:
        raise InboxError(
            f"a series has at most {MOST_POINTS} steps, not {number}: make them longer, or the span shorter"
        )
    span, table, column = (MINUTE, "counter", "minute") if step % HOUR else (HOUR, "counter_hour", "hour")
    begin = int(first // span)
    size = int(step // span)
    return Steps(table, column, begin, begin + number * size, size, number)


def series_of(table: Iterable[tuple[int, str, str, int, int]], number: int) -> dict[Metric, Sequence[int]]:
    """Return the counts of rows of the number of the step, receiver, what, bucket and sum, by step."""
    found: dict[tuple[str, str, int], list[int]] = {}
    for step, receiver, what, bucket, count in table:  # a week has some ten thousand
        key = receiver, what, bucket
        numbers = found.get(key)
        if numbers is None:
            numbers = found[key] = [0] * number
        numbers[step] += int(count)
    return {
        Metric(receiver, what, None if bucket == _NO_BUCKET else bucket): numbers
        for (receiver, what, bucket), numbers in found.items()
    }
