"""The journal of files of the schemas 3 and 4: deliveries that had no row in `delivery` yet, those of one commit in one
row. It is read once, when such a file is migrated."""

from __future__ import annotations

import pickle
from io import BytesIO
from sqlite3 import Connection, DatabaseError
from typing import Any
from zlib import crc32

from .. import rows

_COLUMNS = (
    *("id", "source", "origin", "event", "key", "identity", "order_key"),
    *("received", "headers", "body", "verified_by", "body_verified", "checksum"),
)
"""Those of `delivery` then. The checksum is not in the journal, and one more is: the reason to be dead."""


def move(connection: Connection) -> None:
    """Give the deliveries in the journal rows in `delivery`, and the dead ones rows in `progress`.

    Args:
        connection: a connection to a file of schema 4, inside a transaction.

    Raises:
        sqlite3.DatabaseError: a row of the journal does not match its checksum.
    """
    (moved,) = connection.execute("SELECT unpacked FROM arrived").fetchone()
    journal = connection.execute(
        "SELECT last, kept, packed, checksum FROM journal WHERE last > ? ORDER BY last", (moved,)
    )
    for last, put_at, packed, checksum in journal:
        found = _unpacked(packed, checksum)
        numbered = [(seq, row) for seq, row in enumerate(found, last - len(found) + 1) if seq > moved]
        rows.insert(
            connection,
            f"delivery (seq, {', '.join(_COLUMNS)})",
            [(seq, *row[:-1], rows.checksum_of((*row[:-1], 0, None))) for seq, row in numbered],
        )
        rows.insert(
            connection,
            "progress (seq, source, line, state, due, since, reason, settled)",
            [
                (seq, row[1], rows.order_key_hash(row[1], row[6]), "dead", 0.0, put_at, row[-1], put_at)
                for seq, row in numbered
                if row[-1] is not None
            ],
        )


def _unpacked(packed: bytes, checksum: int) -> list[tuple[Any, ...]]:
    """Return the values of the columns but for the checksum, and the reason to be dead, of each delivery."""
    try:
        if crc32(packed) == checksum:
            found = _Unpickler(BytesIO(packed)).load()
            if {len(each) for each in found} == {len(_COLUMNS)}:
                return list(found)
    except Exception:  # noqa: S110 - whatever it is, it was never put
        pass
    raise DatabaseError("what is kept in its journal is not what was put")


class _Unpickler(pickle.Unpickler):
    """An unpickler of plain values, which never imports or runs anything.

    See docs.python.org/3/library/pickle.html#restricting-globals.
    """

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError
