"""How deliveries and progress become rows of a SQLite inbox and come back; a row knows when it was damaged."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from sqlite3 import Connection
from typing import Any, TypeVar
from zlib import crc32

from ..delivery import Delivery, Headers
from ..errors import InboxDamaged
from .records import DeliverySummary, Entry, HandlerState, State

Item = TypeVar("Item")

_AT_ONCE = 64  # rows for a statement to insert: more cost no less

_as_json = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make an encoder for each

COLUMNS = (
    *("id", "source", "origin", "event", "key", "identity", "order_key"),
    *("received", "headers", "body", "verified_by", "body_verified", "checksum"),
)
"""The columns of a delivery, in the order of the functions below."""
DELIVERY = ", ".join(f"d.{column}" for column in COLUMNS)
"""The same of a delivery d."""
SUMMARY = (
    "d.id, d.source, d.origin, d.event, d.identity, d.received, p.state, p.due, p.lease IS NOT NULL, p.held, p.reason, "
    "p.settled, p.handlers, d.verified_by, d.body_verified"
)
"""The columns of a record, of delivery d and progress p."""


def delivery_row(entry: Entry) -> tuple[Any, ...]:
    """Return the values of COLUMNS."""
    row = values_of(entry)
    return (*row, checksum(row))


def values_of(entry: Entry) -> tuple[Any, ...]:
    """Return the values of COLUMNS but for the checksum."""
    delivery, event, key, identity, ordering_key, _ = entry
    received = float(delivery.received) + 0.0  # minus nothing does not come back
    headers, verified = encode_headers(delivery.headers), int(bool(delivery.body_verified))
    body, by = delivery.body, delivery.verified_by
    return (
        delivery.id,
        delivery.receiver,
        delivery.via,
        event,
        key,
        identity,
        ordering_key,
        received,
        headers,
        body,
        by,
        verified,
    )


def checksum(row: Sequence[Any]) -> int:
    """Return a number that another value anywhere in the row would change."""
    small = ascii((*row[:8], *row[10:12], len(row[8])))  # not repr, which differs with the version of Unicode
    return crc32(row[9], crc32(row[8], crc32(small.encode("ascii"))))


def delivery(row: tuple[Any, ...]) -> Delivery:
    """Return the delivery in a row that begins with COLUMNS.

    Raises:
        InboxDamaged: it is not what was written.
    """
    if checksum(row) != row[12]:
        raise InboxDamaged(f"what is kept of the delivery {row[0]!r:.80} is not what was put: the file was damaged")
    return delivery_of(row)


def delivery_of(row: Sequence[Any]) -> Delivery:
    """Return the delivery in a row that begins with COLUMNS, and is known to be whole."""
    return Delivery(row[0], row[1], decode_headers(row[8]), row[9], row[7], row[10], bool(row[11]), row[2])


def encode_headers(headers: Headers) -> bytes:
    """Return headers as one value; what no header can hold (RFC 9110, 5.5) becomes a space, as it says."""
    return b"\n".join([b"%b:%b" % (name, value.replace(b"\n", b" ")) for name, value in headers])


def decode_headers(headers: bytes) -> Headers:
    """Return what was packed."""
    return tuple([(name, value) for line in headers.split(b"\n") if line for name, _, value in [line.partition(b":")]])


def dedup_hash(receiver: str, event: str | None, key: bytes | None, identity: str | None) -> int | None:
    """Return a hash of what a repeat would be known by; None if nothing is ever a repeat of it.

    The identity will do where there is one, since the same key means the same identity: a second hash would be a
    second random place in a large index to write for each delivery.
    """
    if identity is not None:
        return _hash(f"{receiver}\0{event}\0{identity}")
    return None if key is None else _hash(f"{receiver}\0{key.hex()}")


def order_key_hash(receiver: str, ordering_key: str | None) -> int | None:
    """Return a hash of the line that a delivery stands in; None if it stands in none."""
    return None if ordering_key is None else _hash(f"{receiver}\0{ordering_key}")


def _hash(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def progress_json(handlers: Mapping[str, HandlerState]) -> str | None:
    """Return the progress of all handlers as JSON, None for none."""
    return _progress_json(tuple(handlers.items())) if handlers else None


@lru_cache(maxsize=256)
def _progress_json(handlers: tuple[tuple[str, HandlerState], ...]) -> str:
    return _as_json(dict(handlers))  # of most deliveries it is the same


def progress(text: str | None) -> dict[str, HandlerState]:
    """Return what was written by `progress_json`.

    Raises:
        InboxDamaged: it was not.
    """
    if text is None:
        return {}
    try:
        found = json.loads(text)
        return {name: HandlerState(State(values[0]), *values[1:]) for name, values in found.items()}
    except (ValueError, TypeError, AttributeError, LookupError):
        raise InboxDamaged(
            "what is kept of the handlers' progress is not what was written: the file was damaged"
        ) from None


def text(data: bytes) -> str:
    """Return a text of the file's; one that was damaged must not keep all others from being read."""
    return data.decode("utf-8", "surrogateescape")


def summary(row: tuple[Any, ...]) -> DeliverySummary:
    """Return a row of RECORD as one."""
    return DeliverySummary(
        id=row[0],
        receiver=row[1],
        via=row[2],
        event=row[3],
        identity=row[4],
        received=row[5],
        state=State(row[6]),
        due=row[7],
        leased=bool(row[8]),
        paused_by=row[9],
        reason=row[10],
        settled=row[11],
        handlers=progress(row[12]),
        verified_by=row[13],
        body_verified=bool(row[14]),
    )


def insert(connection: Connection, into: str, table: Sequence[Sequence[Any]], otherwise: str = "ROLLBACK") -> None:
    """Insert the rows of a table, many with each statement; `otherwise` is what is done if one is there already."""
    start = 0
    while start < len(table):
        size = min(_AT_ONCE, 2 ** ((len(table) - start).bit_length() - 1))
        part = table[start : start + size]
        connection.execute(f"INSERT OR {otherwise} INTO {into} {values(part)}", flat(part))
        start += size


def padded(items: Collection[Item]) -> list[Item]:
    """Return the items, the last one repeated so that they are 1, 2, 4, 8, ... in number.

    A statement is compiled, and held in memory, for each number of them that there is.
    """
    found = [*items]
    return found + found[-1:] * ((1 << (len(found) - 1).bit_length()) - len(found)) if found else found


def values(table: Sequence[Sequence[Any]]) -> str:
    """Return `VALUES (?,?),(?,?)` for the rows of a table, none of which is missing."""
    return "VALUES " + ",".join(["(" + ",".join("?" * len(table[0])) + ")"] * len(table))


def as_table(columns: Sequence[str], table: Sequence[Sequence[Any]]) -> str:
    """Return the rows of a table as one to select from, with these columns."""
    named = ", ".join(f"column{number} AS {column}" for number, column in enumerate(columns, 1))
    return f"(SELECT {named} FROM ({values(table)}))"


def flat(table: Iterable[Iterable[Any]]) -> list[Any]:
    """Return the cells of a table, one after the other."""
    return [cell for row in table for cell in row]


def placeholders(items: Iterable[object]) -> str:
    """Return `?,?,?` for the items."""
    return ",".join("?" for _ in items)
