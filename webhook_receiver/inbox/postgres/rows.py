"""How deliveries and records become rows of a PostgreSQL inbox and come back: as in SQLite, but for zero bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from .. import rows
from ..records import DeliverySummary, Entry

Connection = psycopg.Connection[tuple[Any, ...]]

DELIVERY = rows.DELIVERY
RECORD = rows.RECORD.replace("p.handlers", "p.handlers::text")
"""The columns of a record, of delivery d and progress p."""

_MARK = "\uffff"  # a noncharacter, which no text that programs exchange should hold (Unicode 16, 23.7)


def ask(connection: Connection, statement: str, arguments: Sequence[Any] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
    """Execute a statement, which is made of our own words only."""
    return connection.execute(statement.encode(), arguments or None)


def stored(text: str) -> str:
    """Return a text as PostgreSQL takes it: without zero bytes."""
    if "\0" not in text and _MARK not in text:
        return text
    return text.replace(_MARK, f"{_MARK}1").replace("\0", f"{_MARK}0")


def unstored(text: str) -> str:
    """Return what `stored` was given."""
    return text if _MARK not in text else text.replace(f"{_MARK}0", "\0").replace(f"{_MARK}1", _MARK)


def all_stored(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a row with its texts as PostgreSQL takes them."""
    return tuple([stored(cell) if isinstance(cell, str) else cell for cell in row])


def all_unstored(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the row that `all_stored` was given."""
    return tuple([unstored(cell) if isinstance(cell, str) else cell for cell in row])


def delivery_row(entry: Entry) -> tuple[Any, ...]:
    """Return the values of `rows.COLUMNS`."""
    return all_stored(rows.delivery_row(entry))


def record(row: Sequence[Any]) -> DeliverySummary:
    """Return a row of RECORD as one."""
    return rows.record(all_unstored(row))


def columns(table: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """Return the columns of a table, for `unnest`."""
    return [[row[at] for row in table] for at in range(count)]
