"""How fast deliveries are kept and handled, as ratios measured in the same run; printed, never judged.

Run with `pytest -n0 -s -o faulthandler_timeout=0 -m benchmark`.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing
from hashlib import sha256
from itertools import count, repeat
from pathlib import Path
from statistics import median

import pytest
from rich.console import Console

from webhook_receiver import Delivery, SQLiteInbox, UP42Signature, WebhookReceiver
from webhook_receiver.delivery import new_id
from webhook_receiver.inbox import Entry, HandlerState, Inbox, Settlement, State

from . import apps, measuring
from .measuring import body, request, serving

pytestmark = pytest.mark.benchmark

CALLERS = 64
ROUNDS = 7
HEADERS = ((b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"600"))

say = Console(width=120).print


@pytest.mark.parametrize("connections", [16, 64])
def test_durable_ingest_is_measured_beside_the_floor(connections: int, tmp_path: Path) -> None:
    scheme, orders = UP42Signature(apps.SECRET), count()

    def fresh() -> list[bytes]:
        return [
            request(body(f"order-{sha256(b'%d' % next(orders)).hexdigest()}"), scheme=scheme) for _ in range(12_000)
        ]

    resting, working = tmp_path / "resting.db", tmp_path / "working.db"
    with (
        measuring.on_the_last_core(),
        serving("floor_app") as floor,
        serving("durable", {"INBOX": str(resting), "WORK": "no"}) as keeper,
        serving("durable", {"INBOX": str(working), "WORK": "yes"}) as worker,
    ):
        good = fresh()[0]
        floor.warm_up(good, 204)
        for _ in range(ROUNDS):
            floor.round("floor", repeat(good), 204, connections=connections)
            keeper.round("kept", fresh(), 202, connections=connections)
            worker.round("handled", fresh(), 202, connections=connections, finish=lambda: _until_handled(working))
    rows = [
        ("floor: read the body, answer 204", floor, "floor"),
        ("kept durably, 202", keeper, "kept"),
        ("kept and handled, all of it, on one core", worker, "handled"),
    ]
    measuring.show(rows, f"{measuring.SIZE}-byte body, {connections} connections", good="kept")


def _until_handled(file: Path) -> None:
    """Wait until nothing waits; unlike `stats`, which counts all there is, this costs next to nothing."""
    deadline = time.monotonic() + 60
    with closing(sqlite3.connect(file)) as connection:
        while connection.execute(
            "SELECT 1 FROM delivery, position WHERE seq > tracked "
            "AND NOT EXISTS (SELECT 1 FROM progress WHERE progress.seq = delivery.seq) "
            "UNION ALL SELECT 1 FROM progress WHERE state <> 'done' LIMIT 1"
        ).fetchone():
            time.sleep(0.002)  # it is the time until then that is measured
            assert time.monotonic() < deadline, "the worker does not come to an end"


async def test_group_commit_is_measured_beside_one_insert_for_each_commit(tmp_path: Path) -> None:
    ratios: list[float] = []
    for number in range(ROUNDS):
        single = _one_by_one(tmp_path / f"single-{number}.db", 3_000)
        async with opened(tmp_path / f"group-{number}.db") as inbox:
            together = await _puts_a_second(inbox, entries(20_000))
        ratios.append(together / single)
        say(
            f"one insert a commit: {single:,.0f}/s; {CALLERS} callers of put: {together:,.0f}/s; {ratios[-1]:.1f} times"
        )
    say(f"in the median {median(ratios):.1f} times")


async def test_empty_handlers_are_counted(tmp_path: Path) -> None:
    for number in range(3):
        hooks = WebhookReceiver(secret=apps.SECRET, inbox=f"sqlite:///{tmp_path}/handled-{number}.db?min_free=0")
        hooks.on_fulfilled(apps.ignore)
        await hooks.inbox.open()
        await _puts_a_second(hooks.inbox, entries(30_000))
        start = time.perf_counter()
        async with hooks:
            await asyncio.to_thread(_until_handled, tmp_path / f"handled-{number}.db")
            say(f"{30_000 / (time.perf_counter() - start):,.0f} deliveries a second handled and committed")


async def test_a_million_kept_deliveries_cost_little_more_than_none(tmp_path: Path) -> None:
    async with opened(tmp_path / "full.db") as full:
        for _ in range(40):
            await _puts_a_second(full, entries(25_000))
            await _handle_all(full)
        costs: dict[str, list[tuple[float, float]]] = {"put": [], "claim and settle": []}
        for number in range(ROUNDS):
            async with opened(tmp_path / f"empty-{number}.db") as empty:
                for what, cost in (("put", _put_cost), ("claim and settle", _handle_all)):
                    in_empty = await cost(empty)
                    costs[what].append((in_empty, await cost(full)))
        for what, found in costs.items():  # of all rounds: some put has to pay for the index of what was put before
            in_empty, in_full = map(sum, zip(*found, strict=True))
            say(f"with 1,000,000 kept rows {what} cost {in_full / in_empty:.2f} times what they cost in an empty file")


async def test_memory_stays_flat_over_300_000_deliveries(tmp_path: Path) -> None:
    hooks = WebhookReceiver(secret=apps.SECRET, inbox=f"sqlite:///{tmp_path}/flat.db?min_free=0")
    hooks.on_fulfilled(apps.ignore)
    async with hooks:
        for part in range(6):
            for _ in range(100):  # few at a time, so that it is not the benchmark's own memory that is measured
                await _puts_a_second(hooks.inbox, entries(500))
            await asyncio.to_thread(_until_handled, tmp_path / "flat.db")
            say(f"after {(part + 1) * 50_000:,} deliveries: {_resident():.0f} MiB")


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[SQLiteInbox]:
    inbox = await SQLiteInbox(path, min_free=0).open()
    yield inbox
    await inbox.close()


def entries(number: int) -> Iterator[Entry]:
    """Yield entries of orders that nobody has heard of, as a receiver would put them."""
    for _ in repeat(None, number):
        identifier = new_id()
        order_id = sha256(identifier.encode()).hexdigest()[:36]
        said = body(order_id)
        delivery = Delivery(identifier, "webhooks", HEADERS, said, time.time(), 0, True)
        yield Entry(delivery, "order.status", sha256(said).digest(), f"{order_id} FULFILLED", order_id)


async def _puts_a_second(inbox: Inbox, fresh: Iterator[Entry]) -> float:
    made = list(fresh)
    left = iter(made)

    async def caller() -> None:
        for entry in left:
            await inbox.put(entry, entry.delivery.received)

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(made) / (time.perf_counter() - start)


async def _put_cost(inbox: SQLiteInbox) -> float:
    return 1 / await _puts_a_second(inbox, entries(10_000))


async def _handle_all(inbox: SQLiteInbox) -> float:
    """Claim and settle everything; return the seconds that one delivery took."""
    handled, start = 0, time.perf_counter()
    while claims := await inbox.claim("webhooks", 256, 30, time.time()):
        done = {"handler": HandlerState(State.DONE, 1, 1)}
        await asyncio.gather(*(inbox.settle(Settlement(claim, State.DONE, done), time.time()) for claim in claims))
        handled += len(claims)
    return (time.perf_counter() - start) / handled


def _one_by_one(path: Path, number: int) -> float:
    """Keep bodies in the plainest way that is as durable; return how many a second."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE delivery (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body BLOB)")
    made = [(entry.delivery.id, entry.delivery.body) for entry in entries(number)]
    start = time.perf_counter()
    for row in made:
        connection.execute("INSERT INTO delivery (id, body) VALUES (?, ?)", row)
    took = time.perf_counter() - start
    connection.close()
    return number / took
