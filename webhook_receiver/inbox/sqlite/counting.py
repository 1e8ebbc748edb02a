"""The counts of a SQLite inbox, by the minute."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from ..counting import HOUR, first_minute, rows_of, series_of, steps_of, sums_of
from ..records import Metric
from .connection import WriterConnection


def count(connection: WriterConnection, jobs: Sequence[tuple[Mapping[Metric, int], float]]) -> list[None]:
    """Add to counts; each job is what was counted, and a Unix time in the minute, in seconds."""
    added = "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
    for counts, now in jobs:
        connection.executemany(f"INSERT INTO counter {added}", rows_of(counts, now))
        connection.executemany(f"INSERT INTO counter_hour {added}", rows_of(counts, now, HOUR))
    return [None] * len(jobs)


def counted(connection: sqlite3.Connection, since: float, until: float) -> dict[Metric, int]:
    """Return the sums of the minutes that began between two Unix times in seconds."""
    found = connection.execute(
        "SELECT receiver, what, bucket, sum(count) FROM counter WHERE minute >= ? AND minute < ? GROUP BY 1, 2, 3",
        (first_minute(since), first_minute(until)),
    )
    return sums_of(found)


def series(connection: sqlite3.Connection, since: float, until: float, step: float) -> dict[Metric, Sequence[int]]:
    """Return the sums of what was counted, for each step of a span of time. See `InboxReader.series`."""
    table, column, first, end, size, number = steps_of(since, until, step)
    found = connection.execute(
        f"SELECT ({column} - ?) / ?, receiver, what, bucket, {'count' if size == 1 else 'sum(count)'} FROM {table} "
        f"WHERE {column} >= ? AND {column} < ?{'' if size == 1 else ' GROUP BY 1, 2, 3, 4'}",
        (first, size, first, end),
    )
    return series_of(found, number)


def forget(connection: WriterConnection, jobs: Sequence[tuple[float, int]]) -> list[int]:
    """Remove counts of minutes that began before a Unix time in seconds, up to a number; return how many for each.

    The hours that ended before it go, too.
    """
    return [
        _forget(connection, "counter", "minute", first_minute(before), limit)
        + _forget(connection, "counter_hour", "hour", int(before // HOUR), limit)
        for before, limit in jobs
    ]


def _forget(connection: WriterConnection, table: str, column: str, before: int, limit: int) -> int:
    key = f"{column}, receiver, what, bucket"
    return connection.execute(
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {column} < ? LIMIT ?)", (before, limit)
    ).rowcount
