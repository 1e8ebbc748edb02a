"""An inbox with very many deliveries, as a month leaves it, written past the inbox: to put them would take an hour."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psycopg

from webhook_receiver.delivery import Delivery
from webhook_receiver.inbox import rows
from webhook_receiver.inbox.postgres.connection import Server
from webhook_receiver.inbox.postgres.schema import migrate as migrate_postgres
from webhook_receiver.inbox.records import Entry, FailedAttempt, HandlerState, State
from webhook_receiver.inbox.sqlite.connection import connect
from webhook_receiver.inbox.sqlite.schema import migrate as migrate_sqlite

START = 1_780_000_000.0
"""Unix time of the first delivery, in seconds."""
MONTH = 30 * 86_400.0
RARE = 5
"""Number of deliveries of what is rare."""
PER_ORDER = 5
"""Number of deliveries of an order, each a fifth of a month after the other."""
WAITING = 1000
"""One in so many deliveries waits: the youngest."""
COUNTS = 50
"""Number of different counts of each minute."""
WEEK = 7 * 24 * 60
"""Number of minutes of which there are counts."""

_HEADERS = (
    (b"host", b"hooks.example.com"),
    (b"user-agent", b"sender/1.0"),
    (b"content-type", b"application/json"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"x-request-id", b"4f1c7d0e-1a0b-4b6e-9a8f-2f6d7f1f0f6b"),
    (b"content-length", b"512"),
)
_ERRORS = ("HTTPStatusError", "ValueError", "KeyError", "ConnectionError", "TimeoutError", "GiveUp", "OSError", "Busy")
_AT_ONCE = 10_000


Item = TypeVar("Item")


class Made(NamedTuple):
    """A delivery, and what became of it."""

    entry: Entry
    state: State
    handlers: dict[str, HandlerState]
    attempts: Sequence[FailedAttempt]
    reason: str | None


def deliveries(number: int) -> Iterator[Made]:
    """Yield so many deliveries of a month: of a hundred one is dead, and one unhandled."""
    for each in range(number):
        yield _made(each, number)


def received(each: int, number: int) -> float:
    return START + each * MONTH / number


def id_of(each: int, number: int) -> str:
    second, noise = int(received(each, number)), each * 0x9E3779B97F4A7C15 % 2**64
    return f"{second:08x}{each & 0xFFFF:04x}{each >> 16:04x}{noise:016x}"


def is_rare(each: int, number: int) -> bool:
    """Whether a delivery is one of the few; none of them is among the youngest tenth."""
    return each % (number // RARE) == number // (2 * RARE)


def _made(each: int, number: int) -> Made:
    rare, at = is_rare(each, number), received(each, number)
    order = f"order-{each % (number // PER_ORDER):06}"
    event = "rare.event" if rare else f"event.{each % 20}"
    body = f'{{"event": "{event}", "order": "{order}", "number": {each}, "text": "{"x" * 400}"}}'.encode()
    receiver = "rare" if rare else "others" if each % 10 == 3 else "hooks"
    delivery = Delivery(id_of(each, number), receiver, _HEADERS, body, at, 0, True)
    key, identity = each.to_bytes(16), f'["{order}","{event}"]'
    entry = Entry(delivery, event, key, identity, order)
    handler = "app.rare:on_order" if rare else f"app.orders:on_{each % 3}"
    if each >= number - number // WAITING:
        return Made(entry, State.WAITING, {}, (), None)
    if each % 100 == 9:
        return Made(entry, State.UNHANDLED, {}, (), "no handler wants it")
    if each % 100 == 7 or rare:
        error = f"{_ERRORS[each // 100 % len(_ERRORS)]}: of order {each}" if not rare else "RareError: of its own"
        attempts = [
            FailedAttempt(handler, count, at + count, 0.05, "dead" if count == 3 else "retry", error, "x" * 500)
            for count in (1, 2, 3)
        ]
        return Made(entry, State.DEAD, {handler: HandlerState(State.DEAD, 3, 3)}, attempts, f"{handler}: {error}")
    return Made(entry, State.DONE, {handler: HandlerState(State.DONE, 1, 1)}, (), None)


def _progress(seq: int, made: Made) -> tuple[Any, ...]:
    delivery, state = made.entry.delivery, made.state
    line = rows.order_key_hash(delivery.receiver, made.entry.ordering_key)
    due = 0.0 if state is State.WAITING else None
    settled = None if state is State.WAITING else delivery.received + 1
    handlers = rows.progress_json(made.handlers)
    return (seq, delivery.receiver, line, state.value, due, delivery.received, handlers, made.reason, settled)


_PROGRESS = "line, state, due, since, handlers, reason, settled"


def counts(number: int) -> Iterator[tuple[int, str, str, int, int]]:
    """Yield the rows of the counts of so many minutes up to the end of the month."""
    last = int((START + MONTH) // 60)
    for minute in range(last - number, last):
        for each in range(COUNTS):
            what = f"done app.orders:on_{each % 3}" if each < 30 else f"answered {200 + each}"
            yield minute, "hooks", what, each // 3 if each < 30 else -1, 1 + minute % 7


def fill_sqlite(path: Path, number: int, minutes: int = WEEK) -> None:
    """Make a file of an inbox with so many deliveries, and counts of so many minutes."""
    with closing(connect(path)) as connection:
        migrate_sqlite(connection, str(path))
        connection.execute("PRAGMA synchronous = OFF")  # it is not to survive
        connection.execute("BEGIN")
        columns = f"seq, {', '.join(rows.COLUMNS)}"
        for some in _batches(enumerate(deliveries(number), 1)):
            whole = [(seq, *rows.delivery_row(made.entry)) for seq, made in some]
            progress = [_progress(seq, made) for seq, made in some]
            attempts = [(seq, place, *each) for seq, made in some for place, each in enumerate(made.attempts, 1)]
            _insert(connection, f"delivery ({columns})", whole)
            _insert(connection, f"progress (seq, receiver, {_PROGRESS})", progress)
            _insert(connection, "attempt", attempts)
        _insert(connection, "counter", counts(minutes))
        connection.execute(
            "INSERT INTO counter_hour SELECT minute / 60, receiver, what, bucket, sum(count) FROM counter "
            "GROUP BY 1, 2, 3, 4"
        )
        connection.execute("UPDATE position SET last = ?, merged = ?, tracked = ?", (number, number, number))
        connection.execute("COMMIT")


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    left = iter(items)
    while some := [*islice(left, _AT_ONCE)]:
        yield some


def _insert(connection: sqlite3.Connection, into: str, table: Iterable[Any]) -> None:
    for some in _batches(table):
        connection.executemany(f"INSERT INTO {into} VALUES ({','.join('?' * len(some[0]))})", some)


def fill_postgres(url: str, number: int, minutes: int = WEEK) -> None:
    """Make an inbox in a database with so many deliveries, and counts of so many minutes."""
    migrate_postgres(Server(url, "webhook_receiver"))
    with psycopg.connect(url, options="-c search_path=webhook_receiver") as connection:
        connection.execute("SET synchronous_commit = off")
        columns = f"seq, {', '.join(rows.COLUMNS)}, current"
        for some in _batches(enumerate(deliveries(number), 1)):
            whole = [(seq, *rows.delivery_row(made.entry), True) for seq, made in some]
            attempts = [(seq, place, *each) for seq, made in some for place, each in enumerate(made.attempts, 1)]
            _copy(connection, f"delivery ({columns})", whole)
            _copy(connection, f"progress (seq, source, {_PROGRESS})", [_progress(seq, made) for seq, made in some])
            _copy(connection, "attempt", attempts)
        _copy(connection, "counter", counts(minutes))
        connection.execute(
            "INSERT INTO counter_hour SELECT minute / 60, receiver, what, bucket, sum(count) FROM counter "
            "GROUP BY 1, 2, 3, 4"
        )
        connection.execute("SELECT setval(pg_get_serial_sequence('delivery', 'seq'), %s)", [number])
    with psycopg.connect(url, options="-c search_path=webhook_receiver", autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")  # as the server does by itself, sooner or later


def _copy(connection: psycopg.Connection[Any], into: str, table: Iterable[Any]) -> None:
    with connection.cursor().copy(f"COPY {into} FROM STDIN".encode()) as copy:
        for row in table:
            copy.write_row(row)
