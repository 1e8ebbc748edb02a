"""The counts of a SQLite inbox, by the minute."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from ..counting import first_minute, rows_of, sums_of
from ..records import Metric
from .connection import WriterConnection


def count(connection: WriterConnection, jobs: Sequence[tuple[Mapping[Metric, int], float]]) -> list[None]:
    """Add to counts; each job is what was counted, and a Unix time in the minute, in seconds."""
    for counts, now in jobs:
        connection.executemany(
            "INSERT INTO counter VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            rows_of(counts, now),
        )
    return [None] * len(jobs)


def counted(connection: sqlite3.Connection, since: float, until: float) -> dict[Metric, int]:
    """Return the sums of the minutes that began between two Unix times in seconds."""
    found = connection.execute(
        "SELECT receiver, what, bucket, sum(count) FROM counter WHERE minute >= ? AND minute < ? GROUP BY 1, 2, 3",
        (first_minute(since), first_minute(until)),
    )
    return sums_of(found)


def forget(connection: WriterConnection, jobs: Sequence[tuple[float, int]]) -> list[int]:
    """Remove counts of minutes that began before a Unix time in seconds, up to a number; return how many for each."""
    return [
        connection.execute(
            "DELETE FROM counter WHERE (minute, receiver, what, bucket) IN "
            "(SELECT minute, receiver, what, bucket FROM counter WHERE minute < ? LIMIT ?)",
            (first_minute(before), limit),
        ).rowcount
        for before, limit in jobs
    ]
