"""How fast a PostgreSQL inbox keeps and handles, beside procrastinate by itself on the same server; never judged.

Run with `pytest -n0 -s -o faulthandler_timeout=0 -m benchmark tests/benchmarks/test_postgres_speed.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import Any

import procrastinate
import pytest
from rich.console import Console

from tests.helpers import ROOT
from tests.postgres import Postgres, database, execute, migrated, postgres
from webhook_receiver import Unsigned, WebhookReceiver
from webhook_receiver.inbox import State
from webhook_receiver.options import WorkerOptions

from . import apps
from .measuring import _cpu_seconds
from .test_inbox_speed import _puts_a_second, entries

pytestmark = pytest.mark.benchmark

ROUNDS = 3
CALLERS = 64
CONCURRENCY = 16
JOBS = 800

say = Console(width=120).print


@pytest.fixture(scope="module")
def server() -> Generator[Postgres]:
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    with postgres(max_connections=200) as server:
        yield server


@pytest.fixture
def url(server: Postgres) -> Generator[str]:
    with database(server.address) as url:
        execute(url, "CREATE SCHEMA theirs")
        yield migrated(url)


async def test_keeping_and_handling_are_measured_beside_procrastinate(url: str) -> None:
    keeping: list[float] = []
    handling: list[float] = []
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=f"{url}?options=-c%20search_path%3Dtheirs", min_size=4, max_size=32
        )
    )
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for _ in range(ROUNDS):
            deferred, ran = await _theirs(app)
            put, handled = await _ours(url)
            keeping.append(put / deferred)
            handling.append(handled / ran)
            say(f"deferred {deferred:,.0f}/s, kept {put:,.0f}/s; ran {ran:,.0f}/s, handled {handled:,.0f}/s")
    say(f"kept: {median(keeping):.2f} of what procrastinate defers with {CALLERS} callers")
    say(f"handled: {median(handling):.2f} of the empty tasks that it runs, both {CONCURRENCY} at once")


async def _theirs(app: procrastinate.App) -> tuple[float, float]:
    """Return how many jobs a second are deferred, each by itself, and run."""

    async def empty(number: int) -> None:
        pass

    task = app.tasks.get("empty") or app.task(name="empty")(empty)
    numbers: Iterator[int] = iter(range(JOBS))

    async def caller() -> None:
        for number in numbers:
            await task.defer_async(number=number)

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    deferred = JOBS / (time.perf_counter() - start)
    start = time.perf_counter()
    await app.run_worker_async(wait=False, concurrency=CONCURRENCY, install_signal_handlers=False)
    return deferred, JOBS / (time.perf_counter() - start)


async def _ours(url: str) -> tuple[float, float]:
    """Return how many deliveries a second are kept, and handled."""
    hooks = WebhookReceiver(scheme=Unsigned(), inbox=url, worker=WorkerOptions(concurrency=CONCURRENCY))
    hooks.on_fulfilled(apps.ignore)
    await hooks.inbox.open()
    put = await _puts_a_second(hooks.inbox, entries(JOBS))
    start = time.perf_counter()
    async with hooks:
        while (await hooks.inbox.stats()).counts[State.WAITING]:  # noqa: ASYNC110 - nobody tells when all is committed
            await asyncio.sleep(0.02)
        return put, JOBS / (time.perf_counter() - start)


@pytest.mark.parametrize("repeats", [1, 10], ids=["one of each order", "ten of each order"])
def test_more_workers_are_measured_and_what_bounds_them(server: Postgres, repeats: int, tmp_path: Path) -> None:
    for workers in (1, 2, 4):
        with database(server.address) as url:
            migrated(url)
            _say_handled_by(workers, url, url, server, tmp_path, repeats)


def test_more_workers_are_measured_with_a_server_that_is_5_ms_away(server: Postgres, tmp_path: Path) -> None:
    with distant(server.port, seconds=0.0025) as port:
        for workers in (1, 2, 4):
            with database(server.address) as url:
                migrated(url)
                _say_handled_by(workers, url, url.replace(str(server.port), str(port)), server, tmp_path, 1)


@contextmanager
def distant(port: int, seconds: float) -> Generator[int]:
    """Yield a port of which what is sent takes so long to the other one, and back."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(1 << 16):
            loop.call_later(seconds, writer.write, data)
        loop.call_later(seconds, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    async def serve() -> None:
        listening = await asyncio.start_server(connected, "127.0.0.1", 0)
        ready.put((asyncio.get_running_loop(), asyncio.current_task(), listening.sockets[0].getsockname()[1]))
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        listening.close()

    ready: SimpleQueue[Any] = SimpleQueue()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop, task, listens = ready.get()
    yield listens
    loop.call_soon_threadsafe(task.cancel)
    thread.join()


def _say_handled_by(workers: int, url: str, reached: str, server: Postgres, folder: Path, repeats: int) -> None:
    """Have deliveries handled by so many processes; say how many a second, and who was busy."""
    asyncio.run(_fill(url, 1_500, repeats))
    folder.joinpath("benched.py").write_text(
        "from webhook_receiver import OrderFulfilled, Unsigned, WebhookReceiver\n"
        f"hooks = WebhookReceiver(scheme=Unsigned(), inbox={reached!r})\n"
        "@hooks.on(OrderFulfilled)\nasync def ignore(order): pass\n"
    )
    command = [sys.executable, "-m", "webhook_receiver", "worker", "benched:hooks"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    everyone = [
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(workers)
    ]
    try:
        _until_done(url, 300)  # all of them have begun
        start, busy, server_busy, done = time.perf_counter(), _cpu(everyone), _cpu_of(server), _done(url)
        _until_done(url, 1_400)
        seconds = time.perf_counter() - start
        rate = (_done(url) - done) / seconds
        busy, server_busy = (_cpu(everyone) - busy) / seconds, (_cpu_of(server) - server_busy) / seconds
        say(
            f"{workers} workers: {rate:,.0f} deliveries/s; they kept {busy:.2f} cores busy, the server "
            f"{server_busy:.2f}, of {len(os.sched_getaffinity(0))}"
        )
    finally:
        for process in everyone:
            process.terminate()
            process.wait()


async def _fill(url: str, count: int, repeats: int) -> None:
    hooks = WebhookReceiver(scheme=Unsigned(), inbox=url, work=False)
    async with hooks:
        orders = [next(entries(1)) for _ in range(count // repeats)]
        fresh = (
            entry._replace(ordering_key=order.ordering_key)
            for order in orders
            for entry in islice(entries(repeats), repeats)
        )
        await _puts_a_second(hooks.inbox, fresh)


def _done(url: str) -> int:
    return int(execute(url, "SELECT count(*) FROM progress WHERE state = 'done'")[0][0])


def _until_done(url: str, count: int) -> None:
    deadline = time.monotonic() + 300
    while _done(url) < count:
        time.sleep(0.1)
        assert time.monotonic() < deadline


def _cpu(processes: list[subprocess.Popen[bytes]]) -> float:
    return sum(_cpu_seconds(process.pid) for process in processes)


def _cpu_of(server: Postgres) -> float:
    found = 0.0
    for process in server.family():
        with suppress(FileNotFoundError):  # one of those that come and go
            found += _cpu_seconds(process)
    return found
