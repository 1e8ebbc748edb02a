"""A file with very many rows works as an empty one does; the times are printed.

The long form has 1,000,000 rows:
`pytest -n0 -s -o faulthandler_timeout=0 -m faults tests/faults/test_size.py`.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from webhook_receiver import SQLiteInbox
from webhook_receiver.delivery import Delivery
from webhook_receiver.inbox import Entry, Filter, State
from webhook_receiver.inbox.dedup import PutJob
from webhook_receiver.inbox.records import Settlement
from webhook_receiver.inbox.sqlite import insert, tracking
from webhook_receiver.inbox.sqlite.connection import connect

BATCH = 500
BODY = b'{"event": "order.status", "body": {"status": "FULFILLED"}}' + b" " * 300


async def test_an_inbox_with_20_000_rows_works(tmp_path: Path) -> None:
    await works(tmp_path / "hooks.db", 20_000)


@pytest.mark.faults
async def test_an_inbox_with_1_000_000_rows_works(tmp_path: Path) -> None:
    await works(tmp_path / "hooks.db", 1_000_000)


async def works(path: Path, size: int) -> None:
    await filled(path, size)
    print(f"\n{size} rows")
    with timed("open"):
        inbox = await SQLiteInbox(path, min_free=0).open()
    with timed("put"):
        await inbox.put(entry(size), 1000.0)
    with timed("put a duplicate"):
        await inbox.put(entry(size // 2), 1000.0)
    with timed("claim 16"):
        claims = await inbox.claim("webhooks", 16, 30.0, 1000.0)
    assert [claim.delivery.id for claim in claims] == [identifier(number) for number in range(0, 32, 2)]
    with timed("settle one"):
        assert await inbox.settle(Settlement(claims[0], State.DONE, {}), 1000.0)
    with timed("list 50"):
        found = await inbox.find(Filter(), limit=50)
    assert found[0].id == identifier(size)
    with timed("get by the beginning of an id"):
        kept = await inbox.get(identifier(size - 1)[:-1])
    assert kept is not None
    with timed("replay"):
        assert await inbox.replay([identifier(1)], 1000.0) == 1
    with timed("expire"):
        await inbox.expire(1000.0)
    with timed("stats"):
        stats = await inbox.stats()
    assert sum(stats.counts.values()) == size + 1
    with timed("close"):
        await inbox.close()


async def filled(path: Path, size: int) -> None:
    """Make an inbox of which every other delivery waits, and the rest are done."""
    await (await SQLiteInbox(path, min_free=0).open()).close()
    connection = connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for first in range(0, size, BATCH):
        insert.put(connection, [PutJob(entry(number), 1000.0, 0.0) for number in range(first, first + BATCH)])
        tracking.track(connection, tracking.untracked(connection, first))
        connection.execute("UPDATE position SET tracked = ?", (first + BATCH,))
    connection.execute("UPDATE progress SET state = 'done', due = NULL, settled = 1000 WHERE seq % 2 = 0")
    connection.execute("COMMIT")
    connection.close()


def identifier(number: int) -> str:
    return f"{number:030d}x"


def entry(number: int) -> Entry:
    delivery = Delivery(identifier(number), "webhooks", ((b"content-type", b"text"),), BODY, 1000.0, None, True)
    return Entry(delivery, "order.status", b"%032d" % number, f"o-{number} FULFILLED", f"o-{number}")


@contextmanager
def timed(what: str) -> Generator[None]:
    began = time.perf_counter()
    yield
    print(f"{what:>30}: {(time.perf_counter() - began) * 1000:9.2f} ms")
