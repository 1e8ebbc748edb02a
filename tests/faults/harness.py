"""A receiver in a process of its own that can be killed and started again, who sends to it, and what it ran."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers import ROOT, signed

HANDLERS = ("on_loop", "in_thread", "at_second_try")
"""The handlers of `app.py`."""


class Server:
    """The receiver of `app.py` as a process, on a socket that outlives it: while it is dead, senders wait.

    Args:
        folder: where its files are.
        options: those of `app.OPTIONS` that differ.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.ended: dict[int, float] = {}
        """When each process that was killed came to its end, by its id."""
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self.listener.close()

    @property
    def inbox(self) -> Path:
        return self.folder / "hooks.db"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.faults.app", str(self.listener.fileno())]

    def start(self, preexec: Callable[[], None] | None = None) -> None:
        """Start it, in a process group of its own; it may not be up yet."""
        with self.folder.joinpath("said").open("ab") as said:
            self._process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
                    "PYTHONPATH": str(ROOT),
                    "PYTHONFAULTHANDLER": "1",
                    "FAULTS_FOLDER": str(self.folder),
                    "FAULTS_OPTIONS": json.dumps(self._options),
                },
                stdout=said,
                stderr=said,
                pass_fds=[self.listener.fileno()],
                start_new_session=True,
                preexec_fn=preexec,
            )

    def change(self, **options: Any) -> None:
        """Let it be started with other options."""
        self._options |= options

    def kill(self) -> None:
        """End it as `kill -9` does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        self.ended[self.process.pid] = time.monotonic()

    def stop(self) -> None:
        """End it as a supervisor does, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        # Uvicorn ends itself by the signal again, once everything has stopped.
        code = self.process.wait(timeout=30)
        assert code in (0, -signal.SIGTERM), f"ended with {code}:\n{self.said()[-5000:]}"

    def said(self) -> str:
        """Return what all of its processes have logged."""
        return self.folder.joinpath("said").read_text(encoding="utf-8")

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = 30) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} never came:\n{self.said()[-5000:]}"
            moment(0.1)


@contextmanager
def two_servers(folder: Path, **options: object) -> Generator[list[Server]]:
    """Yield two receivers on one file and one socket."""
    with ExitStack() as stack:
        first, second = Server(folder, **options), Server(folder, **options)
        second.listener.close()
        second.listener, second.port = first.listener.dup(), first.port
        for each in (first, second):
            stack.enter_context(each)
        yield [first, second]


def moment(seconds: float) -> None:
    """Let other processes do something for so long."""
    threading.Event().wait(seconds)


class Run(NamedTuple):
    """A line of the file `ran`."""

    at: float
    process: int
    handler: str
    order: str
    number: int
    attempt: int
    what: str


def runs(folder: Path) -> list[Run]:
    """Return what the handlers noted, in the order in which they did."""
    try:
        lines = folder.joinpath("ran").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found: list[Run] = []
    for line in lines:
        at, process, handler, order, number, attempt, what = line.split(" ", 6)
        found.append(Run(float(at), int(process), handler, order, int(number), int(attempt), what))
    return found


def doubled(found: list[Run]) -> list[Run]:
    """Return the ends of runs after which the same handler ran again for the same delivery."""
    last: dict[tuple[str, str, int], Run] = {}
    again: list[Run] = []
    for run in found:
        which = (run.handler, run.order, run.number)
        if run.what == "begin" and which in last:
            again.append(last.pop(which))
        elif run.what == "end":
            last[which] = run
    return again


def assert_order(found: list[Run]) -> None:
    """All runs for a delivery are before all runs for the next one of its order."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for run in found:
        numbers[run.order].append(run.number)
    for order, ran in numbers.items():
        assert ran == sorted(ran), order


def ended(folder: Path, handler: str = "on_loop") -> set[tuple[str, int]]:
    """Return the orders and numbers that a handler has brought to an end."""
    return {(run.order, run.number) for run in runs(folder) if run.handler == handler and run.what == "end"}


def delivery(order: str, number: int, *, now: float | None = None, **body: Any) -> bytes:
    """Return a signed request for the `number`th news of an order, ready to be sent, and sent again."""
    document = {"event": "order.status", "body": {"orderId": order, "status": f"S{number}", "number": number, **body}}
    content = json.dumps(document).encode()
    headers = signed(content, now=time.time() if now is None else now)
    lines = [b"POST / HTTP/1.1", b"host: receiver", b"content-length: %d" % len(content)]
    lines += [b"%b: %b" % pair for pair in headers]
    return b"\r\n".join([*lines, b"", content])


def name_of_old(id: str) -> tuple[str, int]:
    """Return the order and the number of a delivery in `tests/inbox/old/schema-4.db.xz`, by its id."""
    kind, _, number = id.rpartition("-")
    key = int(number) // 8 if int(number) % 2 == 0 else f"{number}-alone"  # half of them have an ordering key
    return f"{kind}/{key}", int(number)


def states(inbox: Path) -> dict[str, int]:
    """Return how many deliveries are in which state."""
    connection = sqlite3.connect(inbox)
    try:
        return dict(
            connection.execute(
                "SELECT coalesce(state, 'waiting') AS state, count(*) FROM delivery LEFT JOIN progress USING (seq) "
                "GROUP BY 1"
            ).fetchall()
        )
    finally:
        connection.close()


class Answer(NamedTuple):
    """What a request was answered."""

    status: int
    retry_after: bool


class Connection:
    """A connection that is kept alive; after an error the next request opens another one.

    Args:
        port: of the receiver.
        patience: seconds after which no answer will come.
    """

    def __init__(self, port: int, patience: float = 30) -> None:
        self._port = port
        self._patience = patience
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Answer | None:
        """Send a request; return its answer, None if none came."""
        try:
            async with asyncio.timeout(self._patience):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                lines = head.split(b"\r\n")
                await reader.readexactly(
                    next((int(each[15:]) for each in lines if each.startswith(b"content-length:")), 0)
                )
                return Answer(int(head.split()[1]), b"\r\nretry-after:" in head)
        except (OSError, asyncio.IncompleteReadError):
            await self.close()
            return None

    async def give_up_on(self, request: bytes) -> None:
        """Send a request, and go away without waiting for the answer."""
        with suppress(OSError):
            self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
            self._streams[1].write(request)
            await self._streams[1].drain()
            await asyncio.sleep(random.uniform(0, 0.005))
        await self.close()

    async def close(self) -> None:
        """Close it."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()


def ask(port: int, request: bytes, seconds: float = 30) -> Answer | None:
    """Send one request on a connection of its own; None if that breaks, or nothing is answered in time.

    While the receiver is dead its socket lives on: a request then waits for whoever starts it again.
    """

    async def asked() -> Answer | None:
        connection = Connection(port, seconds)
        try:
            return await connection.ask(request)
        finally:
            await connection.close()

    return asyncio.run(asked())


@dataclass
class Sender:
    """Sends the news of many orders at full speed, each order's one after the other, from a thread of its own."""

    port: int
    orders: int = 16
    budget: float = float("inf")
    """How many deliveries may be acknowledged until more are allowed: what is sent has to be handled, too."""
    others: Sequence[int] = ()
    """The ports of other processes, any of which takes the next request."""
    unordered: int = 0
    """How many more deliveries are sent at once, each of which is about an order of its own."""
    deadly: int = 0
    """How many more orders there are, of which each is given up until it is replayed."""
    impatient: float = 0
    """The part of the requests whose sender goes away, and sends them again."""
    in_doubt: bool = False
    """Whether what was rejected may have been kept: the inbox is elsewhere, and was cut off before it could tell."""
    acknowledged: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    wrong: list[str] = field(default_factory=list[str])
    """Answers that should not have been."""
    unanswered: int = 0
    rejected: int = 0
    repeated: int = 0
    slowest: float = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Sender:
        # Not one that pytest would wait for at its own end, if there is no end to it.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Finish what was begun: everything that was sent is acknowledged afterwards."""
        assert self._thread is not None
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the sender gets no answer any more"

    async def _send_all(self) -> None:
        orders = [f"o-{order}" for order in range(self.orders)] + [f"d-{order}" for order in range(self.deadly)]
        alone = [f"u-{order}" for order in range(self.unordered)]
        await asyncio.gather(*(self._send(order, order in alone) for order in [*orders, *alone]))

    async def _send(self, order: str, alone: bool) -> None:
        connections = [Connection(port) for port in (self.port, *self.others)]
        number = 0
        while not self._stop.is_set():
            if len(self.acknowledged) >= self.budget:
                await asyncio.sleep(0.01)
                continue
            number += 1
            await self._deliver(connections, f"{order}-{number}" if alone else order, number)
        for connection in connections:
            await connection.close()

    async def _deliver(self, connections: Sequence[Connection], order: str, number: int) -> None:
        request = delivery(order, number, does="give up once" if order.startswith("d-") else "sleep")
        expected = {202}
        if random.random() < self.impatient:
            await random.choice(connections).give_up_on(request)
            expected = {202, 200}
        while True:
            connection = random.choice(connections)
            began = time.monotonic()
            answer = await connection.ask(request)
            if answer is None:
                self.unanswered += 1
                expected = {202, 200}  # it may have been kept, although nobody could say so
            elif answer.status == 503:
                self.rejected += 1
                expected = {202, 200} if self.in_doubt else expected
                if not answer.retry_after:
                    self.wrong.append(f"{order} {number}: 503 without Retry-After")
                await asyncio.sleep(0.05)
            else:
                self.slowest = max(self.slowest, time.monotonic() - began)
                if answer.status not in expected:
                    self.wrong.append(f"{order} {number}: {answer.status}, not in {expected}")
                if answer.status in (200, 202):
                    self.acknowledged.append((order, number))
                break
        if random.random() < 0.1:
            await self._repeat(random.choice(connections), order, number, request)

    async def _repeat(self, connection: Connection, order: str, number: int, request: bytes) -> None:
        answer = await connection.ask(request)
        if answer is not None and answer.status != 503:
            self.repeated += 1
            if answer.status != 200:
                self.wrong.append(f"{order} {number} again: {answer.status}")
