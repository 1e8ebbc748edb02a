"""What the benchmarks share: servers on a core of their own, rounds of load, and ratios taken within a round."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import uvloop
from rich.console import Console
from rich.table import Table

from webhook_receiver import UP42Signature
from webhook_receiver.delivery import RequestHead

from . import apps, load

CORES = os.sched_getaffinity(0)
SIZE = 600
"""Bytes of a body."""


@dataclass
class Server:
    """A uvicorn process that serves one of the apps, on a core of its own."""

    port: int
    pid: int
    rates: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    cpu: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def warm_up(self, request: bytes, status: int) -> None:
        uvloop.run(load.run(self.port, itertools.repeat(request), status=status, connections=1, seconds=0.2))

    def round(
        self,
        name: str,
        requests: Iterable[bytes],
        status: int,
        *,
        connections: int = 16,
        seconds: float = 0.4,
        stay_awake: bool = False,
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        """Load the server for a while; `finish` waits for what it still has to do then, and counts."""
        before = _cpu_seconds(self.pid)
        rate = uvloop.run(
            load.run(
                self.port,
                iter(requests),
                status=status,
                connections=connections,
                seconds=seconds,
                stay_awake=stay_awake,
            )
        )
        start = time.monotonic()
        finish()
        self.rates.setdefault(name, []).append(rate.answered / (rate.seconds + time.monotonic() - start))
        self.cpu.setdefault(name, []).append((_cpu_seconds(self.pid) - before) / rate.answered * 1e6)


@contextmanager
def serving(factory: str, environment: Mapping[str, str] | None = None) -> Generator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        process = subprocess.Popen(
            ["taskset", "-c", str(min(CORES)), sys.executable, "-m", "benchmarks.serve", str(fd), factory],
            cwd=Path(__file__).parents[1],
            env={**os.environ, **(environment or {})},
            pass_fds=[fd],
        )
    try:
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def on_the_last_core() -> Generator[None]:
    """Keep the load away from the servers' core, where there are two."""
    os.sched_setaffinity(0, {max(CORES)})
    yield
    os.sched_setaffinity(0, CORES)


Row = tuple[str, Server, str]
"""A label, a server, and the name of its rounds."""


def show(rows: Sequence[Row], title: str, *, good: str) -> None:
    """Print rates as ratios to the first row, and CPU as ratios to the rounds named `good`."""
    floor = rows[0][1].rates[rows[0][2]]
    base = next(server.cpu[name] for _, server, name in rows if name == good)
    table = Table("app", "requests/s", "of the floor", "server CPU µs", f"of {good}", title=title)
    for label, server, name in rows:
        rates, cpu = server.rates[name], server.cpu[name]
        table.add_row(label, f"{median(rates):,.0f}", ratio(rates, floor), f"{median(cpu):.1f}", ratio(cpu, base))
    Console(width=120).print(table)


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Return the median of the ratios within each round, with the quartiles."""
    low, middle, high = quantiles((one / other for one, other in zip(values, base, strict=True)), n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def body(order_id: str = "95e60af5-658c-40cb-8f9e-0bec3898d190") -> bytes:
    """Return an order's notification of SIZE bytes."""
    said = {"orderId": order_id, "status": "FULFILLED", "note": ""}
    empty = len(json.dumps({"event": "order.status", "body": said}))
    said["note"] = "x" * (SIZE - empty)
    return json.dumps({"event": "order.status", "body": said}).encode()


def request(body: bytes, secret: str = apps.SECRET, scheme: UP42Signature | None = None) -> bytes:
    """Return a whole HTTP request that delivers it."""
    given = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
    signed = (scheme or UP42Signature(secret)).sign(RequestHead.of(given), body, time.time())
    head = b"".join(b"%b: %b\r\n" % pair for pair in signed.headers)
    return b"POST /webhooks HTTP/1.1\r\n" + head + b"\r\n" + body


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
