"""The rows of a SQLite inbox, made of deliveries and handler states and read back; a checksum shows damage.

The names of the columns are those of the first version: `source` of a delivery holds `Delivery.receiver`, `origin`
holds `Delivery.via`, `held` holds `paused_by`, `order_key` holds the ordering key, and `line` its hash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from sqlite3 import Connection
from typing import Any, TypeVar
from zlib import crc32

from ..delivery import Delivery, Headers
from ..errors import InboxDamaged, InboxError
from .records import MOST_CONTEXT, DeliverySummary, Entry, HandlerState, State

Item = TypeVar("Item")

_AT_ONCE = 64  # rows for a statement to insert: more cost no less
_MOST_ASKED = 1024  # rows of up to 16 cells for a statement: SQLite takes 32,766 arguments (sqlite.org/limits.html)

_as_json = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make an encoder for each

COLUMNS = (
    *("id", "source", "origin", "event", "key", "identity", "order_key"),
    *("received", "headers", "body", "verified_by", "body_verified", "part", "context", "checksum"),
)
"""The columns of the table `delivery` that make a delivery, in the order of the functions below."""
_IN_ANOTHER_ROW = ("headers", "body")  # of a part, whose row has `body_of`


RECEIVERS_OF_PURGED = (  # by one look into the index for each
    "WITH RECURSIVE r(source) AS (SELECT min(source) FROM purged UNION ALL "
    "SELECT (SELECT min(p.source) FROM purged p WHERE p.source > r.source) FROM r WHERE r.source IS NOT NULL) "
    "SELECT source FROM r WHERE source IS NOT NULL"
)
"""The statement that selects the receivers of purged deliveries."""


def _column(name: str) -> str:
    if name not in _IN_ANOTHER_ROW:
        return f"d.{name}"
    other = f"(SELECT b.{name} FROM delivery b WHERE b.seq = d.body_of)"
    return f"CASE WHEN d.body_of IS NULL THEN d.{name} ELSE coalesce({other}, d.{name}) END"


DELIVERY = ", ".join(map(_column, COLUMNS))
"""The columns of a delivery, of table alias d; a part has the headers and the body of the row that has them."""
OWN = ", ".join(f"d.{name}" for name in COLUMNS)
"""The columns of a delivery as they are in its own row, of table alias d: of most parts without headers and body."""
SUMMARY = (
    "d.id, d.source, d.origin, d.event, d.identity, d.received, p.state, p.due, p.lease IS NOT NULL, p.held, p.reason, "
    "p.settled, p.handlers, d.verified_by, d.body_verified, d.part, p.body_removed"
)
"""The columns of a `DeliverySummary`, of table aliases d (delivery) and p (progress)."""


def delivery_row(entry: Entry, checksum: Callable[[Sequence[Any]], int] | None = None) -> tuple[Any, ...]:
    """Return the values of COLUMNS.

    Args:
        entry: the entry.
        checksum: the function that returns a row's checksum, for many rows that of `Checksums`.
    """
    row = values_of(entry)
    return (*row, (checksum or checksum_of)(row))


def values_of(entry: Entry) -> tuple[Any, ...]:
    """Return the values of COLUMNS but for the checksum.

    Raises:
        InboxError: the context is too long.
    """
    delivery, event, key, identity, ordering_key, *_ = entry
    received = float(delivery.received) + 0.0  # a file gives minus zero back as zero
    headers, verified = encode_headers(delivery.headers), int(bool(delivery.body_verified))
    body, by, context = delivery.body, delivery.verified_by, delivery.context
    if context is not None and len(context) > MOST_CONTEXT:
        raise InboxError(f"the context of a delivery has at most {MOST_CONTEXT} characters, not {len(context)}")
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
        delivery.part,
        context,
    )


def checksum_of(row: Sequence[Any]) -> int:
    """Return the CRC-32 of a row's values; another value in any column changes it.

    A part's row counts with the headers and the body that are in another row.
    """
    return crc32(row[9], crc32(row[8], crc32(_small(row))))


def _small(row: Sequence[Any]) -> bytes:
    small = ascii((*row[:8], *row[10:12], len(row[8])))  # not repr, which differs with the version of Unicode
    part, context = row[12:14]
    if part or context is not None:  # older rows have neither
        small += ascii((part, context))
    return small.encode("ascii")


class Checksums:
    """Checksums of rows one after the other. What parts of one request share is read once for all of them."""

    def __init__(self) -> None:
        self._row: Sequence[Any] = ()
        self._shared: tuple[int, int] | None = None
        """The CRC-32 of what the row shares, and the factor of one in front of that; None until another shares it."""

    def of(self, row: Sequence[Any]) -> int:
        """Return the checksum of a row; see `checksum_of`."""
        before, self._row = self._row, row
        if not before or row[8:10] != before[8:10]:
            self._shared = None
            return checksum_of(row)
        if self._shared is None:
            self._shared = crc32(row[9], crc32(row[8])), _factor(len(row[8]) + len(row[9]))
        crc, factor = self._shared
        return _product(factor, crc32(_small(row))) ^ crc


_POLYNOMIAL = 0xEDB88320  # of CRC-32, its bits reflected


def _product(one: int, other: int) -> int:
    """Return the product of two polynomials modulo that of CRC-32, as zlib's crc32_combine does (zlib 1.2.12)."""
    product, bit = 0, 1 << 31
    while bit:
        if one & bit:
            product ^= other
        bit >>= 1
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product


def _factor(size: int) -> int:
    """Return what the CRC-32 of bytes is multiplied with when so many more come behind them: x to the 8 * size."""
    factor, power = 1 << 31, 1 << 23  # the polynomials 1 and x to the 8th
    while size:
        if size & 1:
            factor = _product(factor, power)
        power = _product(power, power)
        size >>= 1
    return factor


def without_body(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values of COLUMNS, or the first of them, with empty headers and an empty body."""
    return (*row[:8], b"", b"", *row[10:])


def checksum_without_body(row: Sequence[Any]) -> int:
    """Return the checksum that a row gets when its headers and its body are removed; one that is damaged stays so."""
    return checksum_of(without_body(row)) if checksum_of(row) == row[14] else row[14]


def bodies_of(seqs: Sequence[int], shares: Sequence[str | None]) -> list[int | None]:
    """Return for each new row the row that has its headers and body; None for the row itself.

    Args:
        seqs: the rows, in order.
        shares: what all rows have that share a body; None for a row that shares none.
    """
    first: dict[str, int] = {}
    found = [seq if each is None else first.setdefault(each, seq) for seq, each in zip(seqs, shares, strict=True)]
    return [None if other == seq else other for seq, other in zip(seqs, found, strict=True)]


def with_body(row: tuple[Any, ...], headers_and_body: tuple[bytes, bytes]) -> tuple[Any, ...]:
    """Return a row that begins with COLUMNS, with other headers and another body."""
    return (*row[:8], *headers_and_body, *row[10:])


def delivery(row: tuple[Any, ...], checksum: Callable[[Sequence[Any]], int] = checksum_of) -> Delivery:
    """Return the delivery of a row that begins with COLUMNS.

    Args:
        row: the row.
        checksum: the function that returns its checksum, of many rows that of `Checksums`.

    Raises:
        InboxDamaged: the row does not match its checksum.
    """
    if checksum(row) != row[14]:
        raise InboxDamaged(f"what is kept of the delivery {row[0]!r:.80} is not what was put: the database was damaged")
    return delivery_of(row)


def damaged(found: Iterable[Sequence[Any]]) -> list[int]:
    """Return the numbers of those rows that do not match their checksums; each is COLUMNS, and then its number."""
    checksum = Checksums().of
    return [row[-1] for row in found if checksum(row) != row[14]]


def delivery_of(row: Sequence[Any]) -> Delivery:
    """Return the delivery of a row that begins with COLUMNS, and whose checksum is known to match."""
    id, receiver, via, _, _, _, _, received, headers, body, by, verified, part, context, *_ = row
    return Delivery(id, receiver, decode_headers(headers), body, received, by, bool(verified), via, part, context)


def encode_headers(headers: Headers) -> bytes:
    """Return headers as bytes, one header a line; a newline in a value becomes a space (RFC 9110, section 5.5)."""
    encoded = b"\n".join([b"%b:%b" % header for header in headers])
    if encoded.count(b"\n") < max(len(headers), 1):
        return encoded
    return b"\n".join([b"%b:%b" % (name, value.replace(b"\n", b" ")) for name, value in headers])


def decode_headers(headers: bytes) -> Headers:
    """Return the headers that `encode_headers` was given."""
    return tuple([(name, value) for line in headers.split(b"\n") if line for name, _, value in [line.partition(b":")]])


def dedup_hash(receiver: str, event: str | None, key: bytes | None, identity: str | None) -> int | None:
    """Return the 64-bit hash by which duplicates of a delivery are looked up; None if it can have none.

    The hash of the identity serves where there is one, since the same key means the same identity: a second hash would
    be a second random place in a large index to write for each delivery.
    """
    if identity is not None:
        return _hash(f"{receiver}\0{event}\0{identity}")
    return None if key is None else _hash(f"{receiver}\0{key.hex()}")


def receiver_hash(receiver: str) -> int:
    """Return the 64-bit hash of a receiver's name."""
    return _hash(receiver)


@lru_cache(maxsize=4096)  # it is asked for at the put, at the claim and at the settlement
def order_key_hash(receiver: str, ordering_key: str | None) -> int | None:
    """Return the 64-bit hash of a receiver and an ordering key; None for a delivery without an ordering key."""
    return None if ordering_key is None else _hash(f"{receiver}\0{ordering_key}")


def _hash(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def progress_json(handlers: Mapping[str, HandlerState]) -> str | None:
    """Return the states of all handlers as JSON; None if there are none."""
    return _progress_json(tuple(handlers.items())) if handlers else None


@lru_cache(maxsize=256)
def _progress_json(handlers: tuple[tuple[str, HandlerState], ...]) -> str:
    # Of most deliveries it is the same.
    return _as_json({name: each if each.expected_dead is not None else each[:-1] for name, each in handlers})


def progress(text: str | None) -> dict[str, HandlerState]:
    """Return the states of all handlers from JSON that `progress_json` wrote.

    Raises:
        InboxDamaged: the text is no such JSON.
    """
    if text is None:
        return {}
    try:
        return {name: _handler_state(values) for name, values in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, LookupError):
        raise InboxDamaged(
            "what is kept of the handlers' progress is not what was written: the database was damaged"
        ) from None


_TYPES = (State, int, int, int | float, bool, int | float | None)
"""The types of the fields of `HandlerState`."""


def _handler_state(values: list[Any]) -> HandlerState:
    found = HandlerState(State(values[0]), *values[1:])
    if not all(map(isinstance, found, _TYPES)):
        raise TypeError
    return found


def known_progress(text: str | None) -> dict[str, HandlerState]:
    """Return the states of all handlers as `progress` does, and none if they are damaged."""
    try:
        return progress(text)
    except InboxDamaged:
        return {}


def text(data: bytes) -> str:
    """Return a text of the file; bytes that are no UTF-8 become surrogates, so that one damaged text does not keep
    the others from being read."""
    return data.decode("utf-8", "surrogateescape")


def summary(row: tuple[Any, ...]) -> DeliverySummary:
    """Return the summary in a row of SUMMARY; one damaged row does not keep the others from being listed."""
    handlers: dict[str, HandlerState] = {}
    damage: str | None = None
    try:
        handlers = progress(row[12])
    except InboxDamaged as error:
        damage = str(error)
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
        handlers=handlers,
        verified_by=row[13],
        body_verified=bool(row[14]),
        part=row[15],
        body_removed=bool(row[16]),
        damage=damage,
    )


def insert(connection: Connection, into: str, table: Sequence[Sequence[Any]], otherwise: str = "ROLLBACK") -> None:
    """Insert the rows of a table, many with each statement.

    Args:
        connection: an SQLite connection, inside a transaction.
        into: the table and its columns, as SQL.
        table: the rows.
        otherwise: what happens to a row that is there already, as in `INSERT OR ...` (sqlite.org/lang_conflict.html).
    """
    start = 0
    while start < len(table):
        size = min(_AT_ONCE, 2 ** ((len(table) - start).bit_length() - 1))
        part = table[start : start + size]
        connection.execute(f"INSERT OR {otherwise} INTO {into} {values(part)}", flat(part))
        start += size


def steps(items: Collection[Item]) -> Iterator[list[Item]]:
    """Yield the items some at a time, as many as one statement takes, each time `padded`."""
    found = [*items]
    for start in range(0, len(found), _MOST_ASKED):
        yield padded(found[start : start + _MOST_ASKED])


def padded(items: Collection[Item]) -> list[Item]:
    """Return the items, the last one repeated until their number is a power of two.

    SQLite compiles a statement, and the connection caches it, for each number of placeholders: so there are few.
    """
    found = [*items]
    return found + found[-1:] * ((1 << (len(found) - 1).bit_length()) - len(found)) if found else found


def values(table: Sequence[Sequence[Any]]) -> str:
    """Return `VALUES (?,?),(?,?)` for the rows of a table, which has at least one."""
    return "VALUES " + ",".join(["(" + ",".join("?" * len(table[0])) + ")"] * len(table))


def as_table(columns: Sequence[str], table: Sequence[Sequence[Any]]) -> str:
    """Return a subquery that gives the rows of a table under these column names."""
    named = ", ".join(f"column{number} AS {column}" for number, column in enumerate(columns, 1))
    return f"(SELECT {named} FROM ({values(table)}))"


def flat(table: Iterable[Iterable[Any]]) -> list[Any]:
    """Return the cells of a table, row after row."""
    return [cell for row in table for cell in row]


def placeholders(items: Iterable[object]) -> str:
    """Return `?,?,?`, one for each item."""
    return ",".join("?" for _ in items)
