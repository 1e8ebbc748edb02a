"""How deliveries and records become rows of a PostgreSQL inbox and come back: as in SQLite, but for zero bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from .. import rows
from ..records import DeliverySummary, Entry

PostgresConnection = psycopg.Connection[tuple[Any, ...]]

DELIVERY = rows.DELIVERY
SUMMARY = rows.SUMMARY.replace("p.handlers", "p.handlers::text")
"""The columns of a record, of delivery d and progress p."""

_ESCAPE = "\uffff"  # a noncharacter, which no text that programs exchange should hold (Unicode 16, 23.7)


def ask(
    connection: PostgresConnection, statement: str, arguments: Sequence[Any] = ()
) -> psycopg.Cursor[tuple[Any, ...]]:
    """Execute a statement, which is made of our own words only."""
    return connection.execute(statement.encode(), arguments or None)


def escaped(text: str) -> str:
    """Return a text as PostgreSQL takes it: without zero bytes."""
    if "\0" not in text and _ESCAPE not in text:
        return text
    return text.replace(_ESCAPE, f"{_ESCAPE}1").replace("\0", f"{_ESCAPE}0")


def unescaped(text: str) -> str:
    """Return what `stored` was given."""
    return text if _ESCAPE not in text else text.replace(f"{_ESCAPE}0", "\0").replace(f"{_ESCAPE}1", _ESCAPE)


def all_escaped(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a row with its texts as PostgreSQL takes them."""
    return tuple([escaped(cell) if isinstance(cell, str) else cell for cell in row])


def all_unescaped(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the row that `all_stored` was given."""
    return tuple([unescaped(cell) if isinstance(cell, str) else cell for cell in row])


def delivery_row(entry: Entry) -> tuple[Any, ...]:
    """Return the values of `rows.COLUMNS`."""
    return all_escaped(rows.delivery_row(entry))


def summary(row: Sequence[Any]) -> DeliverySummary:
    """Return a row of RECORD as one."""
    return rows.summary(all_unescaped(row))


def columns(table: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """Return the columns of a table, for `unnest`."""
    return [[row[at] for row in table] for at in range(count)]
