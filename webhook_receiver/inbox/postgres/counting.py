"""The counts of a PostgreSQL inbox, by the minute.

As in `queries`, each function is a request by itself, in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..counting import first_minute, rows_of, sums_of
from ..records import Metric
from .rows import PostgresConnection, all_escaped, ask, columns, unescaped


def count(connection: PostgresConnection, counts: Mapping[Metric, int], now: float) -> None:
    """Add to the counts of the minute of a Unix time in seconds."""
    ask(
        connection,
        "INSERT INTO counter SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::integer[], %s::bigint[]) "
        "ON CONFLICT (minute, receiver, what, bucket) DO UPDATE SET count = counter.count + excluded.count",
        columns([all_escaped(row) for row in rows_of(counts, now)], 5),
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


def forget(connection: PostgresConnection, before: float, limit: int) -> int:
    """Remove counts of minutes that began before a Unix time in seconds, up to a number; return how many."""
    return ask(
        connection,
        "DELETE FROM counter WHERE (minute, receiver, what, bucket) IN "
        "(SELECT minute, receiver, what, bucket FROM counter WHERE minute < %s LIMIT %s)",
        [first_minute(before), limit],
    ).rowcount
