"""The rows of a PostgreSQL inbox, made of deliveries and summaries and read back: as in SQLite, but for zero bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg

from .. import rows
from ..records import DeliverySummary, Entry

PostgresConnection = psycopg.Connection[tuple[Any, ...]]
"""A connection of psycopg whose rows are tuples."""
Request = TypeVar("Request")
Result = TypeVar("Result")
PostgresOperation = Callable[[PostgresConnection, Sequence[Request]], Sequence[Result]]
"""A function that does a batch of requests inside a transaction, and returns a result for each of them."""

DELIVERY = rows.DELIVERY
SUMMARY = rows.SUMMARY.replace("p.handlers", "p.handlers::text")
"""The columns of a `DeliverySummary`, of table aliases d (delivery) and p (progress)."""

BY_INDEX = "SELECT " + ", ".join(
    f"set_config('enable_{way}', 'off', true)"
    for way in ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "sort", "material")
)
"""The statement after which, until the transaction ends, rows are found by their index and none is read in vain.
So it is also where statistics are old, as those of a queue always are
(postgresql.org/docs/current/runtime-config-query.html)."""
_ESCAPE = "\uffff"  # a noncharacter, which no text that programs exchange should hold (Unicode 16, 23.7)


def ask(
    connection: PostgresConnection, statement: str, arguments: Sequence[Any] = ()
) -> psycopg.Cursor[tuple[Any, ...]]:
    """Return the cursor of a statement; its text holds no value of a user's.

    Arguments and results are binary, whose form depends on no setting of the session
    (postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES).
    """
    return connection.execute(statement.replace("%s", "%b").encode(), arguments or None, binary=True)


def escaped(text: str) -> str:
    """Return a text with its zero bytes escaped, which PostgreSQL does not take.

    See postgresql.org/docs/current/datatype-character.html.
    """
    if "\0" not in text and _ESCAPE not in text:
        return text
    return text.replace(_ESCAPE, f"{_ESCAPE}1").replace("\0", f"{_ESCAPE}0")


def unescaped(text: str) -> str:
    """Return the text that `escaped` was given."""
    return text if _ESCAPE not in text else text.replace(f"{_ESCAPE}0", "\0").replace(f"{_ESCAPE}1", _ESCAPE)


def all_escaped(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a row with its texts as PostgreSQL takes them."""
    return tuple([escaped(cell) if isinstance(cell, str) else cell for cell in row])


def all_unescaped(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the row that `all_escaped` was given."""
    return tuple([unescaped(cell) if isinstance(cell, str) else cell for cell in row])


def delivery_row(entry: Entry, checksum: Callable[[Sequence[Any]], int] | None = None) -> tuple[Any, ...]:
    """Return the values of `rows.COLUMNS`; see `rows.delivery_row`."""
    return all_escaped(rows.delivery_row(entry, checksum))


def summary(row: Sequence[Any]) -> DeliverySummary:
    """Return the summary in a row of SUMMARY."""
    return rows.summary(all_unescaped(row))


def columns(table: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """Return the columns of a table, for `unnest`; numbers of one column have one type."""
    return [_alike([row[at] for row in table]) for at in range(count)]


def _alike(column: list[Any]) -> list[Any]:
    if any(isinstance(cell, float) for cell in column):
        return [None if cell is None else float(cell) for cell in column]
    return column
