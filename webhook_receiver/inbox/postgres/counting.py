"""The counts of a PostgreSQL inbox, by the minute.

As in `queries`, each function is a request by itself, in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..counting import HOUR, first_minute, rows_of, series_of, steps_of, sums_of
from ..records import Metric
from .rows import PostgresConnection, all_escaped, ask, columns, unescaped


def count(connection: PostgresConnection, counts: Mapping[Metric, int], now: float) -> None:
    """Add to the counts of the minute of a Unix time in seconds."""
    for table, column, rows in (
        ("counter", "minute", rows_of(counts, now)),
        ("counter_hour", "hour", rows_of(counts, now, HOUR)),
    ):
        ask(
            connection,
            f"INSERT INTO {table} SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::integer[], "
            f"%s::bigint[]) ON CONFLICT ({column}, receiver, what, bucket) "
            f"DO UPDATE SET count = {table}.count + excluded.count",
            columns([all_escaped(row) for row in rows], 5),
        )


def counted(connection: PostgresConnection, since: float, until: float) -> dict[Metric, int]:
    """Return the sums of the minutes that began between two Unix times in seconds."""
    found = ask(
        connection,
        "SELECT receiver, what, bucket, sum(count)::bigint FROM counter WHERE minute >= %s AND minute < %s "
        "GROUP BY 1, 2, 3",
        [first_minute(since), first_minute(until)],
    )
    return sums_of((unescaped(receiver), unescaped(what), *rest) for receiver, what, *rest in found.fetchall())


def series(connection: PostgresConnection, since: float, until: float, step: float) -> dict[Metric, Sequence[int]]:
    """Return the sums of what was counted, for each step of a span of time. See `InboxReader.series`."""
    table, column, first, end, size, number = steps_of(since, until, step)
    found = ask(
        connection,
        f"SELECT ({column} - %s) / %s, receiver, what, bucket, {'count' if size == 1 else 'sum(count)::bigint'} "
        f"FROM {table} WHERE {column} >= %s AND {column} < %s{'' if size == 1 else ' GROUP BY 1, 2, 3, 4'}",
        [first, size, first, end],
    )
    return series_of(
        ((at, unescaped(receiver), unescaped(what), *rest) for at, receiver, what, *rest in found.fetchall()), number
    )


def forget(connection: PostgresConnection, before: float, limit: int) -> int:
    """Remove counts of minutes that began before a Unix time in seconds, up to a number; return how many.

    The hours that ended before it go, too.
    """
    minutes = _forget(connection, "counter", "minute", first_minute(before), limit)
    return minutes + _forget(connection, "counter_hour", "hour", int(before // HOUR), limit)


def _forget(connection: PostgresConnection, table: str, column: str, before: int, limit: int) -> int:
    key = f"{column}, receiver, what, bucket"
    return ask(
        connection,
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {column} < %s LIMIT %s)",
        [before, limit],
    ).rowcount
